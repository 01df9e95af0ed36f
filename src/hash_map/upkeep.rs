//! When a table is exchanged for another one, and for how large a one; who makes it, and who sets the
//! root to it. (How entries get there is `migrate`.)
//!
//! Writers look after it, now and then: after so many insertions or removals, or when a path was long;
//! and as long as a migration is under way, after each change.
//!
//! A table shrinks in stages ([`SHRINKS_TO`]): who ends one sees whether there is to be another. Who ends
//! a growth does not: it was made for entries that are still to come, as by `reserve`. If much is
//! removed later, or was removed meanwhile, then the next removals see to it.

use super::table::{MIN_SLOTS, Shortage, Table, capacity_of, room_for, slots_for};
use super::tables::{Held, Spot, Tables};
use crate::atomic::{Owned, Ptr};
use crate::guard::Guard;
use crate::scheme::Scheme;
use crate::sync::{Ordering, fence};

/// In `next`: the next table is on approval (M8).
pub(super) const UNSURE: usize = 1;

/// A search that passes more slots than this is a reason to look at the table's state.
pub(super) const LONG_PATH: usize = 128;

/// The next table has a slot for so many, at least: so a chunk stays small, and what one operation
/// migrates (see `migrate`).
const SHRINKS_TO: usize = 16;

/// After so many removals by a group of threads it is looked, at the earliest, whether the table has
/// become too large.
pub(super) const LOOK_EVERY: usize = 8;

/// After what it is looked whether the table should be exchanged.
#[derive(Clone, Copy)]
pub(super) enum After {
    /// Or a replacement. So many slots were passed.
    Insertion { passed: usize },
    /// Or the end of a migration to a table that is no larger.
    Removal,
}

impl<K, V> Tables<K, V> {
    /// Accepts a table that is on approval, or takes it off (M8). False if it is not the next one.
    pub(super) fn settle<S: Scheme>(
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
                unsafe { guard.retire_owner(sure) };
                false
            }
            Err(now) => now == sure,
        }
    }

    /// What a writer does that has used no slot: it helps the migration on that is under way.
    pub(super) fn help_on<S: Scheme>(&self, guard: &Guard<'_, S>, spot: &Spot<'_, K, V, S>) {
        if spot.young || spot.table.has_next() {
            self.look_after(guard, After::Insertion { passed: 0 });
        }
    }

    /// What a writer does for the tables, now and then: helps a migration on, or begins one.
    #[cold]
    #[inline(never)]
    pub(super) fn look_after<S: Scheme>(&self, guard: &Guard<'_, S>, mut after: After) {
        let Some(mut root) = self.root(guard) else { return };
        if root.has_next() {
            let Some(next) = self.next(guard, &root) else { return };
            root.help(guard, &next);
            if !root.is_finished() || !self.finish(guard, &root, &next) {
                return;
            }
            // It was made for what is still to come.
            if next.len() > root.len() {
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
        let smallest = (slots / SHRINKS_TO).max(MIN_SLOTS);
        let wanted = (4 * live).next_power_of_two().clamp(smallest, slots);
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
    pub(super) fn start<S: Scheme>(
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
        // Release: publishes the table. SeqCst: see the head of `word`. Relaxed: another thread's is there.
        let hung =
            link.compare_exchange(Ptr::null(), next, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        if !hung {
            // SAFETY: it was not shared.
            drop(unsafe { Owned::<_, S>::from_ptr(next) });
        }
        Ok(())
    }

    /// Makes slots where a path has none: a larger table, or the end of the migration under way.
    #[cold]
    pub(super) fn widen<S: Scheme>(
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
    pub(super) fn complete<S: Scheme>(&self, guard: &Guard<'_, S>) {
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
            unsafe { guard.retire_owner(from) };
        }
        swung
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::{MIN_SLOTS, Ordering, capacity_of};
    use crate::{Epoch, HashMap, Reclaimer};

    /// M8: as when insertions come between the decision and the proposal.
    #[test]
    fn a_table_that_is_too_small_by_now_is_not_accepted() {
        let map = HashMap::<u64, u64>::with_capacity(12);
        let guard = Epoch.pin();
        let propose = |slots| {
            let root = map.tables.root(&guard).unwrap();
            map.tables.start(&guard, Some(&root), slots).unwrap();
            map.tables.next(&guard, &root).is_some()
        };
        (0..7).for_each(|key| _ = map.insert(key, key));
        assert!(!propose(8));
        (0..5).for_each(|key| _ = map.remove(&key));
        assert!(propose(16));
        (0..7).for_each(|key| _ = map.insert(key, key));
        assert_eq!(map.len(), 7);
    }

    /// T5: else the room is used up early, and one insertion migrates all that is left.
    #[test]
    fn who_changes_a_map_that_shrinks_migrates_few_slots() {
        const SLOTS: usize = if cfg!(miri) { 1 << 10 } else { 1 << 17 };
        for stays in [true, false] {
            let map = HashMap::<u64, u64>::with_capacity(capacity_of(SLOTS));
            let guard = Epoch.pin();
            let root = || map.tables.root(&guard).unwrap();
            let migrates_few = |change: &dyn Fn()| {
                let before = root();
                let finished = || before.progress.finished.load(Ordering::Relaxed);
                let was_finished = finished();
                change();
                let count = finished() - was_finished;
                assert!(count <= 256, "{count} of {} slots", before.len());
            };
            assert_eq!(root().len(), SLOTS);
            // The first removal looks.
            map.insert(0, 0);
            map.remove(&0);
            let mut keys = 0_u64;
            while root().len() == SLOTS || (root().len() > MIN_SLOTS && !stays) {
                migrates_few(&|| _ = map.insert(keys, keys));
                if !stays {
                    migrates_few(&|| _ = map.remove(&keys));
                }
                keys += 1;
                assert!(keys <= SLOTS as u64 / 64, "it takes long: {} slots", root().len());
            }
            assert_eq!(map.len() as u64, if stays { keys } else { 0 });
        }
    }
}
