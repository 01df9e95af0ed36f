//! The only door to atomics, shared ownership and thread-locals.
//!
//! Everything concurrent in this crate goes through here, so that a model checker sees all of it.
//! Normally the names are those of `core` and `std`. With `--cfg loom` or `--cfg crossbeam_loom`
//! they are loom's, and every interleaving that loom's memory model allows is explored. (There are
//! two because the two adapted crates each have a name of their own for their loom mode.) With
//! `--cfg shuttle` they are shuttle's: interleavings at random, sequentially consistent, of scenarios
//! that are larger than loom can explore.
//!
//! The module is public for the authors of [schemes](crate::Scheme): [`Scheme::protect`] is given
//! one of these atomics, and a scheme that takes its own atomics from here can be checked by loom
//! and shuttle with no change.
//!
//! [`Scheme::protect`]: crate::Scheme::protect
//!
//! ```
//! use sexton::sync::{AtomicUsize, Ordering};
//!
//! let counter = AtomicUsize::new(0);
//! counter.fetch_add(1, Ordering::Relaxed);
//! assert_eq!(counter.load(Ordering::Relaxed), 1);
//! ```

#[cfg(all(shuttle, any(loom, crossbeam_loom)))]
compile_error!("loom and shuttle exclude one another");

/// The twins, which have the same names in them.
#[cfg_attr(not(any(loom, crossbeam_loom, shuttle)), path = "sync/machine.rs")]
#[cfg_attr(any(loom, crossbeam_loom), path = "sync/loom.rs")]
#[cfg_attr(shuttle, path = "sync/shuttle.rs")]
mod imp;

#[cfg(not(any(loom, crossbeam_loom)))]
mod cell;
#[cfg(any(loom, crossbeam_loom, shuttle))]
mod no_backoff;

pub use imp::*;

pub(crate) use imp::{UnsafeCell, null_pointers};

/// A thread-local that begins as a constant; loom's `thread_local!` knows no such form.
macro_rules! constant_thread_local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = $begin:expr;)*) => { $(
        #[cfg(not(any(loom, crossbeam_loom)))]
        crate::sync::thread_local! { $(#[$attribute])* static $name: $type = const { $begin }; }
        #[cfg(any(loom, crossbeam_loom))]
        crate::sync::thread_local! { $(#[$attribute])* static $name: $type = $begin; }
    )* };
}
pub(crate) use constant_thread_local;

/// Defines a function that is `const` where atomics can be made in constants: not with loom.
macro_rules! const_where_possible {
    ($(#[$attribute:meta])* $visible:vis fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        #[cfg(not(any(loom, crossbeam_loom)))]
        $(#[$attribute])* $visible const fn $name($($argument: $type),*) -> $result $body
        #[cfg(any(loom, crossbeam_loom))]
        $(#[$attribute])* $visible fn $name($($argument: $type),*) -> $result $body
    };
}
pub(crate) use const_where_possible;

/// Whether this is a model: then sizes are small, so that their ends are reached.
pub(crate) const MODEL: bool = cfg!(any(loom, crossbeam_loom, shuttle));

/// A size where shuttle, whose scenarios have more threads and objects, wants another than loom.
pub(crate) const fn sized(loom: usize, shuttle: usize, machine: usize) -> usize {
    if cfg!(shuttle) {
        shuttle
    } else if MODEL {
        loom
    } else {
        machine
    }
}

/// What statistics are counted with, and threads numbered and named: always the machine's own.
///
/// A counter orders nothing. What is unsafe relies on no more than that it gives no number twice, which
/// takes no order; so a model checker would only spend its time on it.
pub(crate) mod counter {
    pub(crate) use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
    pub(crate) use core::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize};
    #[cfg(any(feature = "crossbeam-epoch", feature = "haphazard"))]
    pub(crate) use std::sync::Arc;
    pub(crate) use std::thread_local;
}
