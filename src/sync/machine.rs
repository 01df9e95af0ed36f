//! The machine's own.

pub use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};
pub use crossbeam_utils::Backoff;
pub use std::sync::Arc;
pub use std::thread_local;

pub(crate) use super::cell::UnsafeCell;

/// So many null pointers.
pub(crate) const fn null_pointers<T, const N: usize>() -> [AtomicPtr<T>; N] {
    [const { AtomicPtr::new(core::ptr::null_mut()) }; N]
}
