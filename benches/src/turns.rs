//! Contenders that have their turns: each once a round, the first of a round being another each
//! time, so that a machine's moods hit them all alike.

use crate::options::Settings;

/// A contender of a row, ready to run.
pub struct Entry<'a, M> {
    name: &'static str,
    run: Box<dyn FnMut(u64) -> M + 'a>,
}

impl<'a, M> Entry<'a, M> {
    /// `run` does so many operations and returns what it measured.
    pub fn new(name: &'static str, run: impl FnMut(u64) -> M + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// What a contender measured, round by round.
#[derive(Clone, Debug)]
pub struct Measured<M> {
    /// The contender's name.
    pub name: &'static str,
    /// One measurement a round.
    pub rounds: Vec<M>,
}

impl<M> Measured<M> {
    /// One figure out of many.
    pub fn part(&self, part: impl Fn(&M) -> f64) -> Measured<f64> {
        Measured { name: self.name, rounds: self.rounds.iter().map(part).collect() }
    }
}

/// One figure out of many, for all contenders.
pub fn parts<M>(measured: &[Measured<M>], part: impl Fn(&M) -> u64) -> Vec<Measured<f64>> {
    measured.iter().map(|measured| measured.part(|it| part(it) as f64)).collect()
}

/// Runs the entries in turns, each with its number of operations.
fn in_turns<M>(mut entries: Vec<(Entry<'_, M>, u64)>, rounds: usize) -> Vec<Measured<M>> {
    let mut all: Vec<_> = entries
        .iter()
        .map(|(entry, _)| Measured { name: entry.name, rounds: Vec::with_capacity(rounds) })
        .collect();
    let count = entries.len();
    for round in 0..rounds {
        for turn in 0..count {
            let which = (round + turn) % count;
            let (entry, operations) = &mut entries[which];
            all[which].rounds.push((entry.run)(*operations));
        }
    }
    all
}

/// So many rounds, each entry doing the same number of operations a turn.
pub fn counted<M>(entries: Vec<Entry<'_, M>>, operations: u64, rounds: usize) -> Vec<Measured<M>> {
    in_turns(entries.into_iter().map(|entry| (entry, operations)).collect(), rounds)
}

/// Rounds of the settings' length; the entries return nanoseconds an operation, and each does as
/// many operations as fit into a turn.
pub fn timed(entries: Vec<Entry<'_, f64>>, settings: &Settings) -> Vec<Measured<f64>> {
    let fitted = entries.into_iter().map(|mut entry| {
        let operations = fit(&mut entry, settings);
        (entry, operations)
    });
    in_turns(fitted.collect(), settings.rounds)
}

/// How many operations fit into a turn.
fn fit(entry: &mut Entry<'_, f64>, settings: &Settings) -> u64 {
    let turn = settings.turn.as_nanos() as f64;
    let mut operations = 1000;
    loop {
        let took = (entry.run)(operations) * operations as f64;
        if took >= turn / 10.0 {
            return (operations as f64 * turn / took).ceil() as u64;
        }
        operations *= 8;
        assert!(operations < 1 << 40, "{}: it does nothing that takes time", entry.name);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn each_has_one_turn_a_round_and_another_begins_each_time() {
        let order = RefCell::new(String::new());
        let entry = |name: &'static str| {
            let order = &order;
            Entry::new(name, move |operations| {
                order.borrow_mut().push_str(name);
                operations
            })
        };
        let all = counted(vec![entry("a"), entry("b"), entry("c")], 7, 2);
        assert_eq!(*order.borrow(), "abcbca");
        assert!(all.iter().all(|measured| measured.rounds == [7, 7]));
    }

    #[test]
    fn a_turn_is_as_long_as_the_settings_say() {
        let mut entry = Entry::new("ten nanoseconds", |_| 10.0);
        assert_eq!(fit(&mut entry, &Settings::FULL), 5_000_000);
    }
}
