//! How a model is run: its limits, its threads, and what is checked at each iteration's end.

use core::cell::{Cell, RefCell};
use std::env;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use loom::thread::{self, Thread};
use sexton::{Domain, Reclaimer, Scheme, Shield};

use crate::arena::{self, Reuse};
use crate::witness;

/// How far a model is explored.
///
/// Preemptions are switches away from a thread that could go on; without a bound, all are explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The bound of the default run.
    preemptions: Option<usize>,
    /// The bound when `SEXTON_LOOM_DEEP` is set.
    deep: Option<usize>,
    /// How many steps an iteration may have, all threads together: a model that needs more hangs.
    branches: usize,
    reuse: Reuse,
    #[cfg_attr(
        not(loom_barriers),
        allow(dead_code, reason = "published loom has no such barriers")
    )]
    asymmetric: bool,
    iterations: Option<usize>,
}

impl Limits {
    /// All interleavings.
    pub(crate) const ALL: Self = Self {
        preemptions: None,
        deep: None,
        branches: 2_000,
        reuse: Reuse::Never,
        asymmetric: false,
        iterations: None,
    };

    /// As many preemptions, and so many in a deep run.
    pub(crate) const fn preemptions(bound: usize, deep: usize) -> Self {
        Self { preemptions: Some(bound), deep: Some(deep), ..Self::ALL }
    }

    /// As many preemptions, and all interleavings in a deep run.
    pub(crate) const fn preemptions_or_all(bound: usize) -> Self {
        Self { preemptions: Some(bound), ..Self::ALL }
    }

    /// With so many steps.
    pub(crate) const fn of_steps(self, branches: usize) -> Self {
        Self { branches, ..self }
    }

    /// With freed nodes used again.
    pub(crate) const fn reusing(self) -> Self {
        Self { reuse: Reuse::OldestFirst, ..self }
    }

    /// With barriers whose light half is no fence, as on the machine; otherwise both halves are full
    /// fences, which hide what else is missing, and cost a tenth. (With loom as published they are
    /// full fences in any case.)
    pub(crate) const fn asymmetric(self) -> Self {
        Self { asymmetric: true, ..self }
    }

    /// So many iterations, for a model that has too many; all in a deep run. The order of iterations
    /// is always the same.
    pub(crate) const fn at_most(self, iterations: usize) -> Self {
        Self { iterations: Some(iterations), ..self }
    }

    fn bound(self) -> Option<usize> {
        match env::var("LOOM_MAX_PREEMPTIONS") {
            Ok(bound) => Some(bound.parse().expect("LOOM_MAX_PREEMPTIONS is a number")),
            Err(_) if env::var_os("SEXTON_LOOM_DEEP").is_some() => self.deep,
            Err(_) => self.preemptions,
        }
    }
}

/// Explores a model, and says how many iterations that took.
pub(crate) fn explore(limits: Limits, model: fn()) {
    let bound = limits.bound();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = limits.branches;
    if env::var_os("SEXTON_LOOM_DEEP").is_none() {
        builder.max_permutations = limits.iterations;
    }
    #[cfg(loom_barriers)]
    {
        builder.asymmetric_barriers = limits.asymmetric;
        builder.at_heavy_barrier = at_heavy_barrier;
    }
    // Of the machine, not of the model.
    let iterations = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&iterations);
    let freed = Arc::new(AtomicUsize::new(0));
    let free = Arc::clone(&freed);
    let start = Instant::now();
    builder.check(move || {
        // Only now have all threads of the iteration before dropped their thread-locals.
        if counted.fetch_add(1, Relaxed) > 0 {
            check_iteration();
        }
        arena::reset(limits.reuse);
        witness::reset();
        TURN.set(0);
        AT_BARRIER.set([None; 2]);
        model();
        free.fetch_max(FREED.get(), Relaxed);
        witness::bury_tokens();
        WAITING.take().iter().for_each(Thread::unpark);
    });
    check_iteration();
    let bound = bound.map_or("no bound".to_owned(), |bound| format!("bound {bound}"));
    println!(
        "explored {}: {} iterations, {bound}, {:.1} s freed {}",
        std::thread::current().name().unwrap_or("a model"),
        iterations.load(Relaxed),
        start.elapsed().as_secs_f32(),
        freed.load(Relaxed),
    );
}

fn check_iteration() {
    let fault = arena::fault().or_else(witness::fault);
    assert_eq!(fault, None, "at the end of an iteration");
    assert!(arena::births() > 0, "the model made no node that the arena knows");
}

/// The roles that have ended and wait for the iteration's end.
type Waiting = RefCell<Vec<Thread>>;

thread_local! {
    static FREED: Cell<usize> = const { Cell::new(0) };
    static TURN: Cell<usize> = const { Cell::new(0) };
    /// The turns that the issuer of the next heavy barrier waits for.
    static AT_BARRIER: Cell<[Option<usize>; 2]> = const { Cell::new([None; 2]) };
    static WAITING: Waiting = const { RefCell::new(Vec::new()) };
}

/// Runs each role on a thread of its own, and returns what they shared and what they returned.
///
/// What is explored is the roles, and nothing else:
/// - Each thread first does `warm_up`, in one go. So it has a record in the domain, and slots, and
///   is past the first pin, whose slow path has fences that would hide a missing one.
/// - A thread that is done stays until the iteration's end; its thread-locals are dropped then, one
///   thread after the other. (But see [`together_and_gone`].)
/// - The caller takes no part and sleeps until all are done. What it does then is done once.
///   (It is woken by `unpark` and does not `join`, which in loom 0.7.2 writes to the standard error
///   each time.)
pub(crate) fn together<T: 'static, X: 'static, const N: usize>(
    shared: T,
    warm_up: fn(&T),
    roles: [fn(&T) -> X; N],
) -> (T, [X; N]) {
    run(shared, Some(warm_up), roles)
}

/// As [`together`], but the threads begin cold, and exit when they are done: this is explored too.
pub(crate) fn together_and_gone<T: 'static, X: 'static, const N: usize>(
    shared: T,
    roles: [fn(&T) -> X; N],
) -> (T, [X; N]) {
    run(shared, None, roles)
}

fn run<T: 'static, X: 'static, const N: usize>(
    shared: T,
    warm_up: Option<fn(&T)>,
    roles: [fn(&T) -> X; N],
) -> (T, [X; N]) {
    let shared = Rc::new(shared);
    let results: Rc<[Cell<Option<X>>; N]> = Rc::new([const { Cell::new(None) }; N]);
    let left = Rc::new(Cell::new(N));
    let main = thread::current();
    for (index, role) in roles.into_iter().enumerate() {
        let (shared, results, left) = (Rc::clone(&shared), Rc::clone(&results), Rc::clone(&left));
        let main = main.clone();
        thread::spawn(move || {
            if let Some(warm_up) = warm_up {
                in_one_go(|| warm_up(&shared));
            }
            results[index].set(Some(role(&shared)));
            drop((shared, results));
            left.set(left.get() - 1);
            main.unpark();
            if warm_up.is_some() {
                WAITING.with_borrow_mut(|waiting| waiting.push(thread::current()));
                thread::park();
            }
        });
    }
    while left.get() > 0 {
        thread::park();
    }
    FREED.set(arena::deaths());
    if warm_up.is_some() {
        loom::stop_exploring();
    }
    let shared = Rc::into_inner(shared).expect("all roles have ended");
    let results = Rc::into_inner(results).expect("all roles have ended");
    (shared, results.map(|result| result.into_inner().expect("the role has returned")))
}

/// Waits for a turn, in a model that prescribes some of its order: for what shows only when
/// three threads meet in certain places, which takes more preemptions than can be explored.
///
/// loom knows nothing of turns: they order in time, and nothing in memory.
pub(crate) fn wait_for(turn: usize) {
    while TURN.get() < turn {
        #[cfg(loom_barriers)]
        loom::step_aside();
        #[cfg(not(loom_barriers))]
        thread::yield_now();
    }
}

/// Ends a turn: the next one has come. (If several threads have one and the same turn, each ends one.)
pub(crate) fn end_turn() {
    TURN.set(TURN.get() + 1);
}

/// Works when this turn has come, and ends it.
pub(crate) fn in_turn<T>(turn: usize, work: impl FnOnce() -> T) -> T {
    wait_for(turn);
    let result = work();
    end_turn();
    result
}

/// Has the next heavy barrier stand between turns, where barriers are [asymmetric](Limits::asymmetric):
/// a turn ends right before it, and one right after it, and each time its issuer waits for another.
#[cfg(loom_barriers)]
pub(crate) fn wait_at_barrier(before: usize, after: usize) {
    AT_BARRIER.set([Some(before), Some(after)]);
}

/// What the issuer of a heavy barrier does right before it and right after it.
#[cfg(loom_barriers)]
fn at_heavy_barrier() {
    let [next, last] = AT_BARRIER.get();
    AT_BARRIER.set([last, None]);
    if let Some(turn) = next {
        end_turn();
        wait_for(turn);
    }
}

/// Does what is of no interest: no other thread comes in between.
pub(crate) fn in_one_go<T>(work: impl FnOnce() -> T) -> T {
    loom::stop_exploring();
    let result = work();
    loom::explore();
    result
}

/// Gives the calling thread its record in a domain, and so many slots.
pub(crate) fn warm_up<S: Scheme>(domain: &Domain<S>, slots: usize) {
    let guard = domain.pin();
    let _: Vec<Shield<'_, u8, S>> = (0..slots).map(|_| guard.shield()).collect();
}

/// Values in ascending order.
pub(crate) fn sorted(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values
}
