//! Lock-free stacks, queues and maps, and the safe memory reclamation under them, behind one trait.
//!
//! A sexton buries the dead once the last mourner has left. This crate frees memory once the last
//! reader has left.
//!
//! ```
//! let map = sexton::HashMap::new();
//! map.insert("a", 1);
//! assert_eq!(map.get("a"), Some(1));
//!
//! let stack = sexton::Stack::<_>::new();
//! stack.push(7);
//! assert_eq!(stack.pop(), Some(7));
//!
//! // A domain of its own: isolated from everyone else's garbage, and with figures.
//! use sexton::Reclaimer;
//! let domain = sexton::epoch::Domain::new();
//! let queue = sexton::Queue::with_reclaimer(domain.clone());
//! queue.push(1);
//! assert_eq!(queue.pop(), Some(1));
//! domain.collect();
//! assert_eq!(domain.stats().pending, 0);
//! ```
//!
//! # The problem
//!
//! In a lock-free structure a thread may unlink a node while others are reading it. Somebody has to
//! free it, and not too early. A *reclamation scheme* knows when: readers enter a critical section
//! (a [`Guard`]) or cover single pointers (a [`Shield`]), writers *retire* what they have unlinked,
//! and the scheme reclaims it when nobody can be reading it any more.
//!
//! # Which scheme
//!
//! Every structure takes its scheme as the last type parameter, and runs on all of them.
//!
//! | | protects | while a thread sleeps in a guard | choose it |
//! | --- | --- | --- | --- |
//! | [`Epoch`], the default | all that is read under a guard | nothing that is retired meanwhile is freed | when guards are short |
//! | [`Hazard`]: hazard pointers | one pointer in each slot | a bounded number of objects waits | when threads may sleep, or memory must be bounded |
//! | [`CrossbeamEpoch`] (feature `crossbeam-epoch`) | as `Epoch` | as `Epoch` | to share a collector with other users of that crate |
//! | [`Haphazard`] (feature `haphazard`) | as `Hazard` | as `Hazard` | to share a domain with other users of that crate |
//! | [`Leak`] | everything, for ever | nothing is ever freed | as a baseline; to test whether a bug is a use-after-free |
//!
#![cfg_attr(not(feature = "haphazard"), doc = "[`Haphazard`]: scheme")]
#![cfg_attr(not(feature = "crossbeam-epoch"), doc = "[`CrossbeamEpoch`]: scheme")]
//!
//! # Rules of thumb
//!
//! - **Do not wait under a guard**: not for I/O, not for a lock, not for another thread.
//! - The guard-free methods pin for one call; for many operations in a row, `pin` once.
//! - References ([`Ref`]) live no longer than their guard. What must live on is cloned, or an `Arc`.
//! - A structure with [its own domain](Domain) is not held up by the readers of any other.
//! - A global allocator does not use this crate: it is called in the middle of its work.
//!
//! # The map of the house
//!
//! | file | room |
//! | --- | --- |
//! | `scheme.rs` | the raw trait that a scheme's author implements, and its contract |
//! | `domain.rs`, `guard.rs`, `atomic.rs` | the safe wrappers, written once for all schemes |
//! | `retired.rs` | a node's memory, and what it takes to free it later |
//! | `epoch.rs`, `hazard.rs` | our schemes: the algorithm, its proof, its code |
//! | `records.rs`, `record.rs`, `builder.rs` | what they share: a domain, what each thread has in it, settings |
//! | `bag.rs`, `biased.rs`, `recycler.rs` | a thread's retired objects; the lock around them; blocks for reuse |
//! | `barrier.rs`, `thread.rs`, `segments.rs` | asymmetric fences; who a thread is; a table that never moves |
//! | `adapter/` | the schemes of others, and [`Leak`] |
//! | `stack.rs`, `queue/`, `rcu_cell.rs`, `rcu_option.rs`, `hash_map/`, `skip_map/`, `hash_set.rs` | the structures |
//! | `serde.rs`, `rayon.rs` | the structures for those crates (features of these names) |
//! | `exclusive.rs`, `sharded.rs`, `turn.rs`, `prefetch.rs` | what the structures share: taking apart, counting, stepping back, hints |
//! | `counts.rs`, `rounds.rs` | what the schemes share: statistics, collecting until nothing is left |
//! | `sync.rs` | the only door to atomics, for the model checker's sake |
//! | `conformance.rs` | the suite that any scheme must pass (feature `conformance`) |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adapter;
mod atomic;
mod bag;
mod barrier;
mod biased;
mod builder;
#[cfg(feature = "conformance")]
pub mod conformance;
mod counts;
mod domain;
pub mod epoch;
mod exclusive;
mod guard;
pub mod hash_map;
pub mod hash_set;
pub mod hazard;
mod prefetch;
mod queue;
#[cfg(feature = "rayon")]
mod rayon;
mod rcu_cell;
mod rcu_option;
mod record;
mod records;
mod recycler;
mod retired;
mod rounds;
pub mod scheme;
mod segments;
#[cfg(feature = "serde")]
mod serde;
mod sharded;
pub mod skip_map;
mod stack;
pub mod sync;
mod thread;
mod turn;

#[cfg(feature = "crossbeam-epoch")]
pub use adapter::crossbeam_epoch::CrossbeamEpoch;
#[cfg(feature = "haphazard")]
pub use adapter::haphazard::Haphazard;
pub use adapter::leak::Leak;
pub use atomic::{AllocError, Atomic, Owned, Ptr};
pub use barrier::Barrier;
pub use builder::Builder;
pub use domain::{Domain, Reclaimer};
pub use epoch::Epoch;
pub use exclusive::{Drain, IntoIter};
pub use guard::{Guard, Pinned, Ref, Shield};
pub use hash_map::HashMap;
pub use hash_set::HashSet;
pub use hazard::Hazard;
pub use queue::{PushError, Queue};
pub use rcu_cell::RcuCell;
pub use rcu_option::{Changed, RcuOption};
pub use retired::{NODE_ALIGN, Retired, Vtable};
pub use scheme::{GlobalScheme, GuardScoped, Protection, Scheme, Stats};
pub use skip_map::{SkipMap, SkipSet};
pub use stack::{PopAll, Stack};

/// The examples of the README are tests, too.
#[cfg(all(doctest, feature = "haphazard"))]
#[doc = include_str!("../README.md")]
struct Readme;
