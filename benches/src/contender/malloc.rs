//! No scheme at all: what stood there is freed at once. The floor under a retire, not a contender:
//! nobody can read beside it.

use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

use super::{Contender, NEVER_NULL};

/// malloc, swap and free.
#[derive(Debug, Default)]
pub struct Malloc;

impl Contender for Malloc {
    const NAME: &'static str = "(malloc+swap+free)";

    type Guard<'c> = ();
    type Writer<'c> = ();
    type Link<T: Send + Sync + 'static> = AtomicPtr<T>;

    #[inline]
    fn pin(&self) {}

    #[inline]
    fn writer(&self) {}

    fn link<T: Send + Sync + 'static>(&self, value: T) -> AtomicPtr<T> {
        AtomicPtr::new(Box::into_raw(Box::new(value)))
    }

    #[inline]
    unsafe fn read<T: Send + Sync + 'static, U>(
        _: &mut (),
        link: &AtomicPtr<T>,
        read: impl FnOnce(&T) -> U,
    ) -> U {
        // SAFETY: a live node, as nobody replaces it meanwhile (the caller's, here).
        read(unsafe { link.load(Acquire).as_ref() }.expect(NEVER_NULL))
    }

    #[inline]
    unsafe fn replace<T: Send + Sync + 'static>(_: &(), link: &AtomicPtr<T>, value: T) {
        let old = link.swap(Box::into_raw(Box::new(value)), AcqRel);
        // SAFETY: a `Box`, unlinked by us, and nobody reads beside us (the caller's, here).
        drop(unsafe { Box::from_raw(old) });
    }

    unsafe fn clear<T: Send + Sync + 'static>(_: &(), link: AtomicPtr<T>) {
        let old = link.swap(ptr::null_mut(), AcqRel);
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(old) });
    }

    fn flush(&self) {}
}
