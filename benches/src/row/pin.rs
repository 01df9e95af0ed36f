//! What it costs to open and to close a critical section, and one within another.

use std::hint::black_box;

use sexton::Domain;

use crate::contender::{Contender, CrossbeamEpoch, Epoch, Hazard, Kovan, Ours, Sdd, Seize};
use crate::options::Settings;
use crate::report::Report;
use crate::turns::{Entry, timed};
use crate::watch::nanoseconds;

/// On one thread: alone, and nested.
pub(super) fn one_thread(settings: &Settings) -> Vec<Report> {
    let outermost = report("pin+unpin, 1 thread", entries(1, false), settings)
        .ratio(Ours::<Epoch>::NAME, CrossbeamEpoch::NAME, 0.3)
        .ratio(Ours::<Epoch>::NAME, Kovan::NAME, 0.6);
    let nested = report("pin+unpin within a pin, 1 thread", entries(1, true), settings);
    vec![outermost, nested]
}

/// On two threads, each for itself.
pub(super) fn two_threads(settings: &Settings) -> Vec<Report> {
    vec![report("pin+unpin, 2 threads", entries(2, false), settings)]
}

fn report(title: &str, entries: Vec<Entry<'_, f64>>, settings: &Settings) -> Report {
    Report::new(title, "ns", &timed(entries, settings))
}

fn entries(threads: usize, nested: bool) -> Vec<Entry<'static, f64>> {
    vec![
        entry::<Ours<Epoch>>(threads, nested),
        entry::<Ours<Domain<Epoch>>>(threads, nested),
        entry::<Ours<Hazard>>(threads, nested),
        entry::<Ours<Domain<Hazard>>>(threads, nested),
        entry::<CrossbeamEpoch>(threads, nested),
        entry::<Kovan>(threads, nested),
        entry::<Seize>(threads, nested),
        entry::<Sdd>(threads, nested),
    ]
}

fn entry<C: Contender>(threads: usize, nested: bool) -> Entry<'static, f64> {
    Entry::new(C::NAME, move |operations| {
        let contender = C::default();
        nanoseconds(threads, operations, |_, watch| {
            let _outer = nested.then(|| contender.pin());
            watch.time(|count| pins(&contender, count))
        })
    })
}

/// So many pins, one after the other.
#[inline(never)]
pub(crate) fn pins<C: Contender>(contender: &C, count: u64) {
    for _ in 0..count {
        let guard = contender.pin();
        // No instruction, but the compiler cannot pull together what is before and behind.
        black_box(());
        drop(guard);
        black_box(());
    }
}
