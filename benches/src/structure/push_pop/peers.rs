//! The queues of other crates.

use concurrent_queue::ConcurrentQueue;
use crossbeam_queue::SegQueue;

use super::PushPop;

impl PushPop for SegQueue<u64> {
    const NAME: &'static str = "SegQueue";

    fn new() -> Self {
        Self::new()
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

impl PushPop for ConcurrentQueue<u64> {
    const NAME: &'static str = "concurrent-queue";

    fn new() -> Self {
        Self::unbounded()
    }

    #[inline]
    fn push(&self, value: u64) {
        self.push(value).expect("it is neither closed nor bounded");
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.pop().ok()
    }
}
