//! A thread that stops for ever, at each point where it can: the others lose nothing but what was in
//! its hands, see nothing twice, and get on.
//!
//! No thread is needed for that: what it has done before it stopped is done here step by step, and
//! what it had still to do is left out. Only where a segment has an owner it matters who the others are,
//! so all is done twice: they are the same thread, or one that owns nothing.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::mem::ManuallyDrop;

use super::{Counter, Segment, write_copy};
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
    /// A push of an owner that has put its value in, and not taken the number.
    OwnerHasWritten,
    /// A push of an owner that has taken the number, and not told the cell.
    OwnerHasClaimed,
    /// A push that has ended another one's segment, and not linked the next one.
    PushHasEnded,
    /// A push that has linked a segment, with its value in it, and not moved the tail.
    PushHasLinked,
    /// A pop that has claimed a cell: the value in it is in its hands, or will be.
    PopHasClaimed,
    /// A pop that has claimed a cell and poisoned it, or ended the segment.
    PopHasPoisoned,
    /// A peek that has poisoned the cell of a push that had claimed it, and stopped too.
    PeekHasPoisoned,
    /// A pop that has moved the head past a segment and not retired it.
    PopHasMovedTheHead,
}

const STOPS: [Stop; 9] = [
    Stop::PushHasClaimed,
    Stop::OwnerHasWritten,
    Stop::OwnerHasClaimed,
    Stop::PushHasEnded,
    Stop::PushHasLinked,
    Stop::PopHasClaimed,
    Stop::PopHasPoisoned,
    Stop::PeekHasPoisoned,
    Stop::PopHasMovedTheHead,
];

impl Stop {
    /// Does all that comes before the stop. Returns the value that the thread has put in, if any, and
    /// whether it takes one with it; `None` if the queue is not such that it could stop there.
    fn stop<S: Scheme>(
        self,
        queue: &OwnQueue<S>,
        next: u64,
        others: Others,
    ) -> Option<(Option<Large>, bool)> {
        let head = at(first(queue))?;
        let tail = at(queue.tail.load(SeqCst))?;
        let pushed = tail.pushed();
        let has_owner = pushed.is_owned() && !pushed.is_ended();
        let value = ManuallyDrop::new(large(next));
        match self {
            Self::PushHasClaimed => {
                if pushed.is_owned() || pushed.number == CELLS {
                    return None;
                }
                claim(&tail.enqueue);
                Some((None, false))
            }
            Self::OwnerHasWritten => {
                if !has_owner || pushed.number == CELLS {
                    return None;
                }
                let place = &tail.cell(pushed.number).value;
                // SAFETY: this thread is the owner.
                place.with_mut(|place| unsafe { write_copy(&value, place) });
                Some((None, false))
            }
            Self::OwnerHasClaimed => {
                Self::OwnerHasWritten.stop(queue, next, others)?;
                assert!(tail.enqueue.claims(pushed, SeqCst));
                Some((Some(*value), false))
            }
            Self::PushHasEnded => {
                if !has_owner {
                    return None;
                }
                tail.end_owned();
                Some((None, false))
            }
            Self::PushHasLinked => {
                if pushed.number < CELLS && !pushed.is_ended() {
                    return None;
                }
                let mut new = OwnQueue::<S>::segment(&queue.reclaimer().pin(), &value)?;
                new.follow(Some(tail));
                tail.next.store(new.into_ptr(), SeqCst);
                Some((Some(*value), false))
            }
            Self::PopHasClaimed => {
                let index = claim(&head.dequeue);
                // Into an owner's cell that is empty nobody else puts anything.
                let is_in_vain = index >= head.enqueued()
                    && head.pushed().is_owned()
                    && others == Others::AnotherThread;
                (index < CELLS).then_some((None, !is_in_vain))
            }
            Self::PopHasPoisoned => {
                let index = head.dequeue.next(SeqCst).number;
                if index >= CELLS || head.cell(index).is_full() {
                    return None;
                }
                claim(&head.dequeue);
                assert!(!head.is_full_at_last(index));
                Some((None, false))
            }
            Self::PeekHasPoisoned => {
                let index = head.dequeue.next(SeqCst).number;
                if index >= CELLS || head.enqueued() != index || head.pushed().is_owned() {
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

/// Who goes on when a thread has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Others {
    ThisThread,
    AnotherThread,
}

const OTHERS: [Others; 2] = [Others::ThisThread, Others::AnotherThread];

impl Others {
    fn go_on(self, work: impl FnOnce() + Send) {
        match self {
            Self::ThisThread => work(),
            Self::AnotherThread => std::thread::scope(|scope| {
                scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }),
        }
    }
}

/// A queue, and what is in it.
struct Told<S: Scheme> {
    queue: OwnQueue<S>,
    model: VecDeque<Large>,
    next: u64,
}

impl<S: Scheme> Told<S> {
    fn push(&mut self) {
        self.queue.push(large(self.next));
        self.model.push_back(large(self.next));
        self.next += 1;
    }

    fn pops(&mut self) -> bool {
        self.queue.pop() == self.model.pop_front()
    }

    /// The others get on, when a pop has stopped and takes a value with it, or none.
    fn get_on(&mut self, takes: bool, case: &impl Debug) {
        let mut taken = if takes { self.model.pop_front() } else { None };
        let rounds = if cfg!(miri) { CELLS } else { 3 * CELLS };
        for round in 0..rounds {
            self.push();
            // A pop that stopped with an empty cell takes what comes into that.
            if takes && taken.is_none() {
                taken = self.model.pop_back();
                continue;
            }
            if !cfg!(miri) || round % 2 == 0 {
                assert!(!self.queue.is_empty(), "{case:?}");
                assert_eq!(self.queue.peek(), self.model.front().copied(), "{case:?}");
            }
            if round % 3 > 0 {
                assert!(self.pops(), "{case:?}");
            }
        }
        assert_eq!(self.queue.len(), self.model.len(), "{case:?}");
        while !self.model.is_empty() {
            assert!(self.pops(), "{case:?}");
        }
        assert_eq!((self.queue.pop(), self.queue.peek(), self.queue.len()), (None, None, 0));
        assert!(self.queue.is_empty());
    }
}

/// False if nothing can stop like this then.
fn check<S: Scheme>(stop: Stop, others: Others, passed: usize, held: usize) -> bool {
    let queue = OwnQueue::<S>::with_reclaimer(Domain::new());
    let mut told = Told { queue, model: VecDeque::new(), next: 0 };
    for _ in 0..passed {
        told.push();
        assert!(told.pops());
    }
    (0..held).for_each(|_| told.push());
    let Some((pushed, takes)) = stop.stop(&told.queue, 1_000, others) else { return false };
    told.model.extend(pushed);
    others.go_on(|| told.get_on(takes, &(stop, others, passed, held)));
    true
}

/// How many values have passed, how many are there, and who goes on.
fn cases() -> Vec<(usize, usize, Others)> {
    use Others::{AnotherThread, ThisThread};

    // Under Miri only a few that lead to each of the stops: in the first segment, which nobody owns, and in
    // the second one, where the owner goes on or others do.
    if cfg!(miri) {
        let first = [(1, 0, ThisThread), (0, CELLS, ThisThread)];
        let second = [(CELLS, 1, ThisThread), (CELLS + 1, 0, AnotherThread)];
        return [first, second].concat();
    }
    let held = [0, 1, CELLS - 1, CELLS, CELLS + 1];
    let all = (0..=2 * CELLS + 1).flat_map(|passed| held.map(|held| (passed, held)));
    all.flat_map(|(passed, held)| OTHERS.map(|others| (passed, held, others))).collect()
}

fn check_all<S: Scheme>() {
    for stop in STOPS {
        let cases = cases().into_iter();
        let stopped = cases.filter(|case| check::<S>(stop, case.2, case.0, case.1)).count();
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
    for held in 0..=2 * CELLS {
        let queue = OwnQueue::<Epoch>::with_reclaimer(Domain::new());
        (0..held as u64).for_each(|number| queue.push(large(number)));
        let pending = at(queue.tail.load(SeqCst)).map(|tail| {
            // A push that has claimed a cell, or as the owner is about to, and will go on.
            let found = tail.pushed();
            if !found.is_owned() {
                claim(&tail.enqueue);
            }
            tail.next.store(Ptr::null().with_tag(1), SeqCst);
            (tail, found)
        });
        if pending.is_none() {
            queue.head.store(Ptr::null().with_tag(1), SeqCst);
        }
        let mut next = held as u64;
        Others::AnotherThread.go_on(|| match held % 3 {
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
        });
        if let Some((tail, found)) = pending
            && found.number < CELLS
        {
            let value = ManuallyDrop::new(large(7));
            // SAFETY: it is the owner, or has claimed the cell.
            let is_in = unsafe {
                if found.is_owned() {
                    tail.push_as_owner(found, &value)
                } else {
                    tail.cell(found.number).fill(&value)
                }
            };
            assert!(!is_in, "it came in after the end");
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
