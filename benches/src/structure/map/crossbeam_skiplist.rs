//! `crossbeam-skiplist`: each entry it hands out is counted.

use std::ops::Bound;

use super::{Data, Map, Ordered, SkipList};

impl<D: Data> Map<D> for SkipList<D> {
    const NAME: &'static str = "crossbeam-skiplist";

    type Pinned<'a> = &'a Self;

    fn with_capacity(_: usize) -> Self {
        Self::new()
    }

    #[inline]
    fn pin(&self) -> &Self {
        self
    }

    #[inline]
    fn get<X>(map: &&Self, key: &D::Key, look: impl FnOnce(&D::Value) -> X) -> Option<X> {
        SkipList::<D>::get(map, key).map(|entry| look(entry.value()))
    }

    #[inline]
    fn insert(map: &&Self, key: D::Key, value: D::Value) {
        SkipList::<D>::insert(map, key, value);
    }

    #[inline]
    fn remove(map: &&Self, key: &D::Key) -> bool {
        SkipList::<D>::remove(map, key).is_some()
    }
}

impl<D: Data> Ordered<D> for SkipList<D> {
    #[inline]
    fn scan(map: &&Self, from: &D::Key, most: usize, mut look: impl FnMut(&D::Value)) {
        let range = map.range::<D::Key, _>((Bound::Included(from), Bound::Unbounded));
        range.take(most).for_each(|entry| look(entry.value()));
    }
}
