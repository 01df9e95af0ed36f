//! Scenarios of sexton for [shuttle](https://docs.rs/shuttle), which runs each of them again and again
//! with threads that are switched at random; and threads that stop in the middle.
//!
//! ```text
//! cargo xtask shuttle                # all scenarios
//! cargo xtask shuttle --deep stack   # some, many times more often
//!
//! RUSTFLAGS="--cfg shuttle" cargo test --release -p sexton-shuttle-tests
//! ```
//!
//! (Without the cfg there is nothing here.) `SEXTON_SHUTTLE_DEEP=1` is what `--deep` sets. With
//! `-- --nocapture` each scenario says how often it ran, and how long. A scenario that fails prints its
//! seed: with `SHUTTLE_RANDOM_SEED` it begins with that.
//!
//! | file | room |
//! | --- | --- |
//! | `scheme.rs` | the core of a scheme: protection, adoption, exits, the bound |
//! | `stack.rs`, `queue.rs`, `rcu_cell.rs`, `hash_map.rs`, `skip_map.rs` | a structure each |
//! | `linearizable.rs` | histories of all structures, checked |
//! | `stopped.rs`, `stop.rs` | a thread that stops at any step, and others that go on; how it is stopped |
//! | `run.rs` | schedules, threads |
//!
//! # What it is for
//!
//! loom explores all that two or three threads can do in a dozen steps each, with weak memory. Here are
//! more threads, that do more, meet the ends of tables and bags again and again, and exit; but
//! interleavings are tried at random, and **all orderings count as the strongest**: no scenario can miss
//! a fence or an Acquire. Half of the schedules are chosen step by step, the other half by priorities
//! that change a few times (PCT: S. Burckhardt et al., "A randomized scheduler with probabilistic
//! guarantees of finding bugs", ASPLOS 2010), which finds what takes a thread that sleeps for long.
//!
//! The adapters are not here: the adapted crates know nothing of shuttle.
#![cfg(all(test, shuttle))]

mod hash_map;
mod linearizable;
mod queue;
mod rcu_cell;
mod run;
mod scheme;
mod skip_map;
mod stack;
mod stop;
mod stopped;

/// Makes tests of scenarios: each on both of our schemes.
macro_rules! on_our_schemes {
    ($($scenario:ident)*) => { $(
        mod $scenario {
            #[test]
            fn epoch() {
                crate::run::explore(super::$scenario::<sexton::Epoch>);
            }

            #[test]
            fn hazard() {
                crate::run::explore(super::$scenario::<sexton::Hazard>);
            }
        }
    )* };
}
use on_our_schemes;
