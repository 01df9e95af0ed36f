//! What a read costs: one pointer protected and followed, its guard included.

use std::hint::black_box;

use crate::contender::{
    Contender, CrossbeamEpoch, Epoch, Haphazard, Hazard, Kovan, Ours, Sdd, Seize,
};
use crate::options::Settings;
use crate::report::{Report, SAME};
use crate::turns::{Entry, timed};
use crate::watch::nanoseconds;

const KEPT_HAPHAZARD: &str = "haphazard, kept";
const EPOCH: &str = Ours::<Epoch>::NAME;
const HAZARD: &str = Ours::<Hazard>::NAME;

/// With one reader, and with two that read the same.
pub(super) fn measure(settings: &Settings) -> Vec<Report> {
    let one = report("protect and read, guard included, 1 reader", 1, settings)
        .ratio(HAZARD, Haphazard::NAME, 0.25)
        .ratio(HAZARD, KEPT_HAPHAZARD, 0.75);
    let mut two = report("protect and read, guard included, 2 readers", 2, settings).ratio(
        HAZARD,
        CrossbeamEpoch::NAME,
        0.2,
    );
    for ours in [HAZARD, EPOCH] {
        let reached = two.median(ours) / one.median(ours);
        two = two.target(format!("{ours}, 2 readers / 1 reader"), reached, SAME, "x");
    }
    vec![one, two]
}

fn report(title: &str, threads: usize, settings: &Settings) -> Report {
    let entries = vec![
        entry::<Ours<Hazard>>(threads),
        entry::<Ours<Epoch>>(threads),
        entry::<Haphazard>(threads),
        kept::<Haphazard>(KEPT_HAPHAZARD, threads),
        kept::<Ours<Hazard>>("Hazard, kept", threads),
        entry::<CrossbeamEpoch>(threads),
        entry::<Kovan>(threads),
        entry::<Seize>(threads),
        entry::<Sdd>(threads),
    ];
    Report::new(title, "ns", &timed(entries, settings))
}

/// A guard for each read.
fn entry<C: Contender>(threads: usize) -> Entry<'static, f64> {
    Entry::new(C::NAME, move |operations| {
        reading::<C>(threads, operations, |contender, link, count| reads(contender, link, count))
    })
}

/// One guard for all reads.
fn kept<C: Contender>(name: &'static str, threads: usize) -> Entry<'static, f64> {
    Entry::new(name, move |operations| {
        reading::<C>(threads, operations, |contender, link, count| {
            let mut guard = contender.pin();
            for _ in 0..count {
                read::<C>(&mut guard, link);
            }
        })
    })
}

fn reading<C: Contender>(
    threads: usize,
    operations: u64,
    reads: impl Fn(&C, &C::Link<u64>, u64) + Sync,
) -> f64 {
    let contender = C::default();
    let link = contender.link(VALUE);
    let took = nanoseconds(threads, operations, |_, watch| {
        watch.time(|count| reads(&contender, &link, count))
    });
    // SAFETY: of this contender; the readers have ended.
    unsafe { C::clear(&contender.writer(), link) };
    took
}

const VALUE: u64 = 7;

/// So many reads, a guard each.
#[inline(never)]
pub(crate) fn reads<C: Contender>(contender: &C, link: &C::Link<u64>, count: u64) {
    for _ in 0..count {
        read::<C>(&mut contender.pin(), link);
    }
}

#[inline]
fn read<C: Contender>(guard: &mut C::Guard<'_>, link: &C::Link<u64>) {
    // SAFETY: both are of the row's one contender.
    black_box(unsafe { C::read(guard, link, |value| *value) });
}
