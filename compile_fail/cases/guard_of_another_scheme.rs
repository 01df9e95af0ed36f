// E0308: mismatched types

use sexton::{Epoch, Hazard, Reclaimer, Stack};

fn main() {
    let stack = Stack::<u8, Epoch>::new();
    let (ours, another) = (Epoch.pin(), Hazard.pin());
    stack.with(&ours).push(1);
    stack.with(&another).push(2); // WRONG
    drop(another);
}
