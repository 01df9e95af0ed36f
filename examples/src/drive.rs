//! The threads that read and update, and what they measure.
//!
//! The same readers and updaters drive the cache and the bare database; what differs is [`Rows`].
//! Every row that is read is checked against the [`Ledger`].

use std::iter;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use sexton::Reclaimer;

use crate::cache::{RowCache, Served};
use crate::check::{Fault, Ledger};
use crate::database::{Database, DatabaseError};
use crate::progress;
use crate::row::{Key, Row};
use crate::workload::Popularity;

/// Something to read rows from and update rows in.
pub trait Rows: Sync {
    /// Looks at a row, and says where it came from.
    fn read<T>(&self, key: Key, look: impl FnOnce(&Row) -> T)
    -> Result<(T, Served), DatabaseError>;

    /// Updates a row.
    fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError>;
}

impl<D: Database, R: Reclaimer> Rows for RowCache<D, R> {
    fn read<T>(
        &self,
        key: Key,
        look: impl FnOnce(&Row) -> T,
    ) -> Result<(T, Served), DatabaseError> {
        self.read(key, look)
    }

    fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError> {
        self.update(key, change)
    }
}

/// A database without a cache.
pub struct Uncached<D>(pub D);

impl<D: Database> Rows for Uncached<D> {
    fn read<T>(
        &self,
        key: Key,
        look: impl FnOnce(&Row) -> T,
    ) -> Result<(T, Served), DatabaseError> {
        self.0.read(key).map(|row| (look(&row), Served::Loaded))
    }

    fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError> {
        self.0.update(key, change)
    }
}

/// What is to be done.
pub struct Drive<'a> {
    /// The rows' keys; the ledger, the popularity and the replay go by the place in it.
    pub keys: &'a [Key],
    /// What may be read.
    pub ledger: &'a Ledger,
    /// Which rows are updated, and read where nothing is replayed.
    pub popularity: &'a Popularity,
    /// The requests to replay, if any.
    pub replay: Option<&'a [u32]>,
    /// How many threads read.
    pub readers: usize,
    /// How many threads update.
    pub updaters: usize,
    /// How long each updater rests between two updates.
    pub rest: Duration,
    /// When to stop; without it, at the end of what is replayed.
    pub time: Option<Duration>,
}

/// What was done, and how long it took.
#[derive(Debug)]
pub struct Measured {
    /// How long it took the reader that finished last.
    pub elapsed: Duration,
    /// How many rows were read, and checked.
    pub reads: u64,
    /// How many of them were in the cache.
    pub hits: u64,
    /// How many of them another thread was reading already.
    pub joined: u64,
    /// How many updates returned.
    pub updates: u64,
    /// How long the reads took, in nanoseconds.
    pub latency: Histogram<u64>,
    /// How many reads saw what they must not see.
    pub faults: u64,
    /// The first few of them.
    pub first_faults: Vec<Fault>,
}

/// How many faults are kept in full.
const KEPT_FAULTS: usize = 5;

/// How many requests of a replay a thread takes at once.
const BATCH: usize = 64;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(50);

impl Drive<'_> {
    /// A bar for [`run`](Drive::run): it counts requests, or else the time.
    pub fn bar(&self, what: &'static str) -> ProgressBar {
        match (self.replay, self.time) {
            (Some(references), None) => progress::bar(what, references.len() as u64),
            (_, time) => progress::time(what, time.unwrap_or_default()),
        }
    }

    /// Does it, on threads of its own.
    ///
    /// # Errors
    ///
    /// If the database fails; the first failure stops all threads.
    pub fn run(&self, rows: &impl Rows, progress: &ProgressBar) -> Result<Measured, DatabaseError> {
        let shared = Shared {
            stop: AtomicBool::new(false),
            replayed: AtomicUsize::new(0),
            updates: AtomicU64::new(0),
            failure: OnceLock::new(),
            start: Barrier::new(self.readers + self.updaters + 1),
        };
        let shared = &shared;
        let mut measured = Measured::default();
        thread::scope(|scope| {
            let readers: Vec<_> = (0..self.readers)
                .map(|seed| scope.spawn(move || self.read(seed as u64, rows, shared)))
                .collect();
            for seed in self.readers..self.readers + self.updaters {
                scope.spawn(move || self.update(seed as u64, rows, shared));
            }
            shared.start.wait();
            let start = Instant::now();
            while !readers.iter().all(|reader| reader.is_finished()) {
                self.tick(start, shared, progress);
            }
            shared.stop.store(true, Ordering::Relaxed);
            for reader in readers {
                match reader.join() {
                    Ok(part) => measured.add(part),
                    Err(panic) => resume_unwind(panic),
                }
            }
        });
        measured.updates = shared.updates.load(Ordering::Relaxed);
        shared.failure.get().cloned().map_or(Ok(measured), Err)
    }

    /// Moves the bar and the clock on.
    fn tick(&self, start: Instant, shared: &Shared, progress: &ProgressBar) {
        thread::sleep(TICK);
        let elapsed = start.elapsed();
        if self.time.is_some_and(|time| elapsed >= time) {
            shared.stop.store(true, Ordering::Relaxed);
        }
        match (self.replay, self.time) {
            (Some(references), None) => {
                let replayed = shared.replayed.load(Ordering::Relaxed);
                progress.set_position(replayed.min(references.len()) as u64);
            }
            _ => progress.set_position(elapsed.as_millis() as u64),
        }
    }

    fn read(&self, seed: u64, rows: &impl Rows, shared: &Shared) -> Measured {
        let Some(references) = self.replay else {
            return self.read_each(self.popularity.sequence(seed), rows, shared);
        };
        // Relaxed: the threads only share out the requests.
        let batches = iter::from_fn(|| {
            let from = shared.replayed.fetch_add(BATCH, Ordering::Relaxed);
            references.get(from..)?.chunks(BATCH).next()
        });
        self.read_each(batches.flatten().map(|row| *row as usize), rows, shared)
    }

    fn read_each(
        &self,
        wanted: impl Iterator<Item = usize>,
        rows: &impl Rows,
        shared: &Shared,
    ) -> Measured {
        let mut part = Measured::default();
        shared.start.wait();
        // One reading of the clock a row: a read begins when the one before it has ended.
        let start = Instant::now();
        let mut before = start;
        for row in wanted {
            // Relaxed: a little later is soon enough.
            if shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let key = self.keys[row];
            let started = self.ledger.start(row);
            match rows.read(key, |found| self.ledger.check(started, key, found)) {
                Ok((verdict, served)) => part.count(served, verdict),
                Err(why) => {
                    shared.fail(why);
                    break;
                }
            }
            let now = Instant::now();
            part.latency.saturating_record((now - before).as_nanos() as u64);
            before = now;
        }
        part.elapsed = before - start;
        part
    }

    fn update(&self, seed: u64, rows: &impl Rows, shared: &Shared) {
        let sequence = self.popularity.sequence(seed);
        shared.start.wait();
        for row in sequence {
            if shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let change = |old: &Row| {
                let new = old.next();
                self.ledger.begin(row, new.version);
                new
            };
            match rows.update(self.keys[row], change) {
                Ok(new) => self.ledger.acknowledge(row, new.version),
                Err(why) => {
                    shared.fail(why);
                    break;
                }
            }
            shared.updates.fetch_add(1, Ordering::Relaxed);
            thread::sleep(self.rest);
        }
    }
}

/// What the threads of one run share.
struct Shared {
    stop: AtomicBool,
    /// How many requests of the replay were handed out.
    replayed: AtomicUsize,
    updates: AtomicU64,
    failure: OnceLock<DatabaseError>,
    start: Barrier,
}

impl Shared {
    /// The first failure is kept, and stops everybody.
    fn fail(&self, why: DatabaseError) {
        let _ = self.failure.set(why);
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Default for Measured {
    fn default() -> Self {
        // 1 ns to a minute in three digits.
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("fixed bounds");
        Measured {
            elapsed: Duration::ZERO,
            reads: 0,
            hits: 0,
            joined: 0,
            updates: 0,
            latency,
            faults: 0,
            first_faults: Vec::new(),
        }
    }
}

impl Measured {
    fn count(&mut self, served: Served, verdict: Result<(), Fault>) {
        self.reads += 1;
        match served {
            Served::Hit => self.hits += 1,
            Served::Joined => self.joined += 1,
            Served::Loaded => {}
        }
        if let Err(fault) = verdict {
            self.faults += 1;
            self.keep([fault]);
        }
    }

    fn keep(&mut self, faults: impl IntoIterator<Item = Fault>) {
        let room = KEPT_FAULTS - self.first_faults.len();
        self.first_faults.extend(faults.into_iter().take(room));
    }

    fn add(&mut self, part: Measured) {
        self.elapsed = self.elapsed.max(part.elapsed);
        self.reads += part.reads;
        self.hits += part.hits;
        self.joined += part.joined;
        self.latency.add(part.latency).expect("equal bounds");
        self.faults += part.faults;
        self.keep(part.first_faults);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const ROWS: u32 = 20;

    fn key(id: u64) -> Key {
        Key { tenant: 0, id }
    }

    /// Rows in memory; after an update, every `lie`th read still finds the older version.
    struct Memory {
        rows: Vec<Mutex<Row>>,
        reads: AtomicU64,
        lie: u64,
    }

    impl Memory {
        fn new(lie: u64) -> Memory {
            let rows = (0..u64::from(ROWS)).map(|id| Mutex::new(Row::new(key(id), 1)));
            Memory { rows: rows.collect(), reads: AtomicU64::new(0), lie }
        }
    }

    impl Database for Memory {
        fn read(&self, key: Key) -> Result<Row, DatabaseError> {
            let row = self.rows.get(key.id as usize).ok_or(DatabaseError::Missing(key))?;
            let row = row.lock().unwrap().clone();
            let lies = self.reads.fetch_add(1, Ordering::Relaxed) % self.lie == self.lie - 1;
            Ok(if lies && row.version > 1 { Row::new(key, 1) } else { row })
        }

        fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError> {
            let mut row = self.rows[key.id as usize].lock().unwrap();
            *row = change(&row);
            Ok(row.clone())
        }
    }

    fn run(
        keys: u32,
        replay: Option<&[u32]>,
        updaters: usize,
        rows: &impl Rows,
    ) -> Result<Measured, DatabaseError> {
        let drive = Drive {
            keys: &(0..u64::from(keys)).map(key).collect::<Vec<_>>(),
            ledger: &Ledger::new((0..keys).map(|_| 1)),
            popularity: &Popularity::new(keys as usize, 1.0).unwrap(),
            replay,
            readers: 3,
            updaters,
            rest: Duration::ZERO,
            time: replay.is_none().then_some(Duration::from_millis(200)),
        };
        drive.run(rows, &ProgressBar::hidden())
    }

    #[test]
    fn a_sound_database_passes_with_and_without_the_cache() {
        let memory = Memory::new(u64::MAX);
        let measured = run(ROWS, None, 2, &Uncached(&memory)).unwrap();
        assert!(measured.reads > 0 && measured.updates > 0);
        assert_eq!((measured.hits, measured.faults), (0, 0));

        let memory = Memory::new(u64::MAX);
        let cache = RowCache::new(&memory, 5, sexton::Epoch);
        let measured = run(ROWS, None, 2, &cache).unwrap();
        assert!(measured.hits > 0 && measured.updates > 0);
        assert_eq!((measured.faults, measured.latency.len()), (0, measured.reads));
    }

    #[test]
    fn a_database_that_lies_now_and_then_is_found_out() {
        let memory = Memory::new(100);
        let measured = run(ROWS, None, 2, &Uncached(&memory)).unwrap();
        assert!(measured.faults > 0);
        assert!((1..=KEPT_FAULTS).contains(&measured.first_faults.len()));
    }

    #[test]
    fn a_replay_reads_each_request_once() {
        let references: Vec<u32> = (0..10_001).map(|i| i % ROWS).collect();
        let memory = Memory::new(u64::MAX);
        let cache = RowCache::new(&memory, ROWS as usize, sexton::Epoch);
        let measured = run(ROWS, Some(&references), 0, &cache).unwrap();
        assert_eq!(measured.reads, 10_001);
        assert_eq!(memory.reads.load(Ordering::Relaxed), u64::from(ROWS));
        assert_eq!(measured.hits + measured.joined, 10_001 - u64::from(ROWS));
    }

    #[test]
    fn a_failing_database_ends_the_run() {
        let memory = Memory::new(u64::MAX);
        let cache = RowCache::new(&memory, 5, sexton::Epoch);
        let error = run(ROWS + 1, None, 0, &cache).unwrap_err();
        assert_eq!(error, DatabaseError::Missing(key(u64::from(ROWS))));
    }
}
