//! A sandbox that refuses heavy barriers: from the start, or from some moment on, while threads are at
//! work. Everything goes on, with full fences.
//!
//! Each test runs in a process of its own, which installs the sandbox (seccomp) for itself.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]

mod child;
mod common;

use std::hash::RandomState;
use std::sync::Barrier as Meeting;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use child::in_a_process_of_its_own;
use common::{Ledger, Reclaimer, Tracked, on_threads};
use sexton::{Domain, Epoch, HashMap, Hazard, RcuCell, Stack};

/// For how many threads a call of `seccomp` is.
#[derive(Clone, Copy)]
enum For {
    /// The calling thread, and those that it starts.
    Me,
    /// All of the process.
    All,
}

/// From now on `membarrier` fails with `errno`.
fn refuse_membarrier(errno: i32, threads: For) -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    const ARCH: u32 = 0xC000_003E;
    #[cfg(target_arch = "aarch64")]
    const ARCH: u32 = 0xC000_00B7;

    let load = |offset: usize| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset as u32);
    let give = |outcome: u32| statement(libc::BPF_RET | libc::BPF_K, outcome);
    // If it is equal, the next but so many.
    let skip_if = |value: u32, equal: u8, other: u8| libc::sock_filter {
        jt: equal,
        jf: other,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    };
    let mut program = [
        load(mem::offset_of!(libc::seccomp_data, arch)),
        skip_if(ARCH, 0, 3),
        load(mem::offset_of!(libc::seccomp_data, nr)),
        skip_if(libc::SYS_membarrier as u32, 0, 1),
        give(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()),
        give(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: takes no pointers.
    let allowed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    let installed = allowed
        && match threads {
            // SAFETY: a program of the length that is said, which the kernel copies.
            For::Me => unsafe {
                let mode = libc::SECCOMP_MODE_FILTER;
                libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) == 0
            },
            // SAFETY: as above.
            For::All => unsafe {
                let (operation, flags) =
                    (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
                libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program) == 0
            },
        };
    if installed { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Says whether it worked; if not, the test is skipped.
fn is_refused(errno: i32, threads: For) -> bool {
    if let Err(error) = refuse_membarrier(errno, threads) {
        println!("skipped: no sandbox can be had here: {error}");
        return false;
    }
    // SAFETY: a system call that takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, 0, 0, 0) };
    let found = io::Error::last_os_error().raw_os_error();
    assert_eq!((result, found), (-1, Some(errno)), "the sandbox does not work");
    true
}

/// Structures in one domain.
struct House<R: Reclaimer> {
    stack: Stack<Tracked, R>,
    map: HashMap<u64, Tracked, RandomState, R>,
    cell: RcuCell<Tracked, R>,
    ledger: Ledger,
    visits: AtomicUsize,
}

const KEYS: u64 = 16;

impl<R: Reclaimer> House<R> {
    fn new(domain: &R) -> Self {
        let ledger = Ledger::new();
        Self {
            stack: Stack::with_reclaimer(domain.clone()),
            map: HashMap::with_reclaimer(domain.clone()),
            cell: RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain.clone()),
            ledger,
            visits: AtomicUsize::new(0),
        }
    }

    /// Writes, and reads what others write.
    fn visit(&self, key: u64) {
        let value = || Tracked::new(&self.ledger, key);
        self.stack.push(value());
        if let Some(value) = self.stack.pop() {
            value.look();
        }
        let map = self.map.pin();
        map.insert(key % KEYS, value());
        if let Some(value) = map.get(&((key + 1) % KEYS)) {
            value.look();
        }
        if let Some(value) = map.remove(&((key + 2) % KEYS)) {
            value.look();
        }
        let cell = self.cell.pin();
        let before = cell.load();
        cell.store(value());
        before.look();
        self.visits.fetch_add(1, Ordering::Relaxed);
    }

    fn reclaimer(&self) -> &R {
        self.stack.reclaimer()
    }

    /// It is quiet, so all can be had.
    fn settle(self) {
        let domain = self.reclaimer().clone();
        let ledger = self.ledger.clone();
        drop(self);
        domain.collect();
        ledger.assert_all_dead();
        let stats = domain.stats();
        println!("{stats:?}");
        assert_eq!((stats.pending, stats.pending_bytes), (0, 0));
        assert_eq!((stats.leaked, stats.drop_panics), (0, 0));
        assert!(stats.retired > 0 && stats.retired == stats.reclaimed);
        assert!(stats.collections > 0 && stats.heavy_barriers > 0);
        assert!(stats.threads <= 1, "all others have exited");
    }
}

/// Threads at work in a domain that is refused heavy barriers.
fn all_is_well<R: Reclaimer>(domain: &R) {
    let house = House::new(domain);
    on_threads(4, |thread| {
        for round in 0..2000 {
            house.visit((7 * round + thread) as u64);
        }
    });
    house.settle();
}

fn refused_from_the_start(test: &str, errno: i32) {
    in_a_process_of_its_own(test, || {
        if is_refused(errno, For::Me) {
            all_is_well(&Epoch);
            all_is_well(&Hazard);
            all_is_well(&Domain::<Epoch>::new());
            all_is_well(&Domain::<Hazard>::new());
        }
    });
}

#[test]
fn from_the_start_by_permission() {
    refused_from_the_start("from_the_start_by_permission", libc::EPERM);
}

#[test]
fn from_the_start_as_unknown() {
    refused_from_the_start("from_the_start_as_unknown", libc::ENOSYS);
}

/// What the threads wait for.
struct Signals {
    work: AtomicBool,
    meeting: Meeting,
}

/// Threads in each domain; and one that does no more than to hold a reference.
const WORKERS: usize = 2;

impl<R: Reclaimer> House<R> {
    /// The life of a thread.
    fn live(&self, thread: usize, signals: &Signals) {
        if thread == WORKERS {
            let pinned = self.cell.pin();
            let held = pinned.load();
            signals.meeting.wait();
            while signals.work.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
                self.ledger.assert_lives(held.id(), "while it was referred to");
                held.look();
            }
        } else {
            signals.meeting.wait();
            let mut round = 0;
            while signals.work.load(Ordering::Relaxed) {
                round += 1;
                self.visit(7 * round + thread as u64);
            }
        }
        // Idle, and alive.
        signals.meeting.wait();
        signals.meeting.wait();
        drop(self.reclaimer().pin());
        signals.meeting.wait();
        signals.meeting.wait();
    }
}

/// A house of any domain.
trait AnyHouse: Sync {
    fn live(&self, thread: usize, signals: &Signals);
    fn visits(&self) -> usize;
    fn collect(&self);
    fn pin(&self);
    fn pending(&self) -> u64;
}

impl<R: Reclaimer> AnyHouse for House<R> {
    fn live(&self, thread: usize, signals: &Signals) {
        self.live(thread, signals);
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }

    fn collect(&self) {
        self.reclaimer().collect();
        self.ledger.assert_no_fault();
    }

    fn pin(&self) {
        drop(self.reclaimer().pin());
    }

    fn pending(&self) -> u64 {
        self.reclaimer().stats().pending
    }
}

/// Waits until there were so many more visits in each of them.
fn await_visits(houses: &[&dyn AnyHouse], more: usize) {
    let begin = Instant::now();
    let before: Vec<_> = houses.iter().map(|house| house.visits()).collect();
    for (house, before) in houses.iter().zip(before) {
        while house.visits() < before + more {
            assert!(begin.elapsed() < Duration::from_secs(60), "threads get nowhere");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn refused_in_mid_life(test: &str, errno: i32) {
    in_a_process_of_its_own(test, || {
        let one = House::new(&Epoch);
        let two = House::new(&Hazard);
        let three = House::new(&Domain::<Epoch>::new());
        let four = House::new(&Domain::<Hazard>::new());
        let houses: [&dyn AnyHouse; 4] = [&one, &two, &three, &four];
        let threads = houses.len() * (WORKERS + 1);
        let signals = Signals { work: AtomicBool::new(true), meeting: Meeting::new(threads + 1) };
        let mut refused = false;
        thread::scope(|scope| {
            let signals = &signals;
            let lives =
                houses.iter().flat_map(|house| (0..=WORKERS).map(move |thread| (house, thread)));
            let running: Vec<_> = lives
                .map(|(house, thread)| scope.spawn(move || house.live(thread, signals)))
                .collect();
            signals.meeting.wait();
            houses.iter().for_each(|house| house.pin());
            await_visits(&houses, 500);
            refused = is_refused(errno, For::All);
            await_visits(&houses, 500);
            houses.iter().for_each(|house| house.collect());
            await_visits(&houses, 500);
            signals.work.store(false, Ordering::Relaxed);
            signals.meeting.wait();
            // All are idle. Some have not been in a section since.
            houses.iter().for_each(|house| house.collect());
            signals.meeting.wait();
            // Each opens one.
            signals.meeting.wait();
            let pending = houses.map(|house| {
                house.collect();
                house.pending()
            });
            // No panic before: the threads would wait for ever.
            signals.meeting.wait();
            // A scope does not wait for their thread-locals.
            running.into_iter().for_each(|thread| thread.join().expect("it is well"));
            assert_eq!(pending, [0; 4]);
        });
        one.settle();
        two.settle();
        three.settle();
        four.settle();
        if refused {
            // Domains that come later, and threads.
            all_is_well(&Epoch);
            all_is_well(&Hazard);
            all_is_well(&Domain::<Epoch>::new());
            all_is_well(&Domain::<Hazard>::new());
        }
    });
}

#[test]
fn in_mid_life_by_permission() {
    refused_in_mid_life("in_mid_life_by_permission", libc::EPERM);
}

#[test]
fn in_mid_life_as_unknown() {
    refused_in_mid_life("in_mid_life_as_unknown", libc::ENOSYS);
}

/// A thread that collects learns of the refusal by that, and needs no section to adapt itself.
fn one_collect_is_enough(test: &str, errno: i32) {
    fn with<R: Reclaimer>(domain: R, refuse: impl FnOnce() -> bool) {
        let house = House::new(&domain);
        (0..100).for_each(|round| house.visit(round));
        if refuse() {
            domain.collect();
            assert_eq!(domain.stats().pending, 0, "{:?}", domain.stats());
            house.settle();
        }
    }

    in_a_process_of_its_own(test, || {
        with(Domain::<Epoch>::new(), || is_refused(errno, For::All));
        with(Domain::<Hazard>::new(), || true);
        with(Epoch, || true);
        with(Hazard, || true);
    });
}

#[test]
fn one_collect_is_enough_for_a_thread_alone() {
    one_collect_is_enough("one_collect_is_enough_for_a_thread_alone", libc::EPERM);
}
