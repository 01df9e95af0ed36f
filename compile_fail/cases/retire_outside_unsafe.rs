// E0133: call to unsafe function

use sexton::{Domain, Epoch, Owned, Reclaimer};

fn main() {
    let domain = Domain::<Epoch>::new();
    let guard = domain.pin();
    let node = guard.owned(1).into_ptr();
    guard.retire(node); // WRONG
    // SAFETY: it is ours alone.
    drop(unsafe { Owned::<i32, Epoch>::from_ptr(node) });
}
