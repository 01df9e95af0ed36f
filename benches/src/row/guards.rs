//! Retires while the thread has 64 guards open: the number of guards alive must not make each
//! retire dear. (With guards that count as threads, as those of seize that can be sent do, a batch
//! that is no larger than their number is tried again at each retire, a heavy barrier each.)

use super::retire::retires;
use super::settle::sweep;
use crate::contender::{Contender, Epoch, Hazard, Ours, Seize};
use crate::options::Settings;
use crate::report::Report;
use crate::turns::{Entry, counted};
use crate::watch::nanoseconds;

const GUARDS: usize = 64;

/// As nothing may be freed meanwhile, a turn is short enough for memory, whatever the settings.
const OPERATIONS: u64 = 100_000;

/// With one guard and with 64.
pub(super) fn measure(settings: &Settings) -> Vec<Report> {
    let entries = vec![
        entry::<Ours<Epoch>>(Ours::<Epoch>::NAME, pins::<_, GUARDS>),
        entry::<Ours<Hazard>>(Ours::<Hazard>::NAME, pins::<_, GUARDS>),
        entry::<Seize>("seize", pins::<_, GUARDS>),
        entry::<Seize>("seize, guards that are Send", |seize, work| {
            let _guards = [(); GUARDS].map(|()| seize.collector.enter_owned());
            work();
        }),
        entry::<Ours<Epoch>>("Epoch, one guard", pins::<_, 1>),
        entry::<Ours<Hazard>>("Hazard, one guard", pins::<_, 1>),
        entry::<Seize>("seize, one guard", pins::<_, 1>),
    ];
    let title = format!("allocate+swap+retire, 1 thread with {GUARDS} guards");
    vec![Report::new(title, "ns", &counted(entries, OPERATIONS, settings.rounds))]
}

/// Does the work with so many guards open.
fn pins<C: Contender, const COUNT: usize>(contender: &C, work: &mut dyn FnMut()) {
    let _guards = [(); COUNT].map(|()| contender.pin());
    work();
}

fn entry<C: Contender>(
    name: &'static str,
    with_guards: fn(&C, &mut dyn FnMut()),
) -> Entry<'static, f64> {
    Entry::new(name, move |operations| {
        let contender = C::default();
        let took = nanoseconds(1, operations, |_, watch| {
            let link = contender.link(0_u64);
            let mut took = None;
            with_guards(&contender, &mut || {
                took = Some(watch.time(|count| retires(&contender, &link, count, |it| it)));
            });
            // SAFETY: of this contender, and known here only.
            unsafe { C::clear(&contender.writer(), link) };
            took.expect("the work was done")
        });
        sweep(contender);
        took
    })
}
