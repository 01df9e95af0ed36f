//! Lookups, insertions, removals.
//!
//! A *path* goes from a key's home to the first EMPTY. A search ends there, or before: at the last
//! slot of its mark.

use crate::memory::{Key, Pointer, Word};
use crate::migration::Walk;
use crate::process::{At, Effect, Fault, Turn};
use crate::{LeftOut, Op};

/// A place on a key's path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lookup {
    /// The slot.
    pub slot: u8,
    /// Whether it has met a slot that was frozen or moved.
    pub met_frozen: bool,
}

impl Lookup {
    fn next(self) -> Self {
        Self { slot: self.slot + 1, ..self }
    }
}

impl Turn<'_> {
    fn key(&self) -> Key {
        match self.op {
            Op::Insert(key, _) | Op::Remove(key) | Op::Get(key) => key,
            Op::Migrate { .. } => unreachable!("a migration looks for no key"),
        }
    }

    /// Where the path begins.
    pub(crate) fn home(&self) -> Lookup {
        Lookup { slot: self.protocol.home(self.me.table, self.key()), met_frozen: false }
    }

    /// Reads a slot of the path.
    pub(crate) fn find(&mut self, lookup: Lookup) {
        self.me.held = None;
        if lookup.slot >= self.protocol.slots[usize::from(self.me.table)] {
            self.blame(Fault::Full(self.me.table));
            return;
        }
        let is_reader = matches!(self.op, Op::Get(_));
        let word = self.memory.word(self.me.table, lookup.slot);
        let leads_on = match word {
            Word::Moved => !(is_reader && self.omits(LeftOut::ReaderFollowsMoved)),
            Word::FrozenEmpty => !(is_reader && self.omits(LeftOut::FrozenEmptyLeadsOn)),
            _ => true,
        };
        let met_frozen = lookup.met_frozen || word.is_frozen() && leads_on;
        let lookup = Lookup { met_frozen, ..lookup };
        // What is frozen is for readers only: a writer migrates it.
        let may_be_it = match word {
            Word::Frozen(_) if !is_reader => false,
            _ => word.pointer().is_some_and(|it| it.may_have(self.protocol.tag(self.key()))),
        };
        match word {
            Word::Empty | Word::FrozenEmpty => self.absent(lookup, word),
            Word::Tomb(mark) if mark == self.protocol.mark(self.key()) => self.absent(lookup, word),
            _ if may_be_it => self.me.at = At::Validate(lookup, word),
            _ => self.me.at = At::Find(lookup.next()),
        }
    }

    /// The search has ended, at this word.
    fn absent(&mut self, lookup: Lookup, word: Word) {
        let is_tomb = matches!(word, Word::Tomb(_));
        let stays = !lookup.met_frozen || is_tomb && self.omits(LeftOut::TombNeedsNoFrozen);
        self.me.at = match self.op {
            Op::Get(_) if lookup.met_frozen => At::Next,
            Op::Insert(..) | Op::Remove(_) if !stays => At::Into { for_path: true },
            // It stays in its slot, which will be migrated.
            Op::Insert(..) if is_tomb => At::Take(lookup, word),
            Op::Insert(..) => At::Reserve(lookup),
            Op::Get(key) | Op::Remove(key) => return self.answer(key, 0),
            Op::Migrate { .. } => unreachable!("a migration looks for no key"),
        };
    }

    /// The last slot of the mark holds another key.
    fn other(&mut self, lookup: Lookup, word: Word) {
        self.me.at = match self.op {
            Op::Get(_) => return self.absent(lookup, word),
            _ if self.omits(LeftOut::GivesMore) => At::Find(lookup.next()),
            _ if lookup.met_frozen => At::Into { for_path: true },
            _ => At::GiveMore(lookup, word),
        };
    }

    /// Gives MORE to the other key's entry, which it protects, and looks again.
    pub(crate) fn give_more(&mut self, lookup: Lookup, word: Word) {
        let other = word.pointer().expect("what gets MORE is an entry");
        let to = Word::Entry(other.with_more());
        // If it fails, another process has changed the slot.
        let _ = self.memory.exchange(self.me.table, lookup.slot, word, to);
        self.me.held = None;
        self.me.at = At::Root;
    }

    /// Reads whether a migration has begun: then nothing more is to come into this table, so that
    /// what is in it fits into the next one.
    pub(crate) fn reserve(&mut self, lookup: Lookup) {
        let has_next = self.memory.tables[usize::from(self.me.table)].has_next;
        self.me.at =
            if has_next { At::Into { for_path: true } } else { At::Take(lookup, Word::Empty) };
    }

    /// Reads the slot again, when its entry has been announced, and then its key.
    pub(crate) fn validate(&mut self, lookup: Lookup, word: Word) {
        let pointer = word.pointer().expect("what is validated points to an entry");
        let now = self.memory.word(self.me.table, lookup.slot);
        if now != word && !self.omits(LeftOut::LookupValidates) {
            self.me.at = At::Find(lookup);
            return;
        }
        let entry = self.follow(pointer);
        let has_mark = self.protocol.mark(entry.key) == self.protocol.mark(self.key());
        if entry.key != self.key() && has_mark && !pointer.has_more {
            self.other(lookup, word);
        } else if entry.key != self.key() {
            self.me.at = At::Find(lookup.next());
        } else if let Op::Get(key) = self.op {
            self.answer(key, entry.value);
        } else {
            self.me.at = At::Exchange(lookup, word);
        }
    }

    /// Replaces or removes what was found.
    pub(crate) fn exchange(&mut self, lookup: Lookup, word: Word) {
        let found = word.pointer().expect("what was found is an entry");
        // It is protected since it was found.
        let old = self.memory.entry(found).map_or(0, |entry| entry.value);
        let has_more = found.has_more && !self.omits(LeftOut::MoreStays);
        let to = match self.me.new {
            Some(new) => Word::Entry(Pointer { has_more, ..new }),
            None if has_more => Word::Spent,
            None => Word::Tomb(self.protocol.mark(self.key())),
        };
        if self.memory.exchange(self.me.table, lookup.slot, word, to).is_err() {
            self.me.at = At::Find(lookup);
            return;
        }
        self.effect = match self.op {
            Op::Insert(key, new) => Effect::Put { key, new, old },
            _ => Effect::Gone { key: self.key(), old },
        };
        self.me.new = None;
        self.retire(found);
        self.done();
    }

    /// Puts the new entry into the first EMPTY, or into the tombstone.
    pub(crate) fn take(&mut self, lookup: Lookup, from: Word) {
        let (Op::Insert(key, value), Some(new)) = (self.op, self.me.new) else {
            unreachable!("only insertions take a slot");
        };
        let to = Word::Entry(new);
        if self.memory.exchange(self.me.table, lookup.slot, from, to).is_err() {
            self.me.at = At::Find(lookup);
            return;
        }
        self.effect = Effect::Put { key, new: value, old: 0 };
        self.me.new = None;
        self.done();
    }

    /// Announces the next table and looks whether it was retired meanwhile: it cannot have been
    /// as long as the root is this one. If the root has gone on, so has the map.
    fn next_is_protected(&mut self) -> bool {
        let validates =
            !self.omits(LeftOut::NextTableValidated) && !self.omits(LeftOut::OneMigrationAtATime);
        if validates && self.memory.root != self.me.table {
            return false;
        }
        let next = self.me.table + 1;
        if self.memory.tables[usize::from(next)].retired {
            self.blame(Fault::DeadTable(next));
        }
        true
    }

    /// Goes on in the next table.
    pub(crate) fn next(&mut self) {
        if self.next_is_protected() {
            self.in_next();
        } else {
            self.me.at = At::Root;
        }
    }

    /// Migrates into the next table.
    pub(crate) fn migrate_next(&mut self, for_path: bool) {
        match (self.next_is_protected(), for_path) {
            (true, true) if self.omits(LeftOut::WriterMigratesPath) => self.in_next(),
            (true, true) => self.me.at = At::Migrate(Walk::path(self.home().slot)),
            (true, false) => self.me.at = At::Migrate(Walk::all(self.op)),
            (false, true) => self.me.at = At::Root,
            (false, false) => self.done(),
        }
    }

    /// Looks for its key in the next table, which it protects.
    pub(crate) fn in_next(&mut self) {
        self.me.table += 1;
        self.me.at = At::Find(self.home());
    }
}
