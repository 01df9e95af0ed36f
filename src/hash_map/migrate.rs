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
//! its path (frozen, moved or empty), it looks in the next table as well; so it does if its path goes
//! once around (all slots are taken, maybe for good: SPENT is final as it is), and there is one.
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
//!   the end is frozen, or the search went round, the key cannot come into the root table any more
//!   (but in its tombstone, as above), and what it holds of it was seen; so it is there, or in the next
//!   table, which is looked at.
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
//! - **M8.** It has a slot for each entry that is still to come. At least twice as large: as many
//!   as the root has slots, and half of its slots are more than [`room`](super::table::room_for)
//!   leaves. Smaller: it hangs there on approval first (UNSURE), which stops new keys from coming
//!   into the root. Then, after a full fence, the root's sum of used slots says how many entries
//!   can come at most (T4). If they fit, it is accepted; else it is taken off again, and retired.
//!   Nothing is frozen meanwhile.
//!
//! # Progress
//!
//! Chunks of slots are handed out. When all were handed out and some are not final (somebody sleeps
//! there), the first such chunk is migrated by whoever comes by. Each step is a CAS that fails only
//! when another one has succeeded.
//!
//! What one operation migrates is bounded. A chunk is small: a table shrinks in stages, so the next one
//! is never much smaller. When the room for new keys is used up (T5), and who needs some migrates all
//! that is left, then that is a chunk for each operation that is under way, at most.

use super::entry::Node;
use super::table::Table;
use super::tables::NodeShield;
use super::word::{Mark, Slot, Word};
use crate::guard::Guard;
use crate::prefetch::{PREFETCHES, prefetch};
use crate::scheme::Scheme;
use crate::sync::{MODEL, Ordering};

/// How many slots are handed out at a time, if the next table is no smaller; see `chunk`.
const CHUNK: usize = if MODEL { 2 } else { 8 };

/// How many chunks that others have done are looked at, at most, each time.
const LOOK_AHEAD: usize = 4;

/// The steps, in one table.
impl<K, V> Table<K, V> {
    #[inline]
    pub(super) fn has_next(&self) -> bool {
        // Relaxed: only whether there is one.
        !self.next.load(Ordering::Relaxed).is_null()
    }

    /// The same, as the answer of a search to which no slot has given one: it went once around (M4).
    #[cold]
    pub(super) fn is_followed(&self) -> bool {
        // SeqCst: see the head of `word`.
        !self.next.load(Ordering::SeqCst).is_null()
    }

    /// How many slots are handed out at a time, for this next table.
    ///
    /// Few enough to go unnoticed in the operation that moves them; enough to be done before the room
    /// for new keys is used up (T5), if each of these moves a chunk. So there are more of them if the
    /// next table is smaller: but then few of them have an entry.
    fn chunk(&self, young: &Self) -> usize {
        CHUNK * (self.len() / young.len()).max(1)
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
                // M1: after all the loads of this walk, which are SeqCst.
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
    pub(super) fn migrate_path<S: Scheme>(
        &self,
        guard: &Guard<'_, S>,
        young: &Self,
        hash: u64,
    ) -> usize {
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
        let Some(slots) = self.slots().get(from..).filter(|_| PREFETCHES) else { return };
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
        for at in from..(from + self.chunk(young)).min(self.len()) {
            self.migrate_slot(guard, young, at, &mut entry);
        }
    }

    /// Migrates a chunk of its own, and sees how far all chunks have come.
    pub(super) fn help<S: Scheme>(&self, guard: &Guard<'_, S>, young: &Self) {
        let (progress, chunk) = (&self.progress, self.chunk(young));
        // Relaxed: who does what is a question of speed only.
        if progress.claimed.load(Ordering::Relaxed) < self.len() {
            let claimed = progress.claimed.fetch_add(chunk, Ordering::Relaxed);
            if claimed < self.len() {
                self.migrate_chunk(guard, young, claimed);
                // The next one is likely to be ours, too, and there is time until then.
                self.prefetch(young, claimed + chunk);
            }
        }
        for _ in 0..LOOK_AHEAD {
            // Acquire: who finds all slots final comes after the migration of each.
            let finished = progress.finished.load(Ordering::Acquire);
            if finished >= self.len() {
                return;
            }
            let slots = finished..(finished + chunk).min(self.len());
            if !self.slots()[slots].iter().all(|slot| Word::load(slot).is_final()) {
                if progress.claimed.load(Ordering::Relaxed) < self.len() {
                    return;
                }
                // All were handed out, and somebody sleeps.
                self.migrate_chunk(guard, young, finished);
            }
            self.advance(finished, chunk);
        }
    }

    /// Notes that the chunk that begins there is final.
    fn advance(&self, finished: usize, chunk: usize) {
        let to = finished + chunk;
        // Release: what is final is so for who reads it. Relaxed: another thread has noted it.
        let _ = self.progress.finished.compare_exchange(
            finished,
            to,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    /// Whether all slots are final.
    pub(super) fn is_finished(&self) -> bool {
        // Acquire: comes after the migration of each slot.
        self.progress.finished.load(Ordering::Acquire) >= self.len()
    }

    /// Migrates all slots that are not final yet.
    pub(super) fn migrate_rest<S: Scheme>(&self, guard: &Guard<'_, S>, young: &Self) {
        loop {
            // Acquire: comes after the migration of these slots.
            let finished = self.progress.finished.load(Ordering::Acquire);
            if finished >= self.len() {
                return;
            }
            self.migrate_chunk(guard, young, finished);
            self.advance(finished, self.chunk(young));
        }
    }
}
