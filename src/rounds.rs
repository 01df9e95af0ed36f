//! Collecting until nothing is left, or nothing more can be had.

use crate::scheme::Stats;

/// Collecting in rounds, with an end, however busy others are.
pub(crate) struct Rounds<F> {
    stats: F,
}

/// Rounds after which no more is collected than was retired before it began, if values retire others in
/// their drop, which retire others, and so on.
const GENERATIONS: usize = 100;

impl<F: Fn() -> Stats> Rounds<F> {
    pub(crate) fn new(stats: F) -> Self {
        Self { stats }
    }

    /// Runs rounds until nothing is pending, or `idle_rounds` of them made no progress; says how
    /// many objects were reclaimed.
    ///
    /// A round says whether the drops in it may have retired anything. If they have not, and as much was
    /// reclaimed as was retired before, what is pending is of others, who go on: it is left to them.
    pub(crate) fn run(&self, idle_rounds: usize, mut round: impl FnMut() -> bool) -> usize {
        let begin = (self.stats)();
        let (mut now, mut idle, mut generation, mut has_heirs) = (begin, 0, 0, true);
        while now.pending > 0
            && idle < idle_rounds
            && (now.reclaimed < begin.retired || (has_heirs && generation < GENERATIONS))
        {
            has_heirs = round();
            let next = (self.stats)();
            idle = if next.reclaimed == now.reclaimed { idle + 1 } else { 0 };
            now = next;
            generation += 1;
        }
        usize::try_from(now.reclaimed - begin.reclaimed).unwrap_or(usize::MAX)
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
mod tests {
    use core::cell::Cell;

    use super::*;

    /// Runs rounds beside somebody who retires as much as each of them reclaims; says how many there were.
    fn rounds_beside_a_busy_thread(has_heirs: bool) -> usize {
        let rounds = Cell::new(0);
        let stats = || Stats {
            pending: 30,
            retired: 30 + 10 * rounds.get(),
            reclaimed: 10 * rounds.get(),
            ..Stats::default()
        };
        Rounds::new(stats).run(1, || {
            rounds.set(rounds.get() + 1);
            has_heirs
        });
        usize::try_from(rounds.get()).unwrap()
    }

    #[test]
    fn what_others_retire_meanwhile_is_left_to_them() {
        assert_eq!(rounds_beside_a_busy_thread(false), 3);
        assert_eq!(rounds_beside_a_busy_thread(true), GENERATIONS);
    }
}
