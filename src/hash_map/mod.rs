//! A hash map, and what its operations return.
//!
//! Open addressing: a table of slots, each one word that leads to an entry (see `word`, `table`); and
//! from one table to the next, a migration that is cooperative, incremental and lock-free (`migrate`,
//! with the proof). `tables` has the operations on a key, which work in one table or the other;
//! `upkeep` says when there is to be another one; `scan` is a step of an iteration, and `alone` what is
//! done by whoever has the map to himself. On these stand the operations under a guard (`pinned`), and
//! the iterations (`iter`). Here is the face.
//!
//! # Linearization
//!
//! Each change of a key is one CAS on the slot of that key: an empty one becomes the entry, an entry
//! its replacement, or a tombstone. So a `get` of a key that is being replaced finds the old value or
//! the new one. A `get` that finds takes effect at its load of the slot. One that does not, at the load that
//! ends its search: of the empty slot at the path's end, of the tombstone of its mark, or of the last entry of
//! its mark; or, where it went once around or found no table, of the link to the one that is not there (see
//! the orderings of `word`). If it has met something frozen, it searches the next table as well, and takes
//! effect where the one search ends or the other (M4 of `migrate`).

mod alone;
mod entry;
mod iter;
mod migrate;
mod pinned;
mod scan;
#[cfg(any(loom, crossbeam_loom))]
mod scene;
mod table;
mod tables;
mod upkeep;
mod word;

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::error::Error;
use std::hash::RandomState;

pub use entry::Entry;
pub use iter::{Iter, IterMut, Keys, Values};

use self::table::Shortage;
use self::tables::Tables;
use crate::Epoch;
use crate::domain::Reclaimer;
use crate::exclusive::{Drain, Exclusive, IntoIter, drop_all};
use crate::guard::{Guard, Pinned, Ref};
use crate::scheme::Scheme;

/// All slots were taken out, of a map that is on its way out.
const ALL: usize = usize::MAX;

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
/// Lock-free: an operation starts again only when another one has succeeded in its way, and none
/// waits for a thread that sleeps, in whatever it was doing. Lookups write nothing that is
/// shared (but where a table without an empty slot is being exchanged).
/// While the table is being exchanged for another one, each writer moves a few entries, and so does
/// an iteration that comes to such a place.
///
/// # Linearization
/// Each operation on a key takes effect at one moment between its call and its return, and all of them,
/// whatever their keys, do so in one order. A change does at its one compare-exchange, and a lookup at its
/// load of what that changes: so while a key's value is being replaced, a lookup finds the old one or the
/// new one. [`len`](Self::len), iterations, and what goes through the whole map ([`retain`](Self::retain),
/// [`clear`](Self::clear), `clone`, `==`) are of no single moment.
///
/// # Keys and values
/// An entry is immutable once it is in the map; a replacement brings its own key along. Keys and
/// values are dropped some time after their removal, maybe by another thread: so they are `Send`
/// and `'static`. With a terrible hasher (all hashes equal) each operation looks at all entries, and
/// the table has up to eight slots for each of them; nothing worse. With an `Eq` or `Hash` that lies
/// or panics, entries may be found or not, but each is dropped once.
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
/// An entry is one node: key, value, the hash, and what the scheme adds; and a slot of the table,
/// one word. The slot of a removed entry waits for that key to come back, and is not used by others
/// until the table is exchanged. That happens when three quarters of the slots were used, or a path
/// has become longer than 128 slots and there is something to gain (a larger table, while a quarter
/// of it is in use; one without so many removed entries): for one of twice the size, or of the
/// same; for a smaller one when there is less than an entry to 16 slots. It is noticed by an insertion
/// or removal, if not by the first one, and done little by little by the next ones: each of them moves
/// about 8 slots, or up to about 128 of a table that shrinks; and some more where another thread sleeps that
/// was to move them, or on the path of its own key. That goes in stages, to a sixteenth of the slots at most.
/// While there is no memory for another table, the map goes on with the one it has until all slots are
/// used.
///
/// What was [reserved](Self::reserve), or asked for [at first](Self::with_capacity), stays while entries
/// are put in. Removals do not know of it: when one finds less than an entry to 16 slots, the table
/// shrinks all the same. And the slots of removed entries, which wait for their keys, are not taken into
/// account: where there are many, the table may be exchanged before what was reserved is in.
///
/// In a map that is larger than the processor's caches nearly each access is to two pages which the
/// processor has not at hand. It is the allocator that can give it larger ones (that of glibc does so
/// with `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` in the environment).
///
/// # Iteration
/// A key that is in the map from the iteration's begin to its end is seen exactly once, whatever
/// happens to other keys and however often the table is exchanged; with its value at the moment when
/// the iteration got there. A key that is inserted or removed meanwhile may be seen or not; one that
/// is removed and inserted again may be seen twice. The order is that of the hashes. An iteration
/// holds nothing between two steps; but of several entries with the very same 64 bits of hash it
/// covers all at once, until it has passed them (with hazard pointers: a slot for each).
///
/// # When to use a lock instead
/// When few threads share the map, or hold it for long: a sharded lock around a flat table uses less
/// memory and touches fewer cache lines.
pub struct HashMap<K, V, S = RandomState, R: Reclaimer = Epoch> {
    tables: Tables<K, V>,
    /// Up to here the slots have been taken out by a drain; or [`ALL`].
    drained: usize,
    hasher: S,
    reclaimer: R,
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
    /// There is no memory for the entry; or there is no slot for it, and no memory for a table that has
    /// more of them, or there cannot be one that large.
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

/// Why [`try_reserve`](HashMap::try_reserve) made no room.
///
/// ```
/// use sexton::hash_map::TryReserveError;
///
/// assert_eq!(TryReserveError::NoMemory.to_string(), "no memory for the map's table");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryReserveError {
    /// The table would be larger than memory can be.
    CapacityOverflow,
    /// There is no memory for the table.
    NoMemory,
}

impl fmt::Display for TryReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CapacityOverflow => "the map's table would be larger than memory can be",
            Self::NoMemory => "no memory for the map's table",
        })
    }
}

impl Error for TryReserveError {}

impl<K, V> HashMap<K, V> {
    /// An empty map on the default domain, with std's hasher. Its table is made by the first
    /// insertion.
    ///
    /// ```
    /// let map = sexton::HashMap::new();
    /// map.insert("a", 1);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty map, with a table for so many entries.
    ///
    /// # Panics
    /// If the capacity is larger than memory can be; aborts as [`Box::new`] does when there is no
    /// memory. So do the other constructors that take one.
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

    /// An empty map with this hasher, and a table for so many entries.
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
    /// An empty map with this hasher, in a domain, and a table for so many entries.
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
        let tables = Tables::new(&reclaimer.pin(), capacity);
        Self { tables, drained: 0, hasher, reclaimer }
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
        self.tables.len()
    }

    /// Whether there is no entry. Exact when no other thread is changing the map.
    ///
    /// ```
    /// assert!(sexton::HashMap::<u32, u32>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries fit before the table is exchanged for a larger one (if none are removed: see
    /// [Memory](Self#memory)).
    ///
    /// ```
    /// assert!(sexton::HashMap::<u32, u32>::with_capacity(100).capacity() >= 100);
    /// ```
    pub fn capacity(&self) -> usize {
        self.tables.capacity(&self.reclaimer.pin())
    }

    /// Makes room for so many entries more. The entries move little by little. (A removal that finds the
    /// map nearly empty may give it up again; and the slots of removed entries are not counted, so the
    /// table may still be exchanged before that: see [Memory](Self#memory).)
    ///
    /// # Panics
    /// If the capacity would be larger than memory can be; aborts as [`Box::new`] does when there is
    /// no memory. See [`try_reserve`](Self::try_reserve).
    ///
    /// ```
    /// let map = sexton::HashMap::<u32, u32>::new();
    /// map.reserve(100);
    /// assert!(map.capacity() >= 100);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.reserve_or(additional).unwrap_or_else(|shortage| shortage.fail());
    }

    /// Makes room for so many entries more, if there is memory; otherwise as [`reserve`](Self::reserve).
    ///
    /// # Errors
    /// If there is not; the map is as it was.
    ///
    /// ```
    /// use sexton::hash_map::TryReserveError;
    ///
    /// let map = sexton::HashMap::<u32, u32>::new();
    /// assert_eq!(map.try_reserve(usize::MAX), Err(TryReserveError::CapacityOverflow));
    /// assert!(map.try_reserve(100).is_ok());
    /// ```
    pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        self.reserve_or(additional).map_err(|shortage| match shortage {
            Shortage::Overflow => TryReserveError::CapacityOverflow,
            Shortage::NoMemory(_) => TryReserveError::NoMemory,
        })
    }

    fn reserve_or(&self, additional: usize) -> Result<(), Shortage> {
        self.tables.reserve(&self.reclaimer.pin(), self.len().saturating_add(additional))
    }

    /// Keeps no larger table than the entries need. (A shared map does that by and by when it has
    /// become nearly empty.) If there is no memory for the smaller table, it stays as it is.
    ///
    /// ```
    /// let mut map = sexton::HashMap::<u32, u32>::with_capacity(1000);
    /// map.shrink_to_fit();
    /// assert!(map.capacity() < 1000);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        let guard = self.reclaimer.pin();
        // SAFETY: borrowed exclusively, and it is the map's domain.
        unsafe { self.tables.shrink_exclusive(&guard) };
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
}

impl<K, V, S, R> HashMap<K, V, S, R>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        // A weak hasher may leave many bits alike. The table goes by the top ones, and the words by
        // the low ones: so all are mixed with all, by a multiplication whose halves are folded.
        let product = u128::from(self.hasher.hash_one(key)) * 0x9e37_79b9_7f4a_7c15;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let hash = (product >> 64) as u64 ^ product as u64;
        hash
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

    fn begin(&mut self) {
        // What was emptied and did not stay (`end`) was given away: nobody has used it since.
        if self.drained != ALL {
            self.drained = 0;
        }
    }

    fn take_one(&mut self) -> Option<(K, V)> {
        // SAFETY: borrowed exclusively; this is the map's scheme.
        let taken = unsafe { self.tables.take_exclusive::<R::Scheme>(self.drained) };
        let Some((node, at)) = taken else {
            self.drained = ALL;
            return None;
        };
        self.drained = at;
        let Entry { key, value } = node.into_inner().entry;
        Some((key, value))
    }

    fn end(&mut self) {
        self.drained = 0;
        // SAFETY: borrowed exclusively; this is the map's scheme. What is drained has no entry.
        unsafe { self.tables.wipe_exclusive::<R::Scheme>() };
    }
}

impl<K, V, S, R: Reclaimer> Drop for HashMap<K, V, S, R> {
    fn drop(&mut self) {
        /// Frees the table when all entries are gone, or one of them panics.
        struct Table<'a, K, V, S, R: Reclaimer>(&'a mut HashMap<K, V, S, R>);

        impl<K, V, S, R: Reclaimer> Drop for Table<'_, K, V, S, R> {
            fn drop(&mut self) {
                // SAFETY: the map is going, and has no entry any more.
                unsafe { self.0.tables.free::<R::Scheme>() };
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
    ///
    /// # Panics
    /// If the clone of a key, of a value or of the hasher does; aborts as [`Box::new`] does when there is
    /// no memory.
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
    /// Inserts each entry, or replaces the key's.
    ///
    /// # Panics
    /// If the iterator does (what it gave until then is in the map); aborts as [`Box::new`] does when
    /// there is no memory.
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
    /// Inserts a copy of each entry, or replaces the key's.
    ///
    /// # Panics
    /// As where the entries themselves are given.
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
    /// A map of these entries; of those with the same key, the last one.
    ///
    /// # Panics
    /// If the iterator does, or says that it has more entries than memory can hold (by the lower bound of
    /// its `size_hint`); aborts as [`Box::new`] does when there is no memory for as many as it says.
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
