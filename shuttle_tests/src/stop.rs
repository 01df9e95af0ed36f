//! A thread that stops: at a step of our choice, until all others are done.
//!
//! Under shuttle each access of an atomic is a step, and the scheduler has the say who does the next.
//! So no hook in the code is needed: the scheduler counts the steps of one thread, the victim, and
//! after so many of them never chooses it again. The others go on at random. Each must come to its end
//! within the steps that an execution may have: if one waits for the victim, it spins until then, or
//! there is nobody left to choose.
//!
//! When all others have ended, the victim wakes and goes on where it was: so in the end all accounts
//! must be right.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use shuttle::scheduler::{RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::thread;

use crate::run::{executions, join, run};

/// How often the victim is stopped at each of its steps, with other schedules.
const EXECUTIONS: usize = 3;

/// The first thread that the scenario's own has spawned.
const VICTIM: usize = 1;

/// What the scheduler and the scenario tell one another.
#[derive(Default)]
struct Signals {
    /// From now on the victim may go on.
    others_are_done: AtomicBool,
    /// It has been stopped with more steps to do.
    was_stopped: AtomicBool,
}

struct StopsVictim {
    others: RandomScheduler,
    /// After so many steps.
    after: usize,
    steps: usize,
    signals: Arc<Signals>,
}

impl Scheduler for StopsVictim {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.steps = 0;
        self.signals.others_are_done.store(false, Relaxed);
        self.others.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yields: bool,
    ) -> Option<TaskId> {
        let victim = TaskId::from(VICTIM);
        let stopped = self.steps >= self.after && !self.signals.others_are_done.load(Relaxed);
        if !stopped {
            let next = self.others.next_task(runnable, current, yields)?;
            self.steps += usize::from(next == victim);
            return Some(next);
        }
        let awake: Vec<_> = runnable.iter().filter(|task| task.id() != victim).copied().collect();
        if awake.len() < runnable.len() {
            self.signals.was_stopped.store(true, Relaxed);
        }
        assert!(!awake.is_empty(), "all wait for a thread that stopped after {} steps", self.after);
        self.others.next_task(&awake, current, yields)
    }

    fn next_u64(&mut self) -> u64 {
        self.others.next_u64()
    }
}

/// A scenario with a victim.
pub(crate) struct Stopping<T> {
    /// Makes what they share.
    pub(crate) begin: fn() -> T,
    /// What is stopped at each of its steps: from the first, which may register the thread, to the
    /// last of its exit.
    pub(crate) victim: fn(&T),
    /// What two others must get done meanwhile; they know which they are.
    pub(crate) others: fn(&T, u64),
    /// What must hold, and can be done, while the victim is stopped and the others have exited.
    pub(crate) meanwhile: fn(&T),
    /// What must hold when all have exited.
    pub(crate) end: fn(T),
}

impl<T: Send + Sync + 'static> Stopping<T> {
    /// Stops the victim after 0 steps, 1, 2, ... until it has no more.
    pub(crate) fn sweep(self) {
        let begin = Instant::now();
        let Self { begin: make, victim, others, meanwhile, end } = self;
        let steps = Arc::new(AtomicUsize::new(0));
        for after in 0.. {
            let signals = Arc::new(Signals::default());
            let scheduler = StopsVictim {
                others: RandomScheduler::new(executions(EXECUTIONS)),
                after,
                steps: 0,
                signals: Arc::clone(&signals),
            };
            let tell = Arc::clone(&signals);
            run(scheduler, move || {
                let shared = Arc::new(make());
                let ours = Arc::clone(&shared);
                let stopped = thread::spawn(move || victim(&ours));
                let others = [0, 1].map(|number| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || others(&shared, number))
                });
                join(others);
                meanwhile(&shared);
                tell.others_are_done.store(true, Relaxed);
                stopped.join().expect("it does not panic");
                end(Arc::into_inner(shared).expect("all threads have exited"));
            });
            if !signals.was_stopped.load(Relaxed) {
                break;
            }
            steps.fetch_add(1, Relaxed);
        }
        let steps = steps.load(Relaxed);
        assert!(steps > 20, "only {steps} steps to stop at: the test is in vain");
        println!(
            "{}: stopped at each of {steps} steps, {:.1} s",
            std::thread::current().name().unwrap_or("a scenario"),
            begin.elapsed().as_secs_f32(),
        );
    }
}
