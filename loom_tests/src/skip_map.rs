//! The skip map: the invariants of `src/skip_map/`: those of `list`, `node`, `run`, `page`, `rebuild` and
//! `index`.
//!
//! Keys are [witnesses](Witness): a search compares keys on its way, so loom sees whether it was
//! allowed to look at them. Leaves have one entry, or two, as the model says. The index has one level, the
//! head's run of which leads to all leaves; or, where runs of the index lead to one node each, two: then the
//! second leaf is in a branch; or three, where a third leaf is in a branch that is in a branch. A head's run never dies, so
//! models in which a leaf is to die have a least key, 0, that stays in the list's, and those in which a
//! branch is to die a leaf that stays in the index's.

use core::cell::Cell;
use core::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use sexton::skip_map::{build_branches_of, build_leaves_of};
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

/// The least key.
const LEAST: u64 = 0;

/// More nodes than any level of these models has.
const MANY: usize = 4;

/// A map with these keys, each its own value, and each in a leaf of its own, but the first.
fn map_of<S: Scheme>(keys: &[u64]) -> Owned<S> {
    let map = SkipMap::with_reclaimer(Domain::new());
    build_leaves_of(1);
    build_branches_of(MANY);
    for key in keys {
        insert(&map, *key, *key);
    }
    map
}

/// The same with the least key, so that all of these have leaves.
fn leaves_of<S: Scheme>(keys: &[u64]) -> Owned<S> {
    map_of(&[&[LEAST], keys].concat())
}

/// A map with the least key, a leaf that the index's head leads to, and some that a branch each leads to. From
/// three leaves on there is a branch of branches, too.
fn branches_of<S: Scheme>(keys: &[u64]) -> Owned<S> {
    let map = map_of(&[LEAST]);
    build_branches_of(1);
    for key in keys {
        insert(&map, *key, *key);
    }
    map
}

/// A map with the least key, and a leaf with these two.
fn leaf_of<S: Scheme>(keys: [u64; 2]) -> Owned<S> {
    let map = leaves_of(&[keys[0]]);
    build_leaves_of(2);
    insert(&map, keys[1], keys[1]);
    map
}

fn warm_up<S: Scheme>(map: &Owned<S>) {
    model::warm_up(map.reclaimer(), 16);
}

/// Runs of the index that the thread makes lead to as many nodes as there are.
fn low<S: Scheme>(map: &Owned<S>) {
    build_branches_of(MANY);
    warm_up(map);
}

/// Runs of the index that the thread makes lead to one node: the next one is in a new branch.
fn high<S: Scheme>(map: &Owned<S>) {
    build_branches_of(1);
    warm_up(map);
}

/// Runs of the index that the thread makes lead to two nodes at most.
fn half_high<S: Scheme>(map: &Owned<S>) {
    build_branches_of(2);
    warm_up(map);
}

/// The leaves' runs that the thread makes have two entries at most.
fn wide<S: Scheme>(map: &Owned<S>) {
    build_leaves_of(2);
    low(map);
}

/// A map with the least key, and a leaf with 1 and 3, which is sparse when one of them is removed.
fn leaf_of_two_with_much_room<S: Scheme>() -> Owned<S> {
    let map = leaves_of(&[1]);
    build_leaves_of(3);
    insert(&map, 2, 2);
    insert(&map, 3, 3);
    remove(&map, 2);
    map
}

/// The leaves' runs that the thread makes have three entries at most.
fn wider<S: Scheme>(map: &Owned<S>) {
    build_leaves_of(3);
    low(map);
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

/// Asserts that what is dead is in no list any more.
///
/// Before anybody searches, who would clean up.
fn assert_clean<S: Scheme>(map: &mut Owned<S>) {
    assert_eq!(map.remnants(), 0);
}

/// Guards the CAS that puts a run in place: of two who seal the same run one comes first, and the other
/// one starts again, and finds what the first has put in.
fn one_of_two_who_insert_a_key_is_first<S: Scheme>() {
    let (mut map, [one, two]) =
        together(map_of::<S>(&[]), high, [|map| insert(map, 1, 10), |map| insert(map, 1, 20)]);
    assert_clean(&mut map);
    let last = get(&map, 1);
    assert!(
        [(None, Some(10), Some(20)), (Some(20), None, Some(10))].contains(&(one, two, last)),
        "{one:?} {two:?} {last:?}"
    );
    assert_eq!(keys(&map), [1]);
}

/// The same where they are two keys, and the run is split.
fn neighbours_are_inserted_both<S: Scheme>() {
    let (map, _) =
        together(map_of::<S>(&[1]), high, [|map| insert(map, 2, 2), |map| insert(map, 3, 3)]);
    assert_eq!(keys(&map), [1, 2, 3]);
    assert_eq!((get(&map, 1), get(&map, 2), get(&map, 3)), (Some(1), Some(2), Some(3)));
}

/// Guards that a sealed run loses nothing: what is removed while another thread copies the run is not
/// copied, and what is copied is not removed from the old one.
fn what_is_removed_beside_a_rebuilding_stays_out<S: Scheme>() {
    let (mut map, [_, removed]) =
        together(leaf_of::<S>([1, 2]), wide, [|map| insert(map, 2, 20), |map| remove(map, 1)]);
    assert_clean(&mut map);
    assert_eq!((removed, keys(&map)), (Some(1), vec![LEAST, 2]));
    assert_eq!(map.len(), 2);
}

/// The same for a run that is replaced as little is left in it.
fn what_is_inserted_beside_a_shrinking_stays<S: Scheme>() {
    let (mut map, [inserted, removed]) = together(
        leaf_of_two_with_much_room::<S>(),
        wider,
        [|map| insert(map, 4, 4), |map| remove(map, 3)],
    );
    assert_clean(&mut map);
    assert_eq!((inserted, removed, keys(&map)), (None, Some(3), vec![LEAST, 1, 4]));
    assert_eq!(map.len(), 3);
}

/// The same; and what is empty by then is not brought back to life.
fn what_is_removed_beside_a_shrinking_stays_out<S: Scheme>() {
    let (mut map, removed) = together(
        leaf_of_two_with_much_room::<S>(),
        wider,
        [|map| remove(map, 1), |map| remove(map, 3)],
    );
    assert_clean(&mut map);
    assert_eq!((removed, keys(&map)), ([Some(1), Some(3)], vec![LEAST]));
    // Nor one whose death nobody has noticed yet.
    assert_clean(&mut map);
    assert_eq!(map.len(), 1);
}

/// The same for an entry that is replaced: it was removed before, or is not removed any more.
fn what_is_removed_is_not_replaced<S: Scheme>() {
    let (mut map, [replaced, removed]) =
        together(leaf_of::<S>([1, 2]), wide, [|map| insert(map, 2, 20), |map| remove(map, 2)]);
    assert_clean(&mut map);
    let last = get(&map, 2);
    assert!(
        [(None, Some(2), Some(20)), (Some(2), Some(20), None)].contains(&(replaced, removed, last)),
        "{replaced:?} {removed:?} {last:?}"
    );
    assert_eq!(map.len(), 2 + last.iter().count());
}

/// Guards the orders of the bit: who finds a key missing sees what came before its removal, whether
/// he has looked, or has put a run in place without it.
fn who_misses_a_key_comes_after_its_removal<S: Scheme>() {
    together(
        leaf_of::<S>([1, 2]),
        wide,
        [
            |map| {
                insert(map, LEAST, 10);
                remove(map, 1);
            },
            |map| {
                if get(map, 1).is_some() {
                    insert(map, 2, 20);
                }
                if get(map, 1).is_none() {
                    assert_eq!(get(map, LEAST), Some(10));
                }
            },
        ],
    );
}

/// Guards I1 and I4 of the node: a leaf that dies while it is being linked in the index is taken out of there
/// by one of the two, and retired once.
fn what_is_removed_at_birth_is_retired_once<S: Scheme>() {
    let (mut map, [_, removed]) =
        together(leaves_of::<S>(&[]), high, [|map| insert(map, 1, 1), |map| remove(map, 1)]);
    assert_clean(&mut map);
    assert_eq!(map.len(), 2 - removed.iter().count());
    assert_eq!(get(&map, 1), removed.is_none().then_some(1));
}

/// Guards the announcement of a new leaf: it is freed, as far as it may be, while its builder is at it.
fn a_leaf_lives_as_long_as_its_builder<S: Scheme>() {
    together(
        leaves_of::<S>(&[]),
        high,
        [
            |map| insert(map, 1, 1),
            |map| {
                let removed = remove(map, 1);
                map.reclaimer().collect();
                removed
            },
        ],
    );
}

/// The same where the key comes again, in another leaf.
fn a_key_that_is_inserted_again_leaves_nothing_behind<S: Scheme>() {
    let (mut map, _) = together(
        leaves_of::<S>(&[]),
        high,
        [
            |map| {
                insert(map, 1, 1);
                (None, None)
            },
            |map| (remove(map, 1), insert(map, 1, 2)),
        ],
    );
    assert_clean(&mut map);
    assert!(get(&map, 1).is_some());
    assert_eq!(keys(&map), [LEAST, 1]);
}

/// Guards that a replacement is one step: whoever stands on the old run gets to the new one.
fn a_get_never_misses_a_key_that_is_replaced<S: Scheme>() {
    let (mut map, _) = together(
        leaves_of::<S>(&[1]),
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
    assert_clean(&mut map);
}

/// Guards I2 of the run, and I1 of the node: the bit decides who has taken an entry out, and with the
/// last one the leaf, which is unlinked and retired once.
fn one_of_two_who_remove_a_key_gets_it<S: Scheme>() {
    let (mut map, mut removed) =
        together(leaves_of::<S>(&[1]), warm_up, [|map| remove(map, 1), |map| remove(map, 1)]);
    assert_clean(&mut map);
    removed.sort_unstable();
    assert_eq!(removed, [None, Some(1)]);
    assert_eq!(map.len(), 1);
}

/// Guards I2 of the node: nothing is put into a dead leaf, where it would be lost.
fn an_insertion_into_a_dying_leaf_is_not_lost<S: Scheme>() {
    let (mut map, _) =
        together(leaves_of::<S>(&[1]), wide, [|map| remove(map, 1), |map| insert(map, 2, 2)]);
    assert_clean(&mut map);
    assert_eq!(keys(&map), [LEAST, 2]);
    assert_eq!(get(&map, 2), Some(2));
}

/// Guards the unlinking of a dead leaf: the one to the left, whose run leads past it then, is split at
/// the same time.
fn an_insertion_before_a_dying_leaf_is_not_lost<S: Scheme>() {
    let (mut map, _) =
        together(leaves_of::<S>(&[2]), low, [|map| remove(map, 2), |map| insert(map, 1, 1)]);
    assert_clean(&mut map);
    assert_eq!(keys(&map), [LEAST, 1]);
    assert_eq!(get(&map, 1), Some(1));
}

/// Guards I1 of the rebuilding: a leaf that has lost its first entry takes none that is less than the
/// next one, as others would look for it further to the left, and put it there.
fn a_key_is_in_one_leaf_only<S: Scheme>() {
    let (map, [first, second]) = together(
        leaf_of::<S>([1, 3]),
        wide,
        [
            |map| {
                remove(map, 1);
                insert(map, 2, 20)
            },
            |map| insert(map, 2, 200),
        ],
    );
    assert_eq!(keys(&map), [LEAST, 2, 3]);
    let last = get(&map, 2);
    assert!(
        [(None, Some(20), Some(200)), (Some(200), None, Some(20))].contains(&(first, second, last)),
        "{first:?} {second:?} {last:?}"
    );
    assert_eq!(map.len(), 3);
}

/// Guards the same for who only looks: a key that has moved to the leaf on the left is found there.
fn a_get_finds_what_has_moved_to_the_left<S: Scheme>() {
    together(
        leaf_of::<S>([1, 3]),
        wide,
        [
            |map| {
                remove(map, 1);
                insert(map, 2, 2);
                // It is there now, for whoever learns of this.
                assert_eq!(remove(map, 3), Some(3));
            },
            |map| {
                let (last, found) = (get(map, 3), get(map, 2));
                assert!(last.is_some() || found.is_some());
            },
        ],
    );
}

/// Guards the unlinking of leaves that die at the same time, and stand side by side; with one of them the
/// branch dies.
fn neighbours_are_removed_both<S: Scheme>() {
    let (mut map, removed) =
        together(branches_of::<S>(&[1, 2]), warm_up, [|map| remove(map, 1), |map| remove(map, 2)]);
    assert_clean(&mut map);
    assert_eq!(removed, [Some(1), Some(2)]);
    assert_eq!(keys(&map), [LEAST]);
}

/// The same where a branch dies to which the taking out of another leaf has come.
fn a_burial_is_not_led_to_a_freed_branch<S: Scheme>() {
    let (mut map, removed) = together(
        branches_of::<S>(&[1, 2, 3]),
        warm_up,
        [
            |map| remove(map, 3),
            |map| {
                let removed = remove(map, 2);
                map.reclaimer().collect();
                removed
            },
        ],
    );
    assert_clean(&mut map);
    assert_eq!(removed, [Some(3), Some(2)]);
    assert_eq!(keys(&map), [LEAST, 1]);
}

/// Guards I2 of the node in the index: nothing is put into a dead branch, where it would not be found when it
/// is to be taken out.
fn what_is_put_into_a_dying_branch_is_found_again<S: Scheme>() {
    let (mut map, [removed, _]) =
        together(branches_of::<S>(&[1, 2]), low, [|map| remove(map, 2), |map| insert(map, 3, 3)]);
    assert_clean(&mut map);
    assert_eq!((removed, keys(&map)), (Some(2), vec![LEAST, 1, 3]));
    assert_eq!(remove(&map, 3), Some(3));
    assert_clean(&mut map);
}

/// Guards I1 and I2 of the run in the index: what is taken out of a branch while its run is split is in neither
/// half.
fn what_dies_beside_a_split_stays_out<S: Scheme>() {
    let (mut map, [_, removed]) = together(
        leaves_of::<S>(&[1, 2]),
        half_high,
        [|map| insert(map, 3, 3), |map| remove(map, 1)],
    );
    assert_clean(&mut map);
    assert_eq!((removed, keys(&map)), (Some(1), vec![LEAST, 2, 3]));
    assert_eq!((get(&map, 2), get(&map, 3)), (Some(2), Some(3)));
}

/// Guards that a dead leaf is found in the index where it has come to stand before one that is to its left (I4
/// of the list): it has lost its first entry while it was linked.
fn a_dead_leaf_is_found_too_far_to_the_left<S: Scheme>() {
    let (mut map, _) = together(
        leaves_of::<S>(&[1]),
        half_high,
        [
            |map| insert(map, 2, 2),
            |map| {
                build_leaves_of(2);
                insert(map, 5, 5);
                remove(map, 2);
                build_leaves_of(1);
                build_branches_of(1);
                insert(map, 3, 3)
            },
        ],
    );
    assert_eq!(remove(&map, 5), Some(5));
    assert_clean(&mut map);
}

/// Guards the covers of what a search looks at below a branch of branches.
fn a_search_is_not_led_to_a_freed_branch<S: Scheme>() {
    together(
        branches_of::<S>(&[1, 2, 3]),
        low,
        [
            |map| {
                remove(map, 3);
                map.reclaimer().collect();
            },
            |map| {
                let found = get(map, 3);
                assert!([None, Some(3)].contains(&found), "{found:?}");
            },
        ],
    );
}

/// The same where the branch stays, and gets another run.
fn a_search_is_not_led_to_a_leaf_freed_beside_a_new_one<S: Scheme>() {
    together(
        branches_of::<S>(&[1, 2, 3]),
        low,
        [
            |map| {
                insert(map, 4, 4);
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

/// Guards the covers of a search: the leaf that it stands on dies, and the next one is freed.
fn a_search_is_not_led_to_a_freed_leaf<S: Scheme>() {
    together(
        leaves_of::<S>(&[1, 2]),
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

/// The same along the list of leaves.
fn a_walk_is_not_led_to_a_freed_leaf<S: Scheme>() {
    together(
        leaves_of::<S>(&[1, 2, 3]),
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

/// Guards I3 of the page: an entry that is removed from a run which stays is not looked at any more.
fn a_removed_entry_is_not_looked_at<S: Scheme>() {
    together(
        leaf_of::<S>([1, 2]),
        warm_up,
        [
            |map| {
                remove(map, 1);
                map.reclaimer().collect();
            },
            |map| {
                let found = get(map, 1);
                assert!([None, Some(1)].contains(&found), "{found:?}");
            },
        ],
    );
}

/// Guards the covers along dead leaves (I2 of the page), where nobody has unlinked them yet.
fn a_step_over_dead_leaves_is_not_led_to_a_freed_one<S: Scheme>() {
    together(
        leaves_of::<S>(&[1, 2]),
        warm_up,
        [
            |map| remove(map, 1),
            |map| {
                let removed = remove(map, 2);
                map.reclaimer().collect();
                removed
            },
            |map| map.pin().last().map(|entry| entry.value().read()),
        ],
    );
}

/// Guards the places of a node (I1): a leaf that dies, and is taken out of the list of leaves, is not
/// freed while it is linked in the index, where a third one comes upon it.
fn a_leaf_lives_as_long_as_it_is_linked_anywhere<S: Scheme>() {
    let (mut map, [removed, _, found]) = together(
        leaves_of::<S>(&[1]),
        low,
        [
            |map| remove(map, 1),
            |map| in_turn(0, || insert(map, LEAST, 10)),
            |map| in_turn(1, || get(map, 2)),
        ],
    );
    assert_clean(&mut map);
    assert_eq!((removed, found), (Some(1), None));
}

/// Guards I1 of the node where the builder is the last: a leaf that died while he linked it is taken out of
/// the list of leaves by another one at the same time.
fn a_builder_does_not_retire_what_is_retired<S: Scheme>() {
    together(
        leaves_of::<S>(&[]),
        high,
        [
            |map| insert(map, 1, 1),
            |map| {
                let removed = in_turn(0, || remove(map, 1));
                insert(map, LEAST, 10);
                removed
            },
            |map| in_turn(1, || get(map, 1)),
        ],
    );
}

/// Guards the cover of what is returned: a removed value lives as long as its reference.
fn a_removed_value_lives_as_long_as_its_reference<S: Scheme>() {
    together(
        leaves_of::<S>(&[1]),
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
        low,
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

/// Guards the bit for `pop_first`: each entry goes to one.
fn each_entry_is_popped_once<S: Scheme>() {
    let (mut map, mut popped) =
        together(map_of::<S>(&[1, 2]), warm_up, [|map| pop_first(map), |map| pop_first(map)]);
    assert_clean(&mut map);
    popped.sort_unstable();
    assert_eq!(popped, [Some(1), Some(2)]);
}

/// Guards that `pop_last` pops what is the last one at that moment: not 1, if that is still there
/// when 2 is.
fn the_last_is_the_last<S: Scheme>() {
    let (map, [seen, popped]) = together(
        map_of::<S>(&[1]),
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

/// The same where both are in one run.
fn the_last_of_a_run_is_the_last<S: Scheme>() {
    let (map, [seen, popped]) = together(
        map_of::<S>(&[1]),
        wide,
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
        map_of::<S>(&[1, 2]),
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
        map_of::<S>(&[1, 2]),
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

/// Guards that a step is from where the iteration stands, in this leaf and the next one, at one moment:
/// the first of the next leaf was the next one only before another one came in between.
fn a_step_brings_what_was_next<S: Scheme>() {
    let second = |map: &Owned<S>| {
        let pinned = map.pin();
        let mut entries = pinned.iter();
        entries.next();
        entries.next().map(|entry| entry.value().read())
    };
    let (_, [_, second]) = together(
        map_of::<S>(&[1, 3]),
        wide,
        [
            |map| {
                insert(map, 2, 2);
                insert(map, 3, 30)
            },
            second,
        ],
    );
    assert!([Some(3), Some(2)].contains(&second), "{second:?}");
}

/// The same from the back.
fn a_step_back_brings_what_was_next<S: Scheme>() {
    let last = |map: &Owned<S>| map.pin().iter().next_back().map(|entry| entry.value().read());
    let (_, [_, last]) = together(
        map_of::<S>(&[1]),
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

/// The same for what is the last below a bound: it was so while the next leaf had nothing below it.
fn the_last_below_a_bound_was_that<S: Scheme>() {
    let below = |map: &Owned<S>| {
        let bound = Key::new(3);
        map.pin().upper_bound(Bound::Excluded(&bound)).map(|entry| entry.value().read())
    };
    let (_, [_, below]) = together(
        map_of::<S>(&[1, 2]),
        low,
        [
            |map| {
                insert(map, 1, 10);
                remove(map, 2)
            },
            below,
        ],
    );
    assert!([Some(2), Some(10)].contains(&below), "{below:?}");
}

/// A map of plain numbers, whose prefixes say which is less, with two of them in one leaf.
fn numbers<S: Scheme>() -> SkipMap<u64, Witness, Domain<S>> {
    let map = SkipMap::with_reclaimer(Domain::new());
    build_leaves_of(1);
    map.pin().insert(0, Witness::new(0));
    map.pin().insert(1, Witness::new(1));
    build_leaves_of(2);
    map.pin().insert(3, Witness::new(3));
    map
}

/// A map of plain numbers, each in a leaf of its own, but the first.
fn numbers_apart<S: Scheme>(numbers: &[u64]) -> SkipMap<u64, Witness, Domain<S>> {
    let map = SkipMap::with_reclaimer(Domain::new());
    build_leaves_of(1);
    build_branches_of(MANY);
    for number in numbers {
        map.pin().insert(*number, Witness::new(*number));
    }
    map
}

/// Guards I3 of the run: a search that goes by `beyond` goes to what a split has moved to the right.
fn a_number_is_in_one_leaf_beside_a_split<S: Scheme>() {
    let (map, [one, two]) = together(
        numbers_apart::<S>(&[0, 1, 5]),
        |map| model::warm_up(map.reclaimer(), 12),
        [
            |map| map.pin().insert(2, Witness::new(20)).is_none(),
            |map| map.pin().insert(2, Witness::new(200)).is_none(),
        ],
    );
    assert_ne!(one, two);
    assert_eq!(map.pin().keys().map(|key| *key).collect::<Vec<_>>(), [0, 1, 2, 5]);
}

/// The same where a search knows of a leaf that begins behind what it seeks, but not of the one before that.
fn a_key_is_in_one_leaf_beside_a_split<S: Scheme>() {
    let (map, [one, two]) = together(
        leaves_of::<S>(&[1, 5]),
        low,
        [|map| insert(map, 2, 20), |map| insert(map, 2, 200)],
    );
    assert_ne!(one.is_some(), two.is_some());
    assert_eq!(keys(&map), [LEAST, 1, 2, 5]);
}

/// The same where what is to the right dies meanwhile; and a search that goes by the least prefix of what has
/// died does not end there.
fn numbers_are_found_beside_a_split_and_a_removal<S: Scheme>() {
    let (map, _) = together(
        numbers_apart::<S>(&[0, 1, 5]),
        |map| {
            build_branches_of(MANY);
            model::warm_up(map.reclaimer(), 12);
        },
        [
            |map| {
                map.pin().insert(2, Witness::new(2));
                assert!(!map.pin().contains_key(&6));
            },
            |map| {
                map.pin().remove(&5);
                map.pin().insert(4, Witness::new(4));
                assert!(map.pin().contains_key(&4));
            },
        ],
    );
    assert_eq!(map.pin().keys().map(|key| *key).collect::<Vec<_>>(), [0, 1, 2, 4]);
    assert!([0, 1, 2, 4].iter().all(|number| map.pin().contains_key(number)));
}

/// A key that panics when it has been compared too often.
#[derive(Debug, PartialEq, Eq)]
struct Touchy(u64);

std::thread_local! {
    static PATIENCE: Cell<usize> = const { Cell::new(usize::MAX) };
}

impl PartialOrd for Touchy {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        match PATIENCE.get().checked_sub(1) {
            Some(left) => PATIENCE.set(left),
            // Without a message.
            None => resume_unwind(Box::new("impatient")),
        }
        self.0.cmp(&other.0)
    }
}

/// Guards I2 of the index: a dead leaf is taken out of there, though each comparison of its removal panics in
/// its turn. (In the list it may stay until somebody comes by.)
fn an_order_that_panics_leaves_no_dead_leaf_in_the_index<S: Scheme>() {
    for patience in 0.. {
        let mut map = SkipMap::<Touchy, (), Domain<S>>::with_reclaimer(Domain::new());
        build_leaves_of(1);
        build_branches_of(1);
        for key in 0..3 {
            map.pin().insert(Touchy(key), ());
        }
        PATIENCE.set(patience);
        let removed = catch_unwind(AssertUnwindSafe(|| map.pin().remove(&Touchy(1)).is_some()));
        PATIENCE.set(usize::MAX);
        assert!(map.remnants() <= 1, "with {patience} comparisons");
        if removed.is_ok_and(|removed| removed) {
            break;
        }
    }
}

/// Changes a map, and panics at the first comparison after that.
fn change_and_panic<S: Scheme>(
    map: &SkipMap<Touchy, (), Domain<S>>,
    change: fn(&SkipMap<Touchy, (), Domain<S>>),
) {
    let len = map.len();
    for patience in 0.. {
        PATIENCE.set(patience);
        let changed = catch_unwind(AssertUnwindSafe(|| change(map)));
        PATIENCE.set(usize::MAX);
        if map.len() != len {
            return assert!(changed.is_err());
        }
    }
}

/// Guards that nothing is known of what is to the right of a node when a search has failed to get there: it
/// has come to a dead leaf, behind which there is one that is not in the index.
fn a_dead_leaf_is_not_taken_for_the_end<S: Scheme>() {
    let map = SkipMap::<Touchy, (), Domain<S>>::with_reclaimer(Domain::new());
    build_leaves_of(1);
    build_branches_of(MANY);
    for key in 0..3 {
        map.pin().insert(Touchy(key), ());
    }
    change_and_panic(&map, |map| drop(map.pin().insert(Touchy(3), ())));
    change_and_panic(&map, |map| drop(map.pin().remove(&Touchy(2))));
    together(
        map,
        |map| model::warm_up(map.reclaimer(), 16),
        [
            |map| drop(map.pin().insert(Touchy(1), ())),
            |map| assert!(map.pin().contains_key(&Touchy(3))),
        ],
    );
}

/// Guards I3 of the node, where a search goes by what was the first entry, and is misled.
fn a_search_that_is_misled_finds_its_way<S: Scheme>() {
    let (map, _) = together(
        numbers::<S>(),
        |map| {
            build_leaves_of(2);
            model::warm_up(map.reclaimer(), 12);
        },
        [
            |map| {
                map.pin().remove(&1);
                map.pin().insert(2, Witness::new(20));
            },
            |map| {
                map.pin().insert(2, Witness::new(200));
                assert!(map.pin().contains_key(&2));
            },
        ],
    );
    assert_eq!(map.pin().keys().map(|key| *key).collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(map.len(), 3);
}

/// Guards the order of `low`: who goes by it comes after the removal for which it was raised.
fn who_goes_by_the_least_prefix_comes_after_the_removal<S: Scheme>() {
    together(
        numbers::<S>(),
        |map| model::warm_up(map.reclaimer(), 12),
        [
            |map| {
                in_turn(0, || {
                    map.pin().insert(0, Witness::new(10));
                    map.pin().remove(&1);
                });
            },
            // Is misled, and raises it.
            |map| in_turn(1, || assert!(!map.pin().contains_key(&2))),
            |map| {
                in_turn(2, || {
                    if !map.pin().contains_key(&1) {
                        assert_eq!(map.pin().get(&0).map(|value| value.read()), Some(10));
                    }
                });
            },
        ],
    );
}

/// Guards the order of a CAS that puts in place a run which leads past a dead leaf: the leaf behind is
/// published by it as well.
fn a_leaf_that_is_passed_on_is_published<S: Scheme>() {
    let (_, [_, removed, found]) = together(
        leaves_of::<S>(&[2]),
        low,
        [
            |map| in_turn(0, || insert(map, 3, 3)),
            |map| in_turn(1, || remove(map, 2)),
            |map| in_turn(2, || get(map, 3)),
        ],
    );
    assert_eq!(removed, Some(2));
    assert!([None, Some(3)].contains(&found), "{found:?}");
}

/// Guards I2 of the page with freed leaves used again: a leaf's address comes back elsewhere in the
/// list while another thread is about to unlink the one before, and a third one reads.
fn a_reused_address_deceives_nobody<S: Scheme>() {
    let (map, removed) = together(
        leaves_of::<S>(&[1, 2]),
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
    assert_eq!(keys(&map), [LEAST, 3]);
}

crate::on_schemes! {
    one_of_two_who_insert_a_key_is_first {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
        epoch: Limits::preemptions(1, 2).at_most(10_000),
        hazard: Limits::preemptions(1, 2).at_most(10_000),
        kept: Limits::preemptions(1, 2).at_most(10_000),
        crossbeam: Limits::preemptions(1, 2).at_most(4_000),
    }
    neighbours_are_inserted_both {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    what_is_removed_beside_a_rebuilding_stays_out {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    what_is_inserted_beside_a_shrinking_stays {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    what_is_removed_beside_a_shrinking_stays_out {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    what_is_removed_is_not_replaced {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    who_misses_a_key_comes_after_its_removal {
        leak: Limits::preemptions(2, 3).at_most(10_000),
    }
    who_goes_by_the_least_prefix_comes_after_the_removal {
        leak: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_leaf_that_is_passed_on_is_published {
        leak: Limits::preemptions(1, 2).at_most(10_000),
    }
    what_is_removed_at_birth_is_retired_once {
        leak: Limits::preemptions(2, 3).at_most(10_000),
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
        epoch: Limits::preemptions(1, 2).at_most(10_000),
        hazard: Limits::preemptions(1, 2).at_most(10_000),
        kept: Limits::preemptions(1, 2).at_most(10_000),
        crossbeam: Limits::preemptions(1, 2).at_most(4_000),
    }
    a_leaf_lives_as_long_as_its_builder {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_key_that_is_inserted_again_leaves_nothing_behind {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_get_never_misses_a_key_that_is_replaced {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    one_of_two_who_remove_a_key_gets_it {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
        epoch: Limits::preemptions(1, 2).at_most(10_000),
        hazard: Limits::preemptions(1, 2).at_most(10_000),
        kept: Limits::preemptions(1, 2).at_most(10_000),
        crossbeam: Limits::preemptions(1, 2).at_most(4_000),
    }
    an_insertion_into_a_dying_leaf_is_not_lost {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    an_insertion_before_a_dying_leaf_is_not_lost {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_key_is_in_one_leaf_only {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_get_finds_what_has_moved_to_the_left {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    neighbours_are_removed_both {
        pointers: Limits::preemptions(2, 3).at_most(15_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_burial_is_not_led_to_a_freed_branch {
        pointers: Limits::preemptions(1, 2).at_most(10_000).of_steps(6_000),
        regions: Limits::preemptions(1, 2).at_most(5_000).of_steps(6_000),
    }
    what_is_put_into_a_dying_branch_is_found_again {
        pointers: Limits::preemptions(2, 3).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    what_dies_beside_a_split_stays_out {
        pointers: Limits::preemptions(2, 3).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    a_dead_leaf_is_found_too_far_to_the_left {
        pointers: Limits::preemptions(1, 2).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    a_search_is_not_led_to_a_freed_branch {
        pointers: Limits::preemptions(1, 2).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    a_search_is_not_led_to_a_leaf_freed_beside_a_new_one {
        pointers: Limits::preemptions(1, 2).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    a_number_is_in_one_leaf_beside_a_split {
        pointers: Limits::preemptions(2, 3).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    a_key_is_in_one_leaf_beside_a_split {
        pointers: Limits::preemptions(2, 3).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    a_dead_leaf_is_not_taken_for_the_end {
        pointers: Limits::preemptions(2, 3).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    numbers_are_found_beside_a_split_and_a_removal {
        pointers: Limits::preemptions(2, 3).at_most(10_000),
        regions: Limits::preemptions(1, 2).at_most(5_000),
    }
    an_order_that_panics_leaves_no_dead_leaf_in_the_index {
        pointers: Limits::ALL.of_steps(20_000),
        regions: Limits::ALL.of_steps(20_000),
    }
    a_search_is_not_led_to_a_freed_leaf {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_walk_is_not_led_to_a_freed_leaf {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_removed_entry_is_not_looked_at {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_step_over_dead_leaves_is_not_led_to_a_freed_one {
        pointers: Limits::preemptions(2, 3).at_most(15_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_leaf_lives_as_long_as_it_is_linked_anywhere {
        pointers: Limits::preemptions(2, 3).at_most(15_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_builder_does_not_retire_what_is_retired {
        pointers: Limits::preemptions(2, 3).at_most(15_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_removed_value_lives_as_long_as_its_reference {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    an_inserted_value_lives_as_long_as_its_reference {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    each_entry_is_popped_once {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    the_last_is_the_last {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    the_last_of_a_run_is_the_last {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    what_an_iteration_hands_out_is_alive {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    an_iteration_sees_a_lasting_key_once {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_step_brings_what_was_next {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_step_back_brings_what_was_next {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    the_last_below_a_bound_was_that {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_search_that_is_misled_finds_its_way {
        pointers: Limits::preemptions(2, 3).at_most(25_000),
        regions: Limits::preemptions(1, 2).at_most(10_000),
    }
    a_reused_address_deceives_nobody {
        pointers: Limits::preemptions(2, 3).reusing().at_most(15_000),
        regions: Limits::preemptions(1, 2).at_most(10_000).reusing(),
    }
}
