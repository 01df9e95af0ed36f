//! Iterations of a map.
//!
//! Shared ones stand, at each end, on the entry that came last, which they cover together with its run and
//! its leaf. A step goes to the next slot of the run, or to the next leaf; a step back to the slot before,
//! or it searches the last entry below. If the run was replaced under it, the step finds its way by the
//! key, so it never loses its place.
//!
//! *What a step finds was next to where the iteration stood* at a moment during the step, the same for
//! both leaves if there are two (`Spot::forward`): this is its linearization point.
//!
//! What is handed out is covered once more, by a shield that is announced before that moment: a cover
//! cannot be copied (I2 of `guard`).

use core::borrow::Borrow;
use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::ops::{Bound, RangeBounds, RangeFull};

use super::SkipMap;
use super::list::Entries;
use super::view::{EntryRef, Stand, StandOf, View, entry, peek};
use crate::domain::Reclaimer;
use crate::guard::Ref;
use crate::hash_map::Entry;

/// Goes through the entries in a range of keys, from both ends. Made by
/// [`range`](crate::Pinned::range).
///
/// A step is a search, of logarithmic cost, where entries were inserted beside the iteration, and from the
/// back where an array ends; otherwise it takes constant time.
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
    /// Where the entries are, or were, that came last.
    front: Option<StandOf<'g, K, V, R>>,
    back: Option<StandOf<'g, K, V, R>>,
    is_over: bool,
    key: PhantomData<fn(&Q)>,
}

fn key_of<'s, K, V, R: Reclaimer>(stand: &'s StandOf<'_, K, V, R>) -> Option<&'s K> {
    peek(stand.entry()).map(|entry| &entry.key)
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
    /// Goes to the next entry. Who is easy does not care what was put in between meanwhile.
    fn ahead(&mut self, is_easy: bool) -> Option<EntryRef<'g, K, V, R>> {
        if self.is_over {
            return None;
        }
        // If user code panics, it is over.
        self.is_over = true;
        let (view, mut next) = (self.view, None);
        let is_done = match &mut self.front {
            Some(Stand::At(front)) => view.step(front, is_easy, &mut next),
            _ => Err(()),
        };
        match is_done {
            Ok(true) => {}
            Ok(false) => return None,
            // It has to begin, or there is a way around by the key.
            Err(()) => {
                next = None;
                let spot = match self.front.take() {
                    None => view.seek(self.bounds.start_bound(), Some(&mut next)),
                    Some(stand) => view.seek_behind(stand.into_entry(), &mut next),
                };
                self.front = spot.map(Stand::At);
            }
        }
        let key = key_of::<K, V, R>(self.front.as_ref()?)?;
        let in_range = match self.bounds.end_bound() {
            Bound::Unbounded => true,
            Bound::Included(end) => key.borrow() <= end,
            Bound::Excluded(end) => key.borrow() < end,
        };
        let back = self.back.as_ref().and_then(key_of::<K, V, R>);
        let has_met = back.is_some_and(|back| key >= back);
        self.is_over = !in_range || has_met;
        next.filter(|_| !self.is_over).map(entry)
    }

    /// Goes to the last entry before the one that it stands on at the back.
    fn behind(&mut self) -> Option<EntryRef<'g, K, V, R>> {
        if self.is_over {
            return None;
        }
        // If user code panics, it is over.
        self.is_over = true;
        let (view, mut next) = (self.view, None);
        let is_done = match &mut self.back {
            Some(Stand::At(back)) => view.step_back(back, &mut next),
            _ => false,
        };
        if !is_done {
            next = None;
            let spot = match self.back.take() {
                None => view.seek_back(self.bounds.end_bound(), Some(&mut next)),
                Some(stand) => view.seek_before(stand.into_entry(), &mut next),
            };
            self.back = spot.map(Stand::At);
        }
        let key = key_of::<K, V, R>(self.back.as_ref()?)?;
        let in_range = match self.bounds.start_bound() {
            Bound::Unbounded => true,
            Bound::Included(start) => key.borrow() >= start,
            Bound::Excluded(start) => key.borrow() > start,
        };
        let front = self.front.as_ref().and_then(key_of::<K, V, R>);
        let has_met = front.is_some_and(|front| key <= front);
        self.is_over = !in_range || has_met;
        next.filter(|_| !self.is_over).map(entry)
    }

    /// Removes the entries ahead that are `unwanted`; says how many they were.
    pub(super) fn remove_where(mut self, mut unwanted: impl FnMut(&K, &V) -> bool) -> usize {
        let view = self.view;
        let mut removed = 0;
        let mut is_unwanted = |stand: &mut StandOf<'g, K, V, R>| {
            peek(stand.entry()).is_some_and(|entry| unwanted(&entry.key, &entry.value))
        };
        while self.ahead(true).is_some() {
            // What was replaced meanwhile is looked at again.
            while let Some(Stand::At(spot)) = self.front.take_if(&mut is_unwanted) {
                let (is_removed, stand) = view.remove_spot(spot);
                removed += usize::from(is_removed);
                let again = if is_removed { None } else { view.find_again(stand.entry()) };
                let Some(again) = again else {
                    self.front = Some(stand);
                    break;
                };
                self.front = Some(Stand::At(again));
            }
        }
        removed
    }
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
        self.ahead(false)
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
        self.behind()
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
    left: Entries<K, V>,
    map: PhantomData<(&'m K, &'m mut V, &'m SkipMap<K, V, R>)>,
}

// SAFETY: as `(&K, &mut V)`; the map is used for its links only.
unsafe impl<K: Sync, V: Send, R: Reclaimer> Send for IterMut<'_, K, V, R> {}
// SAFETY: as above.
unsafe impl<K: Sync, V: Sync, R: Reclaimer> Sync for IterMut<'_, K, V, R> {}

impl<'m, K, V, R: Reclaimer> IterMut<'m, K, V, R> {
    pub(super) fn new(map: &'m mut SkipMap<K, V, R>) -> Self {
        Self { left: map.list.entries(), map: PhantomData }
    }
}

impl<'m, K: 'm, V: 'm, R: Reclaimer> Iterator for IterMut<'m, K, V, R> {
    type Item = (&'m K, &'m mut V);

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: the map is borrowed exclusively.
        let entry = unsafe { self.left.next::<R::Scheme>() }?;
        // SAFETY: an entry of this map, borrowed exclusively, each once.
        let entry = unsafe { &mut *entry.as_raw() };
        Some((&entry.key, &mut entry.value))
    }
}

impl<K, V, R: Reclaimer> FusedIterator for IterMut<'_, K, V, R> {}

impl<K, V, R: Reclaimer> fmt::Debug for IterMut<'_, K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IterMut")
    }
}
