// E0502: cannot borrow `shield` as mutable because it is also borrowed as immutable

use sexton::{Atomic, Epoch, Reclaimer};

fn main() {
    let link = Atomic::<u32>::null();
    let guard = Epoch.pin();
    let mut shield = guard.shield();
    shield.protect(&link);
    // SAFETY: the link is null.
    let first = unsafe { shield.as_ref() };
    assert!(first.is_none());
    shield.protect(&link);
    assert!(first.is_none()); // WRONG
}
