//! What the processes share: tables of words, entries at addresses that are used again.

use crate::Protocol;

/// The number of an entry's place in memory.
pub type Address = u8;

/// A key.
pub type Key = u8;

/// A value; all that are ever inserted are different.
pub type Value = u8;

/// What a tombstone keeps of a key's hash.
pub type Mark = u8;

/// The bits of a key's hash that stand in an entry's word: some of its mark.
pub type Tag = u8;

/// How many slots a table has.
pub const SLOTS: usize = 6;

/// How many tables there are at most: two migrations.
pub const TABLES: usize = 3;

/// How many entries there is memory for.
pub const ADDRESSES: usize = 6;

/// How many different keys there are.
pub const KEYS: usize = 3;

/// A pointer to an entry, with what stands beside it in a word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pointer {
    /// Where the entry is.
    pub address: Address,
    /// Of its key; it counts as long as there is no MORE.
    pub tag: Tag,
    /// MORE: other slots of the same mark are behind this one.
    pub has_more: bool,
}

impl Pointer {
    /// The same, and there are other slots of its mark.
    pub(crate) fn with_more(self) -> Self {
        Self { has_more: true, ..self }
    }

    /// Whether its key may have this tag.
    pub(crate) fn may_have(self, tag: Tag) -> bool {
        self.has_more || self.tag == tag
    }
}

/// What a slot holds: one word, which is read and exchanged at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Word {
    /// Never taken: ends every search.
    #[default]
    Empty,
    /// The entry was removed, and there was no MORE: a key of this mark may be put in here.
    Tomb(Mark),
    /// The entry was removed, and there was MORE. Nobody writes here any more.
    Spent,
    /// An entry that is in the map.
    Entry(Pointer),
    /// `Empty`, and nobody writes here any more.
    FrozenEmpty,
    /// `Entry`, and nobody writes here any more, except that it has gone.
    Frozen(Pointer),
    /// The entry is in the next table; or it was a tombstone. Nobody writes here any more.
    Moved,
}

impl Word {
    /// The entry that it points to.
    pub(crate) fn pointer(self) -> Option<Pointer> {
        match self {
            Self::Entry(pointer) | Self::Frozen(pointer) => Some(pointer),
            Self::Empty | Self::Tomb(_) | Self::Spent | Self::FrozenEmpty | Self::Moved => None,
        }
    }

    /// Whether it points to an entry at this address.
    pub(crate) fn leads_to(self, address: Address) -> bool {
        self.pointer().is_some_and(|pointer| pointer.address == address)
    }

    /// Whether a table that holds it is being migrated, or was.
    pub(crate) fn is_frozen(self) -> bool {
        matches!(self, Self::Frozen(_) | Self::FrozenEmpty | Self::Moved)
    }
}

/// A table. It is known by its number: the next one's is one more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Table {
    /// The words; a table may have fewer slots than this.
    pub slots: [Word; SLOTS],
    /// Whether the migration to the next table has begun.
    pub has_next: bool,
    /// Whether it was retired: it may be freed once nobody protects it.
    pub retired: bool,
}

/// An entry's memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// Whether it was retired: its memory may be used again once nobody protects it.
    pub retired: bool,
    /// Whether another entry was here before.
    pub reused: bool,
}

/// What is shared.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Memory {
    /// By number.
    pub tables: [Table; TABLES],
    /// The number of the map's present table.
    pub root: u8,
    /// By address.
    pub entries: [Option<Entry>; ADDRESSES],
}

/// A key's values: none or one, if all is well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Content {
    /// How many entries of this key are in the map.
    pub count: u8,
    /// The value of one of them; 0 if there is none.
    pub value: Value,
}

impl Memory {
    pub(crate) fn word(&self, table: u8, slot: u8) -> Word {
        self.tables[usize::from(table)].slots[usize::from(slot)]
    }

    pub(crate) fn word_mut(&mut self, table: u8, slot: u8) -> &mut Word {
        &mut self.tables[usize::from(table)].slots[usize::from(slot)]
    }

    /// Exchanges a word if it is the expected one; else says which one it is.
    pub(crate) fn exchange(
        &mut self,
        table: u8,
        slot: u8,
        from: Word,
        to: Word,
    ) -> Result<(), Word> {
        let word = self.word_mut(table, slot);
        if *word != from {
            return Err(*word);
        }
        *word = to;
        Ok(())
    }

    pub(crate) fn entry(&self, pointer: Pointer) -> Option<&Entry> {
        self.entries[usize::from(pointer.address)].as_ref()
    }

    /// The pointer in a slot, if it counts: that to a copy does when the original is gone.
    fn live(&self, table: usize, slot: usize) -> Option<Pointer> {
        let pointer = self.tables[table].slots[slot].pointer()?;
        let is_original = |word: &Word| word.leads_to(pointer.address);
        let old = table.checked_sub(1).map(|old| &self.tables[old].slots);
        (!old.is_some_and(|slots| slots.iter().any(is_original))).then_some(pointer)
    }

    /// All pointers to what is in the map.
    pub(crate) fn all_live(&self) -> impl Iterator<Item = Pointer> {
        (0..TABLES)
            .flat_map(|table| (0..SLOTS).map(move |slot| (table, slot)))
            .filter_map(|(table, slot)| self.live(table, slot))
    }

    /// What the map holds at this instant, by key: the abstraction of the state.
    pub(crate) fn contents(&self) -> [Content; KEYS] {
        let mut contents = [Content::default(); KEYS];
        for entry in self.all_live().filter_map(|pointer| self.entry(pointer)) {
            let content = &mut contents[usize::from(entry.key)];
            content.count += 1;
            content.value = entry.value;
        }
        contents
    }

    /// Whether of a mark's slots in a table all but the last have MORE, or are spent or moved.
    pub(crate) fn all_but_the_last_have_more(&self, protocol: &Protocol) -> bool {
        self.tables.iter().all(|table| {
            let mut ended = [false; KEYS];
            table.slots.iter().all(|word| {
                let (mark, has_more) = match *word {
                    Word::Tomb(mark) => (mark, false),
                    Word::Entry(pointer) | Word::Frozen(pointer) => {
                        let Some(entry) = self.entry(pointer) else { return false };
                        (protocol.marks[usize::from(entry.key)], pointer.has_more)
                    }
                    Word::Empty | Word::Spent | Word::FrozenEmpty | Word::Moved => return true,
                };
                !core::mem::replace(&mut ended[usize::from(mark)], !has_more)
            })
        })
    }

    /// The words of the first table that a protocol begins with.
    pub(crate) fn new(protocol: &Protocol) -> Self {
        let mut memory =
            Self { tables: [Table::default(); TABLES], root: 0, entries: [None; ADDRESSES] };
        let address =
            |memory: &Self| memory.fresh().expect("there is memory for the first entries");
        for (slot, start) in protocol.start.iter().enumerate() {
            memory.tables[0].slots[slot] = match *start {
                crate::Start::Empty => Word::Empty,
                crate::Start::Tomb(key) => Word::Tomb(protocol.mark(key)),
                crate::Start::Entry(key, value) => {
                    Word::Entry(memory.put(protocol, address(&memory), key, value))
                }
                crate::Start::More(key, value) => {
                    Word::Entry(memory.put(protocol, address(&memory), key, value).with_more())
                }
            };
        }
        memory
    }

    /// Makes an entry.
    pub(crate) fn put(
        &mut self,
        protocol: &Protocol,
        address: Address,
        key: Key,
        value: Value,
    ) -> Pointer {
        let place = &mut self.entries[usize::from(address)];
        *place = Some(Entry { key, value, retired: false, reused: place.is_some() });
        Pointer { address, tag: protocol.tag(key), has_more: false }
    }

    /// Memory that was never used.
    pub(crate) fn fresh(&self) -> Option<Address> {
        self.entries.iter().position(Option::is_none).map(|address| address as Address)
    }
}
