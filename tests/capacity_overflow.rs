//! More room than memory can be: a panic, as std's, and the map is as it was.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme};
use sexton::hash_map::TryReserveError;
use sexton::{HashMap, HashSet};

/// No table has so many slots, even of a byte each.
const TOO_MANY: [usize; 4] = [usize::MAX, usize::MAX - 1, isize::MAX as usize + 1, usize::MAX / 2];

#[test]
fn a_map_that_cannot_be_panics() {
    for capacity in TOO_MANY {
        let made = catch_unwind(|| HashMap::<u8, u8>::with_capacity(capacity));
        assert!(made.is_err(), "there is a map for {capacity} entries");
        assert!(catch_unwind(|| HashSet::<u8>::with_capacity(capacity)).is_err());
    }
}

#[test]
fn who_tries_is_told_that_it_cannot_be() {
    let (map, set) = (HashMap::<_, _>::from([(1, 1)]), HashSet::<_>::from([1]));
    let before = (map.capacity(), set.capacity());
    for additional in TOO_MANY {
        assert_eq!(map.try_reserve(additional), Err(TryReserveError::CapacityOverflow));
        assert_eq!(set.try_reserve(additional), Err(TryReserveError::CapacityOverflow));
    }
    assert_eq!((map.capacity(), set.capacity()), before);
}

for_each_scheme! {
    fn a_room_that_cannot_be_leaves_the_map_as_it_was(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        (0..20_u8).for_each(|key| {
            map.insert(key, Tracked::new(&ledger, key.into()));
        });
        for additional in TOO_MANY {
            // Once alone, and once with a guard that others hold.
            let pinned = map.pin();
            let reserved = catch_unwind(AssertUnwindSafe(|| map.reserve(additional)));
            assert!(reserved.is_err(), "there is room for {additional} entries more");
            drop(pinned);
            assert!(catch_unwind(AssertUnwindSafe(|| map.reserve(additional))).is_err());
        }
        // It works, and grows.
        (20..200_u8).for_each(|key| {
            assert!(map.insert(key, Tracked::new(&ledger, key.into())).is_none());
        });
        assert_eq!(map.len(), 200);
        assert!((0..200_u8).all(|key| map.get(&key).is_some_and(|it| it.value() == key.into())));
        drop(map);
        subject.settle(domain, &ledger);
    }
}
