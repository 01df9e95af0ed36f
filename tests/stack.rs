//! What a stack promises beyond being one: many values at once, and depth.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::Stack;

for_each_scheme! {
    fn all_go_in_and_out_at_once(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stack = Stack::with_reclaimer(domain.clone());
        let tracked = |number| Tracked::new(&ledger, number);
        stack.push_all(None);
        assert!(stack.pop_all().next().is_none());
        stack.push(tracked(0));
        stack.push_all((1..4).map(tracked));
        stack.pin().push_all([tracked(4)]);
        let mut all = stack.pin().pop_all();
        assert!(stack.is_empty());
        stack.push(tracked(9));
        assert_eq!(all.next().map(|value| value.value()), Some(4));
        assert_eq!(ledger.living(), 5);
        assert!(all.map(|value| value.value()).eq([3, 2, 1, 0]));
        // What is not taken out is dropped.
        stack.push_all((0..3).map(tracked));
        drop(stack.pop_all());
        ledger.assert_all_dead();
        drop(stack);
        subject.settle(domain, &ledger);
    }

    /// Values that are pushed together stay together, and those that are taken together are whole.
    fn what_goes_in_together_is_together(subject) {
        const THREADS: usize = sized(4, 3);
        const ROUNDS: usize = sized(1000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stack = Stack::with_reclaimer(domain.clone());
        let counts = on_threads(THREADS, |thread| {
            let mut taken = 0;
            for round in 0..ROUNDS {
                let number = (round * THREADS + thread) as u64;
                stack.push_all((0..3).map(|at| Tracked::new(&ledger, 3 * number + at)));
                if round % 4 == 3 {
                    let all: Vec<_> = stack.pop_all().map(|value| value.value()).collect();
                    assert_eq!(all.len() % 3, 0);
                    for three in all.chunks(3) {
                        assert!(three[0] % 3 == 2 && three[1] + 1 == three[0]);
                        assert_eq!(three[2] + 2, three[0], "another one came between");
                    }
                    taken += all.len();
                }
            }
            taken
        });
        let left = stack.into_iter().count();
        assert_eq!(counts.into_iter().sum::<usize>() + left, 3 * THREADS * ROUNDS);
        subject.settle(domain, &ledger);
    }

    /// Single pops beside those that take all: others hold nodes of a chain that was taken off.
    fn a_pop_beside_one_that_takes_all(subject) {
        const ROUNDS: usize = sized(3000, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stack = Stack::with_reclaimer(domain.clone());
        let counts = on_threads(4, |thread| {
            let mut taken = 0;
            for at in 0..ROUNDS {
                stack.push(Tracked::new(&ledger, at as u64));
                match thread {
                    0 if at % 8 == 0 => taken += stack.pop_all().inspect(Tracked::look).count(),
                    0 => {}
                    _ => taken += stack.pop().inspect(Tracked::look).iter().count(),
                }
            }
            taken
        });
        let left = stack.into_iter().count();
        assert_eq!(counts.into_iter().sum::<usize>() + left, 4 * ROUNDS);
        subject.settle(domain, &ledger);
    }

    fn an_iterator_that_panics_pushes_nothing(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stack = Stack::with_reclaimer(domain.clone());
        stack.push(Tracked::new(&ledger, 7));
        let values = (0..5).map(|at| match at {
            4 => resume_unwind(Box::new("an iterator panics, as it should in this test")),
            _ => Tracked::new(&ledger, at),
        });
        assert!(catch_unwind(AssertUnwindSafe(|| stack.push_all(values))).is_err());
        assert_eq!(ledger.living(), 1);
        assert!(stack.into_iter().map(|value| value.value()).eq([7]));
        subject.settle(domain, &ledger);
    }

    /// An iterator that uses the stack that it is pushed to.
    fn an_iterator_may_use_the_stack(subject) {
        let domain = subject.domain();
        let stack = Stack::with_reclaimer(domain.clone());
        stack.push_all((0..3).inspect(|at| stack.push(10 + at)));
        assert!(stack.pop_all().eq([2, 1, 0, 12, 11, 10]));
    }

    /// Neither drop nor any iterator recurses.
    fn a_deep_stack_is_dropped_without_recursion(subject) {
        const DEPTH: usize = sized(1_000_000, 100);
        let domain = subject.domain();
        for way in 0..3 {
            let stack = Stack::with_reclaimer(domain.clone());
            stack.push_all((0..DEPTH).map(Box::new));
            let work = || match way {
                0 => drop(stack),
                1 => drop(stack.pop_all()),
                _ => assert_eq!(stack.into_iter().count(), DEPTH),
            };
            // A thread of little stack would not survive it.
            std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().stack_size(256 << 10);
                thread.spawn_scoped(scope, work).unwrap().join().unwrap();
            });
        }
        domain.collect();
    }
}
