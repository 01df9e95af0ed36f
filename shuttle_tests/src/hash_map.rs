//! The hash map, from empty, so that it grows under all of this.

use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, DefaultHasher};

use sexton::conformance::{Ledger, Tracked};
use sexton::hash_map::{Compute, Operation};
use sexton::{Domain, HashMap, Reclaimer};

use crate::run::{Ours, together};

/// Always the same, so that a schedule can be replayed.
type Hash = BuildHasherDefault<DefaultHasher>;

struct Shared<S: Ours> {
    map: HashMap<u64, Tracked, Hash, Domain<S>>,
    ledger: Ledger,
}

impl<S: Ours> Shared<S> {
    fn in_domain(domain: Domain<S>) -> Self {
        let map = HashMap::with_capacity_and_hasher_and_reclaimer(0, Hash::default(), domain);
        Self { map, ledger: Ledger::new() }
    }

    fn value(&self, value: u64) -> Tracked {
        Tracked::new(&self.ledger, value)
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.map.pin().get(&key).map(|value| value.value())
    }

    /// All that is in it, and nothing else lives.
    fn end(self, expected: impl IntoIterator<Item = (u64, u64)>) {
        let map = self.map.pin();
        let mut entries: Vec<_> =
            map.iter().map(|entry| (*entry.key(), entry.value().value())).collect();
        entries.sort_unstable();
        assert!(entries.into_iter().eq(expected), "other entries than there should be");
        drop(map);
        let domain = self.map.reclaimer().clone();
        domain.collect();
        assert_eq!(self.map.len(), self.ledger.living());
        drop(self.map);
        self.ledger.assert_all_dead();
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
    }
}

/// Inserts keys of one's own, and finds each of them from then on.
fn insert_and_find<S: Ours>(shared: &Shared<S>, keys: core::ops::Range<u64>) {
    for key in keys.clone() {
        assert!(shared.map.pin().insert(key, shared.value(key)).is_none());
        for old in keys.start..=key {
            assert_eq!(shared.get(old), Some(old), "key {old} is lost");
        }
    }
}

fn no_key_is_lost_while_the_table_grows<S: Ours>() {
    let (shared, _) = together(
        Shared::<S>::in_domain(Domain::new()),
        [
            |shared| insert_and_find(shared, 0..8),
            |shared| insert_and_find(shared, 8..16),
            |shared| insert_and_find(shared, 16..24),
            |shared| {
                for key in 24..30 {
                    shared.map.pin().insert(key, shared.value(key));
                    assert_eq!(shared.map.pin().remove(&key).map(|old| old.value()), Some(key));
                    assert_eq!(shared.get(key), None, "key {key} is back");
                }
            },
        ],
    );
    shared.end((0..24).map(|key| (key, key)));
}

/// A `get` of a key that is being replaced finds the old value or the new one, in a table that grows.
fn a_key_that_is_replaced_never_misses<S: Ours>() {
    fn find<S: Ours>(shared: &Shared<S>) {
        let mut last = 0;
        for _ in 0..10 {
            let value = shared.get(0).expect("key 0 is always there");
            assert!(value >= last, "{value} after {last}");
            last = value;
        }
    }

    let shared = Shared::<S>::in_domain(Domain::new());
    shared.map.pin().insert(0, shared.value(0));
    let (shared, _) = together(
        shared,
        [
            |shared| {
                for value in 1..8 {
                    let old =
                        shared.map.pin().insert(0, shared.value(value)).map(|old| old.value());
                    assert_eq!(old, Some(value - 1));
                }
            },
            find,
            find,
            |shared| insert_and_find(shared, 1..9),
        ],
    );
    shared.end([(0, 7)].into_iter().chain((1..9).map(|key| (key, key))));
}

fn count_in<S: Ours>(domain: Domain<S>) {
    fn count<S: Ours>(shared: &Shared<S>) {
        for round in 0..8 {
            shared.map.pin().compute(round % 3, |entry| {
                let old = entry.map_or(0, |(_, value)| value.value());
                Operation::<_, ()>::Insert(shared.value(old + 1))
            });
        }
    }

    let (shared, _) = together(
        Shared::in_domain(domain),
        [count, count, count, |shared| {
            insert_and_find(shared, 3..8);
            shared.map.reclaimer().collect();
        }],
    );
    shared.end([(0, 9), (1, 9), (2, 6)].into_iter().chain((3..8).map(|key| (key, key))));
}

fn no_update_is_lost<S: Ours>() {
    count_in::<S>(Domain::new());
}

fn reused_addresses_deceive_nobody<S: Ours>() {
    count_in(S::recycling());
}

/// Of several who insert a key one wins, and of several who remove it.
fn one_wins<S: Ours>() {
    /// How often a key was inserted, less how often removed, by this thread.
    fn fight<S: Ours>(shared: &Shared<S>) -> [i32; 2] {
        let mut balance = [0; 2];
        for round in 0..6 {
            let key = round % 2;
            let map = shared.map.pin();
            balance[key as usize] += i32::from(map.try_insert(key, shared.value(round)).is_ok());
            let removed = match round {
                0..3 => map.remove(&key).is_some(),
                _ => {
                    matches!(map.compute(key, |_| Operation::<_, ()>::Remove), Compute::Removed(_))
                }
            };
            balance[key as usize] -= i32::from(removed);
        }
        balance
    }

    let (shared, balances) = together(Shared::<S>::in_domain(Domain::new()), [fight, fight, fight]);
    for key in [0, 1] {
        let balance: i32 = balances.iter().map(|balance| balance[key]).sum();
        assert_eq!(balance, i32::from(shared.map.contains_key(&(key as u64))));
    }
    let left: Vec<_> = [0, 1].into_iter().filter_map(|key| Some((key, shared.get(key)?))).collect();
    shared.end(left);
}

/// An iteration sees what stays, once each, whatever happens to other keys.
fn an_iteration_sees_what_stays<S: Ours>() {
    fn iterate<S: Ours>(shared: &Shared<S>) {
        let map = shared.map.pin();
        let keys: Vec<_> = map.iter().map(|entry| *entry.key()).collect();
        let unique: BTreeSet<_> = keys.iter().copied().collect();
        assert!((0..4).all(|key| unique.contains(&key)), "a key was missed: {keys:?}");
        let stays = keys.iter().filter(|key| **key < 4).count();
        assert_eq!(stays, 4, "a key was seen twice: {keys:?}");
    }

    let shared = Shared::<S>::in_domain(Domain::new());
    (0..4).for_each(|key| drop(shared.map.pin().insert(key, shared.value(key))));
    let (shared, _) = together(
        shared,
        [
            |shared| insert_and_find(shared, 10..16),
            |shared| {
                for key in 20..23 {
                    shared.map.pin().insert(key, shared.value(key));
                    shared.map.pin().remove(&key);
                }
            },
            iterate,
            |shared| {
                iterate(shared);
                shared.map.pin().retain(|key, _| *key < 4 || *key >= 10);
            },
        ],
    );
    shared.end((0..4).chain(10..16).map(|key| (key, key)));
}

crate::on_our_schemes! {
    no_key_is_lost_while_the_table_grows
    a_key_that_is_replaced_never_misses
    no_update_is_lost
    reused_addresses_deceive_nobody
    one_wins
    an_iteration_sees_what_stays
}
