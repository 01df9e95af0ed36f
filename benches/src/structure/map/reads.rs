//! 98 % reads, 1 % insertions, 1 % removals: of uniform keys, and of popular ones.

use super::mixed::World;
use super::steps::Mix;
use super::{DashMap, Data, Map, OurMap, Papaya, Records, Words, hash_maps};
use crate::contender::{Epoch, Hazard};
use crate::options::Settings;
use crate::report::Report;
use crate::structure::threads_of;
use crate::turns::timed;

const MIX: Mix = Mix { get: 98, insert: 1, remove: 1 };

/// Zipf's exponent.
const SKEW: f64 = 0.99;

/// With words, uniform and popular, and with records; on one thread and on two.
pub(in crate::structure) fn measure(settings: &Settings) -> Vec<Report> {
    let words = [0.0, SKEW].map(|skew| both::<Words>(skew, settings));
    words.into_iter().chain([both::<Records>(0.0, settings)]).flatten().collect()
}

fn both<D: Data>(skew: f64, settings: &Settings) -> [Report; 2] {
    [1, 2].map(|threads| report::<D>(threads, skew, settings))
}

fn report<D: Data>(threads: usize, skew: f64, settings: &Settings) -> Report {
    let world = World::<D>::new(threads, skew, MIX, settings);
    let mut entries = hash_maps(&&world);
    entries.extend([
        world.hashed::<OurMap<D, Epoch>, 64>("Epoch, 64 a pin"),
        world.hashed::<OurMap<D, Hazard>, 64>("Hazard, 64 a pin"),
        world.hashed::<Papaya<D>, 64>("papaya, 64 a pin"),
    ]);
    let popular = if skew == 0.0 { "uniform".to_owned() } else { format!("Zipf {skew}") };
    let (data, threads) = (D::NAME, threads_of(threads));
    let title = format!("hash map, {data}, 98 % reads, {popular}, {threads}");
    Report::throughput(title, &timed(entries, settings))
        .ahead(<DashMap<D> as Map<D>>::NAME, 1.3)
        .ahead(<Papaya<D> as Map<D>>::NAME, 2.5)
}
