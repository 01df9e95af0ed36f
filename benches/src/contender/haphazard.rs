//! `haphazard`: its global domain.

use haphazard::{AtomicPtr, Domain, HazardPointer};

use super::{Contender, NEVER_NULL};

/// Hazard pointers; the process-wide domain. A guard is a hazard pointer, fresh unless it is kept;
/// to retire, nothing is needed.
#[derive(Debug, Default)]
pub struct Haphazard;

impl Contender for Haphazard {
    const NAME: &'static str = "haphazard";

    type Guard<'c> = HazardPointer<'static>;
    type Writer<'c> = ();
    type Link<T: Send + Sync + 'static> = AtomicPtr<T>;

    #[inline]
    fn pin(&self) -> HazardPointer<'static> {
        HazardPointer::new()
    }

    #[inline]
    fn writer(&self) {}

    fn link<T: Send + Sync + 'static>(&self, value: T) -> AtomicPtr<T> {
        AtomicPtr::from(Box::new(value))
    }

    #[inline]
    unsafe fn read<T: Send + Sync + 'static, U>(
        guard: &mut HazardPointer<'static>,
        link: &AtomicPtr<T>,
        read: impl FnOnce(&T) -> U,
    ) -> U {
        read(link.safe_load(guard).expect(NEVER_NULL))
    }

    #[inline]
    unsafe fn replace<T: Send + Sync + 'static>(_: &(), link: &AtomicPtr<T>, value: T) {
        let old = link.swap(Box::new(value)).expect(NEVER_NULL);
        // SAFETY: just unlinked by us from its only place.
        unsafe { old.retire() };
    }

    unsafe fn clear<T: Send + Sync + 'static>(_: &(), link: AtomicPtr<T>) {
        // SAFETY: nobody uses the link any more (the caller's), so nobody can find the node.
        unsafe { link.retire() };
    }

    fn flush(&self) {
        Domain::global().eager_reclaim();
    }
}
