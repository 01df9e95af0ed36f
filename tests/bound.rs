//! The bound that `Hazard` documents, computed from the numbers of each case, and asserted while
//! threads sleep in the worst places; and that `Epoch` keeps up where nobody stalls.
//!
//! What waits is counted by the objects themselves, in one place each, so that its peak is exact:
//! sums over threads that are at work are not (see `Stats`).

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier as Meeting, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use common::{Domain, Epoch, Hazard, Reclaimer, Scheme, epoch, hazard};
use sexton::{Atomic, Guard, Ptr, RcuCell, hazard::SLOTS};

/// Fewer where everything takes longer.
const fn sized(many: usize, debug: usize, few: usize) -> usize {
    if cfg!(miri) {
        few
    } else if cfg!(debug_assertions) {
        debug
    } else {
        many
    }
}

/// One test at a time: others' threads would have a part in what waits, by the numbers they take and the
/// processors they keep.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Objects that were retired and have not been freed.
#[derive(Default)]
struct Waiting {
    now: AtomicU64,
    peak: AtomicU64,
}

/// An object of so many bytes; it waits from [`retire`] on.
struct Object<const BYTES: usize> {
    _content: [u8; BYTES],
    waiting: Arc<Waiting>,
}

impl<const BYTES: usize> Object<BYTES> {
    fn new(waiting: &Arc<Waiting>) -> Self {
        Self { _content: [0; BYTES], waiting: Arc::clone(waiting) }
    }
}

impl<const BYTES: usize> Drop for Object<BYTES> {
    fn drop(&mut self) {
        self.waiting.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Retires an object that is linked nowhere any more.
///
/// # Safety
/// As [`Guard::retire`].
unsafe fn retire<const BYTES: usize, S: Scheme>(
    guard: &Guard<'_, S>,
    node: Ptr<Object<BYTES>>,
    waiting: &Waiting,
) {
    // Before: so what is counted is never less than what there is, and more by one a thread.
    let now = waiting.now.fetch_add(1, Ordering::Relaxed) + 1;
    waiting.peak.fetch_max(now, Ordering::Relaxed);
    // SAFETY: the caller's.
    unsafe { guard.retire(node) };
}

fn retire_new<const BYTES: usize, S: Scheme>(guard: &Guard<'_, S>, waiting: &Arc<Waiting>) {
    let node = guard.owned(Object::<BYTES>::new(waiting)).into_ptr();
    // SAFETY: made in this guard's domain, known to nobody else.
    unsafe { retire(guard, node, waiting) };
}

/// One run.
struct Case {
    max_batch: usize,
    /// Threads that retire all the time.
    writers: usize,
    /// Threads that sleep with protected pointers.
    stalled: usize,
    /// Guards within one another that each of these has, and shields in each.
    guards: usize,
    shields: usize,
    /// Objects that each thread retires.
    retired: usize,
    /// And so many in one guard.
    per_guard: usize,
    /// How many threads do so, one after the other, for each of the writers.
    lives: usize,
}

impl Case {
    /// The documented bound on objects and bytes, for objects of this size.
    fn bound(&self, records: u64, bytes_each: u64) -> (u64, u64) {
        // The blocks of slots of a guard, and of guards within it.
        let blocks = self.guards * self.shields.div_ceil(SLOTS);
        let slots = records + (self.stalled * blocks) as u64;
        let slots = slots * SLOTS as u64;
        let batch = u64::max(self.max_batch as u64, 2 * slots);
        let objects = records * (2 * batch + slots + 16);
        let bytes = records * ((2 << 20) + (64 << 10) + (slots + 2) * bytes_each);
        (objects, bytes.min(objects * bytes_each))
    }

    fn run<const BYTES: usize>(&self) {
        let _alone = alone();
        let domain = hazard::Builder::new().max_batch(self.max_batch).build();
        let waiting = Arc::new(Waiting::default());
        let fresh = || domain.pin().owned(Object::<BYTES>::new(&waiting)).into_ptr();
        let sources: Vec<Atomic<_>> = (0..16).map(|_| Atomic::new(fresh())).collect();
        let stop = AtomicBool::new(false);
        // The writers, the stalled ones, one that sleeps with garbage in its bag, and this one.
        let meeting = Meeting::new(self.writers + self.stalled + 2);
        let most_threads = AtomicU64::new(0);
        let (mut most_pending, mut most_bytes) = (0, 0);
        thread::scope(|scope| {
            let writer = |seed: usize| {
                let mut at = seed;
                let mut left = self.retired / self.lives;
                while left > 0 {
                    let guard = domain.pin();
                    for _ in 0..self.per_guard.min(left) {
                        left -= 1;
                        // Some were linked, and may be protected.
                        if left % 4 == 0 {
                            at = (at * 5 + 3) % sources.len();
                            let node = guard.owned(Object::<BYTES>::new(&waiting)).into_ptr();
                            let old = sources[at].swap(node, Ordering::AcqRel);
                            // SAFETY: unlinked just now, by us; made in this domain.
                            unsafe { retire(&guard, old, &waiting) };
                        } else {
                            retire_new::<BYTES, _>(&guard, &waiting);
                        }
                        guard.reclaim(8);
                    }
                }
            };
            let meeting = &meeting;
            let mut threads: Vec<thread::ScopedJoinHandle<'_, ()>> = Vec::new();
            for seed in 0..self.writers {
                threads.push(scope.spawn(move || {
                    meeting.wait();
                    for _ in 1..self.lives {
                        thread::scope(|life| drop(life.spawn(|| writer(seed))));
                    }
                    writer(seed);
                    // Idle, with what is in its bag.
                    meeting.wait();
                }));
            }
            for _ in 0..self.stalled {
                threads.push(scope.spawn(|| {
                    let guards: Vec<_> = (0..self.guards).map(|_| domain.pin()).collect();
                    let mut shields = Vec::new();
                    for (at, guard) in
                        guards.iter().flat_map(|guard| vec![guard; self.shields]).enumerate()
                    {
                        let mut shield = guard.shield();
                        shield.protect(&sources[at % sources.len()]);
                        shields.push(shield);
                    }
                    meeting.wait();
                    meeting.wait();
                }));
            }
            threads.push(scope.spawn(|| {
                for _ in 0..self.max_batch.min(500) {
                    retire_new::<BYTES, _>(&domain.pin(), &waiting);
                }
                meeting.wait();
                // Asleep.
                meeting.wait();
            }));
            let sampler = scope.spawn(|| {
                let mut most = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let (before, stats, after) = (domain.stats(), domain.stats(), domain.stats());
                    most_threads.fetch_max(stats.threads, Ordering::Relaxed);
                    // What was retired while the figures were summed up.
                    let slack = after.retired - before.retired;
                    most.0 = most.0.max(stats.pending.saturating_sub(slack));
                    let slack = slack * (BYTES as u64 + 64);
                    most.1 = most.1.max(stats.pending_bytes.saturating_sub(slack));
                    thread::yield_now();
                }
                most
            });
            meeting.wait();
            meeting.wait();
            threads.into_iter().for_each(|thread| thread.join().expect("it is well"));
            stop.store(true, Ordering::Relaxed);
            (most_pending, most_bytes) = sampler.join().expect("it is well");
        });
        // Those above, this thread, and one record more (a lease).
        let mut records = (self.writers + self.stalled + 3) as u64;
        if self.lives > 1 {
            // Those that wait for their last life, and what others have left.
            records = 2 * (records + self.writers as u64);
        }
        assert!(most_threads.into_inner() <= records);
        let each = (size_of::<Object<BYTES>>() + 16) as u64;
        let (objects, bytes) = self.bound(records, each);
        let peak = waiting.peak.load(Ordering::Relaxed);
        println!(
            "{records} records: {peak} objects (by stats {most_pending}) of {objects}, \
             {most_bytes} bytes of {bytes}"
        );
        assert!(peak <= objects + self.writers as u64, "{peak} objects were pending");
        assert!(most_pending <= objects, "{most_pending} objects were pending");
        // Of objects and bytes that of which there are fewer is what counts.
        assert!(most_bytes <= bytes, "{most_bytes} bytes were pending");
        assert!(peak * each <= bytes + self.writers as u64 * each, "{peak} large objects");
        domain.collect();
        assert_eq!((domain.stats().pending, domain.stats().pending_bytes), (0, 0));
        assert_eq!(waiting.now.load(Ordering::Relaxed), 0);
        for source in &sources {
            let guard = domain.pin();
            let node = source.swap(Ptr::null(), Ordering::AcqRel);
            // SAFETY: unlinked just now, by us; made in this domain.
            unsafe { retire(&guard, node, &waiting) };
        }
        drop(domain);
        assert_eq!(waiting.now.load(Ordering::Relaxed), 0);
    }
}

const USUAL: Case = Case {
    max_batch: 4096,
    writers: 6,
    stalled: 3,
    guards: 1,
    shields: 4,
    retired: sized(200_000, 30_000, 24),
    per_guard: 1,
    lives: 1,
};

#[test]
fn hazard_with_the_usual_batch() {
    USUAL.run::<8>();
}

#[test]
fn hazard_with_batches_of_64() {
    Case { max_batch: 64, ..USUAL }.run::<8>();
}

#[test]
fn hazard_with_batches_of_one() {
    Case { max_batch: 1, retired: USUAL.retired / 4, ..USUAL }.run::<8>();
}

#[test]
fn hazard_with_many_objects_to_a_guard() {
    Case { max_batch: 64, per_guard: 1000, ..USUAL }.run::<8>();
}

#[test]
fn hazard_with_threads_that_come_and_go() {
    let lives = sized(1_000, 100, 3);
    Case { max_batch: 64, lives, ..USUAL }.run::<8>();
}

#[test]
fn hazard_with_guards_within_guards() {
    Case { max_batch: 16, guards: 5, shields: 11, ..USUAL }.run::<8>();
}

#[test]
fn hazard_with_large_objects() {
    let retired = sized(20_000, 2_000, 6);
    Case { retired, ..USUAL }.run::<{ 64 << 10 }>();
}

#[test]
fn hazard_with_large_objects_under_one_guard() {
    let retired = sized(20_000, 2_000, 6);
    Case { retired, per_guard: 100, guards: 2, ..USUAL }.run::<{ 64 << 10 }>();
}

/// What it takes to have so many shields at once, at best.
fn time_of_shields(domain: &Domain<Hazard>, shields: usize) -> Duration {
    let once = || {
        let begin = Instant::now();
        let guard = domain.pin();
        drop((0..shields).map(|_| guard.shield::<u8>()).collect::<Vec<_>>());
        begin.elapsed()
    };
    (0..5).map(|_| once()).min().expect("there are some")
}

/// A guard's slots were looked for one block after the other.
#[test]
fn hazard_with_many_shields_takes_as_long_for_each() {
    let _alone = alone();
    let domain = Domain::<Hazard>::new();
    let few = sized(2_000, 2_000, 20);
    let (of_few, of_many) = (time_of_shields(&domain, few), time_of_shields(&domain, 10 * few));
    println!("{few} shields: {of_few:?}; ten times as many: {of_many:?}");
    assert!(cfg!(miri) || of_many < 20 * of_few, "{of_few:?} became {of_many:?}");
}

/// The slots of a crowd of shields counted for ever.
#[test]
fn hazard_with_many_shields_for_once_has_small_batches_again() {
    let _alone = alone();
    let domain = hazard::Builder::new().max_batch(64).build();
    let waiting = Arc::new(Waiting::default());
    let many = sized(30_000, 10_000, 100);
    let retire_so_many = |objects: usize| {
        for _ in 0..objects {
            retire_new::<8, _>(&domain.pin(), &waiting);
        }
        waiting.peak.swap(0, Ordering::Relaxed)
    };
    let usual = retire_so_many(2 * many);
    {
        // A guard within a guard, with as many shields.
        let _outer = domain.pin();
        let guard = domain.pin();
        let _shields: Vec<_> = (0..many).map(|_| guard.shield::<u8>()).collect();
        assert!(
            retire_so_many(4 * many) > many as u64,
            "the slots are counted while they are leased"
        );
    }
    // The batch that has begun is a large one, the next is not.
    retire_so_many(4 * many);
    let afterwards = retire_so_many(4 * many);
    println!("{usual} waited, and {afterwards} afterwards");
    // With the slots of the guard within the guard.
    assert!(afterwards <= 2 * usual + 16 * SLOTS as u64);
}

/// Though there is no bound if somebody stalls.
fn keeps_up(domain: &Domain<Epoch>, per_guard: usize) {
    const RETIRED: usize = sized(2_000_000, 200_000, 200);
    let _alone = alone();
    let waiting = Arc::new(Waiting::default());
    for _ in 0..RETIRED / per_guard {
        let guard = domain.pin();
        (0..per_guard).for_each(|_| retire_new::<8, _>(&guard, &waiting));
    }
    let pending = domain.stats().pending;
    let peak = waiting.peak.load(Ordering::Relaxed);
    println!("{per_guard} to a guard: {pending} pending, {peak} at most: {:?}", domain.stats());
    assert!(pending < 10_000, "{pending} are pending at the end");
    assert!(peak < 40_000, "{peak} were pending");
    domain.collect();
    assert_eq!(domain.stats().pending, 0);
    assert_eq!(waiting.now.load(Ordering::Relaxed), 0);
}

#[test]
fn epoch_keeps_up_with_many_objects_to_a_guard() {
    keeps_up(&Domain::<Epoch>::new(), 64);
    keeps_up(&epoch::Builder::new().max_batch(64).build(), 64);
}

#[test]
fn epoch_keeps_up_with_one_object_to_a_guard() {
    keeps_up(&Domain::<Epoch>::new(), 1);
}

/// After a stall a crowd of small objects waits to be freed. What is freed at a time is as much as was
/// retired, twice over: in objects; in bytes one large object would let all of them go in one operation.
#[test]
fn epoch_frees_no_crowd_for_one_large_object() {
    const CROWD: usize = sized(50_000, 20_000, 1200);
    const LARGE: usize = 64 << 10;
    let _alone = alone();
    let domain = epoch::Builder::new().max_batch(4).build();
    let waiting = Arc::new(Waiting::default());
    let now = || waiting.now.load(Ordering::Relaxed);

    let stall = domain.pin();
    (0..CROWD).for_each(|_| retire_new::<8, _>(&stall, &waiting));
    drop(stall);
    let mut before = now();
    while now() >= before {
        before = now();
        retire_new::<8, _>(&domain.pin(), &waiting);
    }
    let before = now();
    retire_new::<LARGE, _>(&domain.pin(), &waiting);
    let freed = before + 1 - now();
    assert!(freed >= 8, "{freed} were freed, and {before} waited");
    assert!(freed < 1000, "{freed} were freed in one operation");
    domain.collect();
    assert_eq!(now(), 0);
}

/// Threads come and go, and leave more than the one that stays frees when it retires, a large object now
/// and then, or a few small ones. What counts is what waits at the best of times, in the end: while a
/// thread is off the processor in its guard there is more. (Few enough rounds for Miri to see how, not how
/// many.)
fn epoch_keeps_up_with_those_who_exit(retires: impl Fn(&Domain<Epoch>, &Arc<Waiting>)) {
    const ROUNDS: usize = sized(2000, 1000, 12);
    const EACH: usize = sized(1000, 1000, 100);
    let _alone = alone();
    let domain = Domain::<Epoch>::new();
    let waiting = Arc::new(Waiting::default());
    let now = || waiting.now.load(Ordering::Relaxed);
    let mut least = u64::MAX;
    for round in 0..ROUNDS {
        let worker = || (0..EACH).for_each(|_| retire_new::<8, _>(&domain.pin(), &waiting));
        thread::scope(|scope| _ = (scope.spawn(worker), scope.spawn(worker)));
        retires(&domain, &waiting);
        if round >= ROUNDS / 4 * 3 {
            least = least.min(now());
        }
    }
    println!("{least} at the best of times");
    assert!(least < 30_000, "{least} are pending at the best of times");
    domain.collect();
    assert_eq!(now(), 0);
}

#[test]
fn epoch_keeps_up_with_those_who_exit_beside_large_objects() {
    epoch_keeps_up_with_those_who_exit(|domain, waiting| {
        retire_new::<{ 64 << 10 }, _>(&domain.pin(), waiting);
    });
}

#[test]
fn epoch_keeps_up_with_those_who_exit_beside_small_objects() {
    epoch_keeps_up_with_those_who_exit(|domain, waiting| {
        (0..64).for_each(|_| retire_new::<8, _>(&domain.pin(), waiting));
    });
}

/// Stores some boxes when it ends.
struct Job<S: Scheme> {
    boxes: Arc<RcuCell<Box<u64>, Domain<S>>>,
}

impl<S: Scheme> Drop for Job<S> {
    fn drop(&mut self) {
        (0..5).for_each(|number| self.boxes.store(Box::new(number)));
    }
}

/// What drops retire, into the same domain or another one, does not stay for ever, though they are at work
/// all the time.
fn is_bounded_with_drops_that_retire<S: Scheme>(of_jobs: &Domain<S>, of_boxes: &Domain<S>) {
    // Some batches, and what the drops of one call retire; without a bound it was four times that.
    const MOST: u64 = 50_000;
    let _alone = alone();
    let boxes = Arc::new(RcuCell::with_reclaimer(Box::new(0), of_boxes.clone()));
    let job = RcuCell::<Option<Job<S>>, _>::with_reclaimer(None, of_jobs.clone());
    for _ in 0..sized(150_000, 100_000, 200) {
        job.store(Some(Job { boxes: Arc::clone(&boxes) }));
        for domain in [of_jobs, of_boxes] {
            let pending = domain.stats().pending;
            assert!(pending <= MOST, "{pending} objects are pending");
        }
    }
    drop((job, boxes));
    for domain in [of_jobs, of_boxes] {
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
    }
}

#[test]
fn hazard_with_drops_that_retire() {
    let domain = Domain::<Hazard>::new();
    is_bounded_with_drops_that_retire(&domain, &domain);
    is_bounded_with_drops_that_retire(&domain, &Domain::new());
}

#[test]
fn epoch_with_drops_that_retire() {
    let domain = Domain::<Epoch>::new();
    is_bounded_with_drops_that_retire(&domain, &domain);
    is_bounded_with_drops_that_retire(&domain, &Domain::new());
}
