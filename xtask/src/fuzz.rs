//! `cargo xtask fuzz`.

use std::process::Command;

use crate::shell::{Result, need, need_nightly, run as run_command, seconds};
use crate::tree::Workspace;

/// The targets in `fuzz/`.
const TARGETS: [&str; 6] = ["stack", "queue", "rcu_cell", "hash_map", "skip_map", INTERLEAVINGS];

/// The target in which the bytes say which thread goes on: built with shuttle.
const INTERLEAVINGS: &str = "interleavings";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these targets (all if none are named)
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
    /// How long each, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs the fuzz targets, one after the other.
pub(crate) fn run(options: &Options) -> Result<()> {
    need_nightly("fuzzing", &["rust-src"])?;
    need("cargo-fuzz", "--version", "cargo install cargo-fuzz")?;
    let workspace = Workspace::find()?;
    let all = TARGETS.map(str::to_owned);
    let targets = if options.targets.is_empty() { &all[..] } else { &options.targets };
    for target in targets {
        println!("== {target}");
        let mut fuzz = Command::new("cargo");
        let cfg = if target == INTERLEAVINGS { "--cfg shuttle" } else { "--cfg sexton_sanitize" };
        let kind = if target == INTERLEAVINGS { "fuzz_shuttle" } else { "fuzz" };
        fuzz.args(["+nightly", "fuzz", "run", target, "--"])
            .arg(format!("-max_total_time={}", options.seconds))
            .env("RUSTFLAGS", cfg)
            .env("CARGO_TARGET_DIR", workspace.target(kind))
            .current_dir(&workspace.root);
        let time = run_command(&mut fuzz)?;
        println!("== {target}: {}", seconds(time));
    }
    Ok(())
}
