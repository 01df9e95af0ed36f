//! Collecting until nothing is left, or nothing more can be had.

use crate::scheme::Stats;

/// Collecting in rounds, with an end, however busy others are.
pub(crate) struct Rounds<F> {
    stats: F,
}

/// Rounds after which no more is collected than was retired before it began: enough for values
/// whose drop retires others, which retire others, and so on.
const GENERATIONS: usize = 100;

impl<F: Fn() -> Stats> Rounds<F> {
    pub(crate) fn new(stats: F) -> Self {
        Self { stats }
    }

    /// Runs rounds until nothing is pending, or `idle_rounds` of them made no progress; says how
    /// many objects were reclaimed.
    pub(crate) fn run(&self, idle_rounds: usize, mut round: impl FnMut()) -> usize {
        let begin = (self.stats)();
        let (mut now, mut idle, mut generation) = (begin, 0, 0);
        while now.pending > 0
            && idle < idle_rounds
            && (now.reclaimed < begin.retired || generation < GENERATIONS)
        {
            round();
            let next = (self.stats)();
            idle = if next.reclaimed == now.reclaimed { idle + 1 } else { 0 };
            now = next;
            generation += 1;
        }
        usize::try_from(now.reclaimed - begin.reclaimed).unwrap_or(usize::MAX)
    }
}
