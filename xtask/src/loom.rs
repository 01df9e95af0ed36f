//! `cargo xtask loom`.

use crate::shell::{Result, run as run_command, seconds};
use crate::tree::{Mode, Workspace, build, models};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only models whose names contain one of these, as `stack::` or `::haphazard`
    filter: Vec<String>,
    /// With larger bounds: takes hours rather than minutes
    #[arg(long)]
    deep: bool,
    /// With loom as published, which misses most interleavings (see `loom_tests/loom.patch`)
    #[arg(long)]
    published: bool,
}

/// Explores the models in both modes, and prints what each took.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::find()?;
    let loom = if options.published { None } else { Some(workspace.patched_loom()?) };
    let copy = workspace.copy(if options.published { "published" } else { "models" })?;
    let mut took = Vec::new();
    for mode in Mode::ALL {
        println!("== --cfg {}", mode.name());
        let models = || models(&workspace, &copy, loom.as_deref(), mode);
        build(&mut models())?;
        let mut explore = models();
        explore.args(["--quiet", "--"]).args(&options.filter).arg("--nocapture");
        if options.deep {
            explore.env("SEXTON_LOOM_DEEP", "1");
        }
        took.push((mode, run_command(&mut explore)?));
    }
    for (mode, time) in took {
        println!("--cfg {}: {}", mode.name(), seconds(time));
    }
    Ok(())
}
