//! A cell that may be empty, and exchanges that depend on what is there.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::{Changed, RcuCell, RcuOption, Ref};

for_each_scheme! {
    fn an_option_is_there_or_not(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let tracked = |number| Some(Tracked::new(&ledger, number));
        let mut cell = RcuOption::with_reclaimer(None, domain.clone());
        assert!(cell.is_none() && cell.load().is_none() && cell.take().is_none());
        assert!(cell.get_mut().is_none());
        cell.store(tracked(1));
        assert!(!cell.is_none());
        assert_eq!(cell.load().map(|value| value.value()), Some(1));
        assert_eq!(cell.read(|value| value.map(Tracked::value)), Some(1));
        cell.try_store(tracked(2)).expect("there is memory");
        assert_eq!(cell.pin().swap(None).map(|value| value.value()), Some(2));
        assert!(cell.pin().swap(tracked(3)).is_none());
        cell.update(|old| tracked(old.unwrap().value() + 1));
        cell.update(|old| old.cloned());
        assert_eq!(cell.pin().take().map(|value| value.value()), Some(4));
        assert!(cell.pin().update(|old| old.map(|_| panic!("there is none"))).is_none());
        cell.store(tracked(5));
        *cell.get_mut().unwrap() = Tracked::new(&ledger, 6);
        let panics = || cell.update(|_| resume_unwind(Box::new("no update")));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(cell.into_inner().map(|value| value.value()), Some(6));
        subject.collect_all(&domain, &ledger);
        drop(RcuOption::with_reclaimer(tracked(7), domain.clone()));
        subject.settle(domain, &ledger);
    }

    /// What is retired is the link's own pointer: that of a mapped reference may only be read.
    fn an_exchange_takes_a_mapped_reference(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuOption::with_reclaimer(Some(Tracked::new(&ledger, 1)), domain.clone());
        let pinned = cell.pin();
        let one = Ref::map(pinned.load().expect("it is there"), |value| value);
        let new = pinned.compare_exchange(Some(&one), Some(Tracked::new(&ledger, 2)));
        assert_eq!(new.expect("nobody else is here").map(|new| new.value()), Some(2));
        assert_eq!(one.value(), 1);
        drop(one);
        drop(pinned);
        drop(cell);
        subject.settle(domain, &ledger);
    }

    fn an_exchange_wants_the_very_value(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let tracked = |number| Tracked::new(&ledger, number);
        let cell = RcuCell::with_reclaimer(tracked(1), domain.clone());
        let other = RcuCell::with_reclaimer(tracked(1), domain.clone());
        let (pinned, elsewhere) = (cell.pin(), other.pin());
        let Err(Changed { current, new }) = pinned.compare_exchange(&elsewhere.load(), tracked(2))
        else {
            panic!("it is equal, but another one");
        };
        assert_eq!((current.value(), new.value()), (1, 2));
        let new = pinned.compare_exchange(&current, new).unwrap();
        assert_eq!((new.value(), cell.load().value()), (2, 2));
        // The old one does not come back, though it is still covered.
        assert!(pinned.compare_exchange(&current, tracked(3)).is_err());
        assert_eq!(current.value(), 1);
        drop((current, new));
        drop((pinned, elsewhere));
        drop((cell, other));

        let cell = RcuOption::with_reclaimer(None, domain.clone());
        {
            let pinned = cell.pin();
            let one = pinned.compare_exchange(None, Some(tracked(1))).unwrap();
            let Err(Changed { current, new }) = pinned.compare_exchange(None, Some(tracked(2)))
            else {
                panic!("there was one");
            };
            assert_eq!(current.as_deref().map(Tracked::value), Some(1));
            assert_eq!(new.as_ref().map(Tracked::value), Some(2));
            assert!(pinned.compare_exchange(one.as_ref(), None).unwrap().is_none());
            assert!(pinned.compare_exchange(one.as_ref(), new).is_err());
        }
        assert!(cell.is_none());
        drop(cell);
        subject.settle(domain, &ledger);
    }

    fn exchanges_lose_no_increment(subject) {
        const THREADS: usize = sized(4, 3);
        const ROUNDS: usize = sized(1000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone());
        on_threads(THREADS, |_| {
            for _ in 0..ROUNDS {
                let pinned = cell.pin();
                let mut current = pinned.load();
                loop {
                    let new = Tracked::new(&ledger, current.value() + 1);
                    match pinned.compare_exchange(&current, new) {
                        Ok(_) => break,
                        Err(changed) => current = changed.current,
                    }
                }
            }
        });
        assert_eq!(cell.into_inner().value(), (THREADS * ROUNDS) as u64);
        subject.settle(domain, &ledger);
    }

    /// What one puts in, one takes out.
    fn each_value_is_taken_once(subject) {
        const ROUNDS: usize = sized(2000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuOption::with_reclaimer(None, domain.clone());
        let counts = on_threads(3, |thread| {
            let mut balance = 0_isize;
            for at in 0..ROUNDS {
                let pinned = cell.pin();
                if thread == 0 {
                    let new = Some(Tracked::new(&ledger, at as u64));
                    balance += isize::from(pinned.compare_exchange(None, new).is_ok());
                } else if let Some(taken) = pinned.take() {
                    taken.look();
                    balance -= 1;
                }
            }
            balance
        });
        assert_eq!(counts.into_iter().sum::<isize>(), isize::from(!cell.is_none()));
        drop(cell);
        subject.settle(domain, &ledger);
    }

    /// What is reported is another than was expected, though it has gone meanwhile.
    fn who_expects_none_in_vain_is_shown_a_value(subject) {
        const ROUNDS: usize = sized(20_000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuOption::with_reclaimer(None, domain.clone());
        on_threads(2, |thread| {
            for at in 0..ROUNDS {
                let pinned = cell.pin();
                let new = Some(Tracked::new(&ledger, at as u64));
                if thread == 0 {
                    pinned.store(new);
                    pinned.take();
                } else if let Err(changed) = pinned.compare_exchange(None, new) {
                    changed.current.expect("none was expected: that is no failure").look();
                }
            }
        });
        drop(cell);
        subject.settle(domain, &ledger);
    }

    fn values_of_no_size(subject) {
        let domain = subject.domain();
        let cell = RcuCell::with_reclaimer((), domain.clone());
        {
            let pinned = cell.pin();
            let first = pinned.load();
            assert!(pinned.compare_exchange(&first, ()).is_ok());
            assert!(pinned.compare_exchange(&first, ()).is_err(), "each has an address of its own");
            let _: Ref<'_, (), _> = pinned.swap(());
        }
        drop(cell);
        // Such a value may begin where its block ends: LeakSanitizer takes what still waits for leaked.
        domain.collect();
    }
}
