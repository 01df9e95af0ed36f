//! `dashmap`: locks around parts of a table.

use super::{DashMap, Data, HashMap, Hasher, Map};

impl<D: Data> Map<D> for DashMap<D> {
    const NAME: &'static str = "dashmap";

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
        DashMap::<D>::get(map, key).map(|value| look(&value))
    }

    #[inline]
    fn insert(map: &&Self, key: D::Key, value: D::Value) {
        DashMap::<D>::insert(map, key, value);
    }

    #[inline]
    fn remove(map: &&Self, key: &D::Key) -> bool {
        DashMap::<D>::remove(map, key).is_some()
    }
}

impl<D: Data> HashMap<D> for DashMap<D> {
    #[inline]
    fn update(map: &&Self, key: &D::Key, change: impl Fn(&D::Value) -> D::Value) -> bool {
        map.get_mut(key).map(|mut value| *value = change(&value)).is_some()
    }

    fn each(map: &&Self, mut look: impl FnMut(&D::Value)) {
        map.iter().for_each(|entry| look(entry.value()));
    }
}
