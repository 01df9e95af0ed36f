//! Epoch-based reclamation: a guard protects all that is loaded under it.
//!
//! # The algorithm
//!
//! The domain has an epoch, a number that only grows.
//!
//! - *Pin*: copy the domain's epoch into the thread's record, where all can see it; light barrier.
//! - *Unpin*: mark the record idle.
//! - *Retire*: put the object into the thread's own bag. Each block of the bag that is full, or weighs
//!   much, is stamped with the domain's epoch, read after a full fence.
//! - *Advance*, after so many retires, and only then: heavy barrier; if every record is idle or has
//!   the domain's epoch, the domain's epoch becomes one greater.
//! - *Free*: a block whose stamp is 3 epochs old (`DISTANCE`). Its owner frees it, a few objects at
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
//! Consider the three advances to s+1, s+2 and s+3, and the heavy barriers H1, H2, H3 of the threads
//! that did them. T has read s after F, so the first of these is later than that read in the order of
//! modifications of the epoch; the second and the third have read s+1 and s+2, and only then begun
//! their barriers, which begin as full fences of these threads: so F is before H2 and H3 in S. Each L
//! is before or after each heavy barrier in S.
//!
//! 1. *If H2 is before L, R does not find the object*: U is before F, F before H2, and R's loads are
//!    after L, so they see U, or what came later. (A link in a node that was itself unlinked before
//!    may still lead to it. But R does not find that node, for the same reason: who retires an object
//!    has seen all links to it gone, so these unlinkings are before F as well.)
//! 2. *If L is before H2*, both threads, looking at the records after their barriers, saw W in R's, or
//!    something later: the second comes after H2, and the third after the second, whose epoch it has
//!    read. W they cannot both have seen: the one lets pass only s+1, the other only s+2. So at least
//!    one of them saw that R had ended, and R's end (Release) and that look (Acquire) order all of R's
//!    uses of the object before its epoch's store (Release), and so, through the epochs' chain of
//!    Acquire and Release, before the freeing, whose thread has read s+3 (Acquire).
//!
//! Nothing is assumed of H1: it may be before L in S, though F is after it, and then the first advance
//! may have missed W. That is why the distance is 3, and not 2. (With a stamp that is read after a
//! *heavy* barrier 2 would do, but that costs a barrier for each block, and not one for each batch.)
//!
//! *The stale pin.* R may have read e long before it writes W. Then it holds up the next advance, and
//! no more: nothing above depends on e being the domain's epoch at any moment. And T's stamp is not
//! T's own epoch, which may be as stale, but one that is read after F.
//!
//! *The counter goes round* where words have 32 bits, after 2^16 epochs. A stamp of a round ago is only
//! taken for a younger one, and a pin of a round ago is as stale as any other: it passes one of two
//! advances. But an advance that reads the epoch, and then sleeps for a round to the very epoch, would
//! move it by what it has seen a round ago. So there one thread advances at a time: while it sleeps in
//! the middle of that, nothing is freed, as if it slept in a guard. (Where words have 64 bits the counter
//! has 48, and does not go round.)
//!
//! *A wrong guess does no harm.* Before the barrier, an advance looks at the records once without: if
//! a record is in the way already, it is spared the barrier.
//!
//! *What could be spared.* In 2. the third advance's first look is enough: that advance has begun after
//! H2, so it sees W, or R's end; and W does not pass, as its epoch is not s+2 (which came after H2, and so
//! after L). Its barrier, a full fence, is between that look and the epoch's store. So no test misses the
//! second look, the Acquire of a look, or the Release of the store, if one is taken away. They stay: with
//! them each advance is right by itself, also where the platform refuses barriers (`record`: I6), and no
//! fence is relied on that the language knows nothing of.
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

use core::cell::Cell;
use core::ptr;

use crate::bag::Bag;
use crate::builder::{Configurable, Settings};
use crate::record::{Due, EPOCH, MAX_BATCH_BYTES, MIN_BATCH_BYTES, More, Record};
use crate::records::{Records, Ripens};
use crate::retired::{Retired, Vtable};
use crate::scheme::{GlobalScheme, GuardScoped, Protection, Scheme, Stats};
use crate::sync::{AtomicBool, AtomicPtr, Ordering, fence};
use crate::thread::{self, ProcessWide};

/// Because of barriers a batch is never larger than this here, in objects: with those of [`DISTANCE`]
/// epochs, and those that are retired and those that are freed meanwhile, so many batches wait as that,
/// and 2. Under Miri, where so many objects take long, it is as large as the smallest, which is what it
/// has there, as barriers cost nothing.
const MAX_BATCH: usize = if cfg!(miri) { crate::barrier::MIN_BATCH } else { 1536 };

/// How many epochs an object waits. See the [module](self): 2 is one too few.
const DISTANCE: usize = 3;

/// So many bytes of ripe objects are too many, as [`MAX_BATCH`] are, in objects.
const MAX_RIPE_BYTES: usize = 4 * MAX_BATCH_BYTES;

/// So much more is freed at a time then.
const MORE_WHEN_BEHIND: More = More::UpTo(64, MAX_RIPE_BYTES as u64);

/// Whether the counter of epochs goes round in the life of a process.
const GOES_ROUND: bool = usize::BITS < 64;

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
/// **Memory**: each thread that retires leaves a few batches of objects pending, of 256 to 1536
/// objects or 64 to 384 KiB each, as barriers are cheap or dear (or of as many objects as there were
/// threads at a time, up to 4096, and 1 MiB), until others collect; and keeps up to 64 KiB of node blocks
/// for its next nodes. [`Builder`] sets both. Who retires takes over what exited threads have left, as long as less than a batch of objects, and less than 4 MiB, is ripe that
/// it has yet to free.
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

/// What a thread's record has for this scheme.
#[derive(Debug, Default)]
pub struct Progress {
    /// Owner's: the domain's epoch when the owner last did something about what is in its bag.
    advanced_to: Cell<usize>,
}

// SAFETY: the cell is touched by the record's owner only.
unsafe impl Sync for Progress {}

/// The state of a domain; public only because [`Scheme::Domain`] is.
#[derive(Debug)]
pub struct State {
    records: Records<Progress>,
    /// Where epochs go round: whether a thread is about to advance.
    is_advancing: AtomicBool,
}

/// What a guard carries: the thread's record; public only because [`Scheme::Section`] is.
#[derive(Debug)]
pub struct Section {
    /// The calling thread's, or leased by it; it lives as long as the domain.
    record: *const Record<Progress>,
}

impl Section {
    #[inline(always)]
    fn record(&self) -> &Record<Progress> {
        // SAFETY: made by `enter`, and used while its domain lives, by the contract of `Scheme`.
        unsafe { &*self.record }
    }
}

impl State {
    crate::sync::const_where_possible! {
        pub(crate) fn new(settings: Settings) -> Self {
            Self { records: Records::new(settings), is_advancing: AtomicBool::new(false) }
        }
    }

    /// Which process-wide domain it is.
    #[inline(always)]
    fn process_wide(&self) -> Option<ProcessWide> {
        ptr::eq(self, Epoch::global()).then_some(ProcessWide::Epoch)
    }

    /// The calling thread's record, if it has one.
    #[inline(always)]
    fn mine(&self) -> Option<&Record<Progress>> {
        match self.process_wide() {
            // SAFETY: what is kept at hand there is a record of this very domain, or null.
            Some(domain) => unsafe { thread::at_hand(domain).cast::<Record<Progress>>().as_ref() },
            None => self.records.mine(),
        }
    }

    /// Whether a block with this stamp can be freed. (Unsigned, and modulo the words' size: an epoch
    /// that has gone round is only taken for a younger one.)
    #[inline]
    fn is_ripe(now: usize, stamp: u64) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "it was a `usize`")]
        let age = now.wrapping_sub(stamp as usize);
        age >= DISTANCE * EPOCH
    }

    /// Moves what is old enough to the ripe ones; says whether it is time to advance, and whether
    /// freeing is behind: so much was ripe before.
    ///
    /// # Safety
    /// The calling thread owns the record.
    unsafe fn ripen_old(&self, record: &Record<Progress>) -> (Due, bool) {
        let ripen = |bag: &mut Bag| {
            // Acquire: 2. of the module's head. After the bag was had, so no stamp in it is newer.
            let now = self.records.opening.load(Ordering::Acquire);
            let is_behind = bag.ripe() >= MAX_BATCH || bag.ripe_bytes() >= MAX_RIPE_BYTES;
            bag.ripen(|stamp| Self::is_ripe(now, stamp));
            // SAFETY: the caller's.
            let due = unsafe { record.due(bag, self.batch()) };
            (due, is_behind)
        };
        // SAFETY: the caller's.
        unsafe { record.with_bag(ripen) }.unwrap_or((Due::Not, false))
    }

    /// How many objects are retired for each attempt to advance.
    fn batch(&self) -> usize {
        self.records.batch().min(MAX_BATCH).max(self.records.batch_for_a_look())
    }

    /// Moves the domain's epoch on.
    fn advance(&self, record: &Record<Progress>, urgent: bool) -> Advance {
        if !GOES_ROUND {
            return self.advance_from_here(record, urgent);
        }
        // Acquire, Release: one after the other.
        if self.is_advancing.swap(true, Ordering::Acquire) {
            return Advance::Busy;
        }
        let outcome = self.advance_from_here(record, urgent);
        self.is_advancing.store(false, Ordering::Release);
        outcome
    }

    /// The same, whoever else does so.
    fn advance_from_here(&self, record: &Record<Progress>, urgent: bool) -> Advance {
        // Acquire: 2. of the module's head: the chain of epochs.
        let now = self.records.opening.load(Ordering::Acquire);
        let passes = |other: &Record<Progress>| {
            let seen = other.seen();
            seen.epoch().is_none_or(|epoch| epoch == State::epoch(now))
                && self.records.is_reliable(other, seen)
        };
        // Without a barrier: only to spare one.
        if !self.records.iter().all(passes) {
            return Advance::Obstructed;
        }
        // 2. of the module's head: it begins, as a full fence, after the epoch was read.
        // PAIRS: the light barrier of a pin.
        if self.records.heavy(record, urgent).is_none() {
            return Advance::Busy;
        }
        if !self.records.iter().all(passes) {
            return Advance::Obstructed;
        }
        record.count_collection();
        // Release: passes on what was seen of the records. Should another thread have moved it
        // meanwhile, or have set a flag, so be it.
        let _ = self.records.opening.compare_exchange(
            now,
            now.wrapping_add(EPOCH),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        Advance::Moved
    }

    /// The epoch in a word.
    fn epoch(word: usize) -> usize {
        word & !(EPOCH - 1)
    }
}

/// What came of the wish to move the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advance {
    /// It has moved, by this thread or another.
    Moved,
    /// A record is in the way.
    Obstructed,
    /// Another thread is issuing a barrier.
    Busy,
}

impl Ripens<Progress> for State {
    /// After a stall a crowd of small objects may stand before the large ones.
    const MORE_FOR_BYTES: usize = 512;

    fn stamp(&self) -> u64 {
        // PAIRS: the light barrier of a pin, through the barriers of advances.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        Self::epoch(self.records.opening.load(Ordering::Relaxed)) as u64
    }

    unsafe fn ripen(&self, record: &Record<Progress>) -> More {
        // SAFETY: the caller's.
        unsafe {
            let (due, is_behind) = self.ripen_old(record);
            // What an exited thread has left, or what has waited for a stalled one, is freed a little faster
            // than this thread retires.
            let more = if is_behind { MORE_WHEN_BEHIND } else { More::Nothing };
            if due == Due::Not {
                return more;
            }
            // And as long as there is such, others' bags are left to others, or to the threads that take
            // their records over.
            if !is_behind {
                self.records.adopt(self, record);
            }
            // What weighs much may stand in a block that is far from full: it does not wait for the rest.
            record.with_bag(|bag| bag.seal_what_weighs(MIN_BATCH_BYTES, || self.stamp()));
            // Others' advances serve as well.
            let epoch = Self::epoch(self.records.opening.load(Ordering::Relaxed));
            if record.extra.advanced_to.replace(epoch) != epoch && due == Due::Now {
                record.with_bag(|bag| record.has_seen_to(bag.fresh()));
                return more;
            }
            let mut moved = 0;
            let last = loop {
                let advance = self.advance(record, due >= Due::Urgently);
                if advance != Advance::Moved {
                    break advance;
                }
                moved += 1;
                record.extra.advanced_to.set(epoch.wrapping_add(moved * EPOCH));
                if self.ripen_old(record).0 != Due::Heavily || moved == DISTANCE {
                    break advance;
                }
            };
            // What weighs much goes on the next time, if it has got on: within a section, that is in the
            // way of the second advance. Else, whatever has come of it, the next attempt is after as
            // many objects more: so a stalled reader does not make every retire look at all records.
            if last == Advance::Moved || (last == Advance::Obstructed && moved == 0) {
                record.with_bag(|bag| record.has_seen_to(bag.fresh()));
            }
            more
        }
    }

    unsafe fn ripen_all(&self, record: &Record<Progress>) {
        // SAFETY: the caller's.
        unsafe {
            self.ripen_old(record);
            for _ in 0..DISTANCE {
                self.advance(record, true);
                self.ripen_old(record);
            }
            record.with_bag(|bag| record.has_seen_to(bag.fresh()));
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
            if !record.close() {
                domain.records.end(domain, record);
            }
        }
    }

    #[inline(always)]
    unsafe fn header(_: &State, _: &Section, _: &'static Vtable) {}

    #[inline(always)]
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

    #[inline(always)]
    unsafe fn retire(domain: &State, section: &Section, retired: Retired) {
        // SAFETY: the section's record is the calling thread's.
        unsafe { domain.records.retire(domain, section.record(), retired) }
    }

    #[inline(always)]
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
        // Relaxed: nobody else is there.
        domain.is_advancing.store(false, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { domain.records.after_fork_in_child(|_| ()) }
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

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::Reclaimer;
    use crate::retired::Owner;

    /// Owns so many bytes, or says so.
    struct Table(usize);

    const LARGE: Table = Table(4 << 20);

    impl Owner for Table {
        fn owned_bytes(&self) -> usize {
            self.0
        }
    }

    fn retire_table(domain: &Domain, table: Table) {
        let guard = domain.pin();
        let Ok(table) = guard.try_owner(table) else { panic!("there is memory") };
        // SAFETY: made in this guard's domain, known to nobody else.
        unsafe { guard.retire_owner(table.into_ptr()) };
    }

    fn retire_small(domain: &Domain, count: usize) {
        let guard = domain.pin();
        for number in 0..count {
            // SAFETY: as above.
            unsafe { guard.retire(guard.owned(number).into_ptr()) };
        }
    }

    /// Threads that work at the same time, and have exited then (not only ended what they do, as in a scope).
    fn exit(threads: usize, work: impl Fn() + Clone + Send + 'static) {
        let threads: Vec<_> = (0..threads).map(|_| std::thread::spawn(work.clone())).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn what_weighs_much_waits_for_nothing_else_to_be_retired() {
        let domain = Domain::new();
        let guard = domain.pin();
        retire_table(&domain, LARGE);
        assert!(domain.stats().pending_bytes > 4 << 20);
        drop(guard);
        assert_eq!((domain.stats().pending, domain.stats().pending_bytes), (0, 0));
    }

    #[test]
    fn what_weighs_less_waits_for_a_few_more() {
        let domain = Domain::new();
        for bytes in [100 << 10, 500 << 10, 1 << 20, 1900 << 10] {
            // Under Miri so many that they would be too much, if none were freed.
            for _ in 0..if cfg!(miri) { (11 << 20) / bytes } else { 200 } {
                retire_table(&domain, Table(bytes));
                let stats = domain.stats();
                assert!(stats.pending_bytes < 10 << 20, "{} of {bytes}", stats.pending);
            }
        }
    }

    /// They are few, and many bytes: it is by these that freeing is behind.
    #[test]
    fn what_weighs_much_and_was_left_is_freed_faster() {
        const THREADS: usize = if cfg!(miri) { 6 } else { 24 };
        // However dear barriers are at the moment.
        let domain = Builder::new().max_batch(64).build();
        let all_are_there = Arc::new(std::sync::Barrier::new(THREADS));
        let theirs = domain.clone();
        exit(THREADS, move || {
            let guard = theirs.pin();
            (0..18).for_each(|_| retire_table(&theirs, Table(100 << 10)));
            all_are_there.wait();
            drop(guard);
            // None is there yet that has exited, of which another one would adopt.
            all_are_there.wait();
        });
        assert!(domain.stats().pending as usize > 10 * THREADS);
        let mut most = 0;
        for _ in 0..4 * THREADS {
            retire_table(&domain, Table(64 << 10));
            let record = domain.domain().mine().unwrap();
            // SAFETY: this thread's.
            most = most.max(unsafe { record.with_bag(|bag| bag.ripe_bytes()) }.unwrap());
        }
        assert!(most < 3 * MAX_RIPE_BYTES, "{most} were ripe");
    }

    #[test]
    fn what_weighs_very_much_is_not_freed_all_at_once() {
        const EACH: usize = 16 << 20;
        let domain = Builder::new().max_batch(64).build();
        let stall = domain.pin();
        let theirs = domain.clone();
        exit(1, move || (0..80).for_each(|_| retire_table(&theirs, Table(EACH))));
        drop(stall);
        let pending_bytes = || domain.stats().pending_bytes as usize;
        while pending_bytes() > EACH {
            let before = pending_bytes();
            retire_table(&domain, Table(64 << 10));
            let freed = before.saturating_sub(pending_bytes());
            assert!(freed < 20 * EACH, "{freed} bytes were freed");
        }
    }

    /// How many records have something in them that an exited thread has left.
    fn are_left(domain: &Domain) -> usize {
        domain.domain().records.iter().filter(|record| record.is_left_with_objects()).count()
    }

    /// What threads keep for their next nodes goes when they are gone.
    #[test]
    fn who_collects_frees_what_exited_threads_have_kept() {
        let domain = Domain::new();
        let kept = || {
            let records = domain.domain().records.iter().filter(|record| !record.is_owned());
            // SAFETY: nobody else uses the domain.
            records.map(|record| unsafe { &*record.recycler.get() }.kept_bytes()).sum::<usize>()
        };
        let theirs = domain.clone();
        // Under Miri nothing is kept.
        let rounds = if cfg!(miri) { 2 } else { 300 };
        exit(3, move || {
            for _ in 0..rounds {
                retire_small(&theirs, 1);
                theirs.collect();
            }
        });
        assert!(kept() > 0 || crate::recycler::DEFAULT_LIMIT == 0);
        domain.collect();
        assert_eq!(kept(), 0);
    }

    /// So many records are not looked at for a few objects.
    #[test]
    #[cfg_attr(miri, ignore = "thousands of records take it minutes")]
    fn who_has_many_records_to_look_at_looks_at_them_seldom() {
        let domain = Domain::new();
        let records = &domain.domain().records;
        let usual = domain.domain().batch();
        (0..2 * MAX_BATCH).for_each(|index| records.make(index));
        assert_eq!(domain.domain().batch(), 2 * MAX_BATCH);
        assert!(usual <= MAX_BATCH);
    }

    /// Though that is much, each time, as long as it is freed at once.
    #[test]
    fn who_frees_what_ripens_adopts() {
        let domain = Domain::new();
        let retire_and_free = || {
            let guard = domain.pin();
            retire_table(&domain, LARGE);
            guard.reclaim(8);
            drop(guard);
            // Others, who retire as much.
            let state = domain.domain();
            (0..DISTANCE).for_each(|_| _ = state.advance(state.mine().unwrap(), true));
        };
        (0..6).for_each(|_| retire_and_free());
        let theirs = domain.clone();
        exit(1, move || retire_small(&theirs, 5));
        assert_eq!(are_left(&domain), 1);
        (0..6).for_each(|_| retire_and_free());
        assert_eq!(are_left(&domain), 0);
    }

    #[test]
    fn who_is_behind_adopts_nothing() {
        let domain = Domain::new();
        let are_left = || are_left(&domain);
        // (Two of Miri's batches are freed before it is looked at.)
        retire_small(&domain, if cfg!(miri) { 4 } else { 2 } * MAX_BATCH);
        // All of them are ripe now, and a few were freed.
        retire_table(&domain, LARGE);
        assert!(domain.stats().pending as usize > MAX_BATCH);
        let theirs = domain.clone();
        exit(1, move || retire_small(&theirs, 5));
        assert_eq!(are_left(), 1);
        retire_table(&domain, LARGE);
        assert_eq!(are_left(), 1);
        // It is not so for ever.
        for _ in 0..10 {
            retire_table(&domain, LARGE);
        }
        assert_eq!(are_left(), 0);
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
    }
}
