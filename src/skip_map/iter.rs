//! Iterations of a map.
//!
//! Shared ones stand on the entry that came last, which they cover, at each end. A step forward
//! follows its link; if the entry, or the next one, was removed under it, the step finds its way by
//! the key, so it never loses its place. A step back has no link to follow: it searches the last
//! entry below.
//!
//! *An entry that is removed before it is handed out is searched again from where the iteration
//! stands*, not from that entry's key on: others may have come in between, before one has come in
//! its place. So what a step finds was next to where it stood while it was in the map, and this is
//! the step's linearization point.
//!
//! What is handed out is covered once more, by a shield that is announced while the entry is seen
//! to be in the map: a cover cannot be copied (I2 of `guard`).

use core::borrow::Borrow;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ops::{Bound, RangeBounds, RangeFull};

use super::SkipMap;
use super::list::{self, Cover};
use super::node::Node;
use super::view::{CoverOf, EntryRef, View, entry, peek};
use crate::atomic::Ptr;
use crate::domain::Reclaimer;
use crate::guard::Ref;
use crate::hash_map::Entry;
use crate::scheme::Scheme;

/// Goes through the entries in a range of keys, from both ends. Made by
/// [`range`](crate::Pinned::range).
///
/// Each step from the back is a search, of logarithmic cost; from the front only where entries are
/// removed under the iteration.
///
/// ```
/// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (2, "two"), (3, "three")]);
/// let map = map.pin();
/// let mut range = map.range(2..);
/// assert_eq!(*range.next_back().unwrap().value(), "three");
/// assert_eq!(*range.next().unwrap().value(), "two");
/// assert!(range.next().is_none());
/// ```
pub struct Range<'g, K, V, R: Reclaimer, Q: ?Sized, B> {
    view: View<'g, K, V, R>,
    bounds: B,
    /// The entries that came last.
    front: Option<CoverOf<'g, K, V, R>>,
    back: Option<CoverOf<'g, K, V, R>>,
    is_over: bool,
    key: PhantomData<fn(&Q)>,
}

fn key_of<'s, K, V, S: Scheme>(node: &'s Cover<'_, K, V, S>) -> Option<&'s K> {
    peek(node).map(|entry| &entry.key)
}

impl<'g, K, V, R: Reclaimer, Q: ?Sized, B> Range<'g, K, V, R, Q, B> {
    pub(super) fn new(view: View<'g, K, V, R>, bounds: B) -> Self {
        Self { view, bounds, front: None, back: None, is_over: false, key: PhantomData }
    }
}

impl<'g, K, V, R, Q, B> Range<'g, K, V, R, Q, B>
where
    K: Ord + Borrow<Q> + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
{
    /// The next entry.
    fn ahead(&mut self) -> Option<CoverOf<'g, K, V, R>> {
        if self.is_over {
            return None;
        }
        // If user code panics, it is over.
        self.is_over = true;
        let next = match &self.front {
            None => self.view.seek(self.bounds.start_bound()),
            Some(front) => self.view.after(front),
        }?;
        let key = key_of(&next)?;
        let in_range = match self.bounds.end_bound() {
            Bound::Unbounded => true,
            Bound::Included(end) => key.borrow() <= end,
            Bound::Excluded(end) => key.borrow() < end,
        };
        let has_met = self.back.as_ref().and_then(key_of).is_some_and(|back| key >= back);
        self.is_over = !in_range || has_met;
        (!self.is_over).then_some(next)
    }

    /// The last entry before the one that it stands on at the back.
    fn behind(&mut self) -> Option<CoverOf<'g, K, V, R>> {
        if self.is_over {
            return None;
        }
        // If user code panics, it is over.
        self.is_over = true;
        let next = match &self.back {
            None => self.view.seek_back(self.bounds.end_bound()),
            Some(back) => self.view.seek_back::<K>(Bound::Excluded(key_of(back)?)),
        }?;
        let key = key_of(&next)?;
        let in_range = match self.bounds.start_bound() {
            Bound::Unbounded => true,
            Bound::Included(start) => key.borrow() >= start,
            Bound::Excluded(start) => key.borrow() > start,
        };
        let has_met = self.front.as_ref().and_then(key_of).is_some_and(|front| key <= front);
        self.is_over = !in_range || has_met;
        (!self.is_over).then_some(next)
    }

    /// Removes the entries ahead that are `unwanted`; says how many they were.
    pub(super) fn remove_where(mut self, mut unwanted: impl FnMut(&K, &V) -> bool) -> usize {
        let view = self.view;
        let mut removed = 0;
        while let Some(next) = self.ahead() {
            if !peek(&next).is_some_and(|entry| unwanted(&entry.key, &entry.value)) {
                self.front = Some(next);
            } else if view.remove_node(&next) {
                self.front = Some(next);
                removed += 1;
            }
        }
        removed
    }
}

/// Covers an entry once more; `None` if it is not in the map any more.
fn cover_again<'g, K, V, R: Reclaimer>(
    view: View<'g, K, V, R>,
    node: &CoverOf<'g, K, V, R>,
) -> Option<EntryRef<'g, K, V, R>> {
    let mut cover = view.guard().shield();
    // It is in the map after the announcement, so it was not retired before.
    cover.announce_if(node.ptr(), || list::is_live(node)).then(|| entry(cover))
}

impl<'g, K, V, R, Q, B> Iterator for Range<'g, K, V, R, Q, B>
where
    K: Ord + Borrow<Q> + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
{
    type Item = Ref<'g, Entry<K, V>, R::Scheme>;

    fn next(&mut self) -> Option<Self::Item> {
        let view = self.view;
        loop {
            let next = self.ahead()?;
            if let Some(entry) = cover_again(view, &next) {
                self.front = Some(next);
                return Some(entry);
            }
        }
    }
}

impl<'g, K, V, R, Q, B> DoubleEndedIterator for Range<'g, K, V, R, Q, B>
where
    K: Ord + Borrow<Q> + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
{
    fn next_back(&mut self) -> Option<Self::Item> {
        let view = self.view;
        loop {
            let next = self.behind()?;
            if let Some(entry) = cover_again(view, &next) {
                self.back = Some(next);
                return Some(entry);
            }
        }
    }
}

impl<'g, K, V, R, Q, B> FusedIterator for Range<'g, K, V, R, Q, B>
where
    K: Ord + Borrow<Q> + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
{
}

impl<K, V, R: Reclaimer, Q: ?Sized, B> fmt::Debug for Range<'_, K, V, R, Q, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// Goes through a map's entries, from both ends. Made by [`iter`](crate::Pinned::iter).
///
/// ```
/// let map = sexton::SkipMap::<_, _>::from([(2, "two"), (1, "one")]);
/// let map = map.pin();
/// assert_eq!(map.iter().map(|entry| *entry.key()).collect::<Vec<_>>(), [1, 2]);
/// assert_eq!(map.iter().rev().map(|entry| *entry.key()).collect::<Vec<_>>(), [2, 1]);
/// ```
#[derive(Debug)]
pub struct Iter<'g, K, V, R: Reclaimer> {
    pub(super) range: Range<'g, K, V, R, K, RangeFull>,
}

/// Goes through a map's keys, from both ends. Made by [`keys`](crate::Pinned::keys).
///
/// ```
/// let map = sexton::SkipMap::<_, _>::from([(2, "two"), (1, "one")]);
/// assert_eq!(*map.pin().keys().next().unwrap(), 1);
/// ```
#[derive(Debug)]
pub struct Keys<'g, K, V, R: Reclaimer> {
    pub(super) entries: Iter<'g, K, V, R>,
}

/// Goes through a map's values in the order of the keys, from both ends. Made by
/// [`values`](crate::Pinned::values).
///
/// ```
/// let map = sexton::SkipMap::<_, _>::from([(2, "two"), (1, "one")]);
/// assert_eq!(*map.pin().values().next().unwrap(), "one");
/// ```
#[derive(Debug)]
pub struct Values<'g, K, V, R: Reclaimer> {
    pub(super) entries: Iter<'g, K, V, R>,
}

impl<'g, K, V, R> Iterator for Iter<'g, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    type Item = Ref<'g, Entry<K, V>, R::Scheme>;

    fn next(&mut self) -> Option<Self::Item> {
        self.range.next()
    }
}

impl<K, V, R> DoubleEndedIterator for Iter<'_, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.range.next_back()
    }
}

impl<'g, K, V, R> Iterator for Keys<'g, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    type Item = Ref<'g, K, R::Scheme>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|entry| Ref::map(entry, Entry::key))
    }
}

impl<K, V, R> DoubleEndedIterator for Keys<'_, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.entries.next_back().map(|entry| Ref::map(entry, Entry::key))
    }
}

impl<'g, K, V, R> Iterator for Values<'g, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    type Item = Ref<'g, V, R::Scheme>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|entry| Ref::map(entry, Entry::value))
    }
}

impl<K, V, R> DoubleEndedIterator for Values<'_, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.entries.next_back().map(|entry| Ref::map(entry, Entry::value))
    }
}

impl<K, V, R> FusedIterator for Iter<'_, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
}

impl<K, V, R> FusedIterator for Keys<'_, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
}

impl<K, V, R> FusedIterator for Values<'_, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
}

/// Goes through the entries of a map that is borrowed exclusively, in ascending order. Made by
/// [`iter_mut`](SkipMap::iter_mut).
///
/// ```
/// let mut map = sexton::SkipMap::<_, _>::from([("a", 1)]);
/// *map.iter_mut().next().unwrap().1 = 2;
/// assert_eq!(map.get("a"), Some(2));
/// ```
pub struct IterMut<'m, K, V, R: Reclaimer> {
    map: &'m SkipMap<K, V, R>,
    at: Ptr<Node<K, V>>,
    is_over: bool,
    entries: PhantomData<(&'m K, &'m mut V)>,
}

// SAFETY: as `(&K, &mut V)`; the map is used for its links only.
unsafe impl<K: Sync, V: Send, R: Reclaimer> Send for IterMut<'_, K, V, R> {}
// SAFETY: as above.
unsafe impl<K: Sync, V: Sync, R: Reclaimer> Sync for IterMut<'_, K, V, R> {}

impl<'m, K, V, R: Reclaimer> IterMut<'m, K, V, R> {
    pub(super) fn new(map: &'m mut SkipMap<K, V, R>) -> Self {
        Self { map, at: Ptr::null(), is_over: false, entries: PhantomData }
    }
}

impl<'m, K: 'm, V: 'm, R: Reclaimer> Iterator for IterMut<'m, K, V, R> {
    type Item = (&'m K, &'m mut V);

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        // SAFETY: linked, and the map is borrowed exclusively.
        self.at = unsafe { self.map.list.next_exclusive::<R::Scheme>(self.at) };
        self.is_over = self.at.is_null();
        if self.is_over {
            return None;
        }
        // SAFETY: a node of this map, borrowed exclusively, each once. Nothing but its entry is
        // borrowed: its links are still needed.
        let entry = unsafe { &mut (*self.at.as_raw()).entry };
        Some((&entry.key, &mut entry.value))
    }
}

impl<K, V, R: Reclaimer> FusedIterator for IterMut<'_, K, V, R> {}

impl<K, V, R: Reclaimer> fmt::Debug for IterMut<'_, K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IterMut")
    }
}
