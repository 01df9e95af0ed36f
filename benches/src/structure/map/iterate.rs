//! Iteration over a hash map that nobody changes. An operation is an entry.

use std::hint::black_box;

use super::{Data, HashMap, HashWork, Words, half_full, hash_maps};
use crate::options::Settings;
use crate::report::Report;
use crate::turns::{Entry, timed};
use crate::watch::together;

/// On one thread.
pub(in crate::structure) fn measure(settings: &Settings) -> Vec<Report> {
    let entries = hash_maps(&Iterate { keys: settings.keys });
    let title = format!("hash map, {}, iteration, 1 thread, entries", Words::NAME);
    vec![Report::throughput(title, &timed(entries, settings))]
}

struct Iterate {
    keys: u32,
}

impl HashWork<Words> for Iterate {
    type Output = Entry<'static, f64>;

    fn with<M: HashMap<Words>>(&self) -> Entry<'static, f64> {
        let map: M = half_full::<Words, M>(self.keys);
        let entries = u64::from(self.keys / 2);
        Entry::new(M::NAME, move |operations| {
            // Only whole iterations.
            together(1, operations.next_multiple_of(entries), |_, watch| {
                watch.time_cold(|count| {
                    for _ in 0..count / entries {
                        let mut sum = 0;
                        M::each(&map.pin(), |value| sum += *value);
                        black_box(sum);
                    }
                })
            })
        })
    }
}
