//! `kovan`: intervals with batches; it has one process-wide state.
//!
//! On x86-64 it advises to build with `-C target-feature=+cmpxchg16b`; without, it asks the
//! processor at run time, on its slow paths only.

use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use kovan::{Atomic, Guard, RetiredNode, Shared, alloc_node, flush, pin, retire_node};

use super::{Contender, NEVER_NULL};

/// Intervals.
#[derive(Debug, Default)]
pub struct Kovan;

/// A node as kovan wants it: its own field first.
#[repr(C)]
pub struct Node<T> {
    retired: RetiredNode,
    value: T,
}

fn node<T>(value: T) -> *mut Node<T> {
    alloc_node(Node { retired: RetiredNode::new(), value })
}

impl Contender for Kovan {
    const NAME: &'static str = "kovan";

    type Guard<'c> = Guard;
    type Writer<'c> = Guard;
    type Link<T: Send + Sync + 'static> = Atomic<Node<T>>;

    #[inline]
    fn pin(&self) -> Guard {
        pin()
    }

    #[inline]
    fn writer(&self) -> Guard {
        pin()
    }

    fn link<T: Send + Sync + 'static>(&self, value: T) -> Atomic<Node<T>> {
        Atomic::new(node(value))
    }

    #[inline]
    unsafe fn read<T: Send + Sync + 'static, U>(
        guard: &mut Guard,
        link: &Atomic<Node<T>>,
        read: impl FnOnce(&T) -> U,
    ) -> U {
        // SAFETY: null or a node that was live when it was loaded under the guard.
        read(&unsafe { link.load(Acquire, guard).as_ref() }.expect(NEVER_NULL).value)
    }

    #[inline]
    unsafe fn replace<T: Send + Sync + 'static>(writer: &Guard, link: &Atomic<Node<T>>, value: T) {
        // SAFETY: the new node is shared by this call only, and lives until it is retired.
        let new = unsafe { Shared::from_raw(node(value)) };
        let old = link.swap(new, AcqRel, writer);
        // SAFETY: a node from `alloc_node` that begins with a `RetiredNode`, just unlinked by us
        // from its only place; what it holds is `Send`.
        unsafe { retire_node(old.as_raw()) };
    }

    unsafe fn clear<T: Send + Sync + 'static>(writer: &Guard, link: Atomic<Node<T>>) {
        // SAFETY: null is allowed.
        let null = unsafe { Shared::from_raw(ptr::null_mut()) };
        let old = link.swap(null, AcqRel, writer);
        // SAFETY: as above; it was not null, as it is cleared once.
        unsafe { retire_node(old.as_raw()) };
    }

    fn flush(&self) {
        flush();
    }
}
