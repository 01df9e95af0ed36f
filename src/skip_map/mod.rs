//! An ordered map, and an ordered set.
//!
//! A list of leaves, each with a run of some dozen entries that is replaced as a whole, and over it an index of
//! such lists, each sparser than the one below.
//!
//! | file | room |
//! | --- | --- |
//! | `run.rs` | a run: items side by side, and what is said of them by a bit |
//! | `node.rs` | a node, leaf or branch: where its run is, who retires it |
//! | `list.rs` | the levels: the whole picture, and how a search comes down |
//! | `page.rs` | where it comes to in a level: how it goes to the right, and covers what it looks at |
//! | `rebuild.rs` | how items get in |
//! | `index.rs` | how new nodes get into the index, and dead ones out of it |
//! | `view.rs`, `iter.rs` | the operations under a guard, and the iterations |
//! | `prefix.rs` | the first word of a key |
//! | `pinned.rs`, `set.rs`, this file | the face, and the set |
//!
//! # Linearization
//!
//! `insert`, whether it replaces or not, at the CAS that puts its run in place: one atomic step, so a
//! `get` of a key that is being replaced finds the old value or the new one. A removal at the CAS that
//! sets the entry's bit, or, beside an insertion, at one that puts a run without it in place. A `get` that
//! finds at its load of that bit, unset; one that does not, as is said at `Page::of_leaf`. A step of an iteration at its load of the bit of what it finds (`Spot::forward`).

mod index;
mod iter;
mod list;
mod node;
mod page;
mod pinned;
mod prefix;
mod rebuild;
mod run;
mod set;
mod view;

use core::borrow::Borrow;
use core::fmt;

pub use iter::{Iter, IterMut, Keys, Range, Values};
#[cfg(any(loom, crossbeam_loom))]
#[doc(hidden)]
pub use run::{build_branches_of, build_leaves_of};
pub use set::{SetIter, SetRange, SkipSet};

pub use crate::hash_map::{Compute, Entry, Operation, TryInsertError};

use self::list::List;
use crate::Epoch;
use crate::domain::Reclaimer;
use crate::exclusive::{Drain, Exclusive, IntoIter, drop_all};
use crate::guard::{Guard, Pinned};
use crate::sharded::Sharded;
use crate::sync::counter::{AtomicIsize, Relaxed};

/// A lock-free ordered map, for any number of threads: lists of sorted arrays, one over the other.
///
/// The methods here pin for the one call. Those that look at values come in two forms: `get` and
/// its kind return clones, [`read`](Self::read) runs a closure. To borrow values, to iterate, or to
/// do many operations, [`pin`](Self::pin) first.
///
/// ```
/// let map = sexton::SkipMap::<_, _>::new();
/// map.insert(3, "three");
/// map.insert(1, "one");
/// assert_eq!(map.get(&1), Some("one"));
/// assert_eq!(map.first(), Some((1, "one")));
///
/// let pinned = map.pin();                     // one guard, many operations
/// let keys: Vec<_> = pinned.range(..3).map(|entry| *entry.key()).collect();
/// assert_eq!(keys, [1]);
/// assert_eq!(pinned.remove(&3).as_deref(), Some(&"three"));
/// ```
///
/// # Progress
/// Lock-free: an operation starts again only when another one has succeeded in its way. Whoever finds
/// a part of the map half changed by a thread that sleeps changes it himself, or goes around it. Each takes a
/// logarithmic number of steps, as long as the others leave it alone.
///
/// An insertion writes a new array of up to 30 pointers: threads that insert neighbours all the time hold
/// one another up more than in a list of single entries. A removal sets a bit.
///
/// # First and last
/// `first` and `last` were that at a moment during the call, and so was what
/// [`pop_last`](Pinned::pop_last) removes when it removes it. What [`pop_first`](Pinned::pop_first)
/// removes was the first when it was found: a lesser key that another thread puts in between then
/// and the removal stays. Each entry is popped once.
///
/// # Keys and values
/// An entry is immutable once it is in the map; a replacement brings its own key along. Keys and
/// values are dropped some time after their removal, maybe by another thread: so they are `Send`
/// and `'static`. With an `Ord` that lies or panics, entries may be found or not, and an iteration back may
/// bring them again and again; but each is dropped once.
///
/// The order is that of the keys' type. There is no comparator of the map's own: look-up keys are
/// borrowed forms of the key, which it would have to know as well; a key of a type of one's own,
/// such as [`Reverse`](core::cmp::Reverse), does the same and costs nothing.
///
/// A map is invariant in both: it takes values in as well as it hands them out.
///
/// ```compile_fail
/// use sexton::SkipMap;
///
/// fn coerce(map: &SkipMap<u8, for<'a> fn(&'a str)>) -> &SkipMap<u8, fn(&'static str)> {
///     map
/// }
/// ```
///
/// # Between threads
/// Operations on one key are in one order, which all threads agree on, and so are those on the keys of one
/// array. Those on keys that are far from one another are ordered where one *happens before* the other, as
/// with two maps. Of two threads that put in a key each, and then look for the other's, both may miss it, on
/// machines where a locked instruction is no fence; not on x86, and not on ARM without `rcpc`. (A
/// [`HashMap`](crate::HashMap) has one order for all keys.)
///
/// # Memory
/// Entries are allocated one by one, so that references to them stay good. Beside key and value an entry
/// takes two words in an array that is between half full and full; where a map grows at its end or at its
/// beginning, it is full. An array of which three quarters were removed is replaced by a smaller one, and
/// freed when its last entry is removed. For each array the index has some five words. And what the scheme adds.
/// (100,000 entries of two words took 35 to 44 bytes each; a random tenth of them, when the others were
/// removed, some 100.)
///
/// Removing needs no memory, unless it meets another thread that is about to replace the array, and does so
/// itself. Each insertion retires an array of up to 512 bytes.
///
/// # Speed
/// Keys of the integer types, `char`, and texts and byte strings (owned, borrowed, boxed, or in an
/// [`Arc`](std::sync::Arc)) are mostly compared by their first word, which stands beside the pointer.
/// Those of other types, and texts that begin alike, are compared through it, and cost some misses of the cache
/// each.
///
/// # Iteration
/// In ascending order, or descending, and from both ends. A key that is in the map from the
/// iteration's begin to its end is seen exactly once, with its value at the moment when the
/// iteration got there. A key that is inserted or removed meanwhile may be seen or not. What a step
/// brings was, at a moment during the step, the next one in the map. A step, in either direction, takes
/// constant time, expected, but for a search where entries are inserted beside the iteration, and at
/// each array's end when going back.
///
/// # When to use a lock instead
/// `RwLock<BTreeMap>` keeps entries themselves in its nodes, and touches fewer cache lines: it is
/// faster wherever threads seldom meet. What this map buys is that readers and writers of different
/// places do not meet at all, and that a sleeping thread stops nobody.
pub struct SkipMap<K, V, R: Reclaimer = Epoch> {
    list: List<K, V>,
    /// Entries put in, less entries taken out, by each group of threads.
    len: Box<Sharded<AtomicIsize>>,
    reclaimer: R,
}

// SAFETY: the map owns its entries; removed ones are dropped by other threads.
unsafe impl<K: Send, V: Send, R: Reclaimer> Send for SkipMap<K, V, R> {}
// SAFETY: a shared map hands out references (Sync), and drops what other threads put in (Send).
unsafe impl<K: Send + Sync, V: Send + Sync, R: Reclaimer> Sync for SkipMap<K, V, R> {}

impl<K, V> SkipMap<K, V> {
    /// An empty map on the default domain.
    ///
    /// ```
    /// let map = sexton::SkipMap::new();
    /// map.insert("a", 1);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_reclaimer(Epoch)
    }
}

impl<K, V, R: Reclaimer> SkipMap<K, V, R> {
    /// An empty map in a domain.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, SkipMap};
    ///
    /// let map = SkipMap::with_reclaimer(Domain::<Epoch>::new());
    /// map.insert("a", 1);
    /// ```
    #[must_use]
    pub fn with_reclaimer(reclaimer: R) -> Self {
        Self { list: List::new(), len: Box::default(), reclaimer }
    }

    /// Opens a guard, for many operations and for references to entries.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", String::from("one"))]);
    /// let pinned = map.pin();
    /// let one = pinned.get("a").unwrap();
    /// assert_eq!(*one, "one");
    /// ```
    #[inline]
    pub fn pin(&self) -> Pinned<'_, Self, Guard<'_, R::Scheme>> {
        Pinned::new(self, self.reclaimer.pin())
    }

    /// Uses a guard of the caller's for many operations.
    ///
    /// # Panics
    /// If the guard is of another domain.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer, SkipMap};
    ///
    /// let (one, two) = (SkipMap::<_, _>::from([(1, "one")]), SkipMap::<_, _>::from([(2, "two")]));
    /// let guard = Epoch.pin();
    /// assert!(one.with(&guard).contains_key(&1));
    /// assert!(two.with(&guard).contains_key(&2));
    /// ```
    #[inline]
    pub fn with<'a>(
        &'a self,
        guard: &'a Guard<'a, R::Scheme>,
    ) -> Pinned<'a, Self, &'a Guard<'a, R::Scheme>> {
        Pinned::with(self, &self.reclaimer, guard)
    }

    /// The handle to the map's domain.
    ///
    /// ```
    /// use sexton::{Reclaimer, SkipMap};
    ///
    /// println!("{:?}", SkipMap::<u32, u32>::new().reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        &self.reclaimer
    }

    /// How many entries there are. Exact when no other thread is changing the map.
    ///
    /// ```
    /// assert_eq!(sexton::SkipMap::<_, _>::from([(1, 1), (2, 2)]).len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        let len: isize = self.len.iter().map(|shard| shard.load(Relaxed)).sum();
        // One thread's removal may be counted before the insertion by another.
        usize::try_from(len).unwrap_or(0)
    }

    /// Whether there is no entry. Exact when no other thread is changing the map.
    ///
    /// ```
    /// assert!(sexton::SkipMap::<u32, u32>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes through all entries in ascending order, and may change the values: nobody else has the
    /// map.
    ///
    /// ```
    /// let mut map = sexton::SkipMap::<_, _>::from([(1, 1), (2, 2)]);
    /// map.iter_mut().for_each(|(_, value)| *value *= 10);
    /// assert_eq!(map.get(&2), Some(20));
    /// ```
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V, R> {
        IterMut::new(self)
    }

    /// Takes all entries out, in ascending order and without a guard. What is left when the
    /// iterator is dropped stays in the map.
    ///
    /// ```
    /// let mut map = sexton::SkipMap::<_, _>::from([(1, 1), (2, 2)]);
    /// assert_eq!(map.drain().next(), Some((1, 1)));
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn drain(&mut self) -> Drain<'_, Self> {
        Drain::new(self)
    }

    /// How many places in lists what is out of the map still takes up.
    #[cfg(any(loom, crossbeam_loom))]
    #[doc(hidden)]
    pub fn remnants(&mut self) -> usize {
        self.list.census::<R::Scheme>().dead
    }

    /// Counts an entry in, or out.
    fn count(&self, change: isize) {
        self.len.mine().fetch_add(change, Relaxed);
    }
}

impl<K, V, R> SkipMap<K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    /// A clone of a key's value. To borrow it instead, [`pin`](Self::pin) or [`read`](Self::read).
    ///
    /// ```
    /// assert_eq!(sexton::SkipMap::<_, _>::from([("a", 1)]).get("a"), Some(1));
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        V: Clone,
    {
        self.read(key, |_, value| value.clone())
    }

    /// Runs `look` on a key's entry, within a guard: do not wait in it.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", vec![1, 2])]);
    /// assert_eq!(map.read("a", |_, list| list.len()), Some(2));
    /// ```
    pub fn read<Q, X>(&self, key: &Q, look: impl FnOnce(&K, &V) -> X) -> Option<X>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let pinned = self.pin();
        let entry = pinned.get_key_value(key)?;
        Some(look(&entry.key, &entry.value))
    }

    /// Whether the key is in the map.
    ///
    /// ```
    /// assert!(sexton::SkipMap::<_, _>::from([("a", 1)]).contains_key("a"));
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.pin().contains_key(key)
    }

    /// Clones of the least key and its value.
    ///
    /// ```
    /// assert_eq!(sexton::SkipMap::<_, _>::from([(2, "two"), (1, "one")]).first(), Some((1, "one")));
    /// ```
    pub fn first(&self) -> Option<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        self.pin().first().map(|entry| (entry.key.clone(), entry.value.clone()))
    }

    /// Clones of the greatest key and its value.
    ///
    /// ```
    /// assert_eq!(sexton::SkipMap::<_, _>::from([(2, "two"), (1, "one")]).last(), Some((2, "two")));
    /// ```
    pub fn last(&self) -> Option<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        self.pin().last().map(|entry| (entry.key.clone(), entry.value.clone()))
    }

    /// Removes the first entry and returns clones of its key and value. See
    /// [First and last](Self#first-and-last).
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(2, "two"), (1, "one")]);
    /// assert_eq!(map.pop_first(), Some((1, "one")));
    /// ```
    pub fn pop_first(&self) -> Option<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        self.pin().pop_first().map(|entry| (entry.key.clone(), entry.value.clone()))
    }

    /// Removes the last entry and returns clones of its key and value. See
    /// [First and last](Self#first-and-last).
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(2, "two"), (1, "one")]);
    /// assert_eq!(map.pop_last(), Some((2, "two")));
    /// ```
    pub fn pop_last(&self) -> Option<(K, V)>
    where
        K: Clone,
        V: Clone,
    {
        self.pin().pop_last().map(|entry| (entry.key.clone(), entry.value.clone()))
    }

    /// Inserts an entry, or replaces the key's in one atomic step; returns a clone of the value
    /// that was replaced. For values that are not `Clone`, [`pin`](Self::pin) first.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_insert`](Pinned::try_insert).
    ///
    /// ```
    /// let map = sexton::SkipMap::new();
    /// assert_eq!(map.insert("a", 1), None);
    /// assert_eq!(map.insert("a", 2), Some(1));
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<V>
    where
        V: Clone,
    {
        self.pin().insert(key, value).map(|old| old.clone())
    }

    /// A clone of the key's value, which is inserted if the key is absent. Of several threads that
    /// find it absent, one wins, and all return its value; the others' are dropped.
    ///
    /// # Panics
    /// If `value` does; aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let map = sexton::SkipMap::new();
    /// assert_eq!(map.get_or_insert_with("a", || 1), 1);
    /// assert_eq!(map.get_or_insert_with("a", || 2), 1);
    /// ```
    pub fn get_or_insert_with(&self, key: K, value: impl FnOnce() -> V) -> V
    where
        V: Clone,
    {
        self.pin().get_or_insert_with(key, value).clone()
    }

    /// Replaces the key's value by what `change` makes of it, in one atomic step; false if the key
    /// is absent. `change` runs again when the entry was changed meanwhile, by another thread or by
    /// itself.
    ///
    /// # Panics
    /// If `change` does (the value stays); aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// assert!(map.update("a", |one| one + 1));
    /// assert_eq!(map.get("a"), Some(2));
    /// ```
    pub fn update(&self, key: K, change: impl FnMut(&V) -> V) -> bool {
        self.pin().update(key, change).is_some()
    }

    /// Removes a key's entry and returns a clone of its value. For values that are not `Clone`,
    /// [`pin`](Self::pin) first.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(map.remove("a"), Some(1));
    /// assert_eq!(map.remove("a"), None);
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        V: Clone,
    {
        self.pin().remove(key).map(|value| value.clone())
    }

    /// Removes the entries for which `keep` says no.
    ///
    /// # Panics
    /// If `keep` does; what it had refused until then is removed.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, 1), (2, 2)]);
    /// map.retain(|key, _| *key > 1);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&self, keep: impl FnMut(&K, &V) -> bool) {
        self.pin().retain(keep);
    }

    /// Removes all entries that were there when it began.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, 1), (2, 2)]);
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.pin().clear();
    }

    /// A key's value, to change in place: nobody else has the map.
    ///
    /// ```
    /// let mut map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// *map.get_mut("a").unwrap() += 1;
    /// assert_eq!(map.get("a"), Some(2));
    /// ```
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let entry = self.pin().view().get(key)?.ptr().as_raw();
        // SAFETY: nobody else can reach an entry that is in the map, while it is borrowed
        // exclusively.
        Some(unsafe { &mut (*entry).value })
    }
}

impl<K, V, R: Reclaimer> Exclusive for SkipMap<K, V, R> {
    type Item = (K, V);

    fn take_one(&mut self) -> Option<(K, V)> {
        let entry = self.list.take_first::<R::Scheme>()?;
        self.count(-1);
        let Entry { key, value } = entry.into_inner();
        Some((key, value))
    }
}

impl<K, V, R: Reclaimer> Drop for SkipMap<K, V, R> {
    fn drop(&mut self) {
        drop_all(self);
    }
}

impl<K, V, R: Reclaimer + Default> Default for SkipMap<K, V, R> {
    fn default() -> Self {
        Self::with_reclaimer(R::default())
    }
}

impl<K, V, R> Clone for SkipMap<K, V, R>
where
    K: Ord + Clone + Send + 'static,
    V: Clone + Send + 'static,
    R: Reclaimer,
{
    /// A map with clones of the entries, in the same domain. See [`SkipMap`] for what is seen of
    /// changes that other threads make meanwhile.
    fn clone(&self) -> Self {
        let new = Self::with_reclaimer(self.reclaimer.clone());
        for entry in self.pin().iter() {
            new.pin().insert(entry.key.clone(), entry.value.clone());
        }
        new
    }
}

impl<K, V, R> PartialEq for SkipMap<K, V, R>
where
    K: Ord + Send + 'static,
    V: PartialEq + Send + 'static,
    R: Reclaimer,
{
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.pin(), other.pin());
        ours.iter().eq(theirs.iter())
    }
}

impl<K, V, R> Eq for SkipMap<K, V, R>
where
    K: Ord + Send + 'static,
    V: Eq + Send + 'static,
    R: Reclaimer,
{
}

impl<K, V, R> fmt::Debug for SkipMap<K, V, R>
where
    K: Ord + fmt::Debug + Send + 'static,
    V: fmt::Debug + Send + 'static,
    R: Reclaimer,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pinned = self.pin();
        let mut map = f.debug_map();
        for entry in pinned.iter() {
            map.entry(&entry.key, &entry.value);
        }
        map.finish()
    }
}

impl<K, V, R> Extend<(K, V)> for SkipMap<K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        // A guard for each: who knows what the iterator waits for.
        for (key, value) in entries {
            self.pin().insert(key, value);
        }
    }
}

impl<'e, K, V, R> Extend<(&'e K, &'e V)> for SkipMap<K, V, R>
where
    K: Ord + Copy + Send + 'static,
    V: Copy + Send + 'static,
    R: Reclaimer,
{
    fn extend<I: IntoIterator<Item = (&'e K, &'e V)>>(&mut self, entries: I) {
        self.extend(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<K, V, R> FromIterator<(K, V)> for SkipMap<K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer + Default,
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K, V, R, const N: usize> From<[(K, V); N]> for SkipMap<K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer + Default,
{
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V, R: Reclaimer> IntoIterator for SkipMap<K, V, R> {
    type Item = (K, V);
    type IntoIter = IntoIter<Self>;

    /// In ascending order.
    fn into_iter(self) -> IntoIter<Self> {
        IntoIter::new(self)
    }
}

impl<'m, K, V, R: Reclaimer> IntoIterator for &'m mut SkipMap<K, V, R> {
    type Item = (&'m K, &'m mut V);
    type IntoIter = IterMut<'m, K, V, R>;

    fn into_iter(self) -> IterMut<'m, K, V, R> {
        self.iter_mut()
    }
}
