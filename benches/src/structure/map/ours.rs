//! Our hash map.

use sexton::{Guard, Pinned};

use super::{Data, HashMap, Map, OurMap};
use crate::contender::ours::Named;

impl<D: Data, R: Named> Map<D> for OurMap<D, R> {
    const NAME: &'static str = R::NAME;

    type Pinned<'a> = Pinned<'a, Self, Guard<'a, R::Scheme>>;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, Default::default())
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

impl<D: Data, R: Named> HashMap<D> for OurMap<D, R> {
    #[inline]
    fn update(
        pinned: &Self::Pinned<'_>,
        key: &D::Key,
        change: impl Fn(&D::Value) -> D::Value,
    ) -> bool {
        pinned.update(key.clone(), change).is_some()
    }

    fn each(pinned: &Self::Pinned<'_>, mut look: impl FnMut(&D::Value)) {
        pinned.values().for_each(|value| look(&value));
    }
}
