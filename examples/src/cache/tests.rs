//! The protocol step by step, on every scheme; and that the check finds out a cache that breaks it.

use std::collections::{HashMap as StdHashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::check::{FaultKind, Ledger};

/// Writes each test once and runs it on every scheme.
macro_rules! on_every_scheme {
    ($($test:ident)*) => {
        mod epoch { $(#[test] fn $test() { super::$test(sexton::Epoch) })* }
        mod crossbeam { $(#[test] fn $test() { super::$test(sexton::CrossbeamEpoch) })* }
        mod hazard { $(#[test] fn $test() { super::$test(sexton::Hazard) })* }
        mod haphazard { $(#[test] fn $test() { super::$test(sexton::Haphazard) })* }
        mod owned { $(#[test] fn $test() { super::$test(sexton::Domain::<sexton::Epoch>::new()) })* }
    };
}

on_every_scheme! {
    a_row_is_loaded_once_and_hit_from_then_on
    concurrent_misses_of_a_row_read_the_database_once
    a_failed_load_tells_its_waiters_and_the_next_read_tries_again
    a_panicked_load_tells_its_waiters_and_the_next_read_tries_again
    a_load_that_an_update_overtook_is_not_cached
    updates_that_clear_the_entry_in_the_other_order_leave_the_newer_row
    an_update_that_fails_clears_the_entry_all_the_same
    with_one_thread_it_is_exactly_clock
    an_updated_row_keeps_its_place_and_is_no_second_entry
    a_storm_leaves_one_token_an_entry_and_no_more_entries_than_allowed
    a_capacity_below_the_number_of_threads_is_kept
    a_surplus_that_nobody_could_evict_goes_when_the_tokens_are_back
}

fn key(id: u64) -> Key {
    Key { tenant: 0, id }
}

/// Where the fake database can be made to stop, fail or panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A read has the row in its hands and has not returned yet.
    RowInHand,
    /// An update is about to commit.
    BeforeCommit,
    /// An update has committed and has not returned yet.
    Committed,
}

type Hook = Box<dyn Fn(Step, &Row) -> Result<(), DatabaseError> + Send + Sync>;

/// Rows in memory, all of them at version 1 until they are updated.
struct Fake {
    rows: Mutex<StdHashMap<Key, Row>>,
    /// One update at a time; reads go on meanwhile.
    writer: Mutex<()>,
    reads: AtomicU64,
    hook: Hook,
}

impl Fake {
    fn new() -> Fake {
        Fake::with_hook(|_, _| Ok(()))
    }

    fn with_hook(
        hook: impl Fn(Step, &Row) -> Result<(), DatabaseError> + Send + Sync + 'static,
    ) -> Fake {
        let rows = Mutex::default();
        Fake { rows, writer: Mutex::default(), reads: AtomicU64::new(0), hook: Box::new(hook) }
    }

    /// Stops the first one to come to this step with this version.
    fn stopping_at(step: Step, version: u64) -> (Fake, Arc<Stop>) {
        let stop = Stop::new();
        let (stopped, there) = (AtomicBool::new(false), Arc::clone(&stop));
        let fake = Fake::with_hook(move |at, row| {
            if (at, row.version) == (step, version) && !stopped.swap(true, Ordering::Relaxed) {
                there.here();
            }
            Ok(())
        });
        (fake, stop)
    }

    fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Database for Fake {
    fn read(&self, key: Key) -> Result<Row, DatabaseError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let row = self.rows.lock().unwrap().get(&key).cloned();
        let row = row.unwrap_or_else(|| Row::new(key, 1));
        (self.hook)(Step::RowInHand, &row)?;
        Ok(row)
    }

    fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError> {
        let transaction = self.writer.lock().unwrap();
        let old = self.rows.lock().unwrap().get(&key).cloned();
        let new = change(&old.unwrap_or_else(|| Row::new(key, 1)));
        (self.hook)(Step::BeforeCommit, &new)?;
        self.rows.lock().unwrap().insert(key, new.clone());
        drop(transaction);
        (self.hook)(Step::Committed, &new)?;
        Ok(new)
    }
}

/// A place where one thread stops until another lets it go on, or gives up: a test that fails shall
/// not hang.
struct Stop {
    reached: (Sender<()>, Mutex<Receiver<()>>),
    go: (Sender<()>, Mutex<Receiver<()>>),
}

impl Stop {
    fn new() -> Arc<Stop> {
        let channel = || {
            let (sender, receiver) = channel();
            (sender, Mutex::new(receiver))
        };
        Arc::new(Stop { reached: channel(), go: channel() })
    }

    /// Stops here.
    fn here(&self) {
        self.reached.0.send(()).unwrap();
        let _ = self.go.1.lock().unwrap().recv_timeout(PATIENCE);
    }

    /// Waits until the other thread has stopped.
    fn reached(&self) {
        self.reached.1.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    }

    /// Lets the other thread go on.
    fn go(&self) {
        self.go.0.send(()).unwrap();
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

impl<D: Database, R: Reclaimer> RowCache<D, R> {
    /// The version a read finds, and where.
    fn version(&self, id: u64) -> Result<(u64, Served), DatabaseError> {
        self.read(key(id), |row| {
            assert!(row.is_whole() && row.key == key(id));
            row.version
        })
    }

    /// Waits until so many threads have this row's load in their hands, the one that loads it
    /// included.
    fn wait_until_loading(&self, id: u64, threads: usize) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            match self.entries.pin().get(&key(id)).as_deref() {
                Some(Entry::Loading(load)) if Arc::strong_count(load) == threads + 1 => return,
                _ => thread::yield_now(),
            }
        }
        panic!("{threads} threads were to wait for row {id}");
    }

    /// The tokens in the queue, oldest first; only while nobody else is there.
    fn tokens(&self) -> Vec<Key> {
        let tokens: Vec<Key> = std::iter::from_fn(|| self.clock.pop()).collect();
        tokens.iter().for_each(|token| self.clock.push(*token));
        tokens
    }
}

fn a_row_is_loaded_once_and_hit_from_then_on<R: Reclaimer>(reclaimer: R) {
    let fake = Fake::new();
    let cache = RowCache::new(&fake, 10, reclaimer);
    assert!(cache.is_empty());
    assert_eq!(cache.version(1), Ok((1, Served::Loaded)));
    for _ in 0..10 {
        assert_eq!(cache.version(1), Ok((1, Served::Hit)));
    }
    assert_eq!((fake.reads(), cache.len()), (1, 1));
    cache.update(key(1), Row::next).unwrap();
    assert_eq!(cache.version(1), Ok((2, Served::Loaded)));
    assert_eq!(cache.version(1), Ok((2, Served::Hit)));
}

/// Four readers that wait for a fifth one's load, and what each of them got.
fn four_waiters<R: Reclaimer>(
    cache: &RowCache<&Fake, R>,
    stop: &Stop,
) -> Vec<Result<(u64, Served), DatabaseError>> {
    thread::scope(|scope| {
        let first = scope.spawn(|| catch_unwind(AssertUnwindSafe(|| cache.version(1))));
        stop.reached();
        let waiters: Vec<_> = (0..4).map(|_| scope.spawn(|| cache.version(1))).collect();
        cache.wait_until_loading(1, 5);
        stop.go();
        let _ = first.join().unwrap();
        waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect()
    })
}

fn concurrent_misses_of_a_row_read_the_database_once<R: Reclaimer>(reclaimer: R) {
    let (fake, stop) = Fake::stopping_at(Step::RowInHand, 1);
    let cache = RowCache::new(&fake, 10, reclaimer);
    assert_eq!(four_waiters(&cache, &stop), vec![Ok((1, Served::Joined)); 4]);
    assert_eq!(cache.version(1), Ok((1, Served::Hit)));
    assert_eq!(fake.reads(), 1);
}

/// A database whose first read stops, and then does as `misfortune` says.
fn first_read(misfortune: impl Fn() -> DatabaseError + Send + Sync + 'static) -> (Fake, Arc<Stop>) {
    let stop = Stop::new();
    let (there, first) = (Arc::clone(&stop), AtomicBool::new(true));
    let fake = Fake::with_hook(move |_, _| {
        if !first.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        there.here();
        Err(misfortune())
    });
    (fake, stop)
}

fn a_failed_load_tells_its_waiters_and_the_next_read_tries_again<R: Reclaimer>(reclaimer: R) {
    let (fake, stop) = first_read(|| DatabaseError::failed("disk on fire"));
    let cache = RowCache::new(&fake, 10, reclaimer);
    let error = Err(DatabaseError::failed("disk on fire"));
    assert_eq!(four_waiters(&cache, &stop), vec![error; 4]);
    assert_eq!(cache.version(1), Ok((1, Served::Loaded)));
    assert_eq!(cache.version(1), Ok((1, Served::Hit)));
    assert_eq!(cache.tokens(), [key(1)]);
}

fn a_panicked_load_tells_its_waiters_and_the_next_read_tries_again<R: Reclaimer>(reclaimer: R) {
    let (fake, stop) = first_read(|| std::panic::resume_unwind(Box::new("a bug in the database")));
    let cache = RowCache::new(&fake, 10, reclaimer);
    assert_eq!(four_waiters(&cache, &stop), vec![Err(DatabaseError::Panicked(key(1))); 4]);
    assert_eq!(cache.version(1), Ok((1, Served::Loaded)));
    assert_eq!(cache.tokens(), [key(1)]);
}

fn a_load_that_an_update_overtook_is_not_cached<R: Reclaimer>(reclaimer: R) {
    let (fake, stop) = Fake::stopping_at(Step::RowInHand, 1);
    let cache = RowCache::new(&fake, 10, reclaimer);
    thread::scope(|scope| {
        let load = scope.spawn(|| cache.version(1));
        stop.reached();
        assert_eq!(cache.update(key(1), Row::next).unwrap().version, 2);
        // Another load may already be there when the first one wants to publish.
        assert_eq!(cache.version(1), Ok((2, Served::Loaded)));
        stop.go();
        assert_eq!(load.join().unwrap(), Ok((1, Served::Loaded)));
    });
    assert_eq!(cache.version(1), Ok((2, Served::Hit)));
    assert_eq!(cache.tokens(), [key(1)]);
}

fn updates_that_clear_the_entry_in_the_other_order_leave_the_newer_row<R: Reclaimer>(reclaimer: R) {
    let (fake, stop) = Fake::stopping_at(Step::Committed, 2);
    let cache = RowCache::new(&fake, 10, reclaimer);
    assert_eq!(cache.version(1), Ok((1, Served::Loaded)));
    thread::scope(|scope| {
        let second = scope.spawn(|| cache.update(key(1), Row::next).unwrap().version);
        stop.reached();
        assert_eq!(cache.update(key(1), Row::next).unwrap().version, 3);
        assert_eq!(cache.version(1), Ok((3, Served::Loaded)));
        stop.go();
        assert_eq!(second.join().unwrap(), 2);
    });
    assert_eq!(cache.version(1), Ok((3, Served::Loaded)));
    assert_eq!(cache.version(1), Ok((3, Served::Hit)));
}

fn an_update_that_fails_clears_the_entry_all_the_same<R: Reclaimer>(reclaimer: R) {
    let fake = Fake::with_hook(|step, _| match step {
        Step::Committed => Err(DatabaseError::failed("nobody knows whether it is committed")),
        _ => Ok(()),
    });
    let cache = RowCache::new(&fake, 10, reclaimer);
    assert_eq!(cache.version(1), Ok((1, Served::Loaded)));
    assert!(cache.update(key(1), Row::next).is_err());
    assert_eq!(cache.version(1), Ok((2, Served::Loaded)));
    let change = |_: &Row| std::panic::resume_unwind(Box::new("a bug in the change"));
    assert!(catch_unwind(AssertUnwindSafe(|| cache.update(key(2), change))).is_err());
}

/// CLOCK as in the books.
struct Clock {
    capacity: usize,
    ring: VecDeque<(u64, bool)>,
}

impl Clock {
    fn read(&mut self, id: u64) -> Served {
        if let Some((_, visited)) = self.ring.iter_mut().find(|(there, _)| *there == id) {
            *visited = true;
            return Served::Hit;
        }
        while self.ring.len() >= self.capacity {
            match self.ring.pop_front() {
                Some((id, true)) => self.ring.push_back((id, false)),
                _ => break,
            }
        }
        self.ring.push_back((id, false));
        Served::Loaded
    }
}

fn with_one_thread_it_is_exactly_clock<R: Reclaimer>(reclaimer: R) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    for capacity in [1, 2, 7, 32] {
        let fake = Fake::new();
        let cache = RowCache::new(&fake, capacity, reclaimer.clone());
        let mut clock = Clock { capacity, ring: VecDeque::new() };
        for read in 0..5000 {
            // The product of two: some rows are more popular than others.
            let id = rng.random_range(0..10) * rng.random_range(0..10);
            assert_eq!(cache.version(id), Ok((1, clock.read(id))), "{capacity}: read {read}");
        }
        let ring: Vec<Key> = clock.ring.iter().map(|(id, _)| key(*id)).collect();
        assert_eq!(cache.tokens(), ring);
    }
}

fn an_updated_row_keeps_its_place_and_is_no_second_entry<R: Reclaimer>(reclaimer: R) {
    let fake = Fake::new();
    let cache = RowCache::new(&fake, 3, reclaimer);
    for id in [1, 2, 3] {
        cache.version(id).unwrap();
    }
    for version in 2..1000 {
        cache.update(key(2), Row::next).unwrap();
        assert_eq!(cache.version(2), Ok((version, Served::Loaded)));
    }
    assert_eq!(cache.tokens(), [1, 2, 3].map(key));
    // An update of what is not cached does not cache it.
    cache.update(key(9), Row::next).unwrap();
    assert_eq!((cache.len(), cache.tokens()), (3, [1, 2, 3].map(key).to_vec()));
    // The reads after the updates were visits: row 2 stays when 1 and 3 go.
    cache.version(4).unwrap();
    cache.version(5).unwrap();
    assert_eq!(cache.tokens(), [4, 2, 5].map(key));
    assert_eq!(cache.version(2), Ok((999, Served::Hit)));
}

/// Readers and updaters on few rows, each read checked; then everything is counted.
fn storm<R: Reclaimer>(cache: &RowCache<&Fake, R>, rows: u64) {
    const READERS: u64 = 4;
    const UPDATERS: u64 = 2;
    const STEPS: u64 = if cfg!(miri) { 20 } else { 3000 };
    let ledger = Ledger::new((0..rows).map(|_| 1));
    thread::scope(|scope| {
        for seed in 0..READERS + UPDATERS {
            let ledger = &ledger;
            scope.spawn(move || {
                let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
                for _ in 0..STEPS {
                    let row = rng.random_range(0..rows) as usize;
                    let key = key(row as u64);
                    if seed < READERS {
                        let started = ledger.start(row);
                        let (verdict, _) =
                            cache.read(key, |found| ledger.check(started, key, found)).unwrap();
                        assert_eq!(verdict, Ok(()));
                    } else {
                        let change = |old: &Row| {
                            let new = old.next();
                            ledger.begin(row, new.version);
                            new
                        };
                        let new = cache.update(key, change).unwrap();
                        ledger.acknowledge(row, new.version);
                    }
                }
            });
        }
    });
    let mut tokens = cache.tokens();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), cache.len(), "I6: one token an entry");
    assert!(tokens.iter().all(|token| cache.entries.pin().get(token).is_some()));
    assert!(cache.len() <= cache.capacity, "I7: {} entries", cache.len());
    assert_eq!(cache.resident.load(Ordering::Relaxed), cache.len());
}

fn a_storm_leaves_one_token_an_entry_and_no_more_entries_than_allowed<R: Reclaimer>(reclaimer: R) {
    let fake = Fake::new();
    storm(&RowCache::new(&fake, 8, reclaimer), 20);
}

fn a_capacity_below_the_number_of_threads_is_kept<R: Reclaimer>(reclaimer: R) {
    let fake = Fake::new();
    storm(&RowCache::new(&fake, 1, reclaimer), 5);
}

fn a_surplus_that_nobody_could_evict_goes_when_the_tokens_are_back<R: Reclaimer>(reclaimer: R) {
    let (fake, stop) = Fake::stopping_at(Step::RowInHand, 1);
    let cache = RowCache::new(&fake, 1, reclaimer);
    thread::scope(|scope| {
        let first = scope.spawn(|| cache.version(1));
        stop.reached();
        // The token of row 1 is in the other thread's hands: there is nothing to evict for row 2.
        assert_eq!(cache.version(2), Ok((1, Served::Loaded)));
        stop.go();
        assert_eq!(first.join().unwrap(), Ok((1, Served::Loaded)));
    });
    assert_eq!((cache.len(), cache.tokens().len()), (1, 1));
}

/// With epochs, a guard anywhere keeps garbage from being freed.
#[test]
fn no_guard_is_held_while_the_database_works_or_a_load_is_waited_for() {
    let domain = sexton::Domain::<sexton::Epoch>::new();
    let free = |domain: &sexton::Domain<sexton::Epoch>| {
        let stack = sexton::Stack::with_reclaimer(domain.clone());
        stack.push(1);
        stack.pop();
        domain.collect();
        domain.stats().pending == 0
    };
    assert!(free(&domain));
    {
        let _guard = domain.pin();
        assert!(!free(&domain), "this test sees a guard");
    }
    let in_the_database = domain.clone();
    let stop = Stop::new();
    let there = Arc::clone(&stop);
    let fake = Fake::with_hook(move |step, _| {
        assert!(free(&in_the_database), "a guard is held at {step:?}");
        if step == Step::RowInHand {
            there.here();
            assert!(free(&in_the_database), "a waiter holds a guard");
        }
        Ok(())
    });
    let cache = RowCache::new(&fake, 10, domain.clone());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| cache.version(1).unwrap());
        }
        stop.reached();
        cache.wait_until_loading(1, 3);
        stop.go();
    });
    cache.update(key(1), Row::next).unwrap();
}

/// The cache as it is, or with one rule of its protocol broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    AsItIs,
    /// I2: a load publishes though its lease was taken away.
    PublishWithoutLease,
    /// I3: an update takes away rows, but not the leases of loads under way.
    SpareTheLeases,
    /// I3: an update clears the entry first and commits afterwards.
    InvalidateBeforeCommit,
}

impl Protocol {
    fn read<T>(self, cache: &RowCache<&Fake, sexton::Epoch>, look: impl FnOnce(&Row) -> T) -> T {
        if self == Protocol::PublishWithoutLease {
            return match cache.look_up(key(1), look) {
                LookUp::Hit(seen) => seen,
                LookUp::Join(..) => unreachable!("one reader at a time"),
                LookUp::Lead(_lease, look) => {
                    let row = cache.database.read(key(1)).unwrap();
                    let ready = Entry::Ready { row: row.clone(), visited: false.into() };
                    cache.entries.pin().insert(key(1), ready);
                    look(&row)
                }
            };
        }
        cache.read(key(1), look).unwrap().0
    }

    fn update(
        self,
        cache: &RowCache<&Fake, sexton::Epoch>,
        change: impl FnOnce(&Row) -> Row,
    ) -> Row {
        match self {
            Protocol::AsItIs | Protocol::PublishWithoutLease => {
                cache.update(key(1), change).unwrap()
            }
            Protocol::SpareTheLeases => {
                let new = cache.database.update(key(1), change).unwrap();
                cache.entries.pin().compute(key(1), |entry| match entry {
                    Some((_, Entry::Ready { .. })) => Operation::Insert(Entry::Vacant),
                    _ => Operation::Abort(()),
                });
                new
            }
            Protocol::InvalidateBeforeCommit => {
                cache.invalidate(key(1));
                cache.database.update(key(1), change).unwrap()
            }
        }
    }
}

/// Row 1 is read and updated at once, in an order that `stop_at` decides; then it is read once more,
/// and that read is checked.
fn checked_after_a_race(stop_at: Step, protocol: Protocol) -> Result<(), FaultKind> {
    let version = if stop_at == Step::RowInHand { 1 } else { 2 };
    let (fake, stop) = Fake::stopping_at(stop_at, version);
    let cache = RowCache::new(&fake, 10, sexton::Epoch);
    let ledger = Ledger::new([0, 1]);
    let read = || {
        let started = ledger.start(1);
        let checked = protocol.read(&cache, |row| ledger.check(started, key(1), row));
        checked.map_err(|fault| fault.kind)
    };
    let update = || {
        let change = |old: &Row| {
            ledger.begin(1, old.version + 1);
            old.next()
        };
        let new = protocol.update(&cache, change);
        ledger.acknowledge(1, new.version);
    };
    thread::scope(|scope| {
        if stop_at == Step::RowInHand {
            // A load has version 1 in its hands; version 2 is written and acknowledged.
            let load = scope.spawn(read);
            stop.reached();
            update();
            stop.go();
            assert_eq!(load.join().unwrap(), Ok(()), "it started before the update returned");
        } else {
            // An update is about to commit version 2, or has just done so; the row is loaded.
            let update = scope.spawn(update);
            stop.reached();
            assert_eq!(read(), Ok(()));
            stop.go();
            update.join().unwrap();
        }
    });
    read()
}

#[test]
fn the_check_passes_the_cache_as_it_is() {
    for stop_at in [Step::RowInHand, Step::BeforeCommit, Step::Committed] {
        assert_eq!(checked_after_a_race(stop_at, Protocol::AsItIs), Ok(()), "{stop_at:?}");
    }
}

#[test]
fn the_check_finds_out_a_cache_that_breaks_a_rule() {
    for (stop_at, protocol) in [
        (Step::RowInHand, Protocol::PublishWithoutLease),
        (Step::RowInHand, Protocol::SpareTheLeases),
        (Step::BeforeCommit, Protocol::InvalidateBeforeCommit),
    ] {
        let checked = checked_after_a_race(stop_at, protocol);
        assert_eq!(checked, Err(FaultKind::Stale), "{protocol:?}");
    }
}

#[test]
fn the_check_finds_a_torn_row_in_the_cache() {
    let fake = Fake::new();
    let mut torn = Row::new(key(1), 1);
    torn.payload[50..].copy_from_slice(&Row::new(key(1), 2).payload[50..]);
    fake.rows.lock().unwrap().insert(key(1), torn);
    let cache = RowCache::new(&fake, 10, sexton::Epoch);
    let ledger = Ledger::new([0, 1]);
    for served in [Served::Loaded, Served::Hit] {
        let started = ledger.start(1);
        let found = cache.read(key(1), |row| ledger.check(started, key(1), row)).unwrap();
        assert_eq!((found.0.map_err(|fault| fault.kind), found.1), (Err(FaultKind::Torn), served));
    }
}
