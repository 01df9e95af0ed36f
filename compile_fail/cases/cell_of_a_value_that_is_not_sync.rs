// E0277: cannot be shared between threads safely

use std::cell::Cell;

fn main() {
    let cell = sexton::RcuCell::<Cell<u8>>::new(Cell::new(1));
    std::thread::scope(|scope| {
        scope.spawn(|| cell.load()); // WRONG
        scope.spawn(|| ());
    });
    assert_eq!(cell.load().get(), 1);
}
