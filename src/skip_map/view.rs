//! The operations of a map under a guard: a search, and a CAS at its end.
//!
//! # Invariants
//!
//! - **I1.** User code (`Ord`, closures) may panic: nothing is half changed then. What is linked is
//!   counted in before the next key is compared, what is marked is counted out; a tower that stays
//!   unfinished gives its levels back.
//! - **I2.** Who builds a tower covers the node from before it was linked.

use core::borrow::Borrow;
use core::cmp::Ordering as Order;
use core::ops::Bound;

use super::list::{self, Cover, Cursor};
use super::node::{Left, Loose, Node};
use super::{Compute, Operation, SkipMap, TryInsertError, height};
use crate::domain::Reclaimer;
use crate::guard::{Guard, RECLAIM_BUDGET, Ref};
use crate::hash_map::Entry;
use crate::scheme::Scheme;
use crate::sync::Backoff;

/// A map, and a guard of its domain.
pub(super) struct View<'g, K, V, R: Reclaimer> {
    map: &'g SkipMap<K, V, R>,
    guard: &'g Guard<'g, R::Scheme>,
}

impl<K, V, R: Reclaimer> Clone for View<'_, K, V, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V, R: Reclaimer> Copy for View<'_, K, V, R> {}

pub(super) type EntryRef<'g, K, V, R> = Ref<'g, Entry<K, V>, <R as Reclaimer>::Scheme>;
pub(super) type ValueRef<'g, V, R> = Ref<'g, V, <R as Reclaimer>::Scheme>;
pub(super) type CoverOf<'g, K, V, R> = Cover<'g, K, V, <R as Reclaimer>::Scheme>;
type CursorOf<'g, K, V, R> = Cursor<'g, K, V, <R as Reclaimer>::Scheme>;
type LooseOf<K, V, R> = Loose<K, V, <R as Reclaimer>::Scheme>;

pub(super) fn value<'g, K, V, S: Scheme>(entry: Ref<'g, Entry<K, V>, S>) -> Ref<'g, V, S> {
    Ref::map(entry, |entry| &entry.value)
}

/// The entry that a shield covers, which is not nothing.
pub(super) fn entry<'g, K, V, S: Scheme>(node: Cover<'g, K, V, S>) -> Ref<'g, Entry<K, V>, S> {
    // SAFETY: covered, a node of the map's domain; entries are only borrowed shared.
    let entry = unsafe {
        node.into_ref(|node| core::ptr::NonNull::new_unchecked(&raw mut (*node.as_ptr()).entry))
    };
    entry.expect("the shield covers an entry")
}

/// The entry that a shield covers; `None` if it covers nothing.
pub(super) fn peek<'s, K, V, S: Scheme>(node: &'s Cover<'_, K, V, S>) -> Option<&'s Entry<K, V>> {
    // SAFETY: as in `entry`.
    unsafe { node.as_ref() }.map(|node| &node.entry)
}

/// A tower that is being built. Dropped in a panic, it leaves the node where it is.
struct Building<'s, 'g, K, V, S: Scheme> {
    guard: &'g Guard<'g, S>,
    /// Covered, and linked at level 0.
    node: &'s Cover<'g, K, V, S>,
    height: usize,
    /// How many levels are linked.
    linked: usize,
}

impl<'s, 'g, K, V, S: Scheme> Building<'s, 'g, K, V, S> {
    /// Begins, right behind the CAS that has linked the node: from now on user code may panic (I1).
    fn new(guard: &'g Guard<'g, S>, node: &'s Cover<'g, K, V, S>) -> Self {
        // SAFETY: covered (I2).
        let height = unsafe { node.as_ref() }.map_or(1, Node::height);
        Self { guard, node, height, linked: 1 }
    }

    /// Ends, and says whether the node is to be unlinked.
    fn finish(self) -> bool {
        core::mem::ManuallyDrop::new(self).finish_now() == Left::ToUnlink
    }

    fn finish_now(&self) -> Left {
        // SAFETY: covered (I2).
        match unsafe { self.node.as_ref() } {
            // A tower of one level needs no building.
            Some(node) if self.height > 1 => {
                let left = node.finish(self.height - self.linked);
                // SAFETY: said of this node, to us.
                unsafe { list::retire_if(self.guard, left, self.node) };
                left
            }
            _ => Left::Other,
        }
    }
}

impl<K, V, S: Scheme> Drop for Building<'_, '_, K, V, S> {
    fn drop(&mut self) {
        self.finish_now();
    }
}

impl<'g, K, V, R: Reclaimer> View<'g, K, V, R> {
    pub(super) fn new(map: &'g SkipMap<K, V, R>, guard: &'g Guard<'g, R::Scheme>) -> Self {
        Self { map, guard }
    }

    pub(super) fn guard(self) -> &'g Guard<'g, R::Scheme> {
        self.guard
    }
}

impl<'g, K, V, R> View<'g, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    /// Searches for a key; says whether it is there.
    fn find<Q>(self, key: &Q) -> (CursorOf<'g, K, V, R>, bool)
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.map.list.search(self.guard, 0, |other| other.borrow().cmp(key))
    }

    /// A key's node, covered.
    pub(super) fn get<Q>(self, key: &Q) -> Option<CoverOf<'g, K, V, R>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let (cursor, found) = self.find(key);
        found.then_some(cursor.at)
    }

    /// The first node that is not below a bound.
    pub(super) fn seek<Q>(self, bound: Bound<&Q>) -> Option<CoverOf<'g, K, V, R>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let list = &self.map.list;
        let cursor = match bound {
            Bound::Unbounded => list.first(self.guard),
            Bound::Included(from) => self.find(from).0,
            Bound::Excluded(from) => {
                list.search(self.guard, 0, |key| up_to(key.borrow() <= from)).0
            }
        };
        (!cursor.at.ptr().is_null()).then_some(cursor.at)
    }

    /// The last node that is not above a bound.
    pub(super) fn seek_back<Q>(self, bound: Bound<&Q>) -> Option<CoverOf<'g, K, V, R>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let cursor = self.map.list.search(self.guard, 0, |key| match bound {
            Bound::Unbounded => Order::Less,
            Bound::Included(to) => up_to(key.borrow() <= to),
            Bound::Excluded(to) => up_to(key.borrow() < to),
        });
        let before = cursor.0.before;
        (!before.ptr().is_null()).then_some(before)
    }

    /// The node behind one that is, or was, in the map.
    pub(super) fn after(self, node: &CoverOf<'g, K, V, R>) -> Option<CoverOf<'g, K, V, R>> {
        if let Some(next) = list::next(self.guard, node) {
            return (!next.ptr().is_null()).then_some(next);
        }
        // It was removed, or the next one: there is a way around by the key.
        self.seek(Bound::Excluded(&peek(node)?.key))
    }

    /// Takes the node that was searched for, and that was removed, out of the index, and unlinks
    /// it.
    fn bury(self, cursor: &CursorOf<'g, K, V, R>) {
        // SAFETY: covered.
        if unsafe { cursor.at.as_ref() }.is_some_and(|node| node.height() == 1)
            && cursor.unlink_low()
        {
            return;
        }
        self.bury_node(&cursor.at);
    }

    /// The same for a node that was found otherwise.
    fn bury_node(self, node: &CoverOf<'g, K, V, R>) {
        // SAFETY: covered.
        let Some(covered) = (unsafe { node.as_ref() }) else { return };
        if covered.height() == 1 || covered.remove() == Left::ToUnlink {
            self.sweep(covered);
        }
    }

    /// Searches a key all the way down, so that no removed node is left there.
    fn sweep(self, node: &Node<K, V>) {
        let key = &node.entry.key;
        self.map.list.search(self.guard, 0, |other| up_to(other < key));
    }

    /// What comes after each successful removal. I1: it is counted first.
    fn removed(self, cursor: &CursorOf<'g, K, V, R>) {
        self.map.count(-1);
        self.bury(cursor);
        self.guard.reclaim(RECLAIM_BUDGET);
    }

    /// The same for a node that was found otherwise.
    fn removed_node(self, node: &CoverOf<'g, K, V, R>) {
        self.map.count(-1);
        self.bury_node(node);
        self.guard.reclaim(RECLAIM_BUDGET);
    }

    /// Links a new node, which is in the map, in the index.
    fn build(self, mut building: Building<'_, 'g, K, V, R::Scheme>) {
        // SAFETY: covered (I2).
        let Some(node) = (unsafe { building.node.as_ref() }) else { return };
        if building.height > 1 {
            self.map.list.raise(building.height);
        }
        while building.linked < building.height
            && self.build_level(building.node, &node.entry.key, building.linked)
        {
            building.linked += 1;
        }
        if building.finish() {
            self.sweep(node);
        }
    }

    /// False if the node was removed meanwhile.
    fn build_level(self, node: &CoverOf<'g, K, V, R>, key: &K, level: usize) -> bool {
        let backoff = Backoff::new();
        while list::is_live(node) {
            let (cursor, found) = self.map.list.search(self.guard, level, |other| other.cmp(key));
            // If the key is there, this is not its node any more (I4 of `list`).
            if found {
                return false;
            }
            // SAFETY: we build it, and cover it (I2).
            if unsafe { cursor.insert_above(node) } {
                return true;
            }
            backoff.spin();
        }
        false
    }

    /// Covers a node that is not linked yet, so that it can be referred to once it is.
    fn cover(self, node: &LooseOf<K, V, R>) -> CoverOf<'g, K, V, R> {
        let mut shield = self.guard.shield();
        // Announced before it is linked, so before anyone can retire it.
        shield.announce_if(node.as_ptr(), || true);
        shield
    }

    pub(super) fn insert(self, key: K, value: V) -> Option<EntryRef<'g, K, V, R>> {
        let mut node = Loose::new(self.guard, height::random(), key, value);
        let ours = self.cover(&node);
        let backoff = Backoff::new();
        loop {
            let (cursor, found) = self.find(node.key());
            let attempt = if found {
                list::replace(self.guard, &cursor.at, node)
            } else {
                cursor.insert(node)
            };
            match attempt {
                Ok(()) => return self.inserted(cursor, found, &ours),
                Err(back) => node = back,
            }
            backoff.spin();
        }
    }

    /// What comes after each successful insertion; returns what was replaced.
    fn inserted(
        self,
        cursor: CursorOf<'g, K, V, R>,
        replaced: bool,
        ours: &CoverOf<'g, K, V, R>,
    ) -> Option<EntryRef<'g, K, V, R>> {
        let building = Building::new(self.guard, ours);
        if !replaced {
            // I1.
            self.map.count(1);
            // A search of its own: it needs no more slots if this one has ended.
            drop(cursor);
            self.build(building);
            return None;
        }
        self.bury(&cursor);
        let old = cursor.into_at();
        self.build(building);
        self.guard.reclaim(RECLAIM_BUDGET);
        Some(entry(old))
    }

    pub(super) fn try_insert(
        self,
        key: K,
        value: V,
    ) -> Result<ValueRef<'g, V, R>, TryInsertError<'g, K, V, R::Scheme>> {
        if let Some(found) = self.get(&key) {
            let current = self::value(entry(found));
            return Err(TryInsertError::Occupied { current, key, value });
        }
        match Loose::try_new(self.guard, height::random(), key, value) {
            Ok(node) => self.insert_absent(node).map(self::value).map_err(|(current, node)| {
                let Entry { key, value } = node.into_entry();
                TryInsertError::Occupied { current: self::value(current), key, value }
            }),
            Err(Entry { key, value }) => Err(TryInsertError::NoMemory { key, value }),
        }
    }

    /// Links a node if its key is absent; else gives it back, with the entry that is present.
    #[expect(clippy::type_complexity, reason = "what is in, or what is in and what is not")]
    fn insert_absent(
        self,
        mut node: LooseOf<K, V, R>,
    ) -> Result<EntryRef<'g, K, V, R>, (EntryRef<'g, K, V, R>, LooseOf<K, V, R>)> {
        let ours = self.cover(&node);
        let backoff = Backoff::new();
        loop {
            let (cursor, found) = self.find(node.key());
            if found {
                return Err((entry(cursor.at), node));
            }
            match cursor.insert(node) {
                Ok(()) => {
                    self.inserted(cursor, false, &ours);
                    return Ok(entry(ours));
                }
                Err(back) => node = back,
            }
            backoff.spin();
        }
    }

    pub(super) fn get_or_insert_with(
        self,
        key: K,
        value: impl FnOnce() -> V,
    ) -> EntryRef<'g, K, V, R> {
        if let Some(found) = self.get(&key) {
            return entry(found);
        }
        let node = Loose::new(self.guard, height::random(), key, value());
        match self.insert_absent(node) {
            Ok(entry) | Err((entry, _)) => entry,
        }
    }

    pub(super) fn compute<T>(
        self,
        mut key: K,
        mut decide: impl FnMut(Option<(&K, &V)>) -> Operation<V, T>,
    ) -> Compute<'g, K, V, T, R::Scheme> {
        let backoff = Backoff::new();
        loop {
            let (cursor, found) = self.find(&key);
            let present = peek(&cursor.at).filter(|_| found);
            match decide(present.map(|entry| (&entry.key, &entry.value))) {
                Operation::Abort(value) => return Compute::Aborted(value),
                Operation::Remove if !found => return Compute::Absent,
                Operation::Remove => {
                    if list::remove(self.guard, &cursor.at) {
                        self.removed(&cursor);
                        return Compute::Removed(entry(cursor.at));
                    }
                }
                Operation::Insert(value) => {
                    let node = Loose::new(self.guard, height::random(), key, value);
                    let ours = self.cover(&node);
                    let attempt = if found {
                        list::replace(self.guard, &cursor.at, node)
                    } else {
                        cursor.insert(node)
                    };
                    match attempt {
                        Ok(()) => {
                            return match self.inserted(cursor, found, &ours) {
                                Some(old) => Compute::Updated { old, new: entry(ours) },
                                None => Compute::Inserted(entry(ours)),
                            };
                        }
                        Err(node) => key = node.into_entry().key,
                    }
                }
            }
            backoff.spin();
        }
    }

    pub(super) fn remove_if<Q>(
        self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<EntryRef<'g, K, V, R>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let backoff = Backoff::new();
        loop {
            let (cursor, found) = self.find(key);
            let present = peek(&cursor.at).filter(|_| found)?;
            if !condition(&present.key, &present.value) {
                return None;
            }
            if list::remove(self.guard, &cursor.at) {
                self.removed(&cursor);
                return Some(entry(cursor.at));
            }
            backoff.spin();
        }
    }

    /// Removes the very node that is covered; false if another thread did.
    pub(super) fn remove_node(self, node: &CoverOf<'g, K, V, R>) -> bool {
        let removed = list::remove(self.guard, node);
        if removed {
            self.removed_node(node);
        }
        removed
    }

    pub(super) fn pop_first(self) -> Option<EntryRef<'g, K, V, R>> {
        let backoff = Backoff::new();
        loop {
            let cursor = self.map.list.first(self.guard);
            if cursor.at.ptr().is_null() {
                return None;
            }
            if list::remove(self.guard, &cursor.at) {
                self.removed(&cursor);
                return Some(entry(cursor.at));
            }
            backoff.spin();
        }
    }

    pub(super) fn pop_last(self) -> Option<EntryRef<'g, K, V, R>> {
        let backoff = Backoff::new();
        loop {
            let last = self.seek_back::<K>(Bound::Unbounded)?;
            if list::remove_last(&last) {
                self.removed_node(&last);
                return Some(entry(last));
            }
            backoff.spin();
        }
    }
}

/// For a search that is to pass all that are `below`, and no others.
fn up_to(below: bool) -> Order {
    if below { Order::Less } else { Order::Greater }
}
