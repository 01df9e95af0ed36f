//! Asymmetric fences: a light half that costs a reader nothing, and a heavy half for who reclaims.
//!
//! # What they mean
//!
//! Each light barrier is before or after each heavy one in an order S, as one `fence(SeqCst)` is
//! before or after another:
//!
//! > *store X; light; load Y* against *store Y; heavy; load X*: not both loads miss the other's store.
//!
//! More exactly: where this crate's proofs have a reader's `light` and a `heavy`, either the reader's
//! is before the heavy one in S, and then what the reader did before is seen by who comes after the
//! heavy one; or it is after, and then the reader's later loads see what was done before the heavy
//! one. Where both are `fence(SeqCst)`, this is what C++20 says of them. Where `light` is a compiler
//! fence, it is what the kernel says of `membarrier(PRIVATE_EXPEDITED)` and
//! `FlushProcessWriteBuffers`: each running thread of the process executes a full barrier at some
//! moment between the call's begin and its end, so each `light` acts as one that stands on one side
//! of that moment.
//!
//! For the thread that issues it, a heavy barrier begins and ends as a full fence: it has its place
//! among the `fence(SeqCst)`s of all threads.
//!
//! *It is no total order of light barriers.* The threads of the process are interrupted one after the
//! other, so of two light barriers each may be before *or* after the same heavy one as it pleases:
//! from "this light one before the heavy one, and the heavy one before that light one" nothing follows
//! for the two. A proof may use a heavy barrier against one light barrier, and full fences and
//! happens-before for the rest.
//!
//! (Goldblat, Dice and Detlefs, Huang: asymmetric Dekker synchronization; P1202R5, "Asymmetric
//! fences"; Desnoyers et al., "User-level implementations of read-copy update", 2012.)
//!
//! # When the heavy half is refused
//!
//! A kernel may not know `membarrier`, and a sandbox may refuse it, from the start or later on. The
//! return code is always looked at ([`heavy`]). What follows from a refusal is a domain's affair: see
//! `record.rs`, "full fences".
//!
//! # Barriers are dear, and shared
//!
//! A barrier interrupts all running threads of the process: half a microsecond when there are none,
//! 20 when there are. So a batch of retired objects is as large as barriers are dear
//! ([`Barriers::batch`]), and a barrier serves all of the process's domains: they are numbered.
//!
//! - **I1.** *The ticket.* A thread that has unlinked something takes a ticket: full fence, then the
//!   number of barriers `started`. A barrier with a greater number is after that fence in S: its
//!   issuer's increment comes after the ticket's load in the order of modifications of `started`, and
//!   its barrier comes after the increment.
//! - **I2.** `finished` is the greatest number of a barrier that has ended (Release; who reads it
//!   with Acquire comes after the barrier). So a ticket is *passed* when `finished` exceeds it.
//! - **I3.** One thread at a time issues a barrier, others rather go on with their work: their
//!   garbage waits for the next. But nobody is kept waiting by a thread that sleeps in the middle:
//!   who is in need issues a barrier at the same time, and `finished` is a maximum.

use std::time::Instant;

use crate::sync::counter::{self, AtomicU64 as Cost};
use crate::sync::{AtomicBool, AtomicU64, MODEL, Ordering, const_where_possible, fence, sized};

/// How a domain's readers are ordered against its reclaimers.
///
/// ```
/// use sexton::{Barrier, epoch};
///
/// let domain = epoch::Builder::new().barrier(Barrier::Symmetric).build();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Barrier {
    /// Readers pay nothing; who reclaims interrupts all threads of the process for a moment
    /// (Linux: `membarrier`; Windows: `FlushProcessWriteBuffers`). Where that is not to be had, this
    /// is the same as `Symmetric`.
    #[default]
    Asymmetric,
    /// Readers and reclaimers execute a full fence each: for threads that must not be interrupted.
    Symmetric,
}

/// The light half: orders all that is before it before all that is after it, against [`heavy`].
#[inline(always)]
pub(crate) fn light() {
    platform::light();
}

/// The heavy half, by the platform's means. False if it was refused and had no effect: then
/// [`light`] orders nothing, and readers have to use a full fence.
#[must_use]
fn heavy() -> bool {
    platform::heavy()
}

/// Whether [`heavy`] can be had in this process; tried once.
pub(crate) fn heavy_is_to_be_had() -> bool {
    use counter::{AtomicUsize, Relaxed};
    const UNKNOWN: usize = 0;
    const YES: usize = 1;
    const NO: usize = 2;
    static ANSWER: AtomicUsize = AtomicUsize::new(UNKNOWN);

    // What a model does may not depend on what was tried in an earlier iteration.
    if MODEL {
        return true;
    }

    // Relaxed: two threads that both try find the same, or one of them finds a refusal, which a
    // domain that was told otherwise learns at its first heavy barrier.
    match ANSWER.load(Relaxed) {
        UNKNOWN => {
            let answer = heavy();
            ANSWER.store(if answer { YES } else { NO }, Relaxed);
            answer
        }
        answer => answer == YES,
    }
}

/// Linux.
#[cfg(all(target_os = "linux", not(any(miri, loom, crossbeam_loom, shuttle))))]
mod platform {
    use crate::sync::{Ordering, compiler_fence};

    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    #[inline(always)]
    pub(super) fn light() {
        compiler_fence(Ordering::SeqCst);
    }

    pub(super) fn heavy() -> bool {
        // A process that has not registered is refused; registering again does no harm. (A child
        // of `fork` comes here if its kernel does not pass the registration on.)
        membarrier(PRIVATE_EXPEDITED)
            || (membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED))
    }

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: a system call that takes no pointers.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
        result == 0
    }
}

/// Windows.
#[cfg(all(windows, not(any(miri, loom, crossbeam_loom, shuttle))))]
mod platform {
    use crate::sync::{Ordering, compiler_fence};

    #[inline(always)]
    pub(super) fn light() {
        compiler_fence(Ordering::SeqCst);
    }

    pub(super) fn heavy() -> bool {
        // SAFETY: takes nothing, and cannot fail.
        unsafe { windows_sys::Win32::System::Threading::FlushProcessWriteBuffers() };
        true
    }
}

/// In a model, where loom has been taught what they mean (`loom_tests/loom.patch`).
#[cfg(all(loom, loom_barriers))]
mod platform {
    pub(super) use loom::sync::atomic::light_barrier as light;

    pub(super) fn heavy() -> bool {
        loom::sync::atomic::heavy_barrier();
        true
    }
}

/// Elsewhere, and where a tool watches that knows of no such thing: two full fences.
#[cfg(any(
    not(any(target_os = "linux", windows)),
    miri,
    crossbeam_loom,
    shuttle,
    all(loom, not(loom_barriers))
))]
mod platform {
    use crate::sync::{Ordering, fence};

    #[inline(always)]
    pub(super) fn light() {
        fence(Ordering::SeqCst);
    }

    pub(super) fn heavy() -> bool {
        fence(Ordering::SeqCst);
        true
    }
}

/// The process's heavy barriers, numbered. See I1 to I3.
#[derive(Debug)]
pub(crate) struct Barriers {
    started: AtomicU64,
    finished: AtomicU64,
    issuing: AtomicBool,
    /// What a barrier takes, in nanoseconds, averaged.
    cost: Cost,
}

/// What came of the wish for a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issued {
    /// There was one.
    Done,
    /// Another thread is issuing one.
    Busy,
    /// The platform refuses.
    Refused,
}

impl Barriers {
    const_where_possible! {
        pub(crate) fn new() -> Self {
            Self {
                started: AtomicU64::new(0),
                finished: AtomicU64::new(0),
                issuing: AtomicBool::new(false),
                cost: Cost::new(0),
            }
        }
    }

    /// Whether a thread is issuing a barrier at the moment.
    pub(crate) fn is_busy(&self) -> bool {
        self.issuing.load(Ordering::Relaxed)
    }

    /// A ticket for all that the calling thread has done before: see I1.
    pub(crate) fn ticket(&self) -> u64 {
        // PAIRS: every reader's `light`, through the barriers with a greater number.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        self.started.load(Ordering::Relaxed)
    }

    /// All tickets below this number are passed (I2).
    pub(crate) fn finished(&self) -> u64 {
        // Acquire: comes after the barriers that have ended.
        self.finished.load(Ordering::Acquire)
    }

    /// Issues a barrier; if another thread is at it, only when `urgent` (I3).
    pub(crate) fn issue(&self, urgent: bool) -> Issued {
        // Acquire and Release, here and below: no more than a lock's, though it protects nothing.
        let was_issuing = self.issuing.swap(true, Ordering::Acquire);
        if was_issuing && !urgent {
            return Issued::Busy;
        }
        // I1. Relaxed: a heavy barrier follows.
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let issued = self.timed_heavy();
        if issued {
            // I2.
            self.finished.fetch_max(number, Ordering::AcqRel);
        }
        if !was_issuing {
            self.issuing.store(false, Ordering::Release);
        }
        if issued { Issued::Done } else { Issued::Refused }
    }

    /// The thread that was issuing a barrier may not exist here.
    pub(crate) fn after_fork_in_child(&self) {
        self.issuing.store(false, Ordering::Release);
    }

    fn timed_heavy(&self) -> bool {
        if MODEL || cfg!(miri) {
            return heavy();
        }
        let start = Instant::now();
        let issued = heavy();
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // A thread that was put off the processor in the middle has measured something else.
        let took = took.min(MAX_COST);
        let before = self.cost.load(counter::Relaxed);
        // Of one sample and the past, 1 to 7. An update that is lost does no harm.
        self.cost.store(if before == 0 { took } else { (7 * before + took) / 8 }, counter::Relaxed);
        issued
    }

    /// Over how many objects a barrier is to be spread, so that it costs each but a few
    /// nanoseconds.
    pub(crate) fn batch(&self) -> usize {
        let wanted = self.cost.load(counter::Relaxed) / COST_PER_OBJECT;
        usize::try_from(wanted).unwrap_or(MAX_BATCH).clamp(MIN_BATCH, MAX_BATCH)
    }
}

/// The most that a single measurement is believed, in nanoseconds.
const MAX_COST: u64 = 50_000;

/// What barriers may cost each retired object, in nanoseconds.
const COST_PER_OBJECT: u64 = 4;

/// A batch is never smaller than this (if its domain's builder does not say so), in objects.
pub(crate) const MIN_BATCH: usize = sized(1, 4, 256);

/// A batch is never larger than this, in objects.
pub(crate) const MAX_BATCH: usize = sized(1, 4, 4096);

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod litmus;

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_passed_by_a_barrier_that_began_later() {
        let barriers = Barriers::new();
        let before = barriers.ticket();
        assert!(barriers.finished() <= before);
        assert_eq!(barriers.issue(false), Issued::Done);
        assert!(barriers.finished() > before);
        let after = barriers.ticket();
        assert!(barriers.finished() <= after);
    }

    #[test]
    fn one_thread_at_a_time_issues_a_barrier_unless_it_is_in_need() {
        let barriers = Barriers::new();
        barriers.issuing.store(true, Ordering::Relaxed);
        let ticket = barriers.ticket();
        assert_eq!(barriers.issue(false), Issued::Busy);
        assert!(barriers.finished() <= ticket);
        assert_eq!(barriers.issue(true), Issued::Done);
        assert!(barriers.finished() > ticket);
        // The other one is still at it.
        assert_eq!(barriers.issue(false), Issued::Busy);
        barriers.after_fork_in_child();
        assert_eq!(barriers.issue(false), Issued::Done);
    }

    #[test]
    fn a_batch_is_as_large_as_barriers_are_dear() {
        let barriers = Barriers::new();
        let batch_at = |cost| {
            barriers.cost.store(cost, counter::Relaxed);
            barriers.batch()
        };
        assert_eq!(batch_at(0), MIN_BATCH);
        assert_eq!(batch_at(8_000), 2_000);
        assert_eq!(batch_at(u64::MAX), MAX_BATCH);
    }
}
