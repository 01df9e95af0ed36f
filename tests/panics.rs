//! Panics in users' code: `Drop`, `Hash`, `Eq`, `Clone`, closures, iterators. The structure can be
//! used on, nothing is lost, and nothing is dropped twice.

mod common;

use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::thread;

use common::{Alike, Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::hash_map::Operation;
use sexton::{HashMap, Queue, RcuCell, Stack};

/// A value whose `Drop` panics, if it is told to.
struct Bomb {
    tracked: Tracked,
    armed: bool,
}

impl Bomb {
    fn new(ledger: &Ledger, value: u64, armed: bool) -> Self {
        Self { tracked: Tracked::new(ledger, value), armed }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.tracked.look();
        if self.armed {
            // As `panic!`, but that the hook does not print it.
            resume_unwind(Box::new("a drop panics, as it should in this test"));
        }
    }
}

/// Asserts that `work` panics.
fn assert_panics<T>(work: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err(), "it should have panicked");
}

for_each_scheme! {
    fn a_stack_is_dropped_to_its_end(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        for armed in 0..4 {
            let stack = Stack::with_reclaimer(domain.clone());
            (0..4).for_each(|at| stack.push(Bomb::new(&ledger, at, at == armed)));
            assert_panics(|| drop(stack));
            ledger.assert_all_dead();
            // Some taken, the rest dropped.
            let stack = Stack::with_reclaimer(domain.clone());
            (0..4).for_each(|at| stack.push(Bomb::new(&ledger, at, at == armed)));
            assert_panics(|| {
                let mut values = stack.into_iter();
                assert_eq!(values.next().map(|value| value.tracked.value()), Some(3));
            });
            ledger.assert_all_dead();
        }
        subject.settle(domain, &ledger);
    }

    fn a_queue_is_dropped_to_its_end(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        for armed in 0..4 {
            let queue = Queue::with_reclaimer(domain.clone());
            (0..4).for_each(|at| queue.push(Bomb::new(&ledger, at, at == armed)));
            assert_panics(|| drop(queue));
            ledger.assert_all_dead();
            let queue = Queue::with_reclaimer(domain.clone());
            (0..4).for_each(|at| queue.push(Bomb::new(&ledger, at, at == armed)));
            assert_panics(|| {
                let mut values = queue.into_iter();
                assert_eq!(values.next().map(|value| value.tracked.value()), Some(0));
            });
            ledger.assert_all_dead();
        }
        subject.settle(domain, &ledger);
    }

    fn a_map_is_dropped_to_its_end(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        for armed in 0..8 {
            let fill = || {
                let map = HashMap::with_reclaimer(domain.clone());
                for at in 0..8 {
                    map.pin().insert(at, Bomb::new(&ledger, at, at == armed));
                }
                map
            };
            assert_panics(|| drop(fill()));
            ledger.assert_all_dead();
            assert_panics(|| fill().into_iter().take(3).for_each(drop));
            ledger.assert_all_dead();
            // What a drain had not reached when it panicked is still there.
            let mut map = fill();
            assert_panics(|| map.drain().for_each(drop));
            let left = map.len();
            assert_eq!(map.pin().iter().count(), left);
            assert_eq!(ledger.living(), left);
            drop(map);
            ledger.assert_all_dead();
        }
        subject.settle(domain, &ledger);
    }

    fn a_cell_is_dropped_with_its_value(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Bomb::new(&ledger, 0, true), domain.clone());
        assert_panics(|| drop(cell));
        ledger.assert_all_dead();
        let cell = RcuCell::with_reclaimer(Bomb::new(&ledger, 0, true), domain.clone());
        assert_panics(|| drop(cell.into_inner()));
        ledger.assert_all_dead();
        subject.settle(domain, &ledger);
    }

    /// A loop over a drain that panics leaves what it has not reached.
    fn what_a_drain_has_not_reached_stays(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let mut stack = Stack::with_reclaimer(domain.clone());
        let mut queue = Queue::with_reclaimer(domain.clone());
        stack.extend((0..5).map(|at| Tracked::new(&ledger, at)));
        queue.extend((0..5).map(|at| Tracked::new(&ledger, at)));
        let stop_at = |stop| move |value: Tracked| {
            if value.value() == stop {
                resume_unwind(Box::new("a loop panics, as it should in this test"));
            }
        };
        assert_panics(|| stack.drain().for_each(stop_at(3)));
        assert_panics(|| queue.drain().for_each(stop_at(1)));
        assert_eq!(ledger.living(), 6);
        stack.push(Tracked::new(&ledger, 9));
        queue.push(Tracked::new(&ledger, 9));
        assert!(stack.into_iter().map(|value| value.value()).eq([9, 2, 1, 0]));
        assert!(queue.into_iter().map(|value| value.value()).eq([2, 3, 4, 9]));
        ledger.assert_all_dead();
        subject.settle(domain, &ledger);
    }

    /// Values that were replaced or removed are dropped some time later, by somebody: a panic there
    /// is nobody's, but it is counted.
    fn a_retired_value_that_panics_disturbs_nobody(subject) {
        const ROUNDS: u64 = sized(500, 8) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        let cell = RcuCell::with_reclaimer(Bomb::new(&ledger, 0, false), domain.clone());
        for at in 0..ROUNDS {
            let armed = at % 2 == 0;
            map.pin().insert(at % 3, Bomb::new(&ledger, at, armed));
            if at % 5 == 0 {
                map.pin().remove(&(at % 3));
            }
            cell.store(Bomb::new(&ledger, at, armed));
            if at % 16 == 0 {
                domain.collect();
            }
        }
        map.retain(|_, value| !value.armed);
        cell.store(Bomb::new(&ledger, 7, false));
        assert_eq!(cell.read(|value| value.tracked.value()), 7);
        drop((map, cell));
        subject.collect_all(&domain, &ledger);
        if subject.collects() && subject.is_isolated() {
            assert_eq!(domain.stats().drop_panics, ROUNDS);
            assert_eq!(domain.stats().pending, 0);
        }
        subject.settle(domain, &ledger);
    }

    /// The drop of what a panic carries is user code, too.
    fn a_panic_whose_payload_panics_disturbs_nobody(subject) {
        struct Letter(Bomb);

        impl Drop for Letter {
            fn drop(&mut self) {
                if !self.0.armed {
                    panic_any(Bomb { tracked: self.0.tracked.clone(), armed: true });
                }
            }
        }

        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Letter(Bomb::new(&ledger, 0, false)), domain.clone());
        for at in 0..3 {
            cell.store(Letter(Bomb::new(&ledger, at, false)));
        }
        // The last one is ours.
        let last = catch_unwind(AssertUnwindSafe(|| drop(cell.into_inner())));
        assert_panics(|| drop(last.expect_err("it panics")));
        subject.settle(domain, &ledger);
    }

    /// A thread that panics under a guard, with references in its hands, holds up nobody.
    fn a_thread_that_panics_gives_its_guard_back(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_reclaimer(domain.clone());
        (0..8).for_each(|key| drop(map.insert(key, Tracked::new(&ledger, key))));
        on_threads(2, |_| {
            assert_panics(|| {
                let map = map.pin();
                let kept: Vec<_> = map.iter().collect();
                map.clear();
                kept.iter().for_each(|entry| entry.value().look());
                resume_unwind(Box::new("a thread panics, as it should in this test"));
            });
        });
        assert!(map.is_empty());
        subject.collect_all(&domain, &ledger);
        map.insert(1, Tracked::new(&ledger, 1));
        assert_eq!(map.get(&1).map(|value| value.value()), Some(1));
        drop(map);
        subject.settle(domain, &ledger);
    }

    fn a_cells_closures_may_panic(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 1), domain.clone());
        assert_panics(|| cell.update(|_| resume_unwind(Box::new("no update"))));
        assert_panics(|| cell.pin().update(|_| resume_unwind(Box::new("no update"))).look());
        assert_panics(|| cell.read(|_| resume_unwind(Box::new("no look"))));
        let value = cell.load().value();
        assert_eq!((value, ledger.living()), (1, 1));
        cell.update(|old| Tracked::new(&ledger, old.value() + 1));
        assert_eq!(cell.into_inner().value(), 2);
        subject.settle(domain, &ledger);
    }

    /// What an iterator gave before it panicked is in.
    fn an_iterator_that_panics_while_it_extends(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let values = || {
            (0..6).map(|at| match at {
                4 => resume_unwind(Box::new("an iterator panics, as it should in this test")),
                _ => Tracked::new(&ledger, at),
            })
        };
        let mut stack = Stack::with_reclaimer(domain.clone());
        assert_panics(|| stack.extend(values()));
        assert!(stack.into_iter().map(|value| value.value()).eq([3, 2, 1, 0]));
        let mut queue = Queue::with_reclaimer(domain.clone());
        assert_panics(|| queue.extend(values()));
        assert!(queue.into_iter().map(|value| value.value()).eq(0..4));
        let mut map = HashMap::with_reclaimer(domain.clone());
        assert_panics(|| map.extend(values().map(|value| (value.value(), value))));
        assert_eq!((map.len(), ledger.living()), (4, 4));
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// Each operation of a map, with a panic in the first, second, third, ... call of user code
    /// that it makes: the other entries are untouched, the books add up, and the map works on.
    fn a_map_survives_a_panic_in_any_call(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        // Keys that meet in one place are compared more often.
        for_each_call(subject, &domain, &ledger, Alike::default());
        if !cfg!(miri) {
            for_each_call(subject, &domain, &ledger, std::hash::RandomState::new());
        }
        subject.settle(domain, &ledger);
    }
}

thread_local! {
    /// How many calls of user code are left before one panics.
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// To be called in each piece of user code.
fn burn() {
    match FUSE.get() {
        None => {}
        Some(0) => {
            FUSE.set(None);
            resume_unwind(Box::new("user code panics, as it should in this test"));
        }
        Some(left) => FUSE.set(Some(left - 1)),
    }
}

/// What keys are looked up by.
#[derive(Clone, Copy, Debug)]
struct Id(u64);

impl Hash for Id {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        burn();
        hasher.write_u64(self.0);
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        burn();
        self.0 == other.0
    }
}

impl Eq for Id {}

/// A key, whose every call may panic.
struct Key {
    id: Id,
    tracked: Tracked,
}

impl Key {
    fn new(ledger: &Ledger, id: u64) -> Self {
        Self { id: Id(id), tracked: Tracked::new(ledger, id) }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.tracked.look();
        self.id.hash(hasher);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.tracked.look();
        self.id == other.id
    }
}

impl Eq for Key {}

impl Borrow<Id> for Key {
    fn borrow(&self) -> &Id {
        &self.id
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        burn();
        Self { id: self.id, tracked: self.tracked.clone() }
    }
}

/// A value, whose clone may panic.
struct Value(Tracked);

impl Clone for Value {
    fn clone(&self) -> Self {
        burn();
        Self(self.0.clone())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        burn();
        self.0 == other.0
    }
}

/// Keys that no operation below touches, but for `retain` and `clear`.
const OTHERS: u64 = sized(4, 2) as u64;
/// One that is there, and one that is not.
const PRESENT: u64 = 100;
const ABSENT: u64 = 101;

type Map<S, R> = HashMap<Key, Value, S, R>;
type Act<'o, S, R> = Box<dyn Fn(&mut Map<S, R>) + 'o>;
type Operate<'o, S, R> = (&'static str, Act<'o, S, R>);

fn operations<'o, S, R>(ledger: &'o Ledger) -> Vec<Operate<'o, S, R>>
where
    S: BuildHasher + Clone + 'o,
    R: Reclaimer,
{
    let key = |id| Key::new(ledger, id);
    let value = |number| Value(Tracked::new(ledger, number));
    let mut all: Vec<Operate<'o, S, R>> = Vec::new();
    for id in [PRESENT, ABSENT] {
        let mut add = |name, operate: Act<'o, S, R>| all.push((name, operate));
        add("get", Box::new(move |map| drop(map.get(&Id(id)))));
        add(
            "contains_key",
            Box::new(move |map| {
                assert_eq!(map.contains_key(&Id(id)), id == PRESENT);
            }),
        );
        add(
            "read",
            Box::new(move |map| {
                map.read(&Id(id), |_, _| burn());
            }),
        );
        add("insert", Box::new(move |map| drop(map.insert(key(id), value(1)))));
        add("insert, pinned", Box::new(move |map| drop(map.pin().insert(key(id), value(1)))));
        add("try_insert", Box::new(move |map| drop(map.pin().try_insert(key(id), value(1)))));
        add(
            "get_or_insert_with",
            Box::new(move |map| {
                map.get_or_insert_with(key(id), || {
                    burn();
                    value(1)
                });
            }),
        );
        add(
            "update",
            Box::new(move |map| {
                map.update(key(id), |_| {
                    burn();
                    value(1)
                });
            }),
        );
        add(
            "compute: insert",
            Box::new(move |map| {
                map.pin().compute(key(id), |_| {
                    burn();
                    Operation::<_, ()>::Insert(value(1))
                });
            }),
        );
        add(
            "compute: remove",
            Box::new(move |map| {
                map.pin().compute(key(id), |_| {
                    burn();
                    Operation::<_, ()>::Remove
                });
            }),
        );
        add(
            "compute: abort",
            Box::new(move |map| {
                map.pin().compute(key(id), |_| {
                    burn();
                    Operation::Abort(value(1))
                });
            }),
        );
        add("remove", Box::new(move |map| drop(map.remove(&Id(id)))));
        add(
            "remove_if",
            Box::new(move |map| {
                map.pin().remove_if(&Id(id), |_, _| {
                    burn();
                    true
                });
            }),
        );
        add(
            "get_mut",
            Box::new(move |map| {
                if let Some(present) = map.get_mut(&Id(id)) {
                    *present = value(2);
                }
            }),
        );
        add(
            "retain",
            Box::new(move |map| {
                map.retain(|key, _| {
                    burn();
                    key.id.0 != id
                });
            }),
        );
        add(
            "extend",
            Box::new(move |map| {
                map.extend((0..2).map(|number| {
                    burn();
                    (key(id), value(number))
                }));
            }),
        );
    }
    all.push(("iter", Box::new(|map| map.pin().iter().for_each(|_| burn()))));
    all.push(("iter_mut", Box::new(|map| map.iter_mut().for_each(|_| burn()))));
    all.push(("clone", Box::new(|map| drop(map.clone()))));
    all.push(("==", Box::new(|map| assert!(*map == map.clone()))));
    all
}

/// Of so many calls one panics: under Miri an unwinding takes a second.
const STRIDE: usize = if cfg!(miri) { 11 } else { 1 };

fn for_each_call<R: Reclaimer, F: Fn() -> R, S: BuildHasher + Clone>(
    subject: &Subject<F>,
    domain: &R,
    ledger: &Ledger,
    hasher: S,
) {
    let fill = || {
        let (hasher, domain) = (hasher.clone(), domain.clone());
        let map = Map::with_capacity_and_hasher_and_reclaimer(0, hasher, domain);
        for id in (0..OTHERS).chain([PRESENT]) {
            map.insert(Key::new(ledger, id), Value(Tracked::new(ledger, id)));
        }
        map
    };
    // Under Miri not all of them: each operation is done as often as it calls user code.
    for (name, operate) in operations::<S, R>(ledger).into_iter().step_by(sized(1, 5)) {
        let before = ledger.living();
        for fuse in (0..).step_by(STRIDE) {
            let mut map = fill();
            FUSE.set(Some(fuse));
            let panicked = catch_unwind(AssertUnwindSafe(|| operate(&mut map))).is_err();
            let burnt = FUSE.replace(None).is_none();
            assert_eq!(panicked, burnt, "{name}: a panic of its own");

            for id in 0..OTHERS {
                let value = map.read(&Id(id), |key, value| {
                    assert_eq!(key.tracked.value(), id);
                    value.0.value()
                });
                assert_eq!(value, Some(id), "{name}, call {fuse}: another entry was lost");
            }
            let mut ids: Vec<_> = map.pin().keys().map(|key| key.id.0).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), map.len(), "{name}, call {fuse}: the length is wrong");
            let present = map.contains_key(&Id(PRESENT));
            assert_eq!(ids.contains(&PRESENT), present);
            // It works on.
            for id in [PRESENT, ABSENT] {
                map.insert(Key::new(ledger, id), Value(Tracked::new(ledger, 9)));
                assert_eq!(map.read(&Id(id), |_, value| value.0.value()), Some(9));
                map.pin().remove(&Id(id)).expect("it was just inserted");
            }
            assert_eq!(map.len(), OTHERS as usize);
            if subject.is_isolated() && subject.collects() {
                domain.collect();
                let expected = before + 2 * OTHERS as usize;
                assert_eq!(ledger.living(), expected, "{name}, call {fuse}: the books are wrong");
            }
            drop(map);
            if !panicked {
                assert!(fuse > 0, "{name}: no user code was called");
                break;
            }
        }
    }
}

/// Only to see that the tests above can fail: a fuse burns down, and then panics once.
#[test]
fn a_fuse_burns_down() {
    FUSE.set(Some(2));
    burn();
    burn();
    assert_panics(burn);
    burn();
    // And a thread has its own.
    FUSE.set(Some(0));
    thread::spawn(burn).join().expect("no fuse is set there");
    assert_panics(burn);
}
