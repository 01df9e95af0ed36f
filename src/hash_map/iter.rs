//! Iterations of a map.
//!
//! Shared ones keep no pointer between two steps, only the place of the last entry: each step walks
//! from that place's bucket to the next entry. So nothing is held, nothing is lost when an entry is
//! removed under the iteration, and a key that is there throughout is seen once: an entry keeps its
//! place as long as it is in the map, also when it is replaced (I4 of `list`).

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::iter::FusedIterator;
use core::marker::PhantomData;

use super::HashMap;
use super::entry::{Entry, Node};
use super::list::{Link, Place};
use crate::atomic::Ptr;
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
    after: Place,
}

impl<'g, 'a, K, V, S, R: Reclaimer, G> Iter<'g, 'a, K, V, S, R, G> {
    pub(super) fn new(map: &'g Pinned<'a, HashMap<K, V, S, R>, G>) -> Self {
        Self { map, after: Place { order: 0, serial: 0 } }
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
        let cursor = self.map.seek(self.after)?;
        self.after = cursor.place()?;
        // SAFETY: what a walk stops at is covered, and `seek` stops at entries of this map.
        unsafe { cursor.at.into_ref(|link| Node::entry(link)) }
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
        f.debug_struct("Iter").field("after", &self.after).finish_non_exhaustive()
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
    next: Ptr<Link>,
    map: PhantomData<(&'m K, &'m mut V)>,
}

// SAFETY: as `(&K, &mut V)`.
unsafe impl<K: Sync, V: Send> Send for IterMut<'_, K, V> {}
// SAFETY: as `(&K, &mut V)`.
unsafe impl<K: Sync, V: Sync> Sync for IterMut<'_, K, V> {}

impl<'m, K, V> IterMut<'m, K, V> {
    pub(super) fn new<S, R: Reclaimer>(map: &'m mut HashMap<K, V, S, R>) -> Self {
        Self { next: map.buckets.first().next_exclusive().0, map: PhantomData }
    }
}

impl<'m, K: 'm, V: 'm> Iterator for IterMut<'m, K, V> {
    type Item = (&'m K, &'m mut V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let node = self.next;
            // SAFETY: linked, and the map is borrowed exclusively.
            let link = unsafe { node.as_ref() }?;
            let (next, is_out) = link.next_exclusive();
            let is_entry = !link.is_sentinel() && !is_out;
            self.next = next;
            if is_entry {
                let node = core::ptr::NonNull::new(node.as_raw())?;
                // SAFETY: an entry's node of this map, borrowed exclusively, each once.
                let entry = unsafe { Node::<K, V>::entry(node).as_mut() };
                return Some((&entry.key, &mut entry.value));
            }
        }
    }
}

impl<K, V> FusedIterator for IterMut<'_, K, V> {}

impl<K, V> fmt::Debug for IterMut<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IterMut")
    }
}
