//! The collections of std, behind a lock.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use super::PushPop;

impl PushPop for Mutex<VecDeque<u64>> {
    const NAME: &'static str = "Mutex<VecDeque>";

    fn new() -> Self {
        Self::default()
    }

    #[inline]
    fn push(&self, value: u64) {
        locked(self).push_back(value);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        locked(self).pop_front()
    }
}

impl PushPop for Mutex<Vec<u64>> {
    const NAME: &'static str = "Mutex<Vec>";

    fn new() -> Self {
        Self::default()
    }

    #[inline]
    fn push(&self, value: u64) {
        locked(self).push(value);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        locked(self).pop()
    }
}

fn locked<C>(mutex: &Mutex<C>) -> MutexGuard<'_, C> {
    mutex.lock().expect("nobody panics with it")
}
