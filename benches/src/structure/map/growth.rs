//! Growth from empty: how many entries a second, and how long the longest wait.
//!
//! Twice: once for the throughput, and once with a look at the clock around each insertion.

use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::{DashMap, Data, HashMap, HashWork, Map, Records, Words, hash_maps};
use crate::options::Settings;
use crate::report::{OURS, Report};
use crate::structure::threads_of;
use crate::turns::{Entry, Measured, counted, parts};
use crate::watch::together;

/// With words and with records, on one thread and on two.
pub(in crate::structure) fn measure(settings: &Settings) -> Vec<Report> {
    [both::<Words>(settings), both::<Records>(settings)].into_iter().flatten().flatten().collect()
}

fn both<D: Data>(settings: &Settings) -> [[Report; 3]; 2] {
    [1, 2].map(|threads| reports::<D>(threads, settings))
}

fn reports<D: Data>(threads: usize, settings: &Settings) -> [Report; 3] {
    let (keys, rounds) = (u64::from(settings.keys), settings.long_rounds);
    let title = |what: &dyn Display| {
        format!("hash map, {}, growth to {keys} entries, {}: {what}", D::NAME, threads_of(threads))
    };
    let throughput = counted(hash_maps::<D, _>(&Growth::<Blind>::on(threads)), keys, rounds);
    let throughput: Vec<_> = throughput.iter().map(|it| it.part(|(took, _)| *took)).collect();
    let latency = counted(hash_maps::<D, _>(&Growth::<Clocked>::on(threads)), keys, rounds);
    let latencies = |what, quantile| {
        let what = format!("{what} of an insertion, the clock's {} ns included", clock());
        Report::new(title(&what), "ns", &parts(&latency, |it| it.1.at(quantile)))
    };

    [
        Report::throughput(title(&"throughput"), &throughput)
            .ahead(<DashMap<D> as Map<D>>::NAME, 1.0),
        OURS.iter()
            .fold(latencies("p99.9", 0.999), |report, ours| report.at_most(ours, 1000.0))
            .column("p50", medians(&latency, 0.5))
            .column("p99", medians(&latency, 0.99))
            .column("p99.99", medians(&latency, 0.9999)),
        OURS.iter().fold(latencies("maximum", 1.0), |report, ours| report.at_most(ours, 300_000.0)),
    ]
}

/// A quantile of each contender's: the median of its rounds.
fn medians(latency: &[Measured<(f64, Clocked)>], quantile: f64) -> Vec<String> {
    let median = |it: &Measured<(f64, Clocked)>| {
        let mut rounds: Vec<_> = it.rounds.iter().map(|it| it.1.at(quantile)).collect();
        rounds.sort_unstable();
        rounds[rounds.len() / 2].to_string()
    };
    latency.iter().map(median).collect()
}

/// What two looks at the clock are apart, in nanoseconds, when nothing lies between.
fn clock() -> u64 {
    let mut clocked = Clocked::default();
    (0..100_000).for_each(|_| clocked.insertion(|| ()));
    clocked.at(0.5)
}

/// What is seen of each insertion.
trait Look: Default + Send + 'static {
    fn insertion(&mut self, insert: impl FnOnce());

    fn add(&mut self, other: &Self);
}

/// Nothing.
#[derive(Default)]
struct Blind;

impl Look for Blind {
    #[inline]
    fn insertion(&mut self, insert: impl FnOnce()) {
        insert();
    }

    fn add(&mut self, _: &Self) {}
}

/// How long it took, in nanoseconds.
struct Clocked(Histogram<u64>);

impl Clocked {
    fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }
}

impl Default for Clocked {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("these bounds are possible"))
    }
}

impl Look for Clocked {
    #[inline]
    fn insertion(&mut self, insert: impl FnOnce()) {
        let start = Instant::now();
        insert();
        self.0.saturating_record(start.elapsed().as_nanos() as u64);
    }

    fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("they have the same bounds");
    }
}

/// Grows a new map each turn, on so many threads.
struct Growth<L> {
    threads: usize,
    look: PhantomData<L>,
}

impl<L> Growth<L> {
    fn on(threads: usize) -> Self {
        Self { threads, look: PhantomData }
    }
}

impl<D: Data, L: Look> HashWork<D> for Growth<L> {
    type Output = Entry<'static, (f64, L)>;

    fn with<M: HashMap<D>>(&self) -> Self::Output {
        let threads = self.threads;
        Entry::new(M::NAME, move |keys| {
            let map = M::with_capacity(0);
            let all = Mutex::new(L::default());
            let took = together(threads, keys, |thread, watch| {
                // Every so manieth key, made before the start.
                let numbers = (thread as u32..keys as u32).step_by(threads);
                let keys: Vec<_> = numbers.map(D::key).collect();
                let mut look = L::default();
                let span = watch.time_cold(|_| {
                    for (number, key) in keys.into_iter().enumerate() {
                        let value = D::value(number as u32);
                        look.insertion(|| M::insert(&map.pin(), key, value));
                    }
                });
                all.lock().expect("nobody panics with it").add(&look);
                span
            });
            (took, all.into_inner().expect("nobody panicked with it"))
        })
    }
}
