//! Cells: reads of one value that seldom changes. An operation is a read.

mod arc_swap;
mod locked;
mod ours;

use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use ::arc_swap::ArcSwap;

use self::arc_swap::Cached;
use crate::contender::{Epoch, Hazard};
use crate::options::Settings;
use crate::report::{OURS, Report, SAME};
use crate::turns::{Entry, timed};
use crate::watch::nanoseconds;

/// A cell with a number.
trait Cell: Send + Sync + 'static {
    const NAME: &'static str;

    /// What a thread has who reads.
    type Reader<'a>;

    fn new(value: u64) -> Self;

    fn reader(&self) -> Self::Reader<'_>;

    /// Reads the value where it lies.
    fn read(reader: &mut Self::Reader<'_>) -> u64;

    fn store(&self, value: u64);
}

type OurCell<R> = sexton::RcuCell<u64, R>;

/// With one reader, with two, and with one beside a writer who mostly sleeps.
pub(super) fn measure(settings: &Settings) -> Vec<Report> {
    let one = report("cell, read, 1 reader", 1, false, settings);
    let mut two = report("cell, read, 2 readers", 2, false, settings);
    for ours in OURS {
        let reached = two.median(ours) / one.median(ours);
        two = two.target(format!("{ours}, 2 readers / 1 reader"), reached, SAME, "x");
    }
    let title = format!("cell, read, 1 reader beside a writer that sleeps {PAUSE:?} each time");
    vec![one, two, report(&title, 1, true, settings)]
}

fn report(title: &str, readers: usize, writer: bool, settings: &Settings) -> Report {
    let entries = vec![
        entry::<OurCell<Epoch>>(readers, writer),
        entry::<OurCell<Hazard>>(readers, writer),
        entry::<ArcSwap<u64>>(readers, writer),
        entry::<Cached>(readers, writer),
        entry::<RwLock<Arc<u64>>>(readers, writer),
    ];
    Report::new(title, "ns", &timed(entries, settings))
}

/// How long a slow writer sleeps between two values.
const PAUSE: Duration = Duration::from_micros(100);

fn entry<C: Cell>(readers: usize, writer: bool) -> Entry<'static, f64> {
    Entry::new(C::NAME, move |operations| {
        let cell = C::new(0);
        let done = AtomicBool::new(!writer);
        thread::scope(|scope| {
            scope.spawn(|| write(&cell, &done));
            let took = nanoseconds(readers, operations, |_, watch| {
                let mut reader = cell.reader();
                watch.time(|count| reads::<C>(&mut reader, count))
            });
            done.store(true, Relaxed);
            took
        })
    })
}

/// Stores numbers until it is `done`.
fn write<C: Cell>(cell: &C, done: &AtomicBool) {
    for value in 0.. {
        if done.load(Relaxed) {
            return;
        }
        cell.store(value);
        thread::sleep(PAUSE);
    }
}

#[inline(never)]
fn reads<C: Cell>(reader: &mut C::Reader<'_>, count: u64) {
    for _ in 0..count {
        black_box(C::read(reader));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_what_was_stored<C: Cell>() {
        let cell = C::new(1);
        let mut reader = cell.reader();
        assert_eq!(C::read(&mut reader), 1);
        cell.store(2);
        assert_eq!(C::read(&mut reader), 2, "{}", C::NAME);
    }

    #[test]
    fn every_cell_reads_what_was_stored() {
        reads_what_was_stored::<OurCell<Epoch>>();
        reads_what_was_stored::<OurCell<Hazard>>();
        reads_what_was_stored::<ArcSwap<u64>>();
        reads_what_was_stored::<Cached>();
        reads_what_was_stored::<RwLock<Arc<u64>>>();
    }
}
