//! What an operation costs in instructions, counted by callgrind: no mood of the machine is in it.
//!
//! The program runs itself under valgrind, with N operations and with 2N; the difference is the
//! operations' alone, and the part of batches that they filled. Less the same for an empty loop.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::{env, io};

use clap::{Parser, ValueEnum};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::contender::{
    Contender, CrossbeamEpoch, Epoch, Haphazard, Hazard, Kovan, Malloc, Ours, Sdd, Seize,
};
use crate::row::{pins, reads, retires};

/// What pin+unpin on our epochs must not exceed.
const PIN_TARGET: u64 = 12;

/// The option by which the program asks itself for a membarrier.
const ASK: &str = "--has-membarrier";

/// Counts the instructions of an operation, or runs operations for someone who does.
#[derive(Debug, Parser)]
#[command(version, group(clap::ArgGroup::new("mode").required(true).args(["all", "contender", "has_membarrier"])))]
pub struct Options {
    /// Count the instructions of all, with callgrind
    #[arg(long, visible_alias = "callgrind")]
    all: bool,

    /// Say whether there is a membarrier
    #[arg(long, hide = true)]
    has_membarrier: bool,

    /// Run operations of this contender, and do nothing else
    #[arg(value_enum, requires = "work")]
    contender: Option<Which>,

    /// Which operations
    #[arg(value_enum)]
    work: Option<Work>,

    /// How many
    #[arg(default_value_t = 1000)]
    operations: u64,
}

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Work {
    /// pin and unpin
    Pin,
    /// pin and unpin within a pin
    Nested,
    /// protect one pointer and read it, guard included
    Protect,
    /// allocate, swap in, retire what was there
    Retire,
}

impl Work {
    /// How many make the first run: more where the work is done in batches.
    fn operations(self) -> u64 {
        match self {
            Self::Retire => 100_000,
            Self::Pin | Self::Nested | Self::Protect => 10_000,
        }
    }
}

/// One line a contender: its name on the command line, and what it is.
macro_rules! contenders {
    ($($name:ident => $contender:ty,)*) => {
        /// A contender by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        enum Which {
            /// an empty loop
            Nothing,
            $(#[doc = stringify!($contender)] $name,)*
        }

        impl Which {
            fn name(self) -> &'static str {
                match self {
                    Self::Nothing => "(an empty loop)",
                    $(Self::$name => <$contender>::NAME,)*
                }
            }

            fn run(self, work: Work, operations: u64) {
                match self {
                    Self::Nothing => nothing(work, operations),
                    $(Self::$name => run::<$contender>(work, operations),)*
                }
            }
        }
    };
}

contenders! {
    Epoch => Ours<Epoch>,
    OwnEpoch => Ours<sexton::Domain<Epoch>>,
    Hazard => Ours<Hazard>,
    OwnHazard => Ours<sexton::Domain<Hazard>>,
    CrossbeamEpoch => CrossbeamEpoch,
    Kovan => Kovan,
    Seize => Seize,
    Sdd => Sdd,
    Haphazard => Haphazard,
    Malloc => Malloc,
}

impl Which {
    /// What the table says of `work`; with haphazard, only the hazard pointer's lease is a pin.
    fn has(self, work: Work) -> bool {
        match self {
            Self::Malloc => work == Work::Retire,
            Self::Haphazard => work != Work::Nested,
            _ => true,
        }
    }
}

fn run<C: Contender>(work: Work, operations: u64) {
    let contender = C::default();
    let link = contender.link(7);
    match work {
        Work::Pin => pins(&contender, operations),
        Work::Nested => {
            let _outer = contender.pin();
            pins(&contender, operations);
        }
        Work::Protect => reads(&contender, &link, operations),
        Work::Retire => retires(&contender, &link, operations, |number| number),
    }
    // SAFETY: of this contender, and known here only.
    unsafe { C::clear(&contender.writer(), link) };
}

/// The loops, without what is in them.
fn nothing(work: Work, operations: u64) {
    match work {
        Work::Pin | Work::Nested => (0..operations).for_each(|_| black_box(())),
        Work::Protect | Work::Retire => (0..operations).for_each(|number| {
            black_box(number);
        }),
    }
}

/// What the program does.
pub fn main() -> ExitCode {
    let options = Options::parse();
    if options.has_membarrier {
        println!("{}", has_membarrier());
        return ExitCode::SUCCESS;
    }
    if let (Some(which), Some(work)) = (options.contender, options.work) {
        which.run(work, options.operations);
        return ExitCode::SUCCESS;
    }
    match table() {
        Ok(table) => {
            print!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// All contenders and all work.
fn table() -> Result<String, String> {
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        return Err(format!("instructions are counted with valgrind, which does not run: {error}"));
    }
    let mut head = vec!["instructions an operation".to_owned()];
    head.extend(Work::value_variants().iter().map(|work| format!("{work:?}").to_lowercase()));
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head);

    let mut empty = Vec::new();
    for &work in Work::value_variants() {
        empty.push(instructions(Which::Nothing, work)?);
    }
    let mut pin = 0;
    for &which in Which::value_variants() {
        let mut cells = vec![which.name().to_owned()];
        for (&work, &empty) in Work::value_variants().iter().zip(&empty) {
            if which == Which::Nothing {
                cells.push(empty.to_string());
            } else if which.has(work) {
                let net = instructions(which, work)?.saturating_sub(empty);
                if (which, work) == (Which::Epoch, Work::Pin) {
                    pin = net;
                }
                cells.push(net.to_string());
            } else {
                cells.push("-".to_owned());
            }
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }

    let verdict = if pin <= PIN_TARGET { "met" } else { "missed" };
    let mut text = format!("{table}\n\nThe empty loop is not in the others' figures.\n");
    let name = Which::Epoch.name();
    let _ = writeln!(text, "{verdict:<6}  {name}, pin: {pin} (target: {PIN_TARGET})");
    if membarrier_is_missing_under_valgrind()? {
        text.push_str(
            "warning: there is no membarrier under valgrind here; who relies on it fences instead, \
             and is counted so\n",
        );
    }
    Ok(text)
}

/// Of one operation, by the difference of two runs.
fn instructions(which: Which, work: Work) -> Result<u64, String> {
    let operations = work.operations();
    let (once, twice) = (count(which, work, operations)?, count(which, work, 2 * operations)?);
    Ok((twice.saturating_sub(once) + operations / 2) / operations)
}

/// Of a whole run.
fn count(which: Which, work: Work, operations: u64) -> Result<u64, String> {
    let name = |value: clap::builder::PossibleValue| value.get_name().to_owned();
    let which = which.to_possible_value().map(name).unwrap_or_default();
    let work = work.to_possible_value().map(name).unwrap_or_default();
    let output = under_callgrind(&[&which, &work, &operations.to_string()])
        .map_err(|error| format!("valgrind: {error}"))?;
    collected(&output).ok_or_else(|| format!("{which} {work}: no count in\n{output}"))
}

fn under_callgrind(arguments: &[&str]) -> io::Result<String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(arguments)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The number in callgrind's line `==7== Collected : 1234`.
fn collected(output: &str) -> Option<u64> {
    let line = output.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Asked by the program of itself, as valgrind may not know all that the kernel does.
fn membarrier_is_missing_under_valgrind() -> Result<bool, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind").args(["--tool=none", "-q"]).arg(this).arg(ASK).output();
    let output = output.map_err(|error| format!("valgrind: {error}"))?;
    Ok(!String::from_utf8_lossy(&output.stdout).contains("true"))
}

#[cfg(target_os = "linux")]
fn has_membarrier() -> bool {
    // SAFETY: it asks which commands there are, and changes nothing.
    let commands = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_QUERY, 0, 0) };
    let wanted = libc::c_long::from(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    commands >= 0 && commands & wanted == wanted
}

#[cfg(not(target_os = "linux"))]
fn has_membarrier() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_what_callgrind_collected() {
        let output = "==7== Callgrind\n==7== \n==7== Events    : Ir\n==7== Collected : 123456\n";
        assert_eq!(collected(output), Some(123_456));
        assert_eq!(collected("valgrind: no such file"), None);
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn everyone_runs() {
        for &which in Which::value_variants() {
            for &work in Work::value_variants().iter().filter(|&&work| which.has(work)) {
                which.run(work, 100);
            }
        }
    }
}
