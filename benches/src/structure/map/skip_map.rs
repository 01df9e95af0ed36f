//! Our skip map.

use std::ops::Bound;

use sexton::{Guard, Pinned};

use super::{Data, Map, Ordered, OurSkipMap};
use crate::contender::ours::Named;

impl<D: Data, R: Named> Map<D> for OurSkipMap<D, R> {
    const NAME: &'static str = R::NAME;

    type Pinned<'a> = Pinned<'a, Self, Guard<'a, R::Scheme>>;

    fn with_capacity(_: usize) -> Self {
        Self::default()
    }

    #[inline]
    fn pin(&self) -> Self::Pinned<'_> {
        self.pin()
    }

    #[inline]
    fn get<X>(
        pinned: &Self::Pinned<'_>,
        key: &D::Key,
        look: impl FnOnce(&D::Value) -> X,
    ) -> Option<X> {
        pinned.get(key).map(|value| look(&value))
    }

    #[inline]
    fn insert(pinned: &Self::Pinned<'_>, key: D::Key, value: D::Value) {
        pinned.insert(key, value);
    }

    #[inline]
    fn remove(pinned: &Self::Pinned<'_>, key: &D::Key) -> bool {
        pinned.remove(key).is_some()
    }
}

impl<D: Data, R: Named> Ordered<D> for OurSkipMap<D, R> {
    #[inline]
    fn scan(
        pinned: &Self::Pinned<'_>,
        from: &D::Key,
        most: usize,
        mut look: impl FnMut(&D::Value),
    ) {
        let range = pinned.range::<D::Key, _>((Bound::Included(from), Bound::Unbounded));
        range.take(most).for_each(|entry| look(entry.value()));
    }
}
