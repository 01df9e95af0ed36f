//! loom's.

pub use loom::sync::Arc;
pub use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence,
};
pub use loom::thread_local;

pub use super::no_backoff::Backoff;

pub(crate) use loom::cell::UnsafeCell;

/// So many null pointers.
pub(crate) fn null_pointers<T, const N: usize>() -> [AtomicPtr<T>; N] {
    core::array::from_fn(|_| AtomicPtr::new(core::ptr::null_mut()))
}

/// loom knows no compiler fence. The full fence is stronger, so what depends on a compiler
/// fence must be tested on the machine as well.
pub use loom::sync::atomic::fence as compiler_fence;
