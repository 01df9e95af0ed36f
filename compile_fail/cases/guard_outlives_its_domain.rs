// E0505: cannot move out of `domain` because it is borrowed

use sexton::{Domain, Epoch, Reclaimer};

fn main() {
    let domain = Domain::<Epoch>::new();
    let guard = domain.pin();
    drop(domain); // WRONG
    drop(guard);
}
