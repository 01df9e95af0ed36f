//! `scc::TreeIndex`: a B+ tree that is read without locks.

use std::ops::Bound;

use scc::Guard;

use super::{Data, Map, Ordered, TreeIndex};

impl<D: Data> Map<D> for TreeIndex<D> {
    const NAME: &'static str = "scc::TreeIndex";

    /// Those who write make guards of their own.
    type Pinned<'a> = (&'a Self, Guard);

    fn with_capacity(_: usize) -> Self {
        Self::new()
    }

    #[inline]
    fn pin(&self) -> Self::Pinned<'_> {
        (self, Guard::new())
    }

    #[inline]
    fn get<X>(
        (map, guard): &Self::Pinned<'_>,
        key: &D::Key,
        look: impl FnOnce(&D::Value) -> X,
    ) -> Option<X> {
        map.peek(key, guard).map(look)
    }

    #[inline]
    fn insert((map, _): &Self::Pinned<'_>, key: D::Key, value: D::Value) {
        map.upsert_sync(key, value);
    }

    #[inline]
    fn remove((map, _): &Self::Pinned<'_>, key: &D::Key) -> bool {
        map.remove_sync(key)
    }
}

impl<D: Data> Ordered<D> for TreeIndex<D> {
    #[inline]
    fn scan(
        (map, guard): &Self::Pinned<'_>,
        from: &D::Key,
        most: usize,
        mut look: impl FnMut(&D::Value),
    ) {
        let range = map.range::<D::Key, _>((Bound::Included(from), Bound::Unbounded), guard);
        range.take(most).for_each(|(_, value)| look(value));
    }
}
