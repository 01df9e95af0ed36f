//! Maps and sets, for [rayon](https://docs.rs/rayon).
//!
//! They are filled by many threads at once, as they are made for it: each insertion under a guard of
//! the thread that does it. Of equal keys any may be the last.
//!
//! What is taken apart, or borrowed exclusively, is listed first (one thread, no guard) and then
//! worked on in parallel. There is no `par_iter` of a shared map: what it gave would be references
//! under guards, and neither is `Send`. Look keys up in parallel instead, or clone what you need.

use core::hash::{BuildHasher, Hash};

use rayon::iter::{FromParallelIterator, IntoParallelIterator, ParallelExtend, ParallelIterator};
use rayon::vec;

use crate::domain::Reclaimer;
use crate::{HashMap, HashSet};

impl<K, V, S, R> ParallelExtend<(K, V)> for HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Sync,
    R: Reclaimer,
{
    fn par_extend<I: IntoParallelIterator<Item = (K, V)>>(&mut self, entries: I) {
        let map = &*self;
        entries.into_par_iter().for_each(|(key, value)| {
            map.pin().insert(key, value);
        });
    }
}

impl<K, V, S, R> FromParallelIterator<(K, V)> for HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: BuildHasher + Default + Sync,
    R: Reclaimer + Default,
{
    fn from_par_iter<I: IntoParallelIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_par_iter();
        let capacity = entries.opt_len().unwrap_or(0);
        let mut map = Self::with_capacity_and_hasher(capacity, S::default());
        map.par_extend(entries);
        map
    }
}

impl<K: Send, V: Send, S, R: Reclaimer> IntoParallelIterator for HashMap<K, V, S, R> {
    type Item = (K, V);
    type Iter = vec::IntoIter<(K, V)>;

    fn into_par_iter(self) -> Self::Iter {
        Vec::from_iter(self).into_par_iter()
    }
}

impl<'m, K, V, S, R> IntoParallelIterator for &'m mut HashMap<K, V, S, R>
where
    K: Sync,
    V: Send,
    R: Reclaimer,
{
    type Item = (&'m K, &'m mut V);
    type Iter = vec::IntoIter<(&'m K, &'m mut V)>;

    fn into_par_iter(self) -> Self::Iter {
        Vec::from_iter(self).into_par_iter()
    }
}

impl<T, S, R> ParallelExtend<T> for HashSet<T, S, R>
where
    T: Hash + Eq + Send + Sync + 'static,
    S: BuildHasher + Sync,
    R: Reclaimer,
{
    fn par_extend<I: IntoParallelIterator<Item = T>>(&mut self, elements: I) {
        let set = &*self;
        elements.into_par_iter().for_each(|element| {
            set.insert(element);
        });
    }
}

impl<T, S, R> FromParallelIterator<T> for HashSet<T, S, R>
where
    T: Hash + Eq + Send + Sync + 'static,
    S: BuildHasher + Default + Sync,
    R: Reclaimer + Default,
{
    fn from_par_iter<I: IntoParallelIterator<Item = T>>(elements: I) -> Self {
        let elements = elements.into_par_iter();
        let capacity = elements.opt_len().unwrap_or(0);
        let mut set = Self::with_capacity_and_hasher(capacity, S::default());
        set.par_extend(elements);
        set
    }
}

impl<T: Send, S, R: Reclaimer> IntoParallelIterator for HashSet<T, S, R> {
    type Item = T;
    type Iter = vec::IntoIter<T>;

    fn into_par_iter(self) -> Self::Iter {
        Vec::from_iter(self).into_par_iter()
    }
}
