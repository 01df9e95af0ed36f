//! Iterations of a map.
//!
//! Shared ones go by the hash: each step looks for the entries of the least hash that is greater than
//! the last one. So nothing is held between two steps, whatever becomes of the table, and a key that
//! is there throughout is seen once. Entries of one and the same hash are found at once, in one look
//! along their common path, and wait, covered, for their turn.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::slice;

use super::HashMap;
use super::entry::{Entry, Node};
use super::pinned::entry;
use super::word::{Slot, Word};
use crate::domain::Reclaimer;
use crate::guard::{Guard, Pinned, Ref};

/// Goes through a map's entries. Made by [`iter`](Pinned::iter).
///
/// ```
/// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
/// let map = map.pin();
/// for entry in map.iter() {
///     println!("{} {}", entry.key(), entry.value());
/// }
/// ```
pub struct Iter<'g, 'a, K, V, S, R: Reclaimer, G> {
    map: &'g Pinned<'a, HashMap<K, V, S, R>, G>,
    /// The least hash that was not seen yet.
    from: Option<u64>,
    /// Of the same hash as the last one.
    more: Vec<Ref<'g, Entry<K, V>, R::Scheme>>,
}

impl<'g, 'a, K, V, S, R: Reclaimer, G> Iter<'g, 'a, K, V, S, R, G> {
    pub(super) fn new(map: &'g Pinned<'a, HashMap<K, V, S, R>, G>) -> Self {
        Self { map, from: Some(0), more: Vec::new() }
    }
}

impl<'g, 'a, K, V, S, R, G> Iterator for Iter<'g, 'a, K, V, S, R, G>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    type Item = Ref<'g, Entry<K, V>, R::Scheme>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.more.pop() {
            return Some(entry);
        }
        let group = self.map.least(self.from?);
        self.from = group.as_ref().and_then(|group| group.hash.checked_add(1));
        let group = group?;
        // SAFETY: they cover entries of this map.
        self.more.extend(group.more.into_iter().map(|found| unsafe { entry(found) }));
        // SAFETY: as above.
        Some(unsafe { entry(group.first) })
    }
}

impl<'a, K, V, S, R, G> FusedIterator for Iter<'_, 'a, K, V, S, R, G>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
}

impl<K, V, S, R: Reclaimer, G> fmt::Debug for Iter<'_, '_, K, V, S, R, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("from", &self.from).finish_non_exhaustive()
    }
}

/// Goes through a map's keys. Made by [`keys`](Pinned::keys).
///
/// ```
/// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
/// assert_eq!(*map.pin().keys().next().unwrap(), "a");
/// ```
#[derive(Debug)]
pub struct Keys<'g, 'a, K, V, S, R: Reclaimer, G> {
    entries: Iter<'g, 'a, K, V, S, R, G>,
}

impl<'g, 'a, K, V, S, R: Reclaimer, G> Keys<'g, 'a, K, V, S, R, G> {
    pub(super) fn new(entries: Iter<'g, 'a, K, V, S, R, G>) -> Self {
        Self { entries }
    }
}

impl<'g, 'a, K, V, S, R, G> Iterator for Keys<'g, 'a, K, V, S, R, G>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    type Item = Ref<'g, K, R::Scheme>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|entry| Ref::map(entry, Entry::key))
    }
}

/// Goes through a map's values. Made by [`values`](Pinned::values).
///
/// ```
/// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
/// assert_eq!(*map.pin().values().next().unwrap(), 1);
/// ```
#[derive(Debug)]
pub struct Values<'g, 'a, K, V, S, R: Reclaimer, G> {
    entries: Iter<'g, 'a, K, V, S, R, G>,
}

impl<'g, 'a, K, V, S, R: Reclaimer, G> Values<'g, 'a, K, V, S, R, G> {
    pub(super) fn new(entries: Iter<'g, 'a, K, V, S, R, G>) -> Self {
        Self { entries }
    }
}

impl<'g, 'a, K, V, S, R, G> Iterator for Values<'g, 'a, K, V, S, R, G>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    type Item = Ref<'g, V, R::Scheme>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|entry| Ref::map(entry, Entry::value))
    }
}

/// Goes through the entries of a map that is borrowed exclusively. Made by
/// [`iter_mut`](HashMap::iter_mut).
///
/// ```
/// let mut map = sexton::HashMap::<_, _>::from([("a", 1)]);
/// *map.iter_mut().next().unwrap().1 = 2;
/// assert_eq!(map.get("a"), Some(2));
/// ```
pub struct IterMut<'m, K, V> {
    slots: slice::Iter<'m, Slot<Node<K, V>>>,
    map: PhantomData<(&'m K, &'m mut V)>,
}

// SAFETY: as `(&K, &mut V)`.
unsafe impl<K: Sync, V: Send> Send for IterMut<'_, K, V> {}
// SAFETY: as `(&K, &mut V)`.
unsafe impl<K: Sync, V: Sync> Sync for IterMut<'_, K, V> {}

impl<'m, K, V> IterMut<'m, K, V> {
    pub(super) fn new<S, R: Reclaimer>(map: &'m mut HashMap<K, V, S, R>) -> Self {
        // SAFETY: borrowed exclusively; this is the map's scheme.
        let table = unsafe { map.tables.exclusive::<R::Scheme>() };
        Self { slots: table.map_or(&[][..], |table| table.slots()).iter(), map: PhantomData }
    }
}

impl<'m, K: 'm, V: 'm> Iterator for IterMut<'m, K, V> {
    type Item = (&'m K, &'m mut V);

    fn next(&mut self) -> Option<Self::Item> {
        let words = self.slots.by_ref().map(Word::load_exclusive);
        let node = words.map(Word::node).find(|node| !node.is_null())?;
        // SAFETY: an entry of this map, which is borrowed exclusively; each comes once.
        let node = unsafe { &mut *node.as_raw() };
        Some((&node.entry.key, &mut node.entry.value))
    }
}

impl<K, V> FusedIterator for IterMut<'_, K, V> {}

impl<K, V> fmt::Debug for IterMut<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IterMut")
    }
}
