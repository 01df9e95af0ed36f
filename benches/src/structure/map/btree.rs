//! std's ordered map, behind a lock that readers share.

use std::ops::Bound;

use super::{Data, LockedBTree, Map, Ordered};

impl<D: Data> Map<D> for LockedBTree<D> {
    const NAME: &'static str = "RwLock<BTreeMap>";

    type Pinned<'a> = &'a Self;

    fn with_capacity(_: usize) -> Self {
        Self::default()
    }

    #[inline]
    fn pin(&self) -> &Self {
        self
    }

    #[inline]
    fn get<X>(map: &&Self, key: &D::Key, look: impl FnOnce(&D::Value) -> X) -> Option<X> {
        map.read().expect(NOBODY_PANICS).get(key).map(look)
    }

    #[inline]
    fn insert(map: &&Self, key: D::Key, value: D::Value) {
        map.write().expect(NOBODY_PANICS).insert(key, value);
    }

    #[inline]
    fn remove(map: &&Self, key: &D::Key) -> bool {
        map.write().expect(NOBODY_PANICS).remove(key).is_some()
    }
}

impl<D: Data> Ordered<D> for LockedBTree<D> {
    #[inline]
    fn scan(map: &&Self, from: &D::Key, most: usize, look: impl FnMut(&D::Value)) {
        let map = map.read().expect(NOBODY_PANICS);
        let range = map.range::<D::Key, _>((Bound::Included(from), Bound::Unbounded));
        range.take(most).map(|(_, value)| value).for_each(look);
    }
}

const NOBODY_PANICS: &str = "nobody panics with it";
