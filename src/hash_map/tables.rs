//! The tables of a map, and the operations on a key: which table it is worked on in.
//!
//! What comes from where to where, and why nothing is missed, `migrate` says; here is what is done. All
//! operations of a writer are a search that ends at a [`Spot`], and one CAS on its slot.

use core::ops::Deref;

use super::entry::Node;
use super::table::{Admission, End, MIN_SLOTS, Search, Shortage, Table, capacity_of, slots_for};
use super::upkeep::{After, LONG_PATH, LOOK_EVERY, UNSURE};
use super::word::{Mark, Slot, Word};
use crate::atomic::{Atomic, Owned, Ptr};
use crate::guard::{Guard, Shield};
use crate::prefetch::{PREFETCHES, prefetch};
use crate::scheme::Scheme;
use crate::sharded::Sharded;
use crate::sync::Ordering;
use crate::sync::counter::{self, AtomicUsize};

/// The tables of a map: the root, and what hangs on it.
pub(super) struct Tables<K, V> {
    pub(super) root: Atomic<Table<K, V>>,
    pub(super) changes: Box<Sharded<Changes>>,
}

/// What a group of threads has done, all in all; wrapping.
#[derive(Default)]
pub(super) struct Changes {
    /// How many entries it has put in where there was none.
    pub(super) inserted: AtomicUsize,
    /// How many it has taken out.
    pub(super) removed: AtomicUsize,
}

pub(super) type NodeShield<'g, K, V, S> = Shield<'g, Node<K, V>, S>;

/// A table that is covered (M7).
pub(super) struct Held<'g, K, V, S: Scheme>(Shield<'g, Table<K, V>, S>);

impl<K, V, S: Scheme> Held<'_, K, V, S> {
    pub(super) fn ptr(&self) -> Ptr<Table<K, V>> {
        self.0.ptr().with_tag(0)
    }
}

impl<K, V, S: Scheme> Deref for Held<'_, K, V, S> {
    type Target = Table<K, V>;

    #[inline]
    fn deref(&self) -> &Table<K, V> {
        // SAFETY: M7: it is covered, and not null (`root`, `next`); a table of this map, of this domain.
        unsafe { self.0.as_ref().unwrap_unchecked() }
    }
}

/// Where a writer has found its key, or where it would come.
pub(super) struct Spot<'g, K, V, S: Scheme> {
    pub(super) table: Held<'g, K, V, S>,
    /// Whether entries still come into it from the root.
    pub(super) young: bool,
    end: End,
    at: usize,
    word: Word<Node<K, V>>,
    passed: usize,
    /// The entry, if it was found.
    pub(super) entry: NodeShield<'g, K, V, S>,
}

/// Why an entry was not put in. It comes back.
pub(super) enum Refusal<K, V, S: Scheme> {
    /// Another thread got in between: look again.
    Again(Owned<Node<K, V>, S>),
    /// There is no slot, and no memory for more of them.
    Shortage(Owned<Node<K, V>, S>, Shortage),
}

impl<'g, K, V, S: Scheme> Spot<'g, K, V, S> {
    /// Where a search has ended.
    #[inline]
    fn new(
        table: Held<'g, K, V, S>,
        young: bool,
        search: Search<Node<K, V>>,
        entry: NodeShield<'g, K, V, S>,
    ) -> Self {
        let Search { end, at, word, passed, .. } = search;
        Self { table, young, end, at, word, passed, entry }
    }

    /// The same spot; `None` if one has to look again.
    fn unless_other(self) -> Option<Self> {
        if self.end == End::Other {
            // T3. Whether it was done here or not: look again.
            self.word.change(self.slot(), self.word.with_more());
            return None;
        }
        Some(self)
    }

    pub(super) fn is_found(&self) -> bool {
        self.end == End::Found
    }

    fn slot(&self) -> &Slot<Node<K, V>> {
        self.table.slot(self.at)
    }

    /// CASes an entry of the key into the slot. It comes back if that was changed meanwhile.
    fn put(&self, node: Owned<Node<K, V>, S>) -> Result<(), Owned<Node<K, V>, S>> {
        let mark = Mark::of(node.hash);
        let node = node.into_ptr();
        if self.word.change(self.slot(), self.word.replaced(node, mark)) {
            return Ok(());
        }
        // SAFETY: it was not shared.
        Err(unsafe { Owned::from_ptr(node) })
    }

    pub(super) fn node(&self) -> Option<&Node<K, V>> {
        // SAFETY: covered by a search (M6); nodes of this map.
        if self.is_found() { unsafe { self.entry.as_ref() } } else { None }
    }
}

impl<K, V> Tables<K, V> {
    /// Tables for so many entries.
    ///
    /// # Panics
    /// As std's collections do.
    pub(super) fn new<S: Scheme>(guard: &Guard<'_, S>, entries: usize) -> Self {
        let tables = Self { root: Atomic::null(), changes: Box::default() };
        if entries > 0 {
            let slots = slots_for(entries).unwrap_or_else(|| Shortage::Overflow.fail());
            let table = Table::new(guard, slots).unwrap_or_else(|shortage| shortage.fail());
            tables.root.store(table.into_ptr(), Ordering::Relaxed);
        }
        tables
    }

    pub(super) fn len(&self) -> usize {
        let sum = self.changes.iter().fold(0_usize, |sum, changes| {
            let removed = changes.removed.load(counter::Relaxed);
            sum.wrapping_add(changes.inserted.load(counter::Relaxed)).wrapping_sub(removed)
        });
        // One thread's removal may be counted before the insertion by another.
        if sum > usize::MAX / 2 { 0 } else { sum }
    }

    fn count_inserted(&self) {
        self.changes.mine().inserted.fetch_add(1, counter::Relaxed);
    }

    /// Returns what this group of threads had removed before.
    pub(super) fn count_removed(&self) -> usize {
        self.changes.mine().removed.fetch_add(1, counter::Relaxed)
    }

    /// How many entries fit into the newest table.
    pub(super) fn capacity<S: Scheme>(&self, guard: &Guard<'_, S>) -> usize {
        loop {
            let Some(root) = self.root(guard) else { return 0 };
            if !root.has_next() {
                return capacity_of(root.len());
            }
            if let Some(next) = self.next(guard, &root) {
                return capacity_of(next.len());
            }
        }
    }

    /// The root table.
    #[inline]
    pub(super) fn root<'g, S: Scheme>(&self, guard: &'g Guard<'g, S>) -> Option<Held<'g, K, V, S>> {
        self.root_by(guard.shield())
    }

    /// The same, by a shield that was there before: so the compiler sees which slots an operation has.
    #[inline]
    fn root_by<'g, S: Scheme>(
        &self,
        mut root: Shield<'g, Table<K, V>, S>,
    ) -> Option<Held<'g, K, V, S>> {
        // M7.
        while root.protect(&self.root).is_null() {
            // SeqCst: that there is no table is an answer: see the head of `word`.
            if self.root.load(Ordering::SeqCst).is_null() {
                return None;
            }
        }
        Some(Held(root))
    }

    /// The next table; `None` if there is none any more, or the root is another one: then begin
    /// again.
    #[cold]
    pub(super) fn next<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        root: &Held<'_, K, V, S>,
    ) -> Option<Held<'g, K, V, S>> {
        let mut next = guard.shield();
        let found = next.protect(&root.next);
        // Acquire: not before the load that found `next`, which is one. M7.
        if found.is_null() || self.root.load(Ordering::Acquire) != root.ptr() {
            return None;
        }
        let next = Held(next);
        let is_sure = found.tag() != UNSURE || Self::settle(guard, root, &next);
        is_sure.then_some(next)
    }

    /// Has the slot fetched where a search will begin, while the caller does something else.
    #[inline]
    pub(super) fn approach<S: Scheme>(&self, guard: &Guard<'_, S>, hash: u64) {
        if !PREFETCHES {
            return;
        }
        if let Some(root) = self.root(guard) {
            prefetch(root.slot(root.home(hash)));
        }
    }

    /// Looks a key up: its entry, covered.
    #[inline]
    pub(super) fn find<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        hash: u64,
        is: impl Fn(&Node<K, V>) -> bool,
    ) -> Option<NodeShield<'g, K, V, S>> {
        let (root, mut entry) = (guard.shield(), guard.shield());
        let root = self.root_by(root)?;
        match root.glance(hash, &mut entry, &is) {
            Some(search) => (search.end == End::Found).then_some(entry),
            None => self.find_closely(guard, root, entry, hash, is),
        }
    }

    /// The same where not all is plain.
    #[cold]
    #[inline(never)]
    fn find_closely<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        mut root: Held<'g, K, V, S>,
        mut entry: NodeShield<'g, K, V, S>,
        hash: u64,
        is: impl Fn(&Node<K, V>) -> bool,
    ) -> Option<NodeShield<'g, K, V, S>> {
        loop {
            let search = root.search(hash, &mut entry, &is);
            match search.end {
                End::Found => return Some(entry),
                _ if search.met_frozen => {}
                _ => return None,
            }
            if let Some(next) = self.next(guard, &root) {
                let search = next.search(hash, &mut entry, &is);
                match search.end {
                    End::Found => return Some(entry),
                    // M5.
                    _ if search.met_frozen => {}
                    _ => return None,
                }
            }
            root = self.root(guard)?;
        }
    }

    /// Looks a key up to change it: where it is, or where it would come. `None` if there is no table.
    #[inline]
    pub(super) fn locate<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        hash: u64,
        is: impl Fn(&Node<K, V>) -> bool,
    ) -> Option<Spot<'g, K, V, S>> {
        let root = self.root(guard)?;
        let mut entry = guard.shield();
        match root.glance(hash, &mut entry, &is) {
            // What `locate_closely` asks for, where nothing that was met is frozen.
            Some(search) if search.end != End::Empty || !root.has_next() => {
                Some(Spot::new(root, false, search, entry))
            }
            _ => self.locate_closely(guard, root, entry, hash, is),
        }
    }

    /// The same where not all is plain.
    #[cold]
    #[inline(never)]
    fn locate_closely<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        mut root: Held<'g, K, V, S>,
        mut entry: NodeShield<'g, K, V, S>,
        hash: u64,
        is: impl Fn(&Node<K, V>) -> bool,
    ) -> Option<Spot<'g, K, V, S>> {
        loop {
            let search = root.search(hash, &mut entry, &is);
            let stays = match search.end {
                End::Found => !search.word.is_frozen(),
                // It would stay in its slot, which is not final.
                End::Tomb => !search.met_frozen,
                End::Other | End::Empty | End::Round => !search.met_frozen && !root.has_next(),
            };
            let spot = if stays {
                Spot::new(root, false, search, entry).unless_other()
            } else {
                self.locate_beyond(guard, &root, entry, hash, &is)
            };
            if spot.is_some() {
                return spot;
            }
            root = self.root(guard)?;
            entry = guard.shield();
        }
    }

    /// The same in the next table, after the path in the root was migrated. `None`: begin again.
    #[cold]
    #[inline(never)]
    fn locate_beyond<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        root: &Held<'_, K, V, S>,
        mut entry: NodeShield<'g, K, V, S>,
        hash: u64,
        is: impl Fn(&Node<K, V>) -> bool,
    ) -> Option<Spot<'g, K, V, S>> {
        let next = self.next(guard, root)?;
        prefetch(next.slot(next.home(hash)));
        root.migrate_path(guard, &next, hash);
        let search = next.search(hash, &mut entry, &is);
        // M5.
        if search.met_frozen { None } else { Spot::new(next, true, search, entry).unless_other() }
    }

    /// Puts an entry of a new key where it was not found. Gives it back if that fails.
    pub(super) fn insert<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        spot: Option<&Spot<'_, K, V, S>>,
        node: Owned<Node<K, V>, S>,
    ) -> Result<(), Refusal<K, V, S>> {
        let Some(spot) = spot else {
            return Err(self.refuse(node, self.start(guard, None, MIN_SLOTS)));
        };
        match spot.end {
            End::Empty => self.take_empty(guard, spot, node),
            End::Tomb => self.take_tomb(guard, spot, node),
            // (Of these only the last one comes here.)
            End::Found | End::Other | End::Round => Err(self.refuse(node, self.widen(guard, spot))),
        }
    }

    /// T3: puts an entry into the empty slot at the end of its path.
    fn take_empty<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        spot: &Spot<'_, K, V, S>,
        node: Owned<Node<K, V>, S>,
    ) -> Result<(), Refusal<K, V, S>> {
        let table = &spot.table;
        let (shard, before) = match table.admit(spot.young) {
            Admission::Granted { shard, before } => (shard, before),
            Admission::Closed => return Err(Refusal::Again(node)),
            Admission::Later => {
                self.complete(guard);
                return Err(Refusal::Again(node));
            }
        };
        if let Err(back) = spot.put(node) {
            table.dismiss(shard);
            return Err(Refusal::Again(back));
        }
        self.count_inserted();
        if spot.young || table.is_time_to_look(before) || spot.passed > LONG_PATH {
            self.look_after(guard, After::Insertion { passed: spot.passed });
        }
        Ok(())
    }

    /// T3: puts an entry into the tombstone of its mark.
    fn take_tomb<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        spot: &Spot<'_, K, V, S>,
        node: Owned<Node<K, V>, S>,
    ) -> Result<(), Refusal<K, V, S>> {
        spot.put(node).map_err(Refusal::Again)?;
        self.count_inserted();
        self.help_on(guard, spot);
        Ok(())
    }

    fn refuse<S: Scheme>(
        &self,
        node: Owned<Node<K, V>, S>,
        outcome: Result<(), Shortage>,
    ) -> Refusal<K, V, S> {
        match outcome {
            Ok(()) => Refusal::Again(node),
            Err(shortage) => Refusal::Shortage(node, shortage),
        }
    }

    /// Puts an entry in the place of the one that was found, in one step. Gives it back if that was
    /// changed meanwhile.
    pub(super) fn replace<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        spot: &Spot<'_, K, V, S>,
        node: Owned<Node<K, V>, S>,
    ) -> Result<(), Owned<Node<K, V>, S>> {
        spot.put(node)?;
        // SAFETY: M6: we have taken it out.
        unsafe { guard.retire(spot.word.node()) };
        self.help_on(guard, spot);
        Ok(())
    }

    /// Removes the entry that was found. False if it was changed meanwhile.
    pub(super) fn remove<S: Scheme>(&self, guard: &Guard<'_, S>, spot: &Spot<'_, K, V, S>) -> bool {
        let table = &spot.table;
        let Some(node) = spot.node() else { return false };
        if !spot.word.change(spot.slot(), spot.word.removed(Mark::of(node.hash))) {
            return false;
        }
        // SAFETY: M6: we have taken it out.
        unsafe { guard.retire(spot.word.node()) };
        let before = self.count_removed();
        let is_time = before % LOOK_EVERY == 0 && table.is_time_to_look(before);
        if spot.young || table.has_next() || is_time {
            self.look_after(guard, After::Removal);
        }
        true
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use core::sync::atomic::AtomicBool;

    use super::{Ordering, Word};
    use crate::{Epoch, HashMap, Reclaimer};

    /// As when as many keys of one mark have come and gone as there are slots.
    fn use_up(map: &HashMap<u64, u64>) {
        let guard = Epoch.pin();
        let root = map.tables.root(&guard).unwrap();
        root.slots().iter().for_each(|slot| Word::SPENT.store_exclusive(slot));
    }

    /// M4: what it looks for may have gone there.
    #[test]
    fn who_goes_once_around_looks_in_the_next_table() {
        let map = HashMap::<u64, u64>::with_capacity(48);
        use_up(&map);
        let guard = Epoch.pin();
        let root = map.tables.root(&guard).unwrap();
        map.tables.start(&guard, Some(&root), 2 * root.len()).unwrap();
        map.insert(7, 70);
        assert!(map.tables.root(&guard).unwrap().ptr() == root.ptr(), "too soon for this test");
        assert_eq!(map.get(&7), Some(70));
        assert_eq!(map.pin().keys().map(|key| *key).collect::<Vec<_>>(), [7]);
        assert_eq!(map.get(&8), None);
    }

    /// M4: an empty slot is passed if it is not frozen.
    #[test]
    fn who_iterates_beside_a_migration_looks_in_both_tables() {
        let map = HashMap::<u64, u64>::with_capacity(100);
        (0..20).for_each(|key| _ = map.insert(key, key));
        let guard = Epoch.pin();
        let root = map.tables.root(&guard).unwrap();
        map.tables.start(&guard, Some(&root), 2 * root.len()).unwrap();
        for key in 20..if cfg!(miri) { 23 } else { 30 } {
            map.insert(key, key);
            let mut seen: Vec<_> = map.pin().keys().map(|key| *key).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..=key));
        }
        assert!(map.tables.root(&guard).unwrap().ptr() == root.ptr(), "too soon for this test");
    }

    /// Who looks for a key, after he has done what its inserter did not see afterwards, comes after him;
    /// also where no slot tells him of the table that it is in. (It takes Miri to fail.)
    #[test]
    fn who_finds_no_table_comes_before_all_who_do() {
        for has_table in [true, false].repeat(5) {
            let map = HashMap::<u64, u64>::new();
            if has_table {
                map.reserve(6);
                use_up(&map);
            }
            let (done, turn) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let map = map.pin();
                    // Relaxed: time, and nothing else, makes him the second.
                    while !turn.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    done.store(true, Ordering::SeqCst);
                    assert!(map.contains_key(&7));
                });
                let map = map.pin();
                map.insert(7, 70);
                assert!(!done.load(Ordering::SeqCst));
                turn.store(true, Ordering::Relaxed);
            });
        }
    }

    /// T3: else the path of a hot key would grow, and the table be exchanged again and again.
    #[test]
    fn a_key_that_comes_and_goes_needs_one_slot() {
        let map = HashMap::<u64, u64>::new();
        for round in 0..if cfg!(miri) { 30 } else { 1000 } {
            map.insert(7, round);
            map.remove(&7);
        }
        let guard = Epoch.pin();
        assert_eq!(map.tables.root(&guard).map(|root| root.used()), Some(1));
    }
}
