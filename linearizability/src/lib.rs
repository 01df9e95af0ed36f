//! Histories of sexton's structures, and whether they are linearizable.
//!
//! ```text
//! cargo test --release -p sexton-linearizability
//! ```
//!
//! Threads do operations at random on one [`Subject`]. Each writes down when an operation was called,
//! what came of it, and when it had returned ([`record`]). Then a checker looks for an order of all the
//! operations, in accordance with these times, in which the results are those of a sequential
//! specification ([`check`]). If there is none, the structure is not linearizable. (M. Herlihy,
//! J. Wing, "Linearizability: a correctness condition for concurrent objects", 1990.)
//!
//! The checker is that of [`todc_utils`]: the algorithm of Wing and Gong with the cache of Lowe ("Testing
//! for linearizability", 2017). So the search is not exponential in the length of a history but, as good
//! as always, in the number of threads only. Maps are checked key by key: a history is linearizable if
//! the history of each key is.
//!
//! | file | room |
//! | --- | --- |
//! | `record.rs` | the recorder, and the check |
//! | `line.rs` (stack and queue), `cell.rs`, `map.rs`, `set.rs`, `skip_map.rs` | the structures: their operations, their specification |
//! | `broken.rs` | structures that are not linearizable, which the check must reject |
//! | `tests/` | all structures on all schemes, on the machine's threads; shuttle's are in `shuttle_tests/` |
//!
//! **What it cannot see.** The times come from one counter that all threads increase, so between two
//! operations of different threads there is an order that a program may not have: an error that needs
//! its absence is found by loom or not at all. And only what has happened is checked, not what might
//! have; under shuttle more happens.

pub mod broken;
pub mod cell;
pub mod line;
pub mod map;
mod record;
pub mod set;
pub mod skip_map;

pub use record::{Dice, Done, Operation, Recorder, Subject, check, record};
