//! What an entry of a hash map takes in memory, the table's part included.
//!
//! The program runs itself, once for each map and size, so that each starts with a clean heap. It
//! grows the map from empty and says by how much what is allocated (as it was asked for) and what
//! is resident (as the operating system counts it) have grown.

use std::env;
use std::hint::black_box;
use std::process::{Command, ExitCode};

use clap::{Parser, ValueEnum};
use memory_stats::memory_stats;
use stats_alloc::INSTRUMENTED_SYSTEM;

use crate::contender::ours::Named;
use crate::contender::{Epoch, Hazard};
use crate::report::Report;
use crate::structure::map::{Data, HashMap, HashWork, Records, Words, hash_maps};
use crate::turns::Measured;

/// What an entry of ours must not exceed, words to words.
const TARGET: f64 = 48.0;

/// Says how many bytes an entry of a hash map takes
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Small maps, to see that all of it runs; its figures mean nothing
    #[arg(long)]
    quick: bool,

    /// Grow this map, and say what it takes
    #[arg(long, hide = true, requires = "held", requires = "entries")]
    map: Option<String>,

    /// What the map holds
    #[arg(long, hide = true, default_value = "words")]
    held: Held,

    /// How many entries the map has
    #[arg(long, hide = true, default_value_t = 0)]
    entries: u32,
}

/// What a map holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Held {
    Words,
    Records,
}

/// What there is more of in memory, in bytes.
struct Grown {
    allocated: usize,
    resident: usize,
}

/// What the program does.
pub fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.map {
        Some(map) => grow(map, options.held, options.entries),
        None => Held::value_variants().iter().try_for_each(|&held| {
            println!("{}", report(held, if options.quick { 10_000 } else { 1_000_000 })?);
            Ok(())
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// All maps, with so many entries, and with up to nearly twice as many: somewhere there a table
/// doubles.
fn report(held: Held, entries: u32) -> Result<Report, String> {
    let names = hash_maps::<Words, _>(&Names);
    let mut measured = Vec::new();
    let mut columns: [_; 4] = Default::default();
    for &name in &names {
        let Grown { allocated, resident } = child(name, held, entries)?;
        let of_each = |bytes, entries| bytes as f64 / f64::from(entries);
        measured.push(Measured { name, rounds: vec![of_each(resident, entries)] });
        let mut cells = vec![of_each(allocated, entries)];
        for quarters in [5, 6, 7] {
            let entries = entries / 4 * quarters;
            cells.push(of_each(child(name, held, entries)?.resident, entries));
        }
        for (column, cell) in columns.iter_mut().zip(cells) {
            Vec::push(column, format!("{cell:.1}"));
        }
    }
    let what = match held {
        Held::Words => Words::NAME,
        Held::Records => Records::NAME,
    };
    let title = format!("hash map, {what}, grown to {entries} entries: resident bytes an entry");
    let heads = ["allocated", "with 1.25x entries", "with 1.5x", "with 1.75x"];
    let mut report = Report::new(title, "bytes", &measured);
    for (head, cells) in heads.into_iter().zip(columns) {
        report = report.column(head, cells);
    }
    Ok(match held {
        Held::Words => report.at_most(Epoch::NAME, TARGET).at_most(Hazard::NAME, TARGET),
        Held::Records => report,
    })
}

/// Has a process of its own grow the map.
fn child(map: &str, held: Held, entries: u32) -> Result<Grown, String> {
    let failed = |why: &dyn std::fmt::Display| format!("growing {map}: {why}");
    let held = held.to_possible_value().expect("none is skipped");
    let output = env::current_exe()
        .and_then(|this| {
            let entries = entries.to_string();
            let arguments = ["--map", map, "--held", held.get_name(), "--entries", &entries];
            Command::new(this).args(arguments).output()
        })
        .map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut figures = text.split_whitespace().map(str::parse);
    match (figures.next(), figures.next()) {
        (Some(Ok(allocated)), Some(Ok(resident))) => Ok(Grown { allocated, resident }),
        _ => Err(failed(&String::from_utf8_lossy(&output.stderr))),
    }
}

/// Grows the map, and prints what the parent reads.
fn grow(map: &str, held: Held, entries: u32) -> Result<(), String> {
    let work = Grow { map, entries };
    let grown = match held {
        Held::Words => hash_maps::<Words, _>(&work),
        Held::Records => hash_maps::<Records, _>(&work),
    };
    let Some(Grown { allocated, resident }) = grown.into_iter().flatten().next() else {
        return Err(format!("there is no map {map}, or nobody knows what is resident"));
    };
    println!("{allocated} {resident}");
    Ok(())
}

struct Names;

impl HashWork<Words> for Names {
    type Output = &'static str;

    fn with<M: HashMap<Words>>(&self) -> &'static str {
        M::NAME
    }
}

struct Grow<'a> {
    map: &'a str,
    entries: u32,
}

impl<D: Data> HashWork<D> for Grow<'_> {
    type Output = Option<Grown>;

    fn with<M: HashMap<D>>(&self) -> Option<Grown> {
        if M::NAME != self.map {
            return None;
        }
        let before = in_use()?;
        let map = M::with_capacity(0);
        for number in 0..self.entries {
            M::insert(&map.pin(), D::key(number), D::value(number));
        }
        let after = in_use()?;
        black_box(&map);
        Some(Grown {
            allocated: after.allocated - before.allocated,
            resident: after.resident - before.resident,
        })
    }
}

fn in_use() -> Option<Grown> {
    let stats = INSTRUMENTED_SYSTEM.stats();
    let allocated = stats.bytes_allocated - stats.bytes_deallocated;
    Some(Grown { allocated, resident: memory_stats()?.physical_mem })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Options::command().debug_assert();
    }
}
