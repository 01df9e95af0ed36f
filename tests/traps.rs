//! Traps in which schemes of this kind have been caught, for both of our own.

mod common;

use std::any::Any;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier as Meeting, Mutex};
use std::time::Instant;
use std::{mem, thread};

use common::{
    Domain, Epoch, Hazard, Ledger, Reclaimer, Scheme, Subject, Tracked, on_threads, sized,
};
use sexton::{Atomic, Guard, Protection, RcuCell, Shield};

/// Makes of each `fn promise(subject) { .. }` a module with a test for each of our own schemes.
/// `owned`: not for the process-wide domains, which other tests share.
macro_rules! for_our_own {
    ($($(#[doc = $doc:literal])* $which:ident fn $promise:ident($subject:ident) $body:block)*) => {$(
        $(#[doc = $doc])*
        mod $promise {
            #[allow(unused_imports)]
            use super::*;

            fn promise<R: Reclaimer, F: Fn() -> R>($subject: &Subject<F>) $body

            #[test]
            fn epoch_owned() {
                promise(&Subject::new(Domain::<Epoch>::new));
            }

            #[test]
            fn epoch_symmetric() {
                promise(&Subject::new(common::symmetric_epoch));
            }

            #[test]
            fn hazard_owned() {
                promise(&Subject::new(Domain::<Hazard>::new));
            }

            #[test]
            fn hazard_symmetric() {
                promise(&Subject::new(common::symmetric_hazard));
            }

            for_our_own!(@$which);
        }
    )*};
    (@owned) => {};
    (@all) => {
        #[test]
        fn epoch_global() {
            promise(&Subject::new(|| Epoch));
        }

        #[test]
        fn hazard_global() {
            promise(&Subject::new(|| Hazard));
        }
    };
}

/// Retires a value that was never shared.
fn retire<T: Send + 'static, S: Scheme>(guard: &Guard<'_, S>, value: T) {
    let node = guard.owned(value).into_ptr();
    // SAFETY: made by a guard of this domain, known to nobody else, and retired once.
    unsafe { guard.retire(node) };
}

fn is_region<R: Reclaimer>() -> bool {
    <R::Scheme as Scheme>::PROTECTION == Protection::Region
}

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
    static ONE: AtExit = const { AtExit(RefCell::new(Vec::new())) };
    static OTHER: AtExit = const { AtExit(RefCell::new(Vec::new())) };
}

/// Has `last_will` run at the exit of this thread. A thread's locals die in the order of their first
/// use or in the reverse, as the platform likes: so there is one that was used before all else.
fn at_exit(which: &'static thread::LocalKey<AtExit>, last_will: impl FnOnce() + 'static) {
    which.with(|at_exit| {
        at_exit.0.borrow_mut().push(Box::new(last_will));
    });
}

/// Keeps something for ever, where tools that look for leaks find it.
fn keep_for_ever<T: Send + Sync + 'static>(value: T) -> &'static T {
    static KEPT: Mutex<Vec<&'static (dyn Any + Send + Sync)>> = Mutex::new(Vec::new());
    let kept: &'static T = Box::leak(Box::new(value));
    KEPT.lock().unwrap().push(kept);
    kept
}

/// As above, for what is bound to its thread and is used by that one only.
struct Bound<T>(T);
// SAFETY: see above; the tests use it on its thread only.
unsafe impl<T> Send for Bound<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Bound<T> {}

for_our_own! {
    /// Of a thread that lives on, and of one that has gone.
    owned fn a_forgotten_guard_keeps_memory_at_worst(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone());
        let forget = || {
            let pinned = cell.pin();
            let held = pinned.load();
            let id = held.id();
            mem::forget(held);
            mem::forget(pinned);
            cell.store(Tracked::new(&ledger, 1));
            id
        };
        let mut held = on_threads(1, |_| forget());
        held.push(forget());
        for round in 0..sized(10_000, 30) {
            cell.store(Tracked::new(&ledger, round as u64));
        }
        domain.collect();
        for id in held {
            ledger.assert_lives(id, "while a forgotten guard covers it");
        }
        if !is_region::<R>() {
            assert_eq!(domain.stats().pending, 2);
        }
        drop((cell, domain));
        ledger.assert_all_dead();
    }

    /// In whichever order they die: the crate's own, and that which holds the guard.
    all fn a_guard_may_die_in_a_thread_local(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let domain: &'static R = keep_for_ever(domain);
        let cell = keep_for_ever(RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone()));
        let outcomes: &'static AtomicUsize = keep_for_ever(AtomicUsize::new(0));
        for before in [true, false] {
            let ledger = ledger.clone();
            thread::spawn(move || {
                // Registers its destructor.
                let keep: &'static thread::LocalKey<AtExit> = if before { &ONE } else { &OTHER };
                if before {
                    at_exit(keep, || ());
                }
                let guard = domain.pin();
                let id = cell.pin().load().id();
                let book = ledger.clone();
                at_exit(keep, move || {
                    // Within that one; and the crate's own thread-local may be gone.
                    retire(&guard, Tracked::new(&book, 1));
                    let within = domain.pin();
                    retire(&within, Tracked::new(&book, 2));
                    drop(guard);
                    retire(&within, Tracked::new(&book, 3));
                    drop(within);
                    if is_region::<R>() && book.lives(id) {
                        outcomes.fetch_add(1, Ordering::Relaxed);
                    }
                    domain.pin().reclaim(8);
                });
                cell.store(Tracked::new(&ledger, 4));
            })
            .join()
            .expect("the thread is well");
        }
        ledger.assert_no_fault();
        if is_region::<R>() {
            // What was retired before the guard's end lives until then, and the thread had not
            // retired enough for anything to be freed.
            assert_eq!(outcomes.load(Ordering::Relaxed), 2);
        }
        domain.collect();
        if subject.is_isolated() {
            assert_eq!(domain.stats().pending, 0);
            assert_eq!(domain.stats().threads, 1, "a record was not given up");
        }
        // Other tests may be at work in the same domain.
        let begin = Instant::now();
        while ledger.living() > 1 && begin.elapsed().as_secs() < 20 {
            thread::yield_now();
            domain.collect();
        }
        assert_eq!(ledger.living(), 1, "all but what is in the cell");
    }

    /// A guard that is never dropped, and a reference that is good for ever, used when the crate's own
    /// thread-local may be gone.
    owned fn a_leaked_guards_reference_outlives_the_threads_record(subject) {
        let ledger = Ledger::new();
        let domain: &'static R = keep_for_ever(subject.domain());
        let cell = keep_for_ever(RcuCell::with_reclaimer(Tracked::new(&ledger, 7), domain.clone()));
        for before in [true, false] {
            let ledger = ledger.clone();
            thread::spawn(move || {
                let keep: &'static thread::LocalKey<AtExit> = if before { &ONE } else { &OTHER };
                if before {
                    at_exit(keep, || ());
                }
                let pinned = &keep_for_ever(Bound(cell.pin())).0;
                let held = pinned.load();
                let book = ledger.clone();
                at_exit(keep, move || {
                    // Others retire, and free what they can.
                    let id = held.id();
                    on_threads(1, |_| {
                        for round in 0..sized(10_000, 30) {
                            cell.store(Tracked::new(&book, round as u64));
                        }
                        domain.collect();
                    });
                    book.assert_lives(id, "while a leaked guard covers it");
                    held.look();
                    mem::forget(held);
                });
                domain.collect();
            })
            .join()
            .expect("the thread is well");
        }
        domain.collect();
        ledger.assert_no_fault();
        // Its records are never given up, as their sections never end.
        assert!(domain.stats().threads <= 3);
    }

    owned fn thousands_of_short_threads_leave_no_records_behind(subject) {
        const GROUPS: usize = if cfg!(miri) {
            2
        } else if cfg!(debug_assertions) {
            125
        } else {
            625
        };
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone());
        let mut most = 0;
        for _ in 0..GROUPS {
            on_threads(8, |thread| {
                for _ in 0..4 {
                    cell.store(Tracked::new(&ledger, thread as u64));
                }
                cell.pin().load().look();
            });
            most = most.max(domain.stats().pending);
        }
        let stats = domain.stats();
        println!("after {} threads, {} pending at most: {stats:?}", 8 * GROUPS, most);
        assert!(stats.threads <= 1, "they have all gone");
        assert_eq!(stats.retired, 32 * GROUPS as u64);
        // Nobody has collected; but the garbage of the dead is taken over.
        assert!(most < 8 * 2 * 4096, "{most} were pending");
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
        drop((cell, domain));
        ledger.assert_all_dead();
    }

    /// Not even with many guards alive, each with shields.
    owned fn a_retire_does_not_cost_a_barrier(subject) {
        for guards in [sized(64, 8), sized(1000, 24)] {
            let domain = subject.domain();
            let source = Atomic::<u64>::null();
            let guards: Vec<_> = (0..guards).map(|_| domain.pin()).collect();
            let shields: Vec<Shield<'_, u64, R::Scheme>> = guards
                .iter()
                .map(|guard| {
                    let mut shield = guard.shield();
                    shield.protect(&source);
                    shield
                })
                .collect();
            let retired = sized(100_000, 300);
            let guard = &guards[guards.len() / 2];
            for number in 0..retired {
                retire(guard, number as u64);
                guard.reclaim(8);
            }
            let stats = domain.stats();
            println!("{} guards: {stats:?}", guards.len());
            assert!(stats.heavy_barriers < (retired / 64) as u64, "{stats:?}");
            if R::Scheme::BOUNDED && !cfg!(miri) {
                assert!(stats.pending < retired as u64 / 2, "{stats:?}");
            }
            drop(shields);
            drop(guards);
            domain.collect();
            assert_eq!(domain.stats().pending, 0);
        }
    }

    /// More shields than a guard has slots, in many guards, which end in any order.
    owned fn many_shields_in_many_guards_each_cover_their_own(subject) {
        const SHIELDS: usize = 20;
        const GUARDS: usize = sized(100, 5);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let sources: Vec<_> = (0..SHIELDS * GUARDS).map(|_| Atomic::<Tracked>::null()).collect();
        let fresh = |number: usize| domain.pin().owned(Tracked::new(&ledger, number as u64)).into_ptr();
        for (number, source) in sources.iter().enumerate() {
            source.store(fresh(number), Ordering::Release);
        }
        // Each in a box, so that they end in any order.
        let guards: Vec<_> =
            (0..GUARDS).map(|_| Box::into_raw(Box::new(domain.pin()))).collect();
        let mut covered: Vec<_> = guards
            .iter()
            .zip(sources.chunks(SHIELDS))
            .map(|(guard, sources)| {
                // SAFETY: from a box, which is freed after its shields.
                let guard = unsafe { &**guard };
                let cover = |source| {
                    let mut shield = guard.shield();
                    shield.protect(source);
                    shield
                };
                Some(sources.iter().map(cover).collect::<Vec<_>>())
            })
            .collect();
        for source in &sources {
            let node = source.swap(sexton::Ptr::null(), Ordering::AcqRel);
            // SAFETY: unlinked just now, by us, and made in this domain.
            unsafe { domain.pin().retire(node) };
        }
        // 37 has no divisor in common with the number of guards.
        let mut left = GUARDS;
        for step in 0..GUARDS {
            domain.collect();
            for shield in covered.iter().flatten().flatten() {
                // SAFETY: made in this domain, and retired by the rule.
                let value = unsafe { shield.as_ref() }.expect("it was there");
                ledger.assert_lives(value.id(), "while a shield covers it");
                value.look();
            }
            if !is_region::<R>() {
                assert_eq!(domain.stats().pending, (left * SHIELDS) as u64);
            }
            let next = (37 * step + 11) % GUARDS;
            // Some are dropped one by one, some with their guard's end in view.
            let mut shields = covered[next].take().expect("each once");
            if step % 2 == 0 {
                shields.reverse();
            }
            drop(shields);
            // SAFETY: from a box; each once, and its shields are gone.
            drop(unsafe { Box::from_raw(guards[next]) });
            left -= 1;
        }
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
        drop((covered, sources));
        ledger.assert_all_dead();
    }

    /// Beyond what a record counts: then memory may be kept, but nothing is freed too early, and other
    /// domains do not know of it.
    owned fn ten_thousand_guards_within_one_another(subject) {
        // (Under Miri too few for that; the tests of `src/record.rs` go as far there.)
        const GUARDS: usize = sized(10_000, 100);
        let (domain, other, ledger) = (subject.domain(), subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone());
        let last = cell.pin();
        let held = last.load();
        let mut guards: Vec<_> = (0..GUARDS).map(|_| domain.pin()).collect();
        cell.store(Tracked::new(&ledger, 1));
        // All end but the first, and not all in the reverse order.
        guards.swap(0, GUARDS / 2);
        drop(guards);
        on_threads(1, |_| {
            (0..sized(5_000, 15)).for_each(|round| cell.store(Tracked::new(&ledger, round as u64)));
            domain.collect();
        });
        ledger.assert_lives(held.id(), "while a guard covers it");
        held.look();
        drop(held);
        drop(last);
        // Guards that come later protect, too.
        let pinned = cell.pin();
        let held = pinned.load();
        on_threads(1, |_| {
            (0..sized(5_000, 15)).for_each(|round| cell.store(Tracked::new(&ledger, round as u64)));
            domain.collect();
        });
        ledger.assert_lives(held.id(), "while a later guard covers it");
        held.look();
        drop(held);
        drop(pinned);
        retire(&other.pin(), 0_u64);
        other.collect();
        assert_eq!(other.stats().pending, 0, "another domain");
        domain.collect();
        if !is_region::<R>() {
            assert_eq!(domain.stats().pending, 0, "hazard pointers do not look at the count");
        }
        drop((cell, domain));
        ledger.assert_all_dead();
    }

    /// The garbage of a thread that is idle and lives is collected by others; and it works on.
    owned fn an_idle_threads_garbage_is_not_kept(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let meeting = Meeting::new(2);
        let pending = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                for _ in 0..5 {
                    for _ in 0..sized(700, 20) {
                        retire(&domain.pin(), Tracked::new(&ledger, 0));
                    }
                    // Idle, while the other collects.
                    meeting.wait();
                    meeting.wait();
                }
            });
            let pending: Vec<_> = (0..5)
                .map(|_| {
                    meeting.wait();
                    domain.collect();
                    let pending = domain.stats().pending;
                    meeting.wait();
                    pending
                })
                .collect();
            worker.join().expect("it is well");
            pending
        });
        assert_eq!(pending, [0; 5]);
        domain.collect();
        ledger.assert_all_dead();
    }

    /// What others have collected from a thread's bag does not count any more when it asks itself
    /// whether there is enough in it to do something about it.
    owned fn a_bag_that_others_have_emptied_is_not_waited_for(subject) {
        const MANY: usize = sized(200_000, 150);
        let domain = subject.domain();
        let meeting = Meeting::new(2);
        let most = AtomicUsize::new(0);
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let burst = || {
                    for number in 0..MANY {
                        retire(&domain.pin(), number as u64);
                        if number % 64 == 0 {
                            most.fetch_max(domain.stats().pending as usize, Ordering::Relaxed);
                        }
                    }
                };
                meeting.wait();
                // While there is a stalled guard.
                burst();
                meeting.wait();
                meeting.wait();
                most.store(0, Ordering::Relaxed);
                burst();
            });
            let stalled = domain.pin();
            meeting.wait();
            meeting.wait();
            // It takes all; and can free it when the guard has ended.
            domain.collect();
            drop(stalled);
            domain.collect();
            let left = domain.stats().pending;
            meeting.wait();
            worker.join().expect("it is well");
            assert_eq!(left, 0);
        });
        let most = most.into_inner();
        println!("{most} pending at most of {MANY}");
        assert!(cfg!(miri) || most < 4 * 2 * 4096, "{most} were pending, though nobody was stalled");
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
    }

    /// One that has nothing is in the way of one that has something.
    owned fn one_collect_finds_what_all_the_dead_have_left(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        drop(domain.pin());
        // So that they have different records, of which only the last has anything in its bag.
        let meeting = Meeting::new(3);
        on_threads(3, |_| {
            let guard = domain.pin();
            if meeting.wait().is_leader() {
                retire(&guard, Tracked::new(&ledger, 0));
            }
        });
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
        ledger.assert_all_dead();
    }

    /// Two threads that collect at the same time, and others that retire, lose nothing.
    owned fn collectors_do_not_rob_one_another(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stop = Arc::new(AtomicBool::new(false));
        let begin = Instant::now();
        on_threads(4, |thread| {
            if thread < 2 {
                while !stop.load(Ordering::Relaxed) {
                    domain.collect();
                }
            } else {
                for _ in 0..sized(20_000, 12) {
                    retire(&domain.pin(), Tracked::new(&ledger, 0));
                }
                stop.store(true, Ordering::Relaxed);
            }
        });
        println!("{:?}: {:?}", begin.elapsed(), domain.stats());
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
        ledger.assert_all_dead();
    }
}
