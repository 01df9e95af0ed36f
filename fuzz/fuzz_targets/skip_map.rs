//! The ordered map against a `BTreeMap`.
#![no_main]
#![cfg(not(shuttle))]

use std::collections::BTreeMap;
use std::ops::Bound;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sexton::conformance::Tracked;
use sexton::{Domain, Reclaimer, Scheme, SkipMap};
use sexton_fuzz::{OfKey, Values, on_scheme, operate_on_key};

#[derive(Arbitrary, Debug)]
enum Operation {
    OfKey(u8, OfKey),
    First,
    Last,
    PopFirst,
    PopLast,
    LowerBound(Bound<u8>),
    UpperBound(Bound<u8>),
    Range(u8, u8),
    RangeBack(u8, u8),
    RemoveRange(u8, u8),
    Clear,
    Drain(u8),
    Collect,
}

fn run<S: Scheme>(operations: Vec<Operation>) {
    let (values, domain) = (Values::new(), Domain::<S>::new());
    let mut map = SkipMap::<u8, Tracked, _>::with_reclaimer(domain.clone());
    let mut model = BTreeMap::new();
    /// A key and its value, of an entry that the map or its model has found.
    macro_rules! pair {
        ($found:expr) => {
            $found.map(|entry| (*entry.key(), entry.value().value()))
        };
    }
    fn pair(found: Option<(&u8, &u64)>) -> Option<(u8, u64)> {
        found.map(|(key, value)| (*key, *value))
    }
    for operation in operations {
        let pinned = map.pin();
        match operation {
            Operation::OfKey(key, operation) => {
                operate_on_key!(&pinned, model, values, key, operation);
            }
            Operation::First => assert_eq!(pair!(pinned.first()), pair(model.first_key_value())),
            Operation::Last => assert_eq!(pair!(pinned.last()), pair(model.last_key_value())),
            Operation::PopFirst => assert_eq!(pair!(pinned.pop_first()), model.pop_first()),
            Operation::PopLast => assert_eq!(pair!(pinned.pop_last()), model.pop_last()),
            Operation::LowerBound(bound) => {
                let expected = pair(model.range((bound, Bound::Unbounded)).next());
                assert_eq!(pair!(pinned.lower_bound(bound.as_ref())), expected);
            }
            Operation::UpperBound(bound) => {
                let expected = pair(model.range((Bound::Unbounded, bound)).next_back());
                assert_eq!(pair!(pinned.upper_bound(bound.as_ref())), expected);
            }
            Operation::Range(from, to) => {
                let found = pinned.range(from..=to).map(|entry| *entry.key());
                let expected = model.keys().copied().filter(|key| (from..=to).contains(key));
                assert!(found.eq(expected));
            }
            Operation::RangeBack(from, to) => {
                let found = pinned.range(from..to).rev().map(|entry| *entry.key());
                let expected = model.keys().rev().copied().filter(|key| (from..to).contains(key));
                assert!(found.eq(expected));
            }
            Operation::RemoveRange(from, to) => {
                let before = model.len();
                model.retain(|key, _| !(from..to).contains(key));
                assert_eq!(pinned.remove_range(from..to), before - model.len());
            }
            Operation::Clear => {
                pinned.clear();
                model.clear();
            }
            Operation::Drain(count) => {
                drop(pinned);
                for (key, value) in map.drain().take(count.into()) {
                    assert_eq!(model.remove(&key), Some(value.value()));
                }
            }
            Operation::Collect => {
                drop(pinned);
                domain.collect();
                assert_eq!(values.living(), model.len());
            }
        }
        assert_eq!(map.len(), model.len());
    }
    assert!(map.into_iter().map(|(key, value)| (key, value.value())).eq(model));
    domain.collect();
    drop(domain);
    values.assert_all_dead();
}

fuzz_target!(|input: (u8, Vec<Operation>)| on_scheme!(input.0, run, input.1));
