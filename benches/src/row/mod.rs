//! The schemes' rows: one kind of work each, the same for all contenders.

mod burst;
mod guards;
mod pin;
mod protect;
mod retire;
mod settle;
mod stalled;
mod walk;

use clap::ValueEnum;

use crate::options::{self, Settings};
use crate::report::Report;

pub(crate) use pin::pins;
pub(crate) use protect::reads;
pub(crate) use retire::retires;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// pin and unpin, and a pin within a pin
    Pin,
    /// pin and unpin, on two threads
    #[value(name = "pin-2")]
    Pin2,
    /// protect one pointer and read it, with one reader and with two
    Protect,
    /// allocate, swap in, retire what was there; on one thread and on two
    Retire,
    /// retires beside a reader that never leaves: their cost, and what is pending
    Stalled,
    /// many retires under one guard, again and again: what is pending
    Burst,
    /// a walk of a list of 1000 nodes
    Walk,
    /// retires while the thread has 64 guards
    Guards,
}

impl options::Row for Row {
    fn measure(self, settings: &Settings) -> Vec<Report> {
        match self {
            Self::Pin => pin::one_thread(settings),
            Self::Pin2 => pin::two_threads(settings),
            Self::Protect => protect::measure(settings),
            Self::Retire => retire::measure(settings),
            Self::Stalled => stalled::measure(settings),
            Self::Burst => burst::measure(settings),
            Self::Walk => walk::measure(settings),
            Self::Guards => guards::measure(settings),
        }
    }
}
