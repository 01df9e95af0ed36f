//! A skip map does what `BTreeMap` does, operation by operation: random sequences of them, with and
//! without a guard, on every scheme.

mod common;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, sized};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sexton::skip_map::{Compute, Operation, TryInsertError};
use sexton::{Guard, Pinned, SkipMap, SkipSet};

type Model = BTreeMap<u8, u64>;

/// Keys are below this: those of a few leaves, if all are there.
const KEYS: u8 = 120;

type Bounds = (Bound<u8>, Bound<u8>);

#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    Insert(u8, u64),
    TryInsert(u8, u64),
    GetOrInsert(u8, u64),
    Update(u8, u64),
    ComputeInsert(u8, u64),
    ComputeRemove(u8),
    ComputeAbort(u8),
    Remove(u8),
    RemoveIf(u8, u64),
    PopFirst,
    PopLast,
    Ends,
    LowerBound(Bound<u8>),
    UpperBound(Bound<u8>),
    /// From which end each step is.
    Range(Bounds, Vec<bool>),
    RemoveRange(Bounds),
    Retain(u64),
    Clear,
    /// So many from there on, in ascending or descending order.
    Fill(u8, u8, bool),
    /// The same ones, one by one.
    Empty(u8, u8, bool),
}

/// So many keys from there on.
fn row(from: u8, count: u8, ascends: bool) -> Vec<u8> {
    let mut keys: Vec<_> = (from..KEYS.min(from + count)).collect();
    if !ascends {
        keys.reverse();
    }
    keys
}

fn bound() -> impl Strategy<Value = Bound<u8>> + Clone {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        2 => (0..KEYS).prop_map(Bound::Included),
        2 => (0..KEYS).prop_map(Bound::Excluded),
    ]
}

fn op() -> impl Strategy<Value = Op> + Clone {
    let key = 0..KEYS;
    let pair = (0..KEYS, any::<u64>());
    prop_oneof![
        4 => key.clone().prop_map(Op::Get),
        12 => pair.clone().prop_map(|(key, value)| Op::Insert(key, value)),
        4 => pair.clone().prop_map(|(key, value)| Op::TryInsert(key, value)),
        2 => pair.clone().prop_map(|(key, value)| Op::GetOrInsert(key, value)),
        2 => pair.clone().prop_map(|(key, value)| Op::Update(key, value)),
        2 => pair.clone().prop_map(|(key, value)| Op::ComputeInsert(key, value)),
        1 => key.clone().prop_map(Op::ComputeRemove),
        1 => key.clone().prop_map(Op::ComputeAbort),
        4 => key.clone().prop_map(Op::Remove),
        2 => pair.prop_map(|(key, mask)| Op::RemoveIf(key, mask)),
        2 => Just(Op::PopFirst),
        2 => Just(Op::PopLast),
        1 => Just(Op::Ends),
        2 => bound().prop_map(Op::LowerBound),
        2 => bound().prop_map(Op::UpperBound),
        4 => (bound(), bound(), vec(any::<bool>(), 0..12))
            .prop_map(|(from, to, steps)| Op::Range((from, to), steps)),
        1 => (bound(), bound()).prop_map(Op::RemoveRange),
        1 => any::<u64>().prop_map(Op::Retain),
        1 => Just(Op::Clear),
        3 => (0..KEYS, 1..60_u8, any::<bool>())
            .prop_map(|(from, count, ascends)| Op::Fill(from, count, ascends)),
        2 => (0..KEYS, 1..60_u8, any::<bool>())
            .prop_map(|(from, count, ascends)| Op::Empty(from, count, ascends)),
    ]
}

/// What only the owner can do.
#[derive(Clone, Debug)]
enum Alone {
    GetMut(u8, u64),
    IterMut(u64),
    Drain(usize),
    IntoIter(usize),
    Extend(Vec<(u8, u64)>),
    CloneAndCompare,
}

fn alone() -> impl Strategy<Value = Alone> {
    prop_oneof![
        (0..KEYS, any::<u64>()).prop_map(|(key, value)| Alone::GetMut(key, value)),
        any::<u64>().prop_map(Alone::IterMut),
        (0..10_usize).prop_map(Alone::Drain),
        (0..10_usize).prop_map(Alone::IntoIter),
        vec((0..KEYS, any::<u64>()), 0..20).prop_map(Alone::Extend),
        Just(Alone::CloneAndCompare),
    ]
}

/// Operations under one guard, each under one of its own, or by the owner.
#[derive(Clone, Debug)]
enum Session {
    Pinned(Vec<Op>),
    Free(Vec<Op>),
    Alone(Alone),
}

fn sessions() -> impl Strategy<Value = Vec<Session>> {
    let ops = vec(op(), 1..sized(60, 6));
    let session = prop_oneof![
        3 => ops.clone().prop_map(Session::Pinned),
        3 => ops.prop_map(Session::Free),
        2 => alone().prop_map(Session::Alone),
    ];
    vec(session, 1..sized(20, 3))
}

/// Runs a test on random values. Nothing is kept in files: a failure prints its smallest example.
fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value)) {
    let cases = sized(24, 1) as u32;
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 5000, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// `BTreeMap` panics on a range that ends before it begins; here it is empty.
fn is_empty_range((from, to): &Bounds) -> bool {
    match (from, to) {
        (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from > to,
    }
}

fn in_range(model: &Model, bounds: &Bounds) -> Vec<(u8, u64)> {
    if is_empty_range(bounds) {
        return Vec::new();
    }
    model.range(*bounds).map(|(key, value)| (*key, *value)).collect()
}

/// One operation under a guard.
fn apply<'a, R, G>(
    op: Op,
    ledger: &Ledger,
    map: &Pinned<'a, SkipMap<u8, Tracked, R>, G>,
    model: &mut Model,
) where
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    let tracked = |value| Tracked::new(ledger, value);
    macro_rules! pair {
        ($entry:expr) => {
            $entry.map(|entry| (*entry.key(), entry.value().value()))
        };
    }
    match op {
        Op::Get(key) => {
            let expected = model.get(&key).copied();
            assert_eq!(map.get(&key).map(|value| value.value()), expected);
            assert_eq!(pair!(map.get_key_value(&key)), expected.map(|value| (key, value)));
            assert_eq!(map.contains_key(&key), expected.is_some());
        }
        Op::Insert(key, value) => {
            let old = map.insert(key, tracked(value));
            assert_eq!(old.map(|old| old.value()), model.insert(key, value));
        }
        Op::TryInsert(key, value) => match map.try_insert(key, tracked(value)) {
            Ok(new) => {
                assert_eq!(new.value(), value);
                assert_eq!(model.insert(key, value), None);
            }
            Err(TryInsertError::Occupied { current, key: back, value: value_back }) => {
                assert_eq!((back, value_back.value()), (key, value));
                assert_eq!(Some(&current.value()), model.get(&key));
            }
            Err(error) => panic!("{error}"),
        },
        Op::GetOrInsert(key, value) => {
            let found = map.get_or_insert_with(key, || tracked(value));
            assert_eq!(found.value(), *model.entry(key).or_insert(value));
        }
        Op::Update(key, add) => {
            let new = map.update(key, |old| tracked(old.value().wrapping_add(add)));
            let expected = model.get_mut(&key).map(|value| {
                *value = value.wrapping_add(add);
                *value
            });
            assert_eq!(new.map(|new| new.value()), expected);
        }
        Op::ComputeInsert(key, value) => {
            let done = map.compute(key, |_| Operation::<_, ()>::Insert(tracked(value)));
            match (done, model.insert(key, value)) {
                (Compute::Inserted(new), None) => assert_eq!(new.value().value(), value),
                (Compute::Updated { old, new }, Some(replaced)) => {
                    assert_eq!((*old.key(), *new.key()), (key, key));
                    assert_eq!((old.value().value(), new.value().value()), (replaced, value));
                }
                (done, replaced) => panic!("{done:?}, and the model had {replaced:?}"),
            }
        }
        Op::ComputeRemove(key) => {
            let done = map.compute(key, |_| Operation::<_, ()>::Remove);
            match (done, model.remove(&key)) {
                (Compute::Removed(entry), Some(value)) => {
                    assert_eq!((*entry.key(), entry.value().value()), (key, value));
                }
                (Compute::Absent, None) => {}
                (done, removed) => panic!("{done:?}, and the model had {removed:?}"),
            }
        }
        Op::ComputeAbort(key) => {
            let seen = map.compute(key, |entry| {
                Operation::Abort(entry.map(|(key, value)| (*key, value.value())))
            });
            let Compute::Aborted(seen) = seen else { panic!("{seen:?}") };
            assert_eq!(seen, model.get(&key).map(|value| (key, *value)));
        }
        Op::Remove(key) => assert_eq!(pair!(map.remove_entry(&key)), model.remove_entry(&key)),
        Op::RemoveIf(key, mask) => {
            let condition = |value: u64| value & mask & 1 == 1;
            let old = map.remove_if(&key, |_, value| condition(value.value()));
            let removed = model.get(&key).copied().filter(|value| condition(*value));
            assert_eq!(old.map(|old| old.value()), removed);
            removed.and_then(|_| model.remove(&key));
        }
        Op::PopFirst => assert_eq!(pair!(map.pop_first()), model.pop_first()),
        Op::PopLast => assert_eq!(pair!(map.pop_last()), model.pop_last()),
        Op::Ends => {
            let pair = |(key, value): (&u8, &u64)| (*key, *value);
            assert_eq!(pair!(map.first()), model.first_key_value().map(pair));
            assert_eq!(pair!(map.last()), model.last_key_value().map(pair));
        }
        Op::LowerBound(bound) => {
            let expected = in_range(model, &(bound, Bound::Unbounded)).first().copied();
            assert_eq!(pair!(map.lower_bound(bound.as_ref())), expected);
        }
        Op::UpperBound(bound) => {
            let expected = in_range(model, &(Bound::Unbounded, bound)).last().copied();
            assert_eq!(pair!(map.upper_bound(bound.as_ref())), expected);
        }
        Op::Range(bounds, steps) => {
            let mut expected = in_range(model, &bounds).into_iter();
            let mut range = map.range(bounds);
            for from_the_back in steps {
                if from_the_back {
                    assert_eq!(pair!(range.next_back()), expected.next_back());
                } else {
                    assert_eq!(pair!(range.next()), expected.next());
                }
            }
            let rest: Vec<_> = range.map(|entry| (*entry.key(), entry.value().value())).collect();
            assert_eq!(rest, expected.collect::<Vec<_>>());
        }
        Op::RemoveRange(bounds) => {
            let removed = in_range(model, &bounds);
            assert_eq!(map.remove_range(bounds), removed.len());
            model.retain(|key, _| !removed.iter().any(|(gone, _)| gone == key));
        }
        Op::Retain(mask) => {
            map.retain(|_, value| value.value() & mask & 1 == 0);
            model.retain(|_, value| *value & mask & 1 == 0);
        }
        Op::Clear => {
            map.clear();
            model.clear();
        }
        Op::Fill(from, count, ascends) => {
            for key in row(from, count, ascends) {
                let old = map.insert(key, tracked(key.into()));
                assert_eq!(old.map(|old| old.value()), model.insert(key, key.into()));
            }
        }
        Op::Empty(from, count, ascends) => {
            for key in row(from, count, ascends) {
                assert_eq!(map.remove(&key).map(|old| old.value()), model.remove(&key));
            }
        }
    }
    assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
}

fn assert_same<R: Reclaimer>(map: &SkipMap<u8, Tracked, R>, model: &Model) {
    let map = map.pin();
    let expected: Vec<_> = model.iter().map(|(key, value)| (*key, *value)).collect();
    let entries: Vec<_> = map.iter().map(|entry| (*entry.key(), entry.value().value())).collect();
    assert_eq!(entries, expected);
    let keys: Vec<_> = map.keys().rev().map(|key| *key).collect();
    assert!(keys.iter().eq(model.keys().rev()), "{keys:?}");
    let values: Vec<_> = map.values().map(|value| value.value()).collect();
    assert!(values.iter().eq(model.values()), "{values:?}");
}

fn alone_case<R: Reclaimer>(
    op: Alone,
    ledger: &Ledger,
    map: &mut SkipMap<u8, Tracked, R>,
    model: &mut Model,
) {
    match op {
        Alone::GetMut(key, value) => {
            let found = map.get_mut(&key);
            assert_eq!(found.as_ref().map(|found| found.value()), model.get(&key).copied());
            if let (Some(found), Some(expected)) = (found, model.get_mut(&key)) {
                *found = Tracked::new(ledger, value);
                *expected = value;
            }
        }
        Alone::IterMut(add) => {
            let mut keys = Vec::new();
            for (key, value) in &mut *map {
                let new = value.value().wrapping_add(add);
                *value = Tracked::new(ledger, new);
                *model.get_mut(key).expect("it is in the model") = new;
                keys.push(*key);
            }
            assert!(keys.iter().eq(model.keys()), "{keys:?}");
        }
        Alone::Drain(count) => {
            for (key, value) in map.drain().take(count) {
                assert_eq!(model.pop_first(), Some((key, value.value())));
            }
        }
        Alone::IntoIter(count) => {
            let new = SkipMap::with_reclaimer(map.reclaimer().clone());
            for (key, value) in std::mem::replace(map, new).into_iter().take(count) {
                assert_eq!(model.pop_first(), Some((key, value.value())));
            }
            model.clear();
        }
        Alone::Extend(entries) => {
            map.extend(entries.iter().map(|&(key, value)| (key, Tracked::new(ledger, value))));
            model.extend(entries);
        }
        Alone::CloneAndCompare => {
            let twin = map.clone();
            assert_eq!(twin, *map);
            drop(twin.pin().insert(KEYS, Tracked::new(ledger, 0)));
            assert_ne!(twin, *map);
            drop(twin.pin().remove(&KEYS));
            assert_eq!(twin, *map);
            if let Some((key, value)) = model.first_key_value() {
                drop(twin.pin().insert(*key, Tracked::new(ledger, !value)));
                assert_ne!(twin, *map);
            }
        }
    }
}

for_each_scheme! {
    fn a_map_is_a_btree_map(subject) {
        check(sessions(), |sessions| {
            let (domain, ledger) = (subject.domain(), Ledger::new());
            let mut map = SkipMap::<u8, Tracked, R>::with_reclaimer(domain.clone());
            let mut model = Model::new();
            for session in sessions {
                match session {
                    Session::Pinned(ops) => {
                        let pinned = map.pin();
                        ops.into_iter().for_each(|op| apply(op, &ledger, &pinned, &mut model));
                    }
                    Session::Free(ops) => {
                        for op in ops {
                            let guard = domain.pin();
                            apply(op, &ledger, &map.with(&guard), &mut model);
                        }
                    }
                    Session::Alone(op) => alone_case(op, &ledger, &mut map, &mut model),
                }
                assert_same(&map, &model);
                if subject.is_isolated() && subject.collects() {
                    domain.collect();
                    assert_eq!(ledger.living(), model.len(), "what is out is dead, what is in lives");
                }
            }
            drop(map);
            subject.settle(domain, &ledger);
        });
    }
}

/// Maps of many leaves, which are split and replaced, and die. Keys are made of numbers, and are in the
/// order of these.
mod leaves {
    use std::fmt::Debug;
    use std::ops::Range;

    use super::*;

    /// How many entries: those of dozens of leaves, and where they are only put in and taken out, of a
    /// hundred.
    const COUNT: u64 = sized(500, 40) as u64;
    const MANY: u64 = sized(2000, 40) as u64;

    #[derive(Clone, Copy, Debug)]
    enum Order {
        Up,
        Down,
        Random,
    }

    const ORDERS: &[Order] =
        if cfg!(miri) { &[Order::Random] } else { &[Order::Up, Order::Down, Order::Random] };

    /// A cheap sequence of numbers that looks random.
    fn random(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed;
        move |below| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        }
    }

    /// All of them in this order.
    fn in_order(mut numbers: Vec<u64>, order: Order) -> Vec<u64> {
        match order {
            Order::Up => {}
            Order::Down => numbers.reverse(),
            Order::Random => {
                let mut random = random(numbers.len() as u64);
                for at in (1..numbers.len()).rev() {
                    numbers.swap(at, random(at as u64 + 1) as usize);
                }
            }
        }
        numbers
    }

    /// A map, and what should be in it. The values are the numbers that the keys are made of.
    struct Pair<K, R: Reclaimer> {
        map: SkipMap<K, u64, R>,
        model: BTreeMap<u64, K>,
        key: fn(u64) -> K,
    }

    impl<K: Ord + Clone + Debug + Send + 'static, R: Reclaimer> Pair<K, R> {
        fn new(reclaimer: R, key: fn(u64) -> K) -> Self {
            Self { map: SkipMap::with_reclaimer(reclaimer), model: BTreeMap::new(), key }
        }

        fn insert(&mut self, number: u64) {
            let key = (self.key)(number);
            let is_new = self.model.insert(number, key.clone()).is_none();
            assert_eq!(self.map.insert(key, number), (!is_new).then_some(number));
            assert_eq!(self.map.len(), self.model.len());
        }

        fn remove(&mut self, number: u64) {
            let key = (self.key)(number);
            let was_there = self.model.remove(&number).is_some();
            assert_eq!(self.map.remove(&key), was_there.then_some(number), "of {key:?}");
            assert_eq!((self.map.get(&key), self.map.len()), (None, self.model.len()));
        }

        /// All that is there is found, from both ends, and nothing else.
        fn check(&self) {
            let pinned = self.map.pin();
            let keys: Vec<_> = pinned.keys().map(|key| key.clone()).collect();
            assert!(keys.iter().eq(self.model.values()), "{keys:?}");
            let values: Vec<_> = pinned.values().rev().map(|value| *value).collect();
            assert!(values.iter().eq(self.model.keys().rev()), "{values:?}");
            for (number, key) in &self.model {
                assert_eq!(pinned.get(key).as_deref(), Some(number));
            }
            let ends = (pinned.first().map(|entry| *entry.value()), pinned.last());
            let expected = (self.model.keys().next().copied(), self.model.keys().next_back());
            assert_eq!((ends.0, ends.1.as_ref().map(|entry| entry.value())), expected);
        }

        /// The same of a part, alternately from one end and the other; and of what is next to it.
        fn check_range(&self, numbers: Range<u64>) {
            let pinned = self.map.pin();
            let (start, end) = ((self.key)(numbers.start), (self.key)(numbers.end));
            let mut range = pinned.range(start.clone()..end.clone());
            let mut expected = self.model.range(numbers.clone()).map(|(number, _)| *number);
            loop {
                let found = range.next().map(|entry| *entry.value());
                assert_eq!(found, expected.next(), "from the front of {numbers:?}");
                let found_behind = range.next_back().map(|entry| *entry.value());
                assert_eq!(found_behind, expected.next_back(), "from the back of {numbers:?}");
                if found_behind.is_none() {
                    break;
                }
            }
            let below = pinned.upper_bound(Bound::Excluded(&start)).map(|entry| *entry.value());
            assert_eq!(below, self.model.range(..numbers.start).next_back().map(|(x, _)| *x));
            let above = pinned.lower_bound(Bound::Included(&end)).map(|entry| *entry.value());
            assert_eq!(above, self.model.range(numbers.end..).next().map(|(x, _)| *x));
        }

        /// Does something to all of them, and looks at the map now and then.
        fn for_all(&mut self, numbers: Vec<u64>, work: fn(&mut Self, u64)) {
            let mut random = random(numbers.len() as u64);
            let every = numbers.len() / sized(3, 2) + 1;
            for (at, number) in numbers.into_iter().enumerate() {
                work(self, number);
                if at % every == every - 1 {
                    self.check();
                }
                if at % 128 == 1 {
                    let from = random(MANY);
                    self.check_range(from..from + random(100));
                }
            }
            self.check();
        }
    }

    /// Filled in each order, and emptied in each.
    fn fill_and_empty<K, R>(reclaimer: impl Fn() -> R, key: fn(u64) -> K)
    where
        K: Ord + Clone + Debug + Send + 'static,
        R: Reclaimer,
    {
        for filled in ORDERS.iter().copied() {
            let mut pair = Pair::new(reclaimer(), key);
            for emptied in ORDERS.iter().copied() {
                pair.for_all(in_order((0..MANY).collect(), filled), Pair::insert);
                pair.for_all(in_order((0..MANY).collect(), emptied), Pair::remove);
                assert!(pair.map.is_empty());
            }
        }
    }

    /// Parts are removed, and what has room there comes in again.
    fn remove_parts<K, R>(reclaimer: R, key: fn(u64) -> K)
    where
        K: Ord + Clone + Debug + Send + 'static,
        R: Reclaimer,
    {
        let mut pair = Pair::new(reclaimer, key);
        let mut random = random(7);
        for round in 0..sized(5, 2) as u64 {
            let order = ORDERS[round as usize % ORDERS.len()];
            pair.for_all(in_order((0..COUNT).collect(), order), Pair::insert);
            let from = random(COUNT / 2);
            let part = from..from + COUNT / 3 + random(COUNT / 4);
            let range = key(part.start)..key(part.end);
            let before = pair.model.len();
            pair.model.retain(|number, _| !part.contains(number));
            assert_eq!(pair.map.pin().remove_range(range), before - pair.model.len());
            pair.check();
            pair.check_range(part);
            let keeps = |number: u64| number / 50 % 2 == round % 2 && number % 3 != 1;
            pair.map.retain(|_, number| keeps(*number));
            pair.model.retain(|number, _| keeps(*number));
            pair.check();
        }
        pair.map.clear();
        pair.model.clear();
        pair.check();
    }

    /// Popped from both ends until nothing is left, while some come in again.
    fn pop<K, R>(reclaimer: R, key: fn(u64) -> K)
    where
        K: Ord + Clone + Debug + Send + 'static,
        R: Reclaimer,
    {
        let mut pair = Pair::new(reclaimer, key);
        let mut random = random(11);
        for order in ORDERS.iter().copied() {
            pair.for_all(in_order((0..COUNT).collect(), order), Pair::insert);
            while !pair.model.is_empty() {
                // In turns, so that whole leaves go at one end.
                for _ in 0..random(80) {
                    let popped = pair.map.pop_first();
                    assert_eq!(
                        popped.map(|(_, number)| number),
                        pair.model.pop_first().map(|x| x.0)
                    );
                }
                if random(2) == 0 {
                    pair.insert(random(COUNT));
                }
                for _ in 0..random(80) {
                    let popped = pair.map.pop_last();
                    assert_eq!(
                        popped.map(|(_, number)| number),
                        pair.model.pop_last().map(|x| x.0)
                    );
                }
                pair.check();
            }
            assert!(pair.map.pop_first().is_none() && pair.map.pop_last().is_none());
        }
    }

    /// Wherever a leaf begins, its first entry is removed at some time, and something comes in just below
    /// what is the first one then: it is found, and stands in its place.
    fn fill_gaps<K, R>(reclaimer: R, key: fn(u64) -> K)
    where
        K: Ord + Clone + Debug + Send + 'static,
        R: Reclaimer,
    {
        const STEP: u64 = 10;
        let mut pair = Pair::new(reclaimer, key);
        for order in ORDERS.iter().copied() {
            let numbers: Vec<_> = (0..COUNT / 2).map(|at| at * STEP).collect();
            pair.for_all(in_order(numbers.clone(), order), Pair::insert);
            for shift in (0..30).step_by(sized(1, 11)) {
                for number in numbers.iter().skip(shift).step_by(31) {
                    for gone in *number..number + STEP {
                        if pair.model.contains_key(&gone) {
                            pair.remove(gone);
                        }
                    }
                    // Below the next one, and below that.
                    for new in [number + STEP - 1, number + STEP - 2, *number + 1] {
                        assert!(pair.map.get(&key(new)).is_none());
                        pair.insert(new);
                        assert_eq!(pair.map.get(&key(new)), Some(new));
                    }
                    pair.check_range(number.saturating_sub(2 * STEP)..number + 2 * STEP);
                }
                if shift % 10 == 0 {
                    pair.check();
                }
            }
            let left = pair.model.keys().copied().collect();
            pair.for_all(in_order(left, order), Pair::remove);
        }
    }

    /// A long sequence of changes here and there, of a map that grows and shrinks.
    fn walk<K, R>(reclaimer: R, key: fn(u64) -> K)
    where
        K: Ord + Clone + Debug + Send + 'static,
        R: Reclaimer,
    {
        let mut pair = Pair::new(reclaimer, key);
        let mut random = random(13);
        for phase in 0..sized(12, 2) {
            for step in 0..COUNT {
                // Not far from one another, so that leaves there fill up, or die.
                let number = (random(COUNT / 4) + COUNT / 4 * (phase as u64 / 2)) % COUNT;
                if random(8) < if phase % 2 == 0 { 6 } else { 1 } {
                    pair.insert(number);
                } else {
                    pair.remove(number);
                }
                if step % 50 == 0 {
                    let from = random(COUNT);
                    pair.check_range(from..from + random(100));
                }
            }
            pair.check();
        }
    }

    for_each_scheme! {
        fn are_filled_and_emptied(subject) {
            fill_and_empty(|| subject.domain(), |number| number);
            subject.settle(subject.domain(), &Ledger::new());
        }

        fn lose_parts_and_fill_gaps(subject) {
            remove_parts(subject.domain(), |number| number);
            pop(subject.domain(), |number| number);
            fill_gaps(subject.domain(), |number| number);
            walk(subject.domain(), |number| number);
        }
    }

    /// All of it, with two schemes.
    fn check_all<K: Ord + Clone + Debug + Send + 'static>(key: fn(u64) -> K) {
        fill_and_empty(sexton::Domain::<sexton::Epoch>::new, key);
        remove_parts(sexton::Epoch, key);
        pop(sexton::Hazard, key);
        fill_gaps(sexton::Hazard, key);
        walk(sexton::Hazard, key);
    }

    #[test]
    fn of_numbers_around_zero() {
        check_all(|number| number as i64 - MANY as i64 / 2);
    }

    #[test]
    fn of_the_highest_numbers() {
        // `fill_gaps` has ten for each.
        check_all(|number| u64::MAX - 10 * MANY + number);
    }

    /// A word says nothing of them.
    #[test]
    fn of_numbers_that_share_their_first_word() {
        check_all(u128::from);
    }

    /// A word says nothing of them.
    #[test]
    fn of_texts_that_share_their_first_word() {
        check_all(|number| format!("the same {number:06}"));
    }

    /// A word says something of some of them.
    #[test]
    fn of_texts_that_share_their_first_word_with_some() {
        check_all(|number| format!("{:04}four{:02}", number / 40, number % 40));
    }

    /// Each is the beginning of the next one, but for a NUL.
    #[test]
    fn of_short_texts() {
        check_all(|number| {
            let digits = format!("{:05}", number / 4);
            digits.into_bytes().into_iter().chain((0..number % 4).map(|_| 0)).collect::<Vec<_>>()
        });
    }

    #[test]
    fn of_a_type_that_the_map_does_not_know() {
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        struct Unknown(u64);

        check_all(Unknown);
    }

    /// In the order of an `Ord` of its own.
    #[test]
    fn of_a_known_type_turned_around() {
        check_all(|number| std::cmp::Reverse(u64::MAX - number));
    }

    #[test]
    fn of_keys_of_high_alignment() {
        #[repr(align(128))]
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        struct Wide(u64);

        check_all(Wide);
    }
}

/// The methods that pin for themselves.
#[test]
fn the_guard_free_methods_do_what_they_say() {
    let map = SkipMap::new();
    assert_eq!(map.insert("b", 2), None);
    assert_eq!(map.insert("b", 20), Some(2));
    assert_eq!(map.get_or_insert_with("a", || 1), 1);
    assert_eq!(map.get_or_insert_with("c", || 3), 3);
    assert_eq!((map.get("b"), map.get("x")), (Some(20), None));
    assert_eq!(map.read("c", |key, value| (*key, *value)), Some(("c", 3)));
    assert!(map.update("c", |three| three + 27) && !map.update("x", |x| x + 1));
    assert_eq!((map.first(), map.last()), (Some(("a", 1)), Some(("c", 30))));
    assert_eq!(map.len(), 3);
    assert_eq!(format!("{map:?}"), r#"{"a": 1, "b": 20, "c": 30}"#);
    assert_eq!((map.pop_first(), map.pop_last()), (Some(("a", 1)), Some(("c", 30))));
    assert_eq!((map.remove("b"), map.remove("b")), (Some(20), None));
    assert!(map.is_empty() && !map.contains_key("b"));
}

/// Keys are looked up in borrowed form.
#[test]
fn a_key_is_looked_up_in_borrowed_form() {
    let map = SkipMap::<String, u32>::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
    let map = map.pin();
    assert_eq!(map.get("a").as_deref(), Some(&1));
    let range = map.range::<str, _>((Bound::Excluded("a"), Bound::Unbounded));
    assert_eq!(range.map(|entry| entry.key().clone()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(map.remove_range::<str, _>((Bound::Included("a"), Bound::Excluded("b"))), 1);
    assert_eq!(map.remove("b").as_deref(), Some(&2));
}

#[test]
fn a_set_is_a_btree_set() {
    let set = SkipSet::<_>::from([3, 1, 2]);
    assert!(!set.insert(3) && set.insert(5));
    assert_eq!(format!("{set:?}"), "{1, 2, 3, 5}");
    assert_eq!(set.clone(), set);
    let pinned = set.pin();
    assert_eq!(pinned.get(&3).as_deref(), Some(&3));
    assert_eq!(pinned.replace(3).as_deref(), Some(&3));
    assert_eq!(pinned.iter().rev().map(|value| *value).collect::<Vec<_>>(), [5, 3, 2, 1]);
    assert_eq!(pinned.range(2..=3).map(|value| *value).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(pinned.lower_bound(Bound::Excluded(&3)).as_deref(), Some(&5));
    assert_eq!(pinned.upper_bound(Bound::Excluded(&5)).as_deref(), Some(&3));
    assert_eq!((set.first(), set.last(), set.len()), (Some(1), Some(5), 4));
    assert_eq!(pinned.remove_range(..2), 1);
    set.retain(|value| *value != 2);
    assert!(set.remove(&3) && !set.remove(&3) && !set.contains(&3));
    assert_eq!((set.pop_last(), set.pop_first()), (Some(5), None));
    drop(pinned);
    let mut set: SkipSet<_> = (0..5).collect();
    assert_eq!(set.drain().take(2).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(set.into_iter().collect::<Vec<_>>(), [2, 3, 4]);
}

/// Values larger than a cache line, smaller and larger in alignment, and none at all.
#[test]
fn keys_and_values_of_any_layout() {
    #[repr(align(128))]
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Wide(u16);

    fn check<K, V, R: Reclaimer>(reclaimer: R, key: impl Fn(u16) -> K, value: impl Fn(u16) -> V)
    where
        K: Ord + Send + 'static,
        V: PartialEq + Send + 'static,
    {
        let map = SkipMap::with_reclaimer(reclaimer);
        let map = map.pin();
        let count = sized(500, 16) as u16;
        for number in (0..count).rev() {
            assert!(map.insert(key(number), value(number)).is_none());
        }
        for number in (0..count).step_by(2) {
            assert!(map.remove(&key(number)).is_some());
        }
        for number in 0..count {
            let found = map.get(&key(number));
            assert!(found.is_none_or(|found| *found == value(number)));
            assert_eq!(map.contains_key(&key(number)), number % 2 == 1);
        }
    }
    check(sexton::Epoch, |number| number, |_| ());
    check(sexton::Hazard, |number| number, |_| ());
    check(sexton::Hazard, Wide, |number| [number; 100]);
    check(
        sexton::Domain::<common::interval::Interval>::new(),
        |number| number as u8 as u64 | u64::from(number) << 8,
        Wide,
    );
    check(sexton::Domain::<common::interval::Interval>::new(), Wide, |_| ());
    let map = SkipMap::<(), &str>::from([((), "one"), ((), "two")]);
    assert_eq!((map.len(), map.get(&())), (1, Some("two")));
}

/// Keys that come where a leaf has lost its first entries.
#[test]
fn a_step_brings_what_was_inserted_next_to_it() {
    const ENTRIES: u64 = sized(300, 50) as u64;
    let map = SkipMap::<_, _>::new();
    (0..ENTRIES).for_each(|key| assert!(map.insert(10 * key, key).is_none()));
    let map = map.pin();
    for start in 0..ENTRIES - 1 {
        let mut range = map.range(10 * start..);
        let first = *range.next().expect("it is there").key();
        // Where it was the first of its leaf, the new one goes into the leaf on the left.
        map.remove(&first);
        map.insert(first + 5, 0);
        assert_eq!(range.next().map(|entry| *entry.key()), Some(first + 5));
        assert_eq!(map.get(&(first + 5)).as_deref(), Some(&0));
        map.remove(&(first + 5));
        map.insert(first, 0);
    }
    assert_eq!(map.len() as u64, ENTRIES);
    assert!(map.iter().map(|entry| *entry.key()).eq((0..ENTRIES).map(|key| 10 * key)));
}

#[test]
fn an_update_of_what_is_removed_meanwhile_starts_again() {
    let map = SkipMap::<_, _>::from([(0, 0), (1, 10)]);
    let map = map.pin();
    let updated = map.update(1, |value| {
        map.remove(&1);
        value + 1
    });
    assert_eq!((updated.map(|new| *new), map.get(&1).map(|value| *value)), (None, None));
    assert_eq!(map.len(), 1);
}
