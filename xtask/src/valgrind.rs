//! `cargo xtask valgrind`.

use std::process::Command;

use crate::shell::{Result, need, run as run_command, seconds};
use crate::tree::Workspace;

/// What is run if nothing else is said. Valgrind is slow, and lets one thread run at a time: so what it
/// adds to AddressSanitizer is the use of memory that nobody has written. These take a minute; the ordered
/// map's tests take several.
const PART: [&str; 4] = ["borrowed_values", "reentrancy", "models", "queue"];

/// How cargo is told to run the tests. What is still reachable at the end is a process-wide domain's.
const RUNNER: &str = "target.'cfg(all())'.runner=['valgrind', '--quiet', '--error-exitcode=99', \
    '--leak-check=full', '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite', \
    '--fair-sched=yes']";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only tests whose names contain one of these
    filter: Vec<String>,
    /// Only these files of `tests/`, as `threads` (repeatable)
    #[arg(long, value_name = "FILE")]
    test: Vec<String>,
}

/// Runs tests under Valgrind.
pub(crate) fn run(options: &Options) -> Result<()> {
    need("valgrind", "--version", "the package valgrind of your system, or https://valgrind.org")?;
    let workspace = Workspace::find()?;
    let part = PART.map(str::to_owned);
    let files = if options.test.is_empty() { &part[..] } else { &options.test };
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["test", "--package=sexton", "--release"])
        .args(["--config", RUNNER])
        .args(files.iter().map(|file| format!("--test={file}")))
        // The cfg: blocks of nodes are not kept for reuse, which would hide their use after free.
        .env("RUSTFLAGS", "--cfg sexton_sanitize")
        .env("CARGO_TARGET_DIR", workspace.target("valgrind"))
        .current_dir(&workspace.root)
        .arg("--")
        // Leaks are what it is for.
        .args(["--skip", "leak_owned"])
        .args(&options.filter);
    let time = run_command(&mut cargo)?;
    println!("valgrind: {}", seconds(time));
    Ok(())
}
