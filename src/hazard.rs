//! Hazard pointers: a slot protects one pointer, and what waits to be freed is bounded, whatever any
//! thread does.
//!
//! # The algorithm
//!
//! Each thread's record has slots, in blocks of [`SLOTS`]. A guard leases a block; which of its slots
//! are free is a mask in the guard itself. A guard that needs more slots leases more blocks, which
//! are made if need be: there is no limit. A slot more or less takes the same time, however many there
//! are. Scans look at these blocks until none of the thread's guards has one; then they are put
//! aside, for the next guard that needs them.
//!
//! - *Protect*: load the pointer; write its address into the slot; light barrier; load again,
//!   compare; if it has changed, start again.
//! - *Clear*: write null into the slot. A slot whose shield is gone is not cleared at once: it keeps its
//!   object until its next shield protects another, or the guard ends.
//! - *Retire*: put the object into the thread's own bag. Each full block of the bag is stamped with
//!   the number of heavy barriers begun, read after a full fence: a ticket.
//! - *Scan*, when a batch is full: heavy barrier, unless others have issued one since for the greater
//!   part of it; take a snapshot of all slots, sorted; what is not in it is ripe. Its owner frees the ripe objects, a
//!   few at a time. What is in it stays in the bag.
//!
//! # Why it is right
//!
//! Let R be a thread that protects an object: it writes the slot (P), executes its light barrier L,
//! and finds the object's link unchanged. Let T be the thread that has unlinked it (U), has then
//! retired it, executes a full fence F, takes its ticket, and comes to a scan after a heavy barrier H
//! that began after the ticket, so that F is before H in the order S of all barriers.
//!
//! 1. *If H is before L in S*: U is before F, F before H, H before L, and R's second load is after L:
//!    it sees U, or what came later, and that is not the object, which is not linked again. So R
//!    starts again. (So too for an announcement that the algorithm validates: S2 of `scheme`.)
//! 2. *If L is before H*: T, looking at the slots after H, sees P, or what was written to the slot
//!    later. If P, the object is kept. If later, R has ended the protection; that store is Release
//!    and T's look Acquire, so all of R's uses come before the freeing.
//!
//! It matters that a protection does not move from slot to slot: T might look at the one before it
//! gets there, and at the other after it has left. So shields are moved and swapped, not copied.
//!
//! *New slots.* A block of slots, and a record, is published before it is used, and that comes before
//! L: so 2. holds for slots that are new as well.
//!
//! *Slots that are put aside.* What is published is the top of a pile of blocks, whose order never
//! changes: who has seen a top finds all that is below it. The top is taken back when all protections
//! in the pile have ended, and by a store that is Release, so if T sees that, or what was published
//! later, all of R's uses come before the freeing: as with a slot that was written later, in 2.
//!
//! # The bound
//!
//! Let N be the number of records. A record has the number of its thread, so that is the number of threads
//! that used the crate at a time, in this domain or in others, when there were most of them (or a few
//! more: numbers are not quite the smallest that are free). Twice that if threads exit (what they left is
//! another's, until that one has freed it); and as many again for each thread that collects meanwhile (who
//! retires while another looks into his bag borrows a record, and another one if a second thread does).
//! Let H be the number of all their slots ([`SLOTS`] a record, and as many for each block beside that scans
//! look at, when there were most of them), B the largest batch (the builder's
//! `max_batch`, or 4096), B' = max(B, 2 H), L the largest object's size (of a hash map's old table: with
//! all its slots). Then at any time, whatever any thread does,
//!
//! > pending objects <= N * (2 B' + H + 16)
//! >
//! > pending bytes <= N * (2 MiB + 64 KiB + (H + 2) L)
//!
//! provided that threads which retire end their guards, or call [`Guard::reclaim`] in them (the
//! structures do, after each operation that retires). Beyond it are:
//!
//! - what is retired from within the `Drop`s of objects that are being freed, into the same domain, or from
//!   four drops within one another on, into any: it stays due, and is freed when the thread retires next
//!   after the outer call (a call frees twice what was retired, so its drops may retire many times that);
//! - what a thread has gathered from all that sleeps within `collect`, in a `Drop` or in the allocator: with
//!   many such at a time, each may have gathered as much;
//! - nested guards of a thread that is exiting, each of which leases a record: they count in N as threads;
//! - an idle thread where barriers are refused in mid-life (I6 of `record`).
//!
//! For: consider one record. Of what is in its bag, let k be what its last scan has kept; that is not
//! more than H, as one snapshot has it all. Let f be what else is fresh, and R what is ripe. The bag is
//! looked at after every 8 objects, or at once after one of 4 KiB or more.
//!
//! - Once f is B' objects, or 1 MiB or less, such a look scans, unless another thread is issuing a
//!   barrier just then. When it is twice as much, the look issues a barrier itself, whatever others do,
//!   and leaves f = 0. So after a look f < 2 B'.
//! - Then it frees twice as many objects as were retired since the last look, or all that are ripe. If
//!   some are left, k + f + R has become less, though as much was retired; if none is, it is k + f.
//!
//! So after a look k + f + R < H + 2 B', and before the next one there are 8 more, and one that is on its
//! way. The same holds of bytes, with less than 2 MiB after a look, and 32 KiB and L more for each 8. What
//! is adopted from a thread that has exited is scanned in the same look, and as much is freed, in objects
//! and in bytes: so k + f + R is not more after it. A thread that sleeps or exits leaves what it has: this
//! much, and no more. (After a time with many slots batches are as small as before, from the second scan
//! on: the first one still comes when there is a large batch.)
//!
//! [`Guard::reclaim`]: crate::Guard::reclaim
//!
//! # Progress
//!
//! A guard is wait-free, and so is a slot (but for the allocation of a block). `protect` is lock-free:
//! it repeats only when its source has changed. Retiring and scanning are wait-free. Once the bag has
//! been full, and the snapshot as large as it gets, retiring allocates nothing.
//!
//! # Papers
//!
//! - M. Michael, "Hazard pointers: safe memory reclamation for lock-free objects", 2004.
//! - D. Dice, M. Herlihy, A. Kogan, "Fast non-intrusive memory reclamation for highly-concurrent data
//!   structures", ISMM 2016; and Folly's `hazptr`: asymmetric barriers on the reader's side.
//! - P1121R3, "Hazard pointers": proposed interface and wording.

use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::compiler_fence;

use crate::bag::{Bag, Load};
use crate::barrier;
use crate::builder::{Configurable, Settings};
use crate::record::{Due, More, Record};
use crate::records::{Records, Ripens};
use crate::retired::{Retired, Vtable};
use crate::scheme::{GlobalScheme, Protection, Scheme, Stats};
use crate::sync::counter::{self, AtomicUsize as Hint};
use crate::sync::{AtomicPtr, MODEL, Ordering, fence, null_pointers};
use crate::thread::{self, ProcessWide};

/// Slots in a block: what a guard has at hand.
pub const SLOTS: usize = if MODEL { 2 } else { 8 };
const _: () = assert!(SLOTS >= 2, "`Block::clear` takes two by hand");

/// This crate's hazard pointers: the process-wide domain, or, as [`Domain<Hazard>`](crate::Domain),
/// one of its own.
///
/// A shield protects one pointer. **Pending memory is bounded**, whatever any thread does: a thread
/// that sleeps with shields open keeps what they cover, and what waits in its own bag.
///
/// **The bound.** Let N be the number of threads that used any domain of the process at a time, when there
/// were most of them; twice that if threads exit meanwhile, and as many again for each thread that is within
/// [`collect`](crate::Reclaimer::collect); H = 8 N slots (8 more for each guard within a guard, and for
/// each 8 shields beyond the first 8 of a guard, when there were most of them); B = 4096, or the builder's
/// [`max_batch`](Builder::max_batch); B' = max(B, 2 H); and L the largest object's size (a hash map's
/// table among them, 8 bytes for each of its slots). Then
///
/// > pending objects <= N * (2 B' + H + 16)
/// >
/// > pending bytes <= N * (2 MiB + 64 KiB + (H + 2) L)
///
/// provided that threads which retire end their guards now and then, or call
/// [`Guard::reclaim`](crate::Guard::reclaim); the structures do.
///
/// Beyond it are: what is retired from within the `Drop`s of objects that are being freed, until the
/// thread retires something later, or another one collects; what a thread had gathered from all that stays
/// within [`collect`](crate::Reclaimer::collect), in a `Drop` or in the allocator; guards of a thread that is
/// exiting, within one another, each of which counts as a thread; and, where the platform begins to refuse
/// barriers in mid-life (a sandbox that is entered after the start), what waits for a thread that had used
/// the domain before and has done nothing with it since: until it opens a guard, or exits.
///
/// **Many shields** at once, as in `map.pin().iter().collect::<Vec<_>>()`, take the same time each, and
/// 16 bytes. The slots beyond a guard's first 8 are looked at, and make the batches larger, until no
/// guard of the thread has any of them; their memory is kept for the next such guards, until the
/// domain's end. Those of guards within guards, and what forgotten guards have, count for ever.
///
/// **Progress**: opening a guard and leasing a slot are wait-free, but for allocations: of a record
/// at a thread's first guard in a domain and of more slots (which abort when there is no memory), of
/// 1 KiB now and then when retiring, as long as the bag grows. Protecting is lock-free.
///
/// ```
/// use sexton::{Hazard, Stack};
///
/// let stack = Stack::<_, Hazard>::new();
/// stack.push(1);
/// assert_eq!(stack.pop(), Some(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hazard;

/// The mask of a block all of whose slots are free.
const ALL_FREE: u32 = (1 << SLOTS) - 1;

/// Some slots.
#[derive(Debug)]
struct Block {
    slots: [AtomicPtr<u8>; SLOTS],
    /// The next one down in its pile; null if it is the lowest.
    below: *const Self,
    /// Owner's: the next one up in its pile; null if it is the last that was made.
    above: Cell<*const Self>,
    /// Owner's: which slots are free, while it is leased by a guard in addition to its own.
    free: Cell<u32>,
    /// Owner's: in a list of the blocks that a guard has leased in addition, or of those that no
    /// guard has.
    listed_before: Cell<*const Self>,
    /// Owner's: while it is the last that a guard has leased in addition: the last in a list of those
    /// that have free slots.
    vacant: Cell<*const Self>,
    /// Owner's: in that list.
    vacant_before: Cell<*const Self>,
}

/// A block of a pile: the block of a slot is found by the slot's address.
#[repr(C)]
#[cfg_attr(not(shuttle), repr(align(128)))]
#[cfg_attr(shuttle, repr(align(2048)))]
struct InPile(Block);

const _: () = assert!(size_of::<InPile>() == align_of::<InPile>(), "it has one block's slots");

impl Block {
    fn above(below: *const Self) -> Self {
        Self {
            slots: null_pointers(),
            below,
            above: Cell::new(ptr::null()),
            free: Cell::new(ALL_FREE),
            listed_before: Cell::new(ptr::null()),
            vacant: Cell::new(ptr::null()),
            vacant_before: Cell::new(ptr::null()),
        }
    }

    /// The block of a slot.
    ///
    /// # Safety
    /// It is in a pile, and its record is alive.
    unsafe fn of<'r>(slot: Slot) -> &'r Self {
        let block = slot.0.as_ptr().map_addr(|address| address & !(align_of::<InPile>() - 1));
        // SAFETY: the caller's; a slot's pointer is good for all of its block (`take_lowest`), which is
        // at the beginning of an `InPile`, and that is as large as it is aligned.
        unsafe { &*block.cast() }
    }

    /// The mask of the slot, if it is one of this block's.
    #[inline]
    fn mask_of(&self, slot: Slot) -> Option<u32> {
        let offset = slot.0.addr().get().wrapping_sub((&raw const self.slots).addr());
        let index = offset / size_of::<AtomicPtr<u8>>();
        (index < SLOTS).then(|| 1 << index)
    }

    /// Ends all protections of the slots in the mask.
    #[inline(always)]
    fn clear(&self, mut slots: u32) {
        let clear = |slot: usize| {
            // Release: 2. of the module's head.
            self.slots[slot % SLOTS].store(ptr::null_mut(), Ordering::Release);
        };
        // Most guards have used no more than two.
        (0..2).filter(|slot| slots & (1 << slot) != 0).for_each(clear);
        slots &= !0b11;
        while slots != 0 {
            clear(slots.trailing_zeros() as usize);
            slots &= slots - 1;
        }
    }
}

/// Blocks, in the order in which they were made, which never changes.
#[derive(Debug)]
struct Pile {
    /// The uppermost block that scans look at, and so they do at all below it; null if there is none.
    top: AtomicPtr<Block>,
    /// Owner's: the lowest block; null if none was made.
    bottom: Cell<*const Block>,
    /// Owner's: a list of the blocks up to the top that no guard has.
    idle: Cell<*const Block>,
}

impl Default for Pile {
    fn default() -> Self {
        Self {
            top: AtomicPtr::new(ptr::null_mut()),
            bottom: Cell::new(ptr::null()),
            idle: Cell::new(ptr::null()),
        }
    }
}

impl Pile {
    /// From the top down.
    fn blocks(&self) -> impl Iterator<Item = &Block> {
        // Acquire: pairs with the Release of `one_block_more` and `put_aside`.
        let top = self.top.load(Ordering::Acquire);
        // SAFETY: from boxes that live as long as the record.
        core::iter::successors(unsafe { top.as_ref() }, |block| unsafe { block.below.as_ref() })
    }

    /// A block that no guard has; made if need be. Called by the owner only.
    #[inline]
    fn lease(&self) -> &Block {
        // SAFETY: idle blocks are the record's.
        match unsafe { self.idle.get().as_ref() } {
            Some(block) => {
                self.idle.set(block.listed_before.get());
                block
            }
            None => self.one_block_more(),
        }
    }

    /// The block above the top, which it is then; made if need be. Called by the owner only.
    #[cold]
    fn one_block_more(&self) -> &Block {
        // Relaxed: the owner's.
        let top = self.top.load(Ordering::Relaxed);
        // SAFETY: from a box that lives as long as the record.
        let above = unsafe { top.as_ref() }.map_or(&self.bottom, |top| &top.above);
        if above.get().is_null() {
            let new = Box::into_raw(Box::new(InPile(Block::above(top))));
            // A child of `fork` may be born here: what it finds is complete.
            compiler_fence(Ordering::Release);
            above.set(new.cast());
        }
        let new = above.get();
        // Release: publishes the block. A scan that does not see it is before its use (the head).
        self.top.store(new.cast_mut(), Ordering::Release);
        // SAFETY: from a box that lives as long as the record.
        unsafe { &*new }
    }

    /// Gives back a leased block, whose slots are clear. Called by the owner only.
    #[inline(always)]
    fn end_lease(&self, block: &Block) {
        block.listed_before.set(self.idle.replace(block));
    }

    /// Lets scans look at none of the blocks, whose slots are clear, and which no guard has. Called by
    /// the owner only.
    fn put_aside(&self) {
        self.idle.set(ptr::null());
        // Release: the protections in them have ended (the head).
        self.top.store(ptr::null_mut(), Ordering::Release);
    }
}

impl Drop for Pile {
    fn drop(&mut self) {
        let mut next = self.bottom.get();
        while !next.is_null() {
            // SAFETY: from `Box::into_raw`, and the record is ours alone.
            let block = unsafe { Box::from_raw(next.cast_mut().cast::<InPile>()) };
            next = block.0.above.get();
        }
    }
}

/// What a thread's record has for this scheme.
#[derive(Debug)]
pub struct Slots {
    /// That of the guard that is opened when no other is.
    first: Block,
    /// Those of guards within guards.
    inner: Pile,
    /// What guards lease in addition to their own.
    more: Pile,
    /// Owner's: how many blocks of `more` are leased.
    more_leased: Cell<usize>,
    /// Owner's: used again for each scan.
    snapshot: UnsafeCell<Vec<usize>>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            first: Block::above(ptr::null()),
            inner: Pile::default(),
            more: Pile::default(),
            more_leased: Cell::new(0),
            snapshot: UnsafeCell::default(),
        }
    }
}

// SAFETY: the cells and the snapshot are touched by the record's owner only; what scans read of a
// block is its slots, and what is below it, which stays.
unsafe impl Sync for Slots {}
// SAFETY: nothing in it is bound to a thread.
unsafe impl Send for Slots {}

impl Slots {
    /// What scans look at.
    fn blocks(&self) -> impl Iterator<Item = &Block> {
        core::iter::once(&self.first).chain(self.inner.blocks()).chain(self.more.blocks())
    }

    /// Gives back a guard's own block, whose slots are clear; nothing for the first. Called by the
    /// owner only.
    #[inline(always)]
    fn end_lease(&self, block: &Block) {
        if !ptr::eq(block, &self.first) {
            self.inner.end_lease(block);
        }
    }
}

/// The state of a domain; public only because [`Scheme::Domain`] is.
#[derive(Debug)]
pub struct State {
    records: Records<Slots>,
    /// How many slots there were at the last scan.
    slots_seen: Hint,
}

/// What a guard carries; public only because [`Scheme::Section`] is.
pub struct Section {
    /// The calling thread's, or leased by it; it lives as long as the domain.
    record: *const Record<Slots>,
    /// The guard's block, of that record.
    block: *const Block,
    /// Which of its slots are free.
    free: Cell<u32>,
    /// Which of its slots have been used.
    used: Cell<u32>,
    /// The last of the blocks leased in addition; null if there are none.
    more: Cell<*const Block>,
    /// Whether a protection needs a full fence.
    full_fence: bool,
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("free", &self.free).finish_non_exhaustive()
    }
}

impl Section {
    #[inline(always)]
    fn record(&self) -> &Record<Slots> {
        // SAFETY: made by `enter`, and used while its domain lives, by the contract of `Scheme`.
        unsafe { &*self.record }
    }

    #[inline(always)]
    fn block(&self) -> &Block {
        // SAFETY: as above; blocks live as long as their record.
        unsafe { &*self.block }
    }

    /// Publishes an address in a slot, for every load that follows.
    #[inline(always)]
    fn publish(&self, slot: Slot, address: *mut u8) {
        // Release: 2. of the module's head: what the slot has protected before is not used after.
        slot.get().store(address, Ordering::Release);
        if self.full_fence {
            fence(Ordering::SeqCst);
        } else {
            // PAIRS: the heavy barrier of a scan.
            barrier::light();
        }
    }
}

/// A slot beyond those of a guard's own block, and the last block that is leased then. (This and what
/// follows is given parts of the guard, and not the guard, so that the rest of it can stay in
/// registers, and is never inlined, for the same reason.)
///
/// # Safety
/// `last` is the last of the blocks that the guard has leased in addition, or null; they are of this
/// record, which is the calling thread's.
#[cold]
#[inline(never)]
unsafe fn one_more_slot(record: &Record<Slots>, last: *const Block) -> (Slot, *const Block) {
    // SAFETY: the caller's; blocks live as long as their record.
    if let Some(list) = unsafe { last.as_ref() } {
        // SAFETY: as above.
        if let Some(block) = unsafe { list.vacant.get().as_ref() } {
            let slot = take_lowest(&block.free, block);
            if block.free.get() == 0 {
                list.vacant.set(block.vacant_before.get());
            }
            return (slot, last);
        }
    }
    let slots = &record.extra;
    let block = slots.more.lease();
    slots.more_leased.set(slots.more_leased.get() + 1);
    block.free.set(ALL_FREE);
    block.listed_before.set(last);
    // None of the others has a free slot; and this one has another.
    block.vacant.set(block);
    block.vacant_before.set(ptr::null());
    (take_lowest(&block.free, block), block)
}

/// Gives back a slot beyond those of a guard's own block.
///
/// # Safety
/// As [`one_more_slot`], which has given it to this guard.
#[cold]
#[inline(never)]
unsafe fn one_slot_less(last: *const Block, slot: Slot) {
    // SAFETY: the caller's; blocks live as long as their record.
    let (list, block) = unsafe { (&*last, Block::of(slot)) };
    if block.free.get() == 0 {
        block.vacant_before.set(list.vacant.replace(block));
    }
    if let Some(mask) = block.mask_of(slot) {
        block.free.set(block.free.get() | mask);
    }
}

/// Gives back the blocks that a guard has leased in addition.
///
/// # Safety
/// As [`one_more_slot`].
#[cold]
#[inline(never)]
unsafe fn end_leases(record: &Record<Slots>, mut last: *const Block) {
    let slots = &record.extra;
    // SAFETY: the caller's; blocks live as long as their record.
    while let Some(block) = unsafe { last.as_ref() } {
        last = block.listed_before.get();
        block.clear(ALL_FREE);
        slots.more.end_lease(block);
        slots.more_leased.set(slots.more_leased.get() - 1);
    }
    if slots.more_leased.get() == 0 {
        slots.more.put_aside();
    }
}

/// Takes the lowest free slot. Its pointer is good for all of the block.
#[inline(always)]
fn take_lowest(free: &Cell<u32>, block: &Block) -> Slot {
    let mask = free.get();
    free.set(mask & (mask - 1));
    let index = mask.trailing_zeros() as usize % SLOTS;
    // From a pointer, not from a reference: so it is not narrowed to the slot. SAFETY: in a block.
    unsafe {
        let slot = &raw const (*ptr::from_ref(block)).slots[index];
        Slot(NonNull::new_unchecked(slot.cast_mut()))
    }
}

/// A slot; public only because [`Scheme::Slot`] is.
#[derive(Clone, Copy, Debug)]
pub struct Slot(NonNull<AtomicPtr<u8>>);

impl Slot {
    #[inline(always)]
    fn get(&self) -> &AtomicPtr<u8> {
        // SAFETY: in a block, which lives as long as the domain, by the contract of `Scheme`.
        unsafe { self.0.as_ref() }
    }
}

impl State {
    crate::sync::const_where_possible! {
        pub(crate) fn new(settings: Settings) -> Self {
            Self { records: Records::new(settings), slots_seen: Hint::new(0) }
        }
    }

    /// Which process-wide domain it is.
    #[inline(always)]
    fn process_wide(&self) -> Option<ProcessWide> {
        ptr::eq(self, Hazard::global()).then_some(ProcessWide::Hazard)
    }

    /// The calling thread's record, if it has one.
    #[inline(always)]
    fn mine(&self) -> Option<&Record<Slots>> {
        match self.process_wide() {
            // SAFETY: what is kept at hand there is a record of this very domain, or null.
            Some(domain) => unsafe { thread::at_hand(domain).cast::<Record<Slots>>().as_ref() },
            None => self.records.mine(),
        }
    }

    /// B' of the bound, with the B of the moment: at least twice the slots, so that a scan frees most of
    /// what it looks at; and enough for a look at all records.
    fn batch(&self) -> usize {
        // Such a model is about barriers. It sees neither the hint nor what hangs on it.
        #[cfg(any(loom, crossbeam_loom))]
        if let Some(batch) = self.records.batch_of_model() {
            return batch;
        }
        let batch = self.records.batch().max(self.records.batch_for_a_look());
        batch.max(2 * self.slots_seen.load(counter::Relaxed))
    }

    /// Moves what is not protected to the ripe ones, as far as it was stamped with a ticket below
    /// `finished`.
    ///
    /// # Safety
    /// The calling thread owns the record, and comes after the barriers below that number.
    unsafe fn scan(&self, record: &Record<Slots>, finished: u64) {
        if !self.records.iter().all(|other| self.records.is_reliable(other, other.seen())) {
            // Not again before there is as much more: a thread that has not heard of the refusal may
            // be idle for long. SAFETY: the caller's.
            unsafe { record.with_bag(|bag| record.has_seen_to(bag.fresh())) };
            return;
        }
        // SAFETY: the owner's; no user code runs meanwhile, and nothing here comes back here.
        let snapshot = unsafe { &mut *record.extra.snapshot.get() };
        let is_complete = self.take_snapshot(snapshot);
        let is_protected = |retired: &Retired| {
            let address = retired.address().addr().get();
            if is_complete {
                snapshot.binary_search(&address).is_ok()
            } else {
                self.slots().any(|slot| slot == address)
            }
        };
        record.count_collection();
        let sift = |bag: &mut Bag| {
            let is_old_enough = |stamp| stamp < finished;
            let kept = if is_complete && snapshot.is_empty() {
                bag.ripen(is_old_enough);
                Load::default()
            } else {
                bag.sift(is_old_enough, is_protected, || self.stamp())
            };
            // What was not looked at is still due (the bound). SAFETY: the caller's.
            unsafe { record.has_seen_to(kept) };
        };
        // SAFETY: the caller's.
        unsafe { record.with_bag(sift) };
    }

    /// What all slots announce, but for nulls.
    fn slots(&self) -> impl Iterator<Item = usize> {
        let blocks = self.records.iter().flat_map(|record| record.extra.blocks());
        // Acquire: 2. of the module's head.
        let slots = blocks.flat_map(|block| &block.slots).map(|slot| slot.load(Ordering::Acquire));
        slots.map(|address| address.addr()).filter(|address| *address != 0)
    }

    /// Takes a snapshot of what is announced, sorted; false if there is no memory for it.
    fn take_snapshot(&self, snapshot: &mut Vec<usize>) -> bool {
        snapshot.clear();
        // Where a record has an owner: what a crowd has left does not make batches large. (A model would
        // learn nothing by that look.)
        let owned = self.records.iter().filter(|record| MODEL || record.is_owned());
        let blocks = owned.map(|record| record.extra.blocks().count());
        self.slots_seen.store(blocks.sum::<usize>() * SLOTS, counter::Relaxed);
        for address in self.slots() {
            if snapshot.try_reserve(1).is_err() {
                return false;
            }
            snapshot.push(address);
        }
        snapshot.sort_unstable();
        true
    }
}

impl Ripens<Slots> for State {
    /// The bound on bytes.
    const MORE_FOR_BYTES: usize = usize::MAX;

    fn stamp(&self) -> u64 {
        self.records.barriers().ticket()
    }

    unsafe fn ripen(&self, record: &Record<Slots>) -> More {
        let batch = self.batch();
        let barriers = self.records.barriers();
        // SAFETY: the caller's.
        unsafe {
            let due = record.with_bag(|bag| record.due(bag, batch)).unwrap_or(Due::Not);
            if due == Due::Not || (due == Due::Now && barriers.is_busy()) {
                return More::Nothing;
            }
            let adopted = self.records.adopt(self, record);
            // What was adopted is looked at now, and freed at once: the bound.
            let is_urgent = due >= Due::Urgently || adopted.objects > 0;
            // Others' barriers may have been enough for the greater part.
            let finished = barriers.finished();
            let served = record.with_bag(|bag| bag.sealed(|stamp| stamp < finished)).unwrap_or(0);
            if !is_urgent && served >= batch / 2 && served > 0 {
                self.scan(record, finished);
                return More::Nothing;
            }
            record.with_bag(|bag| bag.seal(|| self.stamp()));
            if let Some(finished) = self.records.heavy(record, is_urgent) {
                self.scan(record, finished);
            }
            More::All(adopted)
        }
    }

    unsafe fn ripen_all(&self, record: &Record<Slots>) {
        let stamp = || self.stamp();
        // SAFETY: the caller's. The barrier is after all that was put into the bag.
        unsafe {
            record.with_bag(|bag| bag.seal(stamp));
            if self.records.heavy(record, true).is_some() {
                self.scan(record, u64::MAX);
            }
        }
    }
}

// SAFETY: S1 and S2: the module's head. S3: `protect`. S4: `retire` only pushes (what it frees when
// memory is short has no user code). S5: `Retired::reclaim` lets no panic pass. A forgotten guard
// keeps its block; forgotten slots are given back by `leave`.
unsafe impl Scheme for Hazard {
    const PROTECTION: Protection = Protection::Pointer;
    const BOUNDED: bool = true;

    type Header = ();
    type Domain = State;
    type Section = Section;
    type Slot = Slot;

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
        let opened = unsafe { record.open(&domain.records.opening) };
        let slots = &record.extra;
        let block = if opened.is_outermost { &slots.first } else { slots.inner.lease() };
        Section {
            record,
            block,
            free: Cell::new(ALL_FREE),
            used: Cell::new(0),
            more: Cell::new(ptr::null()),
            full_fence: opened.needs_full_fences(),
        }
    }

    #[inline(always)]
    unsafe fn leave(domain: &State, section: Section) {
        let (record, block) = (section.record(), section.block());
        block.clear(section.used.get());
        let more = section.more.get();
        if !more.is_null() {
            // SAFETY: leased by this guard.
            unsafe { end_leases(record, more) };
        }
        record.extra.end_lease(block);
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
    ) -> Option<NonNull<u8>> {
        // SAFETY: the section's record is the calling thread's.
        unsafe { section.record().allocate(vtable) }
    }

    #[inline(always)]
    unsafe fn slot(_: &State, section: &Section) -> Slot {
        if section.free.get() == 0 {
            // SAFETY: leased by this guard.
            let (slot, more) = unsafe { one_more_slot(section.record(), section.more.get()) };
            section.more.set(more);
            return slot;
        }
        let slot = take_lowest(&section.free, section.block());
        section.used.set(section.used.get() | (ALL_FREE & !section.free.get()));
        slot
    }

    #[inline(always)]
    unsafe fn free_slot(_: &State, section: &Section, slot: Slot) {
        match section.block().mask_of(slot) {
            Some(mask) => section.free.set(section.free.get() | mask),
            // SAFETY: leased by this guard.
            None => unsafe { one_slot_less(section.more.get(), slot) },
        }
    }

    #[inline(always)]
    unsafe fn protect<T>(
        _: &State,
        section: &Section,
        slot: &mut Slot,
        source: &AtomicPtr<T>,
        tag_mask: usize,
    ) -> *mut T {
        // Relaxed: only a guess, which the second load confirms.
        let mut guess = source.load(Ordering::Relaxed);
        loop {
            section.publish(*slot, guess.map_addr(|address| address & !tag_mask).cast());
            // Acquire: pairs with the Release that published the node (S3).
            let found = source.load(Ordering::Acquire);
            if ptr::eq(found, guess) {
                return found;
            }
            guess = found;
        }
    }

    #[inline(always)]
    unsafe fn announce(_: &State, section: &Section, slot: &mut Slot, address: *mut u8) {
        section.publish(*slot, address);
    }

    #[inline(always)]
    unsafe fn clear(_: &State, _: &Section, slot: &mut Slot) {
        // Release: 2. of the module's head.
        slot.get().store(ptr::null_mut(), Ordering::Release);
    }

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
        let clear = |slots: &Slots| {
            // Its owner may have been in the middle of growing it. SAFETY: that thread does not exist,
            // and no other one touches it; the old one is not dropped.
            unsafe { slots.snapshot.get().write(Vec::new()) };
            for block in slots.blocks() {
                block.clear(ALL_FREE);
            }
            slots.inner.put_aside();
            slots.more.put_aside();
            slots.more_leased.set(0);
        };
        // SAFETY: the caller's.
        unsafe { domain.records.after_fork_in_child(clear) }
    }
}

// SAFETY: one static.
unsafe impl GlobalScheme for Hazard {
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

/// An owned domain of hazard pointers.
///
/// ```
/// let domain = sexton::hazard::Domain::new();
/// let stack = sexton::Stack::with_reclaimer(domain.clone());
/// stack.push(1);
/// ```
pub type Domain = crate::Domain<Hazard>;

/// Makes an owned [`Domain`] with settings of one's own.
///
/// ```
/// let domain = sexton::hazard::Builder::new().max_batch(64).build();
/// ```
pub type Builder = crate::builder::Builder<Hazard>;

impl Configurable for Hazard {
    fn with_settings(settings: Settings) -> State {
        State::new(settings)
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
mod tests {
    use super::*;
    use crate::bag::BLOCK;
    use crate::barrier::Issued;
    use crate::{Atomic, Guard, Ptr, Reclaimer};

    type Shield<'g> = crate::Shield<'g, usize, Hazard>;

    /// The blocks that scans look at.
    fn blocks(domain: &Domain) -> usize {
        domain.domain().records.iter().map(|record| record.extra.blocks().count()).sum()
    }

    const MANY: usize = SLOTS * if cfg!(miri) { 3 } else { 5 };

    struct Links {
        domain: Domain,
        links: Vec<Atomic<usize>>,
    }

    impl Links {
        fn new() -> Self {
            let links = (0..MANY).map(|_| Atomic::null()).collect();
            let links = Self { domain: Domain::new(), links };
            links.replace(true);
            links
        }

        fn protect<'g>(&self, guard: &'g Guard<'_, Hazard>, at: usize) -> Shield<'g> {
            let mut shield = guard.shield();
            shield.protect(&self.links[at]);
            shield
        }

        fn protect_all<'g>(&self, guard: &'g Guard<'_, Hazard>) -> Vec<Option<Shield<'g>>> {
            (0..MANY).map(|at| Some(self.protect(guard, at))).collect()
        }

        /// Replaces all objects, and frees those that nobody protects.
        fn replace(&self, with_new: bool) {
            let guard = self.domain.pin();
            for (at, link) in self.links.iter().enumerate() {
                let new = if with_new { guard.owned(at).into_ptr() } else { Ptr::null() };
                let old = link.swap(new, Ordering::AcqRel);
                if !old.is_null() {
                    // SAFETY: unlinked just now, by us; made in this domain.
                    unsafe { guard.retire(old) };
                }
            }
            drop(guard);
            self.domain.collect();
        }
    }

    impl Drop for Links {
        fn drop(&mut self) {
            self.replace(false);
        }
    }

    fn check(shields: &[Option<Shield<'_>>]) {
        for (at, shield) in shields.iter().enumerate() {
            if let Some(shield) = shield {
                // SAFETY: nobody has a `&mut` to it.
                assert_eq!(unsafe { shield.as_ref() }, Some(&at));
            }
        }
    }

    /// Shields beyond a guard's own block come and go in any order: what the others protect stays, and
    /// no more blocks are leased than are needed.
    #[test]
    fn shields_of_many_blocks_go_in_any_order() {
        let links = Links::new();
        // In turn, in orders that look random, and backwards. Under Miri they are few.
        let steps: &[_] = if cfg!(miri) { &[7, MANY - 1] } else { &[1, 3, 7, 9, 11, MANY - 1] };
        for step in steps {
            let guard = links.domain.pin();
            let mut shields = links.protect_all(&guard);
            let order: Vec<_> = (0..MANY).map(|at| at * step % MANY).collect();
            for round in order.chunks(MANY / if cfg!(miri) { 3 } else { 4 }) {
                round.iter().for_each(|&at| shields[at] = None);
                links.replace(true);
                check(&shields);
                // Some again, of other objects.
                let some = &round[..round.len() / 2];
                some.iter().for_each(|&at| shields[at] = Some(links.protect(&guard, at)));
                links.replace(true);
                check(&shields);
                some.iter().for_each(|&at| shields[at] = None);
            }
            let shields = links.protect_all(&guard);
            links.replace(true);
            check(&shields);
            // A guard within the guard has had a block, too.
            assert_eq!(blocks(&links.domain), MANY / SLOTS + 1);
        }
    }

    /// What guards had in addition is put aside when all of them have ended, not earlier, and is used
    /// again then.
    #[test]
    fn blocks_are_put_aside_and_used_again() {
        let links = Links::new();
        for _ in 0..3 {
            let outer = links.domain.pin();
            let shields = links.protect_all(&outer);
            let inner = links.domain.pin();
            drop(links.protect_all(&inner));
            drop(inner);
            assert_eq!(blocks(&links.domain), 2 * MANY / SLOTS);
            links.replace(true);
            check(&shields);
            drop(shields);
            drop(outer);
            // The record's own, and that of guards within others.
            assert_eq!(blocks(&links.domain), 2);
        }
    }

    /// Retires so many objects, under one guard.
    fn retire(guard: &Guard<'_, Hazard>, objects: usize) {
        for at in 0..objects {
            // SAFETY: made in this domain, and known to nobody else.
            unsafe { guard.retire(guard.owned(at).into_ptr()) };
        }
    }

    /// Has a barrier pass all tickets up to now, which are not greater than what is returned.
    fn pass_a_ticket(barriers: &barrier::Barriers) -> u64 {
        let ticket = barriers.ticket();
        while barriers.finished() <= ticket {
            assert_ne!(barriers.issue(true), Issued::Refused);
        }
        ticket
    }

    /// What a barrier has not served is still due: else it would wait for a batch more.
    #[test]
    fn what_a_scan_has_not_looked_at_is_due() {
        let domain = Domain::new();
        let guard = domain.pin();
        let (state, record) = (domain.domain(), domain.domain().mine().unwrap());
        let barriers = state.records.barriers();
        retire(&guard, BLOCK);
        let passed = pass_a_ticket(barriers);
        retire(&guard, BLOCK);
        // SAFETY: the calling thread's own record, and no user code runs.
        let (fresh, due) = unsafe {
            state.scan(record, passed + 1);
            record.with_bag(|bag| (bag.fresh().objects, record.due(bag, BLOCK))).unwrap()
        };
        assert_eq!((fresh, due), (BLOCK, Due::Now));
    }

    /// What exited threads have left is looked at by who adopts it, though it is younger than others'
    /// last barrier.
    #[test]
    fn what_is_adopted_is_looked_at() {
        let domain = Builder::new().max_batch(2 * BLOCK).build();
        let guard = domain.pin();
        retire(&guard, BLOCK);
        pass_a_ticket(domain.domain().records.barriers());
        std::thread::scope(|scope| {
            scope.spawn(|| retire(&domain.pin(), 5)).join().expect("it is well");
        });
        retire(&guard, BLOCK);
        let record = domain.domain().mine().unwrap();
        // SAFETY: the calling thread's own record, and no user code runs.
        let fresh = || unsafe { record.with_bag(|bag| bag.fresh().objects) }.unwrap();
        // Other tests' barriers may put it off.
        while fresh() >= 2 * BLOCK {
            retire(&guard, 8);
            guard.reclaim(8);
        }
        assert_eq!(fresh(), 0);
    }

    #[test]
    fn a_crowd_that_has_gone_does_not_make_batches_large() {
        const THREADS: usize = if cfg!(miri) { 6 } else { 100 };
        let domain = Builder::new().max_batch(SLOTS).build();
        let meeting = std::sync::Barrier::new(THREADS);
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for _ in 0..THREADS {
                threads.push(scope.spawn(|| {
                    let guard = domain.pin();
                    meeting.wait();
                    retire(&guard, 1);
                    domain.collect();
                    meeting.wait();
                }));
            }
            // Each of them: a scope alone does not wait for what a thread does at its exit.
            threads.into_iter().for_each(|thread| thread.join().expect("it is well"));
        });
        let batch = || domain.domain().batch();
        assert!(batch() >= 2 * SLOTS * (THREADS - 1), "all have had a record: {}", batch());
        retire(&domain.pin(), 1);
        domain.collect();
        assert_eq!(batch(), 2 * SLOTS);
    }
}
