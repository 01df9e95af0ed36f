//! `cargo xtask sanitize`.

use std::path::Path;
use std::process::Command;

use crate::shell::{Result, need_nightly, run as run_command, seconds};
use crate::tree::Workspace;

/// Both sanitizers ask for a target, so that build scripts are not instrumented.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What is run if nothing else is said: where threads meet, on all schemes.
const PART: [&str; 3] = ["threads", "thread_exit", "reentrancy"];

/// Files that ThreadSanitizer cannot run: it does not follow a `fork` of a process with threads.
const NOT_FOR_THREADS: [&str; 2] = ["fork", "refused_membarrier"];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only tests whose names contain one of these
    filter: Vec<String>,
    /// Only these files of `tests/`, as `conformance` (repeatable)
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    test: Vec<String>,
    /// All tests, not only those where threads meet: half an hour rather than five minutes
    #[arg(long)]
    all: bool,
    /// Only one of the two
    #[arg(long, value_name = "SANITIZER")]
    only: Option<Sanitizer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sanitizer {
    /// AddressSanitizer and LeakSanitizer: uses after free, double frees, leaks
    Address,
    /// ThreadSanitizer, with an instrumented std: data races
    Thread,
}

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Self::Address => "AddressSanitizer and LeakSanitizer",
            Self::Thread => "ThreadSanitizer",
        }
    }

    /// The command that builds and runs tests of a tree, which are still to be named.
    fn command(self, workspace: &Workspace, tree: &Path) -> Command {
        let (kind, cfg) = match self {
            Self::Address => ("address", ""),
            // ThreadSanitizer knows nothing of fences. In our own code no fence carries what one thread
            // has written to another, so nothing need be strengthened; in crossbeam-epoch, some do.
            Self::Thread => ("thread", "--cfg crossbeam_sanitize_thread"),
        };
        let mut cargo = Command::new("cargo");
        cargo
            .args(["+nightly", "test", "--package=sexton", "--release", "--target", TARGET])
            // The cfg: blocks of nodes are not kept for reuse, which would hide their use after free.
            .env("RUSTFLAGS", format!("-Zsanitizer={kind} --cfg sexton_sanitize {cfg}"))
            .env("CARGO_TARGET_DIR", workspace.target(&format!("{kind}_sanitizer")))
            .current_dir(tree);
        match self {
            Self::Address => cargo.env("ASAN_OPTIONS", "detect_leaks=1"),
            Self::Thread => cargo.arg("-Zbuild-std"),
        };
        cargo
    }
}

/// The command that builds and runs all tests of a tree under AddressSanitizer, leaks included.
pub(crate) fn address(workspace: &Workspace, tree: &Path) -> Command {
    let mut cargo = Sanitizer::Address.command(workspace, tree);
    cargo.args(["--lib", "--tests"]);
    cargo
}

/// Runs the tests under both sanitizers.
pub(crate) fn run(options: &Options) -> Result<()> {
    need_nightly("sanitizing", &["rust-src"])?;
    let workspace = Workspace::find()?;
    for sanitizer in [Sanitizer::Address, Sanitizer::Thread] {
        if options.only.is_some_and(|only| only != sanitizer) {
            continue;
        }
        let name = sanitizer.name();
        println!("== {name}");
        let files: Vec<_> = if options.all {
            workspace.test_files()?
        } else if options.test.is_empty() {
            PART.map(str::to_owned).into()
        } else {
            options.test.clone()
        };
        let runs = |file: &&String| {
            sanitizer == Sanitizer::Address || !NOT_FOR_THREADS.contains(&file.as_str())
        };
        let mut check = sanitizer.command(&workspace, &workspace.root);
        check.args(files.iter().filter(runs).map(|file| format!("--test={file}")));
        if options.test.is_empty() {
            check.arg("--lib");
        }
        check.args(["--no-fail-fast", "--", "-Zunstable-options", "--report-time"]);
        if sanitizer == Sanitizer::Thread {
            // They look for what a processor reorders, and the sanitizer's own work keeps it from that.
            check.args(["--skip", "litmus"]);
        }
        let time = run_command(check.args(&options.filter))?;
        println!("== {name}: {}", seconds(time));
    }
    Ok(())
}
