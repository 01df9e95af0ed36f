//! Retires beside a reader that stays in its guard, with one protected pointer, to the end.
//!
//! Once timed, with objects that have nothing to drop; once counted, to see what is pending.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use super::retire::retires;
use super::settle::{not_dropped, settle, sweep};
use crate::contender::ours::HAZARD_BOUND;
use crate::contender::{
    Contender, CrossbeamEpoch, Epoch, Haphazard, Hazard, Kovan, Ours, Sdd, Seize,
};
use crate::ledger::Ledger;
use crate::options::Settings;
use crate::report::Report;
use crate::turns::{Entry, counted, parts};

const HAZARD: &str = Ours::<Hazard>::NAME;

/// How many retires lie between two looks at what is pending.
const LOOK_EVERY: u64 = 64;

/// What waits: at the end, the most that was seen, and what is left when the reader has gone.
struct Pending {
    end: u64,
    most: u64,
    left: u64,
}

/// What a retire costs, and what is pending.
pub(super) fn measure(settings: &Settings) -> Vec<Report> {
    let Settings { stalled, long_rounds, .. } = *settings;
    let title = |what| format!("{stalled} retires beside a reader that never leaves: {what}");
    let times = counted(all(TimeIt), stalled, long_rounds);
    let pending = counted(all(CountIt), stalled, 1);
    vec![
        Report::new(title("ns a retire"), "ns", &times).at_most(HAZARD, 45.0),
        Report::new(title("pending at the end"), "objects", &parts(&pending, |it| it.end))
            .column("not dropped", not_dropped(&pending, |it| it.left)),
        Report::new(title("most that was seen pending"), "objects", &parts(&pending, |it| it.most))
            .at_most(HAZARD, HAZARD_BOUND),
    ]
}

/// What is done with each contender.
trait Pass: Copy + 'static {
    type Measure;

    fn run<C: Contender>(self, operations: u64) -> Self::Measure;
}

fn all<P: Pass>(pass: P) -> Vec<Entry<'static, P::Measure>> {
    vec![
        entry::<Ours<Hazard>, P>(pass),
        entry::<Ours<Epoch>, P>(pass),
        entry::<Haphazard, P>(pass),
        entry::<Kovan, P>(pass),
        entry::<CrossbeamEpoch, P>(pass),
        entry::<Seize, P>(pass),
        entry::<Sdd, P>(pass),
    ]
}

fn entry<C: Contender, P: Pass>(pass: P) -> Entry<'static, P::Measure> {
    Entry::new(C::NAME, move |operations| pass.run::<C>(operations))
}

#[derive(Clone, Copy)]
struct TimeIt;

impl Pass for TimeIt {
    type Measure = f64;

    fn run<C: Contender>(self, operations: u64) -> f64 {
        let contender = C::default();
        let took = beside_a_reader(&contender, 0, |link| {
            let start = Instant::now();
            retires(&contender, link, operations, |number| number);
            start.elapsed()
        });
        sweep(contender);
        took.as_nanos() as f64 / operations as f64
    }
}

#[derive(Clone, Copy)]
struct CountIt;

impl Pass for CountIt {
    type Measure = Pending;

    fn run<C: Contender>(self, operations: u64) -> Pending {
        let contender = C::default();
        let ledger = Ledger::lasting();
        let (end, most) = beside_a_reader(&contender, ledger.value(), |link| {
            let mut most = 0;
            for _ in 0..operations.div_ceil(LOOK_EVERY) {
                retires(&contender, link, LOOK_EVERY, |_| ledger.value());
                most = most.max(ledger.alive() - 1);
            }
            // One is in the link.
            (ledger.alive() - 1, most)
        });
        Pending { end, most, left: settle(contender, ledger) }
    }
}

/// Does the work on a thread of its own while another one reads the link's first object.
fn beside_a_reader<C: Contender, T: Send + Sync + 'static, M: Send>(
    contender: &C,
    first: T,
    work: impl FnOnce(&C::Link<T>) -> M + Send,
) -> M {
    let link = contender.link(first);
    // The reader has protected; the work is done.
    let (reading, done) = (Barrier::new(2), Barrier::new(2));
    let measure = thread::scope(|scope| {
        scope.spawn(|| {
            let mut guard = contender.pin();
            let stay = |_: &T| {
                reading.wait();
                done.wait();
            };
            // SAFETY: both are of this contender.
            unsafe { C::read(&mut guard, &link, stay) };
        });
        let worker = scope.spawn(|| {
            reading.wait();
            let measure = work(&link);
            done.wait();
            measure
        });
        worker.join().expect("a benchmark panicked")
    });
    // SAFETY: of this contender; the threads have ended.
    unsafe { C::clear(&contender.writer(), link) };
    measure
}
