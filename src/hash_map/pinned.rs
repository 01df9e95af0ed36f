//! The operations of a map under a guard. All of them are a walk of the list, and a CAS at its end.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use core::ptr::NonNull;

use super::buckets::entry_order;
use super::entry::{Entry, Node};
use super::list::{Cursor, Link, Place};
use super::{Compute, HashMap, Iter, Keys, Operation, TryInsertError, Values};
use crate::atomic::{AllocError, Owned};
use crate::domain::Reclaimer;
use crate::guard::{Guard, Pinned, RECLAIM_BUDGET, Ref, Shield};
use crate::scheme::Scheme;
use crate::sync::Backoff;

/// A walk that passed more nodes than this is a reason to look whether the table is full.
const LONG_WALK: usize = 4;

/// And after so many insertions by a group of threads it is looked in any case: entries that come
/// in descending order are all found at once.
const LOOK_EVERY: isize = 64;

fn value<'g, K, V, S: Scheme>(entry: Ref<'g, Entry<K, V>, S>) -> Ref<'g, V, S> {
    Ref::map(entry, |entry| &entry.value)
}

/// Covers a node that is not linked yet, so that it can be referred to once it is.
fn cover<'g, K, V, S: Scheme>(
    guard: &'g Guard<'g, S>,
    node: &Owned<Node<K, V>, S>,
) -> Shield<'g, Link, S> {
    let mut shield = guard.shield();
    // Announced before it is linked, so before anyone can retire it.
    shield.announce_if(Node::as_link(node), || true);
    shield
}

impl<'a, K, V, S, R, G> Pinned<'a, HashMap<K, V, S, R>, G>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    /// Walks to a key; says whether it is there.
    fn find<'g, Q>(&'g self, hash: u64, key: &Q) -> (Cursor<'g, R::Scheme>, bool)
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let guard = self.guard();
        let start = self.structure().buckets.start::<_, Node<K, V>>(guard, hash);
        let order = entry_order(hash);
        let mut found = false;
        let cursor = Cursor::walk::<Node<K, V>>(guard, start, |at, node| {
            let node_order = node.place().order;
            // SAFETY: what a walk stands on is covered, and this is a list of these entries.
            let entry = || unsafe { Node::<K, V>::covered(at) };
            found = node_order == order && entry().is_some_and(|entry| entry.key.borrow() == key);
            found || node_order > order
        });
        (cursor, found)
    }

    /// The entry that a shield covers.
    ///
    /// # Safety
    /// The shield covers an entry of this map.
    unsafe fn entry<'g>(shield: Shield<'g, Link, R::Scheme>) -> Ref<'g, Entry<K, V>, R::Scheme> {
        // SAFETY: the caller's.
        let entry = unsafe { shield.into_ref(|link| Node::entry(link)) };
        entry.expect("the shield covers an entry")
    }

    /// A key's entry, for whoever has the map to himself.
    pub(super) fn find_raw<Q>(&self, key: &Q) -> Option<NonNull<Entry<K, V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (cursor, found) = self.find(self.structure().hash(key), key);
        let link = NonNull::new(cursor.at.ptr().as_raw()).filter(|_| found)?;
        // SAFETY: an entry's node, with the provenance of the whole.
        Some(unsafe { Node::entry(link) })
    }

    /// Walks to the first entry behind a place.
    pub(super) fn seek(&self, after: Place) -> Option<Cursor<'_, R::Scheme>> {
        let guard = self.guard();
        // The order is the hash's bits backwards (but the last one, by which no bucket goes).
        let hash = after.order.reverse_bits();
        let start = self.structure().buckets.start::<_, Node<K, V>>(guard, hash);
        let cursor = Cursor::walk::<Node<K, V>>(guard, start, |_, node| {
            !node.is_sentinel() && node.place() > after
        });
        cursor.place().is_some().then_some(cursor)
    }

    /// What comes after each successful insertion: counting, and a larger table when it is full.
    fn inserted(&self, cursor: &Cursor<'_, R::Scheme>) {
        let map = self.structure();
        let before = map.count(1);
        if cursor.passed > LONG_WALK || before % LOOK_EVERY == 0 {
            let len = map.len();
            if len > map.capacity() {
                map.buckets.grow_for(len);
            }
        }
    }

    /// What comes after each successful removal.
    fn removed(&self) {
        self.structure().count(-1);
        self.guard().reclaim(RECLAIM_BUDGET);
    }

    /// The key's value.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(map.pin().get("a").as_deref(), Some(&1));
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Option<Ref<'_, V, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get_key_value(key).map(value)
    }

    /// The key's entry.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(*map.pin().get_key_value("a").unwrap().key(), "a");
    /// ```
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<Ref<'_, Entry<K, V>, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (cursor, found) = self.find(self.structure().hash(key), key);
        // SAFETY: found: it stopped at an entry of this map.
        found.then(|| unsafe { Self::entry(cursor.at) })
    }

    /// Whether the key is in the map.
    ///
    /// ```
    /// assert!(sexton::HashMap::<_, _>::from([("a", 1)]).pin().contains_key("a"));
    /// ```
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find(self.structure().hash(key), key).1
    }

    /// Inserts an entry, or replaces the key's in one atomic step; returns the value that was
    /// replaced.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_insert`](Self::try_insert).
    ///
    /// ```
    /// let map = sexton::HashMap::new();
    /// let map = map.pin();
    /// assert_eq!(map.insert("a", 1).as_deref(), None);
    /// assert_eq!(map.insert("a", 2).as_deref(), Some(&1));
    /// ```
    pub fn insert(&self, key: K, value: V) -> Option<Ref<'_, V, R::Scheme>> {
        let guard = self.guard();
        let hash = self.structure().hash(&key);
        let mut node = guard.owned(Node::new(entry_order(hash), key, value));
        let backoff = Backoff::new();
        loop {
            let (cursor, found) = self.find(hash, node.key());
            let attempt = if found {
                cursor.replace::<Node<K, V>, _>(guard, node, Node::link)
            } else {
                cursor.insert(node, Node::link)
            };
            match attempt {
                Ok(_) if found => {
                    // SAFETY: found: it stopped at an entry of this map.
                    let old = unsafe { Self::entry(cursor.at) };
                    guard.reclaim(RECLAIM_BUDGET);
                    return Some(self::value(old));
                }
                Ok(_) => {
                    self.inserted(&cursor);
                    return None;
                }
                Err(back) => node = back,
            }
            backoff.spin();
        }
    }

    /// Inserts an entry if the key is absent, and returns its value.
    ///
    /// # Errors
    /// If the key is present, or there is no memory for the entry; key and value come back.
    ///
    /// ```
    /// let map = sexton::HashMap::new();
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
        let hash = self.structure().hash(&key);
        let (cursor, found) = self.find(hash, &key);
        if found {
            // SAFETY: found: it stopped at an entry of this map.
            let current = self::value(unsafe { Self::entry(cursor.at) });
            return Err(TryInsertError::Occupied { current, key, value });
        }
        match self.guard().try_owned(Node::new(entry_order(hash), key, value)) {
            Ok(node) => {
                self.insert_absent(hash, node).map(self::value).map_err(|(current, node)| {
                    let Entry { key, value } = node.into_inner().into_entry();
                    TryInsertError::Occupied { current: self::value(current), key, value }
                })
            }
            Err(AllocError(node)) => {
                let Entry { key, value } = node.into_entry();
                Err(TryInsertError::NoMemory { key, value })
            }
        }
    }

    /// Links a node if its key is absent; else gives it back, with the entry that is present.
    #[expect(clippy::type_complexity, reason = "what is in, or what is in and what is not")]
    fn insert_absent(
        &self,
        hash: u64,
        mut node: Owned<Node<K, V>, R::Scheme>,
    ) -> Result<
        Ref<'_, Entry<K, V>, R::Scheme>,
        (Ref<'_, Entry<K, V>, R::Scheme>, Owned<Node<K, V>, R::Scheme>),
    > {
        let ours = cover(self.guard(), &node);
        let backoff = Backoff::new();
        loop {
            let (cursor, found) = self.find(hash, node.key());
            if found {
                // SAFETY: found: it stopped at an entry of this map.
                return Err((unsafe { Self::entry(cursor.at) }, node));
            }
            match cursor.insert(node, Node::link) {
                Ok(_) => {
                    self.inserted(&cursor);
                    // SAFETY: a node of this map.
                    return Ok(unsafe { Self::entry(ours) });
                }
                Err(back) => node = back,
            }
            backoff.spin();
        }
    }

    /// The key's value, which is inserted if the key is absent. Of several threads that find it
    /// absent, one wins, and all return its value; the others' are dropped.
    ///
    /// # Panics
    /// If `value` does; aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let map = sexton::HashMap::new();
    /// let map = map.pin();
    /// assert_eq!(*map.get_or_insert_with("a", || 1), 1);
    /// assert_eq!(*map.get_or_insert_with("a", || 2), 1);
    /// ```
    pub fn get_or_insert_with(&self, key: K, value: impl FnOnce() -> V) -> Ref<'_, V, R::Scheme> {
        let hash = self.structure().hash(&key);
        let (cursor, found) = self.find(hash, &key);
        if found {
            // SAFETY: found: it stopped at an entry of this map.
            return self::value(unsafe { Self::entry(cursor.at) });
        }
        drop(cursor);
        let node = self.guard().owned(Node::new(entry_order(hash), key, value()));
        match self.insert_absent(hash, node) {
            Ok(entry) | Err((entry, _)) => self::value(entry),
        }
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
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
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
    /// one atomic step. See [`Operation`] for an example.
    ///
    /// `decide` runs again when the entry was changed meanwhile, by another thread or by itself.
    ///
    /// # Panics
    /// If `decide` does (the entry stays); aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// use sexton::hash_map::{Compute, Operation};
    ///
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// let map = map.pin();
    /// let done = map.compute("a", |_| Operation::<_, ()>::Remove);
    /// assert!(matches!(done, Compute::Removed(_)));
    /// ```
    pub fn compute<T>(
        &self,
        mut key: K,
        mut decide: impl FnMut(Option<(&K, &V)>) -> Operation<V, T>,
    ) -> Compute<'_, K, V, T, R::Scheme> {
        let guard = self.guard();
        let hash = self.structure().hash(&key);
        let backoff = Backoff::new();
        loop {
            let (cursor, found) = self.find(hash, &key);
            // SAFETY: what a walk stops at is covered, and this is a list of these entries.
            let entry = if found { unsafe { Node::<K, V>::covered(&cursor.at) } } else { None };
            match decide(entry.map(|entry| (&entry.key, &entry.value))) {
                Operation::Abort(value) => return Compute::Aborted(value),
                Operation::Remove if !found => return Compute::Absent,
                Operation::Remove => {
                    if cursor.remove::<Node<K, V>>(guard) {
                        self.removed();
                        // SAFETY: found: it stopped at an entry of this map.
                        return Compute::Removed(unsafe { Self::entry(cursor.at) });
                    }
                }
                Operation::Insert(value) => {
                    let node = guard.owned(Node::new(entry_order(hash), key, value));
                    let ours = cover(guard, &node);
                    let attempt = if found {
                        cursor.replace::<Node<K, V>, _>(guard, node, Node::link)
                    } else {
                        cursor.insert(node, Node::link)
                    };
                    match attempt {
                        Ok(_) => {
                            // SAFETY: a node of this map.
                            let new = unsafe { Self::entry(ours) };
                            if !found {
                                self.inserted(&cursor);
                                return Compute::Inserted(new);
                            }
                            // SAFETY: found: it stopped at an entry of this map.
                            let old = unsafe { Self::entry(cursor.at) };
                            guard.reclaim(RECLAIM_BUDGET);
                            return Compute::Updated { old, new };
                        }
                        Err(node) => key = node.into_inner().into_entry().key,
                    }
                }
            }
            backoff.spin();
        }
    }

    /// Removes the key's entry and returns its value.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(map.pin().remove("a").as_deref(), Some(&1));
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> Option<Ref<'_, V, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.remove_if(key, |_, _| true)
    }

    /// Removes the key's entry and returns it.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(*map.pin().remove_entry("a").unwrap().key(), "a");
    /// ```
    pub fn remove_entry<Q>(&self, key: &Q) -> Option<Ref<'_, Entry<K, V>, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.remove_entry_if(key, |_, _| true)
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
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
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
        Q: Hash + Eq + ?Sized,
    {
        self.remove_entry_if(key, condition).map(value)
    }

    fn remove_entry_if<Q>(
        &self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<Ref<'_, Entry<K, V>, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.structure().hash(key);
        let backoff = Backoff::new();
        loop {
            let (cursor, found) = self.find(hash, key);
            // SAFETY: what a walk stops at is covered, and this is a list of these entries.
            let entry = unsafe { Node::<K, V>::covered(&cursor.at) }.filter(|_| found)?;
            if !condition(&entry.key, &entry.value) {
                return None;
            }
            if cursor.remove::<Node<K, V>>(self.guard()) {
                self.removed();
                // SAFETY: found: it stopped at an entry of this map.
                return Some(unsafe { Self::entry(cursor.at) });
            }
            backoff.spin();
        }
    }

    /// Goes through all entries. See [`HashMap`] for what is seen of changes meanwhile.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([(1, 10), (2, 20)]);
    /// let sum: i32 = map.pin().iter().map(|entry| entry.key() + entry.value()).sum();
    /// assert_eq!(sum, 33);
    /// ```
    pub fn iter(&self) -> Iter<'_, 'a, K, V, S, R, G> {
        Iter::new(self)
    }

    /// Goes through all keys. See [`HashMap`] for what is seen of changes meanwhile.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([(1, 10)]);
    /// assert_eq!(map.pin().keys().map(|key| *key).collect::<Vec<_>>(), [1]);
    /// ```
    pub fn keys(&self) -> Keys<'_, 'a, K, V, S, R, G> {
        Keys::new(self.iter())
    }

    /// Goes through all values. See [`HashMap`] for what is seen of changes meanwhile.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([(1, 10)]);
    /// assert_eq!(map.pin().values().map(|value| *value).collect::<Vec<_>>(), [10]);
    /// ```
    pub fn values(&self) -> Values<'_, 'a, K, V, S, R, G> {
        Values::new(self.iter())
    }

    /// Removes the entries for which `keep` says no. Each removal is atomic: `keep` has seen the
    /// very entry that is removed, and runs again when it was changed meanwhile.
    ///
    /// # Panics
    /// If `keep` does; what it had refused until then is removed.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([(1, 1), (2, 2)]);
    /// let map = map.pin();
    /// map.retain(|key, _| *key > 1);
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        let mut after = Place { order: 0, serial: 0 };
        while let Some(cursor) = self.seek(after) {
            let Some(place) = cursor.place() else { return };
            // SAFETY: what a walk stops at is covered, and this is a list of these entries.
            let entry = unsafe { Node::<K, V>::covered(&cursor.at) };
            let kept = entry.is_none_or(|entry| keep(&entry.key, &entry.value));
            let removed = !kept && cursor.remove::<Node<K, V>>(self.guard());
            drop(cursor);
            if removed {
                self.removed();
            }
            if kept || removed {
                after = place;
            }
        }
    }

    /// Removes all entries that were there when it began.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([(1, 1), (2, 2)]);
    /// let map = map.pin();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// See [`HashMap::len`].
    ///
    /// ```
    /// assert_eq!(sexton::HashMap::<_, _>::from([(1, 1)]).pin().len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.structure().len()
    }

    /// See [`HashMap::is_empty`].
    ///
    /// ```
    /// assert!(!sexton::HashMap::<_, _>::from([(1, 1)]).pin().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.structure().is_empty()
    }
}
