//! A value per shard, so that threads that count do not fight over one cache line.

use crossbeam_utils::CachePadded;

use crate::sync::counter::{AtomicUsize, Relaxed, thread_local};

/// Few enough to sum up in no time, enough that two busy threads seldom meet.
pub(crate) const SHARDS: usize = 16;

/// One `T` for each of a fixed number of groups of threads.
#[derive(Debug)]
pub(crate) struct Sharded<T> {
    shards: [CachePadded<T>; SHARDS],
}

impl<T> Sharded<T> {
    pub(crate) fn new(mut shard: impl FnMut() -> T) -> Self {
        Self { shards: core::array::from_fn(|_| CachePadded::new(shard())) }
    }

    /// The calling thread's shard.
    #[inline]
    pub(crate) fn mine(&self) -> &T {
        &self.shards[my_shard()]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().map(|shard| &**shard)
    }
}

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

/// The number of the calling thread's shard: threads take the shards in turn.
#[inline]
pub(crate) fn my_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Relaxed) % SHARDS;
    }
    // The value has no destructor, so it is there in other destructors too.
    MINE.with(|shard| *shard)
}
