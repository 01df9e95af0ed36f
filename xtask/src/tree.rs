//! Copies of the workspace to work on, and loom with its patch.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{Result, output, run};

/// Where the workspace and its target directory are.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    target: PathBuf,
    /// The manifest of the published loom, as cargo has unpacked it.
    loom: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// If that fails, or there is no loom in the workspace.
    pub(crate) fn find() -> Result<Self> {
        let metadata = output(Command::new(env!("CARGO")).args([
            "metadata",
            "--format-version=1",
            concat!("--manifest-path=", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ]))?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
        let path = |value: &serde_json::Value| value.as_str().map(PathBuf::from);
        let packages = metadata["packages"].as_array().ok_or("cargo metadata has no packages")?;
        let loom = packages.iter().find(|package| package["name"] == "loom");
        Ok(Self {
            root: path(&metadata["workspace_root"]).ok_or("cargo metadata has no root")?,
            target: path(&metadata["target_directory"]).ok_or("cargo metadata has no target")?,
            loom: loom
                .and_then(|loom| path(&loom["manifest_path"]))
                .ok_or("there is no loom in the workspace")?,
        })
    }

    /// A target directory for builds of one kind.
    pub(crate) fn target(&self, kind: &str) -> PathBuf {
        self.target.join(kind)
    }

    /// The names of the files in `tests/`, which are the library's.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn test_files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.root.join("tests"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                files.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Makes a copy of all files that git knows or would add, for builds of one kind, at the same
    /// place each time. Files that are the same stay untouched, so cargo builds what has changed.
    ///
    /// # Errors
    /// If git or the file system fails.
    pub(crate) fn copy(&self, kind: &str) -> Result<PathBuf> {
        let copy = self.target.join("xtask").join(kind);
        let files = output(
            Command::new("git")
                .args(["ls-files", "--cached", "--others", "--exclude-standard"])
                .current_dir(&self.root),
        )?;
        let files: BTreeSet<&Path> =
            files.lines().map(Path::new).filter(|file| self.root.join(file).is_file()).collect();
        for file in &files {
            write(&copy.join(file), &fs::read(self.root.join(file))?)?;
        }
        remove_others(&copy, &copy, &files)?;
        Ok(copy)
    }

    /// Makes a copy of loom with `loom_tests/loom.patch`.
    ///
    /// # Errors
    /// If the patch does not apply, or the file system fails.
    pub(crate) fn patched_loom(&self) -> Result<PathBuf> {
        let published = self.loom.parent().ok_or("loom's manifest is nowhere")?;
        let name = published.file_name().ok_or("loom is nowhere")?;
        let patch = self.root.join("loom_tests/loom.patch");
        let copy = self.target.join("xtask").join(name);
        // Made anew only when there is another patch.
        let stamp = copy.join("applied.patch");
        let patch_text = fs::read(&patch)?;
        if fs::read(&stamp).is_ok_and(|applied| applied == patch_text) {
            return Ok(copy);
        }
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy_all(published, &copy)?;
        apply(&patch, &copy)?;
        fs::write(stamp, patch_text)?;
        Ok(copy)
    }
}

/// Applies a patch in a directory.
///
/// # Errors
/// If it does not apply.
pub(crate) fn apply(patch: &Path, directory: &Path) -> Result<()> {
    git_apply(patch, directory, &[])
}

/// Looks whether a patch would apply in a directory.
///
/// # Errors
/// If it does not.
pub(crate) fn check_applies(patch: &Path, directory: &Path) -> Result<()> {
    git_apply(patch, directory, &["--check"])
}

fn git_apply(patch: &Path, directory: &Path, options: &[&str]) -> Result<()> {
    let above = directory.parent().unwrap_or(directory);
    let mut apply = Command::new("git");
    // Inside a repository git would look for the files from its root on.
    apply
        .env("GIT_CEILING_DIRECTORIES", above)
        .arg("apply")
        .args(options)
        .arg(patch)
        .current_dir(directory);
    output(&mut apply).map(drop)
}

/// Writes a file, unless it has this content already.
fn write(file: &Path, content: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(file, content)?;
    Ok(())
}

/// Removes what is in a copy and not in the list.
fn remove_others(copy: &Path, directory: &Path, files: &BTreeSet<&Path>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(copy, &path, files)?;
        } else if !files.contains(path.strip_prefix(copy)?) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().ok_or("a file without a name")?);
        if path.is_dir() {
            copy_all(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// One of the names that the adapted crates have for their loom mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// haphazard's, and that of what needs neither crate.
    Loom,
    /// crossbeam-epoch's.
    CrossbeamLoom,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Loom, Self::CrossbeamLoom];

    /// The name of the cfg, and of the target directory.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loom => "loom",
            Self::CrossbeamLoom => "crossbeam_loom",
        }
    }
}

/// The command that builds the models of a copy, or builds and runs them; with the patched loom, if
/// there is one.
pub(crate) fn models(
    workspace: &Workspace,
    copy: &Path,
    loom: Option<&Path>,
    mode: Mode,
) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["test", "--release", "--package=sexton-loom-tests", "--lib"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", workspace.target(mode.name()));
    let mut flags = format!("--cfg {}", mode.name());
    if let Some(loom) = loom {
        cargo.arg("--config").arg(format!("patch.crates-io.loom.path={:?}", loom));
        flags.push_str(" --cfg loom_barriers");
    }
    cargo.env("RUSTFLAGS", flags);
    cargo
}

/// The command that builds the library's unit tests (`--lib`) in a copy, or those of one file, or builds
/// and runs them.
pub(crate) fn plain_tests(workspace: &Workspace, copy: &Path, which: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["test", "--package=sexton", which])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", workspace.target("unit"));
    cargo
}

/// Runs it, for what it is not needed to know.
pub(crate) fn build(command: &mut Command) -> Result<()> {
    run(command.args(["--quiet", "--no-run"])).map(drop)
}
