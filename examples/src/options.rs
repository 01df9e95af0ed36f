//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;

use crate::scheme::Scheme;

/// How many rows are generated unless the user says otherwise.
pub const DEFAULT_ROWS: u32 = 200_000;

/// A read-through row cache in front of a redb database, on lock-free structures
///
/// Creates the database in a temporary folder, fills it, drives it first without and then through
/// the cache, checks every row that is read, and prints a table. Exit status: 0 all is well, 1 a
/// stale or torn row was read, 2 something that was given is no good.
#[derive(Clone, Debug, Parser)]
#[command(name = "row_cache", max_term_width = 100)]
pub struct Options {
    /// The scheme that reclaims memory
    #[arg(long, value_name = "NAME", default_value = "epoch")]
    pub scheme: Scheme,

    /// Threads that read
    #[arg(long, value_name = "N", default_value = "4", value_parser = threads)]
    pub threads: usize,

    /// Threads that update rows meanwhile [default: 2, with --trace 0]
    #[arg(long, value_name = "N", value_parser = updaters)]
    pub updaters: Option<usize>,

    /// Rows to create in the database; an existing one (--db) must have as many
    /// [default: 200000, or what is there]
    #[arg(long, value_name = "N", value_parser = rows, conflicts_with = "trace")]
    pub rows: Option<u32>,

    /// Rows the cache may hold [default: a tenth of the database]
    #[arg(long, value_name = "N", value_parser = capacity)]
    pub capacity: Option<usize>,

    /// How long each of the two runs takes; a trace is replayed to its end through the cache
    #[arg(long, value_name = "N", default_value = "8", value_parser = seconds)]
    pub seconds: u64,

    /// How unequal the rows' popularity is: the exponent of Zipf's law
    #[arg(long, value_name = "X", default_value = "1", value_parser = skew)]
    pub skew: f64,

    /// Replay a trace, plain or packed with xz: CSV `version,time,op,size,lbn`, or object accesses
    /// as big-endian 32-bit words. Its rows are created in the database; writes are replayed as
    /// reads. With --threads 1 the hit ratio is the same every time
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Keep the database in this file. A database that this example has written is used again;
    /// anything else is left as it is. A new one has this name when all its rows are in it, and is
    /// `.FILE.*.partial` until then
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
}

impl Options {
    /// The options of this process. Prints the help and leaves, if that is what is wanted.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong.
    pub fn from_args() -> Result<Options, String> {
        Options::parse_line(std::env::args_os()).map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp => error.exit(),
            _ => one_line(&error),
        })
    }

    fn parse_line(
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Options, clap::Error> {
        Options::try_parse_from(args)
    }

    /// How many threads update.
    pub fn updaters(&self) -> usize {
        self.updaters.unwrap_or(if self.trace.is_some() { 0 } else { 2 })
    }

    /// How many of so many rows the cache may hold.
    pub fn capacity_for(&self, rows: usize) -> usize {
        self.capacity.unwrap_or((rows + 5) / 10).max(1)
    }

    /// How long a run takes.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn threads(text: &str) -> Result<usize, String> {
    number(text, 1, 1024)
}

fn updaters(text: &str) -> Result<usize, String> {
    number(text, 0, 1024)
}

fn rows(text: &str) -> Result<u32, String> {
    number(text, 1, 1_000_000_000)
}

fn capacity(text: &str) -> Result<usize, String> {
    number(text, 1, usize::MAX)
}

fn seconds(text: &str) -> Result<u64, String> {
    number(text, 1, 24 * 60 * 60)
}

/// A whole number between two others, both included.
fn number<N>(text: &str, least: N, most: N) -> Result<N, String>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse::<N>() {
        Ok(n) if n < least => Err(format!("must be at least {least}")),
        Ok(n) if n <= most => Ok(n),
        _ => Err(format!("must be a whole number from {least} to {most}")),
    }
}

fn skew(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(skew) if (0.0..=10.0).contains(&skew) => Ok(skew),
        _ => Err("must be a number from 0 to 10".to_owned()),
    }
}

/// What clap says in several lines, in one.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let line = first.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let args = std::iter::once("row_cache").chain(line.split_whitespace());
        Options::parse_line(args).map_err(|error| one_line(&error))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn defaults_fit_the_work() {
        let options = parse("").unwrap();
        assert_eq!((options.threads, options.updaters()), (4, 2));
        assert_eq!(options.capacity_for(200_000), 20_000);
        assert_eq!(options.capacity_for(3), 1);
        let options = parse("--trace t --scheme haphazard").unwrap();
        assert_eq!(options.updaters(), 0);
        // A tenth of the rows of the two traces in the README's table.
        assert_eq!([76_349, 48_974].map(|rows| options.capacity_for(rows)), [7635, 4897]);
    }

    #[test]
    fn what_cannot_be_is_refused_in_one_line() {
        for (line, why) in [
            ("--capacity 0", "invalid value '0' for '--capacity <N>': must be at least 1"),
            ("--rows 0", "invalid value '0' for '--rows <N>': must be at least 1"),
            ("--threads 0", "invalid value '0' for '--threads <N>': must be at least 1"),
            ("--seconds 0", "invalid value '0' for '--seconds <N>': must be at least 1"),
            ("--rows -1", "unexpected argument '-1' found"),
            ("--capacity=-1", "must be a whole number from 1 to"),
            ("--skew NaN", "must be a number from 0 to 10"),
            ("--scheme rcu", "[possible values: epoch, hazard, crossbeam, haphazard]"),
            ("--rows 5 --trace t", "cannot be used with"),
            ("--frobnicate", "unexpected argument '--frobnicate' found"),
            ("file", "unexpected argument 'file' found"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(why) && !error.contains('\n'), "{line}: {error}");
        }
    }
}
