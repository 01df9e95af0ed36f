//! Every structure on every scheme under threads: what goes in comes out, in the order that was
//! promised, and each value dies once.

mod common;

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::hash_map::{Compute, Operation};
use sexton::{HashMap, Queue, RcuCell, Stack};

/// A value that tells which thread made it, and its number there.
fn numbered(thread: usize, number: usize) -> u64 {
    (thread as u64) << 32 | number as u64
}

/// All values that the first threads made.
fn all_numbered(threads: usize, numbers: usize) -> HashSet<u64> {
    (0..threads).flat_map(|thread| (0..numbers).map(move |at| numbered(thread, at))).collect()
}

/// Asserts that each of `taken` was taken once, and that they are `expected`.
fn assert_each_once(taken: impl IntoIterator<Item = u64>, expected: &HashSet<u64>) {
    let mut seen = HashSet::new();
    for value in taken {
        assert!(seen.insert(value), "value {value:#x} came out twice");
    }
    assert_eq!(seen.len(), expected.len(), "values were lost");
    assert_eq!(seen, *expected);
}

for_each_scheme! {
    fn a_stack_gives_each_value_out_once(subject) {
        const THREADS: usize = sized(4, 3);
        const VALUES: usize = sized(3000, 6);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stack = Stack::with_reclaimer(domain.clone());
        let taken = on_threads(THREADS, |thread| {
            let mut mine = Vec::new();
            for at in 0..VALUES {
                stack.push(Tracked::new(&ledger, numbered(thread, at)));
                // Some alone, some many under one guard.
                if at % 5 == 0 {
                    let pinned = stack.pin();
                    mine.extend((0..4).map_while(|_| pinned.pop()).map(|value| value.value()));
                } else if at % 5 > 3 {
                    mine.extend(stack.pop().map(|value| value.value()));
                }
            }
            mine
        });
        let left: Vec<_> = stack.into_iter().map(|value| value.value()).collect();
        let taken = taken.into_iter().flatten().chain(left);
        assert_each_once(taken, &all_numbered(THREADS, VALUES));
        subject.settle(domain, &ledger);
    }

    /// Who pops only sees the values of one pusher in the reverse order of pushing.
    fn a_stack_is_last_in_first_out_for_each_pusher(subject) {
        const VALUES: usize = sized(2000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stack = Stack::with_reclaimer(domain.clone());
        on_threads(3, |thread| {
            (0..VALUES).for_each(|at| stack.push(Tracked::new(&ledger, numbered(thread, at))));
        });
        let taken = on_threads(3, |_| {
            let mut last = [usize::MAX; 3];
            let mut mine = Vec::new();
            while let Some(value) = stack.pop() {
                let (thread, number) = (value.value() >> 32, value.value() as u32 as usize);
                let last = &mut last[thread as usize];
                assert!(number < *last, "an older value was above a younger one");
                *last = number;
                mine.push(value.value());
            }
            mine
        });
        assert_each_once(taken.into_iter().flatten(), &all_numbered(3, VALUES));
        assert!(stack.is_empty());
        drop(stack);
        subject.settle(domain, &ledger);
    }

    fn a_queue_keeps_the_order_of_each_producer(subject) {
        const PRODUCERS: usize = 2;
        const VALUES: usize = sized(4000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let queue = Queue::with_reclaimer(domain.clone());
        let left = AtomicUsize::new(PRODUCERS * VALUES);
        let taken = on_threads(PRODUCERS + 2, |thread| {
            let mut mine = Vec::new();
            if thread < PRODUCERS {
                for at in 0..VALUES {
                    queue.push(Tracked::new(&ledger, numbered(thread, at)));
                }
                return mine;
            }
            let mut next = [0; PRODUCERS];
            while left.load(Relaxed) > 0 {
                let Some(value) = queue.pop() else {
                    thread::yield_now();
                    continue;
                };
                left.fetch_sub(1, Relaxed);
                let (producer, number) = (value.value() >> 32, value.value() as u32);
                let next = &mut next[producer as usize];
                assert!(number >= *next, "a producer's later value came first");
                *next = number + 1;
                mine.push(value.value());
            }
            mine
        });
        assert!(queue.is_empty());
        assert_each_once(taken.into_iter().flatten(), &all_numbered(PRODUCERS, VALUES));
        drop(queue);
        subject.settle(domain, &ledger);
    }

    fn a_queue_gives_each_value_out_once(subject) {
        const THREADS: usize = sized(4, 3);
        const VALUES: usize = sized(3000, 6);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let queue = Queue::with_reclaimer(domain.clone());
        let taken = on_threads(THREADS, |thread| {
            let mut mine = Vec::new();
            for at in 0..VALUES {
                queue.push(Tracked::new(&ledger, numbered(thread, at)));
                if at % 5 == 0 {
                    let pinned = queue.pin();
                    mine.extend((0..4).map_while(|_| pinned.pop()).map(|value| value.value()));
                } else if at % 5 > 3 {
                    mine.extend(queue.pop().map(|value| value.value()));
                }
            }
            mine
        });
        let left: Vec<_> = queue.into_iter().map(|value| value.value()).collect();
        let taken = taken.into_iter().flatten().chain(left);
        assert_each_once(taken, &all_numbered(THREADS, VALUES));
        subject.settle(domain, &ledger);
    }

    /// A pop that returns `None` was right: what its own thread has pushed was popped by others.
    fn a_queue_is_not_empty_while_there_is_something_in_it(subject) {
        const ROUNDS: usize = sized(2000, 6);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let queue = Queue::with_reclaimer(domain.clone());
        // Each thread pops as often as it pushes, after it: there is always one for it.
        on_threads(3, |thread| {
            for at in 0..ROUNDS {
                queue.push(Tracked::new(&ledger, numbered(thread, at)));
                assert!(queue.pop().is_some(), "a value was there, and was not found");
            }
        });
        assert!(queue.is_empty());
        drop(queue);
        subject.settle(domain, &ledger);
    }

    fn a_cell_shows_versions_in_order(subject) {
        const VERSIONS: usize = sized(3000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone());
        on_threads(3, |thread| {
            if thread == 0 {
                for version in 1..=VERSIONS {
                    let value = Tracked::new(&ledger, version as u64);
                    match version % 3 {
                        0 => cell.store(value),
                        1 => assert_eq!(cell.pin().swap(value).value() + 1, version as u64),
                        _ => drop(cell.pin().update(|old| Tracked::new(&ledger, old.value() + 1))),
                    }
                }
                return;
            }
            let mut last = 0;
            while last < VERSIONS as u64 {
                let pinned = cell.pin();
                let (first, second) = (pinned.load(), pinned.load());
                assert!(last <= first.value() && first.value() <= second.value());
                // By itself, and a clone.
                last = cell.read(Tracked::value);
                assert!(second.value() <= last);
                assert!(last <= cell.load().value());
                first.look();
                second.look();
            }
        });
        assert_eq!(cell.into_inner().value(), VERSIONS as u64);
        subject.settle(domain, &ledger);
    }

    fn a_cells_update_loses_no_increment(subject) {
        const THREADS: usize = sized(4, 3);
        const ROUNDS: usize = sized(2000, 5);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone());
        on_threads(THREADS, |thread| {
            for _ in 0..ROUNDS {
                let increment = |old: &Tracked| Tracked::new(&ledger, old.value() + 1);
                if thread % 2 == 0 {
                    cell.update(increment);
                } else {
                    let pinned = cell.pin();
                    let before = pinned.load();
                    let after = pinned.update(increment);
                    assert!(before.value() < after.value());
                }
            }
        });
        assert_eq!(cell.into_inner().value(), (THREADS * ROUNDS) as u64);
        subject.settle(domain, &ledger);
    }

    /// Each version but the last is returned by one `swap`, and by no other.
    fn a_cells_swap_returns_each_value_once(subject) {
        const THREADS: usize = sized(4, 3);
        const ROUNDS: usize = sized(2000, 5);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let first = numbered(THREADS, 0);
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, first), domain.clone());
        let taken = on_threads(THREADS, |thread| {
            let new = |at| Tracked::new(&ledger, numbered(thread, at));
            (0..ROUNDS).map(|at| cell.pin().swap(new(at)).value()).collect::<Vec<_>>()
        });
        let last = cell.into_inner().value();
        let mut expected = all_numbered(THREADS, ROUNDS);
        expected.insert(first);
        assert_each_once(taken.into_iter().flatten().chain([last]), &expected);
        subject.settle(domain, &ledger);
    }

    fn a_maps_updates_lose_nothing(subject) {
        const KEYS: u64 = 5;
        const THREADS: usize = sized(4, 3);
        const ROUNDS: usize = sized(2000, 6);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        on_threads(THREADS, |thread| {
            for at in 0..ROUNDS {
                let key = (at * (thread + 1)) as u64 % KEYS;
                let map = map.pin();
                map.get_or_insert_with(key, || Tracked::new(&ledger, 0));
                if at % 2 == 0 {
                    let more = |count: &Tracked| Tracked::new(&ledger, count.value() + 1);
                    assert!(map.update(key, more).is_some(), "nobody removes it");
                } else {
                    let done = map.compute(key, |entry| {
                        let (_, count) = entry.expect("nobody removes it");
                        Operation::<_, ()>::Insert(Tracked::new(&ledger, count.value() + 1))
                    });
                    let Compute::Updated { old, new } = done else { panic!("{done:?}") };
                    assert_eq!(old.value().value() + 1, new.value().value());
                }
            }
        });
        assert_eq!(map.len(), KEYS as usize);
        let sum: u64 = map.into_iter().map(|(_, count)| count.value()).sum();
        assert_eq!(sum, (THREADS * ROUNDS) as u64, "an update was lost");
        subject.settle(domain, &ledger);
    }

    /// A key that is in the map is found, with its last value or the one before, while it is being
    /// replaced, while its neighbours come and go, and while the table grows.
    fn a_get_never_misses_a_key_that_is_replaced(subject) {
        const KEYS: u64 = 4;
        const ROUNDS: usize = sized(3000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        for key in 0..KEYS {
            map.insert(key, Tracked::new(&ledger, 0));
        }
        let stop = AtomicBool::new(false);
        on_threads(4, |thread| match thread {
            // The one who replaces: so each key's values grow.
            0 => {
                for at in 1..=ROUNDS as u64 {
                    let key = at % KEYS;
                    assert!(map.pin().insert(key, Tracked::new(&ledger, at)).is_some());
                }
                stop.store(true, Relaxed);
            }
            // The one who comes and goes.
            1 => {
                let mut round = 0;
                while !stop.load(Relaxed) {
                    let keys = KEYS..KEYS + sized(300, 12) as u64;
                    for key in keys.clone() {
                        map.pin().insert(key, Tracked::new(&ledger, 0));
                    }
                    if round % 2 == 0 {
                        map.retain(|key, _| *key < KEYS);
                    } else {
                        keys.for_each(|key| drop(map.pin().remove(&key)));
                    }
                    round += 1;
                }
            }
            _ => {
                let mut last = [0; KEYS as usize];
                while !stop.load(Relaxed) {
                    let map = map.pin();
                    for key in 0..KEYS {
                        let value = map.get(&key).expect("a key that is replaced was missed");
                        let last = &mut last[key as usize];
                        assert!(*last <= value.value(), "an older value came back");
                        *last = value.value();
                    }
                }
            }
        });
        let mut values = map.into_iter().filter(|(key, _)| *key < KEYS);
        assert!(values.all(|(key, value)| value.value() % KEYS == key));
        drop(values);
        subject.settle(domain, &ledger);
    }

    /// An iteration sees each key once that is there all the time, and others perhaps.
    fn an_iteration_sees_what_stays_exactly_once(subject) {
        const STAY: u64 = sized(50, 6) as u64;
        const ROUNDS: usize = sized(60, 2);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        let value = || Tracked::new(&ledger, 0);
        (0..STAY).for_each(|key| drop(map.insert(key, value())));
        let stop = AtomicBool::new(false);
        on_threads(3, |thread| {
            if thread == 0 {
                for _ in 0..ROUNDS {
                    let map = map.pin();
                    let mut seen: Vec<_> = map.iter().map(|entry| *entry.key()).collect();
                    seen.retain(|key| *key < STAY);
                    seen.sort_unstable();
                    assert!(seen.iter().copied().eq(0..STAY), "not each key once: {seen:?}");
                    let sum = map.keys().zip(map.values()).map(|(_, value)| value.look()).count();
                    assert!(sum >= STAY as usize);
                }
                stop.store(true, Relaxed);
                return;
            }
            let mut at = 0;
            while !stop.load(Relaxed) {
                at += 1;
                let map = map.pin();
                if thread == 1 {
                    // Those that stay are replaced meanwhile.
                    map.insert(at % STAY, value());
                } else {
                    // Others grow the table, and go.
                    map.insert(STAY + at % (3 * STAY), value());
                    map.remove(&(STAY + (at + STAY) % (3 * STAY)));
                }
            }
        });
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// Of those who insert an absent key one wins, and of those who remove it: the books add up.
    fn a_maps_insertions_and_removals_balance(subject) {
        const KEYS: u64 = 3;
        const THREADS: usize = sized(4, 3);
        const ROUNDS: usize = sized(3000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        let counts = on_threads(THREADS, |thread| {
            let mut count = 0_isize;
            for at in 0..ROUNDS {
                let key = (at + thread) as u64 % KEYS;
                let value = Tracked::new(&ledger, numbered(thread, at));
                let pinned = map.pin();
                match at % 7 {
                    0 | 3 => count += isize::from(pinned.insert(key, value).is_none()),
                    1 => count += isize::from(pinned.try_insert(key, value).is_ok()),
                    2 => count -= isize::from(pinned.remove(&key).is_some()),
                    4 => {
                        let removed = pinned.remove_if(&key, |_, value| value.value() % 2 == 0);
                        count -= isize::from(removed.is_some());
                    }
                    5 => {
                        // In or out, the other way round.
                        let done = pinned.compute(key, |entry| match entry {
                            Some(_) => Operation::<_, ()>::Remove,
                            None => Operation::Insert(value.clone()),
                        });
                        count += match done {
                            Compute::Inserted(entry) => {
                                assert_eq!(*entry.key(), key);
                                1
                            }
                            Compute::Removed(_) => -1,
                            done => panic!("{done:?}"),
                        };
                    }
                    _ => {
                        let own = pinned.get_or_insert_with(key, || value.clone());
                        count += isize::from(own.value() == value.value());
                    }
                }
            }
            count
        });
        let expected = counts.iter().sum::<isize>();
        assert_eq!(map.len() as isize, expected, "insertions and removals do not balance");
        assert_eq!(map.pin().iter().count() as isize, expected);
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// The values that a thread refers to live, whatever others do to their keys.
    fn a_reference_outlives_its_removal(subject) {
        const KEYS: u64 = sized(64, 6) as u64;
        const ROUNDS: usize = sized(100, 2);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        let value = |key| Tracked::new(&ledger, key);
        (0..KEYS).for_each(|key| drop(map.insert(key, value(key))));
        on_threads(3, |thread| {
            for round in 0..ROUNDS {
                let map = map.pin();
                match thread {
                    0 => map.clear(),
                    1 => (0..KEYS).for_each(|key| drop(map.insert(key, value(key)))),
                    _ => {
                        let kept = (0..KEYS).filter_map(|key| map.get_key_value(&key));
                        let kept: Vec<_> = kept.collect();
                        thread::yield_now();
                        if round % 4 == 0 {
                            map.clear();
                            domain.collect();
                        }
                        for entry in &kept {
                            assert_eq!(*entry.key(), entry.value().value());
                        }
                    }
                }
            }
        });
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// One guard serves all structures of a domain, and one structure's end takes nothing from the
    /// others.
    fn structures_of_one_domain_share_a_guard(subject) {
        const ROUNDS: usize = sized(500, 4);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone());
        on_threads(3, |thread| {
            for at in 0..ROUNDS {
                let stack = Stack::with_reclaimer(domain.clone());
                let queue = Queue::with_reclaimer(domain.clone());
                let guard = domain.pin();
                let value = || Tracked::new(&ledger, numbered(thread, at));
                let (map, cell) = (map.with(&guard), cell.with(&guard));
                let own = map.get_or_insert_with(thread, value);
                let shared = cell.load();
                stack.with(&guard).push(value());
                queue.with(&guard).push(value());
                queue.with(&guard).push(value());
                drop(queue.with(&guard).pop());
                cell.store(value());
                map.insert(thread, value());
                map.remove(&((thread + 1) % 3));
                drop((stack, queue));
                domain.collect();
                own.look();
                shared.look();
            }
        });
        drop((map, cell));
        subject.settle(domain, &ledger);
    }
}

/// A map is one object: of two threads that put in a key each and then look for the other's, one finds it.
/// (Machines on which that is in question are few; Miri is one.)
#[test]
fn two_who_look_for_one_anothers_key_do_not_both_miss() {
    for _ in 0..sized(100, 60) {
        let map = HashMap::<usize, ()>::with_capacity(16);
        let begun = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        on_threads(2, |mine| {
            let map = map.pin();
            begun.fetch_add(1, Relaxed);
            while begun.load(Relaxed) < 2 {
                std::hint::spin_loop();
            }
            assert!(map.insert(mine, ()).is_none());
            let is_there = map.contains_key(&(1 - mine));
            found.lock().unwrap().push(is_there);
        });
        assert!(found.into_inner().unwrap().contains(&true));
    }
}

/// A queue is one object: who has pushed a value, and then seen that the one before it was still there, is
/// before him who takes that one out; so the latter does not find it empty. (As above.)
#[test]
fn who_takes_a_value_out_sees_what_was_pushed_before() {
    for _ in 0..sized(100, 20) {
        let queue = Queue::<u64>::from([1]);
        let begun = AtomicUsize::new(0);
        let seen = on_threads(2, |thread| {
            let queue = queue.pin();
            begun.fetch_add(1, Relaxed);
            while begun.load(Relaxed) < 2 {
                std::hint::spin_loop();
            }
            if thread == 0 {
                queue.push(2);
                queue.peek() == Some(1)
            } else {
                assert_eq!(queue.pop(), Some(1));
                queue.is_empty()
            }
        });
        assert_ne!(seen, [true, true], "it was pushed before");
    }
}
