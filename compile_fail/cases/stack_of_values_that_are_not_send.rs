// E0277: cannot be sent between threads safely

use std::rc::Rc;

fn main() {
    let stack = sexton::Stack::<Rc<u8>>::new();
    stack.push(Rc::new(1));
    std::thread::scope(|scope| {
        scope.spawn(|| stack.pop()); // WRONG
        scope.spawn(|| ());
    });
}
