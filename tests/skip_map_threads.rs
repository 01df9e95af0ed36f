//! The skip map under threads: each entry is there, or not, for everybody; nothing is lost, nothing
//! is seen too late, and each value dies once.

mod common;

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::SkipMap;

/// A cheap sequence of numbers that looks random, another one for each thread.
fn numbers(thread: usize) -> impl Iterator<Item = u64> {
    let mut state = thread as u64 + 1;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Asserts that all is dead but for what is in the map: nothing was left linked somewhere.
fn assert_rest_is_freed<R: Reclaimer, F: Fn() -> R>(
    subject: &Subject<F>,
    domain: &R,
    ledger: &Ledger,
    living: usize,
) {
    if subject.is_isolated() && subject.collects() {
        // A few rounds, for garbage of garbage.
        (0..256).take_while(|_| ledger.living() > living).for_each(|_| {
            domain.collect();
        });
        assert_eq!(ledger.living(), living, "what is out is dead, what is in lives");
    }
}

for_each_scheme! {
    /// Few keys and many threads: the balance of insertions and removals is what is there in the
    /// end.
    fn insertions_and_removals_balance(subject) {
        const THREADS: usize = sized(4, 3);
        const ROUNDS: usize = sized(4000, 10);
        const KEYS: u64 = 16;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::with_reclaimer(domain.clone());
        let balances = on_threads(THREADS, |thread| {
            let mut balance = [0_isize; KEYS as usize];
            for number in numbers(thread).take(ROUNDS) {
                let (key, choice) = (number % KEYS, number / KEYS % 8);
                let pinned = map.pin();
                match choice {
                    0..3 => {
                        let old = pinned.insert(key, Tracked::new(&ledger, key));
                        old.iter().for_each(|old| assert_eq!(old.value(), key));
                        balance[key as usize] += isize::from(old.is_none());
                    }
                    3..5 => {
                        let old = pinned.remove(&key);
                        old.iter().for_each(|old| assert_eq!(old.value(), key));
                        balance[key as usize] -= isize::from(old.is_some());
                    }
                    5 => {
                        let popped = if number & 1 == 0 { pinned.pop_first() } else { pinned.pop_last() };
                        if let Some(entry) = popped {
                            assert_eq!(entry.value().value(), *entry.key());
                            balance[*entry.key() as usize] -= 1;
                        }
                    }
                    6 => {
                        let found = pinned.get(&key);
                        found.iter().for_each(|found| assert_eq!(found.value(), key));
                    }
                    _ => {
                        let keys: Vec<_> = pinned.keys().map(|key| *key).collect();
                        assert!(keys.is_sorted_by(|one, two| one < two), "{keys:?}");
                        let keys: Vec<_> = pinned.range(..key).rev().map(|entry| *entry.key()).collect();
                        assert!(keys.is_sorted_by(|one, two| one > two), "{keys:?}");
                    }
                }
            }
            balance
        });
        let mut len = 0;
        for key in 0..KEYS {
            let balance: isize = balances.iter().map(|balance| balance[key as usize]).sum();
            assert_eq!(balance, isize::from(map.contains_key(&key)), "of key {key}");
            len += balance;
        }
        assert_eq!((map.len(), map.pin().iter().count()), (len as usize, len as usize));
        assert_rest_is_freed(subject, &domain, &ledger, len as usize);
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// Those who pop compete: each entry goes to one of them, and each of them sees them in order.
    fn each_entry_is_popped_once(subject) {
        const THREADS: usize = sized(4, 3);
        const ENTRIES: u64 = sized(6000, 16) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::with_reclaimer(domain.clone());
        (0..ENTRIES).for_each(|key| drop(map.pin().insert(key, Tracked::new(&ledger, key))));
        let popped = on_threads(THREADS, |thread| {
            let mut mine = Vec::new();
            loop {
                let pinned = map.pin();
                let entry = if thread % 2 == 0 { pinned.pop_first() } else { pinned.pop_last() };
                let Some(entry) = entry else { break };
                assert_eq!(entry.value().value(), *entry.key());
                mine.push(*entry.key());
            }
            let ascends = thread % 2 == 0;
            assert!(mine.is_sorted_by(|one, two| (one < two) == ascends), "of thread {thread}");
            mine
        });
        let all: Vec<_> = popped.into_iter().flatten().collect();
        assert_eq!(all.len() as u64, ENTRIES);
        assert_eq!(all.into_iter().collect::<HashSet<_>>().len() as u64, ENTRIES);
        assert!(map.is_empty());
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// A key that is there throughout is seen by each iteration, in both directions, however many
    /// are inserted, replaced and removed around it.
    fn an_iteration_never_loses_its_place(subject) {
        const KEYS: u64 = sized(64, 8) as u64;
        const ITERATIONS: usize = sized(150, 3);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::with_reclaimer(domain.clone());
        // Every fourth stays; of these every other is replaced all the time.
        let stays = |key: u64| key % 4 == 0;
        (0..KEYS).filter(|key| stays(*key)).for_each(|key| {
            drop(map.pin().insert(key, Tracked::new(&ledger, key)));
        });
        let (is_over, readers) = (AtomicBool::new(false), AtomicUsize::new(2));
        on_threads(4, |thread| {
            if thread < 2 {
                // Also when an assertion fails.
                let _end = OnDrop(|| {
                    if readers.fetch_sub(1, Relaxed) == 1 {
                        is_over.store(true, Relaxed);
                    }
                });
                let expected: Vec<_> = (0..KEYS).filter(|key| stays(*key)).collect();
                for _ in 0..ITERATIONS {
                    let pinned = map.pin();
                    let seen: Vec<_> =
                        pinned.iter().map(|entry| *entry.key()).filter(|key| stays(*key)).collect();
                    assert_eq!(seen, expected);
                    let mut seen: Vec<_> = pinned
                        .iter()
                        .rev()
                        .map(|entry| *entry.key())
                        .filter(|key| stays(*key))
                        .collect();
                    seen.reverse();
                    assert_eq!(seen, expected);
                    for key in &expected {
                        assert!(pinned.contains_key(key), "a get missed a key that was there");
                    }
                }
            } else {
                for number in numbers(thread) {
                    if is_over.load(Relaxed) {
                        break;
                    }
                    let key = number % KEYS;
                    let value = Tracked::new(&ledger, key);
                    match (stays(key), number / KEYS % 2 == 0) {
                        (true, _) if key % 8 == 0 => drop(map.pin().insert(key, value)),
                        (true, _) => {}
                        (false, true) => drop(map.pin().insert(key, value)),
                        (false, false) => drop(map.pin().remove(&key)),
                    }
                }
            }
        });
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// Of those who update one entry, none is lost.
    fn no_update_is_lost(subject) {
        const THREADS: usize = sized(4, 3);
        const UPDATES: u64 = sized(1000, 6) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::with_reclaimer(domain.clone());
        on_threads(THREADS, |_| {
            for _ in 0..UPDATES {
                let pinned = map.pin();
                pinned.get_or_insert_with(7, || Tracked::new(&ledger, 0));
                pinned.update(7, |old| Tracked::new(&ledger, old.value() + 1));
            }
        });
        assert_eq!(map.read(&7, |_, value| value.value()), Some(THREADS as u64 * UPDATES));
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// What is removed while it is being linked in the index is taken out all the same, by one of the two.
    fn what_is_removed_at_birth_is_freed(subject) {
        const ROUNDS: u64 = sized(4000, 10) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::with_reclaimer(domain.clone());
        on_threads(3, |thread| {
            for round in 0..ROUNDS {
                if thread == 0 {
                    drop(map.pin().insert(round, Tracked::new(&ledger, round)));
                } else {
                    drop(map.pin().pop_first());
                    drop(map.pin().remove(&round));
                }
            }
        });
        let left = map.len();
        assert_eq!(map.pin().iter().count(), left);
        assert_rest_is_freed(subject, &domain, &ledger, left);
        map.clear();
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// Leaves fill up, are split, and die, all the time and all over; and each of the threads knows what
    /// is there of its own keys, which lie among those of the others.
    fn each_thread_finds_its_own_keys_around_the_borders_of_leaves(subject) {
        const THREADS: u64 = sized(3, 2) as u64;
        const ROUNDS: u64 = sized(40, 2) as u64;
        /// Those of a dozen leaves.
        const KEYS: u64 = sized(360, 44) as u64;
        /// So many at once are inserted and then removed, by all.
        const PART: u64 = sized(120, 24) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::with_reclaimer(domain.clone());
        let tracked = |key, version| Tracked::new(&ledger, key + KEYS * version);
        // So few that whole leaves are without.
        let stays = |key: u64| key % 97 == 40;
        let staying: Vec<_> = (0..KEYS).filter(|key| stays(*key)).collect();
        staying.iter().for_each(|key| drop(map.pin().insert(*key, tracked(*key, 0))));
        let writing = AtomicUsize::new(THREADS as usize);
        let write = |thread: u64| {
            // Also when an assertion fails.
            let _end = OnDrop(|| {
                writing.fetch_sub(1, Relaxed);
            });
            // What is there of this thread's own keys.
            let mut mine = [None; KEYS as usize];
            let check = |key: u64, expected: Option<u64>| {
                let pinned = map.pin();
                assert_eq!(pinned.get(&key).map(|value| value.value()), expected, "of {key}");
                let from = pinned.lower_bound(Bound::Included(&key)).map(|entry| *entry.key());
                assert_eq!(from == Some(key), expected.is_some(), "of {key}, and {from:?}");
                let to = pinned.upper_bound(Bound::Included(&key)).map(|entry| *entry.key());
                assert_eq!(to == Some(key), expected.is_some(), "of {key}, and {to:?}");
            };
            // The same parts at all threads, in another order at each.
            for (round, (start, own)) in (0..ROUNDS).zip(numbers(0).zip(numbers(thread as usize + 1))) {
                let mut keys: Vec<_> = (0..PART)
                    .map(|at| (start + at) % KEYS)
                    .filter(|key| key % THREADS == thread && !stays(*key))
                    .collect();
                match own % 3 {
                    0 => {}
                    1 => keys.reverse(),
                    _ => keys.sort_unstable_by_key(|key| (key ^ own).wrapping_mul(0x9e37_79b9) % 1024),
                }
                for key in &keys {
                    let new = key + KEYS * (round + 1);
                    let old = map.pin().insert(*key, tracked(*key, round + 1)).map(|old| old.value());
                    assert_eq!(old, mine[*key as usize].replace(new), "of {key}");
                    check(*key, Some(new));
                }
                // Some stay, now and then.
                let left = if round % 4 == 0 { own as usize % keys.len() } else { 0 };
                for key in &keys[left..] {
                    check(*key, mine[*key as usize]);
                    let old = map.pin().remove(key).map(|old| old.value());
                    assert_eq!(old, mine[*key as usize].take(), "of {key}");
                    check(*key, None);
                }
                for key in (0..KEYS).filter(|key| key % THREADS == thread && !stays(*key)) {
                    let found = map.pin().get(&key).map(|value| value.value());
                    assert_eq!(found, mine[key as usize], "of {key}");
                }
            }
            (0..KEYS).filter(|key| mine[*key as usize].is_some()).collect()
        };
        let read = || {
            while writing.load(Relaxed) > 0 {
                let pinned = map.pin();
                let seen: Vec<_> = pinned
                    .iter()
                    .inspect(|entry| assert_eq!(entry.value().value() % KEYS, *entry.key()))
                    .map(|entry| *entry.key())
                    .collect();
                assert!(seen.is_sorted_by(|one, two| one < two), "{seen:?}");
                assert!(seen.into_iter().filter(|key| stays(*key)).eq(staying.iter().copied()));
                let seen: Vec<_> = pinned.keys().rev().map(|key| *key).collect();
                assert!(seen.is_sorted_by(|one, two| one > two), "{seen:?}");
                assert!(seen.into_iter().filter(|key| stays(*key)).eq(staying.iter().rev().copied()));
                assert!(staying.iter().all(|key| pinned.contains_key(key)));
            }
            staying.clone()
        };
        let threads = THREADS as usize;
        let left = on_threads(threads + 1, |thread| {
            if thread < threads { write(thread as u64) } else { read() }
        });
        let mut left = left.concat();
        left.sort_unstable();
        assert_eq!(map.pin().keys().map(|key| *key).collect::<Vec<_>>(), left);
        assert_eq!(map.len(), left.len());
        assert_rest_is_freed(subject, &domain, &ledger, left.len());
        drop(map);
        subject.settle(domain, &ledger);
    }
}
