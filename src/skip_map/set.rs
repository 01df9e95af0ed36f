//! The set: a map whose entries have no value.

use core::borrow::Borrow;
use core::fmt;
use core::iter::FusedIterator;
use core::ops::{Bound, RangeBounds};

use super::iter::{Keys, Range};
use super::view::{View, entry, of_spot};
use super::{Iter, SkipMap};
use crate::Epoch;
use crate::atomic::AllocError;
use crate::domain::Reclaimer;
use crate::exclusive::{Drain, Exclusive, IntoIter};
use crate::guard::{Guard, Pinned, Ref};
use crate::hash_map::{Entry, TryInsertError};
use crate::scheme::Scheme;

/// A lock-free ordered set, for any number of threads: a [`SkipMap`] whose entries have no value.
/// All that is said there holds here.
///
/// The methods here pin for the one call, and return clones. To borrow values, to iterate, or to do
/// many operations, [`pin`](Self::pin) first.
///
/// ```
/// let set = sexton::SkipSet::<_>::new();
/// assert!(set.insert(3));
/// assert!(set.insert(1));
/// assert!(!set.insert(1));
/// assert_eq!(set.pin().iter().map(|value| *value).collect::<Vec<_>>(), [1, 3]);
/// assert_eq!(set.pop_first(), Some(1));
/// ```
pub struct SkipSet<T, R: Reclaimer = Epoch> {
    map: SkipMap<T, (), R>,
}

fn key<'g, T, S: Scheme>(entry: Ref<'g, Entry<T, ()>, S>) -> Ref<'g, T, S> {
    Ref::map(entry, Entry::key)
}

impl<T> SkipSet<T> {
    /// An empty set on the default domain.
    ///
    /// ```
    /// let set = sexton::SkipSet::new();
    /// set.insert("a");
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_reclaimer(Epoch)
    }
}

impl<T, R: Reclaimer> SkipSet<T, R> {
    /// An empty set in a domain.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, SkipSet};
    ///
    /// let set = SkipSet::with_reclaimer(Domain::<Epoch>::new());
    /// set.insert("a");
    /// ```
    #[must_use]
    pub fn with_reclaimer(reclaimer: R) -> Self {
        Self { map: SkipMap::with_reclaimer(reclaimer) }
    }

    /// Opens a guard, for many operations and for references to values.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from(["a"]);
    /// assert_eq!(set.pin().get("a").as_deref(), Some(&"a"));
    /// ```
    #[inline]
    pub fn pin(&self) -> Pinned<'_, Self, Guard<'_, R::Scheme>> {
        Pinned::new(self, self.reclaimer().pin())
    }

    /// Uses a guard of the caller's for many operations.
    ///
    /// # Panics
    /// If the guard is of another domain.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer, SkipSet};
    ///
    /// let set = SkipSet::<_>::from([1]);
    /// assert!(set.with(&Epoch.pin()).contains(&1));
    /// ```
    #[inline]
    pub fn with<'a>(
        &'a self,
        guard: &'a Guard<'a, R::Scheme>,
    ) -> Pinned<'a, Self, &'a Guard<'a, R::Scheme>> {
        Pinned::with(self, self.reclaimer(), guard)
    }

    /// The handle to the set's domain.
    ///
    /// ```
    /// use sexton::{Reclaimer, SkipSet};
    ///
    /// println!("{:?}", SkipSet::<u32>::new().reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        self.map.reclaimer()
    }

    /// How many values there are. Exact when no other thread is changing the set.
    ///
    /// ```
    /// assert_eq!(sexton::SkipSet::<_>::from([1, 2]).len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no value. Exact when no other thread is changing the set.
    ///
    /// ```
    /// assert!(sexton::SkipSet::<u32>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Takes all values out, in ascending order and without a guard. What is left when the iterator
    /// is dropped stays in the set.
    ///
    /// ```
    /// let mut set = sexton::SkipSet::<_>::from([1, 2]);
    /// assert_eq!(set.drain().next(), Some(1));
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn drain(&mut self) -> Drain<'_, Self> {
        Drain::new(self)
    }
}

impl<T, R> SkipSet<T, R>
where
    T: Ord + Send + 'static,
    R: Reclaimer,
{
    /// Whether the value is in the set.
    ///
    /// ```
    /// assert!(sexton::SkipSet::<_>::from(["a"]).contains("a"));
    /// ```
    pub fn contains<Q>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.pin().contains(value)
    }

    /// Inserts a value if none equals it; says whether it did.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_insert`](Pinned::try_insert).
    ///
    /// ```
    /// let set = sexton::SkipSet::new();
    /// assert!(set.insert("a"));
    /// assert!(!set.insert("a"));
    /// ```
    pub fn insert(&self, value: T) -> bool {
        self.pin().insert(value)
    }

    /// Removes the value; says whether it was there.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from(["a"]);
    /// assert!(set.remove("a"));
    /// assert!(!set.remove("a"));
    /// ```
    pub fn remove<Q>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.pin().remove(value)
    }

    /// A clone of the least value.
    ///
    /// ```
    /// assert_eq!(sexton::SkipSet::<_>::from([2, 1]).first(), Some(1));
    /// ```
    pub fn first(&self) -> Option<T>
    where
        T: Clone,
    {
        self.pin().first().map(|value| value.clone())
    }

    /// A clone of the greatest value.
    ///
    /// ```
    /// assert_eq!(sexton::SkipSet::<_>::from([2, 1]).last(), Some(2));
    /// ```
    pub fn last(&self) -> Option<T>
    where
        T: Clone,
    {
        self.pin().last().map(|value| value.clone())
    }

    /// Removes the first value and returns a clone of it. See
    /// [First and last](SkipMap#first-and-last).
    ///
    /// ```
    /// assert_eq!(sexton::SkipSet::<_>::from([2, 1]).pop_first(), Some(1));
    /// ```
    pub fn pop_first(&self) -> Option<T>
    where
        T: Clone,
    {
        self.pin().pop_first().map(|value| value.clone())
    }

    /// Removes the last value and returns a clone of it. See [First and
    /// last](SkipMap#first-and-last).
    ///
    /// ```
    /// assert_eq!(sexton::SkipSet::<_>::from([2, 1]).pop_last(), Some(2));
    /// ```
    pub fn pop_last(&self) -> Option<T>
    where
        T: Clone,
    {
        self.pin().pop_last().map(|value| value.clone())
    }

    /// Removes the values for which `keep` says no.
    ///
    /// # Panics
    /// If `keep` does; what it had refused until then is removed.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from([1, 2]);
    /// set.retain(|value| *value > 1);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn retain(&self, keep: impl FnMut(&T) -> bool) {
        self.pin().retain(keep);
    }

    /// Removes all values that were there when it began.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from([1, 2]);
    /// set.clear();
    /// assert!(set.is_empty());
    /// ```
    pub fn clear(&self) {
        self.pin().clear();
    }
}

impl<'a, T, R, G> Pinned<'a, SkipSet<T, R>, G>
where
    T: Ord + Send + 'static,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    fn view(&self) -> View<'_, T, (), R> {
        View::new(&self.structure().map, self.guard())
    }

    /// The value in the set that equals this one.
    ///
    /// ```
    /// assert_eq!(sexton::SkipSet::<_>::from(["a"]).pin().get("a").as_deref(), Some(&"a"));
    /// ```
    pub fn get<Q>(&self, value: &Q) -> Option<Ref<'_, T, R::Scheme>>
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().get(value).map(entry).map(key)
    }

    /// Whether the value is in the set.
    ///
    /// ```
    /// assert!(sexton::SkipSet::<_>::from(["a"]).pin().contains("a"));
    /// ```
    pub fn contains<Q>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().get(value).is_some()
    }

    /// The least value.
    ///
    /// ```
    /// assert_eq!(*sexton::SkipSet::<_>::from([2, 1]).pin().first().unwrap(), 1);
    /// ```
    pub fn first(&self) -> Option<Ref<'_, T, R::Scheme>> {
        self.lower_bound::<T>(Bound::Unbounded)
    }

    /// The greatest value.
    ///
    /// ```
    /// assert_eq!(*sexton::SkipSet::<_>::from([2, 1]).pin().last().unwrap(), 2);
    /// ```
    pub fn last(&self) -> Option<Ref<'_, T, R::Scheme>> {
        self.upper_bound::<T>(Bound::Unbounded)
    }

    /// The first value that is not below a bound.
    ///
    /// ```
    /// use std::ops::Bound;
    ///
    /// let set = sexton::SkipSet::<_>::from([1, 3]);
    /// assert_eq!(*set.pin().lower_bound(Bound::Included(&2)).unwrap(), 3);
    /// ```
    pub fn lower_bound<Q>(&self, bound: Bound<&Q>) -> Option<Ref<'_, T, R::Scheme>>
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().seek(bound, None).map(of_spot).map(key)
    }

    /// The last value that is not above a bound.
    ///
    /// ```
    /// use std::ops::Bound;
    ///
    /// let set = sexton::SkipSet::<_>::from([1, 3]);
    /// assert_eq!(*set.pin().upper_bound(Bound::Included(&2)).unwrap(), 1);
    /// ```
    pub fn upper_bound<Q>(&self, bound: Bound<&Q>) -> Option<Ref<'_, T, R::Scheme>>
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().seek_back(bound, None).map(of_spot).map(key)
    }

    /// Inserts a value if none equals it; says whether it did.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_insert`](Self::try_insert).
    ///
    /// ```
    /// let set = sexton::SkipSet::new();
    /// assert!(set.pin().insert("a"));
    /// assert!(!set.pin().insert("a"));
    /// ```
    pub fn insert(&self, value: T) -> bool {
        match self.try_insert(value) {
            Ok(inserted) => inserted,
            Err(AllocError(_)) => std::alloc::handle_alloc_error(core::alloc::Layout::new::<T>()),
        }
    }

    /// Inserts a value if none equals it; says whether it did.
    ///
    /// # Errors
    /// Gives the value back when there is no memory.
    ///
    /// ```
    /// let set = sexton::SkipSet::new();
    /// assert_eq!(set.pin().try_insert("a"), Ok(true));
    /// ```
    pub fn try_insert(&self, value: T) -> Result<bool, AllocError<T>> {
        match self.view().try_insert(value, ()) {
            Ok(_) => Ok(true),
            Err(TryInsertError::Occupied { .. }) => Ok(false),
            Err(TryInsertError::NoMemory { key, .. }) => Err(AllocError(key)),
        }
    }

    /// Inserts a value, or replaces the one that equals it in one atomic step; returns the one that
    /// was replaced.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from(["a"]);
    /// assert_eq!(set.pin().replace("a").as_deref(), Some(&"a"));
    /// ```
    pub fn replace(&self, value: T) -> Option<Ref<'_, T, R::Scheme>> {
        self.view().insert(value, ()).map(key)
    }

    /// Removes the value; says whether it was there.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from(["a"]);
    /// assert!(set.pin().remove("a"));
    /// ```
    pub fn remove<Q>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.take(value).is_some()
    }

    /// Removes the value and returns it.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from(["a"]);
    /// assert_eq!(set.pin().take("a").as_deref(), Some(&"a"));
    /// ```
    pub fn take<Q>(&self, value: &Q) -> Option<Ref<'_, T, R::Scheme>>
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().remove_if(value, |_, ()| true).map(key)
    }

    /// Removes the first value and returns it. Of several threads that do, each gets another one.
    ///
    /// ```
    /// assert_eq!(*sexton::SkipSet::<_>::from([2, 1]).pin().pop_first().unwrap(), 1);
    /// ```
    pub fn pop_first(&self) -> Option<Ref<'_, T, R::Scheme>> {
        self.view().pop_first().map(key)
    }

    /// Removes the last value and returns it. Of several threads that do, each gets another one.
    ///
    /// ```
    /// assert_eq!(*sexton::SkipSet::<_>::from([2, 1]).pin().pop_last().unwrap(), 2);
    /// ```
    pub fn pop_last(&self) -> Option<Ref<'_, T, R::Scheme>> {
        self.view().pop_last().map(key)
    }

    /// Goes through all values in ascending order, or from both ends.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from([2, 1]);
    /// assert_eq!(set.pin().iter().map(|value| *value).collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn iter(&self) -> SetIter<'_, T, R> {
        Keys { entries: Iter { range: Range::new(self.view(), ..) } }
    }

    /// Goes through the values in a range in ascending order, or from both ends. A range that ends
    /// before it begins is empty.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from([1, 2, 3]);
    /// assert_eq!(set.pin().range(2..).map(|value| *value).collect::<Vec<_>>(), [2, 3]);
    /// ```
    pub fn range<Q, B>(&self, range: B) -> SetRange<'_, T, R, Q, B>
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
    {
        SetRange { range: Range::new(self.view(), range) }
    }

    /// Removes the values in a range; says how many they were. Each removal is a step of its own.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from([1, 2, 3]);
    /// assert_eq!(set.pin().remove_range(2..), 2);
    /// ```
    pub fn remove_range<Q, B>(&self, range: B) -> usize
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
    {
        Range::new(self.view(), range).remove_where(|_, ()| true)
    }

    /// Removes the values for which `keep` says no.
    ///
    /// # Panics
    /// If `keep` does; what it had refused until then is removed.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from([1, 2]);
    /// set.pin().retain(|value| *value > 1);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) {
        Range::<_, _, _, T, _>::new(self.view(), ..).remove_where(|value, ()| !keep(value));
    }

    /// Removes all values that were there when it began.
    ///
    /// ```
    /// let set = sexton::SkipSet::<_>::from([1, 2]);
    /// set.pin().clear();
    /// assert!(set.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_| false);
    }

    /// See [`SkipSet::len`].
    ///
    /// ```
    /// assert_eq!(sexton::SkipSet::<_>::from([1]).pin().len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.structure().len()
    }

    /// See [`SkipSet::is_empty`].
    ///
    /// ```
    /// assert!(!sexton::SkipSet::<_>::from([1]).pin().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.structure().is_empty()
    }
}

/// Goes through a set's values, from both ends. Made by [`iter`](Pinned::iter).
///
/// ```
/// let set = sexton::SkipSet::<_>::from([2, 1]);
/// assert_eq!(set.pin().iter().rev().map(|value| *value).collect::<Vec<_>>(), [2, 1]);
/// ```
pub type SetIter<'g, T, R> = Keys<'g, T, (), R>;

/// Goes through the values in a range, from both ends. Made by [`range`](Pinned::range).
///
/// ```
/// let set = sexton::SkipSet::<_>::from([1, 2, 3]);
/// assert_eq!(*set.pin().range(..3).next_back().unwrap(), 2);
/// ```
#[derive(Debug)]
pub struct SetRange<'g, T, R: Reclaimer, Q: ?Sized, B> {
    range: Range<'g, T, (), R, Q, B>,
}

impl<'g, T, R, Q, B> Iterator for SetRange<'g, T, R, Q, B>
where
    T: Ord + Borrow<Q> + Send + 'static,
    R: Reclaimer,
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
{
    type Item = Ref<'g, T, R::Scheme>;

    fn next(&mut self) -> Option<Self::Item> {
        self.range.next().map(key)
    }
}

impl<T, R, Q, B> DoubleEndedIterator for SetRange<'_, T, R, Q, B>
where
    T: Ord + Borrow<Q> + Send + 'static,
    R: Reclaimer,
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.range.next_back().map(key)
    }
}

impl<T, R, Q, B> FusedIterator for SetRange<'_, T, R, Q, B>
where
    T: Ord + Borrow<Q> + Send + 'static,
    R: Reclaimer,
    Q: Ord + ?Sized,
    B: RangeBounds<Q>,
{
}

impl<T, R: Reclaimer> Exclusive for SkipSet<T, R> {
    type Item = T;

    fn take_one(&mut self) -> Option<T> {
        self.map.take_one().map(|(value, ())| value)
    }
}

impl<T, R: Reclaimer + Default> Default for SkipSet<T, R> {
    fn default() -> Self {
        Self::with_reclaimer(R::default())
    }
}

impl<T, R> Clone for SkipSet<T, R>
where
    T: Ord + Clone + Send + 'static,
    R: Reclaimer,
{
    /// A set with clones of the values, in the same domain.
    fn clone(&self) -> Self {
        Self { map: self.map.clone() }
    }
}

impl<T, R> PartialEq for SkipSet<T, R>
where
    T: Ord + Send + 'static,
    R: Reclaimer,
{
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map
    }
}

impl<T, R> Eq for SkipSet<T, R>
where
    T: Ord + Send + 'static,
    R: Reclaimer,
{
}

impl<T, R> fmt::Debug for SkipSet<T, R>
where
    T: Ord + fmt::Debug + Send + 'static,
    R: Reclaimer,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.pin().iter()).finish()
    }
}

impl<T, R> Extend<T> for SkipSet<T, R>
where
    T: Ord + Send + 'static,
    R: Reclaimer,
{
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        // A guard for each: who knows what the iterator waits for.
        for value in values {
            self.insert(value);
        }
    }
}

impl<T, R> FromIterator<T> for SkipSet<T, R>
where
    T: Ord + Send + 'static,
    R: Reclaimer + Default,
{
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut set = Self::default();
        set.extend(values);
        set
    }
}

impl<T, R, const N: usize> From<[T; N]> for SkipSet<T, R>
where
    T: Ord + Send + 'static,
    R: Reclaimer + Default,
{
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<T, R: Reclaimer> IntoIterator for SkipSet<T, R> {
    type Item = T;
    type IntoIter = IntoIter<Self>;

    /// In ascending order.
    fn into_iter(self) -> IntoIter<Self> {
        IntoIter::new(self)
    }
}
