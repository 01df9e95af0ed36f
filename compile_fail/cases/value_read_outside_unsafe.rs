// E0133: call to unsafe function

use sexton::{Epoch, Reclaimer, Shield};

fn main() {
    let guard = Epoch.pin();
    let shield: Shield<'_, u32, _> = guard.shield();
    // SAFETY: it covers nothing.
    assert!(unsafe { shield.as_ref() }.is_none());
    assert!(shield.as_ref().is_none()); // WRONG
}
