//! Instructions an operation, counted by callgrind: `instructions --all`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sexton_benches::instructions::main()
}
