//! `scc::HashMap`: a lock in each bucket.

use super::{Data, HashMap, Hasher, Map, Scc};

impl<D: Data> Map<D> for Scc<D> {
    const NAME: &'static str = "scc";

    type Pinned<'a> = &'a Self;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, Hasher::default())
    }

    #[inline]
    fn pin(&self) -> &Self {
        self
    }

    #[inline]
    fn get<X>(map: &&Self, key: &D::Key, look: impl FnOnce(&D::Value) -> X) -> Option<X> {
        map.read_sync(key, |_, value| look(value))
    }

    #[inline]
    fn insert(map: &&Self, key: D::Key, value: D::Value) {
        map.upsert_sync(key, value);
    }

    #[inline]
    fn remove(map: &&Self, key: &D::Key) -> bool {
        map.remove_sync(key).is_some()
    }
}

impl<D: Data> HashMap<D> for Scc<D> {
    #[inline]
    fn update(map: &&Self, key: &D::Key, change: impl Fn(&D::Value) -> D::Value) -> bool {
        map.update_sync(key, |_, value| *value = change(value)).is_some()
    }

    fn each(map: &&Self, mut look: impl FnMut(&D::Value)) {
        map.iter_sync(|_, value| {
            look(value);
            true
        });
    }
}
