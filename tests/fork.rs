//! Children of `fork`: the other threads are gone, in the middle of anything.
//!
//! Each test runs in a process of its own, in which there are no threads but the test's. (Not under
//! Miri, which knows neither `fork` nor other processes.)
#![cfg(all(unix, not(miri)))]

mod child;
mod common;

use std::hash::RandomState;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier as Meeting;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{io, ptr, thread};

use child::in_a_process_of_its_own;
use common::Reclaimer;
use sexton::{Domain, Epoch, HashMap, Hazard, Protection, RcuCell, Scheme, Stack};

/// Seconds after which a child is killed.
const PATIENCE: u32 = 20;

/// Runs `work` in a child, to its end.
///
/// # Panics
/// If it panics there, crashes, or hangs.
#[track_caller]
fn in_a_child(work: impl FnOnce()) {
    // So that nothing is written twice.
    io::stdout().flush().expect("it can be written to");
    // SAFETY: the child does what the C library allows (allocating and starting threads work there),
    // and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no child: {}", io::Error::last_os_error());
    if child == 0 {
        // SAFETY: takes no pointers.
        unsafe { libc::alarm(PATIENCE) };
        let end = catch_unwind(AssertUnwindSafe(work));
        // SAFETY: ends the process, and nothing else.
        unsafe { libc::_exit(if end.is_ok() { 7 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, and a place for its status.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "the child was killed by signal {}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 7, "the child has failed");
}

/// A node's worth of garbage. (No `Tracked`: its ledger has a lock, which a thread that is gone in
/// the child may hold.)
struct Counted(u64);

static BORN: AtomicU64 = AtomicU64::new(0);
static DEAD: AtomicU64 = AtomicU64::new(0);

impl Counted {
    fn new() -> Self {
        BORN.fetch_add(1, Ordering::Relaxed);
        Self(0xA11F_E000)
    }

    fn look(&self) {
        assert_eq!(self.0, 0xA11F_E000, "it is dead");
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0 = 0;
        DEAD.fetch_add(1, Ordering::Relaxed);
    }
}

struct House<R: Reclaimer> {
    stack: Stack<Counted, R>,
    map: HashMap<u64, Counted, RandomState, R>,
    cell: RcuCell<Counted, R>,
}

impl<R: Reclaimer> House<R> {
    fn new(domain: &R) -> Self {
        Self {
            stack: Stack::with_reclaimer(domain.clone()),
            map: HashMap::with_reclaimer(domain.clone()),
            cell: RcuCell::with_reclaimer(Counted::new(), domain.clone()),
        }
    }

    fn visit(&self, key: u64) {
        self.stack.push(Counted::new());
        if let Some(value) = self.stack.pop() {
            value.look();
        }
        let map = self.map.pin();
        map.insert(key % 16, Counted::new());
        if let Some(value) = map.get(&((key + 1) % 16)) {
            value.look();
        }
        if let Some(value) = map.remove(&((key + 2) % 16)) {
            value.look();
        }
        self.cell.pin().update(|old| {
            old.look();
            Counted::new()
        });
    }

    fn domain(&self) -> &R {
        self.stack.reclaimer()
    }
}

/// What must work in any child.
fn all_is_well<R: Reclaimer>(house: &House<R>) {
    let barriers = house.domain().stats().heavy_barriers;
    (0..2000).for_each(|round| house.visit(round));
    house.domain().collect();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let domain = house.domain().clone();
            thread::spawn(move || {
                let house = House::new(&domain);
                (0..1000).for_each(|round| house.visit(round));
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("it is well");
    }
    house.domain().collect();
    let stats = house.domain().stats();
    assert!(stats.heavy_barriers > barriers, "no barrier was issued");
    #[cfg(target_os = "linux")]
    {
        const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
        // SAFETY: a system call that takes no pointers.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, PRIVATE_EXPEDITED, 0, 0) };
        assert_eq!(result, 0, "the registration was lost, and nobody has renewed it");
    }
}

/// Forgets the threads that are gone, and then collects all that can be had; says what is left: what
/// each of them had in its hands, and the bag into which it was just putting something.
fn forget_and_collect<R: Reclaimer>(house: &House<R>) -> u64 {
    // SAFETY: in a child, and no thread was started.
    unsafe { house.domain().after_fork_in_child() };
    house.domain().collect();
    house.domain().stats().pending
}

/// Work for `each!` domain.
macro_rules! each {
    ($with:ident) => {
        $with(Epoch);
        $with(Hazard);
        $with(Domain::<Epoch>::new());
        $with(Domain::<Hazard>::new());
    };
}

/// The others hold guards and references, and garbage, and sleep.
#[test]
fn sleeping_threads_are_forgotten() {
    fn with<R: Reclaimer>(domain: R) {
        let house = House::new(&domain);
        (0..100).for_each(|round| house.visit(round));
        let meeting = Meeting::new(4);
        thread::scope(|scope| {
            let threads = [(); 3].map(|()| {
                scope.spawn(|| {
                    (0..100).for_each(|round| house.visit(round));
                    let (cell, within) = (house.cell.pin(), house.cell.pin());
                    let (held, again) = (cell.load(), within.load());
                    meeting.wait();
                    meeting.wait();
                    held.look();
                    again.look();
                })
            });
            meeting.wait();
            (0..100).for_each(|round| house.visit(round));
            assert!(domain.stats().pending > 0);
            in_a_child(|| {
                all_is_well(&house);
            });
            in_a_child(|| {
                assert_eq!(forget_and_collect(&house), 0, "{:?}", domain.stats());
                assert_eq!(domain.stats().threads, 1);
                all_is_well(&house);
                domain.collect();
                assert_eq!(domain.stats().pending, 0, "{:?}", domain.stats());
            });
            in_a_child(|| {
                all_is_well(&house);
                // Again, and late.
                assert_eq!(forget_and_collect(&house), 0, "{:?}", domain.stats());
                assert_eq!(forget_and_collect(&house), 0, "{:?}", domain.stats());
                // A child of the child.
                in_a_child(|| {
                    all_is_well(&house);
                    assert_eq!(forget_and_collect(&house), 0, "{:?}", domain.stats());
                });
            });
            meeting.wait();
            threads.into_iter().for_each(|thread| thread.join().expect("it is well"));
        });
        drop(house);
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
    }

    in_a_process_of_its_own("sleeping_threads_are_forgotten", || {
        each!(with);
        assert_eq!(BORN.load(Ordering::Relaxed), DEAD.load(Ordering::Relaxed));
    });
}

/// The thread that forks has guards open itself: these stay good.
#[test]
fn the_forking_threads_own_guards_stay() {
    fn with<R: Reclaimer>(domain: R) {
        let house = House::new(&domain);
        let pinned = house.cell.pin();
        let held = pinned.load();
        in_a_child(|| {
            let left = forget_and_collect(&house);
            assert_eq!(left, 0);
            house.cell.store(Counted::new());
            (0..1000).for_each(|round| house.visit(round));
            domain.collect();
            held.look();
            let pending = domain.stats().pending;
            match <R::Scheme as Scheme>::PROTECTION {
                Protection::Pointer => assert_eq!(pending, 1),
                _ => assert!(pending > 1000),
            }
        });
        held.look();
    }

    in_a_process_of_its_own("the_forking_threads_own_guards_stay", || {
        each!(with);
    });
}

/// The others retire, protect and collect, and are caught in the middle of it; so is the bag of the
/// thread that forks, which they look into.
#[test]
fn busy_threads_are_forgotten() {
    const CHILDREN: usize = if cfg!(debug_assertions) { 8 } else { 40 };

    fn with<R: Reclaimer>(domain: R) {
        let house = House::new(&domain);
        let stop = AtomicBool::new(false);
        let mut ended = Ok(());
        thread::scope(|scope| {
            let retire = || {
                for round in 0.. {
                    house.visit(round);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            };
            let collect = || {
                while !stop.load(Ordering::Relaxed) {
                    domain.collect();
                }
            };
            let threads = [
                scope.spawn(retire),
                scope.spawn(retire),
                scope.spawn(collect),
                scope.spawn(collect),
            ];
            ended = catch_unwind(AssertUnwindSafe(|| {
                for child in 0..CHILDREN {
                    (0..child as u64).for_each(|round| house.visit(round));
                    in_a_child(|| {
                        if child % 4 == 0 {
                            all_is_well(&house);
                        }
                        let left = forget_and_collect(&house);
                        all_is_well(&house);
                        domain.collect();
                        let stats = domain.stats();
                        assert!(stats.pending <= left, "after {left} there is more: {stats:?}");
                        if child % 8 == 0 {
                            eprintln!("{left} are lost");
                        }
                    });
                }
            }));
            stop.store(true, Ordering::Relaxed);
            // A scope does not wait for their thread-locals.
            threads.into_iter().for_each(|thread| thread.join().expect("it is well"));
        });
        ended.expect("all children are well");
        drop(house);
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
    }

    in_a_process_of_its_own("busy_threads_are_forgotten", || {
        each!(with);
        assert_eq!(BORN.load(Ordering::Relaxed), DEAD.load(Ordering::Relaxed));
        // SAFETY: no pointer is followed: a null is allowed. There is no child left.
        let left = unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) };
        assert_eq!(left, -1);
    });
}
