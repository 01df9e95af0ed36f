//! Models of `sexton` for [loom](https://docs.rs/loom), which runs each of them again and again, in
//! all interleavings and with all values that the memory model lets a load return.
//!
//! ```text
//! cargo xtask loom                # all models, in both modes
//! cargo xtask loom --deep stack   # some models, with larger bounds
//! cargo xtask mutants             # the planted bugs of `mutants/` that they must catch
//!
//! RUSTFLAGS="--cfg loom"           cargo test --release -p sexton-loom-tests
//! RUSTFLAGS="--cfg crossbeam_loom" cargo test --release -p sexton-loom-tests
//! ```
//!
//! (There are two modes because the adapted crates each have a name of their own for it. Without
//! one of them there is nothing here.) `SEXTON_LOOM_DEEP=1` is what `--deep` sets;
//! `LOOM_MAX_PREEMPTIONS=4` sets a bound for all models. With `-- --nocapture` each model says how
//! many iterations it took, and how long.
//!
//! # The rooms
//!
//! | file | room |
//! | --- | --- |
//! | `scheme.rs` | the core of a scheme: protect against retire and collect |
//! | `records.rs`, `epoch.rs`, `hazard.rs` | what is particular to our own schemes: the two in common, and each |
//! | `stack.rs`, `queue.rs`, `rcu_cell.rs`, `hash_map.rs`, `skip_map.rs` | a structure each |
//! | `strict.rs` | two schemes that free as early as a scheme may, and cost a model nothing |
//! | `kept.rs` | the adapter over haphazard, without its spin lock |
//! | `model.rs` | limits, threads, and the checks at an iteration's end |
//! | `witness.rs`, `arena.rs` | values and memory that notice when they are used at a wrong time |
//!
//! # How a model is written
//!
//! Once, for any scheme, as a function that is named after the promise that it checks. Below it
//! stands on which schemes it runs and how far it is explored. What it took to explore stands
//! there too: iterations and seconds, on a 2-core machine of 2024 that had other things to do.
//!
//! loom switches threads at its atomics only. What stands between two of them is one step: a plain
//! read of a freed node is not noticed if nothing could come in between. So the values of the
//! models have a [tracked cell](witness::Witness), where loom asks for order and not for luck, and
//! what only Miri or a sanitizer can see is left to those (`cargo xtask miri`, `sanitize`).
//!
//! A light and a heavy barrier (`src/barrier.rs`) are two full fences in most models, as loom knows no
//! others. Full fences hide what else is missing. So there are models with barriers as the machine
//! has them ([`asymmetric`](model::Limits::asymmetric)), for which loom was taught what they mean
//! (`loom.patch`): only there it is seen that a scan needs its barrier, a slot its Release, and an
//! object three epochs.
//!
//! To loom a fence is no step of its own: it comes with what stands behind it. So it never tries an early
//! fence with late loads, and a scheme's fences hide what a structure fails to order. Where that matters
//! the model runs on `Leak`, which has none.
//!
//! What shows only when three threads meet in certain places takes more preemptions than can be explored.
//! There a model prescribes some of the order ([`in_turn`](model::in_turn)), of which loom learns nothing.
//!
//! `Backoff` does nothing here, and `compare_exchange_weak` fails only for a reason.
#![cfg(all(test, any(loom, crossbeam_loom)))]
#![cfg_attr(crossbeam_loom, allow(dead_code, reason = "each mode runs a part of the models"))]

mod arena;
#[cfg(loom)]
mod epoch;
mod hash_map;
#[cfg(loom)]
mod hazard;
#[cfg(loom)]
mod kept;
mod model;
mod queue;
mod rcu_cell;
#[cfg(loom)]
mod records;
mod scheme;
mod skip_map;
mod stack;
#[cfg(loom)]
mod strict;
mod witness;

/// Makes tests of models: one for each scheme that is named, with its limits.
///
/// Our own schemes, the strict ones, and haphazard, have their turn under `--cfg loom`, crossbeam under
/// `--cfg crossbeam_loom`.
macro_rules! on_schemes {
    ($($model:ident { $($scheme:ident: $limits:expr,)* })*) => { $(
        mod $model {
            use crate::model::{Limits, explore};

            $(crate::on_schemes!(@ $scheme $model $limits);)*

            /// The limits are the same in both modes, though each runs a part of the tests.
            const _: &[Limits] = &[$($limits),*];
            const _: fn(Limits, fn()) = explore;
        }
    )* };
    (@ pointers $model:ident $limits:expr) => {
        crate::on_schemes!(@ loom pointers $model crate::strict::Pointers, $limits);
    };
    (@ regions $model:ident $limits:expr) => {
        crate::on_schemes!(@ loom regions $model crate::strict::Regions, $limits);
    };
    (@ leak $model:ident $limits:expr) => {
        crate::on_schemes!(@ loom leak $model sexton::Leak, $limits);
    };
    (@ haphazard $model:ident $limits:expr) => {
        crate::on_schemes!(@ loom haphazard $model sexton::Haphazard, $limits);
    };
    (@ kept $model:ident $limits:expr) => {
        crate::on_schemes!(@ loom haphazard $model crate::kept::Kept, $limits);
    };
    (@ epoch $model:ident $limits:expr) => {
        crate::on_schemes!(@ loom epoch $model sexton::Epoch, $limits);
    };
    (@ hazard $model:ident $limits:expr) => {
        crate::on_schemes!(@ loom hazard $model sexton::Hazard, $limits);
    };
    (@ crossbeam $model:ident $limits:expr) => {
        crate::on_schemes!(@ crossbeam_loom crossbeam $model sexton::CrossbeamEpoch, $limits);
    };
    (@ $mode:ident $test:ident $model:ident $scheme:ty, $limits:expr) => {
        #[cfg($mode)]
        #[test]
        fn $test() {
            explore($limits, super::$model::<$scheme>);
        }
    };
}
use on_schemes;
