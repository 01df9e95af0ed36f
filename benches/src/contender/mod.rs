//! The contenders: every scheme behind one trait, used as its documentation advises.

pub mod crossbeam_epoch;
pub mod haphazard;
pub mod kovan;
pub mod malloc;
pub mod ours;
pub mod sdd;
pub mod seize;

pub use crossbeam_epoch::CrossbeamEpoch;
pub use haphazard::Haphazard;
pub use kovan::Kovan;
pub use malloc::Malloc;
pub use ours::{Epoch, Hazard, Ours};
pub use sdd::Sdd;
pub use seize::Seize;

/// A reclamation scheme at work: one domain, collector, or what it has of that kind.
///
/// All is monomorphised, so that nothing but the scheme stands between a loop and its operation.
pub trait Contender: Default + Send + Sync + 'static {
    /// Its name in the tables.
    const NAME: &'static str;

    /// What a reader holds.
    type Guard<'c>;

    /// What a writer holds who has unlinked something, to retire it. Usually a guard.
    type Writer<'c>;

    /// An atomic pointer to a node of its own.
    type Link<T: Send + Sync + 'static>: Send + Sync;

    /// Opens a critical section, or leases a hazard pointer.
    fn pin(&self) -> Self::Guard<'_>;

    /// What one needs to retire.
    fn writer(&self) -> Self::Writer<'_>;

    /// A pointer to a new node. It is never null until it is [cleared](Self::clear).
    fn link<T: Send + Sync + 'static>(&self, value: T) -> Self::Link<T>;

    /// Protects what the link leads to, and reads it while it is protected.
    ///
    /// # Safety
    /// Guard and link are of the same contender; with [`Malloc`], nobody replaces meanwhile.
    unsafe fn read<T: Send + Sync + 'static, U>(
        guard: &mut Self::Guard<'_>,
        link: &Self::Link<T>,
        read: impl FnOnce(&T) -> U,
    ) -> U;

    /// Allocates a node, swaps it in, and retires what stood there.
    ///
    /// # Safety
    /// Writer and link are of the same contender.
    unsafe fn replace<T: Send + Sync + 'static>(
        writer: &Self::Writer<'_>,
        link: &Self::Link<T>,
        value: T,
    );

    /// Retires what stands there, for good.
    ///
    /// # Safety
    /// Writer and link are of the same contender; nobody uses the link any more.
    unsafe fn clear<T: Send + Sync + 'static>(writer: &Self::Writer<'_>, link: Self::Link<T>);

    /// Reclaims what can be reclaimed, as far as there is a call for that. Called without a guard.
    fn flush(&self);
}

/// What a link that was not cleared never is.
const NEVER_NULL: &str = "a link leads to a node until it is cleared";
