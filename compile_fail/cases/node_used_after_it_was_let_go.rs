// E0382: borrow of moved value: `node`

use sexton::{Domain, Epoch, Owned, Reclaimer};

fn main() {
    let domain = Domain::<Epoch>::new();
    let node = domain.pin().owned(1);
    assert_eq!(*node, 1);
    let linked = node.into_ptr();
    assert_eq!(*node, 1); // WRONG
    // SAFETY: it was shared with nobody.
    drop(unsafe { Owned::<i32, Epoch>::from_ptr(linked) });
}
