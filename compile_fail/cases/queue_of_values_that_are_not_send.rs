// E0277: cannot be sent between threads safely

use std::rc::Rc;

fn main() {
    let queue = sexton::Queue::<Rc<u8>>::new();
    queue.push(Rc::new(1));
    std::thread::scope(|scope| {
        scope.spawn(|| queue.pop()); // WRONG
        scope.spawn(|| ());
    });
}
