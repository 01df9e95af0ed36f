//! Threads that start together, and when each of them worked.
//!
//! What is timed begins after all threads have been started, have warmed up and have met at a
//! barrier; starting and ending threads is never part of it.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// When a thread worked.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: Instant,
    end: Instant,
}

impl Span {
    fn length(&self) -> Duration {
        self.end - self.start
    }
}

/// One thread's watch.
#[derive(Debug)]
pub struct Watch<'a> {
    barrier: &'a Barrier,
    operations: u64,
}

impl Watch<'_> {
    /// Does the work: first a tenth of the operations to warm up, then all of them, timed.
    ///
    /// `work` is called twice, with the number of operations. Must be called once by each thread.
    pub fn time(&self, mut work: impl FnMut(u64)) -> Span {
        work(self.operations / 10 + 1);
        self.time_cold(work)
    }

    /// Does the work without warming up, where it can only be done once.
    pub fn time_cold(&self, work: impl FnOnce(u64)) -> Span {
        self.barrier.wait();
        let start = Instant::now();
        work(self.operations);
        Span { start, end: Instant::now() }
    }
}

/// Runs `worker` on so many threads, each with so many operations, and says how many nanoseconds an
/// operation took on one of them, on average: what it costs the thread.
///
/// `worker` is told its thread's number, sets up what it needs, and calls [`Watch::time`] once.
pub fn nanoseconds(
    threads: usize,
    operations: u64,
    worker: impl Fn(usize, &Watch<'_>) -> Span + Sync,
) -> f64 {
    let total: Duration = spans(threads, operations, worker).iter().map(Span::length).sum();
    total.as_nanos() as f64 / (operations as f64 * threads as f64)
}

/// Deals the operations out to so many threads, and says how many nanoseconds went by for each,
/// from the first thread's start to the last one's end: the inverse of the throughput.
///
/// `worker` as for [`nanoseconds`].
pub fn together(
    threads: usize,
    operations: u64,
    worker: impl Fn(usize, &Watch<'_>) -> Span + Sync,
) -> f64 {
    let share = operations.div_ceil(threads as u64);
    let spans = spans(threads, share, worker);
    let start = spans.iter().map(|span| span.start).min().expect("there are threads");
    let end = spans.iter().map(|span| span.end).max().expect("there are threads");
    (end - start).as_nanos() as f64 / (share as f64 * threads as f64)
}

/// Runs `worker` on so many threads, and says when each of them worked.
fn spans(
    threads: usize,
    operations: u64,
    worker: impl Fn(usize, &Watch<'_>) -> Span + Sync,
) -> Vec<Span> {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let (worker, barrier) = (&worker, &barrier);
        let started: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || worker(thread, &Watch { barrier, operations })))
            .collect();
        started.into_iter().map(|thread| thread.join().expect("a benchmark panicked")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thread 0 takes no time, thread 1 takes 20 ms.
    fn sleepy(thread: usize, watch: &Watch<'_>) -> Span {
        watch.time(|count| {
            if count == 10 {
                thread::sleep(Duration::from_millis(20 * thread as u64));
            }
        })
    }

    #[test]
    fn what_an_operation_costs_is_the_mean_of_the_threads() {
        let mean = nanoseconds(2, 10, sleepy);
        assert!((1e6..20e6).contains(&mean), "{mean}");
    }

    #[test]
    fn what_threads_do_together_is_done_with_the_last_of_them() {
        let each = together(2, 20, sleepy);
        assert!((1e6..20e6).contains(&each), "{each}");
        assert!(each * 20.0 >= 20e6, "the slowest took 20 ms: {each} for each of 20");
    }
}
