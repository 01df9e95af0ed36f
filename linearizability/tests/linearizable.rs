//! All structures on all schemes are linearizable, and what is not is found out.

use std::hash::{BuildHasherDefault, Hasher, RandomState};
use std::hint::spin_loop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use sexton::{
    CrossbeamEpoch, Domain, Epoch, Haphazard, HashMap, HashSet, Hazard, Leak, Queue, RcuCell,
    Reclaimer, Scheme, SkipMap, Stack,
};
use sexton_linearizability::broken::{
    ForgetfulCell, GropingMap, LatePushQueue, SlowStack, TwoStepMap, UnfairQueue,
};
use sexton_linearizability::{Dice, Recorder, Subject, cell, check, record};

const THREADS: usize = 3;

/// Operations of a thread in a history.
const OPERATIONS: usize = 12;

const HISTORIES: usize = 1500;

/// Lets all threads go at the same moment, as far as there are processors.
struct Start(AtomicUsize);

impl Start {
    fn wait(&self) {
        self.0.fetch_sub(1, SeqCst);
        for spin in 0.. {
            if self.0.load(SeqCst) == 0 {
                return;
            }
            // On a machine with fewer processors than threads.
            if spin % 256 == 255 {
                thread::yield_now();
            }
            spin_loop();
        }
    }
}

/// A history of a new subject.
fn history<S: Subject>(subject: &S, seed: u64) -> Result<(), String> {
    let (recorder, start) = (Recorder::default(), Start(AtomicUsize::new(THREADS)));
    let done = thread::scope(|scope| {
        let run = |thread| {
            let (recorder, start) = (&recorder, &start);
            scope.spawn(move || {
                let mut dice = Dice::new(seed, thread);
                start.wait();
                record(recorder, subject, &mut dice, OPERATIONS)
            })
        };
        let threads: Vec<_> = (0..THREADS).map(run).collect();
        threads.into_iter().map(|thread| thread.join().expect("no operation panics")).collect()
    });
    check::<S>(done)
}

/// Many histories; which one is not linearizable, if one is not.
fn histories<S: Subject>(subject: impl Fn() -> S) -> Result<(), String> {
    (0..HISTORIES as u64).try_for_each(|seed| history(&subject(), seed))
}

fn assert_linearizable<S: Subject>(subject: impl Fn() -> S) {
    if let Err(history) = histories(subject) {
        panic!("{history}");
    }
}

/// The check must find fault; `OPERATIONS` and `HISTORIES` are enough for that.
fn assert_rejected<S: Subject>(subject: impl Fn() -> S) {
    let fault = histories(subject).expect_err("the check has rejected nothing");
    assert!(fault.contains("not linearizable"));
}

/// All keys in one place.
#[derive(Default)]
struct One;

impl Hasher for One {
    fn finish(&self) -> u64 {
        1
    }

    fn write(&mut self, _: &[u8]) {}
}

fn stack<S: Scheme>() {
    assert_linearizable(|| Stack::<u64, Domain<S>>::with_reclaimer(Domain::new()));
}

fn queue<S: Scheme>() {
    assert_linearizable(|| Queue::<u64, Domain<S>>::with_reclaimer(Domain::new()));
}

fn rcu_cell<S: Scheme>() {
    assert_linearizable(|| RcuCell::<u64, Domain<S>>::with_reclaimer(cell::BEGIN, Domain::new()));
}

fn map<S: Scheme>() {
    assert_linearizable(|| HashMap::<u64, u64, _, _>::with_reclaimer(Domain::<S>::new()));
}

fn map_whose_hashes_are_equal<S: Scheme>() {
    type Hash = BuildHasherDefault<One>;
    assert_linearizable(|| {
        let (hash, domain) = (Hash::default(), Domain::<S>::new());
        HashMap::<u64, u64, _, _>::with_capacity_and_hasher_and_reclaimer(0, hash, domain)
    });
}

fn set<S: Scheme>() {
    assert_linearizable(|| HashSet::<u64, _, _>::with_reclaimer(Domain::<S>::new()));
}

fn skip_map<S: Scheme>() {
    assert_linearizable(|| SkipMap::<u64, u64, _>::with_reclaimer(Domain::<S>::new()));
}

/// In the process-wide domains: threads of other tests pin and collect there, too.
fn all_in<R: Reclaimer + Default>() {
    assert_linearizable(Stack::<u64, R>::new);
    assert_linearizable(Queue::<u64, R>::new);
    assert_linearizable(|| RcuCell::<u64, R>::new(cell::BEGIN));
    assert_linearizable(HashMap::<u64, u64, RandomState, R>::default);
    assert_linearizable(SkipMap::<u64, u64, R>::default);
}

macro_rules! on_all_schemes {
    ($($structure:ident)*) => { $(
        mod $structure {
            use super::*;

            #[test]
            fn epoch() {
                super::$structure::<Epoch>();
            }

            #[test]
            fn hazard() {
                super::$structure::<Hazard>();
            }

            #[test]
            fn crossbeam() {
                super::$structure::<CrossbeamEpoch>();
            }

            #[test]
            fn haphazard() {
                super::$structure::<Haphazard>();
            }

            #[test]
            fn leak() {
                super::$structure::<Leak>();
            }
        }
    )* };
}

on_all_schemes! { stack queue rcu_cell map map_whose_hashes_are_equal set skip_map all_in }

#[test]
fn a_queue_that_is_unfair_now_and_then_is_rejected() {
    assert_rejected(UnfairQueue::default);
}

#[test]
fn a_stack_that_pops_all_one_by_one_is_rejected() {
    let stack = || Stack::with_reclaimer(Domain::new());
    assert_rejected(|| SlowStack { stack: stack(), between: thread::yield_now });
}

#[test]
fn a_queue_that_takes_a_push_after_its_end_is_rejected() {
    let queue = || Queue::with_reclaimer(Domain::new());
    assert_rejected(|| LatePushQueue {
        queue: queue(),
        is_closed: Mutex::default(),
        between: thread::yield_now,
    });
}

#[test]
fn an_ordered_map_that_gropes_for_its_first_key_is_rejected() {
    let map = || SkipMap::with_reclaimer(Domain::new());
    assert_rejected(|| GropingMap { map: map(), between: thread::yield_now });
}

#[test]
fn a_map_that_replaces_in_two_steps_is_rejected() {
    let map = || HashMap::with_reclaimer(Domain::new());
    assert_rejected(|| TwoStepMap { map: map(), between: thread::yield_now });
}

#[test]
fn a_cell_that_forgets_an_update_is_rejected() {
    let cell = || RcuCell::with_reclaimer(cell::BEGIN, Domain::new());
    assert_rejected(|| ForgetfulCell { cell: cell(), between: thread::yield_now });
}

/// The same structures, used by one thread, are right: what is rejected is what threads do.
#[test]
fn a_map_that_replaces_in_two_steps_is_right_for_one_thread() {
    let map = TwoStepMap { map: HashMap::with_reclaimer(Domain::new()), between: || () };
    let done = record(&Recorder::default(), &map, &mut Dice::new(0, 0), 100);
    check::<TwoStepMap>(vec![done]).expect("one thread notices nothing");
}
