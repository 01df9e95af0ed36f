//! A list on haphazard: two hazard pointers that are kept, and swapped, hand over hand.

use std::mem::swap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use haphazard::HazardPointer;

use super::{List, MARK, nodes};
use crate::contender::{Contender, Haphazard};

pub(super) struct HaphazardList {
    head: AtomicPtr<Node>,
}

struct Node {
    next: AtomicPtr<Node>,
    value: u64,
}

impl HaphazardList {
    /// Nothing if it must start again.
    #[inline]
    fn try_walk(
        &self,
        before: &mut HazardPointer<'static>,
        at: &mut HazardPointer<'static>,
    ) -> Option<u64> {
        let mut sum = 0;
        let mut next = at.protect_ptr(&self.head).map(|(node, _)| node);
        while let Some(node) = next {
            // SAFETY: the list's nodes live until it is dropped.
            let node = unsafe { node.as_ref() };
            sum += node.value;
            swap(before, at);
            next = at.protect_ptr(&node.next).map(|(node, _)| node);
            if next.is_some_and(|node| node.addr().get() & MARK != 0) {
                return None;
            }
        }
        Some(sum)
    }
}

impl List for HaphazardList {
    const NAME: &'static str = Haphazard::NAME;

    fn new(order: &[usize]) -> Self {
        let head = AtomicPtr::new(ptr::null_mut());
        let new = |value| Box::new(Node { next: AtomicPtr::new(ptr::null_mut()), value });
        for node in nodes(order, new).into_iter().rev() {
            node.next.store(head.load(Relaxed), Relaxed);
            head.store(Box::into_raw(node), Relaxed);
        }
        Self { head }
    }

    #[inline(never)]
    fn walk(&self) -> u64 {
        let [mut before, mut at] = [HazardPointer::new(), HazardPointer::new()];
        loop {
            if let Some(sum) = self.try_walk(&mut before, &mut at) {
                return sum;
            }
        }
    }
}

impl Drop for HaphazardList {
    fn drop(&mut self) {
        let mut next = self.head.load(Relaxed);
        while !next.is_null() {
            // SAFETY: a node of this list, from a `Box`; the list is ours alone.
            let node = unsafe { Box::from_raw(next) };
            next = node.next.load(Relaxed);
        }
    }
}
