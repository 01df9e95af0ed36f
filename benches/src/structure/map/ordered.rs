//! 90 % reads, 5 % insertions, 5 % removals, of uniform keys.

use super::mixed::World;
use super::steps::Mix;
use super::{Map, SkipList, TreeIndex, Words, ordered_maps};
use crate::options::Settings;
use crate::report::Report;
use crate::structure::threads_of;
use crate::turns::timed;

const MIX: Mix = Mix { get: 90, insert: 5, remove: 5 };

/// On one thread and on two.
pub(in crate::structure) fn measure(settings: &Settings) -> Vec<Report> {
    let report = |threads| {
        let world = World::<Words>::new(threads, 0.0, MIX, settings);
        let title = format!("ordered map, 90/5/5, {}", threads_of(threads));
        Report::throughput(title, &timed(ordered_maps(&&world), settings))
            .ahead(<SkipList<Words> as Map<Words>>::NAME, 1.5)
            .ahead(<TreeIndex<Words> as Map<Words>>::NAME, 1.0)
    };
    [1, 2].map(report).into()
}
