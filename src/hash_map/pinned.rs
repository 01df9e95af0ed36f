//! The operations of a map under a guard. All of them are a search, and a CAS at its end.

use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use core::ptr::{self, NonNull};

use super::entry::{Entry, Node};
use super::scan::Group;
use super::table::Shortage;
use super::tables::{NodeShield, Refusal, Spot};
use super::{Compute, HashMap, Iter, Keys, Operation, TryInsertError, Values};
use crate::atomic::{AllocError, Owned};
use crate::domain::Reclaimer;
use crate::guard::{Guard, Pinned, RECLAIM_BUDGET, Ref};
use crate::scheme::Scheme;
use crate::turn::Turn;

fn value<'g, K, V, S: Scheme>(entry: Ref<'g, Entry<K, V>, S>) -> Ref<'g, V, S> {
    Ref::map(entry, |entry| &entry.value)
}

/// Covers a node that is not shared yet, so that it can be referred to once it is.
fn cover<'g, K, V, S: Scheme>(
    guard: &'g Guard<'g, S>,
    node: &Owned<Node<K, V>, S>,
) -> NodeShield<'g, K, V, S> {
    let mut shield = guard.shield();
    // Announced before it is put in, so before anyone can retire it.
    shield.announce_if(node.as_ptr(), || true);
    shield
}

/// The entry that a shield covers.
///
/// # Safety
/// The shield covers an entry of a map, or one that was taken out since.
#[inline]
pub(super) unsafe fn entry<'g, K, V, S: Scheme>(
    shield: NodeShield<'g, K, V, S>,
) -> Ref<'g, Entry<K, V>, S> {
    // SAFETY: the caller's.
    let entry = unsafe { shield.into_ref(|node| Node::entry(node)) };
    entry.expect("the shield covers an entry")
}

type Absent<'g, K, V, S> = (Ref<'g, Entry<K, V>, S>, Owned<Node<K, V>, S>);

/// Why a new entry is not in: there is one already, or no slot for it. It comes back.
enum NotIn<'g, K, V, S: Scheme> {
    Occupied(Absent<'g, K, V, S>),
    Shortage(Owned<Node<K, V>, S>, Shortage),
}

impl<'a, K, V, S, R, G> Pinned<'a, HashMap<K, V, S, R>, G>
where
    K: Hash + Eq + Send + 'static,
    V: Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    /// Searches for a key, to change its entry.
    fn locate<Q>(&self, hash: u64, key: &Q) -> Option<Spot<'_, K, V, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let is = |node: &Node<K, V>| node.entry.key.borrow() == key;
        self.structure().tables.locate(self.guard(), hash, is)
    }

    /// Searches for a key, to look at its entry.
    #[inline]
    fn find<Q>(&self, key: &Q) -> Option<NodeShield<'_, K, V, R::Scheme>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let map = self.structure();
        map.tables.find(self.guard(), map.hash(key), |node| node.entry.key.borrow() == key)
    }

    /// A key's entry, for whoever has the map to himself.
    pub(super) fn find_raw<Q>(&self, key: &Q) -> Option<NonNull<Entry<K, V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let node = NonNull::new(self.find(key)?.ptr().as_raw())?;
        // SAFETY: a node, with the provenance of the whole.
        Some(unsafe { Node::entry(node) })
    }

    /// The entries of the least hash from this one on.
    pub(super) fn least(&self, from: u64) -> Option<Group<'_, K, V, R::Scheme>> {
        self.structure().tables.least(self.guard(), from)
    }

    /// Some operations retire, and free a little of what was retired, at their end.
    fn reclaim(&self) {
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
        // SAFETY: found: it covers an entry of this map.
        self.find(key).map(|found| unsafe { entry(found) })
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
        self.find(key).is_some()
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
        let (guard, tables) = (self.guard(), &self.structure().tables);
        let hash = self.structure().hash(&key);
        tables.approach(guard, hash);
        let mut node = guard.owned(Node::new(hash, key, value));
        let mut turn = Turn::new();
        loop {
            let spot = self.locate(hash, &node.entry.key);
            node = match spot {
                Some(spot) if spot.is_found() => match tables.replace(guard, &spot, node) {
                    Ok(()) => {
                        // SAFETY: found: it covers an entry that was in this map.
                        let old = unsafe { entry(spot.entry) };
                        self.reclaim();
                        return Some(self::value(old));
                    }
                    Err(back) => back,
                },
                spot => match tables.insert(guard, spot.as_ref(), node) {
                    Ok(()) => return None,
                    Err(Refusal::Again(back)) => back,
                    Err(Refusal::Shortage(back, shortage)) => {
                        drop(back);
                        shortage.fail();
                    }
                },
            };
            turn.rest();
        }
    }

    /// Inserts an entry if the key is absent, and returns its value.
    ///
    /// # Errors
    /// If the key is present; or there is no memory for the entry, or no slot for it and no table with
    /// more of them (both are [`NoMemory`](TryInsertError::NoMemory)). Key and value come back.
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
        if let Some(current) = self.get(&key) {
            return Err(TryInsertError::Occupied { current, key, value });
        }
        let node = match self.guard().try_owned(Node::new(hash, key, value)) {
            Ok(node) => node,
            Err(AllocError(node)) => {
                let Entry { key, value } = node.entry;
                return Err(TryInsertError::NoMemory { key, value });
            }
        };
        self.insert_absent(node).map(self::value).map_err(|not_in| match not_in {
            NotIn::Occupied((current, node)) => {
                let Entry { key, value } = node.into_inner().entry;
                TryInsertError::Occupied { current: self::value(current), key, value }
            }
            NotIn::Shortage(node, _) => {
                let Entry { key, value } = node.into_inner().entry;
                TryInsertError::NoMemory { key, value }
            }
        })
    }

    /// Puts an entry in if its key is absent.
    #[expect(clippy::type_complexity, reason = "a reference, or why there is none")]
    fn insert_absent(
        &self,
        mut node: Owned<Node<K, V>, R::Scheme>,
    ) -> Result<Ref<'_, Entry<K, V>, R::Scheme>, NotIn<'_, K, V, R::Scheme>> {
        let (guard, hash) = (self.guard(), node.hash);
        let ours = cover(guard, &node);
        let mut turn = Turn::new();
        loop {
            let spot = match self.locate(hash, &node.entry.key) {
                Some(spot) if spot.is_found() => {
                    // SAFETY: found: it covers an entry of this map.
                    return Err(NotIn::Occupied((unsafe { entry(spot.entry) }, node)));
                }
                spot => spot,
            };
            match self.structure().tables.insert(guard, spot.as_ref(), node) {
                // SAFETY: an entry of this map now.
                Ok(()) => return Ok(unsafe { entry(ours) }),
                Err(Refusal::Again(back)) => node = back,
                Err(Refusal::Shortage(back, shortage)) => {
                    return Err(NotIn::Shortage(back, shortage));
                }
            }
            turn.rest();
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
        if let Some(present) = self.get(&key) {
            return present;
        }
        let hash = self.structure().hash(&key);
        let node = self.guard().owned(Node::new(hash, key, value()));
        match self.insert_absent(node) {
            Ok(entry) | Err(NotIn::Occupied((entry, _))) => self::value(entry),
            Err(NotIn::Shortage(node, shortage)) => {
                drop(node);
                shortage.fail();
            }
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
        let (guard, tables) = (self.guard(), &self.structure().tables);
        let hash = self.structure().hash(&key);
        let mut turn = Turn::new();
        loop {
            let spot = self.locate(hash, &key);
            let found = spot.as_ref().and_then(Spot::node).map(|node| &node.entry);
            match (decide(found.map(|entry| (&entry.key, &entry.value))), spot) {
                (Operation::Abort(value), _) => return Compute::Aborted(value),
                (Operation::Remove, Some(spot)) if spot.is_found() => {
                    if tables.remove(guard, &spot) {
                        self.reclaim();
                        // SAFETY: found: it covers an entry that was in this map.
                        return Compute::Removed(unsafe { entry(spot.entry) });
                    }
                }
                (Operation::Remove, _) => return Compute::Absent,
                (Operation::Insert(value), spot) => {
                    let node = guard.owned(Node::new(hash, key, value));
                    let ours = cover(guard, &node);
                    let back = match spot {
                        Some(spot) if spot.is_found() => match tables.replace(guard, &spot, node) {
                            Ok(()) => {
                                self.reclaim();
                                // SAFETY: entries of this map, found and put in.
                                let (old, new) = unsafe { (entry(spot.entry), entry(ours)) };
                                return Compute::Updated { old, new };
                            }
                            Err(back) => back,
                        },
                        spot => match tables.insert(guard, spot.as_ref(), node) {
                            // SAFETY: an entry of this map now.
                            Ok(()) => return Compute::Inserted(unsafe { entry(ours) }),
                            Err(Refusal::Again(back)) => back,
                            Err(Refusal::Shortage(back, shortage)) => {
                                drop(back);
                                shortage.fail();
                            }
                        },
                    };
                    key = back.into_inner().entry.key;
                }
            }
            turn.rest();
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
        self.remove_where(hash, |node| node.entry.key.borrow() == key, &mut condition)
    }

    /// Removes an entry of this hash for which `is` says so, if `condition` says so, too.
    fn remove_where(
        &self,
        hash: u64,
        is: impl Fn(&Node<K, V>) -> bool,
        condition: &mut impl FnMut(&K, &V) -> bool,
    ) -> Option<Ref<'_, Entry<K, V>, R::Scheme>> {
        let (guard, tables) = (self.guard(), &self.structure().tables);
        let mut turn = Turn::new();
        loop {
            let spot = tables.locate(guard, hash, &is)?;
            let found = &spot.node()?.entry;
            if !condition(&found.key, &found.value) {
                return None;
            }
            if tables.remove(guard, &spot) {
                self.reclaim();
                // SAFETY: found: it covers an entry that was in this map.
                return Some(unsafe { entry(spot.entry) });
            }
            turn.rest();
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
        let mut next = Some(0);
        while let Some(Group { hash, first, more }) = next.and_then(|from| self.least(from)) {
            for shield in [first].into_iter().chain(more) {
                // SAFETY: it covers an entry of this map, or one that was taken out since.
                let seen = unsafe { entry(shield) };
                // The entry itself, or what has replaced it.
                let is = |node: &Node<K, V>| {
                    ptr::eq(&raw const node.entry, &raw const *seen) || node.entry.key == seen.key
                };
                self.remove_where(hash, is, &mut |key, value| !keep(key, value));
            }
            next = hash.checked_add(1);
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
