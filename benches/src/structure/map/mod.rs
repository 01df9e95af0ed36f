//! Maps, hashed and ordered.
//!
//! In a map's world there are so many keys, and the map has half of them, chosen without regard to
//! how popular they are; it stays about half full, as there are as many insertions as removals. Which
//! key comes when, and what is done with it, was drawn beforehand ([`steps`]). An insertion replaces
//! what is there. Every hash map has the same hasher, foldhash's fast one with a fixed seed.
//!
//! Who has guards opens one for each operation; where it is told so, one for 64.

mod btree;
mod crossbeam_skiplist;
mod dashmap;
mod data;
pub(super) mod exchange;
pub(super) mod growth;
pub(super) mod iterate;
mod mixed;
pub(super) mod ordered;
mod ours;
mod papaya;
pub(super) mod reads;
pub(super) mod scan;
mod scc;
mod sharded;
mod skip_map;
mod steps;
mod tree_index;

use std::sync::RwLock;

pub(crate) use self::data::{Data, Records, Words};

use self::sharded::Sharded;
use crate::contender::{Epoch, Hazard};

/// The hasher of all hash maps.
type Hasher = foldhash::fast::FixedState;

/// A map, used as its documentation says.
pub(crate) trait Map<D: Data>: Send + Sync + 'static {
    const NAME: &'static str;

    /// The map, within a guard where it has such.
    type Pinned<'a>;

    /// An empty one, with room for so many where that can be said.
    fn with_capacity(capacity: usize) -> Self;

    fn pin(&self) -> Self::Pinned<'_>;

    /// Runs `look` on the key's value, where it lies.
    fn get<X>(
        pinned: &Self::Pinned<'_>,
        key: &D::Key,
        look: impl FnOnce(&D::Value) -> X,
    ) -> Option<X>;

    /// Inserts or replaces.
    fn insert(pinned: &Self::Pinned<'_>, key: D::Key, value: D::Value);

    /// Says whether it was there.
    fn remove(pinned: &Self::Pinned<'_>, key: &D::Key) -> bool;
}

/// What a hash map can do beyond that.
pub(crate) trait HashMap<D: Data>: Map<D> {
    /// Says whether it was there.
    fn update(
        pinned: &Self::Pinned<'_>,
        key: &D::Key,
        change: impl Fn(&D::Value) -> D::Value,
    ) -> bool;

    /// Looks at all values.
    fn each(pinned: &Self::Pinned<'_>, look: impl FnMut(&D::Value));
}

/// What an ordered map can do beyond that.
trait Ordered<D: Data>: Map<D> {
    /// Looks at the values of the first `most` keys from `from` on.
    fn scan(pinned: &Self::Pinned<'_>, from: &D::Key, most: usize, look: impl FnMut(&D::Value));
}

type OurMap<D, R> = sexton::HashMap<<D as Data>::Key, <D as Data>::Value, Hasher, R>;
type Papaya<D> = ::papaya::HashMap<<D as Data>::Key, <D as Data>::Value, Hasher>;
type DashMap<D> = ::dashmap::DashMap<<D as Data>::Key, <D as Data>::Value, Hasher>;
type Scc<D> = ::scc::HashMap<<D as Data>::Key, <D as Data>::Value, Hasher>;

type OurSkipMap<D, R> = sexton::SkipMap<<D as Data>::Key, <D as Data>::Value, R>;
type SkipList<D> = ::crossbeam_skiplist::SkipMap<<D as Data>::Key, <D as Data>::Value>;
type TreeIndex<D> = ::scc::TreeIndex<<D as Data>::Key, <D as Data>::Value>;
type LockedBTree<D> = RwLock<std::collections::BTreeMap<<D as Data>::Key, <D as Data>::Value>>;

/// What is done with each hash map.
pub(crate) trait HashWork<D: Data> {
    /// What comes of it.
    type Output;

    fn with<M: HashMap<D>>(&self) -> Self::Output;
}

/// Does the work with all hash maps.
pub(crate) fn hash_maps<D: Data, W: HashWork<D>>(work: &W) -> Vec<W::Output> {
    vec![
        work.with::<OurMap<D, Epoch>>(),
        work.with::<OurMap<D, Hazard>>(),
        work.with::<Papaya<D>>(),
        work.with::<DashMap<D>>(),
        work.with::<Scc<D>>(),
        work.with::<Sharded<D>>(),
    ]
}

/// What is done with each ordered map.
trait OrderedWork<D: Data> {
    /// What comes of it.
    type Output;

    fn with<M: Ordered<D>>(&self) -> Self::Output;
}

/// Does the work with all ordered maps.
fn ordered_maps<D: Data, W: OrderedWork<D>>(work: &W) -> Vec<W::Output> {
    vec![
        work.with::<OurSkipMap<D, Epoch>>(),
        work.with::<OurSkipMap<D, Hazard>>(),
        work.with::<SkipList<D>>(),
        work.with::<TreeIndex<D>>(),
        work.with::<LockedBTree<D>>(),
    ]
}

/// With every other one of so many keys in it, and room for all.
fn half_full<D: Data, M: Map<D>>(keys: u32) -> M {
    let map = M::with_capacity(keys as usize);
    for number in (0..keys).step_by(2) {
        M::insert(&map.pin(), D::key(number), D::value(number));
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u32 = 1000;

    /// Panics unless the map does what it is asked to.
    fn basics<D: Data, M: Map<D>>() {
        let map: M = half_full::<D, M>(KEYS);
        let pinned = map.pin();
        let look = |number| M::get(&pinned, &D::key(number), D::look);
        for number in 0..KEYS {
            let expected = number.is_multiple_of(2).then(|| D::look(&D::value(number)));
            assert_eq!(look(number), expected, "{}", M::NAME);
        }
        M::insert(&pinned, D::key(0), D::value(1));
        assert_eq!(look(0), Some(D::look(&D::value(1))), "{} replaces", M::NAME);
        assert!(M::remove(&pinned, &D::key(0)) && !M::remove(&pinned, &D::key(0)));
        assert_eq!(look(0), None, "{}", M::NAME);
    }

    struct Hashed;

    impl<D: Data> HashWork<D> for Hashed {
        type Output = ();

        fn with<M: HashMap<D>>(&self) {
            basics::<D, M>();
            let map: M = half_full::<D, M>(KEYS);
            let pinned = map.pin();
            assert!(M::update(&pinned, &D::key(2), D::change));
            assert!(!M::update(&pinned, &D::key(3), D::change));
            let changed = Some(D::look(&D::change(&D::value(2))));
            assert_eq!(M::get(&pinned, &D::key(2), D::look), changed, "{}", M::NAME);
            let mut count = 0;
            M::each(&pinned, |_| count += 1);
            assert_eq!(count, KEYS / 2, "{}", M::NAME);
        }
    }

    struct InOrder;

    impl OrderedWork<Words> for InOrder {
        type Output = ();

        fn with<M: Ordered<Words>>(&self) {
            basics::<Words, M>();
            let map: M = half_full::<Words, M>(KEYS);
            let mut expected: Vec<_> =
                (0..KEYS).step_by(2).map(|it| (Words::key(it), Words::value(it))).collect();
            expected.sort_unstable();
            let from = expected[10].0 - 1;
            let mut found = Vec::new();
            M::scan(&map.pin(), &from, 20, |value| found.push(*value));
            let expected: Vec<_> = expected[10..30].iter().map(|&(_, value)| value).collect();
            assert_eq!(found, expected, "{}", M::NAME);
        }
    }

    #[test]
    fn every_hash_map_does_what_it_is_asked_to() {
        hash_maps::<Words, _>(&Hashed);
        hash_maps::<Records, _>(&Hashed);
    }

    #[test]
    fn every_ordered_map_does_what_it_is_asked_to() {
        ordered_maps(&InOrder);
    }
}
