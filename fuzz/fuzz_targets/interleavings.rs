//! Three threads that operate on one structure, in a schedule from bytes: their history is linearizable.
#![no_main]
#![cfg(shuttle)]

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sexton::{Domain, Epoch, HashMap, Hazard, Queue, RcuCell, Scheme, SkipMap, Stack};
use sexton_linearizability::{Dice, Operation, Recorder, Subject, cell, check, record};
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, MaxSteps, Runner, thread};

const THREADS: usize = 3;

#[derive(Arbitrary, Clone, Debug)]
struct Input {
    structure: u8,
    hazard: bool,
    /// What the operations are chosen by.
    seed: u64,
    /// Of each thread.
    operations: u8,
    /// At each step, which thread goes on; in turns when there are no more.
    schedule: Vec<u8>,
}

/// One execution.
struct FromBytes {
    schedule: std::vec::IntoIter<u8>,
    step: usize,
}

impl Scheduler for FromBytes {
    fn new_execution(&mut self) -> Option<Schedule> {
        (self.step == 0).then(|| Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], _: Option<TaskId>, _: bool) -> Option<TaskId> {
        self.step += 1;
        let choice = self.schedule.next().map_or(self.step, usize::from);
        Some(runnable[choice % runnable.len()].id())
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}

fn history<S: Subject + 'static>(make: fn() -> S, input: Input)
where
    Operation<S>: 'static,
{
    let Input { seed, operations, schedule, .. } = input;
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(100_000);
    config.silence_warnings = true;
    config.stack_size = 256 << 10;
    let scheduler = FromBytes { schedule: schedule.into_iter(), step: 0 };
    Runner::new(scheduler, config).run(move || {
        let shared = Arc::new((make(), Recorder::default()));
        let threads: [_; THREADS] = std::array::from_fn(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let operations = usize::from(operations % 8) + 1;
                record(&shared.1, &shared.0, &mut Dice::new(seed, number), operations)
            })
        });
        let join = |thread: thread::JoinHandle<_>| thread.join().expect("no operation panics");
        if let Err(history) = check::<S>(threads.into_iter().map(join).collect()) {
            panic!("{history}");
        }
    });
}

fn map<S: Scheme>() -> HashMap<u64, u64, BuildHasherDefault<DefaultHasher>, Domain<S>> {
    let hash = BuildHasherDefault::default();
    HashMap::with_capacity_and_hasher_and_reclaimer(0, hash, Domain::new())
}

fn run<S: Scheme>(input: Input) {
    match input.structure % 5 {
        0 => history(|| Stack::<u64, _>::with_reclaimer(Domain::<S>::new()), input),
        1 => history(|| Queue::<u64, _>::with_reclaimer(Domain::<S>::new()), input),
        2 => history(|| RcuCell::with_reclaimer(cell::BEGIN, Domain::<S>::new()), input),
        3 => history(|| SkipMap::<u64, u64, _>::with_reclaimer(Domain::<S>::new()), input),
        _ => history(map::<S>, input),
    }
}

fuzz_target!(|input: Input| {
    if input.hazard { run::<Hazard>(input) } else { run::<Epoch>(input) }
});
