//! Lookups, insertions, removals.
//!
//! A *path* goes from a key's home to the first EMPTY.

use crate::memory::{Key, Pointer, Word};
use crate::migration::Walk;
use crate::process::{At, Effect, Fault, Turn};
use crate::{LeftOut, Op};

/// A place on a key's path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lookup {
    /// The slot.
    pub slot: u8,
    /// A reader's: the slots of this table that the last one has named in a MOVED with the key's
    /// tag, a bit each.
    pub named: u8,
    /// A reader's: the slots of the next table that this one has named.
    pub moved: u8,
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
        let slot = self.protocol.home(self.me.table, self.key());
        Lookup { slot, named: 0, moved: 0 }
    }

    /// Reads a slot of the path.
    pub(crate) fn find(&mut self, lookup: Lookup) {
        self.me.held = None;
        if lookup.slot >= self.protocol.slots[usize::from(self.me.table)] {
            self.blame(Fault::Full(self.me.table));
            return;
        }
        let word = self.memory.word(self.me.table, lookup.slot);
        if matches!(self.op, Op::Get(_)) {
            self.read(lookup, word);
        } else {
            self.write(lookup, word);
        }
    }

    fn read(&mut self, lookup: Lookup, word: Word) {
        let (key, tag) = (self.key(), self.protocol.tag(self.key()));
        let is_named = lookup.named & (1 << lookup.slot) != 0;
        let follows_copy = (is_named && !self.omits(LeftOut::TentativeIsLiveWhereNamed))
            || self.omits(LeftOut::GhostsAreSkipped);
        self.me.at = match word {
            Word::Empty if lookup.moved == 0 => return self.answer(key, 0),
            Word::FrozenEmpty if lookup.moved == 0 && self.omits(LeftOut::FrozenEmptyLeadsOn) => {
                return self.answer(key, 0);
            }
            Word::Empty | Word::FrozenEmpty => At::Next(lookup),
            Word::Entry(it) | Word::Frozen(it) if it.tag == tag => At::Validate(lookup, word),
            Word::Tentative(it) if it.tag == tag && follows_copy => At::Validate(lookup, word),
            Word::Moved { to, tag: its }
                if its == tag && !self.omits(LeftOut::ReaderFollowsMoved) =>
            {
                At::Find(Lookup { moved: lookup.moved | (1 << to), ..lookup }.next())
            }
            _ => At::Find(lookup.next()),
        };
    }

    fn write(&mut self, lookup: Lookup, word: Word) {
        let (key, tag) = (self.key(), self.protocol.tag(self.key()));
        self.me.at = match word {
            Word::Empty if matches!(self.op, Op::Remove(_)) => return self.answer(key, 0),
            Word::Empty => At::Take(lookup),
            Word::Entry(it) if it.tag == tag => At::Validate(lookup, word),
            Word::Entry(_) | Word::Tomb | Word::Tentative(_) => At::Find(lookup.next()),
            Word::FrozenEmpty | Word::FrozenTomb | Word::Frozen(_) | Word::Moved { .. } => {
                At::Into(Some(lookup))
            }
        };
    }

    /// Reads the slot again, when its entry has been announced, and then its key.
    pub(crate) fn validate(&mut self, lookup: Lookup, word: Word) {
        let pointer = pointer_of(word).expect("what is validated points to an entry");
        let now = self.memory.word(self.me.table, lookup.slot);
        // The state bits may have changed: the entry is in the map with either.
        let is_there = now == word || matches!(self.op, Op::Get(_)) && pointer_of(now) == Some(pointer);
        if !is_there && !self.omits(LeftOut::LookupValidates) {
            self.me.at = At::Find(lookup);
            return;
        }
        let entry = self.follow(pointer);
        if entry.key != self.key() {
            self.me.at = At::Find(lookup.next());
        } else if let Op::Get(key) = self.op {
            self.answer(key, entry.value);
        } else {
            self.me.at = At::Exchange(lookup, word);
        }
    }

    /// Replaces or removes what was found.
    pub(crate) fn exchange(&mut self, lookup: Lookup, word: Word) {
        let found = pointer_of(word).expect("what was found is an entry");
        // It is protected since it was found.
        let old = self.memory.entry(found).map_or(0, |entry| entry.value);
        let to = self.me.new.map_or(Word::Tomb, Word::Entry);
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

    /// Puts the new entry into the first EMPTY.
    pub(crate) fn take(&mut self, lookup: Lookup) {
        let (Op::Insert(key, value), Some(new)) = (self.op, self.me.new) else {
            unreachable!("only insertions take a slot");
        };
        let to = Word::Entry(new);
        if self.memory.exchange(self.me.table, lookup.slot, Word::Empty, to).is_err() {
            self.me.at = At::Find(lookup);
            return;
        }
        self.effect = Effect::Put { key, new: value, old: 0 };
        self.me.new = None;
        self.done();
    }

    /// Announces the next table and looks whether it was retired meanwhile: it cannot have been
    /// as long as the root is this one. If the root has gone on, so has the map: again from there.
    pub(crate) fn next(&mut self, lookup: Lookup) {
        if self.memory.root != self.me.table && !self.omits(LeftOut::NextTableValidated) {
            self.me.at = At::Root;
            return;
        }
        self.enter(self.me.table + 1);
        self.me.at = At::Find(Lookup { named: lookup.moved, ..self.home() });
    }

    /// The same, to migrate the path into it.
    pub(crate) fn into_next(&mut self, path: Option<Lookup>) {
        let validates =
            !self.omits(LeftOut::NextTableValidated) && !self.omits(LeftOut::OneMigrationAtATime);
        if self.memory.root != self.me.table && validates {
            match path {
                Some(_) => self.me.at = At::Root,
                None => self.done(),
            }
            return;
        }
        if self.memory.tables[usize::from(self.me.table) + 1].retired {
            self.blame(Fault::DeadTable(self.me.table + 1));
        }
        if path.is_some() && self.omits(LeftOut::WriterMigratesPath) {
            return self.path_migrated();
        }
        let descending = matches!(self.op, Op::Migrate { descending: true });
        let path = path.map(|_| self.home().slot);
        self.me.at = At::Migrate(Walk::new(path, descending));
    }

    /// The key's whole path has been migrated: it goes on in the next table.
    pub(crate) fn path_migrated(&mut self) {
        self.me.table += 1;
        self.me.at = At::Find(self.home());
    }
}

/// The entry that a word points to.
fn pointer_of(word: Word) -> Option<Pointer> {
    match word {
        Word::Entry(pointer) | Word::Frozen(pointer) | Word::Tentative(pointer) => Some(pointer),
        _ => None,
    }
}
