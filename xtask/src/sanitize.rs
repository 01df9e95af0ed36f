//! `cargo xtask sanitize`.

use std::path::Path;
use std::process::Command;

use crate::shell::{Result, need_nightly, run as run_command, seconds};
use crate::tree::Workspace;

/// Both sanitizers ask for a target, so that build scripts are not instrumented.
const TARGET: &str = "x86_64-unknown-linux-gnu";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only tests whose names contain one of these
    filter: Vec<String>,
}

fn tests(workspace: &Workspace, tree: &Path, kind: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["+nightly", "test", "--package=sexton", "--lib", "--tests", "--target", TARGET])
        // The cfg: blocks of nodes are not kept for reuse, which would hide their use after free.
        .env("RUSTFLAGS", format!("-Zsanitizer={kind} --cfg sexton_sanitize"))
        .env("CARGO_TARGET_DIR", workspace.target(&format!("{kind}_sanitizer")))
        .current_dir(tree);
    cargo
}

/// The command that builds and runs the tests of a tree under AddressSanitizer, leaks included.
pub(crate) fn address(workspace: &Workspace, tree: &Path) -> Command {
    let mut cargo = tests(workspace, tree, "address");
    cargo.arg("--release").env("ASAN_OPTIONS", "detect_leaks=1");
    cargo
}

/// The same under ThreadSanitizer, with an instrumented std.
fn thread(workspace: &Workspace) -> Command {
    let mut cargo = tests(workspace, &workspace.root, "thread");
    cargo.args(["--release", "-Zbuild-std"]);
    cargo
}

/// Runs the tests under both sanitizers.
pub(crate) fn run(options: &Options) -> Result<()> {
    need_nightly("sanitizing", &["rust-src"])?;
    let workspace = Workspace::find()?;
    let checks = [
        ("AddressSanitizer and LeakSanitizer", address(&workspace, &workspace.root)),
        ("ThreadSanitizer", thread(&workspace)),
    ];
    for (name, mut check) in checks {
        println!("== {name}");
        let time = run_command(check.arg("--").args(&options.filter))?;
        println!("== {name}: {}", seconds(time));
    }
    Ok(())
}
