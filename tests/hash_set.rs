//! A set does what std's does, operation by operation, on every scheme; and its elements are
//! compared as its documentation says.

mod common;

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sexton::HashSet;

/// Equal when the numbers are: two that are equal are told apart by their value.
#[derive(Clone, Debug)]
struct Element(u8, Tracked);

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Element {}

impl Hash for Element {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl std::borrow::Borrow<u8> for Element {
    fn borrow(&self) -> &u8 {
        &self.0
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u8),
    TryInsert(u8),
    Replace(u8),
    Get(u8),
    Contains(u8),
    Take(u8),
    Remove(u8),
    Retain(u8),
    Clear,
    Reserve(usize),
    TryReserve(usize),
    Shrink,
    Drain(usize),
    Extend(Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let element = 0..32_u8;
    prop_oneof![
        6 => element.clone().prop_map(Op::Insert),
        2 => element.clone().prop_map(Op::TryInsert),
        3 => element.clone().prop_map(Op::Replace),
        2 => element.clone().prop_map(Op::Get),
        2 => element.clone().prop_map(Op::Contains),
        2 => element.clone().prop_map(Op::Take),
        2 => element.clone().prop_map(Op::Remove),
        1 => (1..5_u8).prop_map(Op::Retain),
        1 => Just(Op::Clear),
        1 => (0..200_usize).prop_map(Op::Reserve),
        1 => (0..200_usize).prop_map(Op::TryReserve),
        1 => Just(Op::Shrink),
        1 => (0..10_usize).prop_map(Op::Drain),
        1 => vec(element, 0..20).prop_map(Op::Extend),
    ]
}

/// One operation on a set and on its model: the elements, each with the value it came with.
fn apply<R: Reclaimer>(
    op: Op,
    ledger: &Ledger,
    set: &mut HashSet<Element, std::hash::RandomState, R>,
    model: &mut std::collections::BTreeMap<u8, u64>,
    next: u64,
) {
    let new = |number| Element(number, Tracked::new(ledger, next));
    let value = |element: &Element| element.1.value();
    match op {
        Op::Insert(number) => {
            assert_eq!(set.insert(new(number)), !model.contains_key(&number));
            model.entry(number).or_insert(next);
        }
        Op::TryInsert(number) => {
            let is_new = set.try_insert(new(number)).expect("there is memory");
            assert_eq!(is_new, !model.contains_key(&number));
            model.entry(number).or_insert(next);
        }
        Op::Replace(number) => {
            let old = set.pin().replace(new(number)).map(|old| value(&old));
            assert_eq!(old, model.insert(number, next));
        }
        Op::Get(number) => {
            assert_eq!(set.get(&number).as_ref().map(value), model.get(&number).copied());
        }
        Op::Contains(number) => assert_eq!(set.contains(&number), model.contains_key(&number)),
        Op::Take(number) => {
            assert_eq!(set.take(&number).as_ref().map(value), model.remove(&number));
        }
        Op::Remove(number) => assert_eq!(set.remove(&number), model.remove(&number).is_some()),
        Op::Retain(modulus) => {
            set.retain(|element| element.0 % modulus == 0);
            model.retain(|number, _| number % modulus == 0);
        }
        Op::Clear => {
            set.clear();
            model.clear();
        }
        Op::Reserve(additional) => {
            set.reserve(additional);
            assert!(set.capacity() >= model.len() + additional);
        }
        Op::TryReserve(additional) => {
            assert!(set.try_reserve(additional).is_ok());
            assert!(set.capacity() >= model.len() + additional);
        }
        Op::Shrink => set.shrink_to_fit(),
        Op::Drain(count) => {
            for element in set.drain().take(count) {
                assert_eq!(model.remove(&element.0), Some(value(&element)));
            }
        }
        Op::Extend(numbers) => {
            set.extend(numbers.iter().map(|number| new(*number)));
            for number in numbers {
                model.entry(number).or_insert(next);
            }
        }
    }
}

for_each_scheme! {
    /// With the element that is present kept by `insert`, and exchanged by `replace`.
    fn a_set_does_what_its_model_does(subject) {
        let cases = sized(24, 1) as u32;
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&vec(op(), 1..sized(300, 8)), |ops| {
            let (domain, ledger) = (subject.domain(), Ledger::new());
            let mut set = HashSet::with_reclaimer(domain.clone());
            let mut model = std::collections::BTreeMap::new();
            for (next, op) in (0..).zip(ops) {
                apply(op, &ledger, &mut set, &mut model, next);
                assert_eq!(set.len(), model.len());
                let pinned = set.pin();
                let mut found: Vec<_> = pinned.iter().map(|it| (it.0, it.1.value())).collect();
                found.sort_unstable();
                assert!(found.into_iter().eq(model.iter().map(|(number, value)| (*number, *value))));
            }
            let copy = set.clone();
            assert_eq!(copy, set);
            assert_eq!(copy.into_iter().count(), model.len());
            drop(set);
            subject.settle(domain, &ledger);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Of all who insert the same element at the same time, one is told that it is new.
    fn one_inserts_and_one_removes(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let set = HashSet::with_reclaimer(domain.clone());
        let (threads, elements) = (3, sized(200, 8) as u8);
        let inserted = on_threads(threads, |_| {
            let new = |number| Element(number, Tracked::new(&ledger, 0));
            (0..elements).filter(|number| set.insert(new(*number))).count()
        });
        assert_eq!(inserted.into_iter().sum::<usize>(), usize::from(elements));
        assert_eq!(set.len(), usize::from(elements));
        let removed = on_threads(threads, |_| {
            (0..elements).filter(|number| set.remove(number)).count()
        });
        assert_eq!(removed.into_iter().sum::<usize>(), usize::from(elements));
        assert!(set.is_empty());
        drop(set);
        subject.settle(domain, &ledger);
    }
}

#[test]
fn relations_are_those_of_sets() {
    let sets: Vec<BTreeSet<u8>> =
        (0..16_u8).map(|bits| (0..4).filter(|bit| bits & (1 << bit) != 0).collect()).collect();
    for one in sets.iter().step_by(sized(1, 5)) {
        for two in sets.iter().step_by(sized(1, 3)) {
            // Of different domains and hashers, too.
            let ours: HashSet<u8> = one.iter().copied().collect();
            let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
            let mut theirs = HashSet::with_capacity_and_hasher_and_reclaimer(
                two.len(),
                hasher,
                common::Domain::<common::Hazard>::new(),
            );
            theirs.extend(two);
            assert_eq!(ours.is_subset(&theirs), one.is_subset(two));
            assert_eq!(ours.is_superset(&theirs), one.is_superset(two));
            assert_eq!(ours.is_disjoint(&theirs), one.is_disjoint(two));
            let same = two.iter().copied().collect::<HashSet<u8>>();
            assert_eq!(ours == same, one == two);
        }
    }
}

#[test]
fn one_guard_serves_many_sets() {
    let (one, two) = (HashSet::<u8>::from([1, 2]), HashSet::<u8>::from([2, 3]));
    let guard = common::Epoch.pin();
    let both = one.with(&guard).iter().filter(|it| two.with(&guard).contains(&**it)).count();
    assert_eq!(both, 1);
}

#[test]
fn a_set_is_shown_as_a_set() {
    assert_eq!(format!("{:?}", HashSet::<_>::from(["a"])), r#"{"a"}"#);
    assert_eq!(format!("{:?}", HashSet::<u8>::default().pin()), "{}");
}
