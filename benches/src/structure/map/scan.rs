//! Scans of an ordered map: a hundred values from a key on.

use std::hint::black_box;

use super::{Data, Ordered, OrderedWork, Words, half_full, ordered_maps};
use crate::options::Settings;
use crate::report::Report;
use crate::structure::threads_of;
use crate::turns::{Entry, timed};
use crate::watch::together;

const MOST: usize = 100;

/// On one thread and on two.
pub(in crate::structure) fn measure(settings: &Settings) -> Vec<Report> {
    let report = |threads| {
        let entries = ordered_maps(&Scan { keys: settings.keys, threads });
        let title = format!("ordered map, scans of {MOST} entries, {}", threads_of(threads));
        Report::throughput(title, &timed(entries, settings))
    };
    [1, 2].map(report).into()
}

struct Scan {
    keys: u32,
    threads: usize,
}

impl OrderedWork<Words> for Scan {
    type Output = Entry<'static, f64>;

    fn with<M: Ordered<Words>>(&self) -> Entry<'static, f64> {
        let Self { keys, threads } = *self;
        let map: M = half_full::<Words, M>(keys);
        Entry::new(M::NAME, move |operations| {
            together(threads, operations, |thread, watch| {
                watch.time(|count| scans(&map, keys, thread, count))
            })
        })
    }
}

/// So many scans, from keys all over the map, each thread's own.
#[inline(never)]
fn scans<M: Ordered<Words>>(map: &M, keys: u32, thread: usize, count: u64) {
    for scan in 0..count {
        let from = Words::key((scan as u32 * 2 + thread as u32) % keys);
        let mut sum = 0;
        M::scan(&map.pin(), &from, MOST, |value| sum += *value);
        black_box(sum);
    }
}
