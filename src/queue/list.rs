//! The list of segments: where values go in and out, how segments come and go.
//!
//! - *push*: protect the last segment, have it take the value. If it is used up, or ended, as it was
//!   another thread's own, CAS a new segment, with the value already in its first cell, from null into its
//!   `next`; then CAS the tail on to it. If there is a `next` already, help to move the tail, and go on
//!   there.
//! - *pop*: protect the first segment, have it give a value. If nothing is left in it, CAS the head on to its
//!   `next`, retire it, and go on there.
//! - *close*: CAS `CLOSED`, which is null with a tag, into the last segment's `next`; then seal that
//!   segment (or end it, if it has an owner), so that no cell of it is filled any more.
//!
//! The first segment is made by the first push: `head` is the `next` of nothing, and the tail is null
//! as long as it stands on nothing.
//!
//! # Invariants
//!
//! - **I1.** A segment's `next`, and `head` while it is null, change once: to a segment or to
//!   `CLOSED`. A segment is linked once, with a value in its first cell, and when no pusher claims a cell of
//!   the one before any more: all are claimed, or it was ended.
//! - **I2.** The head passes a segment in which no pusher claims a cell any more, when all that pushers have
//!   claimed were claimed by poppers (or are poisoned).
//!   So a value is never left behind: each is in a cell that some popper has claimed, or that is
//!   still in front of all of them.
//! - **I3.** *The tail is never behind the head.* Who moves the head on moves the tail first, if that
//!   is on the segment to be passed. (On nothing it is not any more: who has linked the next segment
//!   had found the tail on this one.) The tail is moved from one segment to the next only, so it never
//!   comes back.
//! - **I4.** A segment is retired by the one whose CAS has moved the head past it. Neither `head` nor
//!   `tail` leads to it any more (I3), and these are all that is protected from. Slow threads may
//!   still be about their cells in it, under their shields: pushers that have claimed one before, and
//!   find it poisoned, or a popper that waits for it; an owner that writes into a cell which it does not
//!   get any more, or marks one as full; poppers that take out what is theirs. A value in it belongs to
//!   one of those (I2), and is not dropped with it: so what is put off is a segment's memory only, and
//!   `T` need not be `'static`.
//! - **I5.** What is written into `head` and `tail` is never a dead segment's address. It was found as
//!   the `next` of a segment that is covered, and the CAS succeeds only if that one is still there:
//!   then it was not passed, so the next one was not either, and is not retired.
//! - **I6.** *Closed for good.* Who finds `CLOSED` seals the last segment before it tells anybody. Thus
//!   when the first one says that the queue is closed, no push claims a cell that it could fill. One
//!   that had claimed a cell of an earlier segment may still fill it: it counts as before the closing,
//!   and no pop passes by that cell.
//!
//! # Nobody waits, and it gets on
//!
//! A thread that stops for ever, wherever, leaves at most one cell undecided on either side. The other
//! side decides it, as far as it has to do with it: a pusher finds its cell poisoned, or a popper
//! poisons it, or ends the owner's segment. A popper that has claimed a cell and stops takes that cell's
//! value with it, if one comes: the one that was in its hands.
//!
//! *Could poppers poison for ever what pushers claim, and neither get on?* A popper claims a cell only
//! if it has seen a value in the queue, or a pusher's claim beyond its own; and what is poisoned is
//! never used again. So after as many failures as a segment has cells, somebody needs another
//! segment, and that comes with a value in it: a push has succeeded. A popper fails once for each
//! cell at most, and new cells come with successful pushes only. Thus both sides are lock-free. (That
//! the poppers show some patience makes it rare, and is not needed for this.) Nothing is claimed by a
//! pop that finds the queue empty.
//!
//! *Could they end one another's segments for ever?* Who ends a segment to push links the next one, with
//! its value, or finds one that another has linked, or that the queue is closed. An owner whose CAS fails has
//! been ended, and does the same. A popper ends a segment only if its number is beyond what it saw: then
//! others have popped. And each segment is ended once.
//!
//! # Linearization
//!
//! The order is that of the cells.
//!
//! - `push`: as soon as this or a later cell is full, or a segment behind it is linked: so between its
//!   claim and its own CAS, and of several in the order of their cells. Of an owner: at its claim.
//! - `pop` of a value: when it has claimed the cell; or, if that push came later, right after it.
//! - `pop`, `peek` that find nothing: when they load `enqueue`, after `dequeue`, and the latter is not
//!   less: each value that was pushed before is in a popper's cell. Or when they load a null `next`
//!   of a segment that is used up or ended, or a null `head`.
//! - `peek` of a value: when it has found the cell to be the first; or, as with `pop`, right after that
//!   push, if it came later. It may poison cells as a pop does, where there is no owner: what is behind an
//!   undecided cell is not the first value.
//! - `is_empty`: as a pop that finds nothing, if none of the cells that are claimed is full (an owner's
//!   all are), and there is no next segment; else when it loads `dequeue`; or, if the push of what it finds,
//!   in a cell or in the next segment, came later, right after that. A push that is under way does not
//!   count.
//! - `close`: when the first sealing of the last segment is complete; pushes that are under way in
//!   earlier segments come before it. `is_closed`: at its load of the link, or at the end of its sealing.
//! - `len` is no single moment's number.
//!
//! # Orderings
//!
//! A segment is published by the Release CAS of the link it hangs on. The CASes of head and tail pass
//! that on: who moves one to a segment has loaded the link with Acquire, and moves with Release.
//! Release at the head carries one thing more: the mover has seen the tail beyond the old segment, and
//! whoever loads the new head with Acquire will see it there or further on.
//!
//! In a segment, poppers claim with Release and load `dequeue` with Acquire. So who finds a claim knows
//! what its claimer knew of the pushers' side. If it did not, it might see the latest claim, but an
//! old `enqueue` (or `next`), and find nothing in a queue that was never empty.

use core::mem::ManuallyDrop;

use super::Queue;
use super::error::PushError;
use super::segment::{Exhausted, IN_ONE_ORDER, Segment};
use crate::atomic::{Atomic, Owned, Ptr};
use crate::domain::Reclaimer;
use crate::guard::{Guard, RECLAIM_BUDGET, Shield};
use crate::retired::Vtable;
use crate::scheme::Scheme;
use crate::sync::Ordering;
use crate::turn::Turn;

/// The tag of the null that ends a closed queue.
const CLOSED: usize = 1;

pub(super) type Link<T> = Atomic<Segment<T>>;

/// What stands at the end of the list.
struct End<'a, T> {
    /// The tail, as it was found: null before the first push.
    tail: Ptr<Segment<T>>,
    segment: Option<&'a Segment<T>>,
    /// Where the next segment goes, and what is there: null or `CLOSED`.
    link: &'a Link<T>,
    next: Ptr<Segment<T>>,
}

impl<T> End<'_, T> {
    fn is_closed(&self) -> bool {
        self.next.tag() == CLOSED
    }

    /// I6. Done by all who find it closed.
    fn seal(&self) {
        if let Some(segment) = self.segment {
            segment.seal();
        }
    }
}

impl<T, R: Reclaimer> Queue<T, R> {
    pub(super) fn push_in(
        &self,
        guard: &Guard<'_, R::Scheme>,
        value: T,
    ) -> Result<(), PushError<T>> {
        let value = ManuallyDrop::new(value);
        let mut turn = Turn::new();
        let mut last = guard.shield();
        last.protect(&self.tail);
        // SAFETY: what is in `tail` are segments of this domain, retired by I4 only.
        if let Some(segment) = unsafe { last.as_ref() } {
            // SAFETY: moved out if it is true.
            if unsafe { segment.push(&mut turn, &value) } {
                return Ok(());
            }
        }
        self.push_at_end(guard, turn, last, value)
    }

    /// As [`push_in`](Self::push_in), with a guard of its own. There is one attempt in it that calls
    /// nothing, so that the guard is in registers only; if that fails, all begins anew.
    #[inline]
    pub(super) fn push_pinning(&self, value: T) -> Result<(), PushError<T>> {
        let value = ManuallyDrop::new(value);
        let pushed = {
            let guard = self.reclaimer.pin();
            let mut last = guard.shield();
            last.protect(&self.tail);
            // SAFETY: as in `push_in`; moved out if it is true.
            unsafe { last.as_ref().is_some_and(|segment| segment.push_at_once(&value)) }
        };
        if pushed { Ok(()) } else { self.push_anew(ManuallyDrop::into_inner(value)) }
    }

    #[cold]
    #[inline(never)]
    fn push_anew(&self, value: T) -> Result<(), PushError<T>> {
        self.push_in(&self.reclaimer.pin(), value)
    }

    /// Puts a value in where there is no cell left. (With the caller's guard and shield: others of its
    /// own might need memory.)
    #[cold]
    fn push_at_end<'g>(
        &self,
        guard: &'g Guard<'_, R::Scheme>,
        mut turn: Turn,
        mut last: Shield<'g, Segment<T>, R::Scheme>,
        value: ManuallyDrop<T>,
    ) -> Result<(), PushError<T>> {
        let mut spare = None;
        loop {
            // While others go from segment to segment, the lines of these are left to them. Relaxed: only
            // looked at.
            turn.wait_again(|| self.tail.load(Ordering::Relaxed));
            let end = self.end(&mut last);
            if let Some(segment) = end.segment {
                // SAFETY: moved out if it is true.
                if unsafe { segment.push(&mut turn, &value) } {
                    return Ok(());
                }
            }
            if end.is_closed() {
                end.seal();
                return Err(PushError::Closed(ManuallyDrop::into_inner(value)));
            }
            let Some(mut new) = spare.or_else(|| Self::segment(guard, &value)) else {
                return Err(PushError::NoMemory(ManuallyDrop::into_inner(value)));
            };
            new.follow(end.segment);
            let new = new.into_ptr();
            // I1. Release: publishes the segment; C6. Relaxed: what was found is loaded again.
            let linked = end.link.compare_exchange(end.next, new, IN_ONE_ORDER, Ordering::Relaxed);
            if linked.is_ok() {
                self.move_tail(end.tail, new);
                return Ok(());
            }
            // SAFETY: it was not linked. The value in it is only a copy.
            spare = Some(unsafe { Owned::from_ptr(new) });
        }
    }

    /// A new segment, with a copy of the value.
    pub(super) fn segment(
        guard: &Guard<'_, R::Scheme>,
        value: &ManuallyDrop<T>,
    ) -> Option<Owned<Segment<T>, R::Scheme>> {
        let vtable = Vtable::of::<<R::Scheme as Scheme>::Header, Segment<T>>();
        // SAFETY: a vtable for headers of this scheme.
        let place = unsafe { guard.try_place(vtable) }?.cast();
        // SAFETY: the node's own place; a segment has nothing to drop, so the copy may be forgotten.
        unsafe {
            Segment::make(place, value);
            Some(Owned::from_raw(place))
        }
    }

    /// Finds the end of the list, and has the tail there.
    fn end<'a>(&'a self, last: &'a mut Shield<'_, Segment<T>, R::Scheme>) -> End<'a, T> {
        loop {
            let tail = last.protect(&self.tail);
            // SAFETY: as in `push_in`. It borrows from the shield, which is told to the compiler when
            // the loop ends.
            let segment = unsafe { tail.as_ref() };
            // Acquire: what it finds may become the tail; C6.
            let link = segment.map_or(&*self.head, |segment| &segment.next);
            let next = link.load(IN_ONE_ORDER);
            if next.is_null() {
                return End { tail, segment, link, next };
            }
            // If the tail is still on nothing, the head is on the first segment (I3).
            self.move_tail(tail, next);
        }
    }

    /// Moves the tail from a segment, or from nothing, to the next, unless another thread has.
    fn move_tail(&self, tail: Ptr<Segment<T>>, next: Ptr<Segment<T>>) {
        // I5. Release: passes on that `next` is initialised.
        let _ = self.tail.compare_exchange(tail, next, Ordering::Release, Ordering::Relaxed);
    }

    /// Looks into the first segment, and those behind it, until there is an answer; `None` if there is
    /// none.
    #[inline]
    fn at_head<X>(
        &self,
        guard: &Guard<'_, R::Scheme>,
        look: impl Fn(&Segment<T>, &mut Turn) -> Result<Option<X>, Exhausted>,
    ) -> Option<X> {
        let mut turn = Turn::new();
        let mut first = guard.shield();
        loop {
            // That there is no segment is an answer: C6.
            if first.protect(&self.head).is_null() && self.head.load(IN_ONE_ORDER).is_null() {
                return None;
            }
            // SAFETY: what is in `head` are segments of this domain, retired by I4 only.
            let Some(segment) = (unsafe { first.as_ref() }) else { continue };
            if let Ok(found) = look(segment, &mut turn) {
                return found;
            }
            // As in `push_at_end`.
            turn.wait_again(|| self.head.load(Ordering::Relaxed));
            if !self.move_head(guard, first.ptr(), segment) {
                return None;
            }
        }
    }

    /// Moves the head on from a segment in which nothing is left (I2); false if there is none behind it.
    #[cold]
    fn move_head(
        &self,
        guard: &Guard<'_, R::Scheme>,
        head: Ptr<Segment<T>>,
        segment: &Segment<T>,
    ) -> bool {
        // Acquire: the segment is followed; C6.
        let next = segment.next.load(IN_ONE_ORDER);
        if next.is_null() {
            return false;
        }
        // I3. Relaxed: only compared; coherence with what the head's mover saw is enough.
        if self.tail.load(Ordering::Relaxed) == head {
            self.move_tail(head, next);
        }
        // I5. Release: see the head of this file.
        let moved =
            self.head.compare_exchange(head, next, Ordering::Release, Ordering::Relaxed).is_ok();
        if moved {
            // SAFETY: I4. Its drop does nothing.
            unsafe { guard.retire(head) };
            guard.reclaim(RECLAIM_BUDGET);
        }
        true
    }

    pub(super) fn pop_in(&self, guard: &Guard<'_, R::Scheme>) -> Option<T> {
        self.at_head(guard, Segment::pop)
    }

    /// As [`pop_in`](Self::pop_in), with a guard of its own; see [`push_pinning`](Self::push_pinning).
    #[inline]
    pub(super) fn pop_pinning(&self) -> Option<T> {
        let found = {
            let guard = self.reclaimer.pin();
            let mut first = guard.shield();
            first.protect(&self.head);
            // SAFETY: what is in `head` are segments of this domain, retired by I4 only.
            unsafe { first.as_ref() }.and_then(Segment::pop_at_once)
        };
        found.or_else(|| self.pop_anew())
    }

    #[cold]
    #[inline(never)]
    fn pop_anew(&self) -> Option<T> {
        self.pop_in(&self.reclaimer.pin())
    }

    pub(super) fn peek_in(&self, guard: &Guard<'_, R::Scheme>) -> Option<T>
    where
        T: Copy,
    {
        self.at_head(guard, |segment, _| segment.peek())
    }

    pub(super) fn is_empty_in(&self, guard: &Guard<'_, R::Scheme>) -> bool {
        self.at_head(guard, |segment, _| segment.look()).is_none()
    }

    pub(super) fn len_in(&self, guard: &Guard<'_, R::Scheme>) -> usize {
        let (mut first, mut last) = (guard.shield(), guard.shield());
        first.protect(&self.head);
        // SAFETY: what is in `head` are segments of this domain, retired by I4 only.
        let Some(first) = (unsafe { first.as_ref() }) else { return 0 };
        // The tail is not null any more, as the head is not; and it is not behind that (I3), unless
        // the head was found long ago.
        let Some(last) = self.end(&mut last).segment else { return 0 };
        match last.position.wrapping_sub(first.position) {
            cells if cells == 0 || cells > usize::MAX / 2 => first.count(),
            // Saturating: the first one may have been found long ago, and positions have come round since.
            cells => cells.saturating_sub(first.enqueued()) + first.count() + last.count(),
        }
    }

    pub(super) fn close_in(&self, guard: &Guard<'_, R::Scheme>) -> bool {
        let mut last = guard.shield();
        loop {
            let end = self.end(&mut last);
            // C6. Relaxed: what was found is loaded again.
            let closed = !end.is_closed()
                && end
                    .link
                    .compare_exchange(
                        end.next,
                        end.next.with_tag(CLOSED),
                        IN_ONE_ORDER,
                        Ordering::Relaxed,
                    )
                    .is_ok();
            if closed || end.is_closed() {
                end.seal();
                return closed;
            }
        }
    }

    pub(super) fn is_closed_in(&self, guard: &Guard<'_, R::Scheme>) -> bool {
        let mut last = guard.shield();
        let end = self.end(&mut last);
        if end.is_closed() {
            end.seal();
        }
        end.is_closed()
    }

    /// Takes the first value out of a queue that nobody else uses.
    pub(super) fn take_first(&mut self) -> Option<T> {
        loop {
            // Relaxed, here and below: the queue is borrowed exclusively.
            let head = self.head.load(Ordering::Relaxed);
            // SAFETY: linked segments are alive.
            let segment = unsafe { head.as_ref() }?;
            if let Ok(found) = segment.pop(&mut Turn::new()) {
                return found;
            }
            let next = segment.next.load(Ordering::Relaxed);
            if next.is_null() {
                return None;
            }
            let tail = self.tail.load(Ordering::Relaxed);
            if tail == head || tail.is_null() {
                self.tail.store(next, Ordering::Relaxed);
            }
            self.head.store(next, Ordering::Relaxed);
            // SAFETY: unlinked, and nobody else is in the queue. It has no value any more.
            drop(unsafe { Owned::<_, R::Scheme>::from_ptr(head) });
        }
    }

    /// Frees the last segment, which has no value any more.
    pub(super) fn free_last(&mut self) {
        let head = self.head.load(Ordering::Relaxed);
        if !head.is_null() {
            // SAFETY: the queue is going, and it is its last segment.
            drop(unsafe { Owned::<_, R::Scheme>::from_ptr(head) });
        }
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use core::sync::atomic::AtomicBool;

    use super::{Ordering, Segment};
    use crate::Queue;

    /// Where words have 32 bits, a queue may have had as many cells as that.
    #[test]
    fn cells_are_counted_beyond_the_last_number() {
        // Under Miri large ones, of which few are in a segment.
        const WORDS: usize = if cfg!(miri) { 64 } else { 1 };
        const CELLS: usize = Segment::<[usize; WORDS]>::CELLS;
        let queue = Queue::<[usize; WORDS]>::new();
        queue.push([0; WORDS]);
        let first = queue.head.load(Ordering::Relaxed).as_raw();
        // SAFETY: the first segment, and nobody else is here.
        unsafe { (*first).position = usize::MAX - CELLS };
        for value in 1..4 * CELLS {
            queue.push([value; WORDS]);
            assert_eq!(queue.len(), value + 1);
        }
        for value in 0..4 * CELLS {
            assert_eq!(queue.pop(), Some([value; WORDS]));
            assert_eq!(queue.len(), 4 * CELLS - value - 1);
        }
    }

    /// Who looks into a queue, after he has done what a pusher did not see afterwards, comes after him; also
    /// where there was no segment before. (It takes Miri to fail.)
    #[test]
    fn who_finds_no_segment_comes_before_all_who_do() {
        for _ in 0..10 {
            let queue = Queue::<u64>::new();
            let (done, turn) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let queue = queue.pin();
                    // Relaxed: time, and nothing else, makes him the second.
                    while !turn.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    done.store(true, Ordering::SeqCst);
                    assert!(!queue.is_empty());
                });
                let queue = queue.pin();
                queue.push(7);
                assert!(!done.load(Ordering::SeqCst));
                turn.store(true, Ordering::Relaxed);
            });
        }
    }
}
