// E0277: cannot be sent between threads safely

fn main() {
    let stack = sexton::Stack::<_>::from([1]);
    let pinned = stack.pin();
    std::thread::scope(|scope| {
        scope.spawn(|| stack.pop());
        scope.spawn(move || pinned.pop()); // WRONG
    });
}
