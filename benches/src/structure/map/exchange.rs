//! 10 % reads, 40 % insertions, 40 % removals, 10 % updates.

use super::mixed::World;
use super::steps::Mix;
use super::{DashMap, Data, Map, Records, Scc, Words, hash_maps};
use crate::options::Settings;
use crate::report::Report;
use crate::structure::threads_of;
use crate::turns::timed;

const MIX: Mix = Mix { get: 10, insert: 40, remove: 40 };

/// With words and with records, on one thread and on two.
pub(in crate::structure) fn measure(settings: &Settings) -> Vec<Report> {
    [both::<Words>(settings), both::<Records>(settings)].into_iter().flatten().collect()
}

fn both<D: Data>(settings: &Settings) -> [Report; 2] {
    [1, 2].map(|threads| report::<D>(threads, settings))
}

fn report<D: Data>(threads: usize, settings: &Settings) -> Report {
    let world = World::<D>::new(threads, 0.0, MIX, settings);
    let (data, who) = (D::NAME, threads_of(threads));
    let title = format!("hash map, {data}, exchange (10/40/40/10), {who}");
    Report::throughput(title, &timed(hash_maps(&&world), settings))
        .ahead(<Scc<D> as Map<D>>::NAME, 1.0)
        .ahead(<DashMap<D> as Map<D>>::NAME, 1.7)
}
