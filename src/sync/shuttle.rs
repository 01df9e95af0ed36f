//! shuttle's: each access of an atomic is a point where it may go on with another thread. All
//! orderings are the strongest one, and a fence is nothing.

pub use shuttle::sync::Arc;
pub use shuttle::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};
pub use shuttle::thread_local;

pub use super::no_backoff::Backoff;

pub(crate) use super::cell::UnsafeCell;

/// So many null pointers.
pub(crate) const fn null_pointers<T, const N: usize>() -> [AtomicPtr<T>; N] {
    [const { AtomicPtr::new(core::ptr::null_mut()) }; N]
}
