//! `sdd`: epochs; it has one process-wide state. With its raw pointers, which it calls the fastest.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use sdd::{AtomicRaw, Guard, Owned, RawPtr};

use super::{Contender, NEVER_NULL};

/// Epochs.
#[derive(Debug, Default)]
pub struct Sdd;

impl Contender for Sdd {
    const NAME: &'static str = "sdd";

    type Guard<'c> = Guard;
    type Writer<'c> = Guard;
    type Link<T: Send + Sync + 'static> = AtomicRaw<T>;

    #[inline]
    fn pin(&self) -> Guard {
        Guard::new()
    }

    #[inline]
    fn writer(&self) -> Guard {
        Guard::new()
    }

    fn link<T: Send + Sync + 'static>(&self, value: T) -> AtomicRaw<T> {
        AtomicRaw::new(Owned::new(value).into_raw())
    }

    #[inline]
    unsafe fn read<T: Send + Sync + 'static, U>(
        guard: &mut Guard,
        link: &AtomicRaw<T>,
        read: impl FnOnce(&T) -> U,
    ) -> U {
        // SAFETY: null or a node that was live when it was loaded under the guard.
        let ptr = unsafe { link.load(Acquire, guard).into_ptr() };
        // SAFETY: as above; it has no tag.
        read(unsafe { ptr.as_ref_unchecked() }.expect(NEVER_NULL))
    }

    #[inline]
    unsafe fn replace<T: Send + Sync + 'static>(writer: &Guard, link: &AtomicRaw<T>, value: T) {
        let old = link.swap(Owned::new(value).into_raw(), AcqRel, writer);
        // SAFETY: just unlinked by us from its only place: ours to retire, which is what dropping
        // an `Owned` does.
        drop(unsafe { Owned::from_raw(old) });
    }

    unsafe fn clear<T: Send + Sync + 'static>(writer: &Guard, link: AtomicRaw<T>) {
        let old = link.swap(RawPtr::null(), AcqRel, writer);
        // SAFETY: as above.
        drop(unsafe { Owned::from_raw(old) });
    }

    /// It can only be hurried on by an epoch, when a guard ends.
    fn flush(&self) {
        let guard = Guard::new();
        guard.set_has_garbage();
        guard.accelerate();
    }
}
