//! Users' code under a skip map: an `Ord` that panics at each of its comparisons in turn, one that
//! lies, closures and a `Drop` that use the map again. Nothing is lost, and nothing is dropped
//! twice.

mod common;

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, sized};
use sexton::SkipMap;
use sexton::skip_map::{Compute, Operation};

thread_local! {
    /// How many comparisons go well before one panics.
    static PATIENCE: Cell<usize> = const { Cell::new(usize::MAX) };
    /// What decides, where keys lie: a number that changes with each comparison.
    static WHIM: Cell<u64> = const { Cell::new(1) };
    /// What parrots say, in turns; if it is nothing they tell the truth.
    static WORDS: RefCell<Vec<Ordering>> = const { RefCell::new(Vec::new()) };
    static SPOKEN: Cell<usize> = const { Cell::new(0) };
}

/// A key that panics when it is told to.
struct Touchy(Tracked);

impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> Ordering {
        match PATIENCE.get() {
            usize::MAX => {}
            // As `panic!`, but that the hook does not print it.
            0 => resume_unwind(Box::new("a comparison panics, as it should in this test")),
            left => PATIENCE.set(left - 1),
        }
        self.0.value().cmp(&other.0.value())
    }
}

/// A key that compares as it likes.
struct Liar(Tracked);

impl Ord for Liar {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.look();
        other.0.look();
        let whim = WHIM.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        WHIM.set(whim);
        [Ordering::Less, Ordering::Greater, Ordering::Equal][(whim >> 40) as usize % 3]
    }
}

macro_rules! order {
    ($($key:ident),*) => { $(
        impl PartialOrd for $key {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl PartialEq for $key {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other) == Ordering::Equal
            }
        }

        impl Eq for $key {}
    )* };
}
order!(Touchy, Liar, Parrot, Number);

/// A key that says the same things over and over again, once it was told to.
struct Parrot(u32);

impl Parrot {
    /// What it says, and how often it has said something.
    fn teach(words: &[Ordering]) {
        WORDS.with_borrow_mut(|taught| *taught = words.to_vec());
        SPOKEN.set(0);
    }
}

impl Ord for Parrot {
    fn cmp(&self, other: &Self) -> Ordering {
        WORDS.with_borrow(|words| {
            let spoken = SPOKEN.get();
            SPOKEN.set(spoken + 1);
            assert!(spoken < 10_000, "there is no end to it: {words:?}");
            words.get(spoken % words.len().max(1)).copied().unwrap_or(self.0.cmp(&other.0))
        })
    }
}

/// A key whose order is wrong for one value, as it happens.
#[derive(Clone, Copy, Debug)]
struct Number(f64);

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Less)
    }
}

/// An operation on a map, with one who makes keys, and a value.
type Work<R> = fn(&SkipMap<Touchy, Tracked, R>, &dyn Fn(u64) -> Touchy, Tracked);

/// An operation on a map of parrots.
type Call<R> = fn(&SkipMap<Parrot, (), R>);

/// Runs `work` with so many comparisons; true if it panicked.
fn panics_after<T>(comparisons: usize, work: impl FnOnce() -> T) -> bool {
    PATIENCE.set(comparisons);
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(work()))).is_err();
    PATIENCE.set(usize::MAX);
    panicked
}

for_each_scheme! {
    /// Each comparison of each operation panics once.
    fn an_order_that_panics_loses_nothing(subject) {
        const ENTRIES: u64 = sized(40, 12) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let key = |number| Touchy(Tracked::new(&ledger, number));
        let value = |number| Tracked::new(&ledger, number);
        let operations: [Work<R>; 8] = [
            |map, key, value| drop(map.pin().insert(key(15), value)),
            |map, key, value| drop(map.pin().insert(key(16), value)),
            |map, key, _| drop(map.pin().remove(&key(18))),
            |map, key, _| drop(map.pin().get(&key(20))),
            |map, _, _| drop(map.pin().pop_first()),
            |map, _, _| drop(map.pin().pop_last()),
            |map, key, _| assert!(map.pin().remove_range(key(3)..key(9)) <= 3),
            |map, _, _| map.pin().retain(|_, value| value.value() % 6 != 0),
        ];
        for operation in operations {
            let map = SkipMap::<_, _, R>::with_reclaimer(domain.clone());
            let fill = || (0..ENTRIES).for_each(|at| drop(map.pin().insert(key(2 * at), value(at))));
            fill();
            let mut comparisons = 0;
            while panics_after(comparisons, || operation(&map, &key, value(7))) {
                let seen = map.pin().iter().count();
                assert_eq!(map.len(), seen, "with {comparisons} comparisons");
                comparisons += if cfg!(miri) { 3 } else { 1 };
                if comparisons % 8 == 0 {
                    fill();
                }
            }
            let keys: Vec<_> = map.pin().keys().map(|key| key.0.value()).collect();
            assert!(keys.is_sorted_by(|one, two| one < two), "{keys:?}");
        }
        subject.settle(domain, &ledger);
    }

    /// With an order that lies there is no telling what is found. But all that was born dies, once.
    fn an_order_that_lies_drops_each_entry_once(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        for seed in 0..sized(20, 2) as u64 {
            WHIM.set(seed);
            let key = || Liar(Tracked::new(&ledger, 0));
            let mut map = SkipMap::<_, _, R>::with_reclaimer(domain.clone());
            for round in 0..sized(200, 20) {
                let value = Tracked::new(&ledger, 0);
                match round % 9 {
                    0..4 => drop(map.pin().insert(key(), value)),
                    4 => drop(map.pin().try_insert(key(), value)),
                    5 => drop(map.pin().remove(&key())),
                    6 => drop(map.pin().pop_last()),
                    7 => map.pin().iter().take(50).for_each(|entry| entry.value().look()),
                    _ => drop(map.pin().pop_first()),
                }
            }
            map.iter_mut().for_each(|(_, value)| *value = Tracked::new(&ledger, 1));
            map.drain().take(3).for_each(drop);
            drop(map.pin().insert(key(), Tracked::new(&ledger, 0)));
        }
        subject.settle(domain, &ledger);
    }

    /// Each operation comes to an end, whatever comparisons say.
    fn an_order_that_says_the_same_again_and_again_leads_nobody_in_circles(subject) {
        let domain = subject.domain();
        let operations: [Call<R>; 7] = [
            |map| drop(map.pin().insert(Parrot(50), ())),
            |map| drop(map.pin().get(&Parrot(50))),
            |map| drop(map.pin().remove(&Parrot(50))),
            |map| drop(map.pin().range(Parrot(50)..).next()),
            |map| drop(map.pin().range(..Parrot(50)).next_back()),
            |map| drop(map.pin().pop_first()),
            |map| drop(map.pin().pop_last()),
        ];
        let words = [Ordering::Less, Ordering::Equal, Ordering::Greater];
        // Under Miri one of them: less, greater, less.
        for number in (0..27).skip(sized(0, 6)).step_by(sized(1, 27)) {
            let speech = [0, 1, 2].map(|at| words[number / 3_usize.pow(at) % 3]);
            for operation in operations {
                // Of two leaves, the second of which has one key.
                let map = SkipMap::<_, _, R>::with_reclaimer(domain.clone());
                (0..31).for_each(|key| drop(map.pin().insert(Parrot(key), ())));
                Parrot::teach(&speech);
                operation(&map);
                Parrot::teach(&[]);
            }
        }
        subject.settle(domain, &Ledger::new());
    }

    /// Keys that are all less than one another: an iteration of a map that nobody changes ends.
    fn an_iteration_ends_though_a_number_is_none(subject) {
        let domain = subject.domain();
        let map = SkipMap::<_, _, R>::with_reclaimer(domain.clone());
        // In a leaf of its own, and in the midst of one.
        let keys = (0..30).map(f64::from).chain([f64::NAN]).chain((30..75).map(f64::from));
        keys.chain([f64::NAN, 7.5]).for_each(|key| drop(map.pin().insert(Number(key), ())));
        let (len, pinned) = (map.len(), map.pin());
        assert!(pinned.iter().take(2 * len).count() <= len);
        assert!(pinned.iter().rev().take(2 * len).count() <= len);
        drop(pinned);
        subject.settle(domain, &Ledger::new());
    }

    /// What a closure does comes first; if that was to its own entry, the closure runs again.
    fn a_maps_closures_may_use_the_map(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::<u64, Tracked, R>::with_reclaimer(domain.clone());
        let value = |number| Tracked::new(&ledger, number);
        let pinned = map.pin();
        let zero = pinned.get_or_insert_with(0, || {
            drop(map.pin().insert(1, value(1)));
            drop(map.pin().insert(0, value(7)));
            value(0)
        });
        assert_eq!(zero.value(), 7, "it was present when the closure had ended");

        let runs = Cell::new(0);
        let updated = pinned.update(0, |old| {
            if runs.replace(runs.get() + 1) == 0 {
                drop(map.pin().insert(0, value(10)));
                drop(map.pin().remove(&1));
            }
            value(old.value() + 1)
        });
        assert_eq!((updated.unwrap().value(), runs.get()), (11, 2));
        assert_eq!(zero.value(), 7);
        drop(zero);

        runs.set(0);
        let done = pinned.compute(0, |entry| {
            if runs.replace(runs.get() + 1) == 0 {
                assert_eq!(entry.unwrap().1.value(), 11);
                drop(map.pin().remove(&0));
            } else {
                assert!(entry.is_none());
            }
            Operation::<_, ()>::Insert(value(20))
        });
        assert!(matches!(done, Compute::Inserted(_)));
        drop(done);

        (1..20).for_each(|key| drop(pinned.insert(key, value(key))));
        pinned.retain(|key, _| {
            // The one ahead, and itself.
            drop(map.pin().remove(&(key + 1)));
            drop(map.pin().remove(key));
            false
        });
        assert!(map.is_empty());
        drop(pinned);
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// A value's `Drop` finds the map as it is.
    fn a_drop_may_use_the_map(subject) {
        struct Heir<R: Reclaimer> {
            tracked: Tracked,
            ledger: Ledger,
            map: Weak<SkipMap<u64, Heir<R>, R>>,
        }

        impl<R: Reclaimer> Drop for Heir<R> {
            fn drop(&mut self) {
                let key = self.tracked.value();
                if let (Some(map), true) = (self.map.upgrade(), key < 100) {
                    map.pin().get(&key);
                    let heir = Heir {
                        tracked: Tracked::new(&self.ledger, key + 100),
                        ledger: self.ledger.clone(),
                        map: self.map.clone(),
                    };
                    drop(map.pin().insert(key + 100, heir));
                }
            }
        }

        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = Arc::new(SkipMap::<u64, Heir<R>, R>::with_reclaimer(domain.clone()));
        let shared = &*map;
        for key in 0..20 {
            let (tracked, map) = (Tracked::new(&ledger, key), Arc::downgrade(&map));
            let heir = Heir { tracked, ledger: ledger.clone(), map };
            drop(shared.pin().insert(key, heir));
        }
        (0..20).for_each(|key| drop(map.pin().remove(&key)));
        domain.collect();
        let mut map = Arc::into_inner(map).expect("no drop is under way");
        map.drain().take(2).for_each(drop);
        drop(map);
        subject.settle(domain, &ledger);
    }
}

thread_local! {
    /// What else happens during each comparison.
    static MEANWHILE: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// A key whose comparisons have something happen meanwhile, as another thread could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watched(i32);

impl PartialOrd for Watched {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Watched {
    fn cmp(&self, other: &Self) -> Ordering {
        if let Some(mut act) = MEANWHILE.take() {
            act();
            MEANWHILE.set(Some(act));
        }
        self.0.cmp(&other.0)
    }
}

/// At each comparison of a look-up its leaf loses what was the answer, and the leaf on its left gets a
/// better one before.
#[test]
fn a_bound_was_the_bound() {
    const KEYS: i32 = if cfg!(miri) { 40 } else { 100 };
    const COMPARISONS: usize = if cfg!(miri) { 3 } else { 20 };
    for key in (1..KEYS - 1).step_by(sized(1, 13)).map(|number| 10 * number) {
        for moment in 0..COMPARISONS {
            let map = Rc::new(SkipMap::<_, _>::new());
            (0..KEYS).for_each(|number| assert!(map.insert(Watched(10 * number), ()).is_none()));
            let (shared, mut comparisons) = (Rc::clone(&map), 0);
            MEANWHILE.set(Some(Box::new(move || {
                if comparisons == moment {
                    shared.pin().remove(&Watched(key));
                    shared.pin().insert(Watched(key + 5), ());
                    shared.pin().remove(&Watched(key + 10));
                }
                comparisons += 1;
            })));
            let bound = Watched(key + 5);
            let found = map.pin().lower_bound(Bound::Included(&bound)).map(|entry| entry.key().0);
            MEANWHILE.set(None);
            assert!([Some(key + 5), Some(key + 10)].contains(&found), "{found:?} from {key}");
        }
    }
}
