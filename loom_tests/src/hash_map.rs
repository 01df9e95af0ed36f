//! The hash map: W1 to W3 of `src/hash_map/word.rs`, T1 to T5 of `table.rs`, M1 to M8 of `migrate.rs`.
//!
//! Keys are [witnesses](Witness), and most of the same hash: so a search compares each key on its
//! way, and loom sees whether it was allowed to look at it. Tables have four slots at first. The tables
//! themselves are in the [arena](crate::arena), too.

use core::hash::{BuildHasher, Hash, Hasher};

use sexton::{Domain, HashMap, Reclaimer, Scheme};

use crate::model::{self, sorted, together};
use crate::witness::Witness;

/// Keys below 10 have one hash, and the first slot as their home; those from 10 on another one, with
/// a home in the middle.
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

/// A map with these keys, each its own value.
fn map_of<S: Scheme>(keys: &[u64]) -> Owned<S> {
    let map = HashMap::with_capacity_and_hasher_and_reclaimer(1, AsWritten(0), Domain::new());
    for key in keys {
        insert(&map, *key, *key);
    }
    map
}

/// The same, and there is a next table, twice as large, into which nothing was moved yet.
fn growing<S: Scheme>(keys: &[u64]) -> Owned<S> {
    let map = map_of(keys);
    map.reserve(4);
    map
}

/// A map with these keys, where the last one was removed again.
fn with_tombstone<S: Scheme>(keys: &[u64]) -> Owned<S> {
    let map = map_of(keys);
    keys.last().map(|key| remove(&map, *key));
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

/// Each key of the map with its value, as they are found; all are found by an iteration, too, once.
fn entries<S: Scheme>(map: &Owned<S>) -> Vec<(u64, u64)> {
    let seen = sorted(keys(map).into_iter());
    assert_eq!(map.len(), seen.len());
    seen.into_iter().map(|key| (key, get(map, key).expect("an iteration has seen it"))).collect()
}

/// Guards T3 and the publication of an entry: two who insert a key meet at the same slot, and the
/// second one replaces what the first has put in.
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

/// Guards that a replacement is one step.
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

/// Guards the CAS of a removal: it decides who has removed the entry, and it is retired once.
fn one_of_two_who_remove_a_key_gets_it<S: Scheme>() {
    let (map, mut removed) =
        together(map_of::<S>(&[1]), warm_up, [|map| remove(map, 1), |map| remove(map, 1)]);
    removed.sort_unstable();
    assert_eq!(removed, [None, Some(1)]);
    assert_eq!((map.len(), map.reclaimer().stats().retired), (0, 1));
}

/// Guards W1: the slot of a removed entry does not end a search.
fn an_insertion_behind_a_removed_entry_is_found<S: Scheme>() {
    let (map, _) = together(
        map_of::<S>(&[1]),
        warm_up,
        [
            |map| {
                remove(map, 1);
            },
            |map| {
                insert(map, 2, 2);
                assert_eq!(get(map, 2), Some(2));
            },
        ],
    );
    assert_eq!(entries(&map), [(2, 2)]);
}

/// Guards T3: a replacement does not forget that others of its mark are behind, nor does a removal.
fn a_key_behind_another_one_of_its_mark_is_never_missed<S: Scheme>() {
    together(
        map_of::<S>(&[1, 2]),
        warm_up,
        [
            |map| {
                assert_eq!(insert(map, 1, 10), Some(1));
                assert_eq!(remove(map, 1), Some(10));
            },
            |map| assert_eq!(get(map, 2), Some(2), "the key was missed"),
        ],
    );
}

/// Guards T3: two who put in a key again meet at its tombstone.
fn one_of_two_who_put_a_key_in_again_is_first<S: Scheme>() {
    let (map, [one, two]) = together(
        with_tombstone::<S>(&[1]),
        warm_up,
        [|map| insert(map, 1, 10), |map| insert(map, 1, 20)],
    );
    let last = get(&map, 1);
    assert!(
        [(None, Some(10), Some(20)), (Some(20), None, Some(10))].contains(&(one, two, last)),
        "{one:?} {two:?} {last:?}"
    );
    assert_eq!(entries(&map).len(), 1);
}

/// Guards T3: a tombstone that two keys of its mark want is taken by one of them, and the other one is
/// found behind.
fn a_tombstone_that_two_keys_want_goes_to_one<S: Scheme>() {
    let (map, _) = together(
        with_tombstone::<S>(&[1]),
        warm_up,
        [
            |map| {
                insert(map, 1, 10);
                assert_eq!(remove(map, 1), Some(10));
            },
            |map| {
                insert(map, 2, 2);
                assert_eq!(get(map, 2), Some(2), "the key was missed");
            },
        ],
    );
    assert_eq!(entries(&map), [(2, 2)]);
}

/// Guards M6: a search does not look at an entry that was freed before it was covered.
fn a_search_is_not_led_to_a_freed_entry<S: Scheme>() {
    together(
        map_of::<S>(&[1, 2]),
        warm_up,
        [
            |map| {
                assert_eq!(remove(map, 1), Some(1));
                assert_eq!(remove(map, 2), Some(2));
                map.reclaimer().collect();
            },
            |map| {
                let found = get(map, 2);
                assert!([None, Some(2)].contains(&found), "{found:?}");
            },
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

/// Guards M6 with freed nodes used again: an address comes back in the slot where another node had
/// it, while a third thread reads.
fn a_reused_address_deceives_nobody<S: Scheme>() {
    let (map, _) = together(
        map_of::<S>(&[1]),
        warm_up,
        [
            |map| {
                insert(map, 1, 2);
                map.reclaimer().collect();
                insert(map, 1, 3);
            },
            |map| {
                let found = get(map, 1);
                assert!([Some(1), Some(2), Some(3)].contains(&found), "{found:?}");
            },
        ],
    );
    assert_eq!(entries(&map), [(1, 3)]);
}

/// Guards the order of an iteration: it sees a key that is there throughout once, whatever happens
/// beside it.
fn an_iteration_sees_a_lasting_key_once<S: Scheme>() {
    together(
        growing::<S>(&[1, 11]),
        warm_up,
        [
            |map| {
                remove(map, 1);
                insert(map, 12, 12);
            },
            |map| {
                let seen = keys(map);
                assert_eq!(seen.iter().filter(|key| **key == 11).count(), 1, "{seen:?}");
            },
        ],
    );
}

/// Guards the copy before the commit, M4, and the publication along with MOVED and with frozen slots:
/// a search finds a key while it is moved.
fn a_get_never_misses_a_key_that_is_moved<S: Scheme>() {
    let (map, _) = together(
        growing::<S>(&[1]),
        warm_up,
        [
            |map| {
                insert(map, 2, 2);
            },
            |map| assert_eq!(get(map, 1), Some(1), "the key was missed"),
        ],
    );
    assert_eq!(entries(&map), [(1, 1), (2, 2)]);
}

/// Guards M1 and M2: of an entry that is removed while it is moved nothing comes back, and nothing is
/// freed under another helper.
fn a_key_that_is_removed_while_it_is_moved_stays_out<S: Scheme>() {
    let (map, [removed, _]) = together(
        growing::<S>(&[1]),
        warm_up,
        [
            |map| {
                let removed = remove(map, 1);
                map.reclaimer().collect();
                assert_eq!(get(map, 1), None, "back from the dead");
                removed
            },
            |map| insert(map, 2, 2),
        ],
    );
    assert_eq!((removed, entries(&map)), (Some(1), vec![(2, 2)]));
}

/// Guards M1: the same, with another key in the slot of the next table where the entry would come
/// first.
fn two_helpers_do_not_revive_a_removed_key<S: Scheme>() {
    let (map, [_, removed, _]) = together(
        growing::<S>(&[1]),
        warm_up,
        [
            |map| insert(map, 2, 2),
            |map| {
                let removed = remove(map, 1);
                map.reclaimer().collect();
                removed
            },
            |map| get(map, 1).filter(|value| *value != 1),
        ],
    );
    assert_eq!((removed, entries(&map)), (Some(1), vec![(2, 2)]));
}

/// Guards M2: a replacement that comes while the entry is moved is not lost, and is one step.
fn a_key_that_is_replaced_while_it_is_moved_has_its_new_value<S: Scheme>() {
    let (map, _) = together(
        growing::<S>(&[1]),
        warm_up,
        [
            |map| {
                assert_eq!(insert(map, 1, 10), Some(1));
                map.reclaimer().collect();
            },
            |map| {
                insert(map, 2, 2);
            },
            |map| {
                let found = get(map, 1);
                assert!([Some(1), Some(10)].contains(&found), "{found:?}");
            },
        ],
    );
    assert_eq!(entries(&map), [(1, 10), (2, 2)]);
}

/// Guards M3: a key that is put into the old table, and into the next one, is in the map once.
fn a_key_that_is_inserted_while_a_migration_begins_is_in_once<S: Scheme>() {
    let (map, [one, two]) = together(
        map_of::<S>(&[]),
        warm_up,
        [
            |map| {
                map.reserve(4);
                insert(map, 1, 10)
            },
            |map| insert(map, 1, 20),
        ],
    );
    let last = get(&map, 1);
    assert!(
        [(None, Some(10), Some(20)), (Some(20), None, Some(10))].contains(&(one, two, last)),
        "{one:?} {two:?} {last:?}"
    );
    assert_eq!(entries(&map).len(), 1);
}

/// Guards M3: a tombstone of the root takes no key any more when its slot was migrated.
fn a_removed_key_that_comes_back_while_its_slot_is_moved_is_not_lost<S: Scheme>() {
    let map = with_tombstone::<S>(&[1]);
    map.reserve(4);
    let (map, _) = together(
        map,
        warm_up,
        [
            |map| {
                insert(map, 1, 10);
            },
            // Ends the migration.
            |map| map.reserve(8),
        ],
    );
    assert_eq!(entries(&map), [(1, 10)]);
}

/// Guards M4: a key that has moved on is not put into a tombstone behind its old slot.
fn a_key_before_a_tombstone_is_in_once_while_it_is_moved<S: Scheme>() {
    let map = with_tombstone::<S>(&[1, 2]);
    map.reserve(4);
    let (map, _) = together(map, warm_up, [|map| insert(map, 1, 10), |map| insert(map, 11, 11)]);
    assert_eq!(entries(&map), [(1, 10), (11, 11)]);
}

/// Guards T3 in the next table: of two keys of one mark the second one is found when the first one is
/// removed.
fn keys_of_one_mark_that_are_moved_are_found<S: Scheme>() {
    let (map, _) = together(
        growing::<S>(&[1, 2]),
        warm_up,
        [
            |map| {
                insert(map, 3, 3);
                assert_eq!(remove(map, 1), Some(1));
            },
            |map| assert_eq!(get(map, 2), Some(2), "the key was missed"),
        ],
    );
    assert_eq!(entries(&map), [(2, 2), (3, 3)]);
}

/// Guards M4 and M5, and M7: a search while one migration ends and the next one begins, and the old
/// tables are freed.
fn a_get_never_misses_a_key_that_is_moved_twice<S: Scheme>() {
    let (map, _) = together(
        growing::<S>(&[1]),
        warm_up,
        [
            |map| {
                // Ends the first migration, begins the second one, and moves the path in it.
                map.reserve(8);
                insert(map, 2, 2);
                map.reclaimer().collect();
            },
            |map| assert_eq!(get(map, 1), Some(1), "the key was missed"),
        ],
    );
    assert_eq!(entries(&map), [(1, 1), (2, 2)]);
}

/// Guards M7: who comes from a root that was left long ago does not enter its next table, which has
/// gone, too.
fn a_get_does_not_enter_a_table_that_has_gone<S: Scheme>() {
    together(
        growing::<S>(&[1]),
        warm_up,
        [
            |map| {
                // Each ends one migration, and begins another.
                map.reserve(8);
                map.reserve(16);
                map.reclaimer().collect();
            },
            |map| assert_eq!(get(map, 1), Some(1), "the key was missed"),
        ],
    );
}

/// Guards M5 and M1: a helper of one migration sleeps until the next one is under way.
fn a_helper_that_sleeps_through_a_migration_does_no_harm<S: Scheme>() {
    let (map, [_, removed]) = together(
        growing::<S>(&[1]),
        warm_up,
        [
            |map| insert(map, 2, 2),
            |map| {
                map.reserve(8);
                let removed = remove(map, 1);
                map.reclaimer().collect();
                removed
            },
        ],
    );
    assert_eq!((removed, entries(&map)), (Some(1), vec![(2, 2)]));
}

/// Guards T4 and M8: a table of the same size is on approval while another key comes in.
fn a_table_without_tombstones_has_room_for_all<S: Scheme>() {
    let map = map_of::<S>(&[1, 2]);
    remove(&map, 2);
    let (map, _) = together(
        map,
        warm_up,
        [
            // The third slot of four: a table of the same size is made, as half of them are in use.
            |map| insert(map, 3, 3),
            |map| insert(map, 4, 4),
        ],
    );
    insert(&map, 5, 5);
    assert_eq!(entries(&map), [(1, 1), (3, 3), (4, 4), (5, 5)]);
}

/// Guards T4: a key that is admitted is in the sum by which a table of the same size is accepted. (Here
/// it is the one that makes it too many. What comes of it takes more threads than a model has.)
fn a_key_that_is_admitted_is_counted<S: Scheme>() {
    let map = map_of::<S>(&[1, 2]);
    assert!(map.admit_one());
    let (_, [admitted, accepted]) =
        together(map, warm_up, [|map| map.admit_one(), |map| map.propose_the_same_size()]);
    assert!(!(admitted && accepted), "four slots are used, and there is one to spare");
}

crate::on_schemes! {
    a_key_that_is_admitted_is_counted {
        regions: Limits::preemptions(3, 4),
    }
    one_of_two_who_insert_a_key_is_first {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_get_never_misses_a_key_that_is_replaced {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    one_of_two_who_remove_a_key_gets_it {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    an_insertion_behind_a_removed_entry_is_found {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
    }
    a_key_behind_another_one_of_its_mark_is_never_missed {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    one_of_two_who_put_a_key_in_again_is_first {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_tombstone_that_two_keys_want_goes_to_one {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
    }
    a_search_is_not_led_to_a_freed_entry {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_removed_value_lives_as_long_as_its_reference {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    an_inserted_value_lives_as_long_as_its_reference {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    no_update_is_lost {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions(3, 4),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_reused_address_deceives_nobody {
        pointers: Limits::preemptions(3, 4).reusing(),
        regions: Limits::preemptions(3, 4).reusing(),
    }
    an_iteration_sees_a_lasting_key_once {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(1, 2),
    }
    a_get_never_misses_a_key_that_is_moved {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
    }
    a_key_that_is_removed_while_it_is_moved_stays_out {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(1, 2),
        epoch: Limits::preemptions(1, 2),
    }
    two_helpers_do_not_revive_a_removed_key {
        pointers: Limits::preemptions(1, 2),
        regions: Limits::preemptions(1, 2),
    }
    a_key_that_is_replaced_while_it_is_moved_has_its_new_value {
        pointers: Limits::preemptions(1, 2),
        regions: Limits::preemptions(1, 2),
    }
    a_key_that_is_inserted_while_a_migration_begins_is_in_once {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    a_removed_key_that_comes_back_while_its_slot_is_moved_is_not_lost {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    a_key_before_a_tombstone_is_in_once_while_it_is_moved {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(1, 2),
    }
    keys_of_one_mark_that_are_moved_are_found {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(1, 2),
    }
    a_get_never_misses_a_key_that_is_moved_twice {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    a_get_does_not_enter_a_table_that_has_gone {
        pointers: Limits::preemptions(1, 2),
    }
    a_helper_that_sleeps_through_a_migration_does_no_harm {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(1, 2),
    }
    a_table_without_tombstones_has_room_for_all {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
}
