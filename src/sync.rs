//! The only door to atomics, shared ownership and thread-locals.
//!
//! Everything concurrent in this crate goes through here, so that a model checker sees all of it.
//! Normally the names are those of `core` and `std`. With `--cfg loom` or `--cfg crossbeam_loom`
//! they are loom's, and every interleaving that loom's memory model allows is explored. (There are
//! two because the two adapted crates each have a name of their own for their loom mode.)
//!
//! The module is public for the authors of [schemes](crate::Scheme): [`Scheme::protect`] is given
//! one of these atomics, and a scheme that takes its own atomics from here can be checked by loom
//! with no change.
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

#[cfg(not(any(loom, crossbeam_loom)))]
mod imp {
    pub use core::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
    };
    pub use crossbeam_utils::Backoff;
    pub use std::sync::Arc;
    pub use std::thread_local;
}

#[cfg(any(loom, crossbeam_loom))]
mod imp {
    pub use loom::sync::Arc;
    pub use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
    pub use loom::thread_local;

    /// loom knows no compiler fence. The full fence is stronger, so what depends on a compiler
    /// fence must be tested on the machine as well.
    pub use loom::sync::atomic::fence as compiler_fence;

    /// Waiting does not change what a lock-free loop may do next, so a model has none of it.
    #[derive(Debug, Default)]
    pub struct Backoff;

    impl Backoff {
        /// A backoff that never waits.
        #[must_use]
        pub fn new() -> Self {
            Self
        }

        /// Does nothing.
        pub fn spin(&self) {}
    }
}

pub use imp::*;

/// What statistics are counted with: always the machine's own.
///
/// A counter orders nothing and nothing unsafe is decided by it, so a model checker would only
/// spend its time on it.
pub(crate) mod counter {
    pub(crate) use core::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering::Relaxed};
    pub(crate) use std::sync::Arc;
    pub(crate) use std::thread_local;
}
