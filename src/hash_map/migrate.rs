//! From one table to the next: cooperative, step by step, and nobody waits.
//!
//! The map has a root: its table. To grow, shrink, or get rid of tombstones, somebody makes a *next*
//! table and hangs it to the root's `next`. Then everybody who writes moves a few slots, until all
//! of them are final; the root is set to the next table, and the old one is retired.
//!
//! *To migrate a slot*, once or by any number of helpers at a time, until it is final (W1):
//!
//! 1. *Freeze.* CAS in the FROZEN bit. An empty slot is final then, and a tombstone, which becomes
//!    MOVED. An entry is covered first, and stays so to the end.
//! 2. *Copy.* Walk the entry's path in the next table. If the entry is met there (the same node),
//!    another helper has put it there. If another one of the same mark is met, it gets MORE (T3). At
//!    the first empty slot, **look at the old slot again**: if it is not the frozen entry any more, it
//!    is MOVED: done. Else CAS the entry into the empty slot; who fails looks at that slot again.
//! 3. *Commit.* CAS the old slot from the frozen entry to MOVED.
//!
//! *A search* looks for a key in the root table. If it is not there, and a frozen slot was met on
//! its path (frozen, moved or empty), it looks in the next table as well.
//!
//! *A writer* changes an entry that it finds, not frozen, in the root table, by a CAS on its slot; so
//! it does with a tombstone of its mark, if it has met nothing frozen. It puts a new key into an empty
//! slot of the root table if there is no next one. Otherwise it migrates its key's whole path (up to
//! the empty slot, whatever ends a search before), and then works in the next table.
//!
//! # Why this is right
//!
//! - **M1.** *An entry is put into the next table once.* Suppose helper A puts it at p, helper B at
//!   p', and p comes before p' on its path. B has passed p, and found it taken, but not by this entry
//!   (both cover the node, so there is no other of that address). Before A's CAS it was empty, so B
//!   passed it later, and the entry had left p again. Only a writer takes it out there, and only
//!   after its own path, on which the old slot stands, was migrated: after MOVED was in the old slot.
//!   B has loaded from p (Acquire) what came after that, so when it looked at the old slot again, it
//!   found MOVED, and has not put the entry anywhere. (The same holds for a helper that sleeps for
//!   long, and for the migration after this one. If it gives MORE to a slot meanwhile: there may be
//!   nothing behind that slot, so its tombstone is not used again, and nothing worse.)
//! - **M2.** *Where an entry is.* In its root slot, until that is MOVED; in its next slot from then
//!   on. A writer takes it out of the one place only when the other one does not hold it: an entry
//!   that is not frozen has not been copied; after its path was migrated it is MOVED.
//! - **M3.** *One slot a key, in both tables together.* A key is put into the next table when its
//!   whole path in the root is final, the empty slot at its end included. Whoever puts the same key
//!   into the root needs that very slot, or one before it, where it would have been met (T3), or a
//!   tombstone of its mark on the same path (keys of one mark have one path).
//! - **M4.** *A search misses nothing.* Let it end at a slot of the root table that is not frozen at that
//!   moment: empty, or the last of the mark. Then no writer of the key has gone to the next table yet
//!   (M3). So if the key is in the map, it is at a slot behind, which the empty one or T3 excludes at
//!   that moment; or at one that was passed: so it was put in there since, which T3 excludes for slots
//!   of its mark, and the empty one was not passed; or it was moved, and the search has met
//!   MOVED, and looks in the next table: if it is not there now, it has been removed meanwhile. If
//!   the end is frozen, or the search went round, the key cannot come into the root table any more,
//!   and what it holds of it was seen.
//! - **M5.** *One migration at a time.* `next` of a table is set while it is the root. So there are at
//!   most two tables that anybody works in, and who finds a frozen slot in the next one finds that
//!   the root has moved on, and begins again.
//! - **M6.** *What may be followed.* An entry is retired by who CASed it out of its place (M2), and
//!   then it stands in no slot: not in its old one, which is MOVED. So who covers an entry and finds
//!   it in a slot *after* that, frozen or not, in whichever table, holds it: it is not retired yet.
//! - **M7.** *What may be followed of tables.* The root, when it is read again. The next one, when it
//!   is covered, then found again in the root's `next`, and then the root is found to be the root
//!   still: a table is retired when the root has gone past it, or when it was taken off `next`.
//!
//! # Room in the next table
//!
//! - **M8.** It has a slot for each entry that is still to come. At least twice as large: as many as
//!   the root has slots, and half of its slots are more than [`room`](room_for) leaves. Smaller: it
//!   hangs there on approval first (UNSURE), which stops new keys from coming into the root. Then,
//!   after a full fence, the root's sum of used slots says how many entries can come at most (T4). If
//!   they fit, it is accepted; else it is taken off again, and retired. Nothing is frozen meanwhile.
//!
//! # Progress
//!
//! Chunks of slots are handed out. When all were handed out and some are not final (somebody sleeps
//! there), the first such chunk is migrated by whoever comes by. Each step is a CAS that fails only
//! when another one has succeeded.

use core::ops::Deref;

use super::entry::Node;
use super::table::{
    Admission, End, MIN_SLOTS, Search, Shortage, Table, capacity_of, room_for, slots_for,
};
use super::word::{Mark, Slot, Word};
use crate::atomic::{Atomic, Owned, Ptr};
use crate::guard::{Guard, Shield};
use crate::prefetch::prefetch;
use crate::scheme::Scheme;
use crate::sharded::Sharded;
use crate::sync::counter::{self, AtomicUsize};
use crate::sync::{MODEL, Ordering, fence};

/// In `next`: the next table is on approval (M8).
const UNSURE: usize = 1;

/// How many slots are handed out at a time.
///
/// Few enough to go unnoticed in the operation that moves them; enough to be done before the room
/// for new keys is used up, if each of these moves a chunk.
const CHUNK: usize = if MODEL { 2 } else { 8 };

/// How many chunks that others have done are looked at, at most, each time.
const LOOK_AHEAD: usize = 4;

/// A search that passes more slots than this is a reason to look at the table's state.
const LONG_PATH: usize = 128;

/// After so many removals by a group of threads it is looked, at the earliest, whether the table has
/// become too large.
const LOOK_EVERY: usize = 8;

/// After what it is looked whether the table should be exchanged.
#[derive(Clone, Copy)]
enum After {
    /// Or a replacement. So many slots were passed.
    Insertion { passed: usize },
    /// Or the end of a migration.
    Removal,
}

/// The tables of a map: the root, and what hangs on it.
pub(super) struct Tables<K, V> {
    root: Atomic<Table<K, V>>,
    changes: Box<Sharded<Changes>>,
}

/// What a group of threads has done, all in all; wrapping.
#[derive(Default)]
struct Changes {
    /// How many entries it has put in where there was none.
    inserted: AtomicUsize,
    /// How many it has taken out.
    removed: AtomicUsize,
}

pub(super) type NodeShield<'g, K, V, S> = Shield<'g, Node<K, V>, S>;

/// A table that is covered (M7).
struct Held<'g, K, V, S: Scheme>(Shield<'g, Table<K, V>, S>);

impl<K, V, S: Scheme> Held<'_, K, V, S> {
    fn ptr(&self) -> Ptr<Table<K, V>> {
        self.0.ptr().with_tag(0)
    }
}

impl<K, V, S: Scheme> Deref for Held<'_, K, V, S> {
    type Target = Table<K, V>;

    #[inline]
    fn deref(&self) -> &Table<K, V> {
        // SAFETY: M7: it is covered, and not null; a table of this map, of this domain.
        unsafe { self.0.as_ref() }.expect("a table is held")
    }
}

/// A node that was taken out, and the slot behind it.
type Taken<K, V, S> = Option<(Owned<Node<K, V>, S>, usize)>;

/// Where a writer has found its key, or where it would come.
pub(super) struct Spot<'g, K, V, S: Scheme> {
    table: Held<'g, K, V, S>,
    /// Whether entries still come into it from the root.
    young: bool,
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

/// The entries of one hash.
pub(super) struct Group<'g, K, V, S: Scheme> {
    pub(super) hash: u64,
    pub(super) first: NodeShield<'g, K, V, S>,
    pub(super) more: Vec<NodeShield<'g, K, V, S>>,
}

impl<'g, K, V, S: Scheme> Spot<'g, K, V, S> {
    /// Where a search has ended; `None` if it is to be done again.
    #[inline]
    fn new(
        table: Held<'g, K, V, S>,
        young: bool,
        search: Search<Node<K, V>>,
        entry: NodeShield<'g, K, V, S>,
    ) -> Option<Self> {
        let Search { end, at, word, passed, .. } = search;
        if end == End::Other {
            // T3. Whether it was done here or not: look again.
            word.change(table.slot(at), word.with_more());
            return None;
        }
        Some(Self { table, young, end, at, word, passed, entry })
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
    fn count_removed(&self) -> usize {
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
    fn root<'g, S: Scheme>(&self, guard: &'g Guard<'g, S>) -> Option<Held<'g, K, V, S>> {
        let mut root = guard.shield();
        // M7.
        if root.protect(&self.root).is_null() { None } else { Some(Held(root)) }
    }

    /// The next table; `None` if there is none any more, or the root is another one: then begin
    /// again.
    #[cold]
    fn next<'g, S: Scheme>(
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

    /// Accepts a table that is on approval, or takes it off (M8). False if it is not the next one.
    fn settle<S: Scheme>(
        guard: &Guard<'_, S>,
        table: &Table<K, V>,
        next: &Held<'_, K, V, S>,
    ) -> bool {
        // T4. PAIRS: `Table::admit`.
        fence(Ordering::SeqCst);
        let fits = table.used() + room_for(next.len()) < next.len();
        let sure = next.ptr();
        let unsure = sure.with_tag(UNSURE);
        let to = if fits { sure } else { Ptr::null() };
        // Release: passes the table on. Relaxed: it was settled by another thread.
        match table.next.compare_exchange(unsure, to, Ordering::Release, Ordering::Relaxed) {
            Ok(_) if fits => true,
            Ok(_) => {
                // SAFETY: taken off, by us, and nothing was put into it.
                unsafe { guard.retire(sure) };
                false
            }
            Err(now) => now == sure,
        }
    }

    /// Has the slot fetched where a search will begin, while the caller does something else.
    #[inline]
    pub(super) fn approach<S: Scheme>(&self, guard: &Guard<'_, S>, hash: u64) {
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
        let root = self.root(guard)?;
        let mut entry = guard.shield();
        let search = root.search(hash, &mut entry, &is);
        match search.end {
            End::Found => Some(entry),
            _ if search.met_frozen => self.find_beyond(guard, root, entry, hash, is),
            _ => None,
        }
    }

    /// The rest of a search that has met a frozen slot in the root table.
    #[cold]
    #[inline(never)]
    fn find_beyond<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        mut root: Held<'g, K, V, S>,
        mut entry: NodeShield<'g, K, V, S>,
        hash: u64,
        is: impl Fn(&Node<K, V>) -> bool,
    ) -> Option<NodeShield<'g, K, V, S>> {
        loop {
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
            let search = root.search(hash, &mut entry, &is);
            match search.end {
                End::Found => return Some(entry),
                _ if search.met_frozen => {}
                _ => return None,
            }
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
        loop {
            let root = self.root(guard)?;
            let mut entry = guard.shield();
            let search = root.search(hash, &mut entry, &is);
            let stays = match search.end {
                End::Found => !search.word.is_frozen(),
                // It would stay in its slot, which is not final.
                End::Tomb => !search.met_frozen,
                End::Other | End::Empty | End::Round => !search.met_frozen && !root.has_next(),
            };
            let spot = if stays {
                Spot::new(root, false, search, entry)
            } else {
                self.locate_beyond(guard, &root, entry, hash, &is)
            };
            if spot.is_some() {
                return spot;
            }
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
        if search.met_frozen { None } else { Spot::new(next, true, search, entry) }
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

    /// What a writer does that has used no slot: it helps the migration on that is under way.
    fn help_on<S: Scheme>(&self, guard: &Guard<'_, S>, spot: &Spot<'_, K, V, S>) {
        if spot.young || spot.table.has_next() {
            self.look_after(guard, After::Insertion { passed: 0 });
        }
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

    /// What a writer does for the tables, now and then: helps a migration on, or begins one.
    #[cold]
    #[inline(never)]
    fn look_after<S: Scheme>(&self, guard: &Guard<'_, S>, mut after: After) {
        let Some(mut root) = self.root(guard) else { return };
        if root.has_next() {
            let Some(next) = self.next(guard, &root) else { return };
            root.help(guard, &next);
            if !root.is_finished() || !self.finish(guard, &root, &next) {
                return;
            }
            root = next;
            after = After::Removal;
        }
        if let Some(slots) = self.better_size(&root, after) {
            // If there is no memory, the table must do as it is.
            let _ = self.start(guard, Some(&root), slots);
        }
    }

    /// How large the next table should be, if there should be one.
    fn better_size(&self, table: &Table<K, V>, after: After) -> Option<usize> {
        let (slots, used) = (table.len(), table.used().min(table.len()));
        let is_full = used >= capacity_of(slots);
        // The bound of a path. A larger table shortens it, unless the hashes are all alike: so this
        // is a reason only while a quarter of the slots is in use, by entries or by tombstones.
        let is_long =
            matches!(after, After::Insertion { passed } if passed > LONG_PATH) && used >= slots / 4;
        if !is_full && !is_long && !matches!(after, After::Removal) {
            return None;
        }
        // It looks at all shards, so not after every insertion.
        let live = self.len();
        if (is_full && live > slots / 2) || (is_long && live >= slots / 4) {
            return Some(slots.saturating_mul(2));
        }
        let is_sparse = slots > MIN_SLOTS && live < slots / 16;
        let is_cluttered = is_long && live <= used / 2;
        if !(is_full || is_sparse || is_cluttered) {
            return None;
        }
        let wanted = (4 * live).next_power_of_two().clamp(MIN_SLOTS, slots);
        // M8: no smaller than what may come.
        let mut least = MIN_SLOTS;
        while used + room_for(least) >= least {
            least *= 2;
        }
        // If that is no smaller, then as tombstones are in the way: without them, the next one is.
        Some(wanted.max(least))
    }

    /// Hangs a next table to the root, if it has none, or makes the first one. (M5: a root that is
    /// the root no longer has one.)
    fn start<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        root: Option<&Held<'_, K, V, S>>,
        slots: usize,
    ) -> Result<(), Shortage> {
        let (link, tag) = match root {
            None => (&self.root, 0),
            // M8.
            Some(table) if slots / 2 >= table.len() => (&table.next, 0),
            Some(table) => (&table.next, UNSURE),
        };
        // Relaxed: only whether it is in vain to make one.
        if !link.load(Ordering::Relaxed).is_null() {
            return Ok(());
        }
        let next = Table::new(guard, slots)?.into_ptr().with_tag(tag);
        // Release: publishes the table. Relaxed: another thread's is there.
        let hung =
            link.compare_exchange(Ptr::null(), next, Ordering::Release, Ordering::Relaxed).is_ok();
        if !hung {
            // SAFETY: it was not shared.
            drop(unsafe { Owned::<_, S>::from_ptr(next) });
        }
        Ok(())
    }

    /// Makes slots where a path has none: a larger table, or the end of the migration under way.
    #[cold]
    fn widen<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        spot: &Spot<'_, K, V, S>,
    ) -> Result<(), Shortage> {
        if spot.young {
            self.complete(guard);
            return Ok(());
        }
        // All slots are used, so a table of the same size would not be approved (M8).
        let slots = spot.table.len().checked_mul(2).ok_or(Shortage::Overflow)?;
        self.start(guard, Some(&spot.table), slots)
    }

    /// Makes room for so many entries.
    pub(super) fn reserve<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        entries: usize,
    ) -> Result<(), Shortage> {
        let slots = slots_for(entries).ok_or(Shortage::Overflow)?;
        while self.capacity(guard) < entries {
            match self.root(guard) {
                Some(root) if root.has_next() => self.complete(guard),
                Some(root) => {
                    let twice = root.len().checked_mul(2).ok_or(Shortage::Overflow)?;
                    self.start(guard, Some(&root), slots.max(twice))?;
                }
                None => self.start(guard, None, slots)?,
            }
        }
        Ok(())
    }

    /// Brings the migration to its end that is under way, if there is one.
    #[cold]
    fn complete<S: Scheme>(&self, guard: &Guard<'_, S>) {
        let Some(root) = self.root(guard) else { return };
        let Some(next) = self.next(guard, &root) else { return };
        root.migrate_rest(guard, &next);
        self.finish(guard, &root, &next);
    }

    /// Sets the root to the next table, when all slots are final; true if that was done here.
    fn finish<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        root: &Held<'_, K, V, S>,
        next: &Held<'_, K, V, S>,
    ) -> bool {
        let (from, to) = (root.ptr(), next.ptr());
        // Release: passes the table on, and all that is in it. Relaxed: it was done by another.
        let swung =
            self.root.compare_exchange(from, to, Ordering::Release, Ordering::Relaxed).is_ok();
        if swung {
            // SAFETY: M7: the root has gone past it, by our doing.
            unsafe { guard.retire(from) };
        }
        swung
    }

    /// The entries with the least hash from this one on.
    pub(super) fn least<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        mut from: u64,
    ) -> Option<Group<'g, K, V, S>> {
        loop {
            let root = self.root(guard)?;
            let mut scan = root.scan(guard, from, u64::MAX);
            if scan.met_frozen {
                let Some(next) = self.next(guard, &root) else { continue };
                let passed = root.migrate_path(guard, &next, from);
                scan = next.scan(guard, from, root.last_hash(root.home(from), passed));
                if scan.met_frozen {
                    // M5.
                    continue;
                }
            }
            if scan.group.is_some() {
                return scan.group;
            }
            from = scan.last.checked_add(1)?;
        }
    }

    /// Ends a migration that is under way, for whoever has the map to himself.
    ///
    /// # Safety
    /// The map is borrowed exclusively, and `S` is its scheme.
    unsafe fn settle_exclusive<S: Scheme>(&mut self) {
        let root = self.root.load(Ordering::Relaxed);
        // SAFETY: nobody else is here, and what hangs is not retired.
        let Some(table) = (unsafe { root.as_ref() }) else { return };
        let next = table.next.load(Ordering::Relaxed);
        // SAFETY: as above.
        let Some(young) = (unsafe { next.as_ref() }) else { return };
        if next.tag() == UNSURE {
            table.next.store(Ptr::null(), Ordering::Relaxed);
            // SAFETY: as above: nothing is in it.
            drop(unsafe { Owned::<_, S>::from_ptr(next) });
            return;
        }
        // SAFETY: as above.
        unsafe { table.pour_exclusive(young) };
        self.root.store(next, Ordering::Relaxed);
        // SAFETY: as above: nothing is left in it.
        drop(unsafe { Owned::<_, S>::from_ptr(root) });
    }

    /// The only table, for whoever has the map to himself.
    ///
    /// # Safety
    /// The map is borrowed exclusively, and `S` is its scheme.
    pub(super) unsafe fn exclusive<S: Scheme>(&mut self) -> Option<&mut Table<K, V>> {
        // SAFETY: the caller's.
        unsafe {
            self.settle_exclusive::<S>();
            self.root.load(Ordering::Relaxed).as_raw().as_mut()
        }
    }

    /// Takes the entry out of the first slot from `from` on that has one; says where the next one is
    /// looked for. When there is none, all slots are empty again.
    ///
    /// # Safety
    /// The map is borrowed exclusively, and `S` is its scheme.
    pub(super) unsafe fn take_exclusive<S: Scheme>(&mut self, from: usize) -> Taken<K, V, S> {
        // SAFETY: the caller's.
        let table = unsafe { self.exclusive::<S>() }?;
        for at in from..table.len() {
            let slot = table.slot(at);
            let word = Word::load_exclusive(slot);
            if word.has_node() {
                // SAFETY: it was in the map, so it is not retired, and now it is ours.
                let node = unsafe { Owned::from_ptr(word.node()) };
                word.removed(Mark::of(node.hash)).store_exclusive(slot);
                self.count_removed();
                return Some((node, at + 1));
            }
        }
        None
    }

    /// Makes all slots empty again.
    ///
    /// # Safety
    /// The map is borrowed exclusively, `S` is its scheme, and no entry is left.
    pub(super) unsafe fn wipe_exclusive<S: Scheme>(&mut self) {
        // SAFETY: the caller's.
        if let Some(table) = unsafe { self.exclusive::<S>() } {
            table.wipe_exclusive();
        }
    }

    /// Goes to the smallest table that is large enough; stays where it is if there is no memory.
    ///
    /// # Safety
    /// The map is borrowed exclusively, and the guard is of its domain.
    pub(super) unsafe fn shrink_exclusive<S: Scheme>(&mut self, guard: &Guard<'_, S>) {
        // SAFETY: the caller's.
        unsafe { self.settle_exclusive::<S>() };
        let (len, root) = (self.len(), self.root.load(Ordering::Relaxed));
        // SAFETY: nobody else is here, and what hangs is not retired.
        let Some(table) = (unsafe { root.as_ref() }) else { return };
        let new = match slots_for(len) {
            _ if len == 0 => Ptr::null(),
            Some(slots) if slots < table.len() => match Table::new(guard, slots) {
                Ok(new) => {
                    // SAFETY: as above; it is large enough for all entries.
                    unsafe { table.pour_exclusive(&new) };
                    new.into_ptr()
                }
                Err(_) => return,
            },
            _ => return,
        };
        self.root.store(new, Ordering::Relaxed);
        // SAFETY: as above: nothing is left in it.
        drop(unsafe { Owned::<_, S>::from_ptr(root) });
    }

    /// Frees the tables.
    ///
    /// # Safety
    /// The map is borrowed exclusively and on its way out, `S` is its scheme, and no entry is left.
    pub(super) unsafe fn free<S: Scheme>(&mut self) {
        // SAFETY: the caller's.
        unsafe { self.settle_exclusive::<S>() };
        let root = self.root.load(Ordering::Relaxed);
        self.root.store(Ptr::null(), Ordering::Relaxed);
        if !root.is_null() {
            // SAFETY: nobody else is here, and what hangs is not retired.
            drop(unsafe { Owned::<_, S>::from_ptr(root) });
        }
    }
}

/// What [`Table::scan`] has found.
struct Scan<'g, K, V, S: Scheme> {
    group: Option<Group<'g, K, V, S>>,
    /// Up to here nothing more is to be found.
    last: u64,
    met_frozen: bool,
}

/// The steps, in one table.
impl<K, V> Table<K, V> {
    #[inline]
    fn has_next(&self) -> bool {
        // Relaxed: only whether there is one.
        !self.next.load(Ordering::Relaxed).is_null()
    }

    /// Migrates a slot, until it is final: returns what it holds then.
    fn migrate_slot<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        young: &Self,
        at: usize,
        entry: &mut NodeShield<'_, K, V, S>,
    ) -> Word<Node<K, V>> {
        let slot = self.slot(at);
        let mut word = Word::load(slot);
        while !word.is_final() {
            if word.has_node() {
                // M1: covered to the end.
                match word.cover(slot, entry) {
                    Ok(covered) => word = covered,
                    Err(now) => {
                        word = now;
                        continue;
                    }
                }
            }
            if word.is_frozen() || word.freeze(slot) {
                word = word.frozen();
                // SAFETY: covered (M6); nodes of this map, of this domain.
                if let Some(node) = unsafe { entry.as_ref() }.filter(|_| word.has_node()) {
                    young.copy(guard, word, node.hash, || Word::load(slot) == word);
                    word.commit(slot);
                }
            }
            word = Word::load(slot);
        }
        word
    }

    /// Sees to it that a frozen entry of the table before is put in here, once (M1). The caller covers
    /// it; `is_there` says whether it is still in its old slot.
    fn copy<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        word: Word<Node<K, V>>,
        hash: u64,
        is_there: impl Fn() -> bool,
    ) {
        let mark = Mark::of(hash);
        let mut at = self.home(hash);
        let mut passed = 0;
        while passed < self.len() {
            let slot = self.slot(at);
            let found = Word::load(slot);
            // M5: what is frozen here, is so after all of the table before was final.
            if found.node() == word.node() || found.is_frozen() {
                return;
            }
            if found.is_empty() {
                // M1: after all the loads of this walk, which are Acquire.
                if !is_there() {
                    return;
                }
                self.expect_moved(1);
                if found.change(slot, Word::of(word.node(), mark)) {
                    return;
                }
                self.unexpect_moved(1);
                continue;
            }
            // (A tombstone of this mark: then all of it was moved, and `is_there` will say so.)
            let may_be_last = found.may_have(mark) && found.has_node() && !found.has_more();
            if may_be_last && !Self::passes(guard, slot, found, mark) {
                continue;
            }
            passed += 1;
            at = self.after(at);
        }
        assert!(!is_there(), "M8: the next table has room for all entries");
    }

    /// T3: gives MORE to an entry, if it is of this mark. False if it has changed: look again.
    #[cold]
    fn passes<S: Scheme>(
        guard: &Guard<'_, S>,
        slot: &Slot<Node<K, V>>,
        word: Word<Node<K, V>>,
        mark: Mark,
    ) -> bool {
        let mut entry = guard.shield();
        let Ok(word) = word.cover(slot, &mut entry) else { return false };
        // SAFETY: covered (M6); nodes of this map, of this domain.
        let other = unsafe { entry.as_ref() };
        let has_mark = other.is_some_and(|other| Mark::of(other.hash) == mark);
        !has_mark || word.change(slot, word.with_more())
    }

    /// Migrates the path of a hash, the empty slot at its end included; says how many slots come
    /// before that.
    fn migrate_path<S: Scheme>(&self, guard: &Guard<'_, S>, young: &Self, hash: u64) -> usize {
        let home = self.home(hash);
        self.prefetch(young, home);
        let mut entry = guard.shield();
        let mut at = home;
        for passed in 0..self.len() {
            if self.migrate_slot(guard, young, at, &mut entry).is_empty() {
                return passed;
            }
            at = self.after(at);
        }
        self.len()
    }

    /// Has the nodes of the slots from here on fetched, all at once: before the first CAS lets the
    /// processor wait for each. And the slots where they will come to.
    fn prefetch(&self, young: &Self, from: usize) {
        let Some(slots) = self.slots().get(from..) else { return };
        for slot in &slots[..CHUNK.min(slots.len())] {
            prefetch(Word::load(slot).node().as_raw());
        }
        // T1: what is at home here is at home there.
        let to = from.saturating_mul(young.len()) / self.len();
        let ratio = (young.len() / self.len()).clamp(1, 4);
        young.slots()[to..]
            .iter()
            .take(CHUNK * ratio)
            .step_by(CHUNK)
            .for_each(|slot| prefetch(slot));
    }

    fn migrate_chunk<S: Scheme>(&self, guard: &Guard<'_, S>, young: &Self, from: usize) {
        let mut entry = guard.shield();
        for at in from..(from + CHUNK).min(self.len()) {
            self.migrate_slot(guard, young, at, &mut entry);
        }
    }

    /// Migrates a chunk of its own, and sees how far all chunks have come.
    fn help<S: Scheme>(&self, guard: &Guard<'_, S>, young: &Self) {
        let progress = &self.progress;
        // Relaxed: who does what is a question of speed only.
        if progress.claimed.load(Ordering::Relaxed) < self.len() {
            let claimed = progress.claimed.fetch_add(CHUNK, Ordering::Relaxed);
            if claimed < self.len() {
                self.migrate_chunk(guard, young, claimed);
                // The next one is likely to be ours, too, and there is time until then.
                self.prefetch(young, claimed + CHUNK);
            }
        }
        for _ in 0..LOOK_AHEAD {
            // Acquire: who finds all slots final comes after the migration of each.
            let finished = progress.finished.load(Ordering::Acquire);
            if finished >= self.len() {
                return;
            }
            let chunk = finished..(finished + CHUNK).min(self.len());
            if !self.slots()[chunk].iter().all(|slot| Word::load(slot).is_final()) {
                if progress.claimed.load(Ordering::Relaxed) < self.len() {
                    return;
                }
                // All were handed out, and somebody sleeps.
                self.migrate_chunk(guard, young, finished);
            }
            self.advance(finished);
        }
    }

    /// Notes that the chunk that begins there is final.
    fn advance(&self, finished: usize) {
        let to = finished + CHUNK;
        // Release: what is final is so for who reads it. Relaxed: another thread has noted it.
        let _ = self.progress.finished.compare_exchange(
            finished,
            to,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    /// Whether all slots are final.
    fn is_finished(&self) -> bool {
        // Acquire: comes after the migration of each slot.
        self.progress.finished.load(Ordering::Acquire) >= self.len()
    }

    /// Migrates all slots that are not final yet.
    fn migrate_rest<S: Scheme>(&self, guard: &Guard<'_, S>, young: &Self) {
        loop {
            // Acquire: comes after the migration of these slots.
            let finished = self.progress.finished.load(Ordering::Acquire);
            if finished >= self.len() {
                return;
            }
            self.migrate_chunk(guard, young, finished);
            self.advance(finished);
        }
    }

    /// Looks for the least hash in `from..=last` along the path of `from`.
    fn scan<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        from: u64,
        last: u64,
    ) -> Scan<'g, K, V, S> {
        let home = self.home(from);
        let (mut at, mut passed, mut met_frozen) = (home, 0, false);
        let mut group: Option<Group<'g, K, V, S>> = None;
        let mut entry = guard.shield();
        while passed < self.len() {
            let slot = self.slot(at);
            let mut word = Word::load(slot);
            while word.has_node() {
                match word.cover(slot, &mut entry) {
                    Ok(covered) => {
                        word = covered;
                        break;
                    }
                    Err(now) => word = now,
                }
            }
            met_frozen |= word.is_frozen();
            if word.is_empty() {
                break;
            }
            // SAFETY: covered (M6); nodes of this map, of this domain.
            let node = unsafe { entry.as_ref() }.filter(|_| word.has_node());
            let hash = node.map(|node| node.hash);
            // What stands here from round the end has a greater hash than what is looked for.
            if let Some(hash) = hash.filter(|hash| (from..=last).contains(hash)) {
                match &mut group {
                    Some(group) if hash > group.hash => {}
                    Some(group) if hash == group.hash => {
                        group.more.push(core::mem::replace(&mut entry, guard.shield()));
                    }
                    _ => {
                        let first = core::mem::replace(&mut entry, guard.shield());
                        group = Some(Group { hash, first, more: Vec::new() });
                    }
                }
            }
            passed += 1;
            at = self.after(at);
        }
        let last = last.min(self.last_hash(home, passed));
        Scan { group: group.filter(|group| group.hash <= last), last, met_frozen }
    }

    /// Moves all entries that are not in another table yet to it.
    ///
    /// # Safety
    /// Nobody else has either table, and the other one is large enough.
    unsafe fn pour_exclusive(&self, other: &Self) {
        for slot in self.slots() {
            let word = Word::load_exclusive(slot);
            // SAFETY: what is in a table is not retired.
            if let Some(node) = unsafe { word.node().as_ref() } {
                if !(word.is_frozen() && other.has_exclusive(word.node(), node.hash)) {
                    other.put_exclusive(word.node(), node.hash);
                }
            }
        }
    }
}
