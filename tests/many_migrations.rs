//! The table grows, empties, and grows again, many times over: nothing is lost, doubled or revived.

mod common;

use std::collections::HashMap as Model;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sexton::HashMap;

const KEYS: u32 = sized(3000, 40) as u32;

/// What a session does to many keys, so that the table does not stay as it is.
#[derive(Clone, Debug)]
enum Phase {
    Insert(Range<u32>),
    Remove(Range<u32>),
    Update(Range<u32>),
    /// One after another in and out again: tombstones, and never many entries.
    Churn(Range<u32>),
    Retain(u32),
    Clear,
    Reserve(usize),
    Shrink,
    Drain(usize),
    Rebuild,
}

fn keys() -> impl Strategy<Value = Range<u32>> {
    // Few keys at least as often as many.
    prop_oneof![(0..KEYS, 0..KEYS), (0..KEYS, 0..KEYS / 20 + 1)]
        .prop_map(|(start, count)| start..(start + count).min(KEYS))
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        6 => keys().prop_map(Phase::Insert),
        5 => keys().prop_map(Phase::Remove),
        2 => keys().prop_map(Phase::Update),
        3 => keys().prop_map(Phase::Churn),
        1 => (2..50_u32).prop_map(Phase::Retain),
        1 => Just(Phase::Clear),
        1 => (0..2 * KEYS as usize).prop_map(Phase::Reserve),
        2 => Just(Phase::Shrink),
        1 => (0..KEYS as usize).prop_map(Phase::Drain),
        1 => Just(Phase::Rebuild),
    ]
}

fn apply<R: Reclaimer, S: BuildHasher + Clone>(
    phase: Phase,
    map: &mut HashMap<u32, Tracked, S, R>,
    model: &mut Model<u32, u64>,
    value: impl Fn() -> Tracked,
) {
    let number = |value: &Tracked| value.value();
    match phase {
        Phase::Insert(keys) => {
            for (key, value) in keys.map(|key| (key, value())) {
                let old = model.insert(key, value.value());
                assert_eq!(map.pin().insert(key, value).as_deref().map(number), old);
            }
        }
        Phase::Remove(keys) => {
            for key in keys {
                let old = map.pin().remove(&key).as_deref().map(number);
                assert_eq!(old, model.remove(&key));
            }
        }
        Phase::Update(keys) => {
            for key in keys {
                let new = map.pin().update(key, |_| value()).as_deref().map(number);
                assert_eq!(new.is_some(), model.contains_key(&key));
                new.and_then(|new| model.insert(key, new));
            }
        }
        Phase::Churn(keys) => {
            for (key, value) in keys.map(|key| (key, value())) {
                let is_new = map.pin().try_insert(key, value).is_ok();
                assert_eq!(is_new, !model.contains_key(&key));
                assert!(map.contains_key(&key));
                assert!(map.pin().remove(&key).is_some());
                assert!(!map.contains_key(&key));
                model.remove(&key);
            }
        }
        Phase::Retain(modulus) => {
            map.retain(|key, _| key % modulus == 0);
            model.retain(|key, _| key % modulus == 0);
        }
        Phase::Clear => {
            map.clear();
            model.clear();
        }
        Phase::Reserve(more) => {
            map.reserve(more);
            assert!(map.capacity() >= map.len() + more);
        }
        Phase::Shrink => map.shrink_to_fit(),
        Phase::Drain(count) => {
            for (key, value) in map.drain().take(count) {
                assert_eq!(model.remove(&key), Some(value.value()));
            }
        }
        Phase::Rebuild => {
            let copy = map.clone();
            assert_eq!(copy, *map);
            *map = copy;
        }
    }
}

fn assert_same<R: Reclaimer, S: BuildHasher>(
    map: &HashMap<u32, Tracked, S, R>,
    model: &Model<u32, u64>,
) {
    let pinned = map.pin();
    let mut found = 0;
    for entry in pinned.iter() {
        assert_eq!(Some(&entry.value().value()), model.get(entry.key()));
        found += 1;
    }
    // As many, each of them in the model: each once, as the next lines say.
    assert_eq!((found, map.len()), (model.len(), model.len()));
    for (key, value) in model {
        assert_eq!(pinned.get(key).as_deref().map(Tracked::value), Some(*value));
    }
}

fn model_case<R: Reclaimer, F: Fn() -> R, S: BuildHasher + Clone>(
    subject: &Subject<F>,
    hasher: S,
    phases: Vec<Phase>,
) {
    let (domain, ledger) = (subject.domain(), Ledger::new());
    let mut map = HashMap::with_capacity_and_hasher_and_reclaimer(0, hasher, domain.clone());
    let mut model = Model::new();
    for phase in phases {
        apply(phase, &mut map, &mut model, || Tracked::new(&ledger, ledger.born_so_far() as u64));
        assert_same(&map, &model);
    }
    drop(map);
    subject.settle(domain, &ledger);
}

fn check(test: impl Fn(Vec<Phase>)) {
    let cases = sized(6, 1) as u32;
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let outcome = TestRunner::new(config).run(&vec(phase(), 1..sized(40, 4)), |phases| {
        test(phases);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The key itself, as many hashers of numbers have it.
#[derive(Clone, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are u32");
    }

    fn write_u32(&mut self, key: u32) {
        self.0 = u64::from(key);
    }
}

/// The key in the top bits: all low ones are alike.
#[derive(Clone, Default)]
struct TopHeavy(Identity);

impl Hasher for TopHeavy {
    fn finish(&self) -> u64 {
        self.0.finish() << 48
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn write_u32(&mut self, key: u32) {
        self.0.write_u32(key);
    }
}

for_each_scheme! {
    fn long_sequences_end_as_their_model(subject) {
        check(|phases| model_case(subject, RandomState::new(), phases));
    }

    fn hashers_that_do_not_mix_change_nothing(subject) {
        check(|phases| {
            model_case(subject, BuildHasherDefault::<Identity>::default(), phases.clone());
            model_case(subject, BuildHasherDefault::<TopHeavy>::default(), phases);
        });
    }

    /// Each thread fills and empties a part of the keys of its own, so that it knows what is there.
    fn threads_that_grow_and_shrink_do_not_lose_each_others_keys(subject) {
        const EACH: u32 = sized(500, 8) as u32;
        const ROUNDS: usize = sized(6, 2);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        let left = on_threads(3, |thread| {
            let own = || (0..EACH).map(|key| key * 3 + thread as u32);
            for round in 0..ROUNDS {
                for key in own() {
                    let value = Tracked::new(&ledger, u64::from(key));
                    assert!(map.pin().insert(key, value).is_none(), "a key came back");
                }
                for key in own() {
                    let value = map.pin().get(&key).as_deref().map(Tracked::value);
                    assert_eq!(value, Some(u64::from(key)), "a key was lost");
                }
                let stays = |key: &u32| round + 1 == ROUNDS && key % 2 == 0;
                for key in own().filter(|key| !stays(key)) {
                    assert!(map.pin().remove(&key).is_some(), "a key was lost");
                    assert!(map.pin().get(&key).is_none(), "a key is there twice");
                }
            }
            own().filter(|key| key % 2 == 0).count()
        });
        assert_eq!(map.len(), left.iter().sum::<usize>());
        assert_eq!(map.pin().iter().count(), map.len());
        assert!(map.pin().keys().all(|key| *key % 2 == 0));
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// While others let the table grow over it, and empty it again.
    fn an_iteration_sees_each_key_that_stays_once(subject) {
        const STAY: u32 = sized(100, 8) as u32;
        const OTHERS: u32 = sized(1500, 20) as u32;
        const ROUNDS: usize = sized(40, 2);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        let value = || Tracked::new(&ledger, 0);
        (0..STAY).for_each(|key| drop(map.insert(key, value())));
        let stop = AtomicBool::new(false);
        let is_over = || stop.load(Relaxed);
        on_threads(3, |thread| match thread {
            0 => {
                for round in 0..ROUNDS {
                    let map = map.pin();
                    let mut seen: Vec<u32> = match round % 3 {
                        0 => map.iter().map(|entry| *entry.key()).collect(),
                        1 => map.keys().map(|key| *key).collect(),
                        _ => {
                            let mut seen = Vec::new();
                            map.retain(|key, _| {
                                seen.push(*key);
                                true
                            });
                            // It may ask again for what was changed meanwhile.
                            seen.dedup();
                            seen
                        }
                    };
                    seen.retain(|key| *key < STAY);
                    seen.sort_unstable();
                    assert!(seen.iter().copied().eq(0..STAY), "not each key once: {seen:?}");
                }
                stop.store(true, Relaxed);
            }
            1 => {
                while !is_over() {
                    let others = STAY..STAY + OTHERS;
                    others.clone().take_while(|_| !is_over()).for_each(|key| {
                        map.pin().insert(key, value());
                    });
                    others.take_while(|_| !is_over()).for_each(|key| {
                        map.pin().remove(&key);
                    });
                }
            }
            _ => {
                // What stays is replaced all the time.
                let mut keys = (0..STAY).cycle();
                while !is_over() {
                    map.pin().insert(keys.next().unwrap_or(0), value());
                }
            }
        });
        drop(map);
        subject.settle(domain, &ledger);
    }
}
