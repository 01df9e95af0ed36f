//! `cargo xtask mutants`.
//!
//! A mutant is a patch with one bug, `loom_tests/mutants/*.patch`. Its header says what it takes
//! away, what that breaks, and by which tests it is caught, each with how to run it:
//!
//! ```text
//! # caught by: loom stack::each_value_is_popped_once::regions
//! # caught by: crossbeam_loom stack::each_value_is_popped_once::crossbeam
//! # caught by: asan queue
//! # caught by: shuttle stopped::queue::hazard
//! # caught by: unit recycler::tests::each_class_has_blocks_of_one_size
//! # caught by: bound epoch_frees_no_crowd_for_one_large_object
//! # caught by: skip_map an_update_of_what_is_removed_meanwhile_starts_again
//! ```
//!
//! All are named in full, but for tests under AddressSanitizer, of which a part of their names is enough.
//! What is printed is a table in Markdown.
//!
//! One copy of the workspace is changed in place, one mutant after the other, so that cargo builds
//! again what has changed and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::sanitize;
use crate::shell::{Ended, Result, run as run_command, seconds, try_for};
use crate::shuttle;
use crate::tree::{Mode, Workspace, apply, build, check_applies, models, plain_tests};

/// A test that takes longer has not caught anything.
const LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only mutants whose names contain one of these
    filter: Vec<String>,
    /// Only the I-th of N parts, as `2/6`
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    part: Part,
    /// Those that no test is known to catch, `mutants/open`
    #[arg(long)]
    open: bool,
}

/// One of so many parts.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// From 0 on.
    index: usize,
    count: usize,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(i, n)| Some((i.parse().ok()?, n.parse::<usize>().ok()?)));
        match numbers {
            Some((part, count)) if (1..=count).contains(&part) => {
                Ok(Self { index: part - 1, count })
            }
            _ => Err("is not of the form I/N, with I from 1 to N".to_owned()),
        }
    }
}

/// How a test is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runner {
    Model(Mode),
    Shuttle,
    Unit,
    /// Of a file in `tests/`.
    File(&'static str),
    AddressSanitizer,
}

impl Runner {
    const ALL: [(&'static str, Self); 9] = [
        ("loom", Self::Model(Mode::Loom)),
        ("crossbeam_loom", Self::Model(Mode::CrossbeamLoom)),
        ("shuttle", Self::Shuttle),
        ("unit", Self::Unit),
        ("bound", Self::File("--test=bound")),
        ("skip_map", Self::File("--test=skip_map")),
        ("skip_map_user_code", Self::File("--test=skip_map_user_code")),
        ("thread_exit", Self::File("--test=thread_exit")),
        ("asan", Self::AddressSanitizer),
    ];
}

/// A test that catches a mutant.
#[derive(Debug)]
struct Test {
    runner: Runner,
    /// A model's name, or a part of some tests' names.
    name: String,
    /// Both, as they stand in the header.
    text: String,
}

#[derive(Debug)]
struct Mutant {
    name: String,
    patch: PathBuf,
    tests: Vec<Test>,
}

impl Mutant {
    fn read(patch: PathBuf) -> Result<Self> {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&patch)?;
        let header = text.lines().take_while(|line| !line.starts_with("--- "));
        let tests = header.filter_map(|line| line.strip_prefix("# caught by: "));
        let tests = tests.map(|test| {
            let (runner, name) = test.split_once(' ').unwrap_or((test, ""));
            let known = Runner::ALL.iter().find(|(known, _)| *known == runner);
            let runner = known.map(|(_, runner)| *runner);
            let runner = runner.ok_or_else(|| format!("{}: run how? {test}", patch.display()))?;
            Ok(Test { runner, name: name.to_owned(), text: test.to_owned() })
        });
        let tests = tests.collect::<Result<_>>()?;
        Ok(Self { name, patch, tests })
    }
}

/// All mutants in a directory.
fn read_all(directory: &Path) -> Result<Vec<Mutant>> {
    let mut patches = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            patches.push(path);
        }
    }
    patches.sort();
    patches.into_iter().map(Mutant::read).collect()
}

/// Those of the mutants that were asked for.
fn choose(mutants: Vec<Mutant>, options: &Options) -> Vec<Mutant> {
    let wanted = |name: &str| {
        options.filter.is_empty() || options.filter.iter().any(|filter| name.contains(filter))
    };
    let in_part = |index: usize| index % options.part.count == options.part.index;
    let chosen = mutants.into_iter().filter(|mutant| wanted(&mutant.name)).enumerate();
    chosen.filter(|(index, _)| in_part(*index)).map(|(_, mutant)| mutant).collect()
}

/// Where mutants live.
#[derive(Debug)]
struct Cage {
    workspace: Workspace,
    copy: PathBuf,
    loom: PathBuf,
}

impl Cage {
    /// Takes the last mutant's changes back.
    fn clean(&self) -> Result<()> {
        self.workspace.copy("mutants").map(drop)
    }

    /// The command that builds all tests of a kind, and runs those that are still to be named.
    fn tests(&self, runner: Runner) -> Command {
        let (workspace, copy) = (&self.workspace, &self.copy);
        let (mut command, target) = match runner {
            Runner::Model(mode) => (models(workspace, copy, Some(&self.loom), mode), mode.name()),
            Runner::Shuttle => (shuttle::scenarios(workspace, copy), "shuttle"),
            Runner::Unit => (plain_tests(workspace, copy, "--lib"), "plain"),
            Runner::File(file) => (plain_tests(workspace, copy, file), "plain"),
            Runner::AddressSanitizer => (sanitize::address(workspace, copy), "address"),
        };
        // A test is built for each mutant, and often fails at once: what counts is how long it takes to
        // build what has changed.
        for setting in ["profile.release.opt-level=1", r#"profile.release.package."*".opt-level=3"#]
        {
            command.args(["--config", setting]);
        }
        command
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_TARGET_DIR", workspace.target("mutants").join(target));
        command
    }

    /// The command that builds and runs these tests.
    fn command(&self, runner: Runner, tests: &[&str]) -> Command {
        let mut command = self.tests(runner);
        command.arg("--");
        if runner != Runner::AddressSanitizer {
            command.arg("--exact");
        }
        command.args(tests);
        command
    }

    /// All these tests must pass as long as nothing is changed.
    fn check_healthy(&self, mutants: &[Mutant]) -> Result<()> {
        for (name, runner) in Runner::ALL {
            let tests = mutants.iter().flat_map(|mutant| &mutant.tests);
            let tests = tests.filter(|test| test.runner == runner);
            let tests: Vec<_> = tests.map(|test| test.name.as_str()).collect();
            if !tests.is_empty() {
                println!("without a mutant: {name}");
                run_command(&mut self.command(runner, &tests))
                    .map_err(|error| format!("without any mutant: {error}"))?;
            }
        }
        Ok(())
    }

    /// How long a test ran until it caught a mutant, which is planted.
    fn hunt(&self, test: &Test) -> Result<Duration> {
        // A build that fails catches nothing.
        build(&mut self.tests(test.runner))?;
        let start = Instant::now();
        match try_for(LIMIT, &mut self.command(test.runner, &[&test.name]))? {
            Ended::Badly => Ok(start.elapsed()),
            Ended::Well => Err("NOT CAUGHT".into()),
            Ended::Late => Err(format!("NOT CAUGHT in {}", seconds(LIMIT)).into()),
        }
    }
}

/// Plants one mutant after the other, and prints what caught it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::find()?;
    let directory = if options.open { "loom_tests/mutants/open" } else { "loom_tests/mutants" };
    let mutants = read_all(&workspace.root.join(directory))?;
    let loom = workspace.patched_loom()?;
    let copy = workspace.copy("mutants")?;
    // Of all of them, so that none is out of date until the day on which its part is run.
    for mutant in &mutants {
        check_applies(&mutant.patch, &copy)?;
    }
    let mutants = choose(mutants, options);
    if let Some(mutant) = mutants.iter().find(|mutant| mutant.tests.is_empty()) {
        return Err(format!("{} does not say by what it is caught", mutant.name).into());
    }
    let cage = Cage { workspace, copy, loom };
    cage.check_healthy(&mutants)?;

    let start = Instant::now();
    let width = mutants.iter().map(|mutant| mutant.name.len()).max().unwrap_or(0);
    let mut escaped = 0;
    println!("| {:width$} | {:>7} | caught by |", "mutant", "time");
    println!("| {:-<width$} | {:->6}: | --------- |", "", "");
    for mutant in &mutants {
        cage.clean()?;
        let planted = apply(&mutant.patch, &cage.copy);
        for test in &mutant.tests {
            let caught = match &planted {
                Ok(()) => cage.hunt(test),
                Err(error) => Err(format!("the patch does not apply: {error}").into()),
            };
            let (time, note) = match caught {
                Ok(time) => (seconds(time), String::new()),
                Err(error) => {
                    escaped += 1;
                    ("-".to_owned(), format!("  {error}"))
                }
            };
            println!("| {:width$} | {time:>7} | {}{note} |", mutant.name, test.text);
        }
    }
    cage.clean()?;
    println!("{} mutants in {}", mutants.len(), seconds(start.elapsed()));
    match escaped {
        0 => Ok(()),
        _ => Err(format!("not caught: {escaped}").into()),
    }
}
