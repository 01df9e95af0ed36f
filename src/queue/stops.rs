//! A thread that stops for ever, at each point where it can: the others lose nothing but what was in
//! its hands, see nothing twice, and get on.
//!
//! No thread is needed for that: what it has done before it stopped is done here step by step, and
//! what it had still to do is left out.

use std::mem::ManuallyDrop;

use super::{Counter, Segment};
use crate::atomic::{Owned, Ptr};
use crate::domain::{Domain, Reclaimer};
use crate::queue::{PushError, Queue};
use crate::sync::Ordering::SeqCst;
use crate::{Epoch, Hazard, Scheme};

/// So large that a segment has few cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Large(u64, [u64; 63]);

const fn large(number: u64) -> Large {
    Large(number, [number; 63])
}

const CELLS: usize = Segment::<Large>::CELLS;

type OwnQueue<S> = Queue<Large, Domain<S>>;

fn first<S: Scheme>(queue: &OwnQueue<S>) -> Ptr<Segment<Large>> {
    queue.head.load(SeqCst)
}

fn at<'a>(segment: Ptr<Segment<Large>>) -> Option<&'a Segment<Large>> {
    // SAFETY: the tests below pass no segment while they use it.
    unsafe { segment.as_ref() }
}

fn claim<const NAMED: bool>(counter: &Counter<NAMED>) -> usize {
    counter.claim(counter.next(SeqCst), SeqCst)
}

/// Where a thread stops.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// A push that has claimed a cell.
    PushHasClaimed,
    /// A push that has linked a segment, with its value in it, and not moved the tail.
    PushHasLinked,
    /// A pop that has claimed a cell: the value in it is in its hands, or will be.
    PopHasClaimed,
    /// A pop that has claimed a cell and poisoned it.
    PopHasPoisoned,
    /// A peek that has poisoned the cell of a push that had claimed it, and stopped too.
    PeekHasPoisoned,
    /// A pop that has moved the head past a segment and not retired it.
    PopHasMovedTheHead,
}

const STOPS: [Stop; 6] = [
    Stop::PushHasClaimed,
    Stop::PushHasLinked,
    Stop::PopHasClaimed,
    Stop::PopHasPoisoned,
    Stop::PeekHasPoisoned,
    Stop::PopHasMovedTheHead,
];

impl Stop {
    /// Does all that comes before the stop. Returns the value that the thread has put in, if any, and
    /// whether it takes one with it; `None` if the queue is not such that it could stop there.
    fn stop<S: Scheme>(self, queue: &OwnQueue<S>, next: u64) -> Option<(Option<Large>, bool)> {
        let head = at(first(queue))?;
        let tail = at(queue.tail.load(SeqCst))?;
        match self {
            Self::PushHasClaimed => {
                if tail.enqueued() == CELLS {
                    return None;
                }
                claim(&tail.enqueue);
                Some((None, false))
            }
            Self::PushHasLinked => {
                if tail.enqueued() < CELLS {
                    return None;
                }
                let value = ManuallyDrop::new(large(next));
                let mut new = OwnQueue::<S>::segment(&queue.reclaimer().pin(), &value)?;
                new.ordinal = tail.ordinal.wrapping_add(1);
                tail.next.store(new.into_ptr(), SeqCst);
                Some((Some(*value), false))
            }
            Self::PopHasClaimed => {
                let index = claim(&head.dequeue);
                (index < CELLS).then_some((None, true))
            }
            Self::PopHasPoisoned => {
                let index = head.dequeue.next(SeqCst).number;
                if index >= CELLS || head.cell(index).is_full() {
                    return None;
                }
                claim(&head.dequeue);
                assert!(!head.cell(index).decide());
                Some((None, false))
            }
            Self::PeekHasPoisoned => {
                let index = head.dequeue.next(SeqCst).number;
                if index >= CELLS || head.enqueued() != index {
                    return None;
                }
                claim(&head.enqueue);
                assert!(!head.cell(index).decide());
                Some((None, false))
            }
            Self::PopHasMovedTheHead => {
                let next = head.next.load(SeqCst);
                if head.dequeue.next(SeqCst).number < CELLS || next.is_null() {
                    return None;
                }
                let passed = first(queue);
                if queue.tail.load(SeqCst) == passed {
                    queue.tail.store(next, SeqCst);
                }
                queue.head.store(next, SeqCst);
                // What it keeps for ever is freed, for the leak checkers' sake.
                // SAFETY: unlinked, and nobody else is there.
                drop(unsafe { Owned::<_, S>::from_ptr(passed) });
                Some((None, false))
            }
        }
    }
}

/// What is in a queue, told by a model, with what a stopped pop takes with it.
fn check<S: Scheme>(stop: Stop, passed: usize, held: usize) -> bool {
    let queue = OwnQueue::<S>::with_reclaimer(Domain::new());
    let mut model = std::collections::VecDeque::new();
    let mut next = 0;
    let mut push = |queue: &OwnQueue<S>, model: &mut std::collections::VecDeque<_>| {
        queue.push(large(next));
        model.push_back(large(next));
        next += 1;
    };
    for _ in 0..passed {
        push(&queue, &mut model);
        assert_eq!(queue.pop(), model.pop_front());
    }
    (0..held).for_each(|_| push(&queue, &mut model));
    let Some((pushed, takes)) = stop.stop(&queue, 1_000) else { return false };
    model.extend(pushed);
    let mut taken = None;
    if takes {
        taken = model.pop_front();
    }
    // The others get on. A pop that stopped with an empty cell takes what comes into that.
    let rounds = if cfg!(miri) { CELLS + 2 } else { 3 * CELLS };
    for round in 0..rounds {
        push(&queue, &mut model);
        if takes && taken.is_none() {
            taken = model.pop_back();
            continue;
        }
        assert!(!queue.is_empty(), "{stop:?} after {passed} with {held}");
        assert_eq!(queue.peek(), model.front().copied(), "{stop:?} after {passed} with {held}");
        if round % 3 > 0 {
            assert_eq!(queue.pop(), model.pop_front(), "{stop:?} after {passed} with {held}");
        }
    }
    assert_eq!(queue.len(), model.len(), "{stop:?} after {passed} with {held}");
    while !model.is_empty() {
        assert_eq!(queue.pop(), model.pop_front(), "{stop:?} after {passed} with {held}");
    }
    assert_eq!((queue.pop(), queue.peek(), queue.len()), (None, None, 0));
    assert!(queue.is_empty());
    true
}

fn check_all<S: Scheme>() {
    for stop in STOPS {
        let mut stopped = 0;
        // Under Miri only those that lead to each of the stops.
        let few = cfg!(miri);
        let all_passed = (0..=CELLS + 1).filter(|passed| !few || [0, 3, CELLS].contains(passed));
        for passed in all_passed {
            for held in [0, 1, CELLS - 1, CELLS, CELLS + 1] {
                if !few || [0, 1, CELLS].contains(&held) {
                    stopped += usize::from(check::<S>(stop, passed, held));
                }
            }
        }
        assert!(stopped > 0, "{stop:?}: the test is in vain");
    }
}

#[test]
fn nothing_is_lost_with_a_thread_that_stops_for_ever() {
    check_all::<Epoch>();
}

#[test]
fn nothing_is_lost_with_a_thread_that_stops_for_ever_with_hazard_pointers() {
    check_all::<Hazard>();
}

/// A thread that has closed the queue and not sealed it: whoever says that it is closed has done so.
#[test]
fn a_thread_that_stops_while_it_closes_leaves_no_way_in() {
    for held in 0..=CELLS {
        let queue = OwnQueue::<Epoch>::with_reclaimer(Domain::new());
        (0..held as u64).for_each(|number| queue.push(large(number)));
        let pending = at(queue.tail.load(SeqCst)).map(|tail| {
            // A push that has claimed a cell, and will go on.
            let claimed = claim(&tail.enqueue);
            tail.next.store(Ptr::null().with_tag(1), SeqCst);
            (tail, claimed)
        });
        if pending.is_none() {
            queue.head.store(Ptr::null().with_tag(1), SeqCst);
        }
        let mut next = held as u64;
        match held % 3 {
            0 => assert!(queue.is_closed()),
            1 => assert!(!queue.close(), "it was closed by the other"),
            // Until somebody says so, it is open.
            _ => loop {
                match queue.try_push(large(next)) {
                    Ok(()) => next += 1,
                    Err(error) => {
                        assert_eq!(error, PushError::Closed(large(next)));
                        break;
                    }
                }
            },
        }
        if let Some((tail, claimed)) = pending
            && claimed < CELLS
        {
            let value = ManuallyDrop::new(large(7));
            // SAFETY: it has claimed the cell.
            assert!(!unsafe { tail.cell(claimed).fill(&value) }, "it came in after the end");
        }
        assert_eq!(queue.len() as u64, next);
        assert!(queue.into_iter().map(|value| value.0).eq(0..next));
    }
}

/// Claims beyond the last cell are given back: the counter does not run away on a closed queue.
#[test]
fn refused_pushes_leave_the_counter_where_it_was() {
    let queue = OwnQueue::<Epoch>::with_reclaimer(Domain::new());
    queue.push(large(1));
    queue.close();
    for _ in 0..5 * CELLS {
        assert!(queue.try_push(large(2)).is_err());
    }
    assert_eq!(at(first(&queue)).unwrap().enqueue.next(SeqCst).number, CELLS);
    assert_eq!((queue.pop(), queue.pop(), queue.len()), (Some(large(1)), None, 0));
}
