// E0277: cannot be shared between threads safely

use sexton::{Hazard, Reclaimer};

fn main() {
    let guard = Hazard.pin();
    std::thread::scope(|scope| {
        scope.spawn(|| guard.reclaim(1)); // WRONG
    });
    guard.reclaim(1);
}
