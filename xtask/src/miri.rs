//! `cargo xtask miri`.

use std::process::Command;

use crate::shell::{Result, need_nightly, run as run_command, seconds};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only tests whose names contain one of these
    filter: Vec<String>,
    /// Only these files of `tests/`, as `conformance` (repeatable)
    #[arg(long, value_name = "FILE")]
    test: Vec<String>,
    /// With so many seeds, each of which is another schedule
    #[arg(long, default_value_t = 1)]
    seeds: u32,
}

/// What is run, and how strictly.
struct Pass {
    name: &'static str,
    flags: &'static str,
    /// Which tests: those without `crossbeam` in their names, or those with it.
    crossbeam: bool,
}

const PASSES: [Pass; 2] = [
    Pass {
        name: "stacked borrows, strict provenance",
        flags: "-Zmiri-strict-provenance",
        crossbeam: false,
    },
    // The published crossbeam-epoch 0.9.21 fails under both of these, without us. Its collectors
    // are freed by the last thread that leaves them, or never, which Miri takes for leaks.
    Pass {
        name: "tree borrows, permissive provenance, for what is crossbeam's",
        flags: "-Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks",
        crossbeam: true,
    },
];

/// Runs the tests under Miri.
pub(crate) fn run(options: &Options) -> Result<()> {
    need_nightly("Miri", &["miri", "rust-src"])?;
    for pass in PASSES {
        println!("== {}", pass.name);
        let mut miri = Command::new("cargo");
        let mut flags = pass.flags.to_owned();
        if options.seeds > 1 {
            flags += &format!(" -Zmiri-many-seeds=0..{}", options.seeds);
        }
        miri.args(["+nightly", "miri", "test", "--package=sexton", "--lib"])
            .env("MIRIFLAGS", flags)
            .env_remove("RUSTFLAGS");
        if options.test.is_empty() {
            miri.arg("--tests");
        }
        miri.args(options.test.iter().map(|file| format!("--test={file}"))).arg("--");
        if pass.crossbeam {
            miri.arg("crossbeam");
        } else {
            miri.args(["--skip", "crossbeam"]);
        }
        let time = run_command(miri.args(&options.filter))?;
        println!("== {}: {}", pass.name, seconds(time));
    }
    Ok(())
}
