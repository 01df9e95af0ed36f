//! `papaya`: guards of its own collector.

use papaya::{HashMapRef, LocalGuard};

use super::{Data, HashMap, Hasher, Map, Papaya};

impl<D: Data> Map<D> for Papaya<D> {
    const NAME: &'static str = "papaya";

    type Pinned<'a> = HashMapRef<'a, D::Key, D::Value, Hasher, LocalGuard<'a>>;

    fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, Hasher::default())
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
        pinned.get(key).map(look)
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

impl<D: Data> HashMap<D> for Papaya<D> {
    #[inline]
    fn update(
        pinned: &Self::Pinned<'_>,
        key: &D::Key,
        change: impl Fn(&D::Value) -> D::Value,
    ) -> bool {
        pinned.update(key.clone(), change).is_some()
    }

    fn each(pinned: &Self::Pinned<'_>, look: impl FnMut(&D::Value)) {
        pinned.values().for_each(look);
    }
}
