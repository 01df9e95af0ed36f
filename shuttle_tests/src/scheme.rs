//! The core of a scheme: S1 to S5 of `src/scheme.rs`, with more threads than a model can have.

use std::sync::Arc;

use sexton::conformance::{Ledger, Tracked};
use sexton::sync::Ordering::AcqRel;
use sexton::{Atomic, Domain, Guard, Hazard, Owned, Ptr, Reclaimer, Scheme};
use shuttle::thread;

use crate::run::{explore_times, join, together};

/// Links to values, in a domain.
struct Links<S: Scheme, const N: usize> {
    domain: Domain<S>,
    ledger: Ledger,
    links: [Atomic<Tracked>; N],
}

impl<S: Scheme, const N: usize> Links<S, N> {
    fn new() -> Self {
        let (domain, ledger) = (Domain::new(), Ledger::new());
        let links = core::array::from_fn(|number| {
            let value = Tracked::new(&ledger, number as u64);
            Atomic::new(domain.pin().owned(value).into_ptr())
        });
        Self { domain, ledger, links }
    }

    fn replace(&self, guard: &Guard<'_, S>, link: usize) {
        let new = guard.owned(Tracked::new(&self.ledger, link as u64));
        let old = self.links[link].swap(new.into_ptr(), AcqRel);
        // SAFETY: just unlinked, by us, from the one place where it stood.
        unsafe { guard.retire(old) };
        guard.reclaim(8);
    }

    /// Reads what a link leads to, and again after a while.
    fn read(&self, guard: &Guard<'_, S>, link: usize) {
        let mut shield = guard.shield();
        shield.protect(&self.links[link]);
        // SAFETY: nodes of this domain, retired by the rule.
        let value = unsafe { shield.as_ref() }.expect("the links are never null");
        let id = value.id();
        thread::yield_now();
        // The number first, which stays when the value is gone.
        self.ledger.assert_lives(id, "under a shield");
        assert_eq!((value.id(), value.value()), (id, link as u64));
    }

    /// All that was retired can be freed, and is.
    fn end(self) {
        self.domain.collect();
        assert_eq!(self.domain.stats().pending, 0);
        assert_eq!(self.ledger.living(), N);
        let ledger = self.ledger.clone();
        drop(self);
        ledger.assert_all_dead();
    }
}

impl<S: Scheme, const N: usize> Drop for Links<S, N> {
    fn drop(&mut self) {
        for link in &self.links {
            let node = link.swap(Ptr::null(), AcqRel);
            // SAFETY: borrowed exclusively, and linked nodes are not retired.
            drop(unsafe { Owned::<Tracked, S>::from_ptr(node) });
        }
    }
}

fn replace_often<S: Scheme, const N: usize>(links: &Links<S, N>) {
    for round in 0..6 {
        links.replace(&links.domain.pin(), round % N);
    }
}

fn read_often<S: Scheme, const N: usize>(links: &Links<S, N>) {
    for round in 0..6 {
        links.read(&links.domain.pin(), round % N);
    }
}

/// S1, with two who retire, two who read, and one who collects.
fn what_is_protected_is_not_freed<S: Scheme>() {
    let (links, _) = together(
        Links::<S, 2>::new(),
        [replace_often, replace_often, read_often, read_often, |links| {
            for _ in 0..3 {
                links.domain.collect();
            }
        }],
    );
    links.end();
}

/// A guard that stays open, with guards opened and ended within it, in any order.
fn sections_end_in_any_order<S: Scheme>() {
    let (links, _) = together(
        Links::<S, 2>::new(),
        [
            |links| {
                let outer = links.domain.pin();
                let inner = links.domain.pin();
                links.read(&inner, 0);
                drop(outer);
                links.replace(&inner, 1);
                let last = links.domain.pin();
                drop(inner);
                links.read(&last, 1);
                links.replace(&last, 0);
            },
            replace_often,
            |links| {
                links.domain.collect();
                read_often(links);
            },
        ],
    );
    links.end();
}

/// More shields than a guard has slots at hand.
fn shields_without_limit<S: Scheme>() {
    let (links, _) = together(
        Links::<S, 5>::new(),
        [
            |links| {
                let guard = links.domain.pin();
                let mut shields = core::array::from_fn::<_, 5, _>(|_| guard.shield());
                let ids = core::array::from_fn::<_, 5, _>(|link| {
                    shields[link].protect(&links.links[link]);
                    // SAFETY: nodes of this domain, retired by the rule.
                    unsafe { shields[link].as_ref() }.expect("never null").id()
                });
                thread::yield_now();
                for (shield, id) in shields.iter().zip(ids) {
                    links.ledger.assert_lives(id, "under one of many shields");
                    // SAFETY: as above.
                    assert_eq!(unsafe { shield.as_ref() }.map(Tracked::id), Some(id));
                }
            },
            replace_often,
            |links| {
                replace_often(links);
                links.domain.collect();
            },
        ],
    );
    links.end();
}

/// Threads that come and go leave nothing: their records, with what is in them, are taken over by
/// others, or collected.
fn threads_that_exit_leave_nothing<S: Scheme>() {
    let mut links = Links::<S, 2>::new();
    for _ in 0..3 {
        (links, _) = together(
            links,
            [
                replace_often,
                read_often,
                |links| links.replace(&links.domain.pin(), 1),
                |links| {
                    links.domain.collect();
                },
            ],
        );
    }
    links.end();
}

/// The domain goes while threads that have been in it still run, and exit later.
fn a_domain_goes_before_its_threads<S: Scheme>() {
    let links = Arc::new(Links::<S, 2>::new());
    let ledger = links.ledger.clone();
    let threads = [0, 1, 2].map(|number| {
        let links = Arc::clone(&links);
        thread::spawn(move || {
            links.replace(&links.domain.pin(), number % 2);
            // Whoever is the last, has it go here.
            drop(links);
            thread::yield_now();
        })
    });
    drop(links);
    join(threads);
    ledger.assert_all_dead();
}

/// S4: a thread-local's destructor may use the domain when the thread's own place in it is gone.
fn a_thread_may_pin_while_it_exits<S: Scheme>() {
    /// Uses the domain when it is dropped.
    struct AtExit(Box<dyn Fn()>);

    impl Drop for AtExit {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    shuttle::thread_local! {
        static AT_EXIT: std::cell::RefCell<Vec<AtExit>> = std::cell::RefCell::new(Vec::new());
    }

    let links = Arc::new(Links::<S, 2>::new());
    let threads = [true, false].map(|early| {
        let links = Arc::clone(&links);
        thread::spawn(move || {
            let ours = Arc::clone(&links);
            let at_exit = AtExit(Box::new(move || {
                ours.read(&ours.domain.pin(), 0);
                ours.replace(&ours.domain.pin(), 1);
            }));
            // Before the crate's own thread-locals, or after them.
            if early {
                AT_EXIT.with(|list| list.borrow_mut().push(at_exit));
                links.replace(&links.domain.pin(), 0);
            } else {
                links.replace(&links.domain.pin(), 0);
                AT_EXIT.with(|list| list.borrow_mut().push(at_exit));
            }
        })
    });
    join(threads);
    Arc::into_inner(links).expect("all threads have exited").end();
}

crate::on_our_schemes! {
    what_is_protected_is_not_freed
    sections_end_in_any_order
    shields_without_limit
    threads_that_exit_leave_nothing
    a_domain_goes_before_its_threads
    a_thread_may_pin_while_it_exits
}

/// Slots at hand, threads with a record, and a batch, under shuttle.
const BOUND: u64 = {
    let (slots, threads, batch) = (sexton::hazard::SLOTS as u64, 4, 4);
    let slots = slots * threads;
    let batch = if batch > 2 * slots { batch } else { 2 * slots };
    threads * (4 * batch + slots + 16)
};

/// The bound in the head of `src/hazard.rs`, beside a thread that sleeps with shields open.
fn what_is_pending_is_bounded() {
    const ROUNDS: u64 = 2 * BOUND / 3;

    fn replace_and_look(links: &Links<Hazard, 2>) {
        for round in 0..ROUNDS {
            links.replace(&links.domain.pin(), round as usize % 2);
            let pending = links.domain.stats().pending;
            assert!(pending <= BOUND, "{pending} objects are pending, more than {BOUND}");
        }
    }

    let links = Arc::new(Links::<Hazard, 2>::new());
    let ours = Arc::clone(&links);
    let sleeper = thread::spawn(move || {
        let guard = ours.domain.pin();
        let (mut one, mut two) = (guard.shield(), guard.shield());
        one.protect(&ours.links[0]);
        two.protect(&ours.links[1]);
        thread::park();
        // SAFETY: nodes of this domain, retired by the rule.
        let ids = unsafe { [&one, &two].map(|shield| shield.as_ref().map(Tracked::id)) };
        ids.iter().flatten().for_each(|id| ours.ledger.assert_lives(*id, "under a sleeper"));
    });
    let writers = [0, 1, 2].map(|_| {
        let links = Arc::clone(&links);
        thread::spawn(move || replace_and_look(&links))
    });
    join(writers);
    // More than the bound was retired, else this were in vain; and what the sleeper does not cover
    // can be freed.
    assert!(links.domain.stats().retired > BOUND);
    links.domain.collect();
    assert!(links.domain.stats().pending <= 2);
    sleeper.thread().unpark();
    sleeper.join().expect("it does not panic");
    Arc::into_inner(links).expect("all threads have exited").end();
}

mod bound {
    #[test]
    fn hazard() {
        // An execution has 40,000 steps.
        super::explore_times(50, super::what_is_pending_is_bounded);
    }
}
