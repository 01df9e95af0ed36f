//! A value per shard, so that threads that count do not fight over one cache line.

use crossbeam_utils::CachePadded;

use crate::scheme::Stats;
use crate::sync::counter::{AtomicU64, AtomicUsize, Relaxed, thread_local};

/// Few enough to sum up in no time, enough that two busy threads seldom meet.
const SHARDS: usize = 16;

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

/// Threads take the shards in turn.
#[inline]
fn my_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Relaxed) % SHARDS;
    }
    // The value has no destructor, so it is there in other destructors too.
    MINE.with(|shard| *shard)
}

/// What one group of threads has retired and reclaimed in an adapter's domain.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    retired: AtomicU64,
    retired_bytes: AtomicU64,
    reclaimed: AtomicU64,
    reclaimed_bytes: AtomicU64,
    drop_panics: AtomicU64,
}

impl Counts {
    #[inline]
    pub(crate) fn retired(&self, bytes: usize) {
        self.retired.fetch_add(1, Relaxed);
        self.retired_bytes.fetch_add(bytes as u64, Relaxed);
    }

    #[inline]
    pub(crate) fn reclaimed(&self, bytes: usize, dropped: bool) {
        self.reclaimed.fetch_add(1, Relaxed);
        self.reclaimed_bytes.fetch_add(bytes as u64, Relaxed);
        if !dropped {
            self.drop_panics.fetch_add(1, Relaxed);
        }
    }

    /// The sum over all shards.
    pub(crate) fn sum<'a>(shards: impl Iterator<Item = &'a Self>) -> Stats {
        let mut stats = Stats::default();
        let (mut retired_bytes, mut reclaimed_bytes) = (0, 0);
        for counts in shards {
            // Reclaimed before retired: so that an object in between is not counted as one that
            // was reclaimed and never retired.
            stats.reclaimed += counts.reclaimed.load(Relaxed);
            reclaimed_bytes += counts.reclaimed_bytes.load(Relaxed);
            stats.drop_panics += counts.drop_panics.load(Relaxed);
            stats.retired += counts.retired.load(Relaxed);
            retired_bytes += counts.retired_bytes.load(Relaxed);
        }
        // On a busy domain the shards are read at different times.
        stats.pending = stats.retired.saturating_sub(stats.reclaimed);
        stats.pending_bytes = u64::saturating_sub(retired_bytes, reclaimed_bytes);
        stats
    }
}
