// E0597: `pinned` does not live long enough

use sexton::{Epoch, RcuCell, Ref};

fn main() {
    let cell = RcuCell::<_>::new(String::from("one"));
    let mut kept: Vec<Ref<'_, String, Epoch>> = Vec::new();
    {
        let pinned = cell.pin();
        assert_eq!(*pinned.load(), "one");
        kept.push(pinned.load()); // WRONG
    }
    kept.clear();
}
