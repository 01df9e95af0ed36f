//! What replacing an object costs: allocate the new one, swap it in, retire the old one.
//!
//! Each thread has a pointer of its own, so that the swaps do not contend. The objects that are
//! timed have nothing to drop; that all are dropped is proved in a pass of its own.

use std::hint::black_box;

use super::settle::{count, settle, sweep};
use crate::contender::{
    Contender, CrossbeamEpoch, Epoch, Haphazard, Hazard, Kovan, Malloc, Ours, Sdd, Seize,
};
use crate::ledger::{Counted, Ledger};
use crate::options::Settings;
use crate::report::Report;
use crate::turns::{Entry, timed};
use crate::watch::nanoseconds;

/// On one thread, and on two.
pub(super) fn measure(settings: &Settings) -> Vec<Report> {
    [1, 2].map(|threads| report(threads, settings)).into()
}

fn report(threads: usize, settings: &Settings) -> Report {
    let (entries, left): (Vec<_>, Vec<_>) = vec![
        contender::<Ours<Epoch>>(threads),
        contender::<Ours<Hazard>>(threads),
        contender::<Sdd>(threads),
        contender::<CrossbeamEpoch>(threads),
        contender::<Kovan>(threads),
        contender::<Haphazard>(threads),
        contender::<Seize>(threads),
        contender::<Malloc>(threads),
    ]
    .into_iter()
    .unzip();
    let who = if threads == 1 { "1 thread" } else { "2 threads, own pointer each" };
    let title = format!("allocate+swap+retire, {who}");
    Report::new(title, "ns", &timed(entries, settings))
        .column("not dropped", left)
        .ratio(Ours::<Epoch>::NAME, Sdd::NAME, 0.8)
        .ratio(Ours::<Hazard>::NAME, Sdd::NAME, 0.8)
}

/// To be timed; and what is left of what it retires.
fn contender<C: Contender>(threads: usize) -> (Entry<'static, f64>, String) {
    (Entry::new(C::NAME, move |operations| time::<C>(threads, operations)), left::<C>(threads))
}

fn time<C: Contender>(threads: usize, operations: u64) -> f64 {
    let contender = C::default();
    let took = nanoseconds(threads, operations, |_, watch| {
        let link = contender.link(0_u64);
        let took = watch.time(|count| retires(&contender, &link, count, |number| number));
        // SAFETY: of this contender, and known here only.
        unsafe { C::clear(&contender.writer(), link) };
        took
    });
    sweep(contender);
    took
}

/// How many values are never dropped: "none", one hopes.
fn left<C: Contender>(threads: usize) -> String {
    const OPERATIONS: u64 = 100_000;
    let ledger = Ledger::lasting();
    let contender = C::default();
    nanoseconds(threads, OPERATIONS, |_, watch| {
        let link: C::Link<Counted> = contender.link(ledger.value());
        let took = watch.time(|count| retires(&contender, &link, count, |_| ledger.value()));
        // SAFETY: of this contender, and known here only.
        unsafe { C::clear(&contender.writer(), link) };
        took
    });
    count(settle(contender, ledger))
}

/// So many retires, a guard each where one is needed.
#[inline(never)]
pub(crate) fn retires<C: Contender, T: Send + Sync + 'static>(
    contender: &C,
    link: &C::Link<T>,
    count: u64,
    value: impl Fn(u64) -> T,
) {
    for number in 0..count {
        // SAFETY: both are of this contender.
        unsafe { C::replace(&contender.writer(), link, black_box(value(number))) };
    }
}
