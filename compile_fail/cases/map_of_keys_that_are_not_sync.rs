// E0277: cannot be shared between threads safely

use std::cell::Cell;

fn main() {
    let map = sexton::HashMap::<Cell<u8>, u8>::new();
    std::thread::scope(|scope| {
        scope.spawn(|| map.len()); // WRONG
        scope.spawn(|| ());
    });
    drop(map);
}
