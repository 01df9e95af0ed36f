//! Row caches: reads through a cache that has room for a tenth of the rows, Zipf-distributed. An
//! operation is a read, and most are hits; a miss copies a row that lies ready, so that the cache's
//! own work is measured.
//!
//! Ours is the one of the examples: a hash map, a queue, and CLOCK. All load a missing row once.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use sexton_examples::cache::{RowCache, Served};
use sexton_examples::database::{Database, DatabaseError};
use sexton_examples::row::{Key, Row};
use sexton_examples::workload::{Popularity, TENANTS, generated_keys};

use crate::contender::ours::Named;
use crate::contender::{Epoch, Hazard};
use crate::options::Settings;
use crate::report::Report;
use crate::structure::threads_of;
use crate::turns::{Entry, timed};
use crate::watch::together;

/// Zipf's exponent.
const SKEW: f64 = 1.0;

/// How many reads are drawn for a thread.
const READS: usize = 1 << 20;

/// A cache in front of rows.
trait Cache: Send + Sync {
    const NAME: &'static str;

    fn new(rows: Rows, capacity: usize) -> Self;

    /// Looks at a row, and says whether that was a hit.
    fn read(&self, key: Key, look: impl FnOnce(&Row)) -> bool;
}

type OurCache<R> = RowCache<Rows, R>;

/// On one thread and on two.
pub(super) fn measure(settings: &Settings) -> Vec<Report> {
    let rows = Rows::new(settings.keys);
    [(1, 1.5), (2, 3.0)].map(|(threads, limit)| report(&rows, threads, limit, settings)).into()
}

fn report(rows: &Rows, threads: usize, limit: f64, settings: &Settings) -> Report {
    let reads = reads(rows, threads);
    let (entries, hits): (Vec<_>, Vec<_>) = [
        entry::<OurCache<Epoch>>(rows, &reads),
        entry::<OurCache<Hazard>>(rows, &reads),
        entry::<QuickCache>(rows, &reads),
        entry::<Moka>(rows, &reads),
    ]
    .into_iter()
    .unzip();
    let measured = timed(entries, settings);
    let (of, room, who) = (rows.rows.len(), rows.room(), threads_of(threads));
    let title = format!("row cache, reads (Zipf {SKEW}) of {of} rows, room for {room}, {who}");
    Report::throughput(title, &measured)
        .column("hits", hits.iter().map(|hits| hits.percentage()).collect())
        .ahead(QuickCache::NAME, limit)
}

/// The keys that each thread reads, one after the other.
fn reads(rows: &Rows, threads: usize) -> Vec<Vec<Key>> {
    let keys = generated_keys(rows.rows.len() as u32);
    let popularity = Popularity::new(keys.len(), SKEW).expect("there are rows");
    let of_thread = |thread| popularity.sequence(thread).take(READS).map(|it| keys[it]).collect();
    (0..threads as u64).map(of_thread).collect()
}

/// To be timed, warm; and its hits.
fn entry<'a, C: Cache + 'a>(rows: &Rows, reads: &'a [Vec<Key>]) -> (Entry<'a, f64>, Arc<Hits>) {
    let cache = C::new(rows.clone(), rows.room());
    read(&cache, &reads[0], 0, READS as u64);
    let hits = Arc::new(Hits::default());
    let all = Arc::clone(&hits);
    let mut done = 0;
    let entry = Entry::new(C::NAME, move |operations| {
        let took = together(reads.len(), operations, |thread, watch| {
            let mut at = done;
            watch.time(|count| {
                all.add(read(&cache, &reads[thread], at, count), count);
                at += count as usize;
            })
        });
        done += operations as usize;
        took
    });
    (entry, hits)
}

/// Reads so many rows, and says how many were hits.
#[inline(never)]
fn read<C: Cache>(cache: &C, keys: &[Key], from: usize, count: u64) -> u64 {
    let mut hits = 0;
    for place in from..from + count as usize {
        let look = |row: &Row| _ = black_box((row.version, row.checksum));
        hits += u64::from(cache.read(keys[place % READS], look));
    }
    hits
}

/// How many reads were hits.
#[derive(Default)]
struct Hits {
    hits: AtomicU64,
    reads: AtomicU64,
}

impl Hits {
    fn add(&self, hits: u64, reads: u64) {
        self.hits.fetch_add(hits, Relaxed);
        self.reads.fetch_add(reads, Relaxed);
    }

    fn percentage(&self) -> String {
        let [hits, reads] = [&self.hits, &self.reads].map(|it| it.load(Relaxed) as f64);
        format!("{:.1} %", 100.0 * hits / reads)
    }
}

/// Rows that lie ready.
#[derive(Clone)]
struct Rows {
    rows: Arc<[Row]>,
}

impl Rows {
    fn new(count: u32) -> Self {
        let key = |number| Key { tenant: number % TENANTS, id: u64::from(number / TENANTS) };
        Self { rows: (0..count).map(|number| Row::new(key(number), 1)).collect() }
    }

    /// How many of them a cache may keep.
    fn room(&self) -> usize {
        self.rows.len() / 10
    }

    fn row(&self, key: Key) -> &Row {
        &self.rows[key.id as usize * TENANTS as usize + key.tenant as usize]
    }
}

impl Database for Rows {
    fn read(&self, key: Key) -> Result<Row, DatabaseError> {
        Ok(self.row(key).clone())
    }

    fn update(&self, key: Key, _: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError> {
        Err(DatabaseError::failed(format!("{key} is only read here")))
    }
}

impl<R: Named> Cache for OurCache<R> {
    const NAME: &'static str = R::NAME;

    fn new(rows: Rows, capacity: usize) -> Self {
        Self::new(rows, capacity, R::default())
    }

    #[inline]
    fn read(&self, key: Key, look: impl FnOnce(&Row)) -> bool {
        self.read(key, look).expect("there is every row").1 == Served::Hit
    }
}

/// `quick_cache`: hands out clones; so the rows are counted.
struct QuickCache {
    cache: quick_cache::sync::Cache<Key, Arc<Row>>,
    rows: Rows,
}

impl Cache for QuickCache {
    const NAME: &'static str = "quick_cache";

    fn new(rows: Rows, capacity: usize) -> Self {
        Self { cache: quick_cache::sync::Cache::new(capacity), rows }
    }

    #[inline]
    fn read(&self, key: Key, look: impl FnOnce(&Row)) -> bool {
        let mut hit = true;
        let load = || {
            hit = false;
            self.rows.read(key).map(Arc::new)
        };
        look(&self.cache.get_or_insert_with(&key, load).expect("there is every row"));
        hit
    }
}

/// `moka`: as quick_cache.
struct Moka {
    cache: moka::sync::Cache<Key, Arc<Row>>,
    rows: Rows,
}

impl Cache for Moka {
    const NAME: &'static str = "moka";

    fn new(rows: Rows, capacity: usize) -> Self {
        Self { cache: moka::sync::Cache::new(capacity as u64), rows }
    }

    #[inline]
    fn read(&self, key: Key, look: impl FnOnce(&Row)) -> bool {
        let mut hit = true;
        let load = || {
            hit = false;
            Arc::new(self.rows.row(key).clone())
        };
        look(&self.cache.get_with(key, load));
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn the_second_read_is_a_hit<C: Cache>() {
        let rows = Rows::new(1000);
        let cache = C::new(rows.clone(), rows.room());
        let key = Key { tenant: 3, id: 17 };
        for expected in [false, true] {
            let hit = cache.read(key, |row| assert_eq!((row.key, row.is_whole()), (key, true)));
            assert_eq!(hit, expected, "{}", C::NAME);
        }
    }

    #[test]
    fn every_cache_hits_the_second_time() {
        the_second_read_is_a_hit::<OurCache<Epoch>>();
        the_second_read_is_a_hit::<OurCache<Hazard>>();
        the_second_read_is_a_hit::<QuickCache>();
        the_second_read_is_a_hit::<Moka>();
    }
}
