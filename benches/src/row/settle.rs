//! Garbage that is cleared away between turns, and the proof that all of it can be.

use std::time::{Duration, Instant};

use crate::contender::Contender;
use crate::ledger::Ledger;
use crate::turns::Measured;

/// A scheme that has not dropped everything after so long will not do it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Flushes until the ledger's values are dropped; says how many are not.
///
/// Called when nobody has a guard.
pub(super) fn settle<C: Contender>(contender: C, ledger: &Ledger) -> u64 {
    let start = Instant::now();
    let mut flushes = 0;
    while ledger.alive() > 0 && start.elapsed() < PATIENCE {
        contender.flush();
        flushes += 1;
    }
    // And again: each flush of crossbeam-epoch puts an empty bag into its queue, behind the full
    // ones, and they would be what its next turn collects instead of its garbage.
    for _ in 0..flushes {
        contender.flush();
    }
    // Some do the rest only now.
    drop(contender);
    ledger.alive()
}

/// Flushes until what is retired now is dropped, and so, as garbage waits in line, all that was
/// retired before: the next contender begins with a clean house.
pub(super) fn sweep<C: Contender>(contender: C) {
    let ledger = Ledger::lasting();
    {
        let writer = contender.writer();
        let link = contender.link(ledger.value());
        // SAFETY: of this contender; nobody else knows the link.
        unsafe { C::clear(&writer, link) };
    }
    settle(contender, ledger);
}

/// A column of how many values are left at the very end: none, one hopes.
pub(super) fn not_dropped<M>(measured: &[Measured<M>], left: impl Fn(&M) -> u64) -> Vec<String> {
    let most = |it: &Measured<M>| it.rounds.iter().map(&left).max().unwrap_or(0);
    measured.iter().map(|it| count(most(it))).collect()
}

/// A number of values.
pub(super) fn count(values: u64) -> String {
    if values == 0 { "none".to_owned() } else { values.to_string() }
}
