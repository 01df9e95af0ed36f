//! What iterations are made of: the entries of the least hash from some hash on.
//!
//! A table has its entries nearly in the order of their hashes (T1): the least one that is not less than
//! a given one stands on the path of that one, or at the first home behind it. So a step of an iteration
//! is a search that looks at all hashes; where it meets something frozen, the path is migrated first.
//!
//! An empty slot that is not frozen is the whole path of all hashes that are at home there: none of their
//! keys is in the map at that moment (M4 of `migrate`), and the step goes on to the next home. It does so in
//! the same table, although that may not be the root any more by then. For it is only as late as a search
//! may be anyway, which has slept between its look at the root and its look at the slot: if the root has
//! gone past the table, the slot is frozen.

use super::entry::Node;
use super::table::Table;
use super::tables::{NodeShield, Tables};
use super::word::Word;
use crate::guard::Guard;
use crate::prefetch::{PREFETCHES, prefetch};
use crate::scheme::Scheme;

/// The entries of one hash.
pub(super) struct Group<'g, K, V, S: Scheme> {
    pub(super) hash: u64,
    pub(super) first: NodeShield<'g, K, V, S>,
    pub(super) more: Vec<NodeShield<'g, K, V, S>>,
}

/// The node of the slot that is so many further on is fetched while an iteration looks at a slot.
const AHEAD: usize = 12;

/// What [`Table::scan`] has found.
struct Scan<'g, K, V, S: Scheme> {
    group: Option<Group<'g, K, V, S>>,
    /// Nothing is to be found before. Its path was looked at.
    from: u64,
    /// Up to here nothing more is to be found.
    last: u64,
    met_frozen: bool,
}

impl<K, V> Tables<K, V> {
    /// The entries with the least hash from this one on.
    pub(super) fn least<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        mut from: u64,
    ) -> Option<Group<'g, K, V, S>> {
        loop {
            let root = self.root(guard)?;
            let mut scan = root.scan(guard, from, u64::MAX);
            from = scan.from;
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
}

impl<K, V> Table<K, V> {
    /// What a slot holds, for an iteration.
    fn step_to(&self, at: usize) -> Word<Node<K, V>> {
        if PREFETCHES {
            // The next steps come there.
            prefetch(Word::load(self.slot(self.ahead(at, AHEAD))).node().as_raw());
        }
        Word::load(self.slot(at))
    }

    /// Looks for the least hash in `from..=last` along the path of `from`; or, as long as that is an empty
    /// slot, along the path of the next home.
    fn scan<'g, S: Scheme>(
        &self,
        guard: &'g Guard<'g, S>,
        mut from: u64,
        last: u64,
    ) -> Scan<'g, K, V, S> {
        let mut home = self.home(from);
        let mut word = self.step_to(home);
        while word == Word::EMPTY {
            let end = self.last_hash(home, 0);
            if end >= last {
                return Scan { group: None, from, last, met_frozen: false };
            }
            (from, home) = (end + 1, home + 1);
            word = self.step_to(home);
        }
        let (mut at, mut passed, mut met_frozen) = (home, 0, false);
        let mut group: Option<Group<'g, K, V, S>> = None;
        let mut entry = guard.shield();
        loop {
            let slot = self.slot(at);
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
            if passed == self.len() {
                // M4.
                met_frozen |= self.is_followed();
                break;
            }
            at = self.after(at);
            word = self.step_to(at);
        }
        let last = last.min(self.last_hash(home, passed));
        Scan { group: group.filter(|group| group.hash <= last), from, last, met_frozen }
    }
}
