//! `seize`: batches that are handed to the readers; a collector of its own each time, as advised.

use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use seize::{Collector, Guard as _, LocalGuard, reclaim};

use super::{Contender, NEVER_NULL};

/// Hyaline.
#[derive(Debug, Default)]
pub struct Seize {
    /// Its guards are taken by rows that want many.
    pub collector: Collector,
}

impl Contender for Seize {
    const NAME: &'static str = "seize";

    type Guard<'c> = LocalGuard<'c>;
    type Writer<'c> = LocalGuard<'c>;
    type Link<T: Send + Sync + 'static> = AtomicPtr<T>;

    #[inline]
    fn pin(&self) -> LocalGuard<'_> {
        self.collector.enter()
    }

    #[inline]
    fn writer(&self) -> LocalGuard<'_> {
        self.collector.enter()
    }

    fn link<T: Send + Sync + 'static>(&self, value: T) -> AtomicPtr<T> {
        AtomicPtr::new(Box::into_raw(Box::new(value)))
    }

    #[inline]
    unsafe fn read<T: Send + Sync + 'static, U>(
        guard: &mut LocalGuard<'_>,
        link: &AtomicPtr<T>,
        read: impl FnOnce(&T) -> U,
    ) -> U {
        // SAFETY: null or a node of this collector (the caller's), loaded by `protect`.
        read(unsafe { guard.protect(link, Acquire).as_ref() }.expect(NEVER_NULL))
    }

    #[inline]
    unsafe fn replace<T: Send + Sync + 'static>(
        writer: &LocalGuard<'_>,
        link: &AtomicPtr<T>,
        value: T,
    ) {
        let old = writer.swap(link, Box::into_raw(Box::new(value)), AcqRel);
        // SAFETY: a `Box`, just unlinked by us from its only place.
        unsafe { writer.defer_retire(old, reclaim::boxed) };
    }

    unsafe fn clear<T: Send + Sync + 'static>(writer: &LocalGuard<'_>, link: AtomicPtr<T>) {
        // SAFETY: as above; nobody uses the link any more (the caller's).
        unsafe { writer.defer_retire(link.into_inner(), reclaim::boxed) };
    }

    fn flush(&self) {
        self.collector.enter().flush();
    }
}
