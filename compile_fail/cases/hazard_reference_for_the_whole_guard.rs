// E0277: the trait bound `Hazard: GuardScoped` is not satisfied

use sexton::{Epoch, Hazard, RcuCell};

fn main() {
    let epoch = RcuCell::<u8, Epoch>::new(1);
    let hazard = RcuCell::<u8, Hazard>::new(2);
    let (epoch, hazard) = (epoch.pin(), hazard.pin());
    assert_eq!(*epoch.load().into_ref(), 1);
    assert_eq!(*hazard.load().into_ref(), 2); // WRONG
    assert_eq!(*hazard.load(), 2);
}
