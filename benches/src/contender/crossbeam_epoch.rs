//! `crossbeam-epoch`: its default collector.

use std::sync::atomic::Ordering::{AcqRel, Acquire};

use crossbeam_epoch::{Atomic, Guard, Owned, Shared, pin};

use super::{Contender, NEVER_NULL};

/// Epochs; the process-wide collector.
#[derive(Debug, Default)]
pub struct CrossbeamEpoch;

impl Contender for CrossbeamEpoch {
    const NAME: &'static str = "crossbeam-epoch";

    type Guard<'c> = Guard;
    type Writer<'c> = Guard;
    type Link<T: Send + Sync + 'static> = Atomic<T>;

    #[inline]
    fn pin(&self) -> Guard {
        pin()
    }

    #[inline]
    fn writer(&self) -> Guard {
        pin()
    }

    fn link<T: Send + Sync + 'static>(&self, value: T) -> Atomic<T> {
        Atomic::new(value)
    }

    #[inline]
    unsafe fn read<T: Send + Sync + 'static, U>(
        guard: &mut Guard,
        link: &Atomic<T>,
        read: impl FnOnce(&T) -> U,
    ) -> U {
        // SAFETY: null or a node that was live when it was loaded under the guard.
        read(unsafe { link.load(Acquire, guard).as_ref() }.expect(NEVER_NULL))
    }

    #[inline]
    unsafe fn replace<T: Send + Sync + 'static>(writer: &Guard, link: &Atomic<T>, value: T) {
        let old = link.swap(Owned::new(value), AcqRel, writer);
        // SAFETY: just unlinked by us from its only place.
        unsafe { writer.defer_destroy(old) };
    }

    unsafe fn clear<T: Send + Sync + 'static>(writer: &Guard, link: Atomic<T>) {
        let old = link.swap(Shared::null(), AcqRel, writer);
        // SAFETY: as above; it was not null, as it is cleared once.
        unsafe { writer.defer_destroy(old) };
    }

    fn flush(&self) {
        pin().flush();
    }
}
