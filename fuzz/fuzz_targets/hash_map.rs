//! The hash map against a `BTreeMap`, with good hashes and with terrible ones.
#![no_main]
#![cfg(not(shuttle))]

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sexton::conformance::Tracked;
use sexton::{Domain, HashMap, Reclaimer, Scheme};
use sexton_fuzz::{OfKey, Values, on_scheme, operate_on_key};

#[derive(Arbitrary, Debug)]
enum Operation {
    OfKey(u8, OfKey),
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
            Operation::OfKey(key, operation) => {
                operate_on_key!(map.pin(), model, values, key, operation);
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
