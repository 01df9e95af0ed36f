//! sexton beside its peers: what pinning, protecting, retiring and walking cost, and how much
//! garbage waits; and how fast the structures are.
//!
//! ```text
//! cargo run --release -p sexton-benches --bin schemes -- [--quick] [ROW..]
//! cargo run --release -p sexton-benches --bin structures -- [--quick] [ROW..]
//! cargo run --release -p sexton-benches --bin bytes -- [--quick]
//! cargo run --release -p sexton-benches --bin instructions -- --all
//! ```
//!
//! `schemes_mimalloc` and `structures_mimalloc` do the same with another allocator.
//!
//! The contenders of a row run in turns, in one process, a short while each; what counts is the
//! ratio of medians. Figures of different runs are not comparable: a machine has moods. Each row has a
//! process of its own: what the rows before have left of the heap made some of them half as fast.
//!
//! - A row is one kind of work, written once, generic over the contender: of schemes in [`row`], of
//!   structures in [`structure`].
//! - A contender is one scheme ([`contender`]), or one structure (beside its rows), used as its
//!   documentation says.
//! - Our own schemes are named in one place, [`contender::ours`].
//! - What an operation costs its thread is told in nanoseconds; what threads do together, in millions
//!   a second, from the first one's start to the last one's end.
//! - No verdict changes the exit status: a target that is missed is reported, not an error.

pub mod bytes;
pub mod contender;
pub mod instructions;
pub mod ledger;
pub mod options;
pub mod report;
pub mod row;
pub mod structure;
pub mod turns;
pub mod watch;

use std::env;
use std::process::{Command, exit};

use clap::Parser;

use options::{Options, Row};

/// What `schemes` and `structures` do, whatever the allocator.
pub fn main<R: Row>(allocator: &str) {
    let options = Options::<R>::parse();
    if let [row] = options.rows() {
        let settings = options.settings();
        println!("allocator: {allocator}; {settings}\n");
        for report in row.measure(&settings) {
            println!("{report}");
        }
        return;
    }
    let this = env::current_exe().expect("the program's own path");
    for row in options.rows() {
        let status = Command::new(&this).args(options.only(*row)).status();
        match status.map(|status| status.success()) {
            Ok(true) => {}
            Ok(false) => exit(1),
            Err(error) => panic!("{} cannot be run: {error}", this.display()),
        }
    }
}
