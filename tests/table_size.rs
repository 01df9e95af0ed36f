//! How large a map's table becomes, and how small again.

mod common;

use common::{Alike, Ledger, Reclaimer, Subject, Tracked, for_each_scheme, sized};
use sexton::{Domain, Epoch, HashMap, Hazard, Protection, Scheme};

/// Old tables are few, and large: they do not wait for a batch of objects.
#[test]
#[cfg_attr(miri, ignore = "it takes megabytes")]
fn large_old_tables_are_freed_when_nothing_else_is_retired() {
    fn grows<S: Scheme>() {
        let domain = Domain::<S>::new();
        let map = HashMap::<u64, u64, _, _>::with_reclaimer(domain.clone());
        (0..400_000).for_each(|key| _ = map.insert(key, key));
        let (waits, slots) = (domain.stats().pending_bytes as usize, map.capacity() / 3 * 4);
        assert!(waits < slots * size_of::<usize>() / 2, "{waits} bytes, {slots} slots");
    }
    grows::<Epoch>();
    grows::<Hazard>();
}

for_each_scheme! {
    /// Nobody asks for it: the removals themselves, and whatever comes after, see to it.
    fn an_emptied_map_becomes_small(subject) {
        const ENTRIES: u64 = sized(20_000, 72) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
        (0..ENTRIES).for_each(|key| drop(map.pin().insert(key, Tracked::new(&ledger, key))));
        assert!(map.capacity() as u64 >= ENTRIES);
        (0..ENTRIES).for_each(|key| assert!(map.pin().remove(&key).is_some()));
        // A little of everything.
        for key in 0..ENTRIES {
            map.pin().insert(key % 4, Tracked::new(&ledger, key));
            map.pin().remove(&(key % 4));
        }
        assert!(map.capacity() as u64 <= ENTRIES / 8, "{}", map.capacity());
        assert!(map.is_empty());
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// Room that was asked for is not taken for what removals have left.
    fn what_was_reserved_stays_until_much_is_removed(subject) {
        const RESERVED: usize = sized(20_000, 100);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        for before in [1, RESERVED / 200 + 2, RESERVED / 20] {
            let map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
            let insert = |key: usize| {
                map.pin().insert(key as u64, Tracked::new(&ledger, key as u64));
            };
            (0..before).for_each(&insert);
            assert!(map.try_reserve(RESERVED).is_ok());
            let reserved = map.capacity();
            assert!(reserved >= before + RESERVED);
            for key in before..before + RESERVED {
                insert(key);
                assert_eq!(map.capacity(), reserved, "{before} entries, key {key}");
            }
            (0..before + RESERVED).for_each(|key| _ = map.pin().remove(&(key as u64)));
            // The migrations that it takes.
            (0..RESERVED).for_each(|_| {
                insert(0);
                map.pin().remove(&0);
            });
            assert!(map.capacity() <= RESERVED / 8, "{}", map.capacity());
        }
        subject.settle(domain, &ledger);
    }

    /// Removed entries leave tombstones, and these are got rid of without a larger table.
    fn one_key_that_comes_and_goes_needs_no_room(subject) {
        const ROUNDS: u64 = sized(10_000, 60) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
        for key in 0..ROUNDS {
            assert!(map.pin().insert(key, Tracked::new(&ledger, key)).is_none());
            assert!(map.pin().remove(&key).is_some());
        }
        assert!(map.capacity() < 20, "{}", map.capacity());
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// A larger table would not make the paths shorter, so it ends.
    fn hashes_that_are_all_alike_do_not_grow_it_without_end(subject) {
        const ENTRIES: u64 = sized(600, 16) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let hasher = Alike::default();
        let map =
            HashMap::with_capacity_and_hasher_and_reclaimer(0, hasher, domain.clone());
        for key in 0..ENTRIES {
            assert!(map.pin().insert(key, Tracked::new(&ledger, key)).is_none());
        }
        for key in 0..ENTRIES {
            map.pin().insert(key, Tracked::new(&ledger, key));
            assert_eq!(map.pin().get(&key).map(|value| value.value()), Some(key));
        }
        assert!(map.capacity() as u64 <= 8 * ENTRIES, "{}", map.capacity());
        assert_eq!(map.pin().iter().count() as u64, ENTRIES);
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// An old table's node is small, and its slots are most of what waits.
    fn an_old_table_is_pending_with_its_slots(subject) {
        const ENTRIES: u64 = sized(4_000, 100) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
        let held = domain.pin();
        (0..ENTRIES).for_each(|key| drop(map.pin().insert(key, Tracked::new(&ledger, key))));
        if <R::Scheme as Scheme>::PROTECTION == Protection::Region {
            // Each table was half as large as the next one.
            let slots = map.capacity() / 3 * 4;
            let waits = domain.stats().pending_bytes as usize;
            assert!(waits >= slots / 2 * size_of::<usize>(), "{waits} bytes, {slots} slots");
        }
        drop(held);
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// What is drained in part stays whole: the rest, and what comes after.
    fn a_drain_that_stops_forgets_nothing(subject) {
        const ENTRIES: u64 = sized(200, 12) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let mut map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
        for round in 0..3 {
            for key in 0..ENTRIES {
                map.pin().insert(key + round, Tracked::new(&ledger, key));
            }
            let len = map.len();
            assert_eq!(map.drain().take(7).count(), 7);
            assert_eq!((map.len(), map.pin().iter().count()), (len - 7, len - 7));
            if round == 1 {
                assert_eq!(map.drain().count(), len - 7);
                assert!(map.is_empty());
            }
        }
        drop(map);
        subject.settle(domain, &ledger);
    }
    /// Nothing is left of what was drained, as if it had never been.
    fn a_drained_map_has_all_its_room(subject) {
        const ENTRIES: u64 = sized(200, 12) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let mut map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
        map.reserve(ENTRIES as usize);
        let capacity = map.capacity() as u64;
        for round in 0..4 {
            for key in 0..capacity {
                map.pin().insert(round << 32 | key, Tracked::new(&ledger, key));
            }
            assert_eq!(map.drain().count() as u64, capacity);
            assert_eq!((map.len(), map.drain().count()), (0, 0));
            // With tombstones in it, it would be exchanged.
            map.reserve(capacity as usize);
            assert_eq!(map.capacity() as u64, capacity);
        }
        drop(map);
        subject.settle(domain, &ledger);
    }
}
