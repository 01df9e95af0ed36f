//! The structures' rows: one kind of work each, the same for all contenders.

pub mod cache;
pub mod cell;
pub mod map;
pub mod push_pop;

use clap::ValueEnum;

use crate::options::{self, Settings};
use crate::report::Report;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Row {
    /// queues: push+pop pairs on 1 to 8 threads, and producers beside consumers
    Queue,
    /// stacks: push+pop pairs on 1 to 8 threads
    Stack,
    /// hash maps: 98 % reads, uniform and Zipf, with words and with records
    MapReads,
    /// hash maps: 10 % reads, 40 % insertions, 40 % removals, 10 % updates
    MapExchange,
    /// hash maps: growth from empty, throughput and latency
    MapGrowth,
    /// hash maps: iteration over all entries
    MapIterate,
    /// ordered maps: 90 % reads, 5 % insertions, 5 % removals
    Ordered,
    /// ordered maps: scans of a range
    Scan,
    /// cells: reads of a value, alone and beside a slow writer
    Cell,
    /// row caches: reads through a cache, mostly hits
    Cache,
}

/// So many threads, for a title.
fn threads_of(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

impl options::Row for Row {
    fn measure(self, settings: &Settings) -> Vec<Report> {
        match self {
            Self::Queue => push_pop::queues(settings),
            Self::Stack => push_pop::stacks(settings),
            Self::MapReads => map::reads::measure(settings),
            Self::MapExchange => map::exchange::measure(settings),
            Self::MapGrowth => map::growth::measure(settings),
            Self::MapIterate => map::iterate::measure(settings),
            Self::Ordered => map::ordered::measure(settings),
            Self::Scan => map::scan::measure(settings),
            Self::Cell => cell::measure(settings),
            Self::Cache => cache::measure(settings),
        }
    }
}
