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
//! to the protocol (orderings, chunks, sizes) is not here.
//!
//! # The protocol
//!
//! A slot is one word. A *path* goes from a key's home to the first EMPTY.
//!
//! 1. *Freeze*: after that nobody writes the slot, except step 3.
//! 2. Protect the entry, and copy it as TENTATIVE into the first EMPTY of its path in the next table;
//!    a copy of the same entry that is found on the way is as good.
//! 3. *Commit*: the old slot says where the copy is. Who finds that it names another copy takes his
//!    own away, while he protects the entry: so no tentative copy is of an entry that has died.
//! 4. *Clear* TENTATIVE in the slot that was named. Anyone may.
//!
//! A writer whose path has a frozen or moved slot migrates all of the path, with the EMPTY at its
//! end, and goes on in the next table. A reader goes on there when the path ends in a frozen EMPTY,
//! or it has met the key's tag in a MOVED; the slot that was named is live even while TENTATIVE, and
//! all other tentative copies are skipped. When all slots are final and all copies cleared, the root
//! is swung and the old table retired; only then a migration from the new table may begin.
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
//! See [`properties`](Protocol::properties): the map's content (computed from the words, by
//! [`Memory::contents`](memory::Memory)) changes by the exchanges of insertions and removals only,
//! by each as its operation says, and at most once; what an operation answers that changes nothing
//! was true at an instant while it ran. Together that is linearizability, with the linearization
//! points shown. Nothing that was retired is protected anew, nothing is retired twice, all that is
//! not retired is in the map at the end; and whoever runs alone from there ends.
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
//! | `migration.rs` | the four steps, and the root's swing |
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

use memory::{Key, Tag, Value};

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
    /// Nothing any more.
    Tomb,
    /// An entry.
    Entry(Key, Value),
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
    /// Whether all keys have the same tag.
    pub one_tag: bool,
    /// Whether a mover takes a tentative copy for his own that another has made of the same entry.
    pub adopts: bool,
    /// What each process does.
    pub programs: Vec<Vec<Op>>,
    /// The step that nobody does.
    pub left_out: Option<LeftOut>,
}

impl Protocol {
    /// The bits of a key's hash that stand in a word.
    #[must_use]
    pub fn tag(&self, key: Key) -> Tag {
        if self.one_tag { 0 } else { key }
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
    /// A copy that has lost is frozen when the migration from its own table begins.
    GhostFrozen,
    /// A copy is tentative until it is cleared.
    CopyIsTentative,
    /// The old slot names the copy.
    Commit,
    /// A mover protects the entry, and reads the old slot again, before it follows it.
    MoverValidates,
    /// Who has lost takes his copy away.
    LoserTakesAway,
    /// And does so while he still protects the entry.
    TakenAwayWhileProtected,
    /// Who has lost leaves his copy if it was named by another.
    AdoptedCopyStays,
    /// A writer clears all copies that its path has named.
    WriterClears,
    /// A writer migrates its path before it goes on in the next table.
    WriterMigratesPath,
    /// With the EMPTY at its end.
    WriterMigratesEmpty,
    /// A reader goes on in the next table when it has met its tag in a MOVED.
    ReaderFollowsMoved,
    /// A reader goes on in the next table when its path ends in a frozen EMPTY.
    FrozenEmptyLeadsOn,
    /// A reader takes the copy that was named as live even while it is tentative.
    TentativeIsLiveWhereNamed,
    /// A reader skips all other copies.
    GhostsAreSkipped,
    /// A lookup reads the slot again when it has announced the entry.
    LookupValidates,
    /// Who goes on in the next table looks whether the root is still this one.
    NextTableValidated,
    /// The root is swung when all slots are final.
    RootWaitsForAll,
    /// And all copies cleared.
    RootWaitsForClear,
    /// A migration begins only when the last is complete.
    OneMigrationAtATime,
}
