//! Threads that start together, each with its own time.
//!
//! What is timed begins after all threads have been started, have warmed up and have met at a
//! barrier; starting and ending threads is never part of it.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

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
    pub fn time(&self, mut work: impl FnMut(u64)) -> Duration {
        work(self.operations / 10 + 1);
        self.barrier.wait();
        let start = Instant::now();
        work(self.operations);
        start.elapsed()
    }
}

/// Runs `worker` on so many threads, and says how many nanoseconds an operation took on one of
/// them, on average.
///
/// `worker` is told its thread's number, sets up what it needs, and calls [`Watch::time`] once.
pub fn nanoseconds(
    threads: usize,
    operations: u64,
    worker: impl Fn(usize, &Watch<'_>) -> Duration + Sync,
) -> f64 {
    let barrier = Barrier::new(threads);
    let total: Duration = thread::scope(|scope| {
        let (worker, barrier) = (&worker, &barrier);
        let started: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || worker(thread, &Watch { barrier, operations })))
            .collect();
        started.into_iter().map(|thread| thread.join().expect("a benchmark panicked")).sum()
    });
    total.as_nanos() as f64 / (operations as f64 * threads as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_timed_is_the_mean_of_the_threads() {
        let sleepy = |thread: usize, watch: &Watch<'_>| {
            watch.time(|count| {
                if count == 10 {
                    thread::sleep(Duration::from_millis(20 * thread as u64));
                }
            })
        };
        let mean = nanoseconds(2, 10, sleepy);
        assert!((1e6..20e6).contains(&mean), "{mean}");
    }
}
