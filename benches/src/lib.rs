//! sexton beside its peers: what pinning, protecting, retiring and walking cost, and how much
//! garbage waits.
//!
//! ```text
//! cargo run --release -p sexton-benches --bin schemes -- [--quick] [ROW..]
//! cargo run --release -p sexton-benches --bin schemes_mimalloc -- [--quick] [ROW..]
//! cargo run --release -p sexton-benches --bin instructions -- --all
//! ```
//!
//! The contenders of a row run in turns, in one process, a short while each; what counts is the
//! ratio of medians. Figures of different runs are not comparable: a machine has moods.
//!
//! - A row ([`row`]) is one kind of work, written once, generic over the contender.
//! - A contender ([`contender`]) is one scheme, used as its documentation says.
//! - Our own schemes are named in one place, [`contender::ours`].
//! - No verdict changes the exit status: a target that is missed is reported, not an error.

pub mod contender;
pub mod instructions;
pub mod ledger;
pub mod options;
pub mod report;
pub mod row;
pub mod turns;
pub mod watch;

use clap::Parser;

use options::Options;

/// What both `schemes` and `schemes_mimalloc` do.
pub fn main(allocator: &str) {
    let options = Options::parse();
    let settings = options.settings();
    println!("allocator: {allocator}; {settings}\n");
    for row in options.rows() {
        for report in row.measure(&settings) {
            println!("{report}");
        }
    }
}
