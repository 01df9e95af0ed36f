// E0277: cannot be sent between threads safely

use sexton::{Epoch, Reclaimer};

fn main() {
    let guard = Epoch.pin();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(guard)); // WRONG
        scope.spawn(|| drop(Epoch.pin()));
    });
}
