//! Domains and their handles: whose guard serves where, and who holds up whom.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use common::{CrossbeamEpoch, Haphazard, Leak, Ledger, Subject, Tracked, for_each_scheme};
use sexton::{Domain, GlobalScheme, HashMap, Queue, RcuCell, Reclaimer, Stack};

/// Asserts that `work` panics because of a foreign guard.
fn assert_refused(work: impl FnOnce()) {
    let panic = catch_unwind(AssertUnwindSafe(work)).expect_err("a foreign guard was taken");
    let message = panic.downcast::<&str>().expect("a message");
    assert!(message.contains("another domain"), "an unclear message: {message}");
}

/// A guard of the process-wide domain has the type of one of an owned domain: the address tells.
fn guards_of_owned_and_global_domains_are_told_apart<S: GlobalScheme>() {
    let domain = Domain::<S>::new();
    let marker = S::default();
    let (owned, global) = (domain.pin(), marker.pin());
    assert!(owned.is_of(&domain) && !owned.is_of(&marker));
    assert!(global.is_of(&marker) && !global.is_of(&domain));
    let (ours, everybodys) = (Stack::with_reclaimer(domain.clone()), Stack::<_, S>::new());
    ours.with(&owned).push(1);
    everybodys.with(&global).push(2);
    assert_refused(|| ours.with(&global).push(3));
    assert_refused(|| everybodys.with(&owned).push(3));
    assert_eq!((ours.pop(), everybodys.pop()), (Some(1), Some(2)));
}

#[test]
#[cfg_attr(miri, ignore = "crossbeam-epoch fails under stacked borrows by itself; see xtask")]
fn guards_of_owned_and_global_domains_are_told_apart_crossbeam() {
    guards_of_owned_and_global_domains_are_told_apart::<CrossbeamEpoch>();
}

#[test]
fn guards_of_owned_and_global_domains_are_told_apart_haphazard() {
    guards_of_owned_and_global_domains_are_told_apart::<Haphazard>();
}

#[test]
fn guards_of_owned_and_global_domains_are_told_apart_leak() {
    guards_of_owned_and_global_domains_are_told_apart::<Leak>();
}

/// A user's own collector, which other users of that crate share.
#[test]
#[cfg_attr(miri, ignore = "crossbeam-epoch fails under stacked borrows by itself; see xtask")]
fn a_crossbeam_collector_may_be_the_users() {
    let collector = crossbeam_epoch::Collector::new();
    let ledger = Ledger::new();
    let (one, two) = (Domain::from(collector.clone()), Domain::from(collector));
    assert_ne!(one, two, "the collector is shared, the domains are not");
    let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), one.clone());
    cell.store(Tracked::new(&ledger, 1));
    assert_refused(|| drop(cell.with(&two.pin()).load()));
    drop(cell);
    one.collect();
    drop((one, two));
    ledger.assert_all_dead();
}

for_each_scheme! {
    fn every_structure_refuses_a_foreign_guard(subject) {
        let (domain, other) = (subject.domain(), subject.domain());
        let stack = Stack::with_reclaimer(domain.clone());
        let queue = Queue::with_reclaimer(domain.clone());
        let cell = RcuCell::with_reclaimer(1, domain.clone());
        let map = HashMap::<_, _, _, R>::with_reclaimer(domain.clone());
        let (own, foreign) = (domain.pin(), other.pin());
        stack.with(&own).push(1);
        queue.with(&own).push(1);
        cell.with(&own).store(1);
        map.with(&own).insert(1, 1);
        if subject.is_isolated() {
            assert_refused(|| stack.with(&foreign).push(2));
            assert_refused(|| queue.with(&foreign).push(2));
            assert_refused(|| cell.with(&foreign).store(2));
            assert_refused(|| drop(map.with(&foreign).insert(2, 2)));
        } else {
            assert!(foreign.is_of(&domain), "there is one domain only");
        }
        assert_eq!((stack.pop(), stack.pop()), (Some(1), None));
        assert_eq!((queue.pop(), queue.pop()), (Some(1), None));
        assert_eq!((cell.load(), map.len()), (1, 1));
    }

    /// A structure keeps its domain alive, and is told by its handle.
    fn a_structure_is_a_handle(subject) {
        let ledger = Ledger::new();
        let map = {
            let domain = subject.domain();
            let map = HashMap::<_, _, _, R>::with_reclaimer(domain.clone());
            assert!(domain.pin().is_of(map.reclaimer()));
            map
        };
        for value in 0..10 {
            map.insert(1, Tracked::new(&ledger, value));
        }
        assert!(map.reclaimer().stats().retired >= 9);
        let twin = map.clone();
        assert!(map.reclaimer().pin().is_of(twin.reclaimer()), "a clone is of the same domain");
        drop(map);
        assert_eq!(twin.get(&1).map(|value| value.value()), Some(9));
        let domain = twin.reclaimer().clone();
        drop(twin);
        subject.settle(domain, &ledger);
    }

    /// A thread that sleeps under a guard of one domain holds up nothing in another.
    fn a_sleeping_reader_bounds_nothing_but_its_own_domain(subject) {
        if !subject.is_isolated() {
            // There is one domain only.
            return;
        }
        let (sleepy, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), sleepy.clone());
        thread::scope(|scope| {
            let (asleep, is_asleep) = mpsc::channel();
            let (wake, is_awake) = mpsc::channel::<()>();
            let cell = &cell;
            let sleeper = scope.spawn(move || {
                let pinned = cell.pin();
                let value = pinned.load();
                asleep.send(()).expect("the test waits");
                // An error is a wake-up too.
                let _ = is_awake.recv();
                assert_eq!(value.value(), 0);
            });
            is_asleep.recv().expect("the sleeper sleeps");
            cell.store(Tracked::new(&ledger, 1));
            let (domain, others) = (subject.domain(), Ledger::new());
            let other = RcuCell::with_reclaimer(Tracked::new(&others, 0), domain.clone());
            (0..100).for_each(|value| other.store(Tracked::new(&others, value)));
            drop(other);
            subject.settle(domain, &others);
            sleepy.collect();
            assert_eq!(ledger.living(), 2, "the sleeper's value was freed");
            drop(wake);
            sleeper.join().expect("it slept well");
        });
        drop(cell);
        subject.settle(sleepy, &ledger);
    }
}
