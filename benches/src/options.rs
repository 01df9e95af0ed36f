//! What the command line says, and the settings that follow from it.

use std::fmt;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::report::Report;

/// A kind of work, as the command line names it.
pub trait Row: ValueEnum + Copy + Send + Sync + 'static {
    /// Measures it.
    fn measure(self, settings: &Settings) -> Vec<Report>;
}

/// Measures sexton beside its peers.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options<R: Row> {
    /// Few and short rounds, to see that all of it runs; its figures mean nothing
    #[arg(long)]
    quick: bool,

    /// What to measure [default: all]
    #[arg(value_enum, value_name = "ROW")]
    rows: Vec<R>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often each contender of a timed row has its turn.
    pub rounds: usize,
    /// How long a turn is, about.
    pub turn: Duration,
    /// How often each contender has its turn where a turn is millions of retires.
    pub long_rounds: usize,
    /// Retires beside a reader that never leaves.
    pub stalled: u64,
    /// Retires in a burst.
    pub burst: u64,
    /// How many keys there are in a map's world, and rows in a cache's.
    pub keys: u32,
}

impl Settings {
    /// To be measured.
    pub const FULL: Self = Self {
        rounds: 15,
        turn: Duration::from_millis(50),
        long_rounds: 5,
        stalled: 5_000_000,
        burst: 2_000_000,
        keys: 1_000_000,
    };

    /// To be seen running.
    pub const QUICK: Self = Self {
        rounds: 3,
        turn: Duration::from_millis(5),
        long_rounds: 1,
        stalled: 128_000,
        burst: 128_000,
        keys: 20_000,
    };
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rounds of {:?} in turns", self.rounds, self.turn)
    }
}

impl<R: Row> Options<R> {
    /// The settings that were asked for.
    pub fn settings(&self) -> Settings {
        if self.quick { Settings::QUICK } else { Settings::FULL }
    }

    /// The arguments that ask for the same, but for one row only.
    pub fn only(&self, row: R) -> Vec<String> {
        let row = row.to_possible_value().expect("no row is hidden");
        let quick = self.quick.then(|| "--quick".to_owned());
        quick.into_iter().chain([row.get_name().to_owned()]).collect()
    }

    /// The rows that were asked for.
    pub fn rows(&self) -> &[R] {
        if self.rows.is_empty() { R::value_variants() } else { &self.rows }
    }
}
