//! Our list: two shields that are swapped, hand over hand, whatever the scheme.

use std::mem::swap;

use sexton::sync::Ordering::Relaxed;
use sexton::{Atomic, Owned, Ptr};

use super::{List, MARK, nodes};
use crate::contender::ours::Named;

pub(super) struct OurList<R: Named> {
    head: Atomic<Node>,
    reclaimer: R,
}

struct Node {
    next: Atomic<Node>,
    value: u64,
}

impl<R: Named> OurList<R> {
    /// Nothing if it must start again.
    #[inline]
    fn try_walk(&self) -> Option<u64> {
        let guard = self.reclaimer.pin();
        let (mut before, mut at) = (guard.shield(), guard.shield());
        let mut sum = 0;
        at.protect(&self.head);
        // SAFETY: the list's nodes are of this domain, and nobody has them exclusively.
        while let Some(node) = unsafe { at.as_ref() } {
            sum += node.value;
            swap(&mut before, &mut at);
            // SAFETY: as above.
            let node = unsafe { before.as_ref() }.expect("it was not null");
            if at.protect(&node.next).tag() == MARK {
                return None;
            }
        }
        Some(sum)
    }
}

impl<R: Named> List for OurList<R> {
    const NAME: &'static str = R::NAME;

    fn new(order: &[usize]) -> Self {
        let reclaimer = R::default();
        let head = Atomic::null();
        {
            let guard = reclaimer.pin();
            let nodes = nodes(order, |value| guard.owned(Node { next: Atomic::null(), value }));
            for node in nodes.into_iter().rev() {
                node.next.store(head.load(Relaxed), Relaxed);
                head.store(node.into_ptr(), Relaxed);
            }
        }
        Self { head, reclaimer }
    }

    #[inline(never)]
    fn walk(&self) -> u64 {
        loop {
            if let Some(sum) = self.try_walk() {
                return sum;
            }
        }
    }
}

impl<R: Named> Drop for OurList<R> {
    fn drop(&mut self) {
        let mut next = self.head.load(Relaxed);
        while next != Ptr::null() {
            // SAFETY: a node of this list, which is ours alone; nothing was ever retired.
            let node = unsafe { Owned::<Node, R::Scheme>::from_ptr(next) };
            next = node.next.load(Relaxed);
        }
    }
}
