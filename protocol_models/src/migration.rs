//! The three steps of the migration, slot by slot: freeze, copy, commit.

use crate::memory::{Pointer, Word};
use crate::process::{At, Fault, Turn};
use crate::{LeftOut, Op};

/// A walk over a table's slots, or over a key's path, that migrates each of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Walk {
    /// Where the path begins, if it is one: it ends at the path's end, and an operation goes on
    /// after it.
    pub path: Option<u8>,
    /// Whether it goes from the last slot to the first.
    pub descending: bool,
    /// How many slots are migrated.
    pub done: u8,
    /// Where it is with the next one.
    pub with: Slot,
}

/// Where a walk is with a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Slot {
    /// Reads the slot.
    Look,
    /// Freezes an EMPTY, or a tombstone: it is final then.
    FreezeVacant(Word),
    /// Protects its entry: reads the slot again, when the entry has been announced.
    Protect(Word),
    /// Freezes the entry.
    Freeze(Pointer),
    /// Reads this slot of the next table.
    LookAt(Pointer, u8),
    /// Protects the entry that is there, and may have the same mark: reads the slot again.
    Pass(Pointer, u8, Word),
    /// Gives MORE to that entry.
    GiveMore(Pointer, u8, Word),
    /// Reads the old slot again, as that one is EMPTY.
    LookAgain(Pointer, u8),
    /// Copies the entry there.
    Copy(Pointer, u8),
    /// Exchanges the old word for MOVED.
    Commit(Pointer),
}

impl Walk {
    pub(crate) fn path(home: u8) -> Self {
        Self { path: Some(home), descending: false, done: 0, with: Slot::Look }
    }

    pub(crate) fn all(op: Op) -> Self {
        let descending = matches!(op, Op::Migrate { descending: true });
        Self { path: None, descending, done: 0, with: Slot::Look }
    }
}

impl Turn<'_> {
    /// Begins a migration, if none has begun.
    pub(crate) fn begin(&mut self) {
        let last = self.protocol.slots.len() as u8 - 1;
        if self.omits(LeftOut::OneMigrationAtATime) {
            // The last table, whether or not all has come there that is to come.
            let mut tables = self.memory.tables.iter();
            self.me.table = tables.position(|table| !table.has_next).unwrap_or_default() as u8;
        }
        if self.me.table == last {
            return self.done();
        }
        self.memory.tables[usize::from(self.me.table)].has_next = true;
        self.me.at = At::Into { for_path: false };
    }

    /// All is moved: the root is the next table, and who has made it so retires the old one.
    pub(crate) fn swing(&mut self) {
        if self.memory.root == self.me.table {
            self.memory.root += 1;
            self.memory.tables[usize::from(self.me.table)].retired = true;
        }
        self.done();
    }

    pub(crate) fn migrate(&mut self, walk: Walk) {
        let (table, slots) = (self.me.table, self.protocol.slots[usize::from(self.me.table)]);
        let slot = match walk.path {
            Some(home) => home + walk.done,
            None if walk.descending => slots - 1 - walk.done,
            None => walk.done,
        };
        let word = self.memory.word(table, slot);
        let with = match walk.with {
            Slot::Look => match self.look(walk, word) {
                Some(with) => with,
                None => {
                    return self.slot_done(walk, matches!(word, Word::Empty | Word::FrozenEmpty));
                }
            },
            Slot::FreezeVacant(from) => {
                let is_empty = from == Word::Empty;
                let to = if is_empty { Word::FrozenEmpty } else { Word::Moved };
                if self.memory.exchange(table, slot, from, to).is_ok() {
                    return self.slot_done(walk, is_empty);
                }
                Slot::Look
            }
            Slot::Protect(seen) => self.protect(word, seen),
            Slot::Freeze(pointer) => {
                let has_more = pointer.has_more && !self.omits(LeftOut::FrozenKeepsMore);
                let frozen = Pointer { has_more, ..pointer };
                let (from, to) = (Word::Entry(pointer), Word::Frozen(frozen));
                match self.memory.exchange(table, slot, from, to) {
                    Ok(()) => Slot::LookAt(frozen, 0),
                    Err(_) => Slot::Look,
                }
            }
            Slot::LookAt(pointer, to) => self.look_at(pointer, to),
            Slot::Pass(pointer, to, seen) => self.pass(pointer, to, seen),
            Slot::GiveMore(pointer, to, seen) => {
                let other = seen.pointer().expect("what gets MORE is an entry");
                let more = Word::Entry(other.with_more());
                self.me.passed = None;
                match self.memory.exchange(table + 1, to, seen, more) {
                    Ok(()) => Slot::LookAt(pointer, to + 1),
                    Err(_) => Slot::LookAt(pointer, to),
                }
            }
            Slot::LookAgain(pointer, to) => match word.pointer() {
                Some(_) => Slot::Copy(pointer, to),
                None => return self.slot_done(walk, false),
            },
            Slot::Copy(pointer, to) => {
                let copy = Word::Entry(Pointer { has_more: false, ..pointer });
                match self.memory.exchange(table + 1, to, Word::Empty, copy) {
                    Ok(()) => Slot::Commit(pointer),
                    Err(_) => Slot::LookAt(pointer, to),
                }
            }
            Slot::Commit(pointer) => {
                let from = self.memory.word(table, slot);
                if from.pointer() == Some(pointer) && !self.omits(LeftOut::Commit) {
                    *self.memory.word_mut(table, slot) = Word::Moved;
                }
                return self.slot_done(walk, false);
            }
        };
        if with == Slot::Look {
            (self.me.held, self.me.passed) = (None, None);
        }
        self.me.at = At::Migrate(Walk { with, ..walk });
    }

    /// What is to be done with a slot; `None` if it is final.
    fn look(&self, walk: Walk, word: Word) -> Option<Slot> {
        match word {
            Word::Spent | Word::Moved | Word::FrozenEmpty => None,
            Word::Tomb(_) if self.omits(LeftOut::TombFrozen) => None,
            Word::Empty if self.omits(LeftOut::EmptyFrozen) => None,
            Word::Empty if walk.path.is_some() && self.omits(LeftOut::WriterMigratesEmpty) => None,
            Word::Empty | Word::Tomb(_) => Some(Slot::FreezeVacant(word)),
            Word::Entry(_) | Word::Frozen(_) => Some(Slot::Protect(word)),
        }
    }

    fn protect(&mut self, word: Word, seen: Word) -> Slot {
        let pointer = seen.pointer().expect("what is protected is an entry");
        if word != seen && !self.omits(LeftOut::MoverValidates) {
            return Slot::Look;
        }
        self.follow(pointer);
        if self.omits(LeftOut::MoverStaysProtected) {
            self.me.held = None;
        }
        match seen {
            Word::Entry(_) if !self.omits(LeftOut::EntryFrozen) => Slot::Freeze(pointer),
            _ => Slot::LookAt(pointer, 0),
        }
    }

    /// Looks for the entry, or for the first EMPTY on its path, in the next table.
    fn look_at(&mut self, pointer: Pointer, to: u8) -> Slot {
        let next = self.me.table + 1;
        if to >= self.protocol.slots[usize::from(next)] {
            self.blame(Fault::Full(next));
            return Slot::Look;
        }
        let ends = !self.omits(LeftOut::MoverEndsAtFrozen);
        let gives_more = !self.omits(LeftOut::MoverGivesMore);
        match self.memory.word(next, to) {
            Word::Empty if self.omits(LeftOut::MoverLooksAgain) => Slot::Copy(pointer, to),
            Word::Empty => Slot::LookAgain(pointer, to),
            // The next table is being migrated: then all of this one was moved.
            word if word.is_frozen() && ends => Slot::Commit(pointer),
            Word::FrozenEmpty => Slot::Commit(pointer),
            // The very entry; or another that has its address, and then the old word is MOVED.
            word if word.leads_to(pointer.address) && !self.omits(LeftOut::MoverFindsCopy) => {
                Slot::Commit(pointer)
            }
            word @ Word::Entry(other)
                if gives_more && other.tag == pointer.tag && !other.has_more =>
            {
                Slot::Pass(pointer, to, word)
            }
            // A tombstone of its mark, too: then its path was migrated, and this entry was moved.
            _ => Slot::LookAt(pointer, to + 1),
        }
    }

    /// Looks whether an entry of the next table has the same mark as the one to be copied.
    fn pass(&mut self, pointer: Pointer, to: u8, seen: Word) -> Slot {
        let other = seen.pointer().expect("what is protected is an entry");
        if self.memory.word(self.me.table + 1, to) != seen && !self.omits(LeftOut::PassValidates) {
            return Slot::LookAt(pointer, to);
        }
        let other = self.follow_too(other);
        let moved = self.memory.entry(pointer).expect("what is moved was allocated");
        if self.protocol.mark(other.key) == self.protocol.mark(moved.key) {
            return Slot::GiveMore(pointer, to, seen);
        }
        self.me.passed = None;
        Slot::LookAt(pointer, to + 1)
    }

    /// The slot is final, and what was in it is in the next table.
    fn slot_done(&mut self, walk: Walk, ends_path: bool) {
        self.me.held = None;
        let slots = self.protocol.slots[usize::from(self.me.table)];
        let done = walk.done + 1;
        let is_last = walk.path.unwrap_or(0) + done == slots;
        let half = self.omits(LeftOut::RootWaitsForAll) && done == slots / 2;
        self.me.at = match walk.path {
            Some(_) if ends_path || is_last => return self.in_next(),
            None if is_last || half => At::Swing,
            _ => At::Migrate(Walk { done, with: Slot::Look, ..walk }),
        };
    }
}
