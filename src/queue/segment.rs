//! A segment of a queue: an array of cells, each of which is used once.
//!
//! Pushers and poppers take numbers, each side from a counter of its own, and so meet in cells: the
//! pusher with number `i` and the popper with number `i` have cell `i` between them, and if the segment has
//! no owner (see below) it is decided once, by a CAS from `EMPTY`:
//!
//! ```text
//!            the pusher has put its value in
//!         ┌───────────────────────────────────> FULL      the popper takes the value
//! EMPTY ──┤
//!         └───────────────────────────────────> POISONED  each goes on to another cell
//!            the popper came first (or `seal`, or a peek)
//! ```
//!
//! # A pusher's own segment
//!
//! Where one thread alone pushes, there is nobody with whom to agree on a cell. So a segment may have an
//! *owner*, the thread that makes it: it puts its value into the next cell first, which is nobody else's,
//! and then takes the number. With this one CAS the cell is full, whatever its state, and there is nothing
//! to poison: a popper that has a number which the owner has not taken *ends* the segment, by a flag in
//! `enqueue`, and so does anyone else who wants to push, or closes the queue. After that no number is taken
//! any more, and the next segment goes behind it, though there are cells left.
//!
//! A segment gets an owner when, for all that is seen, the thread that makes it has filled the one before
//! alone. One that comes after one that was ended is not taken for such: so of three segments in a row one
//! at most is ended with cells left.
//!
//! # Invariants
//!
//! - **C1.** `dequeue` and `enqueue` never fall below what they have reached, as far as it is less
//!   than the number of cells; so each cell is *claimed* by one pusher at most, and by one popper at
//!   most. (A claim beyond the last cell is worth nothing, and given back.)
//! - **C2.** A cell's state changes once, from `EMPTY`; by a CAS, or by the owner.
//!
//! Without an owner:
//!
//! - **C3.** The place of a cell's value is written by the pusher that has claimed it, before its
//!   CAS, and moved out by the popper that has claimed it, after it has found the cell `FULL`. Its
//!   bytes stay as they are: who finds a cell `FULL` may copy them at any later time.
//! - **C4.** A cell that is claimed by a pusher and not `FULL` has no value: that is still the
//!   pusher's.
//! - **C5.** Nobody waits: a popper that finds its cell `EMPTY` looks a few times more, which spares
//!   both a second attempt if the pusher is just about it, and then poisons it.
//!
//! With an owner:
//!
//! - **C7.** A cell is full if and only if its number was taken, whatever its state. What is in the place of
//!   a cell whose number was not is nobody's concern but the owner's: it may have written there, and been
//!   ended before it took the number. That no other thread has its name, and that it sees its own last
//!   number (N4 of [`counter`](super::counter)), is what makes the place its own. It marks the cell `FULL`
//!   when it has taken the number, for those who pop, who then need not look at `enqueue`, which is in its
//!   cache. Who has full cells before him copies as in C3.
//!
//! And of both kinds:
//!
//! - **C6.** *One order.* What decides an answer stands in three words: `dequeue`, `enqueue` and
//!   `next`; and where nothing is claimed or decided (`look`), in the states of cells as well. Were they
//!   changed and looked at with Acquire and Release only, one thread could claim in `dequeue` and see an
//!   old `enqueue`, another one claim in `enqueue` and see an old `dequeue`, and no order of their
//!   operations would explain both answers; nor if one filled a cell and saw an old `dequeue`, and
//!   another one claimed there and saw that cell empty. So these are SeqCst, the CAS that fills a cell
//!   among them, and so are `look`'s loads of states. It loads them after `enqueue`, and what is full
//!   stays so: what it finds not to be full was not when it loaded `enqueue`. Others do with Acquire
//!   there: if they do not see that a cell is full, they go by `enqueue`, or by a CAS on that cell, which
//!   finds what is there. (On x86 all that costs nothing: these CASes are locked instructions anyway, and
//!   the loads are plain. No model sees it, as loom takes such accesses for AcqRel, or nearly: what is
//!   proved with it is all but this. Miri sees what is said of states.) With an owner nothing is answered by
//!   states but that there is a value, so its mark is Release only.
//!
//! # Orderings
//!
//! `FULL` is set with Release and found with Acquire, at least: the value passes. `EMPTY` to `POISONED`
//! passes nothing. The counters: see the head of [the queue](super). With an owner a value passes by its
//! CAS of `enqueue`, too.

use core::hint;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{self, NonNull};

use super::counter::{Counter, NUMBERS, Next};
use crate::atomic::Atomic;
use crate::sync::{AtomicBool, AtomicU8, MODEL, Ordering, UnsafeCell, sized};
use crate::turn::Turn;

const EMPTY: u8 = 0;
const FULL: u8 = 1;
const POISONED: u8 = 2;

/// The size of a segment in bytes, where its values are not too large for that: with 112 words in it
/// the cost of a new one is shared by many, and a small queue is still small.
const BYTES: usize = 2 << 10;

/// So many cells there are at least, however large the values. (With 2 no popper has a number beyond an
/// owner's: loom does not see that, shuttle does.)
const FEWEST_CELLS: usize = sized(2, 3, 8);

/// What is written by one side is so many bytes away from what is written by the other: two cache
/// lines, as they are fetched in pairs. The segment itself is not aligned so: allocators take longer
/// for that, and a line that is shared with a neighbour's end does little harm.
const APART: usize = if MODEL { 0 } else { 128 };

/// How often a popper looks at an empty cell before it poisons it, C5.
const PATIENCE: u32 = if MODEL { 0 } else { 64 };

/// How cells are claimed and filled, and segments linked, and how it is looked which are. SeqCst: C6.
pub(super) const IN_ONE_ORDER: Ordering = Ordering::SeqCst;

/// How a popper claims a cell. See [`Segment::first`], too.
const POP: Ordering = IN_ONE_ORDER;

/// How a pusher does.
const PUSH: Ordering = IN_ONE_ORDER;

struct Cell<T> {
    state: AtomicU8,
    /// C3.
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Cell<T> {
    /// Puts a value in; false if the cell is poisoned, and the value still the caller's.
    ///
    /// # Safety
    /// The caller has claimed the cell for pushing, and does this once. If true is returned, the
    /// value was moved out of `value`.
    unsafe fn fill(&self, value: &ManuallyDrop<T>) -> bool {
        // SAFETY: C3: nobody reads it before it is full, nobody else writes it.
        self.value.with_mut(|place| unsafe { write_copy(value, place) });
        // C6. Release at least: publishes the value.
        self.state.compare_exchange(EMPTY, FULL, IN_ONE_ORDER, Ordering::Relaxed).is_ok()
    }

    /// C7: of an owner's cell that is full. The value is in it.
    fn set_full(&self) {
        // Release: publishes the value to those who look here only.
        self.state.store(FULL, Ordering::Release);
    }

    fn is_full(&self) -> bool {
        // Acquire: the value is seen.
        self.state.load(Ordering::Acquire) == FULL
    }

    /// As [`is_full`](Self::is_full), for who answers by it if it is not.
    fn is_full_in_one_order(&self) -> bool {
        // C6.
        self.state.load(IN_ONE_ORDER) == FULL
    }

    /// Whether it is full or poisoned, for good (C2).
    fn is_decided(&self) -> bool {
        // Acquire: as in `decide`.
        self.state.load(Ordering::Acquire) != EMPTY
    }

    /// Poisons the cell unless it is full; whether it is.
    fn decide(&self) -> bool {
        // Relaxed: poison publishes nothing. Acquire: the value is seen.
        let found =
            self.state.compare_exchange(EMPTY, POISONED, Ordering::Relaxed, Ordering::Acquire);
        found == Err(FULL)
    }

    /// A bitwise copy of the value.
    ///
    /// # Safety
    /// The caller has found the cell full. The value is its own if it has claimed the cell for popping
    /// and does this once; otherwise it is `Copy`.
    unsafe fn copy(&self) -> T {
        // SAFETY: C3.
        self.value.with(|place| unsafe { (*place).assume_init_read() })
    }
}

/// # Safety
/// `place` may be written to.
unsafe fn write_copy<T>(value: &ManuallyDrop<T>, place: *mut MaybeUninit<T>) {
    // SAFETY: the caller's; two places.
    unsafe { ptr::copy_nonoverlapping(ptr::from_ref(value).cast::<T>(), place.cast::<T>(), 1) };
}

/// As many cells as there is room for.
union Cells<T> {
    /// Gives it the alignment of cells, and room for a few.
    _fewest: ManuallyDrop<[Cell<T>; FEWEST_CELLS]>,
    /// Gives the segment its size.
    _room: [MaybeUninit<u8>; if MODEL { 0 } else { BYTES - 2 * APART }],
}

const WORD: usize = size_of::<usize>();

/// See the [module](self).
#[repr(C)]
pub(super) struct Segment<T> {
    /// The next cell for a popper; without names.
    dequeue: Counter<false>,
    /// The segment behind this one. Changes once, from null: to that, or to `CLOSED`.
    pub(super) next: Atomic<Self>,
    /// How many cells pushers have claimed in all segments before this one; wrapping.
    pub(super) position: usize,
    _apart: [MaybeUninit<u8>; APART.saturating_sub(3 * WORD)],
    /// The next cell for a pusher; with names, see [`counter`](super::counter).
    enqueue: Counter<true>,
    /// Whether several threads were pushing here, or so it seems: then the next segment has no owner.
    is_crowded: AtomicBool,
    _apart_too: [MaybeUninit<u8>; APART.saturating_sub(WORD + 1)],
    cells: Cells<T>,
}

/// Why nothing was found in a segment: nothing is left in it, and nothing comes. What is next is behind it.
pub(super) struct Exhausted;

impl<T> Segment<T> {
    pub(super) const CELLS: usize = size_of::<Cells<T>>() / size_of::<Cell<T>>();

    /// Makes a segment with a copy of `value` in its first cell, and nothing behind it.
    ///
    /// # Safety
    /// The place is the caller's, and suits a segment. When others find the segment, `value` was
    /// moved out.
    pub(super) unsafe fn make(place: NonNull<Self>, value: &ManuallyDrop<T>) {
        const { assert!(Self::CELLS <= NUMBERS / 2, "N3 of `counter`") }
        let place = place.as_ptr();
        // SAFETY: the caller's; no reference to the place is made.
        unsafe {
            (&raw mut (*place).dequeue).write(Counter::new(0));
            (&raw mut (*place).next).write(Atomic::null());
            (&raw mut (*place).position).write(0);
            (&raw mut (*place).enqueue).write(Counter::new(1));
            (&raw mut (*place).is_crowded).write(AtomicBool::new(false));
            let cells = (&raw mut (*place).cells).cast::<Cell<T>>();
            for index in 0..Self::CELLS {
                let cell = cells.add(index);
                let state = if index == 0 { FULL } else { EMPTY };
                (&raw mut (*cell).state).write(AtomicU8::new(state));
                (&raw mut (*cell).value).write(UnsafeCell::new(MaybeUninit::uninit()));
            }
            (*cells).value.with_mut(|place| write_copy(value, place));
        }
    }

    /// Makes a new segment, which nobody has seen yet, fit behind the one that is now the last; that is
    /// used up, or ended.
    pub(super) fn follow(&mut self, last: Option<&Self>) {
        let Some(last) = last else { return };
        let pushed = last.pushed();
        self.position = last.position.wrapping_add(pushed.number);
        // Relaxed: what is seen of others does no more than choose.
        self.is_crowded = AtomicBool::new(pushed.is_ended());
        let was_own = !pushed.is_behind_another()
            && !pushed.is_ended()
            && !last.is_crowded.load(Ordering::Relaxed);
        let own = if was_own { Counter::owned(1) } else { None };
        self.enqueue = own.unwrap_or_else(|| Counter::new(1));
    }

    fn cell(&self, index: usize) -> &Cell<T> {
        debug_assert!(index < Self::CELLS);
        // SAFETY: so many cells were made, and the union is large enough for them.
        unsafe { &*(&raw const self.cells).cast::<Cell<T>>().add(index) }
    }

    /// The first cell that no pusher has claimed; at most one beyond the last.
    fn pushed(&self) -> Next {
        // C6. Acquire at least: with an owner the values are seen, C7.
        let mut next = self.enqueue.next(IN_ONE_ORDER);
        next.number = next.number.min(Self::CELLS);
        next
    }

    /// How many cells pushers have claimed.
    pub(super) fn enqueued(&self) -> usize {
        self.pushed().number
    }

    /// The first cell that no popper has claimed.
    fn first(&self) -> Result<Next, Exhausted> {
        // C6. Acquire at least: pairs with the Release of those who have brought it there. What they
        // knew of the pushers (`enqueue`, and `next`) is known now.
        match self.dequeue.next(IN_ONE_ORDER) {
            first if first.number < Self::CELLS => Ok(first),
            _ => Err(Exhausted),
        }
    }

    /// The same, if there is a value in it, or may be.
    fn front(&self) -> Result<Option<Next>, Exhausted> {
        let first = self.first()?;
        if self.cell(first.number).is_full() {
            return Ok(Some(first));
        }
        match self.pushed() {
            pushed if first.number < pushed.number => Ok(Some(first)),
            pushed if pushed.is_ended() => Err(Exhausted),
            _ => Ok(None),
        }
    }

    /// Puts a value into the first cell that takes it; false if there is none left, and the value
    /// still the caller's.
    ///
    /// # Safety
    /// If true is returned, the value was moved out of `value`.
    #[inline]
    pub(super) unsafe fn push(&self, turn: &mut Turn, value: &ManuallyDrop<T>) -> bool {
        // SAFETY: the caller's.
        unsafe { self.push_at_once(value) || self.push_in_a_crowd(turn, value) }
    }

    /// As [`push`](Self::push), with one attempt: if false is returned, there may be cells left.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(super) unsafe fn push_at_once(&self, value: &ManuallyDrop<T>) -> bool {
        // Relaxed: a number only. The owner's is its own last one, as nobody else changes it (N4).
        let next = self.enqueue.next_own(Ordering::Relaxed);
        if next.number < Self::CELLS {
            // SAFETY: C1; the rest is the caller's.
            return self.enqueue.claims(next, PUSH)
                && unsafe { self.cell(next.number).fill(value) };
        }
        let next = next.of_owner();
        // SAFETY: the name is there, so by N4 the calling thread is the owner, and this is its next cell, if it
        // was not ended meanwhile; the rest is the caller's.
        next.number < Self::CELLS && unsafe { self.push_as_owner(next, value) }
    }

    /// # Safety
    /// As [`push`](Self::push); the calling thread is the owner, and what it has found is right, but that it
    /// may be ended.
    #[inline(always)]
    unsafe fn push_as_owner(&self, next: Next, value: &ManuallyDrop<T>) -> bool {
        let cell = self.cell(next.number);
        // SAFETY: C7: its number is not taken, as none but the owner takes any: so nobody reads it, and nobody
        // else writes it. If it is ended, nobody ever does.
        cell.value.with_mut(|place| unsafe { write_copy(value, place) });
        // Release at least: publishes the value.
        let pushed = self.enqueue.claims(next, PUSH);
        if pushed {
            cell.set_full();
        }
        pushed
    }

    /// # Safety
    /// As [`push`](Self::push).
    #[cold]
    unsafe fn push_in_a_crowd(&self, turn: &mut Turn, value: &ManuallyDrop<T>) -> bool {
        loop {
            // Relaxed: a number only.
            let next = self.enqueue.next(Ordering::Relaxed);
            if next.number >= Self::CELLS || next.is_ended() {
                // Who has used it up, or ended it, is about to link the next one.
                if next.is_behind_another() && !turn.is_overdue() {
                    turn.step_back(|| true);
                }
                return false;
            }
            if next.is_owned() {
                // C6: who finds what is linked behind it finds it ended.
                if self.enqueue.end_in_turn(turn, next, IN_ONE_ORDER) {
                    return false;
                }
                continue;
            }
            let Some(claimed) = self.enqueue.claim_in_turn(turn, next, PUSH) else { continue };
            if claimed >= Self::CELLS {
                // C1.
                self.enqueue.give_back();
                return false;
            }
            // Relaxed, both: it is a guess.
            if !self.is_crowded.load(Ordering::Relaxed) {
                self.is_crowded.store(true, Ordering::Relaxed);
            }
            // SAFETY: C1; the rest is the caller's.
            if unsafe { self.cell(claimed).fill(value) } {
                return true;
            }
        }
    }

    /// Takes the first value out, if there is one.
    #[inline]
    pub(super) fn pop(&self, turn: &mut Turn) -> Result<Option<T>, Exhausted> {
        match self.pop_at_once() {
            None => self.pop_in_a_crowd(turn),
            found => Ok(found),
        }
    }

    /// The first value, if one attempt is enough to take it out: if not, there may be one.
    #[inline(always)]
    pub(super) fn pop_at_once(&self) -> Option<T> {
        let first = self.dequeue.next_own(IN_ONE_ORDER);
        // If the cell is full, the pushers' counter, which is theirs, need not be looked at.
        if first.number >= Self::CELLS
            || !self.cell(first.number).is_full()
            || !self.dequeue.claims(first, POP)
        {
            return None;
        }
        // SAFETY: C1, C3 or C7: found full, and claimed by this thread alone.
        Some(unsafe { self.cell(first.number).copy() })
    }

    #[cold]
    fn pop_in_a_crowd(&self, turn: &mut Turn) -> Result<Option<T>, Exhausted> {
        loop {
            let Some(first) = self.front()? else { return Ok(None) };
            let Some(claimed) = self.dequeue.claim_in_turn(turn, first, POP) else { continue };
            if claimed < Self::CELLS && self.is_full_at_last(claimed) {
                // SAFETY: as in `pop`.
                return Ok(Some(unsafe { self.cell(claimed).copy() }));
            }
        }
    }

    /// A copy of the first value, if there is one.
    pub(super) fn peek(&self) -> Result<Option<T>, Exhausted>
    where
        T: Copy,
    {
        loop {
            let Some(first) = self.front()? else { return Ok(None) };
            if self.is_full_at_last(first.number) {
                // SAFETY: found full, and `Copy`.
                return Ok(Some(unsafe { self.cell(first.number).copy() }));
            }
            // There is nothing in it for a popper.
            self.dequeue.claims(first, POP);
        }
    }

    /// Whether there is a value in it, or in the segment behind it; decides nothing.
    pub(super) fn look(&self) -> Result<Option<()>, Exhausted> {
        let first = self.first()?;
        let pushed = self.pushed();
        let is_full = |index| pushed.is_owned() || self.cell(index).is_full_in_one_order();
        if (first.number..pushed.number).any(is_full) {
            return Ok(Some(()));
        }
        if pushed.is_ended() {
            return Err(Exhausted);
        }
        // C6: after `enqueue`, so who is told of a value here finds it. A segment is linked with one.
        let is_last = self.next.load(IN_ONE_ORDER).is_null();
        Ok(if is_last { None } else { Some(()) })
    }

    /// How many values are in it that nobody has claimed.
    pub(super) fn count(&self) -> usize {
        let first = self.dequeue.next(IN_ONE_ORDER).number;
        let pushed = self.pushed();
        let is_full = |index: &usize| pushed.is_owned() || self.cell(*index).is_full();
        (first..pushed.number).filter(is_full).count()
    }

    /// Decides all cells, or ends it: those that are not full never will be.
    pub(super) fn seal(&self) {
        if self.pushed().is_owned() {
            self.end_owned();
            return;
        }
        for cell in (0..Self::CELLS).map(|index| self.cell(index)) {
            // Who asks again and again whether the queue is closed only reads, from the second time on,
            // and leaves the lines to those who pop.
            if !cell.is_decided() {
                cell.decide();
            }
        }
    }

    /// C7: ends it, unless that was done; how many cells are full, for good.
    fn end_owned(&self) -> usize {
        let pushed = self.pushed();
        // (Who asks again only reads.) C6. Acquire at least: what was pushed meanwhile is seen, C7.
        let pushed = if pushed.is_ended() { pushed } else { self.enqueue.end(IN_ONE_ORDER) };
        pushed.number
    }

    /// C5: whether the cell is full now, or at once. If not, it is poisoned, or never reached.
    fn is_full_at_last(&self, index: usize) -> bool {
        let cell = self.cell(index);
        if cell.is_full() {
            return true;
        }
        let pushed = self.pushed();
        if pushed.is_owned() {
            return index < pushed.number || index < self.end_owned();
        }
        // A pusher is on its way.
        if index < pushed.number {
            let mut looks = PATIENCE;
            while looks > 0 {
                hint::spin_loop();
                if cell.is_full() {
                    return true;
                }
                looks -= 1;
            }
        }
        cell.decide()
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
#[path = "stops.rs"]
mod stops;
