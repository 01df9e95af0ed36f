//! Epoch-based reclamation: a guard protects all that is loaded under it.
//!
//! # The algorithm
//!
//! The domain has an epoch, a number that only grows.
//!
//! - *Pin*: copy the domain's epoch into the thread's record, where all can see it; light barrier.
//! - *Unpin*: mark the record idle.
//! - *Retire*: put the object into the thread's own bag. Each full block of the bag is stamped with
//!   the domain's epoch, read after a full fence.
//! - *Advance*, after so many retires, and only then: heavy barrier; if every record is idle or has
//!   the domain's epoch, the domain's epoch becomes one greater.
//! - *Free*: a block whose stamp is [`DISTANCE`] = 3 epochs old. Its owner frees it, a few objects at
//!   a time. (Others free what is left by threads that have exited, and, in `collect`, what is in the
//!   bags of idle ones.)
//!
//! Who only reads writes nothing but its own record, and moves no epoch.
//!
//! # Why it is right
//!
//! Let R be a section that loads a pointer to an object and uses it; let T be the thread that unlinks
//! the object (U), puts it into its bag, executes a full fence F, and then reads the domain's epoch,
//! s, for the block's stamp. R has written its word W, with some epoch e, and then executed its light
//! barrier L, before any of its loads. S is the order of all barriers (see `barrier`).
//!
//! 1. *If F is before L in S, R does not find the object*: U is before F, and R's loads are after L,
//!    so they see U, or what came later. (A link in a node that was itself unlinked before may still
//!    lead to it. But R does not find that node, for the same reason: who retires an object has seen
//!    all links to it gone, so these unlinkings are before F as well.)
//! 2. *If L is before F*, consider the advances to s+1, s+2 and s+3. T has read s after F, so the
//!    first of these is later than that read in the order of modifications of the epoch; the second
//!    and third have read the first's (or second's) result before their heavy barrier, so these two
//!    barriers are after F in S, and after L. So both threads that did them, looking at the records,
//!    saw W in R's, or something later. W they cannot both have seen: the one lets pass only s+1,
//!    the other only s+2. So at least one of them saw that R had ended, and R's end (Release) and
//!    that look (Acquire) order all of R's uses of the object before its epoch's store (Release),
//!    and so, through the epochs' chain of Acquire and Release, before the freeing, whose thread has
//!    read s+3 (Acquire).
//!
//! Nothing is assumed of the first of the three advances: its barrier may be before L in S, and then
//! it may have missed W. That is why the distance is 3, and not 2. (In C++20 a thread that has
//! announced s+1, which is the *newer* epoch, need not have seen the unlinking that T had done before
//! it read s; with a stamp that is read after a *heavy* barrier, 2 would do, but that costs a barrier
//! for each block, and not one for each batch.)
//!
//! *The stale pin.* R may have read e long before it writes W. Then it holds up the next advance, and
//! no more: nothing above depends on e being the domain's epoch at any moment. And T's stamp is not
//! T's own epoch, which may be as stale, but one that is read after F.
//!
//! *Shared barriers.* An advance may use a barrier that another thread has issued, if it began after
//! this thread had read the epoch (its ticket): so 2. holds for it.
//!
//! *A wrong guess does no harm.* Before the barrier, an advance looks at the records once without: if
//! a record is in the way already, it is spared the barrier.
//!
//! # Progress, and its price
//!
//! Pin and unpin are wait-free, and so is retiring, but for the allocation of a block now and then.
//! A thread that stays pinned holds up all that is retired from then on: **pending memory is not
//! bounded**. The crate's other scheme is for those who need that ([`Hazard`](crate::Hazard)).
//!
//! # Papers
//!
//! - K. Fraser, "Practical lock-freedom", 2004: epochs.
//! - T. Brown, "Reclaiming memory for lock-free data structures: there has to be a better way", 2015
//!   (DEBRA): bags of blocks, freed by their owner.
//! - D. Kim, T. Brown, A. Singh, "Are your epochs too epic? Batch free can be harmful", PPoPP 2024: a
//!   few at a time.
//! - M. Desnoyers et al., "User-level implementations of read-copy update", 2012: `membarrier`.

use core::ptr;

use crate::bag::Bag;
use crate::builder::{Configurable, Settings};
use crate::record::{Due, EPOCH, Record};
use crate::records::{Records, Ripens};
use crate::retired::{Retired, Vtable};
use crate::scheme::{GlobalScheme, GuardScoped, Protection, Scheme, Stats};
use crate::sync::{AtomicPtr, Ordering};
use crate::thread::{self, ProcessWide};

/// How many epochs an object waits. See the [module](self): 2 is one too few.
const DISTANCE: usize = 3;

/// This crate's epochs: the process-wide domain, or, as [`Domain<Epoch>`](crate::Domain), one of its
/// own. The default of all structures.
///
/// A guard costs next to nothing, and protects all that is loaded under it. While a thread sleeps
/// in a guard, nothing that is retired meanwhile can be freed.
///
/// **Progress**: opening and ending a guard, protecting and retiring are wait-free, but for
/// allocations: of a record at a thread's first guard in a domain (which aborts when there is no
/// memory), of 1 KiB now and then when retiring. Nothing waits for another thread, ever.
///
/// **Memory**: each thread that retires leaves a few batches of objects pending, of 256 to 4096
/// objects or 1 MiB each, until others collect; and keeps up to 64 KiB of node blocks for its next
/// nodes. [`Builder`] sets both.
///
/// ```
/// use sexton::{Epoch, Stack};
///
/// let stack = Stack::<_, Epoch>::new();
/// stack.push(1);
/// assert_eq!(stack.pop(), Some(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch;

/// The state of a domain; public only because [`Scheme::Domain`] is.
#[derive(Debug)]
pub struct State {
    records: Records<()>,
}

/// What a guard carries: the thread's record; public only because [`Scheme::Section`] is.
#[derive(Debug)]
pub struct Section {
    /// The calling thread's, or leased by it; it lives as long as the domain.
    record: *const Record<()>,
}

impl Section {
    #[inline(always)]
    fn record(&self) -> &Record<()> {
        // SAFETY: made by `enter`, and used while its domain lives, by the contract of `Scheme`.
        unsafe { &*self.record }
    }
}

impl State {
    crate::sync::const_where_possible! {
        pub(crate) fn new(settings: Settings) -> Self {
            Self { records: Records::new(settings) }
        }
    }

    /// Which process-wide domain it is.
    #[inline(always)]
    fn process_wide(&self) -> Option<ProcessWide> {
        ptr::eq(self, Epoch::global()).then_some(ProcessWide::Epoch)
    }

    /// The calling thread's record, if it has one.
    #[inline(always)]
    fn mine(&self) -> Option<&Record<()>> {
        match self.process_wide() {
            // SAFETY: what is kept at hand there is a record of this very domain, or null.
            Some(domain) => unsafe { thread::at_hand(domain).cast::<Record<()>>().as_ref() },
            None => self.records.mine(),
        }
    }

    /// Whether a block with this stamp can be freed.
    #[inline]
    fn is_ripe(now: usize, stamp: u64) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "it was a `usize`")]
        let age = now.wrapping_sub(stamp as usize);
        // As a signed number: `now` may have been read before the stamp was.
        #[expect(clippy::cast_possible_wrap, reason = "meant")]
        let age = age as isize;
        age >= (DISTANCE * EPOCH) as isize
    }

    /// Moves what is old enough to the ripe ones; says whether it is time to advance.
    ///
    /// # Safety
    /// The calling thread owns the record.
    unsafe fn ripen_old(&self, record: &Record<()>) -> Due {
        // Acquire: 2. of the module's head.
        let now = self.records.opening.load(Ordering::Acquire);
        let ripen = |bag: &mut Bag| {
            bag.ripen(|stamp| Self::is_ripe(now, stamp));
            // SAFETY: the caller's.
            unsafe { record.due(bag, self.records.batch()) }
        };
        // SAFETY: the caller's.
        unsafe { record.with_bag(ripen) }.unwrap_or(Due::Not)
    }

    /// Moves the domain's epoch on, unless a record is in the way; says whether it has moved. `None` if
    /// another thread is issuing a barrier.
    fn advance(&self, record: &Record<()>, urgent: bool) -> Option<bool> {
        // Acquire: 2. of the module's head: the chain of epochs.
        let now = self.records.opening.load(Ordering::Acquire);
        let passes = |other: &Record<()>| {
            let seen = other.seen();
            seen.epoch().is_none_or(|epoch| epoch == State::epoch(now))
                && self.records.is_reliable(other, seen)
        };
        // Without a barrier: only to spare one.
        if !self.records.iter().all(passes) {
            return Some(false);
        }
        // The barrier begins after the epoch was read.
        let ticket = self.records.barriers().ticket();
        // PAIRS: the light barrier of a pin.
        let finished = self.records.heavy(record, urgent)?;
        if finished <= ticket || !self.records.iter().all(passes) {
            return Some(false);
        }
        record.count_collection();
        // Release: passes on what was seen of the records. Should another thread have moved it
        // meanwhile, or have set a flag, so be it.
        let next = now.wrapping_add(EPOCH);
        let moved =
            self.records.opening.compare_exchange(now, next, Ordering::AcqRel, Ordering::Relaxed);
        Some(moved.is_ok())
    }

    /// The epoch in a word.
    fn epoch(word: usize) -> usize {
        word & !(EPOCH - 1)
    }
}

impl Ripens<()> for State {
    fn stamp(&self) -> u64 {
        // PAIRS: the light barrier of a pin, through the barriers of advances.
        crate::sync::fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        Self::epoch(self.records.opening.load(Ordering::Relaxed)) as u64
    }

    unsafe fn ripen(&self, record: &Record<()>) -> usize {
        // SAFETY: the caller's.
        unsafe {
            let due = self.ripen_old(record);
            if due == Due::Not {
                return 0;
            }
            self.records.adopt(self, record);
            let advanced = self.advance(record, due == Due::Urgently);
            // Whatever came of it, the next attempt is after as many objects more: so a stalled
            // reader does not make every retire look at all records. But another thread's barrier
            // is not waited for any longer than that (I3 of `barrier`).
            if advanced.is_some() {
                record.with_bag(|bag| record.mark(bag));
            }
            if advanced == Some(true) {
                self.ripen_old(record);
            }
            // What was adopted is not old enough yet.
            0
        }
    }

    unsafe fn ripen_all(&self, record: &Record<()>) {
        // SAFETY: the caller's.
        unsafe {
            self.ripen_old(record);
            for _ in 0..DISTANCE {
                self.advance(record, true);
                self.ripen_old(record);
            }
            record.with_bag(|bag| record.mark(bag));
        }
    }
}

// SAFETY: S1 and S2: the module's head. S3: `protect`. S4: `retire` only pushes (what it frees when
// memory is short has no user code). S5: `Retired::reclaim` lets no panic pass. A forgotten guard
// stays pinned (`record`: I5).
unsafe impl Scheme for Epoch {
    const PROTECTION: Protection = Protection::Region;
    const BOUNDED: bool = false;

    type Header = ();
    type Domain = State;
    type Section = Section;
    type Slot = ();

    fn new_domain() -> State {
        State::new(Settings::DEFAULT)
    }

    #[inline(always)]
    fn enter(domain: &State) -> Section {
        let record = match domain.mine() {
            Some(record) => record,
            None => domain.records.obtain(domain.process_wide()),
        };
        // SAFETY: the calling thread's record in this domain.
        unsafe { record.open(&domain.records.opening) };
        Section { record }
    }

    #[inline(always)]
    unsafe fn leave(domain: &State, section: Section) {
        let record = section.record();
        // SAFETY: the caller's.
        unsafe {
            if record.close() {
                return;
            }
            if let Some(ended) = record.close_again() {
                domain.records.end(domain, record, ended);
            }
        }
    }

    #[inline(always)]
    unsafe fn header(_: &State, _: &Section, _: &'static Vtable) {}

    #[inline]
    unsafe fn allocate(
        _: &State,
        section: &Section,
        vtable: &'static Vtable,
    ) -> Option<ptr::NonNull<u8>> {
        // SAFETY: the section's record is the calling thread's.
        unsafe { section.record().allocate(vtable) }
    }

    #[inline(always)]
    unsafe fn slot(_: &State, _: &Section) {}

    #[inline(always)]
    unsafe fn free_slot(_: &State, _: &Section, (): ()) {}

    #[inline(always)]
    unsafe fn protect<T>(
        _: &State,
        _: &Section,
        (): &mut (),
        source: &AtomicPtr<T>,
        _: usize,
    ) -> *mut T {
        // Acquire: pairs with the Release that published the node (S3).
        source.load(Ordering::Acquire)
    }

    #[inline(always)]
    unsafe fn announce(_: &State, _: &Section, (): &mut (), _: *mut u8) {}

    #[inline(always)]
    unsafe fn clear(_: &State, _: &Section, (): &mut ()) {}

    #[inline]
    unsafe fn retire(domain: &State, section: &Section, retired: Retired) {
        // SAFETY: the section's record is the calling thread's.
        unsafe { domain.records.retire(domain, section.record(), retired) }
    }

    #[inline]
    unsafe fn reclaim(domain: &State, section: &Section, budget: usize) -> usize {
        // SAFETY: as above.
        unsafe { domain.records.reclaim(domain, section.record(), budget) }
    }

    fn collect(domain: &State) -> usize {
        domain.records.collect(domain)
    }

    fn drain(domain: &mut State) {
        domain.records.drain();
    }

    fn stats(domain: &State) -> Stats {
        domain.records.stats()
    }

    unsafe fn after_fork_in_child(domain: &State) {
        // SAFETY: the caller's.
        unsafe { domain.records.after_fork_in_child(|()| ()) }
    }
}

// SAFETY: one static.
unsafe impl GlobalScheme for Epoch {
    #[inline(always)]
    fn global() -> &'static State {
        #[cfg(not(any(loom, crossbeam_loom)))]
        static GLOBAL: State = State::new(Settings::DEFAULT);
        // In a model there are no statics, and nobody comes here.
        #[cfg(any(loom, crossbeam_loom))]
        static GLOBAL: std::sync::LazyLock<State> =
            std::sync::LazyLock::new(|| State::new(Settings::DEFAULT));
        &GLOBAL
    }
}

// SAFETY: a region, and slots are nothing.
unsafe impl GuardScoped for Epoch {}

/// An owned domain of epochs.
///
/// ```
/// let domain = sexton::epoch::Domain::new();
/// let stack = sexton::Stack::with_reclaimer(domain.clone());
/// stack.push(1);
/// ```
pub type Domain = crate::Domain<Epoch>;

/// Makes an owned [`Domain`] with settings of one's own.
///
/// ```
/// let domain = sexton::epoch::Builder::new().max_batch(64).build();
/// ```
pub type Builder = crate::builder::Builder<Epoch>;

impl Configurable for Epoch {
    fn with_settings(settings: Settings) -> State {
        State::new(settings)
    }
}
