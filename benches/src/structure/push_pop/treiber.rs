//! A Treiber stack on crossbeam-epoch, as one writes it who follows its documentation.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_epoch::{Atomic, Owned, pin, unprotected};

use super::PushPop;

pub(super) struct Treiber {
    head: Atomic<Node>,
}

struct Node {
    value: u64,
    next: Atomic<Node>,
}

impl PushPop for Treiber {
    const NAME: &'static str = "Treiber on crossbeam-epoch";

    fn new() -> Self {
        Self { head: Atomic::null() }
    }

    #[inline]
    fn push(&self, value: u64) {
        let guard = pin();
        let mut node = Owned::new(Node { value, next: Atomic::null() });
        loop {
            let head = self.head.load(Relaxed, &guard);
            node.next.store(head, Relaxed);
            match self.head.compare_exchange(head, node, Release, Relaxed, &guard) {
                Ok(_) => return,
                Err(error) => node = error.new,
            }
        }
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        let guard = pin();
        loop {
            let head = self.head.load(Acquire, &guard);
            // SAFETY: null or a node that was live when it was loaded under the guard.
            let node = unsafe { head.as_ref() }?;
            let next = node.next.load(Relaxed, &guard);
            if self.head.compare_exchange(head, next, Relaxed, Relaxed, &guard).is_ok() {
                // SAFETY: just unlinked by us from its only place.
                unsafe { guard.defer_destroy(head) };
                return Some(node.value);
            }
        }
    }
}

impl Drop for Treiber {
    fn drop(&mut self) {
        // SAFETY: the stack is ours alone.
        let guard = unsafe { unprotected() };
        let mut next = self.head.load(Relaxed, guard);
        while !next.is_null() {
            // SAFETY: a node of this stack, which is ours alone.
            let node = unsafe { next.into_owned() };
            next = node.next.load(Relaxed, guard);
        }
    }
}
