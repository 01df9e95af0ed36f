//! `cargo xtask miri`.

use std::ops::Range;
use std::process::Command;

use crate::shell::{Result, need_nightly, run as run_command, seconds};

/// Where threads meet: what is worth many schedules.
const CONCURRENT: [&str; 4] = ["conformance", "threads", "thread_exit", "reentrancy"];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only tests whose names contain one of these
    filter: Vec<String>,
    /// Only these files of `tests/`, as `conformance` (repeatable)
    #[arg(long, value_name = "FILE")]
    test: Vec<String>,
    /// With each of these seeds, which is a schedule of its own, as `0..64`; of all tests, if none are
    /// named, only those where threads meet
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    seeds: Option<Range<u32>>,
    /// By the rules of tree borrows, instead of stacked borrows
    #[arg(long)]
    tree_borrows: bool,
}

/// `64` is `0..64`.
fn range(text: &str) -> std::result::Result<Range<u32>, String> {
    let (from, to) = text.split_once("..").unwrap_or(("0", text));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from < to => Ok(from..to),
        _ => Err("is not of the form FROM..TO, with FROM below TO".to_owned()),
    }
}

/// What is run, and how strictly.
struct Pass {
    name: &'static str,
    flags: &'static str,
    /// Which tests: those that are not ignored, or those with `crossbeam` in their names, which are.
    crossbeam: bool,
}

const STACKED: Pass = Pass {
    name: "stacked borrows, strict provenance, symbolic alignment",
    flags: "-Zmiri-strict-provenance -Zmiri-symbolic-alignment-check",
    crossbeam: false,
};

const TREE: Pass = Pass {
    name: "tree borrows, strict provenance, symbolic alignment",
    flags: "-Zmiri-tree-borrows -Zmiri-strict-provenance -Zmiri-symbolic-alignment-check",
    crossbeam: false,
};

// The published crossbeam-epoch 0.9.21 fails under stacked borrows and under strict provenance, without
// us. Its collectors are freed by the last thread that leaves them, or never, which Miri takes for leaks.
const CROSSBEAM: Pass = Pass {
    name: "tree borrows, permissive provenance, for what is crossbeam's",
    flags: "-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks",
    crossbeam: true,
};

/// Runs the tests under Miri.
pub(crate) fn run(options: &Options) -> Result<()> {
    need_nightly("Miri", &["miri", "rust-src"])?;
    for pass in [if options.tree_borrows { TREE } else { STACKED }, CROSSBEAM] {
        println!("== {}", pass.name);
        let mut miri = Command::new("cargo");
        let mut flags = pass.flags.to_owned();
        miri.args(["+nightly", "miri", "test", "--package=sexton", "--lib"]);
        if let Some(seeds) = &options.seeds {
            flags += &format!(" -Zmiri-many-seeds={}..{}", seeds.start, seeds.end);
        }
        miri.env("MIRIFLAGS", flags).env_remove("RUSTFLAGS");
        let files = options.test.iter().map(String::as_str);
        match (&options.test[..], &options.seeds) {
            ([], None) => miri.arg("--tests"),
            ([], Some(_)) => miri.args(CONCURRENT.map(|file| format!("--test={file}"))),
            _ => miri.args(files.map(|file| format!("--test={file}"))),
        };
        miri.arg("--");
        if pass.crossbeam {
            miri.arg("--ignored");
            // Names are alternatives: with others, what else is ignored is left out one by one.
            match options.filter[..] {
                [] => miri.arg("crossbeam"),
                _ => miri.args(["--skip", "symmetric", "--skip", "quiescent", "--skip", "slots"]),
            };
        }
        let time = run_command(miri.args(&options.filter))?;
        println!("== {}: {}", pass.name, seconds(time));
    }
    Ok(())
}
