//! The hash map: invariants I1 to I6 of `src/hash_map/list.rs`, I1 of `src/hash_map/buckets.rs`.
//!
//! Keys are [witnesses](Witness), and all of the same hash: so a walk compares each key on its way,
//! and loom sees whether it was allowed to look at it.

use core::hash::{BuildHasher, Hash, Hasher};

use sexton::{Domain, HashMap, Reclaimer, Scheme};

use crate::model::{self, sorted, together};
use crate::witness::Witness;

/// Keys below 10 have one hash and stand in the bucket that is always there; those above have
/// another one, in a bucket whose sentinel is made at first use.
#[derive(Debug)]
struct Key(Witness);

impl Key {
    fn new(number: u64) -> Self {
        Self(Witness::new(number))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.read() == other.0.read()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.read() / 10);
    }
}

/// The hash is what was written.
#[derive(Debug, Default)]
struct AsWritten(u64);

impl BuildHasher for AsWritten {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for AsWritten {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys write a number");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Owned<S> = HashMap<Key, Witness, AsWritten, Domain<S>>;

/// A map with these keys, in this order in the list; each is its own value.
fn map_of<S: Scheme>(keys: &[u64]) -> Owned<S> {
    let map = HashMap::with_capacity_and_hasher_and_reclaimer(0, AsWritten(0), Domain::new());
    for key in keys {
        insert(&map, *key, *key);
    }
    map
}

fn warm_up<S: Scheme>(map: &Owned<S>) {
    model::warm_up(map.reclaimer(), 4);
}

fn insert<S: Scheme>(map: &Owned<S>, key: u64, value: u64) -> Option<u64> {
    map.pin().insert(Key::new(key), Witness::new(value)).map(|value| value.read())
}

fn get<S: Scheme>(map: &Owned<S>, key: u64) -> Option<u64> {
    map.pin().get(&Key::new(key)).map(|value| value.read())
}

fn remove<S: Scheme>(map: &Owned<S>, key: u64) -> Option<u64> {
    map.pin().remove(&Key::new(key)).map(|value| value.read())
}

fn keys<S: Scheme>(map: &Owned<S>) -> Vec<u64> {
    map.pin().keys().map(|key| key.0.read()).collect()
}

/// Guards I4 and the linking CAS: two who insert a key meet at the same link, and the second one
/// replaces what the first has put in.
fn one_of_two_who_insert_a_key_is_first<S: Scheme>() {
    let (map, [one, two]) =
        together(map_of::<S>(&[]), warm_up, [|map| insert(map, 1, 10), |map| insert(map, 1, 20)]);
    let last = get(&map, 1);
    assert!(
        [(None, Some(10), Some(20)), (Some(20), None, Some(10))].contains(&(one, two, last)),
        "{one:?} {two:?} {last:?}"
    );
    assert_eq!(map.len(), 1);
}

/// Guards that a replacement is one step: whoever stands on the old node gets to the new one.
fn a_get_never_misses_a_key_that_is_replaced<S: Scheme>() {
    together(
        map_of::<S>(&[1]),
        warm_up,
        [
            |map| {
                assert_eq!(insert(map, 1, 10), Some(1));
                map.reclaimer().collect();
            },
            |map| {
                let found = get(map, 1);
                assert!([Some(1), Some(10)].contains(&found), "{found:?}");
            },
        ],
    );
}

/// Guards I1 and I3: the mark decides who has removed a node, and it is retired once.
fn one_of_two_who_remove_a_key_gets_it<S: Scheme>() {
    let (map, mut removed) =
        together(map_of::<S>(&[1]), warm_up, [|map| remove(map, 1), |map| remove(map, 1)]);
    removed.sort_unstable();
    assert_eq!(removed, [None, Some(1)]);
    assert_eq!((map.len(), map.reclaimer().stats().retired), (0, 1));
}

/// Guards I1: nothing is linked behind a node that is marked, where it would be lost.
fn an_insertion_behind_a_removed_node_is_not_lost<S: Scheme>() {
    let (map, _) =
        together(map_of::<S>(&[1]), warm_up, [|map| remove(map, 1), |map| insert(map, 2, 2)]);
    assert_eq!(keys(&map), [2]);
}

/// Guards I1 and the sweep: neighbours are removed, each by a thread of its own, and unlinked, and
/// none comes back.
fn neighbours_are_removed_both<S: Scheme>() {
    let (map, removed) =
        together(map_of::<S>(&[1, 2]), warm_up, [|map| remove(map, 1), |map| remove(map, 2)]);
    assert_eq!(removed, [Some(1), Some(2)]);
    assert_eq!(map.reclaimer().stats().retired, 2, "no walk came by, and both are unlinked");
    assert_eq!(keys(&map), []);
}

/// Guards I2: a walk that stands on a node which is removed under it is not led on to the next one,
/// which may be freed already.
fn a_walk_is_not_led_to_a_freed_node<S: Scheme>() {
    together(
        map_of::<S>(&[1, 2, 3]),
        warm_up,
        [
            |map| {
                assert_eq!(remove(map, 2), Some(2));
                assert_eq!(remove(map, 3), Some(3));
                map.reclaimer().collect();
            },
            |map| {
                let found = get(map, 3);
                assert!([None, Some(3)].contains(&found), "{found:?}");
            },
        ],
    );
}

/// Guards the announcement after an unlinking (I2): a walk helps to unlink a node, and goes on to
/// the one behind it, which is removed and freed meanwhile.
fn a_walk_that_helps_is_not_led_to_a_freed_node<S: Scheme>() {
    together(
        map_of::<S>(&[1, 2]),
        warm_up,
        [
            |map| remove(map, 1),
            |map| {
                let removed = remove(map, 2);
                map.reclaimer().collect();
                removed
            },
            |map| get(map, 2),
        ],
    );
}

/// Guards the cover of what is returned: a removed value lives as long as its reference.
fn a_removed_value_lives_as_long_as_its_reference<S: Scheme>() {
    together(
        map_of::<S>(&[1]),
        warm_up,
        [
            |map| {
                let pinned = map.pin();
                let removed = pinned.remove(&Key::new(1));
                map.reclaimer().collect();
                assert_eq!(removed.map(|value| value.read()), Some(1));
            },
            |map| {
                get(map, 1);
                map.reclaimer().collect();
            },
        ],
    );
}

/// Guards the cover of what is handed out just after it was put in: another thread replaces it.
fn an_inserted_value_lives_as_long_as_its_reference<S: Scheme>() {
    together(
        map_of::<S>(&[]),
        warm_up,
        [
            |map| {
                let pinned = map.pin();
                let value = pinned.get_or_insert_with(Key::new(1), || Witness::new(10));
                map.reclaimer().collect();
                assert!([10, 20].contains(&value.read()));
            },
            |map| {
                insert(map, 1, 20);
                map.reclaimer().collect();
            },
        ],
    );
}

/// Guards the CAS of `update`: none of two is lost.
fn no_update_is_lost<S: Scheme>() {
    fn add<S: Scheme>(map: &Owned<S>) {
        map.pin().update(Key::new(1), |old| Witness::new(old.read() + 1));
    }
    let (map, _) = together(map_of::<S>(&[1]), warm_up, [add, add]);
    assert_eq!(get(&map, 1), Some(3));
}

/// Guards I6 and the walk with freed nodes used again: a node's address comes back elsewhere in the
/// list while another thread is about to remove the one before, and a third one reads.
fn a_reused_address_deceives_nobody<S: Scheme>() {
    let (map, removed) = together(
        map_of::<S>(&[1, 2]),
        warm_up,
        [
            |map| remove(map, 1),
            |map| {
                let removed = remove(map, 2);
                map.reclaimer().collect();
                insert(map, 3, 3);
                removed
            },
            |map| get(map, 3).filter(|value| *value != 3),
        ],
    );
    assert_eq!(removed, [Some(1), Some(2), None]);
    assert_eq!(keys(&map), [3]);
}

/// Guards I4: an iteration sees a key that is there throughout once, whatever happens beside it.
fn an_iteration_sees_a_lasting_key_once<S: Scheme>() {
    together(
        map_of::<S>(&[1, 2]),
        warm_up,
        [
            |map| {
                remove(map, 1);
                insert(map, 3, 3);
            },
            |map| {
                let seen = keys(map);
                assert_eq!(seen.iter().filter(|key| **key == 2).count(), 1, "{seen:?}");
            },
        ],
    );
}

/// Guards I1 of the buckets: two who use a bucket first put one sentinel into the list.
fn a_bucket_begins_with_one_sentinel<S: Scheme>() {
    let (map, _) =
        together(map_of::<S>(&[]), warm_up, [|map| insert(map, 11, 11), |map| insert(map, 12, 12)]);
    assert_eq!(sorted(keys(&map).into_iter()), [11, 12]);
    assert_eq!((get(&map, 11), get(&map, 12)), (Some(11), Some(12)));
}

crate::on_schemes! {
    one_of_two_who_insert_a_key_is_first {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_get_never_misses_a_key_that_is_replaced {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    one_of_two_who_remove_a_key_gets_it {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    an_insertion_behind_a_removed_node_is_not_lost {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    neighbours_are_removed_both {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_walk_is_not_led_to_a_freed_node {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_walk_that_helps_is_not_led_to_a_freed_node {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    a_removed_value_lives_as_long_as_its_reference {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    an_inserted_value_lives_as_long_as_its_reference {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    no_update_is_lost {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_reused_address_deceives_nobody {
        pointers: Limits::preemptions(2, 3).reusing(),
        regions: Limits::preemptions(2, 3).reusing(),
    }
    an_iteration_sees_a_lasting_key_once {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
    }
    a_bucket_begins_with_one_sentinel {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
}
