//! A hash map, and what its operations return.
//!
//! The rooms: `list` is the ordered list that holds the entries, `buckets` the ways into it,
//! `entry` the nodes; `pinned` has the operations, `iter` the iterations. Here is the face.
//!
//! # Linearization
//!
//! `insert` (of a new key) at the CAS that links its node; a replacement, and a removal, at the CAS
//! that marks the old node: one atomic step, so a `get` of a key that is being replaced finds the
//! old value or the new one. A `get` that finds at its load of the node's unmarked link; one that
//! does not, at its load of the link in which the key would stand.

mod buckets;
mod entry;
mod iter;
mod list;
mod pinned;

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use std::error::Error;
use std::hash::RandomState;

pub use entry::Entry;
pub use iter::{Iter, IterMut, Keys, Values};

use self::buckets::Buckets;
use self::entry::Node;
use self::list::Link;
use crate::Epoch;
use crate::atomic::{Atomic, Owned};
use crate::domain::Reclaimer;
use crate::exclusive::{Drain, Exclusive, IntoIter, drop_all};
use crate::guard::{Guard, Pinned, Ref};
use crate::scheme::Scheme;
use crate::sharded::Sharded;
use crate::sync::counter::{AtomicIsize, Relaxed};

/// A lock-free hash map, for any number of threads.
///
/// The methods here pin for the one call. Those that look at values come in two forms: `get` and
/// its kind return clones, [`read`](Self::read) runs a closure. To borrow values, or to do many
/// operations, [`pin`](Self::pin) first.
///
/// ```
/// let map = sexton::HashMap::<_, _>::new();
/// map.insert("a", 1);
/// assert_eq!(map.get("a"), Some(1));
///
/// let pinned = map.pin();                     // one guard, many operations
/// assert_eq!(pinned.get("a").as_deref(), Some(&1));
/// pinned.update("a", |one| one + 1);
/// assert_eq!(pinned.remove("a").as_deref(), Some(&2));
/// assert!(pinned.is_empty());
/// ```
///
/// # Progress
/// Lock-free: an operation starts again only when another one has succeeded in its way. Lookups
/// unlink removed entries that they meet.
///
/// # Keys and values
/// An entry is immutable once it is in the map; a replacement brings its own key along. Keys and
/// values are dropped some time after their removal, maybe by another thread: so they are `Send`
/// and `'static`. With a terrible hasher (all keys equal) the map is a list, and nothing worse. With
/// an `Eq` or `Hash` that lies or panics, entries may be found or not, but each is dropped once.
///
/// A map is invariant in both: it takes values in as well as it hands them out.
///
/// ```compile_fail
/// use sexton::HashMap;
///
/// fn coerce(map: &HashMap<u8, for<'a> fn(&'a str)>) -> &HashMap<u8, fn(&'static str)> {
///     map
/// }
/// ```
///
/// # Memory
/// An entry is one node: key, value, a pointer and two `u64`, and what the scheme adds; a bucket is
/// one slot and one such node without an entry. The table doubles when there are two entries to a
/// bucket, which a few insertions may pass before one of them notices; entries never move. Buckets
/// are given back by [`shrink_to_fit`](Self::shrink_to_fit), and when the map is dropped.
///
/// # Iteration
/// A key that is in the map from the iteration's begin to its end is seen exactly once, whatever
/// happens to other keys and however the table grows; with its value at the moment when the
/// iteration got there. A key that is inserted or removed meanwhile may be seen or not; one that is
/// removed and inserted again may be seen twice. Each step looks its place up again, so among keys
/// of one and the same hash it takes as long as there are such keys.
///
/// # When to use a lock instead
/// When few threads share the map, or hold it for long: a sharded lock around a flat table uses less
/// memory and touches fewer cache lines.
pub struct HashMap<K, V, S = RandomState, R: Reclaimer = Epoch> {
    buckets: Buckets,
    /// Entries put in, less entries taken out, by each group of threads.
    len: Box<Sharded<AtomicIsize>>,
    hasher: S,
    reclaimer: R,
    /// As the list's links would be, if they were not to the nodes' common beginning; invariant.
    entries: PhantomData<Atomic<Node<K, V>>>,
}

// SAFETY: the map owns its entries; removed ones are dropped by other threads.
unsafe impl<K: Send, V: Send, S: Send, R: Reclaimer> Send for HashMap<K, V, S, R> {}
// SAFETY: a shared map hands out references (Sync), and drops what other threads put in (Send).
unsafe impl<K, V, S, R> Sync for HashMap<K, V, S, R>
where
    K: Send + Sync,
    V: Send + Sync,
    S: Sync,
    R: Reclaimer,
{
}

/// What [`compute`](Pinned::compute) is to do with a key.
///
/// ```
/// use sexton::hash_map::{Compute, Operation};
///
/// let map = sexton::HashMap::<_, _>::from([("visits", 9)]);
/// let map = map.pin();
/// let result = map.compute("visits", |entry| match entry {
///     Some((_, 10)) => Operation::Abort("full"),
///     Some((_, visits)) => Operation::Insert(visits + 1),
///     None => Operation::Insert(1),
/// });
/// assert!(matches!(result, Compute::Updated { .. }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<V, T> {
    /// Insert this value, or replace the present one by it.
    Insert(V),
    /// Remove the entry.
    Remove,
    /// Leave everything as it is.
    Abort(T),
}

/// What [`compute`](Pinned::compute) has done.
///
/// ```
/// use sexton::hash_map::{Compute, Operation};
///
/// let map = sexton::HashMap::<&str, i32>::new();
/// let map = map.pin();
/// let result = map.compute("a", |_| Operation::Abort("nothing to do"));
/// assert!(matches!(result, Compute::Aborted("nothing to do")));
/// let result = map.compute("a", |_| Operation::<_, ()>::Remove);
/// assert!(matches!(result, Compute::Absent));
/// ```
pub enum Compute<'g, K, V, T, S: Scheme> {
    /// The key was absent, and this entry is in the map now.
    Inserted(Ref<'g, Entry<K, V>, S>),
    /// The entry was replaced.
    Updated {
        /// The entry that is out.
        old: Ref<'g, Entry<K, V>, S>,
        /// The entry that is in.
        new: Ref<'g, Entry<K, V>, S>,
    },
    /// This entry was removed.
    Removed(Ref<'g, Entry<K, V>, S>),
    /// [`Operation::Remove`] was asked for, and the key was absent.
    Absent,
    /// [`Operation::Abort`], with its value.
    Aborted(T),
}

impl<K, V, T, S> fmt::Debug for Compute<'_, K, V, T, S>
where
    K: fmt::Debug,
    V: fmt::Debug,
    T: fmt::Debug,
    S: Scheme,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inserted(entry) => f.debug_tuple("Inserted").field(entry).finish(),
            Self::Updated { old, new } => {
                f.debug_struct("Updated").field("old", old).field("new", new).finish()
            }
            Self::Removed(entry) => f.debug_tuple("Removed").field(entry).finish(),
            Self::Absent => f.write_str("Absent"),
            Self::Aborted(value) => f.debug_tuple("Aborted").field(value).finish(),
        }
    }
}

/// Why [`try_insert`](Pinned::try_insert) did not insert. The key and the value come back.
///
/// ```
/// use sexton::hash_map::TryInsertError;
///
/// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
/// match map.pin().try_insert("a", 2).unwrap_err() {
///     TryInsertError::Occupied { current, value, .. } => assert_eq!((*current, value), (1, 2)),
///     TryInsertError::NoMemory { .. } => {}
/// }
/// ```
pub enum TryInsertError<'g, K, V, S: Scheme> {
    /// The key is in the map already.
    Occupied {
        /// The value that stands there.
        current: Ref<'g, V, S>,
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
    /// There is no memory for the entry.
    NoMemory {
        /// The key that was not inserted.
        key: K,
        /// The value that was not inserted.
        value: V,
    },
}

impl<K, V, S: Scheme> fmt::Debug for TryInsertError<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Occupied { .. } => "Occupied { .. }",
            Self::NoMemory { .. } => "NoMemory { .. }",
        })
    }
}

impl<K, V, S: Scheme> fmt::Display for TryInsertError<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Occupied { .. } => "the key is in the map already",
            Self::NoMemory { .. } => "no memory for a map entry",
        })
    }
}

impl<K, V, S: Scheme> Error for TryInsertError<'_, K, V, S> {}

impl<K, V> HashMap<K, V> {
    /// An empty map on the default domain, with std's hasher.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory for its first bucket; so do the other
    /// constructors.
    ///
    /// ```
    /// let map = sexton::HashMap::new();
    /// map.insert("a", 1);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty map, with buckets for so many entries.
    ///
    /// # Panics
    /// If the capacity is larger than memory can be; so do the other constructors that take one.
    ///
    /// ```
    /// let map = sexton::HashMap::<u32, u32>::with_capacity(1000);
    /// assert!(map.capacity() >= 1000);
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, RandomState::new())
    }
}

impl<K, V, R: Reclaimer> HashMap<K, V, RandomState, R> {
    /// An empty map in a domain.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, HashMap};
    ///
    /// let map = HashMap::with_reclaimer(Domain::<Epoch>::new());
    /// map.insert("a", 1);
    /// ```
    #[must_use]
    pub fn with_reclaimer(reclaimer: R) -> Self {
        Self::with_capacity_and_hasher_and_reclaimer(0, RandomState::new(), reclaimer)
    }
}

impl<K, V, S, R: Reclaimer + Default> HashMap<K, V, S, R> {
    /// An empty map with this hasher.
    ///
    /// ```
    /// use std::hash::RandomState;
    ///
    /// let map = sexton::HashMap::<u32, u32, _>::with_hasher(RandomState::new());
    /// ```
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        Self::with_capacity_and_hasher(0, hasher)
    }

    /// An empty map with this hasher, and buckets for so many entries.
    ///
    /// ```
    /// use std::hash::RandomState;
    ///
    /// let map = sexton::HashMap::<u32, u32, _>::with_capacity_and_hasher(8, RandomState::new());
    /// assert!(map.capacity() >= 8);
    /// ```
    #[must_use]
    pub fn with_capacity_and_hasher(capacity: usize, hasher: S) -> Self {
        Self::with_capacity_and_hasher_and_reclaimer(capacity, hasher, R::default())
    }
}

impl<K, V, S, R: Reclaimer> HashMap<K, V, S, R> {
    /// An empty map with this hasher, in a domain, and buckets for so many entries.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, HashMap};
    /// use std::hash::RandomState;
    ///
    /// let domain = Domain::<Epoch>::new();
    /// let map = HashMap::<u32, u32, _, _>::with_capacity_and_hasher_and_reclaimer(
    ///     8,
    ///     RandomState::new(),
    ///     domain.clone(),
    /// );
    /// ```
    #[must_use]
    pub fn with_capacity_and_hasher_and_reclaimer(
        capacity: usize,
        hasher: S,
        reclaimer: R,
    ) -> Self {
        let buckets = Buckets::new(&reclaimer.pin(), capacity);
        Self { buckets, len: Box::default(), hasher, reclaimer, entries: PhantomData }
    }

    /// Opens a guard, for many operations and for references to entries.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([("a", String::from("one"))]);
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
    /// use sexton::{Epoch, HashMap, Reclaimer};
    ///
    /// let (one, two) = (HashMap::<_, _>::from([(1, "one")]), HashMap::<_, _>::from([(2, "two")]));
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
    /// use sexton::{HashMap, Reclaimer};
    ///
    /// println!("{:?}", HashMap::<u32, u32>::new().reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        &self.reclaimer
    }

    /// The hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    ///
    /// let map = sexton::HashMap::<u32, u32>::new();
    /// assert_eq!(map.hasher().hash_one(1), map.hasher().hash_one(1));
    /// ```
    pub fn hasher(&self) -> &S {
        &self.hasher
    }

    /// How many entries there are. Exact when no other thread is changing the map.
    ///
    /// ```
    /// assert_eq!(sexton::HashMap::<_, _>::from([(1, 1), (2, 2)]).len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        let len: isize = self.len.iter().map(|shard| shard.load(Relaxed)).sum();
        // One thread's removal may be counted before the insertion by another.
        usize::try_from(len).unwrap_or(0)
    }

    /// Whether there is no entry. Exact when no other thread is changing the map.
    ///
    /// ```
    /// assert!(sexton::HashMap::<u32, u32>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries fit before the table doubles.
    ///
    /// ```
    /// assert!(sexton::HashMap::<u32, u32>::with_capacity(100).capacity() >= 100);
    /// ```
    pub fn capacity(&self) -> usize {
        self.buckets.capacity()
    }

    /// Makes room for so many entries more. Buckets are made when they are first used.
    ///
    /// # Panics
    /// If the capacity would be larger than memory can be.
    ///
    /// ```
    /// let map = sexton::HashMap::<u32, u32>::new();
    /// map.reserve(100);
    /// assert!(map.capacity() >= 100);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.buckets.grow_for(self.len().saturating_add(additional));
    }

    /// Keeps no more buckets than the entries need, and frees the rest.
    ///
    /// ```
    /// let mut map = sexton::HashMap::<u32, u32>::with_capacity(1000);
    /// map.shrink_to_fit();
    /// assert!(map.capacity() < 1000);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        let len = self.len();
        // SAFETY: borrowed exclusively.
        unsafe { self.buckets.shrink_for::<R::Scheme>(len) };
    }

    /// Goes through all entries, and may change the values: nobody else has the map.
    ///
    /// ```
    /// let mut map = sexton::HashMap::<_, _>::from([(1, 1), (2, 2)]);
    /// map.iter_mut().for_each(|(_, value)| *value *= 10);
    /// assert_eq!(map.get(&2), Some(20));
    /// ```
    pub fn iter_mut(&mut self) -> IterMut<'_, K, V> {
        IterMut::new(self)
    }

    /// Takes all entries out, without a guard. What is left when the iterator is dropped stays in
    /// the map.
    ///
    /// ```
    /// let mut map = sexton::HashMap::<_, _>::from([(1, 1), (2, 2)]);
    /// assert_eq!(map.drain().count(), 2);
    /// assert!(map.is_empty());
    /// ```
    pub fn drain(&mut self) -> Drain<'_, Self> {
        Drain::new(self)
    }

    /// Counts an entry in, or out; returns what this group of threads had counted before.
    fn count(&self, change: isize) -> isize {
        self.len.mine().fetch_add(change, Relaxed)
    }
}

impl<K, V, S, R> HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        // A weak hasher may leave many bits alike. The product's top bits depend on all of its
        // bits (Knuth's multiplicative hashing), and the table goes by the low ones.
        self.hasher.hash_one(key).wrapping_mul(0x9e37_79b9_7f4a_7c15).reverse_bits()
    }

    /// A clone of a key's value. To borrow it instead, [`pin`](Self::pin) or [`read`](Self::read).
    ///
    /// ```
    /// assert_eq!(sexton::HashMap::<_, _>::from([("a", 1)]).get("a"), Some(1));
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.read(key, |_, value| value.clone())
    }

    /// Runs `look` on a key's entry, within a guard: do not wait in it.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([("a", vec![1, 2])]);
    /// assert_eq!(map.read("a", |_, list| list.len()), Some(2));
    /// ```
    pub fn read<Q, X>(&self, key: &Q, look: impl FnOnce(&K, &V) -> X) -> Option<X>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let pinned = self.pin();
        let entry = pinned.get_key_value(key)?;
        Some(look(&entry.key, &entry.value))
    }

    /// Whether the key is in the map.
    ///
    /// ```
    /// assert!(sexton::HashMap::<_, _>::from([("a", 1)]).contains_key("a"));
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.pin().contains_key(key)
    }

    /// Inserts an entry, or replaces the key's in one atomic step; returns a clone of the value that
    /// was replaced. For values that are not `Clone`, [`pin`](Self::pin) first.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_insert`](Pinned::try_insert).
    ///
    /// ```
    /// let map = sexton::HashMap::new();
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
    /// let map = sexton::HashMap::new();
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
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
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
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(map.remove("a"), Some(1));
    /// assert_eq!(map.remove("a"), None);
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
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
    /// let map = sexton::HashMap::<_, _>::from([(1, 1), (2, 2)]);
    /// map.retain(|key, _| *key > 1);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&self, keep: impl FnMut(&K, &V) -> bool) {
        self.pin().retain(keep);
    }

    /// Removes all entries that were there when it began.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([(1, 1), (2, 2)]);
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.pin().clear();
    }

    /// A key's value, to change in place: nobody else has the map.
    ///
    /// ```
    /// let mut map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// *map.get_mut("a").unwrap() += 1;
    /// assert_eq!(map.get("a"), Some(2));
    /// ```
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.pin().find_raw(key)?;
        // SAFETY: nobody else can reach an entry that is in the map, while it is borrowed
        // exclusively; and the pointer is good for the whole node.
        Some(unsafe { &mut (*entry.as_ptr()).value })
    }
}

impl<K, V, S, R: Reclaimer> Exclusive for HashMap<K, V, S, R> {
    type Item = (K, V);

    fn take_one(&mut self) -> Option<(K, V)> {
        loop {
            let first = self.buckets.first();
            let node = first.next_exclusive().0;
            // SAFETY: nobody else is in the map, and linked nodes are alive.
            let link = unsafe { node.as_ref() }?;
            let ((next, is_out), is_sentinel) = (link.next_exclusive(), link.is_sentinel());
            first.set_next_exclusive(next);
            if is_sentinel {
                // SAFETY: unlinked; nobody else is in the map.
                unsafe {
                    let sentinel = Owned::<Link, R::Scheme>::from_ptr(node);
                    self.buckets.free_sentinel(sentinel);
                }
                continue;
            }
            // SAFETY: an entry's node, unlinked, not retired (what is retired is not linked).
            let node = unsafe { Owned::<Node<K, V>, R::Scheme>::from_ptr(node.cast()) };
            if !is_out {
                self.count(-1);
                let entry = node.into_inner().into_entry();
                return Some((entry.key, entry.value));
            }
        }
    }
}

impl<K, V, S, R: Reclaimer> Drop for HashMap<K, V, S, R> {
    fn drop(&mut self) {
        /// Frees the table when all entries are gone, or one of them panics.
        struct Table<'a, K, V, S, R: Reclaimer>(&'a mut HashMap<K, V, S, R>);

        impl<K, V, S, R: Reclaimer> Drop for Table<'_, K, V, S, R> {
            fn drop(&mut self) {
                // SAFETY: the map is going, and the first sentinel is the only one left.
                unsafe { self.0.buckets.free::<R::Scheme>() };
            }
        }

        let table = Table(self);
        drop_all(table.0);
    }
}

impl<K, V, S: Default, R: Reclaimer + Default> Default for HashMap<K, V, S, R> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K, V, S, R> Clone for HashMap<K, V, S, R>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + 'static,
    S: BuildHasher + Clone,
    R: Reclaimer,
{
    /// A map with clones of the entries, in the same domain. See [`HashMap`] for what is seen of
    /// changes that other threads make meanwhile.
    fn clone(&self) -> Self {
        let (hasher, reclaimer) = (self.hasher.clone(), self.reclaimer.clone());
        let new = Self::with_capacity_and_hasher_and_reclaimer(self.len(), hasher, reclaimer);
        for entry in self.pin().iter() {
            new.pin().insert(entry.key.clone(), entry.value.clone());
        }
        new
    }
}

impl<K, V, S, R> PartialEq for HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + 'static,
    V: PartialEq + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.pin(), other.pin());
        self.len() == other.len()
            && ours.iter().all(|entry| theirs.get(&entry.key).as_deref() == Some(&entry.value))
    }
}

impl<K, V, S, R> Eq for HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + 'static,
    V: Eq + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
}

impl<K, V, S, R> fmt::Debug for HashMap<K, V, S, R>
where
    K: Hash + Eq + fmt::Debug + Send + 'static,
    V: fmt::Debug + Send + 'static,
    S: BuildHasher,
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

impl<K, V, S, R> Extend<(K, V)> for HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        // A guard for each: who knows what the iterator waits for.
        for (key, value) in entries {
            self.pin().insert(key, value);
        }
    }
}

impl<'e, K, V, S, R> Extend<(&'e K, &'e V)> for HashMap<K, V, S, R>
where
    K: Hash + Eq + Copy + Send + 'static,
    V: Copy + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn extend<I: IntoIterator<Item = (&'e K, &'e V)>>(&mut self, entries: I) {
        self.extend(entries.into_iter().map(|(key, value)| (*key, *value)));
    }
}

impl<K, V, S, R> FromIterator<(K, V)> for HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher + Default,
    R: Reclaimer + Default,
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut map = Self::with_capacity_and_hasher(entries.size_hint().0, S::default());
        map.extend(entries);
        map
    }
}

impl<K, V, S, R, const N: usize> From<[(K, V); N]> for HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher + Default,
    R: Reclaimer + Default,
{
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V, S, R: Reclaimer> IntoIterator for HashMap<K, V, S, R> {
    type Item = (K, V);
    type IntoIter = IntoIter<Self>;

    fn into_iter(self) -> IntoIter<Self> {
        IntoIter::new(self)
    }
}

impl<'m, K, V, S, R: Reclaimer> IntoIterator for &'m mut HashMap<K, V, S, R> {
    type Item = (&'m K, &'m mut V);
    type IntoIter = IterMut<'m, K, V>;

    fn into_iter(self) -> IterMut<'m, K, V> {
        self.iter_mut()
    }
}
