//! `cargo xtask shuttle`.

use std::path::Path;
use std::process::Command;

use crate::shell::{Result, run as run_command, seconds};
use crate::tree::Workspace;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only scenarios whose names contain one of these, as `stack::` or `stopped`
    filter: Vec<String>,
    /// Many times more schedules: takes half an hour rather than a minute
    #[arg(long)]
    deep: bool,
}

/// The command that builds the scenarios of a tree, and runs those that are still to be named.
pub(crate) fn scenarios(workspace: &Workspace, tree: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["test", "--release", "--package=sexton-shuttle-tests", "--lib"])
        // Some scenarios fail, as they should: that need not be told at length.
        .env("RUST_BACKTRACE", "0")
        .env("RUSTFLAGS", "--cfg shuttle")
        .env("CARGO_TARGET_DIR", workspace.target("shuttle"))
        .current_dir(tree);
    cargo
}

/// Runs the scenarios, and prints what each took.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::find()?;
    let mut cargo = scenarios(&workspace, &workspace.root);
    cargo.args(["--quiet", "--"]).args(&options.filter).arg("--nocapture");
    if options.deep {
        cargo.env("SEXTON_SHUTTLE_DEEP", "1");
    }
    let time = run_command(&mut cargo)?;
    println!("shuttle: {}", seconds(time));
    Ok(())
}
