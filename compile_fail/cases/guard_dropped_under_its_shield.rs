// E0505: cannot move out of `guard` because it is borrowed

use sexton::{Epoch, Reclaimer, Shield};

fn main() {
    let guard = Epoch.pin();
    let shield: Shield<'_, u32, _> = guard.shield();
    drop(guard); // WRONG
    assert!(shield.ptr().is_null());
}
