//! The four steps of the migration, slot by slot: freeze, copy, commit, clear.

use crate::memory::{Pointer, Word};
use crate::process::{At, Fault, Turn};
use crate::LeftOut;

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
    /// Freezes it.
    Freeze(Word),
    /// Protects its entry: reads the slot again, when the entry has been announced.
    Protect(Word),
    /// Copies the entry.
    Copy {
        /// The word it was found in.
        from: Word,
        /// Into this slot of the next table, if that is EMPTY.
        to: u8,
    },
    /// Exchanges the old word for one that names the copy.
    Commit {
        /// The old word.
        from: Word,
        /// The copy's slot.
        to: u8,
        /// Whether it has made the copy.
        own: bool,
    },
    /// Takes its copy away, as another one was named.
    TakeAway {
        /// The copy's word.
        copy: Word,
        /// Its slot.
        to: u8,
    },
    /// Reads the slot that was named.
    Clear {
        /// The slot.
        to: u8,
    },
    /// Makes the copy that was named an entry like others.
    Cleared {
        /// To the entry.
        copy: Pointer,
        /// The copy's slot.
        to: u8,
    },
}

impl Walk {
    pub(crate) fn new(path: Option<u8>, descending: bool) -> Self {
        Self { path, descending, done: 0, with: Slot::Look }
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
        self.me.at = At::Into(None);
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
        let slots = self.protocol.slots[usize::from(self.me.table)];
        let slot = match walk.path {
            Some(home) => home + walk.done,
            None if walk.descending => slots - 1 - walk.done,
            None => walk.done,
        };
        let with = |with| At::Migrate(Walk { with, ..walk });
        self.me.at = match walk.with {
            Slot::Look => return self.look(walk, slot),
            Slot::Freeze(word) => {
                let frozen = word.frozen().expect("what is frozen was not");
                match self.memory.exchange(self.me.table, slot, word, frozen) {
                    Ok(()) if word == Word::Empty => return self.slot_done(walk, true),
                    Ok(()) if frozen == Word::FrozenTomb => return self.slot_done(walk, false),
                    Ok(()) => with(Slot::Protect(frozen)),
                    Err(_) => with(Slot::Look),
                }
            }
            Slot::Protect(word) => {
                let (Word::Frozen(pointer) | Word::Entry(pointer)) = word else {
                    unreachable!("what is copied is an entry");
                };
                let is_there = self.memory.word(self.me.table, slot) == word;
                if is_there || self.omits(LeftOut::MoverValidates) {
                    self.follow(pointer);
                    with(Slot::Copy { from: word, to: 0 })
                } else {
                    with(Slot::Look)
                }
            }
            Slot::Copy { from, to } => with(self.copy(from, to)),
            Slot::Commit { from, to, own } => with(self.commit(slot, from, to, own)),
            Slot::TakeAway { copy, to } => {
                // If it was frozen as a tombstone meanwhile, that is as well.
                let _ = self.memory.exchange(self.me.table + 1, to, copy, Word::Tomb);
                self.me.held = None;
                with(Slot::Look)
            }
            Slot::Clear { to } => match self.memory.word(self.me.table + 1, to) {
                Word::Tentative(copy) => with(Slot::Cleared { copy, to }),
                _ => return self.slot_done(walk, false),
            },
            Slot::Cleared { copy, to } => {
                let (table, from) = (self.me.table + 1, Word::Tentative(copy));
                // Others may have done it, and gone on from there.
                let _ = self.memory.exchange(table, to, from, Word::Entry(copy));
                return self.slot_done(walk, false);
            }
        };
    }

    fn look(&mut self, walk: Walk, slot: u8) {
        let word = self.memory.word(self.me.table, slot);
        let is_frozen = match word {
            Word::Empty => {
                !self.omits(LeftOut::EmptyFrozen)
                    && !(walk.path.is_some() && self.omits(LeftOut::WriterMigratesEmpty))
            }
            Word::Tomb => !self.omits(LeftOut::TombFrozen),
            Word::Tentative(_) => !self.omits(LeftOut::GhostFrozen),
            Word::Entry(_) => !self.omits(LeftOut::EntryFrozen),
            _ => true,
        };
        let clears = if walk.path.is_some() {
            !self.omits(LeftOut::WriterClears)
        } else {
            !self.omits(LeftOut::RootWaitsForClear)
        };
        let with = match word {
            Word::Moved { to, .. } if clears => Slot::Clear { to },
            Word::Moved { .. } | Word::FrozenTomb => return self.slot_done(walk, false),
            Word::FrozenEmpty => return self.slot_done(walk, true),
            Word::Frozen(_) => Slot::Protect(word),
            _ if is_frozen => Slot::Freeze(word),
            Word::Entry(_) => Slot::Protect(word),
            Word::Empty => return self.slot_done(walk, true),
            Word::Tomb | Word::Tentative(_) => return self.slot_done(walk, false),
        };
        self.me.at = At::Migrate(Walk { with, ..walk });
    }

    /// Takes the first EMPTY on the entry's path in the next table: one exchange, or a look at what
    /// is there instead.
    fn copy(&mut self, from: Word, to: u8) -> Slot {
        let (Word::Frozen(pointer) | Word::Entry(pointer)) = from else {
            unreachable!("what is copied is an entry");
        };
        let next = self.me.table + 1;
        if to >= self.protocol.slots[usize::from(next)] {
            self.blame(Fault::Full(next));
            return Slot::Look;
        }
        match self.memory.word(next, to) {
            Word::Empty => {
                *self.memory.word_mut(next, to) = self.copy_of(pointer);
                Slot::Commit { from, to, own: true }
            }
            Word::Tentative(its) if its == pointer && self.protocol.adopts => {
                Slot::Commit { from, to, own: false }
            }
            // It is protected, so this is the very entry: it was moved.
            Word::Entry(its) | Word::Frozen(its) if its == pointer && self.protocol.adopts => {
                Slot::Look
            }
            // The next table is being migrated: then all of this one was moved.
            Word::FrozenEmpty => Slot::Look,
            _ => Slot::Copy { from, to: to + 1 },
        }
    }

    fn copy_of(&self, pointer: Pointer) -> Word {
        if self.omits(LeftOut::CopyIsTentative) {
            Word::Entry(pointer)
        } else {
            Word::Tentative(pointer)
        }
    }

    fn commit(&mut self, slot: u8, from: Word, to: u8, own: bool) -> Slot {
        let (Word::Frozen(pointer) | Word::Entry(pointer)) = from else {
            unreachable!("what is copied is an entry");
        };
        if self.omits(LeftOut::Commit) {
            self.me.held = None;
            return Slot::Clear { to };
        }
        let moved = Word::Moved { to, tag: pointer.tag };
        match self.memory.exchange(self.me.table, slot, from, moved) {
            Ok(()) => {
                self.me.held = None;
                Slot::Clear { to }
            }
            // Somebody else has named this very copy.
            Err(word) if word == moved && !self.omits(LeftOut::AdoptedCopyStays) => {
                self.me.held = None;
                Slot::Look
            }
            Err(_) if own && !self.omits(LeftOut::LoserTakesAway) => {
                if self.omits(LeftOut::TakenAwayWhileProtected) {
                    self.me.held = None;
                }
                Slot::TakeAway { copy: self.copy_of(pointer), to }
            }
            Err(_) => {
                self.me.held = None;
                Slot::Look
            }
        }
    }

    /// The slot is final, and what was in it is in the next table.
    fn slot_done(&mut self, walk: Walk, ends_path: bool) {
        let slots = self.protocol.slots[usize::from(self.me.table)];
        let done = walk.done + 1;
        let half = !walk.path.is_some() && self.omits(LeftOut::RootWaitsForAll) && done == slots / 2;
        let is_last = walk.path.unwrap_or(0) + done == slots;
        if walk.path.is_some() && (ends_path || is_last) {
            self.path_migrated();
        } else if is_last || half {
            self.me.at = At::Swing;
        } else {
            self.me.at = At::Migrate(Walk { done, with: Slot::Look, ..walk });
        }
    }
}
