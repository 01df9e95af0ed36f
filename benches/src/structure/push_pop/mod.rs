//! Queues and stacks: what is pushed is popped.
//!
//! An operation is a push and a pop. What a lock does well shows here: on few cores its owner runs
//! in bursts, and beats every linked structure. What it does badly does not: that all wait when the
//! owner sleeps.

mod locked;
mod ours;
mod peers;
mod treiber;

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::thread;

use concurrent_queue::ConcurrentQueue;
use crossbeam_queue::SegQueue;

use self::treiber::Treiber;
use crate::contender::{Epoch, Hazard};
use crate::options::Settings;
use crate::report::Report;
use crate::structure::threads_of;
use crate::turns::{Entry, timed};
use crate::watch::together;

/// A queue or a stack of numbers.
trait PushPop: Send + Sync + 'static {
    const NAME: &'static str;

    /// An empty one.
    fn new() -> Self;

    fn push(&self, value: u64);

    fn pop(&self) -> Option<u64>;
}

type OurQueue<R> = sexton::Queue<u64, R>;
type OurStack<R> = sexton::Stack<u64, R>;

/// Push+pop pairs, and producers beside as many consumers.
pub(super) fn queues(settings: &Settings) -> Vec<Report> {
    let pairs = [1, 2, 4, 8].map(|threads| {
        let title = format!("queue, push+pop pairs, {}", threads_of(threads));
        queue::<Pairs>(title, threads, settings, if threads == 1 { 1.5 } else { 1.1 })
    });
    let split = [2, 4, 8].map(|threads| {
        let title = format!("queue, producers beside consumers, {} of each", threads / 2);
        queue::<Split>(title, threads, settings, 1.1)
    });
    pairs.into_iter().chain(split).collect()
}

fn queue<W: Work>(title: String, threads: usize, settings: &Settings, limit: f64) -> Report {
    let entries = vec![
        entry::<OurQueue<Epoch>, W>(threads),
        entry::<OurQueue<Hazard>, W>(threads),
        entry::<SegQueue<u64>, W>(threads),
        entry::<ConcurrentQueue<u64>, W>(threads),
        entry::<Mutex<VecDeque<u64>>, W>(threads),
    ];
    Report::throughput(title, &timed(entries, settings)).ahead(SegQueue::NAME, limit)
}

/// Push+pop pairs.
pub(super) fn stacks(settings: &Settings) -> Vec<Report> {
    [1, 2, 4, 8].map(|threads| stack(threads, settings)).into()
}

fn stack(threads: usize, settings: &Settings) -> Report {
    let entries = vec![
        entry::<OurStack<Epoch>, Pairs>(threads),
        entry::<OurStack<Hazard>, Pairs>(threads),
        entry::<Treiber, Pairs>(threads),
        entry::<Mutex<Vec<u64>>, Pairs>(threads),
    ];
    let title = format!("stack, push+pop pairs, {}", threads_of(threads));
    let limit = if threads == 1 { 2.0 } else { 1.8 };
    Report::throughput(title, &timed(entries, settings)).ahead(Treiber::NAME, limit)
}

/// What each thread does.
trait Work: 'static {
    fn run<C: PushPop>(structure: &C, thread: usize, count: u64);
}

fn entry<C: PushPop, W: Work>(threads: usize) -> Entry<'static, f64> {
    Entry::new(C::NAME, move |operations| {
        let structure = C::new();
        together(threads, operations, |thread, watch| {
            watch.time(|count| W::run(&structure, thread, count))
        })
    })
}

/// Each thread pushes, and then pops.
struct Pairs;

impl Work for Pairs {
    #[inline(never)]
    fn run<C: PushPop>(structure: &C, _: usize, count: u64) {
        for number in 0..count {
            structure.push(number);
            // Whoever pops has pushed once more than it has popped.
            black_box(structure.pop().expect("there is one for each"));
        }
    }
}

/// Every other thread pushes, the rest pop. Two threads are needed for a pair, so each does twice
/// its count.
struct Split;

impl Work for Split {
    #[inline(never)]
    fn run<C: PushPop>(structure: &C, thread: usize, count: u64) {
        if thread.is_multiple_of(2) {
            (0..2 * count).for_each(|number| structure.push(number));
        } else {
            (0..2 * count).for_each(|_| _ = black_box(popped(structure)));
        }
    }
}

/// The next one, when there is one.
#[inline]
fn popped<C: PushPop>(structure: &C) -> u64 {
    loop {
        match structure.pop() {
            Some(value) => return value,
            // On a core of its own the producer is not disturbed; on the consumer's it gets on.
            None => thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_comes_out<C: PushPop>() -> Vec<u64> {
        let structure = C::new();
        (0..3).for_each(|number| structure.push(number));
        std::iter::from_fn(|| structure.pop()).collect()
    }

    #[test]
    fn a_queue_gives_the_first_first() {
        assert_eq!(all_comes_out::<OurQueue<Epoch>>(), [0, 1, 2]);
        assert_eq!(all_comes_out::<OurQueue<Hazard>>(), [0, 1, 2]);
        assert_eq!(all_comes_out::<SegQueue<u64>>(), [0, 1, 2]);
        assert_eq!(all_comes_out::<ConcurrentQueue<u64>>(), [0, 1, 2]);
        assert_eq!(all_comes_out::<Mutex<VecDeque<u64>>>(), [0, 1, 2]);
    }

    #[test]
    fn a_stack_gives_the_last_first() {
        assert_eq!(all_comes_out::<OurStack<Epoch>>(), [2, 1, 0]);
        assert_eq!(all_comes_out::<OurStack<Hazard>>(), [2, 1, 0]);
        assert_eq!(all_comes_out::<Treiber>(), [2, 1, 0]);
        assert_eq!(all_comes_out::<Mutex<Vec<u64>>>(), [2, 1, 0]);
    }

    #[test]
    fn the_treiber_stack_loses_nothing_among_threads() {
        let stack = Treiber::new();
        together(4, 100_000, |thread, watch| watch.time(|count| Pairs::run(&stack, thread, count)));
        assert_eq!(stack.pop(), None);
    }
}
