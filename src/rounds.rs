//! Collecting until nothing is left, or nothing more can be had.

use crate::scheme::Stats;

/// Collecting in rounds, with an end, however busy others are.
pub(crate) struct Rounds<F> {
    stats: F,
}

/// Rounds that are enough for all that can be had, and for what the drops of values retire meanwhile, whose
/// drops retire others, and so on.
const GENERATIONS: usize = 100;

/// The second one is for what was at work in the first.
const AT_LEAST: usize = 2;

/// What a round was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// It has freed a part of what can be had.
    #[cfg_attr(not(feature = "crossbeam-epoch"), allow(dead_code, reason = "ours free all of it"))]
    Part,
    /// It has freed all of it, whose drops may have retired more.
    WithHeirs,
    /// It has freed all of it, and that was that.
    Whole,
}

impl<F: Fn() -> Stats> Rounds<F> {
    pub(crate) fn new(stats: F) -> Self {
        Self { stats }
    }

    /// Runs rounds until nothing is pending, or `idle_rounds` of them made no progress; says how
    /// many objects were reclaimed.
    ///
    /// Beside threads that go on retiring there is always some progress, and something pending. So there is
    /// an end as well when all that can be had was freed, with what came of it.
    pub(crate) fn run(&self, idle_rounds: usize, mut round: impl FnMut() -> Round) -> usize {
        let begin = (self.stats)();
        let (mut now, mut idle) = (begin, 0);
        for rounds in 1.. {
            if now.pending == 0 || idle >= idle_rounds {
                break;
            }
            let this = round();
            let next = (self.stats)();
            idle = if next.reclaimed == now.reclaimed { idle + 1 } else { 0 };
            now = next;
            let as_before = now.reclaimed >= begin.retired;
            let is_enough = match this {
                Round::Part => as_before && rounds >= GENERATIONS,
                Round::WithHeirs => rounds >= GENERATIONS,
                Round::Whole => rounds >= if as_before { AT_LEAST } else { GENERATIONS },
            };
            if is_enough {
                break;
            }
        }
        usize::try_from(now.reclaimed - begin.reclaimed).unwrap_or(usize::MAX)
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
mod tests {
    use core::cell::Cell;

    use super::*;

    /// Runs rounds beside somebody who retires as much as each of them reclaims, where so many objects cannot
    /// be had; says how many rounds there were.
    fn rounds_beside_a_busy_thread(protected: u64, what: Round) -> usize {
        let rounds = Cell::new(0);
        let stats = || Stats {
            pending: 10 + protected,
            retired: 10 + protected + 10 * rounds.get(),
            reclaimed: 10 * rounds.get(),
            ..Stats::default()
        };
        Rounds::new(stats).run(1, || {
            rounds.set(rounds.get() + 1);
            what
        });
        usize::try_from(rounds.get()).unwrap()
    }

    #[test]
    fn what_others_retire_meanwhile_is_left_to_them() {
        assert_eq!(rounds_beside_a_busy_thread(0, Round::Whole), AT_LEAST);
        assert_eq!(rounds_beside_a_busy_thread(20, Round::Whole), 3);
        for protected in [0, 20] {
            assert_eq!(rounds_beside_a_busy_thread(protected, Round::WithHeirs), GENERATIONS);
        }
        assert_eq!(rounds_beside_a_busy_thread(20, Round::Part), GENERATIONS);
    }

    #[test]
    fn what_cannot_be_had_is_not_waited_for() {
        for what in [Round::Whole, Round::WithHeirs] {
            assert_eq!(rounds_beside_a_busy_thread(1_000_000, what), GENERATIONS);
        }
    }
}
