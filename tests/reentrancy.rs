//! User code that uses the structure by which it is called: closures, iterations, `Clone`, `Drop`,
//! with guards and references in the caller's hands. Nothing waits for itself, and nothing is lost.

mod common;

use std::cell::Cell;
use std::sync::{Arc, Weak};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, sized};
use sexton::hash_map::{Compute, Operation};
use sexton::{HashMap, Queue, RcuCell, Stack};

for_each_scheme! {
    /// What a closure does comes first; if that was to its own entry, the closure runs again.
    fn a_maps_closures_may_use_the_map(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
        let value = |number| Tracked::new(&ledger, number);
        let pinned = map.pin();
        let zero = pinned.get_or_insert_with(0, || {
            map.insert(1, value(1));
            map.insert(0, value(7));
            value(0)
        });
        assert_eq!(zero.value(), 7, "it was present when the closure had ended");

        let runs = Cell::new(0);
        let updated = pinned.update(0, |old| {
            if runs.replace(runs.get() + 1) == 0 {
                map.insert(0, value(10));
                map.remove(&1);
            }
            value(old.value() + 1)
        });
        assert_eq!((updated.unwrap().value(), runs.get()), (11, 2));
        assert_eq!(zero.value(), 7);

        runs.set(0);
        let done = pinned.compute(0, |entry| {
            if runs.replace(runs.get() + 1) == 0 {
                assert_eq!(entry.unwrap().1.value(), 11);
                map.remove(&0);
            } else {
                assert!(entry.is_none());
            }
            Operation::<_, ()>::Insert(value(20))
        });
        assert!(matches!(done, Compute::Inserted(_)));
        drop(done);

        runs.set(0);
        let removed = pinned.remove_if(&0, |_, found| {
            runs.set(runs.get() + 1);
            if found.value() == 20 {
                map.insert(0, value(21));
            }
            true
        });
        assert_eq!((removed.unwrap().value(), runs.get()), (21, 2));

        (0..10).for_each(|key| drop(map.insert(key, value(key))));
        map.retain(|key, _| {
            // It removes what is before it and behind it, and itself.
            map.remove(&(key ^ 1));
            if key % 3 == 0 {
                map.remove(key);
            }
            true
        });
        for entry in pinned.iter() {
            assert!(pinned.remove(&(entry.key() ^ 1)).is_none(), "one of each pair was left");
            map.insert(100 + entry.key(), value(0));
            map.remove(&(100 + entry.key()));
            entry.value().look();
        }
        map.read(&5, |_, _| map.clear());
        map.clear();
        assert!(pinned.is_empty());
        drop(zero);
        drop(pinned);
        drop(map);
        subject.settle(domain, &ledger);
    }

    fn a_cells_closures_may_use_the_cell(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 1), domain.clone());
        let runs = Cell::new(0);
        cell.update(|old| {
            if runs.replace(runs.get() + 1) == 0 {
                cell.store(Tracked::new(&ledger, 10));
                cell.update(|old| Tracked::new(&ledger, old.value() + 1));
            }
            Tracked::new(&ledger, 2 * old.value())
        });
        assert_eq!((cell.load().value(), runs.get()), (22, 2));
        cell.read(|value| {
            cell.store(Tracked::new(&ledger, 0));
            domain.collect();
            assert_eq!(value.value(), 22);
        });
        drop(cell);
        subject.settle(domain, &ledger);
    }

    /// Values that use, when they are dropped, the structures that they were in.
    fn a_drop_may_use_the_structure_that_the_value_was_in(subject) {
        struct Home<R: Reclaimer> {
            map: HashMap<u64, Resident<R>, std::hash::RandomState, R>,
            cell: RcuCell<Resident<R>, R>,
            stack: Stack<Tracked, R>,
            queue: Queue<Tracked, R>,
            ledger: Ledger,
        }

        struct Resident<R: Reclaimer> {
            own: Tracked,
            left: u64,
            home: Weak<Home<R>>,
        }

        impl<R: Reclaimer> Resident<R> {
            fn new(ledger: &Ledger, left: u64, home: &Weak<Home<R>>) -> Self {
                Self { own: Tracked::new(ledger, left), left, home: Weak::clone(home) }
            }
        }

        impl<R: Reclaimer> Drop for Resident<R> {
            fn drop(&mut self) {
                self.own.look();
                let Some(home) = self.home.upgrade() else { return };
                home.stack.push(Tracked::new(&home.ledger, 0));
                home.queue.push(Tracked::new(&home.ledger, 0));
                drop((home.stack.pop(), home.queue.pop()));
                if let Some(left) = self.left.checked_sub(1) {
                    let map = home.map.pin();
                    map.insert(left % 4, Self::new(&home.ledger, left, &self.home));
                    map.remove(&(left % 3));
                    home.cell.store(Self::new(&home.ledger, 0, &self.home));
                }
            }
        }

        let (domain, ledger) = (subject.domain(), Ledger::new());
        let home = Arc::new_cyclic(|home| Home {
            map: HashMap::with_reclaimer(domain.clone()),
            cell: RcuCell::with_reclaimer(Resident::new(&ledger, 0, home), domain.clone()),
            stack: Stack::with_reclaimer(domain.clone()),
            queue: Queue::with_reclaimer(domain.clone()),
            ledger: ledger.clone(),
        });
        let weak = Arc::downgrade(&home);
        for key in 0..sized(300, 8) as u64 {
            home.map.pin().insert(key % 7, Resident::new(&ledger, key % 20, &weak));
            home.cell.store(Resident::new(&ledger, key % 5, &weak));
            if key % 32 == 0 {
                home.map.clear();
                domain.collect();
            }
        }
        home.map.clear();
        // What the drops insert is in the map. So not all is dead, but the dead are dead once.
        domain.collect();
        ledger.assert_no_fault();
        drop(home);
        subject.settle(domain, &ledger);
    }

    /// A guard or a reference that the caller has does not stop what the caller does.
    fn nothing_waits_for_what_the_caller_holds(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let value = |number| Tracked::new(&ledger, number);
        let map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
        let cell = RcuCell::with_reclaimer(value(0), domain.clone());
        let outer = domain.pin();
        let (map_out, cell_out) = (map.with(&outer), cell.with(&outer));
        let mut kept = Vec::new();
        for key in 0..sized(200, 20) as u64 {
            // The table grows while there are references into it.
            assert!(map_out.insert(key, value(key)).is_none());
            kept.push(map_out.get(&key).expect("it was just inserted"));
            kept.push(cell_out.swap(value(key)));
        }
        map.clear();
        map.reserve(1000);
        domain.collect();
        for (at, kept) in kept.iter().enumerate() {
            let expected = if at % 2 == 0 { at / 2 } else { (at / 2).saturating_sub(1) };
            assert_eq!(kept.value(), expected as u64);
        }
        drop(kept);
        drop(outer);
        drop((map, cell));
        subject.settle(domain, &ledger);
    }
}
