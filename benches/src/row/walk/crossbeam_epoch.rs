//! A list on crossbeam-epoch: loads under a guard.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crossbeam_epoch::{Atomic, Owned, pin, unprotected};

use super::{List, MARK, nodes};
use crate::contender::{Contender, CrossbeamEpoch};

pub(super) struct CrossbeamList {
    head: Atomic<Node>,
}

struct Node {
    next: Atomic<Node>,
    value: u64,
}

impl CrossbeamList {
    /// Nothing if it must start again.
    #[inline]
    fn try_walk(&self) -> Option<u64> {
        let guard = pin();
        let mut sum = 0;
        let mut at = self.head.load(Acquire, &guard);
        // SAFETY: the list's nodes live until it is dropped.
        while let Some(node) = unsafe { at.as_ref() } {
            sum += node.value;
            at = node.next.load(Acquire, &guard);
            if at.tag() == MARK {
                return None;
            }
        }
        Some(sum)
    }
}

impl List for CrossbeamList {
    const NAME: &'static str = CrossbeamEpoch::NAME;

    fn new(order: &[usize]) -> Self {
        let head = Atomic::null();
        // SAFETY: nobody else knows the list yet.
        let guard = unsafe { unprotected() };
        for node in
            nodes(order, |value| Owned::new(Node { next: Atomic::null(), value })).into_iter().rev()
        {
            node.next.store(head.load(Relaxed, guard), Relaxed);
            head.store(node, Relaxed);
        }
        Self { head }
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

impl Drop for CrossbeamList {
    fn drop(&mut self) {
        // SAFETY: the list is ours alone.
        let guard = unsafe { unprotected() };
        let mut next = self.head.load(Relaxed, guard);
        while !next.is_null() {
            // SAFETY: a node of this list, which is ours alone.
            let node = unsafe { next.into_owned() };
            next = node.next.load(Relaxed, guard);
        }
    }
}
