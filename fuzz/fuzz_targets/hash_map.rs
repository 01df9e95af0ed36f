//! The hash map against a `BTreeMap`, with good hashes and with terrible ones.
#![no_main]
#![cfg(not(shuttle))]

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sexton::conformance::Tracked;
use sexton::hash_map::{Compute, Operation as Decision, TryInsertError};
use sexton::{Domain, HashMap, Reclaimer, Scheme};
use sexton_fuzz::{Values, on_scheme};

#[derive(Arbitrary, Debug)]
enum Operation {
    Get(u8),
    Insert(u8, u64),
    TryInsert(u8, u64),
    GetOrInsert(u8, u64),
    Update(u8, u64),
    /// Inserts, or removes.
    Toggle(u8, u64),
    Remove(u8),
    RemoveIfEven(u8),
    Retain(u8),
    Clear,
    Iterate,
    Reserve(u16),
    ShrinkToFit,
    Drain(u8),
    Collect,
}

/// Five different hashes, so that keys meet.
#[derive(Default)]
struct Hash(u64);

impl Hasher for Hash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            // With its differences in the high bits and in the low ones.
            self.0 = (u64::from(*byte) % 5).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }
}

fn run<S: Scheme>(operations: Vec<Operation>) {
    let (values, domain) = (Values::new(), Domain::<S>::new());
    let hash = BuildHasherDefault::<Hash>::default();
    let mut map = HashMap::<u8, Tracked, _, _>::with_capacity_and_hasher_and_reclaimer(
        0,
        hash,
        domain.clone(),
    );
    let mut model = BTreeMap::new();
    for operation in operations {
        match operation {
            Operation::Get(key) => {
                let found = map.pin().get(&key).map(|value| value.value());
                assert_eq!(found, model.get(&key).copied());
                assert_eq!(map.contains_key(&key), model.contains_key(&key));
            }
            Operation::Insert(key, value) => {
                let old = map.pin().insert(key, values.value(value)).map(|old| old.value());
                assert_eq!(old, model.insert(key, value));
            }
            Operation::TryInsert(key, value) => {
                match map.pin().try_insert(key, values.value(value)) {
                    Ok(_) => assert_eq!(model.insert(key, value), None),
                    Err(TryInsertError::Occupied { current, value: back, .. }) => {
                        assert_eq!(model.get(&key), Some(&current.value()));
                        assert_eq!(back.value(), value);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Operation::GetOrInsert(key, value) => {
                let got = map.pin().get_or_insert_with(key, || values.value(value)).value();
                assert_eq!(got, *model.entry(key).or_insert(value));
            }
            Operation::Update(key, add) => {
                let map = map.pin();
                let new = map.update(key, |old| values.value(old.value().wrapping_add(add)));
                let expected = model.get_mut(&key).map(|value| {
                    *value = value.wrapping_add(add);
                    *value
                });
                assert_eq!(new.map(|new| new.value()), expected);
            }
            Operation::Toggle(key, value) => {
                let pinned = map.pin();
                let done = pinned.compute(key, |entry| match entry {
                    Some(_) => Decision::<_, ()>::Remove,
                    None => Decision::Insert(values.value(value)),
                });
                match (done, model.remove(&key)) {
                    (Compute::Removed(entry), Some(old)) => assert_eq!(entry.value().value(), old),
                    (Compute::Inserted(_), None) => drop(model.insert(key, value)),
                    (done, old) => panic!("{done:?}, and the model had {old:?}"),
                }
            }
            Operation::Remove(key) => {
                let old = map.pin().remove(&key).map(|old| old.value());
                assert_eq!(old, model.remove(&key));
            }
            Operation::RemoveIfEven(key) => {
                let map = map.pin();
                let old = map.remove_if(&key, |_, value| value.value() % 2 == 0);
                let even = model.get(&key).is_some_and(|value| value % 2 == 0);
                let expected = if even { model.remove(&key) } else { None };
                assert_eq!(old.map(|old| old.value()), expected);
            }
            Operation::Retain(modulus) => {
                let keep = |key: u8| key % (modulus % 7 + 1) == 0;
                map.pin().retain(|key, _| keep(*key));
                model.retain(|key, _| keep(*key));
            }
            Operation::Clear => {
                map.pin().clear();
                model.clear();
            }
            Operation::Iterate => {
                let pinned = map.pin();
                let mut seen: Vec<_> =
                    pinned.iter().map(|entry| (*entry.key(), entry.value().value())).collect();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(model.iter().map(|(key, value)| (*key, *value))));
            }
            Operation::Reserve(more) => {
                map.reserve(more.into());
                assert!(map.capacity() >= map.len() + usize::from(more));
            }
            Operation::ShrinkToFit => map.shrink_to_fit(),
            Operation::Drain(count) => {
                for (key, value) in map.drain().take(count.into()) {
                    assert_eq!(model.remove(&key), Some(value.value()));
                }
            }
            Operation::Collect => {
                domain.collect();
                assert_eq!(values.living(), model.len());
            }
        }
        assert_eq!(map.len(), model.len());
    }
    for (key, value) in map {
        assert_eq!(model.remove(&key), Some(value.value()));
    }
    assert!(model.is_empty());
    domain.collect();
    drop(domain);
    values.assert_all_dead();
}

fuzz_target!(|input: (u8, Vec<Operation>)| on_scheme!(input.0, run, input.1));
