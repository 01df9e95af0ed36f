//! A read-through row cache in front of a real database, on lock-free structures.
//!
//! ```text
//! cargo run --release --example row_cache
//! cargo run --release --example row_cache -- --help
//! ```
//!
//! Several threads read rows of a `redb` database through [`RowCache`], popular rows more often than
//! others, while others update rows through it. **Every row that is read is checked against what the
//! database may contain at that time**: a stale or torn row is an error, and the exit status is 1.
//!
//! This file is the story. How a cache that nobody locks never serves a stale row is told in
//! `src/cache.rs`, and how we know in `src/check.rs`.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::HumanCount;
use sexton::Reclaimer;
use sexton_examples::cache::RowCache;
use sexton_examples::check::Ledger;
use sexton_examples::drive::{Drive, Uncached};
use sexton_examples::error::Error;
use sexton_examples::options::{DEFAULT_ROWS, Options};
use sexton_examples::prepare::{Wanted, prepare};
use sexton_examples::progress;
use sexton_examples::report::{self, Column};
use sexton_examples::scheme::WithReclaimer;
use sexton_examples::trace::Trace;
use sexton_examples::workload::Popularity;

/// How long an updater rests between two updates: updates are the rarer work.
const REST: Duration = Duration::from_micros(200);

fn main() -> ExitCode {
    let done = Options::from_args().and_then(|options| {
        // `Story::run` below, with the reclaimer that `--scheme` names.
        options.scheme.with(Story(&options)).map_err(|error| error.to_string())
    });
    match done {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_faults) => ExitCode::from(1),
        Err(error) => {
            complain(error);
            ExitCode::from(2)
        }
    }
}

struct Story<'a>(&'a Options);

impl WithReclaimer for Story<'_> {
    /// How many stale or torn rows were read.
    type Output = Result<u64, Error>;

    fn run<R: Reclaimer>(self, reclaimer: R) -> Result<u64, Error> {
        let options = self.0;

        // The requests, if they come from a trace; and a database that has the rows they are for.
        let trace = options.trace.as_deref().map(read_trace).transpose()?;
        let wanted = match &trace {
            Some(trace) => Wanted::These(&trace.keys),
            None => Wanted::Any(options.rows),
        };
        let database = prepare(options.db.as_deref(), wanted, DEFAULT_ROWS)?;
        say(&database);

        // Who reads and updates what, and the ledger that knows what a read may see.
        let mut work = Drive {
            keys: &database.keys,
            ledger: &Ledger::new(database.versions.iter().copied()),
            popularity: &Popularity::new(database.keys.len(), options.skew)?,
            replay: trace.as_ref().map(|trace| &trace.references[..]),
            readers: options.threads,
            updaters: options.updaters(),
            rest: REST,
            time: Some(options.time()),
        };
        let failed = |why| Error::in_file("database", &database.path, why);

        // First without the cache. A trace is given up when the time is up.
        let bar = work.bar("reading from the database");
        let without = work.run(&Uncached(&database.store), &bar).map_err(failed)?;
        bar.finish_and_clear();

        // Then through the cache. A trace is replayed to its end.
        if trace.is_some() {
            work.time = None;
        }
        let capacity = options.capacity_for(database.keys.len());
        say(format_args!(
            "cache: at most {} rows, reclaimed by {}; threads: {} reading, {} updating",
            HumanCount(capacity as u64),
            options.scheme.name(),
            options.threads,
            options.updaters(),
        ));
        let cache = RowCache::new(&database.store, capacity, reclaimer.clone());
        let bar = work.bar("reading through the cache");
        let with = work.run(&cache, &bar).map_err(failed)?;
        bar.finish_and_clear();

        // The threads are gone: what waits now is freed by whoever asks.
        let at_the_end = reclaimer.stats();
        reclaimer.collect();
        let garbage = Some((at_the_end, reclaimer.stats()));

        let alone = Column { name: "database alone", measured: &without, garbage: None };
        let cached = Column { name: "through the cache", measured: &with, garbage };
        say(report::table(&[alone, cached]));
        drop(cache);
        database.close()?;

        for fault in without.first_faults.iter().chain(&with.first_faults) {
            complain(format_args!("check: {fault}"));
        }
        let (faults, reads) = (without.faults + with.faults, without.reads + with.reads);
        if faults > 0 {
            complain(format_args!("check: {faults} of {reads} rows read: stale or torn"));
        }
        Ok(faults)
    }
}

fn read_trace(file: &Path) -> Result<Trace, Error> {
    let bar = progress::bytes("reading the trace", 0);
    let trace = Trace::read(file, &bar)?;
    bar.finish_and_clear();
    say(format_args!("trace: {}: {trace}", file.display()));
    Ok(trace)
}

/// A line for the user; no matter if nobody reads it any more.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line about what went wrong.
fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "error: {line}");
}
