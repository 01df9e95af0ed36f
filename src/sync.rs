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

    /// So many null pointers.
    pub(crate) const fn null_pointers<T, const N: usize>() -> [AtomicPtr<T>; N] {
        [const { AtomicPtr::new(core::ptr::null_mut()) }; N]
    }

    /// `core`'s cell, with the interface of loom's, which sees each access.
    #[derive(Debug, Default)]
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[cfg_attr(not(test), allow(dead_code, reason = "the twin of loom's"))]
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            access(self.0.get())
        }
    }
}

#[cfg(any(loom, crossbeam_loom))]
mod imp {
    pub use loom::sync::Arc;
    pub use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
    pub use loom::thread_local;

    pub(crate) use loom::cell::UnsafeCell;

    /// So many null pointers.
    pub(crate) fn null_pointers<T, const N: usize>() -> [AtomicPtr<T>; N] {
        core::array::from_fn(|_| AtomicPtr::new(core::ptr::null_mut()))
    }

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

pub(crate) use imp::{UnsafeCell, null_pointers};

/// A thread-local that begins as a constant; loom's `thread_local!` knows no such form.
macro_rules! constant_thread_local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = $begin:expr;)*) => { $(
        #[cfg(not(any(loom, crossbeam_loom)))]
        std::thread_local! { $(#[$attribute])* static $name: $type = const { $begin }; }
        #[cfg(any(loom, crossbeam_loom))]
        loom::thread_local! { $(#[$attribute])* static $name: $type = $begin; }
    )* };
}
pub(crate) use constant_thread_local;

/// Defines a function that is `const` where atomics can be made in constants: not in a model.
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
pub(crate) const MODEL: bool = cfg!(any(loom, crossbeam_loom));

/// What statistics are counted with, and threads numbered: always the machine's own.
///
/// A counter orders nothing and nothing unsafe is decided by it, so a model checker would only
/// spend its time on it.
pub(crate) mod counter {
    pub(crate) use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
    pub(crate) use core::sync::atomic::{AtomicIsize, AtomicPtr, AtomicU64, AtomicUsize};
    #[cfg(any(feature = "crossbeam-epoch", feature = "haphazard"))]
    pub(crate) use std::sync::Arc;
    pub(crate) use std::thread_local;
}
