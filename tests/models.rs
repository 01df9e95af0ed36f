//! Each structure does what its model in std does, operation by operation: random sequences of
//! them, with and without a guard, on every scheme.

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hasher};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, sized};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sexton::hash_map::{Compute, Operation, TryInsertError};
use sexton::{HashMap, Queue, RcuCell, Stack};

/// Operations that are done without a guard of the caller's, under one guard, or by the owner.
#[derive(Clone, Debug)]
enum Session<Op, Alone> {
    Free(Vec<Op>),
    Pinned(Vec<Op>),
    Alone(Alone),
}

fn sessions<Op: Debug + Clone, Alone: Debug + Clone>(
    op: impl Strategy<Value = Op> + Clone,
    alone: impl Strategy<Value = Alone>,
) -> impl Strategy<Value = Vec<Session<Op, Alone>>> {
    let ops = vec(op, 1..sized(40, 5));
    let session = prop_oneof![
        3 => ops.clone().prop_map(Session::Free),
        3 => ops.prop_map(Session::Pinned),
        1 => alone.prop_map(Session::Alone),
    ];
    vec(session, 1..sized(30, 3))
}

/// Runs a test on random values. Nothing is kept in files: a failure prints its smallest example.
fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value)) {
    let cases = sized(16, 1) as u32;
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 5000, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[derive(Clone, Debug)]
enum ListOp {
    Push(u64),
    TryPush(u64),
    Pop,
    Peek,
    IsEmpty,
}

fn list_op() -> impl Strategy<Value = ListOp> + Clone {
    prop_oneof![
        4 => any::<u64>().prop_map(ListOp::Push),
        1 => any::<u64>().prop_map(ListOp::TryPush),
        4 => Just(ListOp::Pop),
        1 => Just(ListOp::Peek),
        1 => Just(ListOp::IsEmpty),
    ]
}

#[derive(Clone, Debug)]
enum ListAlone {
    Drain(usize),
    Extend(Vec<u64>),
    IntoIter(usize),
}

fn list_alone() -> impl Strategy<Value = ListAlone> {
    prop_oneof![
        (0..10_usize).prop_map(ListAlone::Drain),
        vec(any::<u64>(), 0..10).prop_map(ListAlone::Extend),
        (0..10_usize).prop_map(ListAlone::IntoIter),
    ]
}

/// One operation on a stack or a queue, pinned or not, of tracked values and of copies.
macro_rules! list_op {
    ($op:expr, $ledger:expr, $tracked:expr, $copies:expr, $push:expr, $pop:expr, $peek:expr) => {
        match $op {
            ListOp::Push(value) => {
                $tracked.push(Tracked::new($ledger, value));
                $copies.push(value);
                $push(value);
            }
            ListOp::TryPush(value) => {
                $tracked.try_push(Tracked::new($ledger, value)).expect("there is memory");
                $copies.try_push(value).expect("there is memory");
                $push(value);
            }
            ListOp::Pop => {
                let expected = $pop();
                assert_eq!($tracked.pop().map(|value| value.value()), expected);
                assert_eq!($copies.pop(), expected);
            }
            ListOp::Peek => assert_eq!($copies.peek(), $peek()),
            ListOp::IsEmpty => {
                assert_eq!($tracked.is_empty(), $peek().is_none());
                assert_eq!($copies.is_empty(), $peek().is_none());
            }
        }
    };
}

/// What both lists do in a case.
macro_rules! list_case {
    ($sessions:expr, $subject:expr, $structure:ident,
     $model:ty, $push:ident, $pop:ident, $peek:ident) => {{
        let (domain, ledger) = ($subject.domain(), Ledger::new());
        let mut tracked = $structure::with_reclaimer(domain.clone());
        let mut copies = $structure::with_reclaimer(domain.clone());
        let mut model = <$model>::new();
        for session in $sessions {
            match session {
                Session::Free(ops) => {
                    for op in ops {
                        let model = std::cell::RefCell::new(&mut model);
                        list_op!(
                            op,
                            &ledger,
                            tracked,
                            copies,
                            |value| model.borrow_mut().$push(value),
                            || model.borrow_mut().$pop(),
                            || model.borrow().$peek().copied()
                        );
                    }
                }
                Session::Pinned(ops) => {
                    let guard = domain.pin();
                    let (tracked, copies) = (tracked.pin(), copies.with(&guard));
                    for op in ops {
                        let model = std::cell::RefCell::new(&mut model);
                        list_op!(
                            op,
                            &ledger,
                            tracked,
                            copies,
                            |value| model.borrow_mut().$push(value),
                            || model.borrow_mut().$pop(),
                            || model.borrow().$peek().copied()
                        );
                    }
                }
                Session::Alone(ListAlone::Extend(values)) => {
                    tracked.extend(values.iter().map(|value| Tracked::new(&ledger, *value)));
                    copies.extend(values.iter().copied());
                    values.into_iter().for_each(|value| model.$push(value));
                }
                Session::Alone(ListAlone::Drain(count)) => {
                    let drained = tracked.drain().take(count).map(|value| value.value());
                    let expected: Vec<_> = (0..count).map_while(|_| model.$pop()).collect();
                    assert_eq!(drained.collect::<Vec<_>>(), expected);
                    assert_eq!(copies.drain().take(count).collect::<Vec<_>>(), expected);
                }
                Session::Alone(ListAlone::IntoIter(count)) => {
                    let values = tracked.into_iter().take(count).map(|value| value.value());
                    let expected: Vec<_> = (0..count).map_while(|_| model.$pop()).collect();
                    assert_eq!(values.collect::<Vec<_>>(), expected);
                    assert_eq!(copies.into_iter().take(count).collect::<Vec<_>>(), expected);
                    model.clear();
                    tracked = $structure::with_reclaimer(domain.clone());
                    copies = $structure::with_reclaimer(domain.clone());
                }
            }
            // Popped values are moved out: what lives is in the structure.
            assert_eq!(ledger.living(), model.len());
        }
        drop((tracked, copies));
        ledger.assert_all_dead();
        $subject.settle(domain, &ledger);
    }};
}

#[derive(Clone, Debug)]
enum CellOp {
    Load,
    Read,
    Store(u64),
    TryStore(u64),
    Swap(u64),
    Update(u64),
}

fn cell_op() -> impl Strategy<Value = CellOp> + Clone {
    prop_oneof![
        Just(CellOp::Load),
        Just(CellOp::Read),
        any::<u64>().prop_map(CellOp::Store),
        any::<u64>().prop_map(CellOp::TryStore),
        any::<u64>().prop_map(CellOp::Swap),
        any::<u64>().prop_map(CellOp::Update),
    ]
}

#[derive(Clone, Debug)]
enum CellAlone {
    GetMut(u64),
    IntoInner(u64),
}

fn cell_alone() -> impl Strategy<Value = CellAlone> {
    prop_oneof![
        any::<u64>().prop_map(CellAlone::GetMut),
        any::<u64>().prop_map(CellAlone::IntoInner),
    ]
}

const KEYS: u8 = 24;

#[derive(Clone, Debug)]
enum MapOp {
    Get(u8),
    GetKeyValue(u8),
    ContainsKey(u8),
    Insert(u8, u64),
    TryInsert(u8, u64),
    GetOrInsertWith(u8, u64),
    Update(u8, u64),
    ComputeInsert(u8, u64),
    ComputeRemove(u8),
    ComputeAbort(u8),
    Remove(u8),
    RemoveEntry(u8),
    RemoveIf(u8, u64),
    Retain(u64),
    Clear,
    Iter,
    Reserve(usize),
}

fn map_op() -> impl Strategy<Value = MapOp> + Clone {
    let key = || 0..KEYS;
    let entry = || (0..KEYS, any::<u64>());
    prop_oneof![
        3 => key().prop_map(MapOp::Get),
        1 => key().prop_map(MapOp::GetKeyValue),
        1 => key().prop_map(MapOp::ContainsKey),
        6 => entry().prop_map(|(key, value)| MapOp::Insert(key, value)),
        2 => entry().prop_map(|(key, value)| MapOp::TryInsert(key, value)),
        2 => entry().prop_map(|(key, value)| MapOp::GetOrInsertWith(key, value)),
        2 => entry().prop_map(|(key, value)| MapOp::Update(key, value)),
        1 => entry().prop_map(|(key, value)| MapOp::ComputeInsert(key, value)),
        1 => key().prop_map(MapOp::ComputeRemove),
        1 => key().prop_map(MapOp::ComputeAbort),
        4 => key().prop_map(MapOp::Remove),
        1 => key().prop_map(MapOp::RemoveEntry),
        1 => entry().prop_map(|(key, value)| MapOp::RemoveIf(key, value)),
        1 => (1..5_u64).prop_map(MapOp::Retain),
        1 => Just(MapOp::Clear),
        1 => Just(MapOp::Iter),
        1 => (0..100_usize).prop_map(MapOp::Reserve),
    ]
}

#[derive(Clone, Debug)]
enum MapAlone {
    GetMut(u8, u64),
    IterMut(u64),
    Drain(usize),
    IntoIter(usize),
    Extend(Vec<(u8, u64)>),
    CloneAndCompare,
    ShrinkToFit,
}

fn map_alone() -> impl Strategy<Value = MapAlone> {
    prop_oneof![
        (0..KEYS, any::<u64>()).prop_map(|(key, value)| MapAlone::GetMut(key, value)),
        any::<u64>().prop_map(MapAlone::IterMut),
        (0..20_usize).prop_map(MapAlone::Drain),
        (0..20_usize).prop_map(MapAlone::IntoIter),
        vec((0..KEYS, any::<u64>()), 0..20).prop_map(MapAlone::Extend),
        Just(MapAlone::CloneAndCompare),
        Just(MapAlone::ShrinkToFit),
    ]
}

type Model = BTreeMap<u8, u64>;

/// What is in a map and in its model, in order.
macro_rules! assert_same_entries {
    ($map:expr, $model:expr) => {{
        let map = $map;
        let entry =
            |entry: &sexton::hash_map::Entry<u8, Tracked>| (*entry.key(), entry.value().value());
        let mut entries: Vec<_> = map.iter().map(|found| entry(&found)).collect();
        entries.sort_unstable();
        assert!(entries.iter().copied().eq($model.iter().map(|(key, value)| (*key, *value))));
        let mut keys: Vec<_> = map.keys().map(|key| *key).collect();
        keys.sort_unstable();
        assert!(keys.iter().eq($model.keys()));
        let sum = map.values().fold(0, |sum: u64, value| sum.wrapping_add(value.value()));
        assert_eq!(sum, $model.values().fold(0, |sum: u64, value| sum.wrapping_add(*value)));
    }};
}

/// The operations that read alike with and without a guard.
macro_rules! map_op {
    ($op:expr, $ledger:expr, $map:expr, $pinned:expr, $model:expr) => {
        match $op {
            MapOp::Get(key) => {
                assert_eq!($map.get(&key).map(|value| value.value()), $model.get(&key).copied());
            }
            MapOp::ContainsKey(key) => {
                assert_eq!($map.contains_key(&key), $model.contains_key(&key));
            }
            MapOp::Insert(key, value) => {
                let old = $map.insert(key, Tracked::new($ledger, value));
                assert_eq!(old.map(|old| old.value()), $model.insert(key, value));
            }
            MapOp::GetOrInsertWith(key, value) => {
                let found = $map.get_or_insert_with(key, || Tracked::new($ledger, value));
                assert_eq!(found.value(), *$model.entry(key).or_insert(value));
            }
            MapOp::Remove(key) => {
                let old = $map.remove(&key).map(|old| old.value());
                assert_eq!(old, $model.remove(&key));
            }
            MapOp::Retain(modulus) => {
                $map.retain(|_, value| value.value() % modulus == 0);
                $model.retain(|_, value| *value % modulus == 0);
            }
            MapOp::Clear => {
                $map.clear();
                $model.clear();
            }
            op => pinned_op(op, $ledger, &$pinned, $model),
        }
    };
}

/// The operations that there are under a guard only.
fn pinned_op<'a, S, R, G>(
    op: MapOp,
    ledger: &Ledger,
    map: &sexton::Pinned<'a, HashMap<u8, Tracked, S, R>, G>,
    model: &mut Model,
) where
    S: BuildHasher,
    R: Reclaimer,
    G: std::borrow::Borrow<sexton::Guard<'a, R::Scheme>>,
{
    let tracked = |value| Tracked::new(ledger, value);
    match op {
        MapOp::GetKeyValue(key) => {
            let found = map.get_key_value(&key);
            let found = found.map(|entry| (*entry.key(), entry.value().value()));
            assert_eq!(found, model.get(&key).map(|value| (key, *value)));
        }
        MapOp::TryInsert(key, value) => match map.try_insert(key, tracked(value)) {
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
        MapOp::Update(key, add) => {
            let new = map.update(key, |old| tracked(old.value().wrapping_add(add)));
            let expected = model.get_mut(&key).map(|value| {
                *value = value.wrapping_add(add);
                *value
            });
            assert_eq!(new.map(|new| new.value()), expected);
        }
        MapOp::ComputeInsert(key, value) => {
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
        MapOp::ComputeRemove(key) => {
            let done = map.compute(key, |_| Operation::<_, ()>::Remove);
            match (done, model.remove(&key)) {
                (Compute::Removed(entry), Some(value)) => {
                    assert_eq!((*entry.key(), entry.value().value()), (key, value));
                }
                (Compute::Absent, None) => {}
                (done, removed) => panic!("{done:?}, and the model had {removed:?}"),
            }
        }
        MapOp::ComputeAbort(key) => {
            let seen = map.compute(key, |entry| {
                Operation::Abort(entry.map(|(key, value)| (*key, value.value())))
            });
            let Compute::Aborted(seen) = seen else { panic!("{seen:?}") };
            assert_eq!(seen, model.get(&key).map(|value| (key, *value)));
        }
        MapOp::RemoveEntry(key) => {
            let entry = map.remove_entry(&key);
            let entry = entry.map(|entry| (*entry.key(), entry.value().value()));
            assert_eq!(entry, model.remove_entry(&key));
        }
        MapOp::RemoveIf(key, mask) => {
            let condition = |value: u64| value & mask & 1 == 1;
            let old = map.remove_if(&key, |_, value| condition(value.value()));
            let removed = model.get(&key).copied().filter(|value| condition(*value));
            assert_eq!(old.map(|old| old.value()), removed);
            removed.and_then(|_| model.remove(&key));
        }
        MapOp::Iter => assert_same_entries!(map, model),
        MapOp::Reserve(_) => {}
        op => unreachable!("{op:?} is done above"),
    }
    assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
}

fn map_case<R: Reclaimer, F: Fn() -> R, S: BuildHasher + Clone>(
    subject: &Subject<F>,
    hasher: S,
    sessions: Vec<Session<MapOp, MapAlone>>,
) {
    let (domain, ledger) = (subject.domain(), Ledger::new());
    let new = || {
        let (hasher, domain) = (hasher.clone(), domain.clone());
        HashMap::<u8, Tracked, S, R>::with_capacity_and_hasher_and_reclaimer(0, hasher, domain)
    };
    let mut map = new();
    let mut model = Model::new();
    for session in sessions {
        match session {
            Session::Free(ops) => {
                for op in ops {
                    match op {
                        MapOp::Reserve(more) => {
                            map.reserve(more);
                            assert!(map.capacity() >= map.len() + more);
                        }
                        op => map_op!(op, &ledger, map, map.pin(), &mut model),
                    }
                }
            }
            Session::Pinned(ops) => {
                let pinned = map.pin();
                for op in ops {
                    map_op!(op, &ledger, pinned, pinned, &mut model);
                }
            }
            Session::Alone(MapAlone::GetMut(key, value)) => {
                let found = map.get_mut(&key);
                assert_eq!(found.as_ref().map(|found| found.value()), model.get(&key).copied());
                if let (Some(found), Some(expected)) = (found, model.get_mut(&key)) {
                    *found = Tracked::new(&ledger, value);
                    *expected = value;
                }
            }
            Session::Alone(MapAlone::IterMut(add)) => {
                let mut seen = 0;
                for (key, value) in &mut map {
                    let new = value.value().wrapping_add(add);
                    *value = Tracked::new(&ledger, new);
                    *model.get_mut(key).expect("it is in the model") = new;
                    seen += 1;
                }
                assert_eq!(seen, model.len());
            }
            Session::Alone(MapAlone::Drain(count)) => {
                for (key, value) in map.drain().take(count) {
                    assert_eq!(model.remove(&key), Some(value.value()));
                }
            }
            Session::Alone(MapAlone::IntoIter(count)) => {
                for (key, value) in std::mem::replace(&mut map, new()).into_iter().take(count) {
                    assert_eq!(model.remove(&key), Some(value.value()));
                }
                model.clear();
            }
            Session::Alone(MapAlone::Extend(entries)) => {
                let tracked = |&(key, value)| (key, Tracked::new(&ledger, value));
                map.extend(entries.iter().map(tracked));
                model.extend(entries);
            }
            Session::Alone(MapAlone::ShrinkToFit) => {
                let before = map.capacity();
                map.shrink_to_fit();
                assert!(map.capacity() <= before);
            }
            Session::Alone(MapAlone::CloneAndCompare) => {
                let twin = map.clone();
                assert_eq!(twin, map);
                twin.insert(KEYS, Tracked::new(&ledger, 0));
                assert_ne!(twin, map);
                twin.remove(&KEYS);
                assert_eq!(twin, map);
                if let Some((key, value)) = model.first_key_value() {
                    twin.insert(*key, Tracked::new(&ledger, !value));
                    assert_ne!(twin, map);
                }
            }
        }
        assert_same_entries!(map.pin(), model);
        assert_eq!(map.len(), model.len());
        if subject.is_isolated() && subject.collects() {
            domain.collect();
            assert_eq!(ledger.living(), model.len(), "what is out is dead, what is in lives");
        }
    }
    drop(map);
    subject.settle(domain, &ledger);
}

/// Hashes that meet often: four different ones.
#[derive(Clone, Default)]
struct Crowded(DefaultHasher);

impl Hasher for Crowded {
    fn finish(&self) -> u64 {
        self.0.finish() % 4
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }
}

for_each_scheme! {
    fn a_stack_is_a_vec(subject) {
        check(sessions(list_op(), list_alone()), |sessions| {
            list_case!(sessions, subject, Stack, Vec<u64>, push, pop, last);
        });
    }

    fn a_queue_is_a_deque(subject) {
        check(sessions(list_op(), list_alone()), |sessions| {
            list_case!(sessions, subject, Queue, VecDeque<u64>, push_back, pop_front, front);
        });
    }

    fn a_cell_is_a_value(subject) {
        check((any::<u64>(), sessions(cell_op(), cell_alone())), |(mut model, sessions)| {
            let (domain, ledger) = (subject.domain(), Ledger::new());
            let tracked = |value| Tracked::new(&ledger, value);
            let new = |value| RcuCell::with_reclaimer(tracked(value), domain.clone());
            let mut cell = new(model);
            for session in sessions {
                match session {
                    Session::Free(ops) => ops.into_iter().for_each(|op| match op {
                        CellOp::Load => assert_eq!(cell.load().value(), model),
                        CellOp::Read => assert_eq!(cell.read(Tracked::value), model),
                        CellOp::Store(value) => {
                            cell.store(tracked(value));
                            model = value;
                        }
                        CellOp::TryStore(value) => {
                            cell.try_store(tracked(value)).expect("there is memory");
                            model = value;
                        }
                        CellOp::Swap(value) => {
                            assert_eq!(cell.swap(tracked(value)).value(), model);
                            model = value;
                        }
                        CellOp::Update(add) => {
                            cell.update(|old| tracked(old.value().wrapping_add(add)));
                            model = model.wrapping_add(add);
                        }
                    }),
                    Session::Pinned(ops) => {
                        let (first, start) = (cell.pin(), model);
                        let kept = first.load();
                        let guard = domain.pin();
                        let cell = cell.with(&guard);
                        for op in ops {
                            match op {
                                CellOp::Load | CellOp::Read => {
                                    assert_eq!(cell.load().value(), model);
                                }
                                CellOp::Store(value) => {
                                    cell.store(tracked(value));
                                    model = value;
                                }
                                CellOp::TryStore(value) => {
                                    cell.try_store(tracked(value)).expect("there is memory");
                                    model = value;
                                }
                                CellOp::Swap(value) => {
                                    assert_eq!(cell.swap(tracked(value)).value(), model);
                                    model = value;
                                }
                                CellOp::Update(add) => {
                                    let change = |old: &Tracked| {
                                        tracked(old.value().wrapping_add(add))
                                    };
                                    model = model.wrapping_add(add);
                                    assert_eq!(cell.update(change).value(), model);
                                }
                            }
                        }
                        assert_eq!(kept.value(), start);
                    }
                    Session::Alone(CellAlone::GetMut(value)) => {
                        assert_eq!(cell.get_mut().value(), model);
                        *cell.get_mut() = tracked(value);
                        model = value;
                    }
                    Session::Alone(CellAlone::IntoInner(value)) => {
                        let old = std::mem::replace(&mut cell, new(value));
                        assert_eq!(old.into_inner().value(), model);
                        model = value;
                    }
                }
                if subject.is_isolated() && subject.collects() {
                    domain.collect();
                    assert_eq!(ledger.living(), 1, "what is out is dead, what is in lives");
                }
            }
            assert_eq!(cell.into_inner().value(), model);
            subject.settle(domain, &ledger);
        });
    }

    fn a_map_is_a_map(subject) {
        check(sessions(map_op(), map_alone()), |sessions| {
            map_case(subject, std::hash::RandomState::new(), sessions);
        });
    }

    fn a_map_whose_hashes_meet_is_a_map(subject) {
        check(sessions(map_op(), map_alone()), |sessions| {
            map_case(subject, BuildHasherDefault::<Crowded>::default(), sessions);
        });
    }
}
