//! Running other programs.

use std::error::Error;
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What can go wrong, in words for a person.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A command as a person would type it.
fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Runs a command, and says what it took.
///
/// # Errors
/// If it cannot be run, or fails.
pub(crate) fn run(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("{}: {error}", line(command)))?;
    if status.success() {
        Ok(start.elapsed())
    } else {
        Err(format!("{} ended with {status}", line(command)).into())
    }
}

/// What a command writes to its standard output.
///
/// # Errors
/// If it cannot be run, or fails; with what it has written to the standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{}: {error}", line(command)))?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        let message = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} ended with {}\n{message}", line(command), output.status).into())
    }
}

/// How a command has ended that was given so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Badly,
    /// It was still running, and was killed.
    Late,
}

/// Runs a command without its output, for so long at most.
///
/// # Errors
/// If it cannot be run.
pub(crate) fn try_for(limit: Duration, command: &mut Command) -> Result<Ended> {
    let start = Instant::now();
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.spawn().map_err(|error| format!("{}: {error}", line(command)))?;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(Ended::Well),
            Some(_) => return Ok(Ended::Badly),
            None if start.elapsed() > limit => {
                child.kill()?;
                child.wait()?;
                return Ok(Ended::Late);
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Seconds, as they are printed.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}

/// Fails with one clear line unless a program is there, which answers to this argument.
///
/// # Errors
/// The line.
pub(crate) fn need(program: &str, argument: &str, how_to_get_it: &str) -> Result<()> {
    match output(Command::new(program).arg(argument)) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("there is no {program}: {how_to_get_it}").into()),
    }
}

/// Fails with one clear line unless a nightly toolchain is there that has these components.
///
/// # Errors
/// The line.
pub(crate) fn need_nightly(check: &str, components: &[&str]) -> Result<()> {
    let mut list = Command::new("rustup");
    list.args(["component", "list", "--toolchain", "nightly", "--installed"]);
    let installed = output(&mut list).unwrap_or_default();
    let has = |component: &&&str| installed.lines().any(|line| line.starts_with(**component));
    if components.iter().filter(has).count() == components.len() {
        return Ok(());
    }
    let components = components.join(" --component ");
    Err(format!(
        "{check} needs a nightly toolchain: \
         rustup toolchain install nightly --profile minimal --component {components}"
    )
    .into())
}
