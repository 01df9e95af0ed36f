// E0277: cannot be sent between threads safely

use std::rc::Rc;

fn main() {
    let map = sexton::HashMap::<u8, Rc<u8>>::new();
    std::thread::scope(|scope| {
        scope.spawn(|| map.len()); // WRONG
        scope.spawn(|| ());
    });
    drop(map);
}
