//! `arc-swap`: its guards, and its cache, which asks whether the value is still the same.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use super::Cell;

impl Cell for ArcSwap<u64> {
    const NAME: &'static str = "arc-swap";

    type Reader<'a> = &'a Self;

    fn new(value: u64) -> Self {
        Self::from_pointee(value)
    }

    fn reader(&self) -> &Self {
        self
    }

    #[inline]
    fn read(cell: &mut &Self) -> u64 {
        **cell.load()
    }

    fn store(&self, value: u64) {
        self.store(Arc::new(value));
    }
}

/// With a cache a reader, which keeps the value as long as the reader does not look again.
pub(super) struct Cached(ArcSwap<u64>);

impl Cell for Cached {
    const NAME: &'static str = "arc-swap, a cache a reader";

    type Reader<'a> = Cache<&'a ArcSwap<u64>, Arc<u64>>;

    fn new(value: u64) -> Self {
        Self(ArcSwap::from_pointee(value))
    }

    fn reader(&self) -> Self::Reader<'_> {
        Cache::new(&self.0)
    }

    #[inline]
    fn read(reader: &mut Self::Reader<'_>) -> u64 {
        **reader.load()
    }

    fn store(&self, value: u64) {
        self.0.store(Arc::new(value));
    }
}
