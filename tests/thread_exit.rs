//! Threads that end: at any time, with anything in their hands, and in great numbers.

mod common;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, Mutex};
use std::{mem, thread};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::{Domain, HashMap, Protection, Queue, RcuCell, Scheme, Stack};

/// Runs at the exit of its thread.
struct AtExit(RefCell<Vec<Box<dyn FnOnce()>>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        for last_will in mem::take(self.0.get_mut()) {
            last_will();
        }
    }
}

thread_local! {
    static EARLY: AtExit = const { AtExit(RefCell::new(Vec::new())) };
    static LATE: AtExit = const { AtExit(RefCell::new(Vec::new())) };
}

/// One of each structure in one domain.
struct House<R: Reclaimer> {
    stack: Stack<Tracked, R>,
    queue: Queue<Tracked, R>,
    cell: RcuCell<Tracked, R>,
    map: HashMap<u64, Tracked, std::hash::RandomState, R>,
    ledger: Ledger,
}

impl<R: Reclaimer> House<R> {
    fn new(domain: &R, ledger: &Ledger) -> Self {
        Self {
            stack: Stack::with_reclaimer(domain.clone()),
            queue: Queue::with_reclaimer(domain.clone()),
            cell: RcuCell::with_reclaimer(Tracked::new(ledger, 0), domain.clone()),
            map: HashMap::with_reclaimer(domain.clone()),
            ledger: ledger.clone(),
        }
    }

    /// Leaves one value more in stack, queue and map than it takes.
    fn visit(&self, key: u64) {
        let value = || Tracked::new(&self.ledger, key);
        for _ in 0..3 {
            self.stack.push(value());
            self.queue.push(value());
        }
        for _ in 0..2 {
            self.stack.pop().expect("there is one").look();
            self.queue.pop().expect("there is one").look();
        }
        self.cell.pin().update(|old| Tracked::new(&self.ledger, old.value() + 1)).look();
        let map = self.map.pin();
        map.insert(key, value());
        map.insert(key, value());
        map.insert(u64::MAX - key, value());
        map.remove(&(u64::MAX - key)).expect("it was just inserted").look();
        map.get(&key).expect("it was just inserted").look();
    }

    fn assert_visits(&self, visits: usize) {
        assert_eq!(self.map.len(), visits);
        assert_eq!(self.cell.load().value(), visits as u64);
        assert_eq!(std::iter::from_fn(|| self.stack.pop()).count(), visits);
        assert_eq!(std::iter::from_fn(|| self.queue.pop()).count(), visits);
    }
}

for_each_scheme! {
    /// Whether they were registered before the thread first pinned, or after, or it never pinned.
    fn thread_local_destructors_use_structures(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let house = Arc::new(House::new(&domain, &ledger));
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let mut visits = 0;
        for pins_before in [true, false] {
            let mut last_wills = (0..2).map(|_| {
                visits += 1;
                let (house, outcomes) = (Arc::clone(&house), Arc::clone(&outcomes));
                Box::new(move || {
                    // A panic would end the process.
                    let visit = || house.visit(visits);
                    outcomes.lock().unwrap().push(catch_unwind(AssertUnwindSafe(visit)).is_ok());
                }) as Box<dyn FnOnce() + Send>
            });
            let (early, late) = (last_wills.next().unwrap(), last_wills.next().unwrap());
            drop(last_wills);
            let between = pins_before.then(|| {
                visits += 1;
                (Arc::clone(&house), visits)
            });
            thread::spawn(move || {
                EARLY.with(|at_exit| at_exit.0.borrow_mut().push(early));
                if let Some((house, key)) = between {
                    house.visit(key);
                }
                LATE.with(|at_exit| at_exit.0.borrow_mut().push(late));
            })
            .join()
            .expect("the thread itself is well");
        }
        assert_eq!(*outcomes.lock().unwrap(), [true; 4]);
        house.assert_visits(visits as usize);
        drop(house);
        subject.settle(domain, &ledger);
    }

    /// The structures, their domain's last handle and all that is pending go with a thread-local.
    fn a_structure_may_die_in_a_thread_local(subject) {
        let ledger = Ledger::new();
        for _ in 0..sized(20, 2) {
            let (domain, ledger) = (subject.domain(), ledger.clone());
            thread::spawn(move || {
                let house = House::new(&domain, &ledger);
                house.visit(1);
                drop(domain);
                EARLY.with(|at_exit| at_exit.0.borrow_mut().push(Box::new(|| drop(house))));
            })
            .join()
            .expect("the thread itself is well");
        }
        if subject.is_isolated() {
            ledger.assert_all_dead();
        } else {
            subject.settle(subject.domain(), &ledger);
        }
    }

    /// A thread that ends in the middle of something, with a guard and references that it forgot,
    /// breaks nothing for others.
    fn a_thread_that_forgets_its_guard_breaks_nothing(subject) {
        /// Domains that a forgotten guard stalls: reachable, so that nothing is leaked.
        static STALLED: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

        if !subject.is_isolated() {
            // It would stall the process-wide domain, for all other tests.
            return;
        }
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let house = House::new(&domain, &ledger);
        on_threads(2, |thread| {
            house.visit(thread as u64);
            let map = house.map.pin();
            mem::forget(map.get(&(thread as u64)));
            mem::forget(house.cell.pin());
            mem::forget(map);
        });
        on_threads(2, |thread| house.visit(2 + thread as u64));
        house.assert_visits(4);
        drop(house);
        domain.collect();
        if <R::Scheme as Scheme>::PROTECTION == Protection::Region {
            ledger.assert_no_fault();
            STALLED.lock().unwrap().push(Box::new(domain));
        } else {
            drop(domain);
            ledger.assert_all_dead();
        }
    }

    /// A thread that exits with much garbage, of which each piece makes more.
    fn an_exiting_thread_with_much_garbage_needs_little_stack(subject) {
        struct Last<R: Reclaimer>(Tracked, Arc<Stack<Tracked, R>>, Ledger);

        impl<R: Reclaimer> Drop for Last<R> {
            fn drop(&mut self) {
                self.0.look();
                self.1.push(Tracked::new(&self.2, 0));
                drop(self.1.pop());
                self.1.reclaimer().collect();
            }
        }

        const VALUES: usize = sized(20_000, 66);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        // A domain of its own for what the drops use, so that no domain keeps itself alive.
        let stack = Arc::new(Stack::with_reclaimer(subject.domain()));
        on_threads(1, |_| {
            let map = HashMap::<_, _, _, R>::with_reclaimer(domain.clone());
            let guard = domain.pin();
            for key in 0..VALUES {
                let last = Last(Tracked::new(&ledger, 0), Arc::clone(&stack), ledger.clone());
                map.with(&guard).insert(key % 3, last);
            }
            drop(guard);
        });
        subject.collect_all(&domain, &ledger);
        drop(domain);
        drop(stack);
        if subject.is_isolated() {
            ledger.assert_all_dead();
        } else {
            ledger.assert_no_fault();
        }
    }

    /// A thread that is exiting has no record of its own: what drops retire there goes somewhere else.
    fn collecting_while_exiting_leaves_nothing(subject) {
        struct Heir<R: Reclaimer>(u64, R, Tracked, Ledger);

        impl<R: Reclaimer> Heir<R> {
            fn new(after: u64, domain: &R, ledger: &Ledger) -> Self {
                Self(after, domain.clone(), Tracked::new(ledger, after), ledger.clone())
            }

            fn retire(self) {
                let domain = self.1.clone();
                let stack = Stack::with_reclaimer(domain.clone());
                stack.push(0);
                stack.pop();
                let guard = domain.pin();
                let node = guard.owned(self).into_ptr();
                // SAFETY: made in this domain, and known to nobody else.
                unsafe { guard.retire(node) };
            }
        }

        impl<R: Reclaimer> Drop for Heir<R> {
            fn drop(&mut self) {
                self.2.look();
                if self.0 > 0 {
                    Self::new(self.0 - 1, &self.1, &self.3).retire();
                }
            }
        }

        if !subject.is_isolated() || !subject.collects() {
            return;
        }
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let (heir, same) = (Heir::new(3, &domain, &ledger), domain.clone());
        let pending = Arc::new(Mutex::new(None));
        let left = Arc::clone(&pending);
        thread::spawn(move || {
            EARLY.with(|at_exit| {
                at_exit.0.borrow_mut().push(Box::new(move || {
                    heir.retire();
                    same.collect();
                    *left.lock().unwrap() = Some(same.stats().pending);
                }));
            });
            // So that the thread's record goes before that.
            drop(domain.pin());
        })
        .join()
        .expect("the thread itself is well");
        assert_eq!(*pending.lock().unwrap(), Some(0));
        ledger.assert_all_dead();
    }

    fn thousands_of_short_threads_leave_nothing_pending(subject) {
        const THREADS: usize = sized(1000, 6);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let house = House::new(&domain, &ledger);
        for batch in 0..THREADS / 2 {
            on_threads(2, |thread| house.visit((2 * batch + thread) as u64));
            if subject.is_isolated() && subject.collects() && batch % 100 == 0 {
                domain.collect();
                assert_eq!(domain.stats().pending, 0, "garbage of a thread that has gone");
            }
        }
        house.assert_visits(THREADS);
        drop(house);
        subject.collect_all(&domain, &ledger);
        if subject.is_isolated() && subject.collects() {
            // Nodes that have no value are not in the ledger.
            domain.collect();
            assert_eq!((domain.stats().pending, domain.stats().pending_bytes), (0, 0));
        }
        subject.settle(domain, &ledger);
    }
}

/// A thread that has forgotten a guard keeps its place in the domain, and nobody is given that place.
fn a_forgotten_guard_is_in_nobodys_way<S: Scheme>() {
    let domain = Domain::<S>::new();
    on_threads(1, |_| mem::forget(domain.pin()));
    const SUCCESSORS: usize = 8;
    let meeting = Barrier::new(SUCCESSORS);
    on_threads(SUCCESSORS, |_| {
        drop(domain.pin());
        meeting.wait();
        // Each has a record of its own, also when it has no guard.
        assert_eq!(domain.stats().threads, 1 + SUCCESSORS as u64);
        meeting.wait();
    });
}

#[test]
fn a_forgotten_guard_of_epochs_is_in_nobodys_way() {
    a_forgotten_guard_is_in_nobodys_way::<sexton::Epoch>();
}

#[test]
fn a_forgotten_guard_of_hazard_pointers_is_in_nobodys_way() {
    a_forgotten_guard_is_in_nobodys_way::<sexton::Hazard>();
}
