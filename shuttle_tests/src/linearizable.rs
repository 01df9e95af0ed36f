//! Histories of all structures are linearizable, and what is not is found out: see
//! `linearizability/`, where the same is done with the machine's threads.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::panic::catch_unwind;
use std::sync::Arc;

use sexton::{Domain, HashMap, HashSet, Queue, RcuCell, Scheme, SkipMap, Stack};
use sexton_linearizability::broken::{
    ForgetfulCell, GropingMap, SlowStack, TwoStepMap, UnfairQueue,
};
use sexton_linearizability::{Dice, Recorder, Subject, cell, check, record};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::PctScheduler;
use shuttle::thread;

use crate::run::run;

const THREADS: usize = 3;

/// Operations of a thread.
const OPERATIONS: usize = 6;

/// A history of operations, which differ from execution to execution.
fn assert_linearizable<S: Subject + 'static>(subject: S)
where
    sexton_linearizability::Operation<S>: 'static,
{
    let shared = Arc::new((subject, Recorder::default()));
    let seed = thread_rng().r#gen();
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                record(&shared.1, &shared.0, &mut Dice::new(seed, number), OPERATIONS)
            })
        })
        .collect();
    let join = |thread: thread::JoinHandle<_>| thread.join().expect("no operation panics");
    if let Err(history) = check::<S>(threads.into_iter().map(join).collect()) {
        panic!("{history}");
    }
}

fn stack<S: Scheme>() {
    assert_linearizable(Stack::<u64, Domain<S>>::with_reclaimer(Domain::new()));
}

fn queue<S: Scheme>() {
    assert_linearizable(Queue::<u64, Domain<S>>::with_reclaimer(Domain::new()));
}

fn rcu_cell<S: Scheme>() {
    assert_linearizable(RcuCell::<u64, Domain<S>>::with_reclaimer(cell::BEGIN, Domain::new()));
}

/// Always the same, so that a schedule can be replayed.
type Hash = BuildHasherDefault<DefaultHasher>;

fn map<S: Scheme>() {
    let (hash, domain) = (Hash::default(), Domain::<S>::new());
    let map = HashMap::<u64, u64, _, _>::with_capacity_and_hasher_and_reclaimer(0, hash, domain);
    assert_linearizable(map);
}

fn set<S: Scheme>() {
    let (hash, domain) = (Hash::default(), Domain::<S>::new());
    let set = HashSet::<u64, _, _>::with_capacity_and_hasher_and_reclaimer(0, hash, domain);
    assert_linearizable(set);
}

fn skip_map<S: Scheme>() {
    assert_linearizable(SkipMap::<u64, u64, Domain<S>>::with_reclaimer(Domain::new()));
}

crate::on_our_schemes! { stack queue rcu_cell map set skip_map }

/// Asserts that a scenario fails. The rarest failure takes some 60 schedules of this kind, and would
/// take thousands if the next thread were picked at random.
fn assert_rejected(scenario: fn()) {
    let outcome = catch_unwind(|| run(PctScheduler::new(3, 10_000), scenario));
    assert!(outcome.is_err(), "the check has rejected nothing");
}

#[test]
fn a_queue_that_is_unfair_now_and_then_is_rejected() {
    assert_rejected(|| assert_linearizable(UnfairQueue::default()));
}

#[test]
fn a_stack_that_pops_all_one_by_one_is_rejected() {
    assert_rejected(|| {
        let stack = Stack::with_reclaimer(Domain::new());
        assert_linearizable(SlowStack { stack, between: || () });
    });
}

#[test]
fn an_ordered_map_that_gropes_for_its_first_key_is_rejected() {
    assert_rejected(|| {
        let map = SkipMap::with_reclaimer(Domain::new());
        assert_linearizable(GropingMap { map, between: || () });
    });
}

#[test]
fn a_map_that_replaces_in_two_steps_is_rejected() {
    assert_rejected(|| {
        let map = HashMap::with_reclaimer(Domain::new());
        assert_linearizable(TwoStepMap { map, between: || () });
    });
}

#[test]
fn a_cell_that_forgets_an_update_is_rejected() {
    assert_rejected(|| {
        let cell = RcuCell::with_reclaimer(cell::BEGIN, Domain::new());
        assert_linearizable(ForgetfulCell { cell, between: || () });
    });
}
