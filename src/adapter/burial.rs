//! Queue, don't recurse: how adapters drop values whose `Drop` makes more of them ripe.
//!
//! The drop of a retired value may pin, retire and collect, and so come back to where it was called
//! from. Each level deep would need stack, without limit: a list whose nodes retire one another, a
//! thread that exits with much garbage. So the burials of a thread form a queue: the outermost does
//! its own and then those that came up meanwhile.
//!
//! - **I1.** `QUEUE` is not null only while a burial is under way on this thread, and then points
//!   to the queue in the outermost one's frame, which is empty when that returns.

use core::cell::{Cell, RefCell};
use core::ptr;
use std::collections::VecDeque;

use crate::sync::thread_local;

type Queue = RefCell<VecDeque<Box<dyn FnOnce()>>>;

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom has no const form")]
    static QUEUE: Cell<*const Queue> = Cell::new(ptr::null());
}

/// Buries now, or, within another burial of this thread, after it. `burial` does not panic.
pub(super) fn bury(burial: impl FnOnce() + 'static) {
    // In a model a thread's locals go before its last garbage does; then there is no queue.
    let outer = QUEUE.try_with(Cell::get).unwrap_or(ptr::null());
    if !outer.is_null() {
        // SAFETY: I1. No borrow of the queue is held while user code runs.
        unsafe { &*outer }.borrow_mut().push_back(Box::new(burial));
        return;
    }
    let queue = Queue::default();
    let _ = QUEUE.try_with(|outermost| outermost.set(&queue));
    burial();
    // Each is taken out before it is done, in a statement of its own: no borrow is held meanwhile.
    while let Some(next) = { queue.borrow_mut().pop_front() } {
        next();
    }
    let _ = QUEUE.try_with(|outermost| outermost.set(ptr::null()));
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_long_chain_of_burials_needs_no_stack() {
        fn chain(left: usize, done: Rc<Cell<usize>>) {
            bury(move || {
                done.set(done.get() + 1);
                if left > 1 {
                    chain(left - 1, done);
                }
            });
        }

        let length = if cfg!(miri) { 100 } else { 1_000_000 };
        let done = Rc::new(Cell::new(0));
        chain(length, Rc::clone(&done));
        assert_eq!(done.get(), length);
    }

    #[test]
    fn burials_are_done_in_order_and_none_is_left() {
        let order = Rc::new(RefCell::new(Vec::new()));
        let log = |at| {
            let order = Rc::clone(&order);
            move || order.borrow_mut().push(at)
        };
        let (first, second, third) = (log(1), log(2), log(3));
        bury(move || {
            bury(second);
            bury(third);
            first();
        });
        assert_eq!(*order.borrow(), [1, 2, 3]);
    }
}
