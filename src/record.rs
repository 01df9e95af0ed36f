//! What a thread has in a domain of one of our own schemes: its record.
//!
//! A domain finds the record of the calling thread by the thread's number, in a table that never
//! moves; for a process-wide domain the thread has it at hand. A record is taken by a thread at its
//! first section, is its own until it exits, and is then taken by others, with all that is in it.
//!
//! # The word
//!
//! A record's word says what others must know of its thread, and is written by that thread alone:
//!
//! ```text
//! | epoch ................ | FULL | TIDY | LEASED | open sections (13 bits) |
//! ```
//!
//! - *epoch*: the domain's, as it was when the outermost section was opened (nothing to schemes that
//!   have none).
//! - `FULL`: this thread's barriers are full fences, see below.
//! - `TIDY`: the thread has retired a few objects, so the section's end has something to do. Of no use to others:
//!   it is here so that the end of a section finds all that is out of the ordinary by one compare.
//! - `LEASED`: the record is given up when the section ends.
//!
//! A domain has such a word, too, [`opening`](crate::records::Records::opening), with one open section
//! in it: a section is opened by copying it. An idle record's word is 0, or has `FULL`, or, for the
//! moment that a lease takes to open its section, `LEASED`.
//!
//! # Invariants
//!
//! - **I1.** A record has one owner at a time. Ownership is taken by a CAS (Acquire) on `owner`, and
//!   given up by a store of 0 (Release), when no section is open. What is marked *owner's* below is
//!   touched by the owner only.
//! - **I2.** *Leases.* A thread that has no record of its own, because it is exiting or because
//!   somebody is looking into the one with its number, takes any that nobody owns, for one section.
//! - **I3.** A thread that exits with sections open (a guard was forgotten, or lives in another
//!   thread-local) keeps the record, and the last of these sections gives it up. The thread's number goes
//!   back with it, at the latest with the domain: who got that while the place is taken would have to
//!   lease a record for each section.
//! - **I4.** All stores to the word are Release: who reads (Acquire) that a section has ended, or
//!   that a later one has begun, comes after all that was done in it.
//! - **I5.** After 2¹³ - 1 sections within one another the count stays where it is, and the record's
//!   section never ends. That takes as many forgotten guards, and keeps memory.
//!
//! # Full fences
//!
//! If the platform refuses heavy barriers, light ones order nothing, and readers must use full
//! fences. Whether they do is decided before a domain has its first record, where that is possible:
//! `opening` has the flag `FULL` then, and so has every record from its birth.
//!
//! But a sandbox may begin to refuse in mid-life (seccomp, after the start). Then the flag is set in
//! `opening`, and:
//!
//! - **I6.** A reclaimer regards a record whose word has no `FULL` in it as one that may protect
//!   anything. A section that is opened by copying `opening` may not have a fence yet; but who sees
//!   its word, sees the section; and from its end on the idle word is `FULL`, not 0, so that all later
//!   sections are opened with a fence. So one round of sections later all is as if it had been so from
//!   the start; a thread that stays idle all the time keeps memory until it opens a section, collects,
//!   or exits.

use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::slice;
use std::sync::Arc;

use crate::bag::{Bag, Load};
use crate::barrier;
use crate::biased::Biased;
use crate::builder::Settings;
use crate::counts::{Counts, Reclaimed, add_alone};
use crate::recycler::{self, Recycler};
use crate::retired::{Retired, Vtable};
use crate::sync::counter::{self, AtomicU64 as Counter, AtomicUsize as Hint};
use crate::sync::{AtomicUsize, MODEL, Ordering, fence};
use crate::thread::{Freeing, Kept, Number};

/// The open sections of a record.
pub(crate) const OPEN: usize = (1 << 13) - 1;

/// So many that the next one looks whether that is all that can be counted (I5).
const MANY: usize = 1 << 12;

pub(crate) const LEASED: usize = 1 << 13;
const TIDY: usize = 1 << 14;
pub(crate) const FULL: usize = 1 << 15;

/// One epoch further.
pub(crate) const EPOCH: usize = 1 << 16;

/// All that is below the epoch.
const LOW: usize = EPOCH - 1;

/// Nobody's, in `Record::owner`.
const NOBODY: usize = 0;

/// In `Record::owner` when the domain is gone.
pub(crate) const DOMAIN_GONE: usize = usize::MAX;

/// Whether it is time to do something about what is fresh in a bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// There is not enough of it.
    Not,
    /// There is enough for a heavy barrier, but it can wait for another thread's.
    Now,
    /// It has waited long enough.
    Urgently,
    /// And it is so much that it must not wait until as much again is retired.
    Heavily,
}

/// Bytes retired for each heavy barrier, where one is dear: so many, at most, and an object more.
pub(crate) const MAX_BATCH_BYTES: usize = 1 << 20;

/// And where one is cheap: what waits stays in the processor's cache, until it is used again.
pub(crate) const MIN_BATCH_BYTES: usize = 64 << 10;

/// In between, so many for each object of a batch.
const BYTES_PER_OBJECT: usize = 256;

/// A thread's record, with `X` for what the scheme needs beside.
#[repr(align(128))]
pub(crate) struct Record<X> {
    /// See the [module](self).
    pub(crate) word: AtomicUsize,
    /// I1: an identity, `NOBODY`, or `DOMAIN_GONE`.
    pub(crate) owner: AtomicUsize,
    pub(crate) bag: Biased<Bag>,
    /// Owner's: how many objects and bytes had been retired at the last attempt to free some.
    tidied_at: Cell<(u64, u64)>,
    /// Owner's: of what is fresh in the bag, that about which its owner has done something.
    seen_to: Cell<Load>,
    /// Owner's: whether there was no memory for the bag's reserve.
    pub(crate) reserve_is_missing: Cell<bool>,
    /// Owner's: whether it is freeing what is ripe.
    pub(crate) freeing: Freeing,
    /// Owner's: a number that goes back with the record (I3).
    number: Cell<Option<Arc<Number>>>,
    /// Owner's: the record at which the next look for what exited threads have left begins.
    pub(crate) adopts_from: Cell<usize>,
    /// How many objects are in the bag of a record that nobody owns; a hint.
    left: Hint,
    /// Whether who has given the record up may have kept memory here for later; a hint.
    kept: Hint,
    /// Whether nodes' blocks are used again.
    recycles: bool,
    /// Whether the owner collects, and so needs no help with its bag; a hint.
    collecting: Hint,
    /// Owner's.
    pub(crate) recycler: UnsafeCell<Recycler>,
    /// Written by the owner alone.
    pub(crate) counts: Counts,
    /// Written by the owner alone: rounds of reclamation, heavy barriers, objects leaked for want of
    /// memory.
    pub(crate) collections: Counter,
    pub(crate) heavy_barriers: Counter,
    pub(crate) leaked: Counter,
    #[cfg(any(loom, crossbeam_loom))]
    nobody_collects: bool,
    /// See [`Kept::share_ends`].
    #[cfg(any(loom, crossbeam_loom))]
    pub(crate) shares_ended: AtomicUsize,
    /// The scheme's.
    pub(crate) extra: X,
}

// SAFETY: the cells and the recycler are the owner's (I1); all else is `Sync`.
unsafe impl<X: Sync> Sync for Record<X> {}
// SAFETY: what a record owns may be freed by any thread.
unsafe impl<X: Send> Send for Record<X> {}

impl<X: Default> Record<X> {
    pub(crate) fn new(settings: &Settings, word: usize) -> Self {
        let mut bag = Bag::new();
        let reserve_is_there = bag.keep_reserve();
        Self {
            word: AtomicUsize::new(word),
            owner: AtomicUsize::new(NOBODY),
            bag: Biased::new(bag),
            tidied_at: Cell::new((0, 0)),
            seen_to: Cell::new(Load::default()),
            reserve_is_missing: Cell::new(!reserve_is_there),
            freeing: Freeing::default(),
            number: Cell::new(None),
            adopts_from: Cell::new(0),
            left: Hint::new(0),
            kept: Hint::new(0),
            recycles: settings.recycle > 0,
            collecting: Hint::new(0),
            recycler: UnsafeCell::new(Recycler::new(settings.recycle)),
            counts: Counts::default(),
            collections: Counter::new(0),
            heavy_barriers: Counter::new(0),
            leaked: Counter::new(0),
            #[cfg(any(loom, crossbeam_loom))]
            nobody_collects: settings.nobody_collects,
            #[cfg(any(loom, crossbeam_loom))]
            shares_ended: AtomicUsize::new(0),
            extra: X::default(),
        }
    }
}

/// How many objects are retired before others are looked for that can be freed, and how many of
/// those are taken out of a bag at once: few enough that it matters little if one of them never
/// returns from its drop.
pub(crate) const PORTION: usize = if MODEL { 1 } else { 8 };

/// Room for these.
type Room = [MaybeUninit<Retired>; PORTION];

/// An object of this size, in bytes, is worth an attempt by itself.
const LARGE: usize = 4 << 10;

/// How much is to be freed at a time: so many objects, and so many bytes, but for these not more than
/// so many objects; and so many objects more, until all of them are so many bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion {
    objects: usize,
    bytes: u64,
    at_most: usize,
    more: (usize, u64),
}

/// What is to be freed in addition.
#[derive(Clone, Copy, Debug)]
pub(crate) enum More {
    Nothing,
    /// So many objects, until all that is freed makes so many bytes.
    UpTo(usize, u64),
    /// As much as that.
    All(Load),
}

impl Portion {
    pub(crate) const ALL: Self = Self::of_objects(usize::MAX);

    pub(crate) const fn of_objects(objects: usize) -> Self {
        Self { objects, bytes: 0, at_most: objects, more: (0, 0) }
    }

    /// With some more.
    pub(crate) fn and(self, more: More) -> Self {
        match more {
            More::Nothing => self,
            More::UpTo(objects, bytes) => Self { more: (objects, bytes), ..self },
            More::All(load) => Self {
                objects: self.objects.saturating_add(load.objects),
                bytes: self.bytes.saturating_add(load.bytes as u64),
                at_most: self.at_most.saturating_add(load.objects),
                ..self
            },
        }
    }

    /// How many objects it is at most, but for bytes.
    fn all_objects(self) -> usize {
        self.objects.saturating_add(self.more.0)
    }

    fn is_freed(self, objects: usize, bytes: u64) -> bool {
        objects >= self.objects
            && (bytes >= self.bytes || objects >= self.at_most)
            && (bytes >= self.more.1 || objects >= self.all_objects())
    }
}

/// What a section was opened as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    /// No other one of the thread was open.
    pub(crate) is_outermost: bool,
    /// The record's, as far as flags are concerned.
    word: usize,
}

impl Opened {
    /// Whether the thread's barriers must be full fences in it.
    #[inline(always)]
    pub(crate) fn needs_full_fences(self) -> bool {
        self.word & FULL != 0
    }
}

/// What is to be done when a section has ended.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Ended {
    /// A few objects were retired.
    pub(crate) tidy: bool,
    /// The record is to be given up.
    pub(crate) leased: bool,
}

/// Tells the compiler that the branch it stands in is not the one to lay out first.
#[cold]
#[inline]
fn seldom() {}

impl<X> Record<X> {
    /// Opens a section.
    ///
    /// # Safety
    /// The calling thread is the owner; `opening` is that of the record's domain.
    #[inline(always)]
    pub(crate) unsafe fn open(&self, opening: &AtomicUsize) -> Opened {
        // Relaxed: the thread's own.
        let word = self.word.load(Ordering::Relaxed);
        if word == 0 {
            // Relaxed: a stale epoch does no harm, it only holds up others (see `epoch`). Release: I4.
            let word = opening.load(Ordering::Relaxed);
            self.word.store(word, Ordering::Release);
            // PAIRS: the heavy barrier of who reclaims.
            barrier::light();
            Opened { is_outermost: true, word }
        } else if word & (FULL | LEASED | MANY) == 0 {
            seldom();
            // A section is open: else there would be one of these flags. Release: I4.
            self.word.store(word + 1, Ordering::Release);
            Opened { is_outermost: false, word }
        } else {
            self.open_with_care(word, opening)
        }
    }

    /// Opens a section where full fences are needed, in a lease, or within a great many others.
    #[cold]
    fn open_with_care(&self, word: usize, opening: &AtomicUsize) -> Opened {
        let open = word & OPEN;
        if open != 0 {
            // I5.
            if open < OPEN {
                // Release: I4.
                self.word.store(word + 1, Ordering::Release);
            }
            return Opened { is_outermost: false, word };
        }
        // As in `open`.
        let word = opening.load(Ordering::Relaxed) | word;
        self.word.store(word, Ordering::Release);
        // PAIRS: the `fence(SeqCst)` of who reclaims.
        fence(Ordering::SeqCst);
        Opened { is_outermost: true, word }
    }

    /// Ends a section; true if that was all. If not, nothing was done yet, and
    /// [`close_with_care`](Self::close_with_care) is next.
    ///
    /// # Safety
    /// The calling thread is the owner, and has opened a section for this.
    #[inline(always)]
    pub(crate) unsafe fn close(&self) -> bool {
        // Relaxed: the thread's own.
        let word = self.word.load(Ordering::Relaxed);
        let low = word & LOW;
        if low == 1 {
            // Release: I4.
            self.word.store(0, Ordering::Release);
            true
        } else if low.wrapping_sub(2) < MANY {
            seldom();
            // Others are open, and there is no flag: with one it would be more.
            // Release: I4.
            self.word.store(word - 1, Ordering::Release);
            true
        } else {
            false
        }
    }

    /// Ends a section in a word with flags, or with a great many sections.
    ///
    /// # Safety
    /// As [`close`](Self::close), which returned false.
    #[cold]
    pub(crate) unsafe fn close_with_care(&self) -> Ended {
        let word = self.word.load(Ordering::Relaxed);
        let open = word & OPEN;
        if open == 1 {
            // Release: I4. I6: the flag stays.
            self.word.store(word & FULL, Ordering::Release);
            return Ended { tidy: word & TIDY != 0, leased: word & LEASED != 0 };
        }
        // I5.
        if open < OPEN {
            // Release: I4.
            self.word.store(word - 1, Ordering::Release);
        }
        Ended { tidy: false, leased: false }
    }

    /// Whether this thread's barriers must be full fences.
    #[inline]
    fn needs_full_fences(&self) -> bool {
        self.word.load(Ordering::Relaxed) & FULL != 0
    }

    /// The owner has learnt that the platform refuses heavy barriers. If it has a section open, that
    /// one's end will do (I6); if not, there may be none for long.
    #[inline]
    pub(crate) fn adapt(&self) {
        if self.word_is_idle() {
            self.flag(FULL);
        }
    }

    /// Whether the owner has the record only for a while.
    pub(crate) fn is_leased(&self) -> bool {
        self.word.load(Ordering::Relaxed) & LEASED != 0
    }

    /// Sets a flag in the word of a section of the owner's.
    #[inline]
    pub(crate) fn flag(&self, flag: usize) {
        let word = self.word.load(Ordering::Relaxed);
        if word & flag == 0 {
            // Release: I4.
            self.word.store(word | flag, Ordering::Release);
        }
    }

    /// Says that the owner retires an object in its section, whose end has something to do therefore.
    ///
    /// # Safety
    /// The calling thread is the owner.
    #[inline]
    pub(crate) unsafe fn note_retired(&self, bytes: usize) {
        let retired = self.counts.retired_alone(bytes);
        if retired - self.tidied_at.get().0 >= PORTION as u64 || bytes >= LARGE {
            self.flag(TIDY);
        }
    }

    /// Whether it is worth while to look for what can be freed: not when a few small objects have
    /// been retired since the last time, so that many share the cost.
    ///
    /// # Safety
    /// The calling thread is the owner.
    #[inline]
    pub(crate) unsafe fn is_untidy(&self) -> bool {
        self.word.load(Ordering::Relaxed) & TIDY != 0
            || self.counts.retired_so_far() == self.tidied_at.get().0
    }

    /// Says that what was retired is seen to, and that there is nothing left to do at the end of the section.
    ///
    /// # Safety
    /// The calling thread is the owner.
    pub(crate) unsafe fn is_tidy(&self) {
        let word = self.word.load(Ordering::Relaxed);
        // Release: I4.
        self.word.store(word & !TIDY, Ordering::Release);
        self.tidied_at.set(self.retired_so_far());
    }

    /// So many objects, and bytes.
    fn retired_so_far(&self) -> (u64, u64) {
        (self.counts.retired_so_far(), self.counts.retired_bytes_so_far())
    }

    /// How others see the record: after a barrier.
    pub(crate) fn seen(&self) -> Seen {
        // Acquire: I4.
        Seen(self.word.load(Ordering::Acquire))
    }

    pub(crate) fn is_owned(&self) -> bool {
        // Acquire: who sees that it was given up comes after that.
        self.owner.load(Ordering::Acquire) != NOBODY
    }

    /// Takes a record that nobody owns.
    pub(crate) fn take(&self, identity: usize, opening: &AtomicUsize) -> bool {
        // A CAS would take the line from the owner, even if it failed. (A model would try each value that
        // the load may find, and learn nothing.)
        if !MODEL && self.owner.load(Ordering::Relaxed) != NOBODY {
            return false;
        }
        // Acquire: I1. (To the machine the fence below is enough; to ThreadSanitizer a fence is nothing.)
        let taken =
            self.owner.compare_exchange(NOBODY, identity, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return false;
        }
        // I6: a reclaimer that sets the flag and then finds the record without an owner, or does
        // not find it at all, has its fence before this one: then the flag is seen here.
        fence(Ordering::SeqCst);
        if opening.load(Ordering::Relaxed) & FULL != 0 {
            self.word.store(FULL, Ordering::Release);
        }
        true
    }

    /// Gives a record up.
    ///
    /// # Safety
    /// The calling thread is the owner, and has no section open.
    pub(crate) unsafe fn give_up(&self) {
        // SAFETY: the caller's.
        let left = unsafe { self.with_bag(|bag| bag.fresh().objects + bag.ripe()) };
        // If somebody is looking into the bag, something may be left.
        self.left.store(left.unwrap_or(1), counter::Relaxed);
        let number = self.number.take();
        // Release: I1.
        self.owner.store(NOBODY, Ordering::Release);
        drop(number);
    }

    /// Whether nobody owns the record, and there is something in its bag.
    pub(crate) fn is_left_with_objects(&self) -> bool {
        !self.is_owned() && self.left.load(counter::Relaxed) > 0
    }

    /// Says that memory may have been kept here for later by who gives the record up.
    pub(crate) fn may_keep_memory(&self) {
        // In a model there is none, but for nodes' blocks.
        self.kept.store(usize::from(self.recycles || !MODEL), counter::Relaxed);
    }

    /// Whether who has given the record up may have kept memory here for later.
    pub(crate) fn keeps_memory(&self) -> bool {
        self.kept.load(counter::Relaxed) > 0
    }

    /// Frees the memory that is kept for later.
    ///
    /// # Safety
    /// The calling thread is the owner.
    pub(crate) unsafe fn free_what_is_kept(&self) {
        // SAFETY: the caller's; no user code runs.
        let shrunk = unsafe {
            (*self.recycler.get()).clear();
            self.with_bag(Bag::shrink)
        };
        if shrunk.is_some() {
            self.kept.store(0, counter::Relaxed);
        }
    }

    /// A block for a node; `None` if there is no memory, for it or for the day it is retired.
    ///
    /// # Safety
    /// The calling thread is the owner.
    #[inline]
    pub(crate) unsafe fn allocate(&self, vtable: &Vtable) -> Option<NonNull<u8>> {
        if self.reserve_is_missing.get() {
            // SAFETY: the caller's.
            let there = unsafe { self.with_bag(Bag::keep_reserve) }.unwrap_or(true);
            self.reserve_is_missing.set(!there);
            if !there {
                return None;
            }
        }
        // SAFETY: the owner's; no user code runs meanwhile.
        let used_before = unsafe { &mut *self.recycler.get() }.take(vtable);
        // SAFETY: the size of a node is not 0.
        used_before.or_else(|| NonNull::new(unsafe { std::alloc::alloc(vtable.layout()) }))
    }

    /// Works on the bag; `None` if another thread is looking into it.
    ///
    /// # Safety
    /// The calling thread is the owner. `work` runs no user code, and does not panic.
    #[inline]
    pub(crate) unsafe fn with_bag<R>(&self, work: impl FnOnce(&mut Bag) -> R) -> Option<R> {
        #[cfg(any(loom, crossbeam_loom))]
        if self.nobody_collects {
            // SAFETY: the caller's, and the model's promise.
            return Some(unsafe { self.bag.as_only_user(work) });
        }
        // SAFETY: the caller's; I6 for the fence.
        unsafe { self.bag.as_owner(self.needs_full_fences(), work) }
    }

    /// Frees objects.
    ///
    /// # Safety
    /// The calling thread is the owner, nobody protects the objects, and nobody uses them again.
    #[inline]
    pub(crate) unsafe fn free(&self, objects: &[Retired]) -> Reclaimed {
        let mut sum = Reclaimed::default();
        // Those with one vtable together: so the way of each is short. One by one for a tool that watches
        // memory: so none is there any more when the next one's drop runs.
        let are_alike = |one: &Retired, next: &Retired| {
            recycler::DEFAULT_LIMIT != 0 && ptr::eq(one.vtable(), next.vtable())
        };
        for objects in objects.chunk_by(are_alike) {
            let vtable = objects[0].vtable();
            sum.objects += objects.len() as u64;
            if vtable.is_plain() {
                sum.bytes += (objects.len() * vtable.layout().size()) as u64;
            } else {
                for object in objects {
                    sum.bytes += object.bytes() as u64;
                    // SAFETY: the caller's.
                    sum.drop_panics += u64::from(unsafe { !object.drop_value() });
                }
            }
            let mut blocks = objects.iter().map(Retired::block);
            // SAFETY: their values are gone, or were abandoned half dropped, so the blocks are ours; they
            // are from the global allocator, with their vtable's layout (I3 of `retired`). The recycler is
            // the owner's, and borrowed while nothing else runs: no drop, no allocator. What it gives up is
            // ours, with that layout (I1 of `recycler`).
            unsafe {
                loop {
                    (*self.recycler.get()).keep(&mut blocks, vtable);
                    if blocks.len() == 0 {
                        break;
                    }
                    let Some((other, layout)) = (*self.recycler.get()).crowd_out(vtable) else {
                        break;
                    };
                    std::alloc::dealloc(other.as_ptr(), layout);
                }
                blocks.for_each(|block| std::alloc::dealloc(block.as_ptr(), vtable.layout()));
            }
        }
        self.counts.reclaimed_alone(sum);
        sum
    }

    /// Frees a portion of the ripe objects; says how many.
    ///
    /// Called from within the drop of an object that is being freed from this very record, or from within the
    /// drops of several others, it frees only what needs no drop and is near at hand: all else waits for
    /// the outer call, and then for the next that retires.
    ///
    /// # Safety
    /// The calling thread is the owner.
    pub(crate) unsafe fn free_ripe(&self, portion: Portion) -> usize {
        // SAFETY: the caller's.
        let all = || unsafe { self.free_taken(portion, |bag, room, limit| bag.take(room, limit)) };
        // SAFETY: as above.
        self.freeing.alone(all).unwrap_or_else(|| unsafe { self.free_plain(portion) })
    }

    /// As [`free_ripe`](Self::free_ripe), but runs no user code.
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn free_plain(&self, portion: Portion) -> usize {
        // SAFETY: the caller's.
        unsafe { self.free_taken(portion, |bag, room, _| bag.take_plain(room)) }
    }

    /// Frees what `take` takes out of the bag, a few at a time.
    ///
    /// # Safety
    /// The calling thread is the owner; `take` takes ripe objects, and returns how many.
    unsafe fn free_taken(
        &self,
        portion: Portion,
        take: impl Fn(&mut Bag, &mut Room, usize) -> usize,
    ) -> usize {
        let (mut objects, mut bytes) = (0, 0);
        while !portion.is_freed(objects, bytes) {
            let mut room = [const { MaybeUninit::uninit() }; PORTION];
            // At least one: what is left may be bytes only.
            let limit = portion.all_objects().saturating_sub(objects).max(1);
            // SAFETY: the caller's.
            let taken = unsafe { self.with_bag(|bag| take(bag, &mut room, limit)) };
            let Some(taken @ 1..) = taken else { break };
            // SAFETY: so many were taken, so written there, and are in no bag any more; what is ripe
            // nobody protects. The room is not used again, and a `Retired` has no drop of its own.
            let freed = unsafe { self.free(slice::from_raw_parts(room.as_ptr().cast(), taken)) };
            objects += taken;
            bytes += freed.bytes;
        }
        objects
    }

    /// Whether there is enough fresh in the bag for a heavy barrier, given what a batch is.
    ///
    /// # Safety
    /// The calling thread is the owner.
    pub(crate) unsafe fn due(&self, bag: &Bag, batch: usize) -> Due {
        let (now, seen_to) = (bag.fresh(), self.seen_to.get());
        // There may be less than there was, as others have taken it.
        let seen_to =
            Load { objects: now.objects.min(seen_to.objects), bytes: now.bytes.min(seen_to.bytes) };
        self.seen_to.set(seen_to);
        let (objects, bytes) = (now.objects - seen_to.objects, now.bytes - seen_to.bytes);
        let batch_bytes =
            batch.saturating_mul(BYTES_PER_OBJECT).clamp(MIN_BATCH_BYTES, MAX_BATCH_BYTES);
        if bytes >= 2 * MAX_BATCH_BYTES {
            Due::Heavily
        } else if objects >= 2 * batch || bytes >= 2 * batch_bytes {
            Due::Urgently
        } else if objects >= batch || bytes >= batch_bytes {
            Due::Now
        } else {
            Due::Not
        }
    }

    /// Says about how much of what is fresh in the bag something was done.
    ///
    /// # Safety
    /// The calling thread is the owner.
    pub(crate) unsafe fn has_seen_to(&self, load: Load) {
        self.seen_to.set(load);
    }

    /// How much is to be freed now, so that freeing keeps up with retiring: twice as much as was
    /// retired since it was last [seen to](Self::is_tidy), in objects and in bytes, but for these not more
    /// than so many more
    /// objects.
    ///
    /// # Safety
    /// The calling thread is the owner.
    pub(crate) unsafe fn portion(&self, at_least: usize, more_for_bytes: usize) -> Portion {
        let (now, before) = (self.retired_so_far(), self.tidied_at.get());
        let objects = at_least.max(2 * (now.0 - before.0) as usize);
        let at_most = objects.saturating_add(more_for_bytes);
        Portion { objects, bytes: 2 * (now.1 - before.1), at_most, more: (0, 0) }
    }

    /// The owner does not exist here, and nobody else does.
    ///
    /// # Safety
    /// The process is a child of `fork`, and the calling thread is its only one.
    pub(crate) unsafe fn after_fork_in_child(&self, settings: &Settings) {
        // SAFETY: the caller's. It may have been in the middle of something: what it kept is leaked.
        unsafe { self.recycler.get().write(Recycler::new(settings.recycle)) };
        self.freeing.after_fork_in_child();
        self.collecting.store(0, counter::Relaxed);
        let full = self.word.load(Ordering::Relaxed) & FULL;
        self.word.store(full, Ordering::Release);
        // SAFETY: as above.
        unsafe { self.give_up() };
    }

    pub(crate) fn count_collection(&self) {
        add_alone(&self.collections, 1);
    }

    /// Runs `work`, while those who collect too keep their hands off the bag. They would take from
    /// one another what they have taken from others, and get nowhere.
    pub(crate) fn while_collecting<R>(&self, work: impl FnOnce(&Self) -> R) -> R {
        let before = self.collecting.swap(1, counter::Relaxed);
        let result = work(self);
        self.collecting.store(before, counter::Relaxed);
        result
    }

    /// Whether the owner collects.
    pub(crate) fn is_collecting(&self) -> bool {
        self.collecting.load(counter::Relaxed) != 0
    }

    fn word_is_idle(&self) -> bool {
        self.word.load(Ordering::Relaxed) & OPEN == 0
    }
}

/// A record's word, as another thread sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen(pub(crate) usize);

impl Seen {
    /// The epoch, if a section is open.
    pub(crate) fn epoch(self) -> Option<usize> {
        (self.0 & OPEN != 0).then_some(self.0 & !LOW)
    }
}

impl<X: Send + Sync> Kept for Record<X> {
    fn thread_exits(&self, identity: usize) -> bool {
        // Relaxed: if it is this thread's, this thread wrote it.
        if self.owner.load(Ordering::Relaxed) != identity {
            return true;
        }
        self.may_keep_memory();
        let is_idle = self.word_is_idle();
        if is_idle {
            // There may be something. The bag itself is not looked into: the domain may be going
            // at this very moment, and the record with it.
            self.left.store(1, counter::Relaxed);
            // Release: I1.
            let _ =
                self.owner.compare_exchange(identity, NOBODY, Ordering::Release, Ordering::Relaxed);
        } else {
            // I3.
            self.flag(LEASED);
        }
        is_idle
    }

    fn keep_number(&self, number: Arc<Number>) {
        self.number.set(Some(number));
    }

    fn is_useless(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == DOMAIN_GONE
    }

    #[cfg(any(loom, crossbeam_loom))]
    fn share_ends(&self) {
        self.shares_ended.fetch_add(1, Ordering::AcqRel);
    }
}

impl<X: fmt::Debug> fmt::Debug for Record<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("extra", &self.extra).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;

    /// Opens so many sections within one another, and ends them: whatever their number, the word shows
    /// a section for as long as one is open.
    #[test]
    fn sections_are_counted_up_to_a_limit() {
        const NUMBERS: &[usize] = if cfg!(miri) {
            &[1, 2, MANY + 1]
        } else {
            &[1, 2, MANY - 1, MANY, MANY + 1, MANY + 2, OPEN - 1]
        };
        let opening = AtomicUsize::new(7 * EPOCH + 1);
        for flag in [0, LEASED, FULL] {
            // With a flag many are counted as 2 are, and Miri takes seconds for them.
            let numbers = NUMBERS.iter().filter(|it| !cfg!(miri) || flag == 0 || **it < MANY);
            for &sections in numbers {
                let record = Record::<()>::new(&Settings::DEFAULT, flag);
                for opened in 0..sections {
                    // SAFETY: nobody else knows the record.
                    let it = unsafe { record.open(&opening) };
                    assert_eq!(it.is_outermost, opened == 0);
                }
                for open in (1..=sections).rev() {
                    assert_eq!(record.word.load(Ordering::Relaxed), (7 * EPOCH + open) | flag);
                    // SAFETY: as above, and so many are open.
                    let ended = unsafe { (!record.close()).then(|| record.close_with_care()) };
                    let given_up = ended.is_some_and(|ended| ended.leased);
                    assert_eq!(given_up, open == 1 && flag == LEASED);
                }
                assert_eq!(record.word.load(Ordering::Relaxed), flag & FULL);
            }
        }
    }

    #[test]
    fn more_sections_than_can_be_counted_never_end() {
        let opening = AtomicUsize::new(1);
        let record = Record::<()>::new(&Settings::DEFAULT, 0);
        for _ in 0..OPEN + 10 {
            // SAFETY: nobody else knows the record.
            unsafe { record.open(&opening) };
        }
        for _ in 0..OPEN + 10 {
            // SAFETY: as above, and so many are open.
            if unsafe { !record.close() } {
                // SAFETY: as above.
                let _ = unsafe { record.close_with_care() };
            }
        }
        assert_eq!(record.word.load(Ordering::Relaxed) & OPEN, OPEN);
    }

    #[test]
    fn what_is_to_be_freed_in_addition_is_freed() {
        let portion = Portion { objects: 8, bytes: 100, at_most: 16, more: (0, 0) };
        let cases = [
            (More::Nothing, 8, 100, true),
            (More::Nothing, 16, 0, true),
            (More::Nothing, 15, 99, false),
            (More::UpTo(4, 500), 11, 499, false),
            (More::UpTo(4, 500), 8, 500, true),
            (More::UpTo(4, 500), 12, 100, true),
            (More::All(Load { objects: 2, bytes: 50 }), 9, 150, false),
            (More::All(Load { objects: 2, bytes: 50 }), 10, 149, false),
            (More::All(Load { objects: 2, bytes: 50 }), 10, 150, true),
        ];
        for (more, objects, bytes, enough) in cases {
            assert_eq!(
                portion.and(more).is_freed(objects, bytes),
                enough,
                "{more:?} {objects} {bytes}"
            );
        }
    }
}
