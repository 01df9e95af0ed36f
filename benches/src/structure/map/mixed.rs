//! Reads, insertions, removals and updates, mixed: the work of several rows.

use std::hint::black_box;

use super::steps::{Mix, Steps, What};
use super::{Data, HashMap, HashWork, Map, Ordered, OrderedWork, half_full};
use crate::options::Settings;
use crate::turns::Entry;
use crate::watch::together;

/// How many keys there are, and what each thread does with them.
pub(super) struct World<D: Data> {
    keys: u32,
    steps: Vec<Steps<D::Key>>,
}

impl<D: Data> World<D> {
    pub(super) fn new(threads: usize, skew: f64, mix: Mix, settings: &Settings) -> Self {
        let keys = settings.keys;
        Self { keys, steps: Steps::new::<D>(threads, keys, skew, mix) }
    }

    /// A hash map, `PER_PIN` operations a guard.
    pub(super) fn hashed<M: HashMap<D>, const PER_PIN: usize>(
        &self,
        name: &'static str,
    ) -> Entry<'_, f64> {
        self.entry::<M, PER_PIN>(name, with_updates::<D, M>)
    }

    /// A map that is filled now, and does its steps on as many threads as there are.
    fn entry<'a, M: Map<D>, const PER_PIN: usize>(
        &'a self,
        name: &'static str,
        apply: impl Fn(&M::Pinned<'_>, What, &D::Key) + Sync + 'a,
    ) -> Entry<'a, f64> {
        let map: M = half_full::<D, M>(self.keys);
        let mut done = 0;
        Entry::new(name, move |operations| {
            let took = together(self.steps.len(), operations, |thread, watch| {
                let mut at = done;
                watch.time(|count| {
                    perform::<D, M, PER_PIN>(&map, &self.steps[thread], at, count, &apply);
                    at += count as usize;
                })
            });
            // The next turn goes on from about here.
            done += operations as usize;
            took
        })
    }
}

impl<'a, D: Data> HashWork<D> for &'a World<D> {
    type Output = Entry<'a, f64>;

    fn with<M: HashMap<D>>(&self) -> Entry<'a, f64> {
        self.hashed::<M, 1>(M::NAME)
    }
}

impl<'a, D: Data> OrderedWork<D> for &'a World<D> {
    type Output = Entry<'a, f64>;

    fn with<M: Ordered<D>>(&self) -> Entry<'a, f64> {
        self.entry::<M, 1>(M::NAME, without_updates::<D, M>)
    }
}

#[inline(never)]
fn perform<D: Data, M: Map<D>, const PER_PIN: usize>(
    map: &M,
    steps: &Steps<D::Key>,
    from: usize,
    count: u64,
    apply: impl Fn(&M::Pinned<'_>, What, &D::Key),
) {
    for start in (from..from + count as usize).step_by(PER_PIN) {
        let pinned = map.pin();
        for place in start..start + PER_PIN {
            let (what, key) = steps.at(place);
            apply(&pinned, what, key);
        }
    }
}

/// Does a step with a hash map.
#[inline]
fn with_updates<D: Data, M: HashMap<D>>(pinned: &M::Pinned<'_>, what: What, key: &D::Key) {
    if what == What::Update {
        black_box(M::update(pinned, key, D::change));
    } else {
        without_updates::<D, M>(pinned, what, key);
    }
}

/// Does a step with any map.
#[inline]
fn without_updates<D: Data, M: Map<D>>(pinned: &M::Pinned<'_>, what: What, key: &D::Key) {
    match what {
        What::Get => _ = black_box(M::get(pinned, key, D::look)),
        What::Insert => M::insert(pinned, key.clone(), D::value(7)),
        What::Remove => _ = black_box(M::remove(pinned, key)),
        What::Update => unreachable!("there are none in this mix"),
    }
}
