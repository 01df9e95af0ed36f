//! A hash set: a [`HashMap`] whose values are nothing.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::hash::RandomState;

use crate::Epoch;
use crate::atomic::AllocError;
use crate::domain::Reclaimer;
use crate::exclusive::{Drain, Exclusive, IntoIter};
use crate::guard::{Guard, Pinned, Ref};
use crate::hash_map::{Compute, Entry, HashMap, Keys, Operation, TryInsertError, TryReserveError};

/// A lock-free hash set, for any number of threads.
///
/// The methods here pin for the one call; those that return elements return clones. To borrow
/// elements, to iterate, or to do many operations, [`pin`](Self::pin) first.
///
/// ```
/// let set = sexton::HashSet::<_>::new();
/// assert!(set.insert("a"));
/// assert!(!set.insert("a"));
/// assert!(set.contains("a"));
///
/// let pinned = set.pin();                     // one guard, many operations
/// assert_eq!(pinned.get("a").as_deref(), Some(&"a"));
/// assert!(pinned.remove("a"));
/// assert!(pinned.is_empty());
/// ```
///
/// It is a [`HashMap<T, ()>`](HashMap): its [progress](HashMap#progress),
/// [linearization](HashMap#linearization), [memory](HashMap#memory), and what an
/// [iteration](HashMap#iteration) sees are written there.
pub struct HashSet<T, S = RandomState, R: Reclaimer = Epoch> {
    map: HashMap<T, (), S, R>,
}

impl<T> HashSet<T> {
    /// An empty set on the default domain, with std's hasher.
    ///
    /// ```
    /// let set = sexton::HashSet::new();
    /// set.insert(1);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty set, with a table for so many elements.
    ///
    /// # Panics
    /// If the capacity is larger than memory can be; aborts as [`Box::new`] does when there is no
    /// memory. So do the other constructors that take one.
    ///
    /// ```
    /// assert!(sexton::HashSet::<u32>::with_capacity(1000).capacity() >= 1000);
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, RandomState::new())
    }
}

impl<T, R: Reclaimer> HashSet<T, RandomState, R> {
    /// An empty set in a domain.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, HashSet};
    ///
    /// let set = HashSet::with_reclaimer(Domain::<Epoch>::new());
    /// set.insert("a");
    /// ```
    #[must_use]
    pub fn with_reclaimer(reclaimer: R) -> Self {
        HashMap::with_reclaimer(reclaimer).into()
    }
}

impl<T, S, R: Reclaimer + Default> HashSet<T, S, R> {
    /// An empty set with this hasher.
    ///
    /// ```
    /// use std::hash::RandomState;
    ///
    /// let set = sexton::HashSet::<u32, _>::with_hasher(RandomState::new());
    /// ```
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        HashMap::with_hasher(hasher).into()
    }

    /// An empty set with this hasher, and room for so many elements.
    ///
    /// ```
    /// use std::hash::RandomState;
    ///
    /// let set = sexton::HashSet::<u32, _>::with_capacity_and_hasher(8, RandomState::new());
    /// assert!(set.capacity() >= 8);
    /// ```
    #[must_use]
    pub fn with_capacity_and_hasher(capacity: usize, hasher: S) -> Self {
        HashMap::with_capacity_and_hasher(capacity, hasher).into()
    }
}

impl<T, S, R: Reclaimer> HashSet<T, S, R> {
    /// An empty set with this hasher, in a domain, and room for so many elements.
    ///
    /// ```
    /// use sexton::{Domain, Hazard, HashSet};
    /// use std::hash::RandomState;
    ///
    /// let domain = Domain::<Hazard>::new();
    /// let set = HashSet::<u32, _, _>::with_capacity_and_hasher_and_reclaimer(
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
        HashMap::with_capacity_and_hasher_and_reclaimer(capacity, hasher, reclaimer).into()
    }

    /// Opens a guard, for many operations and for references to elements.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from(["a", "b"]);
    /// let set = set.pin();
    /// assert_eq!(set.iter().count(), 2);
    /// ```
    #[inline]
    pub fn pin(&self) -> PinnedSet<'_, T, S, R, Guard<'_, R::Scheme>> {
        PinnedSet { map: self.map.pin() }
    }

    /// Uses a guard of the caller's for many operations.
    ///
    /// # Panics
    /// If the guard is of another domain.
    ///
    /// ```
    /// use sexton::{Epoch, HashSet, Reclaimer};
    ///
    /// let (one, two) = (HashSet::<_>::from([1, 2]), HashSet::<_>::from([1, 2, 3]));
    /// let guard = Epoch.pin();
    /// assert!(one.with(&guard).is_subset(&two.with(&guard)));
    /// ```
    #[inline]
    pub fn with<'a>(
        &'a self,
        guard: &'a Guard<'a, R::Scheme>,
    ) -> PinnedSet<'a, T, S, R, &'a Guard<'a, R::Scheme>> {
        PinnedSet { map: self.map.with(guard) }
    }

    /// The handle to the set's domain.
    ///
    /// ```
    /// use sexton::{HashSet, Reclaimer};
    ///
    /// println!("{:?}", HashSet::<u32>::new().reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        self.map.reclaimer()
    }

    /// The hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    ///
    /// let set = sexton::HashSet::<u32>::new();
    /// assert_eq!(set.hasher().hash_one(1), set.hasher().hash_one(1));
    /// ```
    pub fn hasher(&self) -> &S {
        self.map.hasher()
    }

    /// How many elements there are. Exact when no other thread is changing the set.
    ///
    /// ```
    /// assert_eq!(sexton::HashSet::<_>::from([1, 2]).len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no element. Exact when no other thread is changing the set.
    ///
    /// ```
    /// assert!(sexton::HashSet::<u32>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Takes all elements out, without a guard. What is left when the iterator is dropped stays in
    /// the set.
    ///
    /// ```
    /// let mut set = sexton::HashSet::<_>::from([1, 2]);
    /// assert_eq!(set.drain().count(), 2);
    /// assert!(set.is_empty());
    /// ```
    pub fn drain(&mut self) -> Drain<'_, Self> {
        Drain::new(self)
    }
}

impl<T, S, R> HashSet<T, S, R>
where
    T: Hash + Eq + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    /// How many elements fit before the table is exchanged for a larger one (if none are removed: see
    /// [Memory](HashMap#memory)).
    ///
    /// ```
    /// assert!(sexton::HashSet::<u32>::with_capacity(100).capacity() >= 100);
    /// ```
    pub fn capacity(&self) -> usize {
        self.map.capacity()
    }

    /// Makes room for so many elements more. See [`HashMap::reserve`] for when they do not find it.
    ///
    /// # Panics
    /// If the capacity would be larger than memory can be; aborts as [`Box::new`] does when there is
    /// no memory. See [`try_reserve`](Self::try_reserve).
    ///
    /// ```
    /// let set = sexton::HashSet::<u32>::new();
    /// set.reserve(100);
    /// assert!(set.capacity() >= 100);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.map.reserve(additional);
    }

    /// Makes room for so many elements more, if there is memory; otherwise as [`reserve`](Self::reserve).
    ///
    /// # Errors
    /// If there is not; the set is as it was.
    ///
    /// ```
    /// use sexton::hash_map::TryReserveError;
    ///
    /// let set = sexton::HashSet::<u32>::new();
    /// assert_eq!(set.try_reserve(usize::MAX), Err(TryReserveError::CapacityOverflow));
    /// assert!(set.try_reserve(100).is_ok());
    /// ```
    pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        self.map.try_reserve(additional)
    }

    /// Keeps no more room than the elements need, and frees the rest. If there is no memory for the
    /// smaller table, it stays as it is.
    ///
    /// ```
    /// let mut set = sexton::HashSet::<u32>::with_capacity(1000);
    /// set.shrink_to_fit();
    /// assert!(set.capacity() < 1000);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.map.shrink_to_fit();
    }

    /// Inserts an element if it is absent; says whether it was. One that is present stays, and the
    /// new one is dropped: see [`replace`](PinnedSet::replace).
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_insert`](Self::try_insert).
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::new();
    /// assert!(set.insert(1));
    /// assert!(!set.insert(1));
    /// ```
    pub fn insert(&self, value: T) -> bool {
        self.pin().insert(value)
    }

    /// Inserts an element if it is absent; says whether it was.
    ///
    /// # Errors
    /// If there is no memory for it, or no slot for it and no table with more of them; the element comes
    /// back.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::new();
    /// assert!(set.try_insert(1).unwrap());
    /// assert!(!set.try_insert(1).unwrap());
    /// ```
    pub fn try_insert(&self, value: T) -> Result<bool, AllocError<T>> {
        self.pin().try_insert(value)
    }

    /// Whether the element is in the set.
    ///
    /// ```
    /// assert!(sexton::HashSet::<_>::from(["a"]).contains("a"));
    /// ```
    pub fn contains<Q>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.contains_key(value)
    }

    /// A clone of the element. To borrow it instead, [`pin`](Self::pin).
    ///
    /// ```
    /// assert_eq!(sexton::HashSet::<_>::from(["a"]).get("a"), Some("a"));
    /// ```
    pub fn get<Q>(&self, value: &Q) -> Option<T>
    where
        T: Borrow<Q> + Clone,
        Q: Hash + Eq + ?Sized,
    {
        self.map.read(value, |value, ()| value.clone())
    }

    /// Removes an element; says whether it was there.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from(["a"]);
    /// assert!(set.remove("a"));
    /// assert!(!set.remove("a"));
    /// ```
    pub fn remove<Q>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.pin().remove(value)
    }

    /// Removes an element and returns a clone of it. For those that are not `Clone`,
    /// [`pin`](Self::pin) first.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from(["a"]);
    /// assert_eq!(set.take("a"), Some("a"));
    /// assert_eq!(set.take("a"), None);
    /// ```
    pub fn take<Q>(&self, value: &Q) -> Option<T>
    where
        T: Borrow<Q> + Clone,
        Q: Hash + Eq + ?Sized,
    {
        self.pin().take(value).map(|value| value.clone())
    }

    /// Removes the elements for which `keep` says no.
    ///
    /// # Panics
    /// If `keep` does; what it had refused until then is removed.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from([1, 2]);
    /// set.retain(|element| *element > 1);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn retain(&self, keep: impl FnMut(&T) -> bool) {
        self.pin().retain(keep);
    }

    /// Removes all elements that were there when it began.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from([1, 2]);
    /// set.clear();
    /// assert!(set.is_empty());
    /// ```
    pub fn clear(&self) {
        self.map.clear();
    }

    /// Whether all elements of this set are in the other one, which may have another hasher and
    /// another domain. See [`PinnedSet::is_subset`].
    ///
    /// ```
    /// use sexton::HashSet;
    ///
    /// assert!(HashSet::<_>::from([1]).is_subset(&HashSet::<_>::from([1, 2])));
    /// ```
    pub fn is_subset<S2: BuildHasher, R2: Reclaimer>(&self, other: &HashSet<T, S2, R2>) -> bool {
        self.pin().is_subset(&other.pin())
    }

    /// Whether all elements of the other set are in this one.
    ///
    /// ```
    /// use sexton::HashSet;
    ///
    /// assert!(HashSet::<_>::from([1, 2]).is_superset(&HashSet::<_>::from([1])));
    /// ```
    pub fn is_superset<S2: BuildHasher, R2: Reclaimer>(&self, other: &HashSet<T, S2, R2>) -> bool {
        other.is_subset(self)
    }

    /// Whether no element is in both sets.
    ///
    /// ```
    /// use sexton::HashSet;
    ///
    /// assert!(HashSet::<_>::from([1]).is_disjoint(&HashSet::<_>::from([2])));
    /// ```
    pub fn is_disjoint<S2: BuildHasher, R2: Reclaimer>(&self, other: &HashSet<T, S2, R2>) -> bool {
        self.pin().is_disjoint(&other.pin())
    }
}

/// A [`HashSet`] together with a guard of its domain: many operations, one critical section.
/// Returned by [`pin`](HashSet::pin) and [`with`](HashSet::with).
///
/// ```
/// let set = sexton::HashSet::<_>::new();
/// let pinned = set.pin();
/// pinned.insert(1);
/// assert!(pinned.contains(&1));
/// ```
#[must_use = "the critical section ends when this is dropped"]
pub struct PinnedSet<'a, T, S, R: Reclaimer, G> {
    map: Pinned<'a, HashMap<T, (), S, R>, G>,
}

impl<'a, T, S, R, G> PinnedSet<'a, T, S, R, G>
where
    T: Hash + Eq + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    /// The guard.
    ///
    /// ```
    /// sexton::HashSet::<u32>::new().pin().guard().reclaim(1);
    /// ```
    pub fn guard(&self) -> &Guard<'_, R::Scheme> {
        self.map.guard()
    }

    /// Inserts an element if it is absent; says whether it was. One that is present stays, and the
    /// new one is dropped.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_insert`](Self::try_insert).
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::new();
    /// let set = set.pin();
    /// assert!(set.insert(1));
    /// assert!(!set.insert(1));
    /// ```
    pub fn insert(&self, value: T) -> bool {
        let done = self.map.compute(value, |present| match present {
            Some(_) => Operation::Abort(()),
            None => Operation::Insert(()),
        });
        matches!(done, Compute::Inserted(_))
    }

    /// Inserts an element if it is absent; says whether it was.
    ///
    /// # Errors
    /// If there is no memory for it, or no slot for it and no table with more of them; the element comes
    /// back.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::new();
    /// let set = set.pin();
    /// assert!(set.try_insert(1).unwrap());
    /// assert!(!set.try_insert(1).unwrap());
    /// ```
    pub fn try_insert(&self, value: T) -> Result<bool, AllocError<T>> {
        match self.map.try_insert(value, ()) {
            Ok(_) => Ok(true),
            Err(TryInsertError::Occupied { .. }) => Ok(false),
            Err(TryInsertError::NoMemory { key, .. }) => Err(AllocError(key)),
        }
    }

    /// Inserts an element, or puts it in the place of the one that is equal, in one atomic step;
    /// returns that one.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::new();
    /// let set = set.pin();
    /// assert_eq!(set.replace(1).as_deref(), None);
    /// assert_eq!(set.replace(1).as_deref(), Some(&1));
    /// ```
    pub fn replace(&self, value: T) -> Option<Ref<'_, T, R::Scheme>> {
        match self.map.compute(value, |_| Operation::<_, ()>::Insert(())) {
            Compute::Updated { old, .. } => Some(Ref::map(old, Entry::key)),
            _ => None,
        }
    }

    /// The element that is equal.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from([String::from("a")]);
    /// assert_eq!(*set.pin().get("a").unwrap(), "a");
    /// ```
    pub fn get<Q>(&self, value: &Q) -> Option<Ref<'_, T, R::Scheme>>
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.get_key_value(value).map(|entry| Ref::map(entry, Entry::key))
    }

    /// Whether the element is in the set.
    ///
    /// ```
    /// assert!(sexton::HashSet::<_>::from(["a"]).pin().contains("a"));
    /// ```
    pub fn contains<Q>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.contains_key(value)
    }

    /// Removes an element and returns it.
    ///
    /// ```
    /// assert_eq!(sexton::HashSet::<_>::from(["a"]).pin().take("a").as_deref(), Some(&"a"));
    /// ```
    pub fn take<Q>(&self, value: &Q) -> Option<Ref<'_, T, R::Scheme>>
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.remove_entry(value).map(|entry| Ref::map(entry, Entry::key))
    }

    /// Removes an element; says whether it was there.
    ///
    /// ```
    /// assert!(sexton::HashSet::<_>::from(["a"]).pin().remove("a"));
    /// ```
    pub fn remove<Q>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.remove_entry(value).is_some()
    }

    /// Goes through all elements. See [`HashMap`] for what is seen of changes meanwhile.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from([1, 2]);
    /// assert_eq!(set.pin().iter().map(|element| *element).sum::<i32>(), 3);
    /// ```
    pub fn iter(&self) -> Keys<'_, 'a, T, (), S, R, G> {
        self.map.keys()
    }

    /// Removes the elements for which `keep` says no.
    ///
    /// # Panics
    /// If `keep` does; what it had refused until then is removed.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from([1, 2]);
    /// let set = set.pin();
    /// set.retain(|element| *element > 1);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) {
        self.map.retain(|value, ()| keep(value));
    }

    /// Removes all elements that were there when it began.
    ///
    /// ```
    /// let set = sexton::HashSet::<_>::from([1, 2]);
    /// let set = set.pin();
    /// set.clear();
    /// assert!(set.is_empty());
    /// ```
    pub fn clear(&self) {
        self.map.clear();
    }

    /// See [`HashSet::len`].
    ///
    /// ```
    /// assert_eq!(sexton::HashSet::<_>::from([1]).pin().len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// See [`HashSet::is_empty`].
    ///
    /// ```
    /// assert!(!sexton::HashSet::<_>::from([1]).pin().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Whether all elements of this set are in the other one, which may have another hasher and
    /// another domain. Each is looked up when the iteration gets there: while other threads change
    /// the sets, the answer is of no single moment; the same goes for the other relations.
    ///
    /// ```
    /// use sexton::HashSet;
    ///
    /// let (one, two) = (HashSet::<_>::from([1]), HashSet::<_>::from([1, 2]));
    /// assert!(one.pin().is_subset(&two.pin()));
    /// ```
    pub fn is_subset<'b, S2, R2, G2>(&self, other: &PinnedSet<'b, T, S2, R2, G2>) -> bool
    where
        S2: BuildHasher,
        R2: Reclaimer,
        G2: Borrow<Guard<'b, R2::Scheme>>,
    {
        self.iter().all(|value| other.contains(&*value))
    }

    /// Whether all elements of the other set are in this one.
    ///
    /// ```
    /// use sexton::HashSet;
    ///
    /// let (one, two) = (HashSet::<_>::from([1]), HashSet::<_>::from([1, 2]));
    /// assert!(two.pin().is_superset(&one.pin()));
    /// ```
    pub fn is_superset<'b, S2, R2, G2>(&self, other: &PinnedSet<'b, T, S2, R2, G2>) -> bool
    where
        S2: BuildHasher,
        R2: Reclaimer,
        G2: Borrow<Guard<'b, R2::Scheme>>,
    {
        other.is_subset(self)
    }

    /// Whether no element is in both sets.
    ///
    /// ```
    /// use sexton::HashSet;
    ///
    /// let (one, two) = (HashSet::<_>::from([1]), HashSet::<_>::from([2]));
    /// assert!(one.pin().is_disjoint(&two.pin()));
    /// ```
    pub fn is_disjoint<'b, S2, R2, G2>(&self, other: &PinnedSet<'b, T, S2, R2, G2>) -> bool
    where
        S2: BuildHasher,
        R2: Reclaimer,
        G2: Borrow<Guard<'b, R2::Scheme>>,
    {
        !self.iter().any(|value| other.contains(&*value))
    }
}

impl<'a, T, S, R, G> fmt::Debug for PinnedSet<'a, T, S, R, G>
where
    T: Hash + Eq + fmt::Debug + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T, S, R: Reclaimer> Exclusive for HashSet<T, S, R> {
    type Item = T;

    fn begin(&mut self) {
        self.map.begin();
    }

    fn take_one(&mut self) -> Option<T> {
        self.map.take_one().map(|(value, ())| value)
    }

    fn end(&mut self) {
        self.map.end();
    }
}

/// The keys of a map that has no values.
impl<T, S, R: Reclaimer> From<HashMap<T, (), S, R>> for HashSet<T, S, R> {
    fn from(map: HashMap<T, (), S, R>) -> Self {
        Self { map }
    }
}

impl<T, S: Default, R: Reclaimer + Default> Default for HashSet<T, S, R> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<T, S, R> Clone for HashSet<T, S, R>
where
    T: Hash + Eq + Clone + Send + 'static,
    S: BuildHasher + Clone,
    R: Reclaimer,
{
    /// A set with clones of the elements, in the same domain. See [`HashMap`] for what is seen of
    /// changes that other threads make meanwhile.
    ///
    /// # Panics
    /// If the clone of an element or of the hasher does; aborts as [`Box::new`] does when there is no
    /// memory.
    fn clone(&self) -> Self {
        self.map.clone().into()
    }
}

impl<T, S, R> PartialEq for HashSet<T, S, R>
where
    T: Hash + Eq + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map
    }
}

impl<T, S, R> Eq for HashSet<T, S, R>
where
    T: Hash + Eq + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
}

impl<T, S, R> fmt::Debug for HashSet<T, S, R>
where
    T: Hash + Eq + fmt::Debug + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pin().fmt(f)
    }
}

impl<T, S, R> Extend<T> for HashSet<T, S, R>
where
    T: Hash + Eq + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    /// Inserts each element that is absent; of those that are equal, the first one.
    ///
    /// # Panics
    /// If the iterator does (what it gave until then is in the set); aborts as [`Box::new`] does when
    /// there is no memory.
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        // A guard for each: who knows what the iterator waits for.
        for value in elements {
            self.insert(value);
        }
    }
}

impl<'e, T, S, R> Extend<&'e T> for HashSet<T, S, R>
where
    T: Hash + Eq + Copy + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    /// Inserts a copy of each element that is absent.
    ///
    /// # Panics
    /// As where the elements themselves are given.
    fn extend<I: IntoIterator<Item = &'e T>>(&mut self, elements: I) {
        self.extend(elements.into_iter().copied());
    }
}

impl<T, S, R> FromIterator<T> for HashSet<T, S, R>
where
    T: Hash + Eq + Send + 'static,
    S: BuildHasher + Default,
    R: Reclaimer + Default,
{
    /// A set of these elements; of those that are equal, the first one.
    ///
    /// # Panics
    /// If the iterator does, or says that it has more elements than memory can hold (by the lower bound
    /// of its `size_hint`); aborts as [`Box::new`] does when there is no memory for as many as it says.
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let elements = elements.into_iter();
        let mut set = Self::with_capacity_and_hasher(elements.size_hint().0, S::default());
        set.extend(elements);
        set
    }
}

impl<T, S, R, const N: usize> From<[T; N]> for HashSet<T, S, R>
where
    T: Hash + Eq + Send + 'static,
    S: BuildHasher + Default,
    R: Reclaimer + Default,
{
    fn from(elements: [T; N]) -> Self {
        elements.into_iter().collect()
    }
}

impl<T, S, R: Reclaimer> IntoIterator for HashSet<T, S, R> {
    type Item = T;
    type IntoIter = IntoIter<Self>;

    fn into_iter(self) -> IntoIter<Self> {
        IntoIter::new(self)
    }
}
