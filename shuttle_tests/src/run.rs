//! How a scenario is run: schedules, threads, domains.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use sexton::{Domain, Epoch, Hazard, Scheme, epoch, hazard};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{self, JoinHandle};
use shuttle::{Config, MaxSteps, Runner, current};

/// How often a scenario runs with each kind of schedule.
const EXECUTIONS: usize = 600;

/// How many times more in a deep run.
const DEEP: usize = 30;

/// Changes of priority, and one, in PCT schedules: bugs of this depth are found.
const DEPTHS: [usize; 2] = [2, 4];

/// Steps of an execution, all threads together: one that needs more hangs.
const STEPS: usize = 200_000;

pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(STEPS);
    // That all orderings count as the strongest, which is known.
    config.silence_warnings = true;
    config.stack_size = 256 << 10;
    config
}

/// So many in a default run.
pub(crate) fn executions(of_default: usize) -> usize {
    let deep = env::var_os("SEXTON_SHUTTLE_DEEP").is_some();
    of_default * if deep { DEEP } else { 1 }
}

/// Runs a scenario with many schedules, and says how many steps that took.
pub(crate) fn explore(scenario: impl Fn() + Copy + Send + Sync + 'static) {
    explore_times(EXECUTIONS, scenario);
}

/// The same, with so many of each kind.
pub(crate) fn explore_times(times: usize, scenario: impl Fn() + Copy + Send + Sync + 'static) {
    let executions = executions(times);
    let begin = Instant::now();
    let mut steps = run(RandomScheduler::new(executions), scenario);
    for depth in DEPTHS {
        steps += run(PctScheduler::new(depth, executions / DEPTHS.len()), scenario);
    }
    println!(
        "{}: {} executions, {steps} steps, {:.1} s",
        std::thread::current().name().unwrap_or("a scenario"),
        2 * executions,
        begin.elapsed().as_secs_f32(),
    );
}

/// Runs a scenario with these schedules; how many steps it took.
pub(crate) fn run(
    scheduler: impl Scheduler + 'static,
    scenario: impl Fn() + Send + Sync + 'static,
) -> usize {
    let steps = Arc::new(AtomicUsize::new(0));
    let sum = Arc::clone(&steps);
    Runner::new(scheduler, config()).run(move || {
        scenario();
        sum.fetch_add(current::context_switches(), Relaxed);
    });
    steps.load(Relaxed)
}

/// Runs each role on a thread of its own; what they shared, and what they returned, when all have
/// exited.
pub(crate) fn together<T, X, const N: usize>(shared: T, roles: [fn(&T) -> X; N]) -> (T, [X; N])
where
    T: Send + Sync + 'static,
    X: Send + 'static,
{
    let shared = Arc::new(shared);
    let threads = roles.map(|role| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || role(&shared))
    });
    let results = join(threads);
    (Arc::into_inner(shared).expect("all roles have ended"), results)
}

/// What threads return, which have exited then.
pub(crate) fn join<X, const N: usize>(threads: [JoinHandle<X>; N]) -> [X; N] {
    threads.map(|thread| thread.join().expect("no thread panics"))
}

/// Our own schemes, whose domains have settings.
pub(crate) trait Ours: Scheme {
    /// A domain whose threads keep the blocks of freed nodes and use them again: then a node gets the
    /// address of another one that is just gone.
    fn recycling() -> Domain<Self>;
}

impl Ours for Epoch {
    fn recycling() -> Domain<Self> {
        epoch::Builder::new().recycle(4096).max_batch(1).build()
    }
}

impl Ours for Hazard {
    fn recycling() -> Domain<Self> {
        hazard::Builder::new().recycle(4096).max_batch(1).build()
    }
}
