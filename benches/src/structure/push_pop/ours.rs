//! Our queue and our stack.

use super::{OurQueue, OurStack, PushPop};
use crate::contender::ours::Named;

impl<R: Named> PushPop for OurQueue<R> {
    const NAME: &'static str = R::NAME;

    fn new() -> Self {
        Self::default()
    }

    #[inline]
    fn push(&self, value: u64) {
        self.push(value);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
}

impl<R: Named> PushPop for OurStack<R> {
    const NAME: &'static str = R::NAME;

    fn new() -> Self {
        Self::default()
    }

    #[inline]
    fn push(&self, value: u64) {
        self.push(value);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
}
