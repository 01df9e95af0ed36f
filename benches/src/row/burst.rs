//! Many retires under one guard, again and again, nobody in the way: does freeing keep up?

use std::thread;

use super::settle::{not_dropped, settle};
use crate::contender::{
    Contender, CrossbeamEpoch, Epoch, Haphazard, Hazard, Kovan, Ours, Sdd, Seize,
};
use crate::ledger::{Counted, Ledger};
use crate::options::Settings;
use crate::report::Report;
use crate::turns::{Entry, counted, parts};

const EPOCH: &str = Ours::<Epoch>::NAME;
const HAZARD: &str = Ours::<Hazard>::NAME;

/// Retires under one guard.
const PER_PIN: u64 = 64;

/// What is pending before one flush and after it, and what is left after all of them.
struct Pending {
    before: u64,
    after: u64,
    left: u64,
}

/// What is pending at the end, and after the scheme was asked to collect, once.
pub(super) fn measure(settings: &Settings) -> Vec<Report> {
    let entries = vec![
        entry::<Ours<Epoch>>(),
        entry::<Ours<Hazard>>(),
        entry::<CrossbeamEpoch>(),
        entry::<Haphazard>(),
        entry::<Kovan>(),
        entry::<Seize>(),
        entry::<Sdd>(),
    ];
    let pending = counted(entries, settings.burst, settings.long_rounds);
    let title = |what| format!("{} retires, {PER_PIN} a pin: {what}", settings.burst);
    vec![
        Report::new(title("pending"), "objects", &parts(&pending, |it| it.before))
            .at_most(EPOCH, 9_999.0)
            .at_most(HAZARD, 9_999.0),
        Report::new(title("pending after a collect"), "objects", &parts(&pending, |it| it.after))
            .column("not dropped", not_dropped(&pending, |it| it.left))
            .at_most(EPOCH, 0.0)
            .at_most(HAZARD, 0.0),
    ]
}

fn entry<C: Contender>() -> Entry<'static, Pending> {
    Entry::new(C::NAME, |operations| {
        let contender = C::default();
        let ledger = Ledger::lasting();
        let run = || run(&contender, ledger, operations);
        let pending = thread::scope(|scope| scope.spawn(run).join());
        let (before, after) = pending.expect("a benchmark panicked");
        Pending { before, after, left: settle(contender, ledger) }
    })
}

fn run<C: Contender>(contender: &C, ledger: &'static Ledger, operations: u64) -> (u64, u64) {
    let link: C::Link<Counted> = contender.link(ledger.value());
    for _ in 0..operations / PER_PIN {
        let writer = contender.writer();
        for _ in 0..PER_PIN {
            // SAFETY: both are of this contender.
            unsafe { C::replace(&writer, &link, ledger.value()) };
        }
    }
    // One is in the link.
    let before = ledger.alive() - 1;
    contender.flush();
    let after = ledger.alive() - 1;
    // SAFETY: of this contender, and known here only.
    unsafe { C::clear(&contender.writer(), link) };
    (before, after)
}
