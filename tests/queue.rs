//! What a queue promises beyond being one: closing, counting, values of all sizes, and threads that
//! end in the middle.

mod common;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::{PushError, Queue};

/// Values of one size: all come out in order, and the length is right all the way.
fn counts_and_keeps<R: Reclaimer, T: PartialEq + std::fmt::Debug>(
    domain: &R,
    make: impl Fn(usize) -> T,
) {
    let queue = Queue::with_reclaimer(domain.clone());
    let mut model = VecDeque::new();
    for at in 0..sized(3000, 20) {
        queue.push(make(at));
        model.push_back(make(at));
        // It grows, and shrinks again.
        let pops = if at < sized(2000, 13) { at % 2 } else { 3 };
        for _ in 0..pops {
            assert_eq!(queue.pop(), model.pop_front());
        }
        assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
    }
    assert!(queue.into_iter().eq(model));
}

for_each_scheme! {
    fn values_of_any_size_and_alignment(subject) {
        #[derive(PartialEq, Debug)]
        #[repr(align(256))]
        struct Wide(usize);

        let domain = subject.domain();
        counts_and_keeps(&domain, |_| ());
        counts_and_keeps(&domain, |at| at as u8);
        counts_and_keeps(&domain, |at| at);
        counts_and_keeps(&domain, Wide);
        counts_and_keeps(&domain, |at| [at; 200]);
        counts_and_keeps(&domain, |at| at.to_string());
    }

    fn a_closed_queue_gives_values_back_and_out(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        for held in [0, 1, 50, sized(200, 70) as u64] {
            let queue = Queue::with_reclaimer(domain.clone());
            (0..held).for_each(|at| queue.push(Tracked::new(&ledger, at)));
            assert!(!queue.is_closed());
            assert!(queue.close());
            assert!(queue.is_closed() && !queue.close());
            for at in 0..3 {
                match queue.try_push(Tracked::new(&ledger, at)) {
                    Err(PushError::Closed(value)) => assert_eq!(value.value(), at),
                    other => panic!("{other:?}"),
                }
            }
            let late = Tracked::new(&ledger, 0);
            let panicked = catch_unwind(AssertUnwindSafe(|| queue.push(late)));
            assert!(panicked.is_err(), "a push into a closed queue panics");
            assert_eq!((queue.len() as u64, ledger.living() as u64), (held, held));
            (0..held).for_each(|at| assert_eq!(queue.pop().map(|value| value.value()), Some(at)));
            assert!(queue.pop().is_none() && queue.is_empty() && queue.is_closed());
        }
        subject.settle(domain, &ledger);
    }

    /// What was accepted comes out, and nothing comes after the end.
    fn closing_under_threads_loses_nothing(subject) {
        const ROUNDS: usize = sized(60, 2);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        for round in 0..ROUNDS {
            let queue = Queue::with_reclaimer(domain.clone());
            let accepted = AtomicUsize::new(0);
            let close_at = round * sized(10, 2);
            let popped = on_threads(4, |thread| match thread {
                0 | 1 => {
                    while queue.try_push(Tracked::new(&ledger, 0)).is_ok() {
                        if accepted.fetch_add(1, Relaxed) == close_at {
                            assert!(queue.close());
                        }
                    }
                    0
                }
                _ => {
                    let mut popped = 0;
                    loop {
                        let closed = queue.is_closed();
                        match queue.pop() {
                            Some(value) => popped += usize::from(value.value() == 0),
                            None if closed => break popped,
                            None => thread::yield_now(),
                        }
                    }
                }
            });
            assert_eq!(popped.into_iter().sum::<usize>(), accepted.into_inner());
            assert!(queue.pop().is_none() && queue.is_empty());
        }
        subject.settle(domain, &ledger);
    }

    /// More threads than cores, which push and pop and look; each ends in a panic in the middle, some
    /// of them under a guard. What they had put in and not taken out is there.
    fn threads_that_end_in_a_panic_lose_nothing(subject) {
        const THREADS: usize = sized(12, 3);
        const VALUES: usize = sized(1000, 6);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let queue = Queue::with_reclaimer(domain.clone());
        let (pushed, popped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let take = |value: Option<Tracked>| {
            if let Some(value) = value {
                value.look();
                popped.fetch_add(1, Relaxed);
            }
        };
        on_threads(THREADS, |thread| {
            let end = VALUES / 2 + thread * VALUES / (2 * THREADS);
            let ended = catch_unwind(AssertUnwindSafe(|| {
                for at in 0.. {
                    let pinned = queue.pin();
                    let value = Tracked::new(&ledger, at as u64);
                    if at == end {
                        // With a value in its hands, in the middle of the user's code.
                        resume_unwind(Box::new("a thread panics, as it should in this test"));
                    }
                    pinned.push(value);
                    pushed.fetch_add(1, Relaxed);
                    match (at + thread) % 4 {
                        0 => take(pinned.pop()),
                        1 => (0..3).for_each(|_| take(queue.pop())),
                        2 => assert!(pinned.len() <= THREADS * VALUES),
                        _ => drop(pinned.is_empty()),
                    }
                }
            }));
            assert!(ended.is_err());
        });
        let left = pushed.into_inner() - popped.into_inner();
        assert_eq!((queue.len(), ledger.living()), (left, left));
        assert_eq!(queue.into_iter().count(), left);
        subject.settle(domain, &ledger);
    }

    fn a_peek_under_threads_sees_values_in_order(subject) {
        const VALUES: u64 = sized(5000, 12) as u64;
        let domain = subject.domain();
        let queue = Queue::with_reclaimer(domain.clone());
        on_threads(3, |thread| match thread {
            0 => (0..=VALUES).for_each(|at| queue.push(at)),
            1 => {
                let mut next = 0;
                while next < VALUES {
                    match queue.pop() {
                        Some(value) => {
                            assert_eq!(value, next);
                            next += 1;
                        }
                        None => thread::yield_now(),
                    }
                }
            }
            _ => {
                let mut last = 0;
                while last < VALUES {
                    match queue.peek() {
                        Some(value) => {
                            assert!(last <= value);
                            last = value;
                        }
                        None => thread::yield_now(),
                    }
                }
            }
        });
        assert_eq!(queue.pop(), Some(VALUES));
    }
}

/// Segments are as large as documented, and passed ones are given up.
#[test]
fn a_segment_has_112_cells_for_a_word() {
    let domain = common::Domain::<common::Hazard>::new();
    let queue = Queue::with_reclaimer(domain.clone());
    for at in 0..=sized(3, 1) as u64 * 112 {
        queue.push(at);
        assert_eq!(queue.pop(), Some(at));
        let stats = domain.stats();
        assert_eq!(stats.retired, at / 112);
        assert!(stats.pending_bytes <= stats.retired * 2048);
    }
}
