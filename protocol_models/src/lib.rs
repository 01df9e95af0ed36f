//! The migration of `sexton::HashMap`'s table as an explicit-state model, for
//! [stateright](https://docs.rs/stateright): all interleavings of a few processes, with memory that
//! is used again as soon as nobody protects it.
//!
//! ```text
//! cargo test --release -p sexton-protocol-models
//! ```
//!
//! The loom models run the code, under weak memory, and reach a few interleavings of a few
//! operations. This one runs the *protocol*, sequentially consistent, and reaches all of them: with
//! more processes, with sleepers everywhere, and with addresses that come back. What the code adds
//! to the protocol (orderings, chunks, room in the next table, paths around a table's end) is not
//! here.
//!
//! # The protocol
//!
//! A slot is one word. A *path* goes from a key's home to the first EMPTY; a slot that was taken is
//! never EMPTY again. A removed entry leaves a tombstone, TOMB, with the *mark* of its key: most of
//! the hash. All entries that ever stand in a slot have the same mark; different keys may have it,
//! too.
//!
//! *MORE* on an entry's word says that there may be other slots of its mark behind it. It stays
//! when the entry is replaced, and when it is removed, the slot is SPENT. Whoever takes an EMPTY
//! has given MORE to each slot of his mark that he has passed, or found it so. So all but the last
//! have it, or are spent, or moved; and the last one ends a search: it holds the key, or another
//! one, or it is the TOMB into which the key is put.
//!
//! Whoever migrates a slot
//!
//! 1. *freezes* it (an entry is protected first): after that nobody writes it, except step 3. A
//!    TOMB becomes MOVED;
//! 2. *copies* the entry into the first EMPTY of its path in the next table, unless he finds it, or
//!    a frozen slot, on the way; gives MORE to an entry of the same mark that he passes; and reads
//!    the old slot again, between having walked there and taking the EMPTY. As he does, an entry is
//!    copied at most once (below);
//! 3. *commits*: the old word becomes MOVED.
//!
//! A writer that finds its key's entry, not frozen, exchanges it there; or its mark's TOMB, if it
//! has met no frozen or moved slot before. One that finds neither, and has met such a slot or finds
//! that a migration has begun, migrates all of the path, with the EMPTY at its end, and goes on in
//! the next table. A reader takes what it finds, frozen or not; it goes on in the next table if it
//! does not find its key and has met a frozen or moved slot. When all slots are final, the root is
//! swung and the old table retired; only then may a migration from the new table begin.
//!
//! Copied once: say A has copied the entry to p, and B is about to, to p'. Not p' before p: A has
//! seen it taken, and a mover takes nothing but an EMPTY. Not p: it is taken. If p' is behind p, B
//! has seen at p neither EMPTY (or it would have gone for it) nor the entry (or it would commit);
//! so a writer has taken the entry out of p, whatever was put into its TOMB since. Before that the
//! old word was MOVED, which B sees when it reads it again. (Until then B may give MORE to what has
//! come to p, with nothing behind it. That slot is spent when its entry is removed, and the key
//! takes an EMPTY when it comes again.) And an address that is used again deceives nobody: by then
//! the old word is MOVED, so that B can commit nothing.
//!
//! # What is a step
//!
//! One load, or one compare-and-exchange. What a process does alone is part of the step before it;
//! reclamation is as early as it may be (an address is used again, or not, by any allocation from
//! the moment when it is retired and nobody protects it). An announced protection counts once
//! it is validated. A process that sleeps for ever is one that is not chosen again: the properties
//! hold in all states, so also in all that such a run ends in.
//!
//! # What is checked in each state
//!
//! See [`properties`](stateright::Model::properties): the map's content (computed from the words,
//! by [`Memory::contents`](memory::Memory)) changes by the exchanges of insertions and removals
//! only, by each as its operation says, and at most once; what an operation answers that changes
//! nothing was true at an instant while it ran. Together that is linearizability, with the
//! linearization points shown. Of a mark's slots in a table all but the last have MORE, or are
//! spent or moved. Nothing that was retired is protected anew, nothing is retired twice, all that
//! is not retired is in the map at the end; and whoever runs alone from there ends.
//!
//! Each step can be [left out](LeftOut): `tests/left_out.rs` shows what then goes wrong, and names
//! the steps without which nothing does.
//!
//! # The rooms
//!
//! | file | room |
//! | --- | --- |
//! | `memory.rs` | words, tables, entries; what the map holds |
//! | `process.rs` | a process, its step, and what a step may change |
//! | `client.rs` | lookups, insertions, removals |
//! | `migration.rs` | the three steps, and the root's swing |
//! | `model.rs` | the properties, and what is to be seen at least once |

mod client;
pub mod memory;
mod migration;
mod model;
mod process;

pub use client::Lookup;
pub use migration::{Slot, Walk};
pub use model::{Action, ENDS_ALONE, SOUND};
pub use process::{At, Fault, Process, State};

use memory::{KEYS, Key, Mark, Tag, Value};

/// What a process does, one after another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Inserts a value, or replaces the key's.
    Insert(Key, Value),
    /// Removes a key.
    Remove(Key),
    /// Looks a key up.
    Get(Key),
    /// Helps the migration from the root's table, and begins it if need be.
    Migrate {
        /// Whether from the last slot to the first.
        descending: bool,
    },
}

/// What a slot of the first table holds at first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Start {
    /// Nothing, and never has.
    Empty,
    /// Nothing any more, after an entry with this key's mark.
    Tomb(Key),
    /// An entry.
    Entry(Key, Value),
    /// An entry, with MORE.
    More(Key, Value),
}

/// A configuration: who does what, and on which tables.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The first table.
    pub start: Vec<Start>,
    /// How many slots each table has.
    pub slots: Vec<u8>,
    /// Key 1's home in the first table. All other homes are slot 0.
    pub other_home: u8,
    /// The keys' marks. Keys of one mark have one home.
    pub marks: [Mark; KEYS],
    /// Whether all keys have the same tag, whatever their marks.
    pub one_tag: bool,
    /// What each process does.
    pub programs: Vec<Vec<Op>>,
    /// The step that nobody does.
    pub left_out: Option<LeftOut>,
}

impl Protocol {
    pub(crate) fn mark(&self, key: Key) -> Mark {
        self.marks[usize::from(key)]
    }

    /// The bits of a key's hash that stand in a word.
    pub(crate) fn tag(&self, key: Key) -> Tag {
        if self.one_tag { 0 } else { self.mark(key) }
    }

    /// Where a key's path begins.
    pub(crate) fn home(&self, table: u8, key: Key) -> u8 {
        if (table, key) == (0, 1) { self.other_home } else { 0 }
    }
}

/// A step, or a check, that can be left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LeftOut {
    /// An EMPTY is frozen.
    EmptyFrozen,
    /// A tombstone is frozen.
    TombFrozen,
    /// An entry is frozen before it is copied.
    EntryFrozen,
    /// It keeps MORE.
    FrozenKeepsMore,
    /// A mover reads the old slot again when he has announced the entry, before he follows it.
    MoverValidates,
    /// A mover protects the entry until it is moved.
    MoverStaysProtected,
    /// A mover takes the entry for copied where he finds it on his way.
    MoverFindsCopy,
    /// A mover reads the old slot again before he takes an EMPTY.
    MoverLooksAgain,
    /// A mover gives MORE to a slot of the same mark before it takes an EMPTY behind it.
    MoverGivesMore,
    /// He reads that slot again when he has announced its entry, before he follows it.
    PassValidates,
    /// A mover is done when he finds a frozen slot in the next table.
    MoverEndsAtFrozen,
    /// The old word becomes MOVED.
    Commit,
    /// A writer gives MORE to another key of the same mark before it takes an EMPTY behind it.
    GivesMore,
    /// MORE stays when the entry is replaced, and the slot is spent when it is removed.
    MoreStays,
    /// A writer that finds its mark's tombstone stays in the table only if it has met no slot that
    /// was frozen.
    TombNeedsNoFrozen,
    /// A writer migrates its path before it goes on in the next table.
    WriterMigratesPath,
    /// With the EMPTY at its end.
    WriterMigratesEmpty,
    /// A reader goes on in the next table when it has met a MOVED.
    ReaderFollowsMoved,
    /// A reader goes on in the next table when its path ends in a frozen EMPTY.
    FrozenEmptyLeadsOn,
    /// A lookup reads the slot again when it has announced the entry.
    LookupValidates,
    /// Who goes on in the next table looks whether the root is still this one.
    NextTableValidated,
    /// The root is swung when all slots are final.
    RootWaitsForAll,
    /// A migration begins only when the last is complete.
    OneMigrationAtATime,
}
