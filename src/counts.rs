//! Counting what is retired and reclaimed: for [`Stats`], and for nothing else.

use crate::scheme::Stats;
use crate::sync::counter::{AtomicU64, Relaxed};

/// Adds to a counter that the calling thread alone writes, which is cheaper than for all; returns the
/// sum.
#[inline]
pub(crate) fn add_alone(counter: &AtomicU64, amount: u64) -> u64 {
    let sum = counter.load(Relaxed).wrapping_add(amount);
    counter.store(sum, Relaxed);
    sum
}

/// A few objects that were reclaimed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reclaimed {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) drop_panics: u64,
}

/// What one thread, or one group of threads, has retired and reclaimed in a domain.
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

    /// As [`retired`](Self::retired), for counts that the calling thread alone writes; returns how many
    /// objects that is now.
    #[inline]
    pub(crate) fn retired_alone(&self, bytes: usize) -> u64 {
        add_alone(&self.retired_bytes, bytes as u64);
        add_alone(&self.retired, 1)
    }

    /// So many objects were reclaimed, for counts that the calling thread alone writes.
    #[inline]
    pub(crate) fn reclaimed_alone(&self, sum: Reclaimed) {
        add_alone(&self.reclaimed, sum.objects);
        add_alone(&self.reclaimed_bytes, sum.bytes);
        if sum.drop_panics > 0 {
            add_alone(&self.drop_panics, sum.drop_panics);
        }
    }

    /// How many objects were retired.
    #[inline]
    pub(crate) fn retired_so_far(&self) -> u64 {
        self.retired.load(Relaxed)
    }

    /// How many bytes these were.
    #[inline]
    pub(crate) fn retired_bytes_so_far(&self) -> u64 {
        self.retired_bytes.load(Relaxed)
    }

    /// The sum over all of them.
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
