//! The checks of sexton that take more than `cargo test`: `cargo xtask --help`.

mod fuzz;
mod loom;
mod miri;
mod mutants;
mod sanitize;
mod shell;
mod shuttle;
mod tree;
mod valgrind;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The checks of sexton that take more than `cargo test`.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Options {
    #[command(subcommand)]
    check: Check,
}

#[derive(Debug, Subcommand)]
enum Check {
    /// Explores the models of `loom_tests/`, in both of their modes
    Loom(loom::Options),
    /// Runs the scenarios of `shuttle_tests/`, with threads switched at random
    Shuttle(shuttle::Options),
    /// Plants the bugs of `loom_tests/mutants/`, each of which must be caught
    Mutants(mutants::Options),
    /// Runs the tests under Miri: undefined behaviour, races, leaks
    Miri(miri::Options),
    /// Runs the tests under ThreadSanitizer and AddressSanitizer
    Sanitize(sanitize::Options),
    /// Runs some tests under Valgrind
    Valgrind(valgrind::Options),
    /// Drives each structure against a model, with operations and schedules that a fuzzer chooses
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let result = match Options::parse().check {
        Check::Loom(options) => loom::run(&options),
        Check::Shuttle(options) => shuttle::run(&options),
        Check::Mutants(options) => mutants::run(&options),
        Check::Miri(options) => miri::run(&options),
        Check::Sanitize(options) => sanitize::run(&options),
        Check::Valgrind(options) => valgrind::run(&options),
        Check::Fuzz(options) => fuzz::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
