// E0502: cannot borrow `shield` as mutable because it is also borrowed as immutable

use sexton::{Atomic, Hazard, Reclaimer};

fn main() {
    let link = Atomic::<u32>::null();
    let guard = Hazard.pin();
    let mut shield = guard.shield();
    shield.protect(&link);
    // SAFETY: the link is null.
    let value = unsafe { shield.as_ref() };
    assert!(value.is_none());
    shield.clear();
    assert!(value.is_none()); // WRONG
}
