//! Our own schemes. **Which they are is said here and nowhere else.**

use sexton::sync::Ordering::AcqRel;
use sexton::{Atomic, Domain, Guard, Ptr, Reclaimer};

use super::{Contender, NEVER_NULL};

/// The epochs that are measured.
pub type Epoch = sexton::Epoch;

/// The hazard pointers that are measured.
pub type Hazard = sexton::Hazard;

/// How many objects wait at most with [`Hazard`] by its documentation: with three records (who
/// retires, who sleeps, who watches), 8 slots each, and the largest batch.
pub const HAZARD_BOUND: f64 = {
    const RECORDS: u32 = 3;
    const SLOTS: u32 = 8 * RECORDS;
    const BATCH: u32 = if 2 * SLOTS > 4096 { 2 * SLOTS } else { 4096 };
    (RECORDS * (2 * BATCH + SLOTS + 16)) as f64
};

/// How many objects a structure reclaims at the end of an operation.
const RECLAIM_BUDGET: usize = 8;

/// A reclaimer with a name.
pub trait Named: Reclaimer + Default {
    /// In the tables.
    const NAME: &'static str;
}

impl Named for Epoch {
    const NAME: &'static str = "Epoch";
}

impl Named for Domain<Epoch> {
    const NAME: &'static str = "Epoch, own domain";
}

impl Named for Hazard {
    const NAME: &'static str = "Hazard";
}

impl Named for Domain<Hazard> {
    const NAME: &'static str = "Hazard, own domain";
}

/// One of our domains, used as our structures use it.
#[derive(Debug, Default)]
pub struct Ours<R>(R);

impl<R: Named> Contender for Ours<R> {
    const NAME: &'static str = R::NAME;

    type Guard<'c> = Guard<'c, R::Scheme>;
    type Writer<'c> = Guard<'c, R::Scheme>;
    type Link<T: Send + Sync + 'static> = Atomic<T>;

    #[inline]
    fn pin(&self) -> Self::Guard<'_> {
        self.0.pin()
    }

    #[inline]
    fn writer(&self) -> Self::Writer<'_> {
        self.0.pin()
    }

    fn link<T: Send + Sync + 'static>(&self, value: T) -> Atomic<T> {
        Atomic::new(self.0.pin().owned(value).into_ptr())
    }

    #[inline]
    unsafe fn read<T: Send + Sync + 'static, U>(
        guard: &mut Self::Guard<'_>,
        link: &Atomic<T>,
        read: impl FnOnce(&T) -> U,
    ) -> U {
        let mut shield = guard.shield();
        shield.protect(link);
        // SAFETY: the link holds live nodes of this domain (the caller's), shared only.
        read(unsafe { shield.as_ref() }.expect(NEVER_NULL))
    }

    #[inline]
    unsafe fn replace<T: Send + Sync + 'static>(
        writer: &Self::Writer<'_>,
        link: &Atomic<T>,
        value: T,
    ) {
        let old = link.swap(writer.owned(value).into_ptr(), AcqRel);
        // SAFETY: of this domain (the caller's), and just unlinked by us from its only place.
        unsafe { writer.retire(old) };
        writer.reclaim(RECLAIM_BUDGET);
    }

    unsafe fn clear<T: Send + Sync + 'static>(writer: &Self::Writer<'_>, link: Atomic<T>) {
        let old = link.swap(Ptr::null(), AcqRel);
        // SAFETY: as in `replace`; it was not null, as it is cleared once.
        unsafe { writer.retire(old) };
    }

    fn flush(&self) {
        self.0.collect();
    }
}
