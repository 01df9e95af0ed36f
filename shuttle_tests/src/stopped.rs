//! Lock-freedom: one thread stops, at any step of any operation, and all others get their work done.
//! And when it goes on after that, nothing is lost.

use std::hash::{BuildHasherDefault, DefaultHasher};

use sexton::conformance::{Ledger, Tracked};
use sexton::hash_map::Operation;
use sexton::sync::Ordering::AcqRel;
use sexton::{Atomic, Domain, HashMap, Owned, Ptr, Queue, RcuCell, Reclaimer, SkipMap, Stack};

use crate::run::Ours;
use crate::stop::Stopping;

/// What is under test, and its values' lives.
struct Shared<C> {
    structure: C,
    ledger: Ledger,
}

impl<C> Shared<C> {
    fn value(&self, value: u64) -> Tracked {
        Tracked::new(&self.ledger, value)
    }
}

/// One record's share of the bound in the head of `src/hazard.rs`: 2 B' + H + 16, for 4 threads and as
/// many records again for those who collect.
const SHARE: u64 = {
    let slots = 8 * sexton::hazard::SLOTS as u64;
    2 * (2 * slots) + slots + 16
};

/// While a thread has stopped, others may do what they like: with a scheme that is bounded, what waits
/// to be freed becomes more by a bag at most (the thread may have stopped while it looked into one).
fn assert_bounded<S: Ours>(domain: &Domain<S>, work: impl Fn()) {
    let pending = || {
        domain.collect();
        domain.stats().pending
    };
    let rounds = if S::BOUNDED { 2 * SHARE } else { 20 };
    let before = pending();
    (0..rounds).for_each(|_| work());
    let after = pending();
    assert!(!S::BOUNDED || after <= before + SHARE, "{before} objects waited, and then {after}");
}

fn assert_nothing_is_left<S: Ours>(domain: &Domain<S>, ledger: &Ledger) {
    domain.collect();
    assert_eq!(domain.stats().pending, 0);
    ledger.assert_all_dead();
}

type StackOf<S> = Shared<Stack<Tracked, Domain<S>>>;

fn stack<S: Ours>() {
    Stopping::<StackOf<S>> {
        begin: || {
            let structure = Stack::with_reclaimer(Domain::new());
            let shared = Shared { structure, ledger: Ledger::new() };
            shared.structure.push(shared.value(0));
            shared
        },
        victim: |shared| {
            shared.structure.push(shared.value(1));
            drop(shared.structure.pop());
            drop(shared.structure.pop());
            shared.structure.push(shared.value(2));
            shared.structure.reclaimer().collect();
        },
        others: |shared, number| {
            for round in 0..3 {
                shared.structure.push(shared.value(10 * number + round));
                drop(shared.structure.pop());
            }
            shared.structure.reclaimer().collect();
        },
        meanwhile: |shared| {
            while shared.structure.pop().is_some() {}
            assert!(shared.structure.is_empty());
            assert_bounded(shared.structure.reclaimer(), || {
                shared.structure.push(shared.value(99));
                drop(shared.structure.pop());
            });
        },
        end: |shared| {
            let domain = shared.structure.reclaimer().clone();
            drop(shared.structure);
            assert_nothing_is_left(&domain, &shared.ledger);
        },
    }
    .sweep();
}

type QueueOf<S> = Shared<Queue<Tracked, Domain<S>>>;

fn queue<S: Ours>() {
    Stopping::<QueueOf<S>> {
        begin: || {
            let structure = Queue::with_reclaimer(Domain::new());
            let shared = Shared { structure, ledger: Ledger::new() };
            shared.structure.push(shared.value(0));
            shared
        },
        victim: |shared| {
            shared.structure.push(shared.value(1));
            drop(shared.structure.pop());
            drop(shared.structure.pop());
            shared.structure.push(shared.value(2));
            shared.structure.reclaimer().collect();
        },
        others: |shared, number| {
            for round in 0..3 {
                shared.structure.push(shared.value(10 * number + round));
                drop(shared.structure.pop());
            }
            shared.structure.reclaimer().collect();
        },
        meanwhile: |shared| {
            while shared.structure.pop().is_some() {}
            // One goes in and the same comes out, whatever the victim was about.
            assert_bounded(shared.structure.reclaimer(), || {
                shared.structure.push(shared.value(99));
                assert_eq!(shared.structure.pop().map(|value| value.value()), Some(99));
            });
        },
        end: |shared| {
            let domain = shared.structure.reclaimer().clone();
            drop(shared.structure);
            assert_nothing_is_left(&domain, &shared.ledger);
        },
    }
    .sweep();
}

type CellOf<S> = Shared<RcuCell<Tracked, Domain<S>>>;

fn rcu_cell<S: Ours>() {
    Stopping::<CellOf<S>> {
        begin: || {
            let ledger = Ledger::new();
            let structure = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), Domain::new());
            Shared { structure, ledger }
        },
        victim: |shared| {
            let cell = shared.structure.pin();
            cell.load().look();
            cell.swap(shared.value(0)).look();
            cell.store(shared.value(0));
            cell.update(|old| shared.value(old.value() + 1)).look();
            drop(cell);
            shared.structure.reclaimer().collect();
        },
        others: |shared, _| {
            for _ in 0..3 {
                shared.structure.update(|old| shared.value(old.value() + 1));
                shared.structure.read(Tracked::look);
            }
            shared.structure.reclaimer().collect();
        },
        meanwhile: |shared| {
            assert_bounded(shared.structure.reclaimer(), || {
                shared.structure.store(shared.value(7));
                assert_eq!(shared.structure.load().value(), 7);
            });
        },
        end: |shared| {
            let domain = shared.structure.reclaimer().clone();
            drop(shared.structure);
            assert_nothing_is_left(&domain, &shared.ledger);
        },
    }
    .sweep();
}

type MapOf<S> = Shared<HashMap<u64, Tracked, BuildHasherDefault<DefaultHasher>, Domain<S>>>;

/// The table grows under the victim's hands, and under the others'.
fn hash_map<S: Ours>() {
    Stopping::<MapOf<S>> {
        begin: || {
            let (hash, domain) = (BuildHasherDefault::default(), Domain::new());
            let structure = HashMap::with_capacity_and_hasher_and_reclaimer(0, hash, domain);
            let shared = Shared { structure, ledger: Ledger::new() };
            shared.structure.pin().insert(0, shared.value(0));
            shared
        },
        victim: |shared| {
            let map = shared.structure.pin();
            (1..5).for_each(|key| drop(map.insert(key, shared.value(key))));
            map.get(&0);
            map.insert(1, shared.value(11));
            map.compute(2, |_| Operation::<_, ()>::Remove);
            map.remove(&3);
            map.iter().for_each(|entry| entry.value().look());
            drop(map);
            shared.structure.reclaimer().collect();
        },
        others: |shared, number| {
            let map = shared.structure.pin();
            for key in 10 * (number + 1)..10 * (number + 1) + 4 {
                assert!(map.insert(key, shared.value(key)).is_none());
                assert!(map.get(&key).is_some_and(|value| value.value() == key));
            }
            // And where the victim may be.
            map.insert(1, shared.value(number));
            map.remove(&2);
            map.update(3, |old| shared.value(old.value()));
            assert!(map.get(&0).is_some_and(|value| value.value() == 0));
            drop(map);
            shared.structure.reclaimer().collect();
        },
        meanwhile: |shared| {
            let map = shared.structure.pin();
            for key in (10..14).chain(20..24) {
                assert!(map.remove(&key).is_some_and(|value| value.value() == key));
            }
            map.retain(|_, _| false);
            assert_eq!(map.iter().count(), 0);
            assert!(map.insert(99, shared.value(99)).is_none());
            assert!(map.contains_key(&99));
            drop(map);
            assert_bounded(shared.structure.reclaimer(), || {
                assert!(shared.structure.pin().insert(99, shared.value(99)).is_some());
            });
        },
        end: |shared| {
            assert!(shared.structure.pin().contains_key(&99));
            let domain = shared.structure.reclaimer().clone();
            drop(shared.structure);
            assert_nothing_is_left(&domain, &shared.ledger);
        },
    }
    .sweep();
}

type SkipMapOf<S> = Shared<SkipMap<u64, Tracked, Domain<S>>>;

fn skip_map<S: Ours>() {
    Stopping::<SkipMapOf<S>> {
        begin: || {
            let structure = SkipMap::with_reclaimer(Domain::new());
            let shared = Shared { structure, ledger: Ledger::new() };
            (0..3).for_each(|key| drop(shared.structure.pin().insert(10 * key, shared.value(0))));
            shared
        },
        victim: |shared| {
            let map = shared.structure.pin();
            map.insert(5, shared.value(5));
            map.insert(10, shared.value(11));
            map.remove(&20);
            map.pop_first();
            map.iter().for_each(|entry| entry.value().look());
            drop(map);
            shared.structure.reclaimer().collect();
        },
        others: |shared, number| {
            let map = shared.structure.pin();
            for key in [6, 15, 30] {
                let key = key + number;
                assert!(map.insert(key, shared.value(key)).is_none());
                assert!(map.get(&key).is_some_and(|value| value.value() == key));
            }
            // And where the victim may be.
            map.remove(&5);
            map.insert(10, shared.value(number));
            drop(map);
            shared.structure.reclaimer().collect();
        },
        meanwhile: |shared| {
            let map = shared.structure.pin();
            // The victim may pop the first.
            for key in [15, 16, 30, 31] {
                assert!(map.remove(&key).is_some_and(|value| value.value() == key));
            }
            map.clear();
            assert_eq!(map.iter().count(), 0);
            assert!(map.insert(99, shared.value(99)).is_none());
            drop(map);
            assert_bounded(shared.structure.reclaimer(), || {
                assert!(shared.structure.pin().insert(99, shared.value(99)).is_some());
            });
        },
        end: |shared| {
            let domain = shared.structure.reclaimer().clone();
            drop(shared.structure);
            assert_nothing_is_left(&domain, &shared.ledger);
        },
    }
    .sweep();
}

/// A link, without a structure around it.
struct Link<S: Ours> {
    domain: Domain<S>,
    link: Atomic<Tracked>,
}

impl<S: Ours> Drop for Link<S> {
    fn drop(&mut self) {
        let node = self.link.swap(Ptr::null(), AcqRel);
        // SAFETY: borrowed exclusively, and linked nodes are not retired.
        drop(unsafe { Owned::<Tracked, S>::from_ptr(node) });
    }
}

fn replace<S: Ours>(shared: &Shared<Link<S>>) {
    let guard = shared.structure.domain.pin();
    let new = guard.owned(shared.value(0)).into_ptr();
    let old = shared.structure.link.swap(new, AcqRel);
    // SAFETY: just unlinked, by us, from the one place where it stood.
    unsafe { guard.retire(old) };
    guard.reclaim(8);
}

/// The core of a scheme: a thread that stops while it registers, pins, protects, retires, scans or
/// advances, collects, exits.
fn scheme<S: Ours>() {
    Stopping::<Shared<Link<S>>> {
        begin: || {
            let (domain, ledger) = (Domain::<S>::new(), Ledger::new());
            let node = domain.pin().owned(Tracked::new(&ledger, 0)).into_ptr();
            Shared { structure: Link { domain, link: Atomic::new(node) }, ledger }
        },
        victim: |shared| {
            let guard = shared.structure.domain.pin();
            let mut shields = [0; 3].map(|_| guard.shield());
            for shield in &mut shields {
                shield.protect(&shared.structure.link);
                // SAFETY: nodes of this domain, retired by the rule.
                unsafe { shield.as_ref() }.expect("never null").look();
            }
            drop(shields);
            drop(guard);
            (0..6).for_each(|_| replace(shared));
            shared.structure.domain.collect();
        },
        others: |shared, _| {
            (0..10).for_each(|_| replace(shared));
            shared.structure.domain.collect();
        },
        meanwhile: |shared| {
            assert_bounded(&shared.structure.domain, || replace(shared));
        },
        end: |shared| {
            let domain = shared.structure.domain.clone();
            drop(shared.structure);
            assert_nothing_is_left(&domain, &shared.ledger);
        },
    }
    .sweep();
}

macro_rules! stopped {
    ($($structure:ident)*) => { $(
        mod $structure {
            #[test]
            fn epoch() {
                super::$structure::<sexton::Epoch>();
            }

            #[test]
            fn hazard() {
                super::$structure::<sexton::Hazard>();
            }
        }
    )* };
}

stopped! { scheme stack queue rcu_cell hash_map skip_map }
