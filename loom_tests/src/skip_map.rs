//! The skip map: invariants I1 to I6 of `src/skip_map/list.rs`, I2 of `src/skip_map/node.rs`.
//!
//! Keys are [witnesses](Witness): a search compares each key on its way, so loom sees whether it
//! was allowed to look at it. Towers are as high as the model says, one level or two; with two
//! there is all that a third has.

use sexton::skip_map::build_towers_of;
use sexton::{Domain, Reclaimer, Scheme, SkipMap};

use crate::model::{self, in_turn, together};
use crate::witness::Witness;

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

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.0.read().cmp(&other.0.read())
    }
}

type Owned<S> = SkipMap<Key, Witness, Domain<S>>;

/// A map with these keys, each its own value, with towers of these heights.
fn map_of<S: Scheme>(entries: &[(u64, usize)]) -> Owned<S> {
    let map = SkipMap::with_reclaimer(Domain::new());
    for (key, height) in entries {
        build_towers_of(*height);
        insert(&map, *key, *key);
    }
    map
}

fn warm_up<S: Scheme>(map: &Owned<S>) {
    model::warm_up(map.reclaimer(), 6);
}

/// The towers that the thread builds have one level.
fn low<S: Scheme>(map: &Owned<S>) {
    build_towers_of(1);
    warm_up(map);
}

/// The towers that the thread builds have two levels.
fn high<S: Scheme>(map: &Owned<S>) {
    build_towers_of(2);
    warm_up(map);
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

fn pop_first<S: Scheme>(map: &Owned<S>) -> Option<u64> {
    map.pin().pop_first().map(|entry| entry.value().read())
}

fn pop_last<S: Scheme>(map: &Owned<S>) -> Option<u64> {
    map.pin().pop_last().map(|entry| entry.value().read())
}

fn keys<S: Scheme>(map: &Owned<S>) -> Vec<u64> {
    map.pin().keys().map(|key| key.0.read()).collect()
}

/// Asserts that so many entries were put out, and that all of them were unlinked everywhere, by
/// those who put them out: no search came by later.
fn assert_retired<S: Scheme>(map: &Owned<S>, entries: u64) {
    assert_eq!(map.reclaimer().stats().retired, entries);
}

/// Guards the linking CAS at level 0: two who insert a key meet at the same link, and the second
/// one replaces what the first has put in; and I4: one of their towers is in the index in the end.
fn one_of_two_who_insert_a_key_is_first<S: Scheme>() {
    let (map, [one, two]) =
        together(map_of::<S>(&[]), high, [|map| insert(map, 1, 10), |map| insert(map, 1, 20)]);
    let last = get(&map, 1);
    assert!(
        [(None, Some(10), Some(20)), (Some(20), None, Some(10))].contains(&(one, two, last)),
        "{one:?} {two:?} {last:?}"
    );
    assert_eq!(keys(&map), [1]);
    assert_retired(&map, 1);
}

/// Guards the linking CAS of both levels: neighbours are linked both.
fn neighbours_are_inserted_both<S: Scheme>() {
    let (map, _) =
        together(map_of::<S>(&[]), high, [|map| insert(map, 1, 1), |map| insert(map, 2, 2)]);
    assert_eq!(keys(&map), [1, 2]);
    assert_eq!((get(&map, 1), get(&map, 2)), (Some(1), Some(2)));
}

/// Guards I2 of the node, and who sweeps: what is removed while its tower is being built is
/// unlinked at all levels by one of the two, and retired once.
fn what_is_removed_at_birth_is_retired_once<S: Scheme>() {
    let (map, [_, removed]) =
        together(map_of::<S>(&[]), high, [|map| insert(map, 1, 1), |map| remove(map, 1)]);
    assert_retired(&map, removed.iter().count() as u64);
    assert_eq!(map.len(), 1 - removed.iter().count());
    assert_eq!(get(&map, 1), removed.is_none().then_some(1));
}

/// Guards I4 and the order in which a removed node leaves the index: it is not linked there behind,
/// or before, the one that was inserted after it.
fn a_key_that_is_inserted_again_leaves_nothing_behind<S: Scheme>() {
    let (map, [_, (removed, again)]) = together(
        map_of::<S>(&[]),
        high,
        [
            |map| {
                insert(map, 1, 1);
                (None, None)
            },
            |map| (remove(map, 1), insert(map, 1, 2)),
        ],
    );
    let gone = [removed, again].iter().flatten().count() as u64;
    let lasting = get(&map, 1);
    assert!(lasting.is_some());
    // If the first one came last, it replaced the second one.
    let replaced = u64::from(lasting == Some(1) && again.is_none() && removed.is_none());
    assert_retired(&map, gone + replaced);
}

/// Guards that a replacement is one step: whoever stands on the old node gets to the new one.
fn a_get_never_misses_a_key_that_is_replaced<S: Scheme>() {
    let (map, _) = together(
        map_of::<S>(&[(1, 2)]),
        high,
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
    assert_retired(&map, 1);
}

/// Guards I1 and I3: the mark decides who has removed a node, and it is retired once.
fn one_of_two_who_remove_a_key_gets_it<S: Scheme>() {
    let (map, mut removed) =
        together(map_of::<S>(&[(1, 2)]), warm_up, [|map| remove(map, 1), |map| remove(map, 1)]);
    removed.sort_unstable();
    assert_eq!(removed, [None, Some(1)]);
    assert_eq!(map.len(), 0);
    assert_retired(&map, 1);
}

/// Guards I1: nothing is linked behind a node that is marked, where it would be lost.
fn an_insertion_behind_a_removed_node_is_not_lost<S: Scheme>() {
    let (map, _) =
        together(map_of::<S>(&[(1, 2)]), high, [|map| remove(map, 1), |map| insert(map, 2, 2)]);
    assert_eq!(keys(&map), [2]);
    assert_retired(&map, 1);
}

/// Guards I1 and the sweep: neighbours are removed, each by a thread of its own, and unlinked at
/// both levels, and none comes back.
fn neighbours_are_removed_both<S: Scheme>() {
    let (map, removed) = together(
        map_of::<S>(&[(1, 2), (2, 2)]),
        warm_up,
        [|map| remove(map, 1), |map| remove(map, 2)],
    );
    assert_eq!(removed, [Some(1), Some(2)]);
    assert_retired(&map, 2);
    assert_eq!(keys(&map), []);
}

/// Guards I2: a search that stands on a node which is removed under it is not led on to the next
/// one, which may be freed already; nor from the level above.
fn a_search_is_not_led_to_a_freed_node<S: Scheme>() {
    together(
        map_of::<S>(&[(1, 2), (2, 1)]),
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

/// The same along one level.
fn a_walk_is_not_led_to_a_freed_node<S: Scheme>() {
    together(
        map_of::<S>(&[(1, 1), (2, 1), (3, 1)]),
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

/// Guards the announcement after an unlinking (I2): a search helps to unlink a node, and goes on to
/// the one behind it, which is removed and freed meanwhile.
fn a_search_that_helps_is_not_led_to_a_freed_node<S: Scheme>() {
    together(
        map_of::<S>(&[(1, 1), (2, 1)]),
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

/// Guards the count (I2 of the node): a node that is removed, and unlinked at level 0 by one who goes
/// along there only, is not freed while it is linked above, where a third one comes upon it.
fn a_node_lives_as_long_as_it_is_linked_anywhere<S: Scheme>() {
    let (map, [removed, first, found]) = together(
        map_of::<S>(&[(1, 2)]),
        warm_up,
        [
            |map| remove(map, 1),
            |map| in_turn(0, || map.pin().first().map(|entry| entry.value().read())),
            |map| in_turn(1, || get(map, 2)),
        ],
    );
    assert_eq!((removed, first.unwrap_or(1), found), (Some(1), 1, None));
    assert_retired(&map, 1);
}

/// Guards I2 of the node where the builder is the last: the two levels of a node that was removed while
/// he built it are unlinked at the same time, one by a thread that goes along level 0 only.
fn a_builder_does_not_retire_what_is_retired<S: Scheme>() {
    let (map, _) = together(
        map_of::<S>(&[]),
        high,
        [
            |map| insert(map, 1, 1),
            |map| {
                let removed = in_turn(0, || remove(map, 1));
                map.pin().first();
                removed
            },
            |map| in_turn(1, || get(map, 1)),
        ],
    );
    assert!(map.reclaimer().stats().retired <= 1);
}

/// Guards the cover of what is returned: a removed value lives as long as its reference.
fn a_removed_value_lives_as_long_as_its_reference<S: Scheme>() {
    together(
        map_of::<S>(&[(1, 2)]),
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

/// Guards the cover of what is handed out, and built on, just after it was put in: another thread
/// replaces it.
fn an_inserted_value_lives_as_long_as_its_reference<S: Scheme>() {
    together(
        map_of::<S>(&[]),
        high,
        [
            |map| {
                let pinned = map.pin();
                let value = pinned.get_or_insert_with(Key::new(1), || Witness::new(10));
                map.reclaimer().collect();
                assert!([10, 20].contains(&value.read()));
            },
            |map| {
                build_towers_of(1);
                insert(map, 1, 20);
                map.reclaimer().collect();
            },
        ],
    );
}

/// Guards the marking CAS of `pop_first`: each entry goes to one.
fn each_entry_is_popped_once<S: Scheme>() {
    let (map, mut popped) = together(
        map_of::<S>(&[(1, 1), (2, 2)]),
        warm_up,
        [|map| pop_first(map), |map| pop_first(map)],
    );
    popped.sort_unstable();
    assert_eq!(popped, [Some(1), Some(2)]);
    assert_retired(&map, 2);
}

/// Guards that `pop_last` pops what is the last one at that moment: not 1, if that is still there
/// when 2 is.
fn the_last_is_the_last<S: Scheme>() {
    let (map, [seen, popped]) = together(
        map_of::<S>(&[(1, 2)]),
        low,
        [
            |map| {
                insert(map, 2, 2);
                get(map, 1)
            },
            |map| pop_last(map),
        ],
    );
    let left = keys(&map);
    match popped {
        Some(1) => assert_eq!((seen, left), (None, vec![2])),
        popped => assert_eq!((popped, left), (Some(2), vec![1])),
    }
}

/// Guards the second cover of an iteration (I2 of `guard`): what it hands out is alive, though it
/// is removed as the iteration goes on from it.
fn what_an_iteration_hands_out_is_alive<S: Scheme>() {
    together(
        map_of::<S>(&[(1, 1), (2, 1)]),
        warm_up,
        [
            |map| {
                remove(map, 1);
                map.reclaimer().collect();
            },
            |map| {
                let pinned = map.pin();
                let mut entries = pinned.iter();
                let first = entries.next().expect("the second one stays");
                let second = entries.next();
                drop(entries);
                map.reclaimer().collect();
                let (first, second) =
                    (first.value().read(), second.map(|second| second.value().read()));
                assert!([(1, Some(2)), (2, None)].contains(&(first, second)));
            },
        ],
    );
}

/// An iteration sees a key that is there throughout once, whatever happens beside it.
fn an_iteration_sees_a_lasting_key_once<S: Scheme>() {
    together(
        map_of::<S>(&[(1, 1), (2, 2)]),
        low,
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

/// Guards that a step of an iteration which finds an entry removed goes again from where it stood:
/// an entry that replaced it was the next one only before another one came in between.
fn a_step_brings_what_was_next<S: Scheme>() {
    let first = |map: &Owned<S>| map.pin().iter().next().map(|entry| entry.value().read());
    let (_, [_, first]) = together(
        map_of::<S>(&[(1, 1)]),
        low,
        [
            |map| {
                insert(map, 0, 0);
                insert(map, 1, 2)
            },
            first,
        ],
    );
    assert!([Some(1), Some(0)].contains(&first), "{first:?}");
}

/// The same from the back.
fn a_step_back_brings_what_was_next<S: Scheme>() {
    let last = |map: &Owned<S>| map.pin().iter().next_back().map(|entry| entry.value().read());
    let (_, [_, last]) = together(
        map_of::<S>(&[(1, 1)]),
        low,
        [
            |map| {
                insert(map, 2, 3);
                insert(map, 1, 2)
            },
            last,
        ],
    );
    assert!([Some(1), Some(3)].contains(&last), "{last:?}");
}

/// Guards I6 with freed nodes used again: a node's address comes back elsewhere in the list while
/// another thread is about to remove the one before, and a third one reads.
fn a_reused_address_deceives_nobody<S: Scheme>() {
    let (map, removed) = together(
        map_of::<S>(&[(1, 1), (2, 1)]),
        low,
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

crate::on_schemes! {
    one_of_two_who_insert_a_key_is_first {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions(3, 4),
        crossbeam: Limits::preemptions(1, 2),
    }
    neighbours_are_inserted_both {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions_or_all(3),
    }
    what_is_removed_at_birth_is_retired_once {
        pointers: Limits::preemptions(4, 5),
        regions: Limits::preemptions_or_all(4),
        hazard: Limits::preemptions(2, 3),
        epoch: Limits::preemptions(2, 3),
    }
    a_key_that_is_inserted_again_leaves_nothing_behind {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions(3, 4),
    }
    a_get_never_misses_a_key_that_is_replaced {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
    }
    one_of_two_who_remove_a_key_gets_it {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    an_insertion_behind_a_removed_node_is_not_lost {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    neighbours_are_removed_both {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(1, 2),
    }
    a_search_is_not_led_to_a_freed_node {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_walk_is_not_led_to_a_freed_node {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions(3, 4),
    }
    a_search_that_helps_is_not_led_to_a_freed_node {
        pointers: Limits::preemptions(2, 3),
    }
    a_node_lives_as_long_as_it_is_linked_anywhere {
        pointers: Limits::preemptions(1, 2),
        regions: Limits::preemptions(2, 3),
    }
    a_builder_does_not_retire_what_is_retired {
        regions: Limits::preemptions(3, 4).at_most(40_000),
    }
    a_removed_value_lives_as_long_as_its_reference {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(3, 4),
    }
    an_inserted_value_lives_as_long_as_its_reference {
        pointers: Limits::preemptions(3, 4),
        regions: Limits::preemptions(3, 4),
    }
    each_entry_is_popped_once {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    the_last_is_the_last {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    what_an_iteration_hands_out_is_alive {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    an_iteration_sees_a_lasting_key_once {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    a_step_brings_what_was_next {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    a_step_back_brings_what_was_next {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    a_reused_address_deceives_nobody {
        pointers: Limits::preemptions(2, 3).reusing(),
        regions: Limits::preemptions(2, 3).reusing(),
    }
}
