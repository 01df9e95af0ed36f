//! A lock that is biased to its owner: who pays for it is the one in a thousand who is not.
//!
//! The owner raises a flag with a plain store while it works, and another thread that wants what is
//! inside asks for it, issues a heavy barrier, and gets it only if the flag is down then. Nobody ever
//! waits: who does not get it goes away and does something else.
//!
//! ```text
//! owner                        another thread
//! busy = true                  claimed = true   (by CAS: one at a time)
//! light barrier                heavy barrier
//! claimed? then busy = false,  busy? then claimed = false,
//!          and go away               and go away
//! ... work ...                 ... work ...
//! busy = false (Release)       claimed = false (Release)
//! ```
//!
//! - **I1.** Owner and claimant do not both work: of the two barriers one is first, and who has the
//!   later one sees the other's flag.
//! - **I2.** Who comes later sees what was done before: it reads (Acquire) a flag that was taken down
//!   (Release) after the work. (Both flags: an owner that finds no claimant, a claimant that finds
//!   `busy` down. An owner that gives up takes its flag down with Release as well, so that the chain
//!   is not broken.)

use core::sync::atomic::compiler_fence;

use crate::barrier;
use crate::sync::counter::{self, AtomicUsize as Flag};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, UnsafeCell, fence};

/// In `claimant`.
const NOBODY: usize = 0;

/// A `T` that its owner uses at the price of two plain stores.
#[derive(Debug)]
pub(crate) struct Biased<T> {
    busy: AtomicBool,
    /// The claimant's identity, or 0.
    claimant: AtomicUsize,
    /// Whether the claimant is at work, 0 or 1: of interest to a child of `fork` only.
    claimant_works: Flag,
    inside: UnsafeCell<T>,
}

// SAFETY: one thread at a time gets at what is inside (I1, I2).
unsafe impl<T: Send> Sync for Biased<T> {}

impl<T> Biased<T> {
    pub(crate) fn new(inside: T) -> Self {
        Self {
            busy: AtomicBool::new(false),
            claimant: AtomicUsize::new(NOBODY),
            claimant_works: Flag::new(0),
            inside: UnsafeCell::new(inside),
        }
    }

    /// Works as the owner; `None` if another thread has claimed it.
    ///
    /// # Safety
    /// - one thread at a time is the owner, and ownership passes with a happens-before;
    /// - `work` does not come back here, and does not panic;
    /// - `full_fence`, unless claimants issue a heavy barrier that the platform does not refuse.
    #[inline]
    pub(crate) unsafe fn as_owner<R>(
        &self,
        full_fence: bool,
        work: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        // Relaxed: ordered by the barrier.
        self.busy.store(true, Ordering::Relaxed);
        if full_fence {
            fence(Ordering::SeqCst);
        } else {
            // PAIRS: the heavy barrier between `claim` and `claimed`.
            barrier::light();
        }
        // Acquire: I2.
        let free = self.claimant.load(Ordering::Acquire) == NOBODY;
        // SAFETY: I1, I2.
        let result = free.then(|| self.inside.with_mut(|inside| work(unsafe { &mut *inside })));
        // Release: I2.
        self.busy.store(false, Ordering::Release);
        result
    }

    /// Works as the owner where nobody ever claims it.
    ///
    /// # Safety
    /// As [`as_owner`](Self::as_owner); and so it is.
    #[cfg(any(loom, crossbeam_loom))]
    pub(crate) unsafe fn as_only_user<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller's.
        self.inside.with_mut(|inside| work(unsafe { &mut *inside }))
    }

    /// Asks for it, in the name of a thread with this identity; fails if another claimant has it.
    /// What comes next, after a heavy barrier, is [`with_claimed`](Self::with_claimed).
    pub(crate) fn claim(&self, identity: usize) {
        // Acquire: I2, between claimants. Relaxed for the failure: then nothing is done.
        let _ =
            self.claimant.compare_exchange(NOBODY, identity, Ordering::Acquire, Ordering::Relaxed);
    }

    /// Whether the thread with this identity has it claimed.
    pub(crate) fn is_claimed_by(&self, identity: usize) -> bool {
        // Relaxed: if it is this thread, this thread wrote it.
        self.claimant.load(Ordering::Relaxed) == identity
    }

    /// Works as the claimant, if the owner is not at work, and gives it back; `None` if it is.
    ///
    /// # Safety
    /// - the calling thread has [claimed](Self::claim) it, and has issued a heavy barrier since;
    /// - `work` does not panic.
    pub(crate) unsafe fn with_claimed<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        // Acquire: I2.
        let free = !self.busy.load(Ordering::Acquire);
        let result = free.then(|| {
            self.claimant_works.store(1, counter::Relaxed);
            // A child of `fork` sees what its parent's threads have done, in their order: that of the
            // machine's code.
            compiler_fence(Ordering::SeqCst);
            // SAFETY: I1, I2.
            let result = self.inside.with_mut(|inside| work(unsafe { &mut *inside }));
            compiler_fence(Ordering::SeqCst);
            self.claimant_works.store(0, counter::Relaxed);
            result
        });
        // Release: I2.
        self.claimant.store(NOBODY, Ordering::Release);
        result
    }

    /// Gives up a claim that was not used.
    ///
    /// # Safety
    /// The calling thread has claimed it.
    pub(crate) unsafe fn disclaim(&self) {
        // Release: passes on what the claimant before has passed to this one (I2).
        self.claimant.store(NOBODY, Ordering::Release);
    }

    /// Forgets owners and claimants that do not exist any more. What is inside is forgotten, too, and
    /// replaced by `fresh`, if one of them was in the middle of work on it.
    ///
    /// # Safety
    /// No other thread uses it, now or later.
    pub(crate) unsafe fn reset(&self, fresh: T) {
        if self.busy.load(Ordering::Relaxed) || self.claimant_works.load(counter::Relaxed) != 0 {
            // SAFETY: the caller's.
            self.inside.with_mut(|inside| core::mem::forget(unsafe { inside.replace(fresh) }));
        }
        self.claimant_works.store(0, counter::Relaxed);
        self.busy.store(false, Ordering::Release);
        self.claimant.store(NOBODY, Ordering::Release);
    }
}
