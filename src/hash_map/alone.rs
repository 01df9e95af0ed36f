//! What is done by whoever has the map to himself: there is nobody to cover from, and no CAS.

use super::entry::Node;
use super::table::{Table, slots_for};
use super::tables::Tables;
use super::upkeep::UNSURE;
use super::word::{Mark, Word};
use crate::atomic::{Owned, Ptr};
use crate::guard::Guard;
use crate::scheme::Scheme;
use crate::sync::Ordering;

/// A node that was taken out, and the slot behind it.
type Taken<K, V, S> = Option<(Owned<Node<K, V>, S>, usize)>;

impl<K, V> Tables<K, V> {
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
    /// looked for.
    ///
    /// # Safety
    /// The map is borrowed exclusively, and `S` is its scheme.
    pub(super) unsafe fn take_exclusive<S: Scheme>(&mut self, from: usize) -> Taken<K, V, S> {
        // SAFETY: the caller's.
        let table = unsafe { self.exclusive::<S>() }?;
        // T4: where nobody was counted in, there is nothing, and not even the slots are looked at.
        let end = if from == 0 && table.used() == 0 { 0 } else { table.len() };
        for at in from..end {
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

impl<K, V> Table<K, V> {
    /// Puts an entry in, for whoever has the table to himself and knows that it is not in yet.
    pub(super) fn put_exclusive(&self, node: Ptr<Node<K, V>>, hash: u64) {
        let mark = Mark::of(hash);
        let mut at = self.home(hash);
        loop {
            let slot = self.slot(at);
            let word = Word::load_exclusive(slot);
            if word.is_empty() {
                break Word::of(node, mark).store_exclusive(slot);
            }
            // (No tombstone of its mark: else all of the mark would have been moved.)
            // SAFETY: what is in a table that somebody has to himself is not retired.
            let other = unsafe { word.node().as_ref() }.filter(|_| word.may_have(mark));
            // T3.
            if other.is_some_and(|other| Mark::of(other.hash) == mark) {
                word.with_more().store_exclusive(slot);
            }
            at = self.after(at);
        }
        self.expect_moved(1);
    }

    /// Whether this very node is in, for whoever has the table to himself.
    pub(super) fn has_exclusive(&self, node: Ptr<Node<K, V>>, hash: u64) -> bool {
        let mut at = self.home(hash);
        for _ in 0..self.len() {
            let found = Word::load_exclusive(self.slot(at));
            if found.is_empty() {
                return false;
            }
            if found.node() == node {
                return true;
            }
            at = self.after(at);
        }
        false
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
