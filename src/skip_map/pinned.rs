//! The operations of a map under a guard: the face of `view`.

use core::borrow::Borrow;
use core::ops::{Bound, RangeBounds};

use super::iter::{Iter, Keys, Range, Values};
use super::view::{View, entry, of_spot, value};
use super::{Compute, Operation, SkipMap, TryInsertError};
use crate::domain::Reclaimer;
use crate::guard::{Guard, Pinned, Ref};
use crate::hash_map::Entry;

impl<'a, K, V, R, G> Pinned<'a, SkipMap<K, V, R>, G>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    pub(super) fn view(&self) -> View<'_, K, V, R> {
        View::new(self.structure(), self.guard())
    }

    /// The key's value.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(map.pin().get("a").as_deref(), Some(&1));
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Option<Ref<'_, V, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.get_key_value(key).map(value)
    }

    /// The key's entry.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(*map.pin().get_key_value("a").unwrap().key(), "a");
    /// ```
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<Ref<'_, Entry<K, V>, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().get(key).map(entry)
    }

    /// Whether the key is in the map.
    ///
    /// ```
    /// assert!(sexton::SkipMap::<_, _>::from([("a", 1)]).pin().contains_key("a"));
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().get(key).is_some()
    }

    /// The entry with the least key. See [`SkipMap`] for when that is.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (2, "two")]);
    /// assert_eq!(*map.pin().first().unwrap().key(), 1);
    /// ```
    pub fn first(&self) -> Option<Ref<'_, Entry<K, V>, R::Scheme>> {
        self.view().seek::<K>(Bound::Unbounded, None).map(of_spot)
    }

    /// The entry with the greatest key.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (2, "two")]);
    /// assert_eq!(*map.pin().last().unwrap().key(), 2);
    /// ```
    pub fn last(&self) -> Option<Ref<'_, Entry<K, V>, R::Scheme>> {
        self.view().seek_back::<K>(Bound::Unbounded, None).map(of_spot)
    }

    /// The first entry that is not below a bound.
    ///
    /// ```
    /// use std::ops::Bound;
    ///
    /// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (3, "three")]);
    /// let map = map.pin();
    /// assert_eq!(*map.lower_bound(Bound::Included(&2)).unwrap().key(), 3);
    /// assert_eq!(*map.lower_bound(Bound::Excluded(&1)).unwrap().key(), 3);
    /// assert!(map.lower_bound(Bound::Excluded(&3)).is_none());
    /// ```
    pub fn lower_bound<Q>(&self, bound: Bound<&Q>) -> Option<Ref<'_, Entry<K, V>, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().seek(bound, None).map(of_spot)
    }

    /// The last entry that is not above a bound.
    ///
    /// ```
    /// use std::ops::Bound;
    ///
    /// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (3, "three")]);
    /// let map = map.pin();
    /// assert_eq!(*map.upper_bound(Bound::Included(&2)).unwrap().key(), 1);
    /// assert!(map.upper_bound(Bound::Excluded(&1)).is_none());
    /// ```
    pub fn upper_bound<Q>(&self, bound: Bound<&Q>) -> Option<Ref<'_, Entry<K, V>, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().seek_back(bound, None).map(of_spot)
    }

    /// Inserts an entry, or replaces the key's in one atomic step; returns the value that was
    /// replaced.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_insert`](Self::try_insert).
    ///
    /// ```
    /// let map = sexton::SkipMap::new();
    /// let map = map.pin();
    /// assert_eq!(map.insert("a", 1).as_deref(), None);
    /// assert_eq!(map.insert("a", 2).as_deref(), Some(&1));
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<Ref<'_, V, R::Scheme>> {
        self.view().insert(key, value).map(self::value)
    }

    /// Inserts an entry if the key is absent, and returns its value.
    ///
    /// # Errors
    /// If the key is present, or there is no memory for the entry; key and value come back.
    ///
    /// ```
    /// let map = sexton::SkipMap::new();
    /// let map = map.pin();
    /// assert_eq!(*map.try_insert("a", 1).unwrap(), 1);
    /// assert!(map.try_insert("a", 2).is_err());
    /// ```
    #[expect(clippy::type_complexity, reason = "a reference, or why there is none")]
    pub fn try_insert(
        &self,
        key: K,
        value: V,
    ) -> Result<Ref<'_, V, R::Scheme>, TryInsertError<'_, K, V, R::Scheme>> {
        self.view().try_insert(key, value)
    }

    /// The key's value, which is inserted if the key is absent. Of several threads that find it
    /// absent, one wins, and all return its value; the others' are dropped.
    ///
    /// # Panics
    /// If `value` does; aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let map = sexton::SkipMap::new();
    /// let map = map.pin();
    /// assert_eq!(*map.get_or_insert_with("a", || 1), 1);
    /// assert_eq!(*map.get_or_insert_with("a", || 2), 1);
    /// ```
    pub fn get_or_insert_with(&self, key: K, value: impl FnOnce() -> V) -> Ref<'_, V, R::Scheme> {
        self::value(self.view().get_or_insert_with(key, value))
    }

    /// Replaces the key's value by what `change` makes of it, in one atomic step, and returns the
    /// new one; `None` if the key is absent.
    ///
    /// `change` runs again when the entry was changed meanwhile, by another thread or by itself (so
    /// if it does that each time, it never ends). The key replaces the one in the map.
    ///
    /// # Panics
    /// If `change` does (the value stays); aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// let map = map.pin();
    /// assert_eq!(map.update("a", |one| one + 1).as_deref(), Some(&2));
    /// assert_eq!(map.update("b", |one| one + 1).as_deref(), None);
    /// ```
    pub fn update(&self, key: K, mut change: impl FnMut(&V) -> V) -> Option<Ref<'_, V, R::Scheme>> {
        let done = self.compute(key, |entry| match entry {
            Some((_, value)) => Operation::Insert(change(value)),
            None => Operation::Abort(()),
        });
        match done {
            Compute::Updated { new, .. } => Some(value(new)),
            _ => None,
        }
    }

    /// Looks at the key's entry and inserts, replaces, removes or leaves it, as `decide` says, in
    /// one atomic step.
    ///
    /// `decide` runs again when the entry was changed meanwhile, by another thread or by itself.
    ///
    /// # Panics
    /// If `decide` does (the entry stays); aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// use sexton::skip_map::{Compute, Operation};
    ///
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// let map = map.pin();
    /// let done = map.compute("a", |_| Operation::<_, ()>::Remove);
    /// assert!(matches!(done, Compute::Removed(_)));
    /// ```
    pub fn compute<T>(
        &self,
        key: K,
        decide: impl FnMut(Option<(&K, &V)>) -> Operation<V, T>,
    ) -> Compute<'_, K, V, T, R::Scheme> {
        self.view().compute(key, decide)
    }

    /// Removes the key's entry and returns its value.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(map.pin().remove("a").as_deref(), Some(&1));
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<Ref<'_, V, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.remove_entry(key).map(value)
    }

    /// Removes the key's entry and returns it.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(*map.pin().remove_entry("a").unwrap().key(), "a");
    /// ```
    pub fn remove_entry<Q>(&self, key: &Q) -> Option<Ref<'_, Entry<K, V>, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().remove_if(key, |_, _| true)
    }

    /// Removes the key's entry if `condition` says so, in one atomic step, and returns its value;
    /// `None` if it stays, or the key is absent.
    ///
    /// `condition` runs again when the entry was changed meanwhile, by another thread or by itself.
    ///
    /// # Panics
    /// If `condition` does; the entry stays.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([("a", 1)]);
    /// let map = map.pin();
    /// assert!(map.remove_if("a", |_, value| *value > 1).is_none());
    /// assert!(map.remove_if("a", |_, value| *value == 1).is_some());
    /// ```
    pub fn remove_if<Q>(
        &self,
        key: &Q,
        condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<Ref<'_, V, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.view().remove_if(key, condition).map(value)
    }

    /// Removes the first entry and returns it. Of several threads that do, each gets another one.
    /// See [`SkipMap`] for which is the first.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (2, "two")]);
    /// assert_eq!(*map.pin().pop_first().unwrap().key(), 1);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn pop_first(&self) -> Option<Ref<'_, Entry<K, V>, R::Scheme>> {
        self.view().pop_first()
    }

    /// Removes the last entry and returns it. Of several threads that do, each gets another one.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (2, "two")]);
    /// assert_eq!(*map.pin().pop_last().unwrap().key(), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn pop_last(&self) -> Option<Ref<'_, Entry<K, V>, R::Scheme>> {
        self.view().pop_last()
    }

    /// Goes through all entries in ascending order, or from both ends. See [`SkipMap`] for what is
    /// seen of changes meanwhile.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(2, 20), (1, 10)]);
    /// let map = map.pin();
    /// assert_eq!(map.iter().map(|entry| *entry.value()).collect::<Vec<_>>(), [10, 20]);
    /// ```
    pub fn iter(&self) -> Iter<'_, K, V, R> {
        Iter { range: Range::new(self.view(), ..) }
    }

    /// Goes through all keys in ascending order, or from both ends.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(2, 20), (1, 10)]);
    /// assert_eq!(map.pin().keys().map(|key| *key).collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn keys(&self) -> Keys<'_, K, V, R> {
        Keys { entries: self.iter() }
    }

    /// Goes through all values in the order of their keys, or from both ends.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(2, 20), (1, 10)]);
    /// assert_eq!(map.pin().values().map(|value| *value).collect::<Vec<_>>(), [10, 20]);
    /// ```
    pub fn values(&self) -> Values<'_, K, V, R> {
        Values { entries: self.iter() }
    }

    /// Goes through the entries in a range of keys in ascending order, or from both ends. A range
    /// that ends before it begins is empty.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (2, "two"), (3, "three")]);
    /// let map = map.pin();
    /// let keys: Vec<_> = map.range(2..=3).map(|entry| *entry.key()).collect();
    /// assert_eq!(keys, [2, 3]);
    /// ```
    pub fn range<Q, B>(&self, range: B) -> Range<'_, K, V, R, Q, B>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
    {
        Range::new(self.view(), range)
    }

    /// Removes the entries in a range of keys; says how many they were. Each removal is a step of
    /// its own.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, "one"), (2, "two"), (3, "three")]);
    /// let map = map.pin();
    /// assert_eq!(map.remove_range(2..), 2);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn remove_range<Q, B>(&self, range: B) -> usize
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
    {
        self.range(range).remove_where(|_, _| true)
    }

    /// Removes the entries for which `keep` says no. Each removal is atomic: `keep` has seen the
    /// very entry that is removed.
    ///
    /// # Panics
    /// If `keep` does; what it had refused until then is removed.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, 1), (2, 2)]);
    /// let map = map.pin();
    /// map.retain(|key, _| *key > 1);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.iter().range.remove_where(|key, value| !keep(key, value));
    }

    /// Removes all entries that were there when it began.
    ///
    /// ```
    /// let map = sexton::SkipMap::<_, _>::from([(1, 1), (2, 2)]);
    /// let map = map.pin();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// See [`SkipMap::len`].
    ///
    /// ```
    /// assert_eq!(sexton::SkipMap::<_, _>::from([(1, 1)]).pin().len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.structure().len()
    }

    /// See [`SkipMap::is_empty`].
    ///
    /// ```
    /// assert!(!sexton::SkipMap::<_, _>::from([(1, 1)]).pin().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.structure().is_empty()
    }
}
