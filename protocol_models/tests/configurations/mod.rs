//! Who does what, on which tables. Key 0 is worked on; key 1 stands on its path.

#![allow(dead_code, reason = "each test file uses its part of this")]

use sexton_protocol_models::Start::{Empty, Entry, Tomb};
use sexton_protocol_models::{Op, Protocol, Start};

const UP: Op = Op::Migrate { descending: false };
const DOWN: Op = Op::Migrate { descending: true };

fn protocol(start: &[Start], slots: &[u8], programs: &[&[Op]]) -> Protocol {
    Protocol {
        start: start.to_vec(),
        slots: slots.to_vec(),
        other_home: 0,
        one_tag: true,
        programs: programs.iter().map(|program| program.to_vec()).collect(),
        left_out: None,
    }
}

/// Two helpers, a writer that replaces, a reader.
pub(crate) fn replace() -> Protocol {
    let start = [Entry(1, 1), Entry(0, 2), Empty];
    protocol(&start, &[3, 5], &[&[UP], &[DOWN], &[Op::Insert(0, 3)], &[Op::Get(0)]])
}

/// Two helpers, a writer that removes and inserts again, a reader.
pub(crate) fn remove_and_insert() -> Protocol {
    let start = [Entry(0, 2), Empty, Empty];
    let writer = [Op::Remove(0), Op::Insert(0, 3)];
    protocol(&start, &[3, 5], &[&[UP], &[DOWN], &writer, &[Op::Get(0)]])
}

/// Two helpers, a writer that inserts what was absent, a reader that looks twice.
pub(crate) fn insert() -> Protocol {
    let start = [Tomb, Entry(1, 1), Empty, Empty];
    protocol(&start, &[4, 5], &[&[UP], &[DOWN], &[Op::Insert(0, 3)], &[Op::Get(0), Op::Get(0)]])
}

/// A helper, two writers of one key, a reader.
pub(crate) fn two_writers() -> Protocol {
    let start = [Entry(0, 2), Empty, Empty];
    let other = [Op::Remove(0), Op::Insert(0, 4)];
    protocol(&start, &[3, 5], &[&[UP], &[Op::Insert(0, 3)], &other, &[Op::Get(0)]])
}

/// Two helpers, a writer of each key (who may get each other's memory), a reader.
pub(crate) fn two_keys() -> Protocol {
    let start = [Entry(0, 2), Entry(1, 1), Empty];
    let other = [Op::Insert(1, 4)];
    protocol(&start, &[3, 5], &[&[DOWN], &[Op::Remove(0)], &other, &[Op::Get(0)]])
}

/// A writer whose operations bring addresses back, while a helper sleeps over them.
pub(crate) fn addresses_come_back() -> Protocol {
    let start = [Entry(0, 2), Empty, Empty];
    let writer = [Op::Remove(0), Op::Insert(0, 3), Op::Insert(0, 4)];
    protocol(&start, &[3, 5], &[&[UP], &[UP], &writer, &[Op::Get(0)]])
}

/// Two paths that become one, as when a table shrinks: key 1 may come into the old table, at key
/// 0's address, when key 0 has come into the next one and gone.
pub(crate) fn paths_merge() -> Protocol {
    let start = [Entry(0, 2), Empty, Empty, Empty];
    let writer = [Op::Remove(0), Op::Insert(1, 3)];
    let merging = protocol(&start, &[4, 5], &[&[UP], &[UP], &writer, &[Op::Get(1)]]);
    Protocol { other_home: 2, ..merging }
}

/// One migration after another, with a writer and a reader that may sleep through both.
pub(crate) fn chained() -> Protocol {
    let start = [Entry(0, 2), Empty];
    protocol(&start, &[2, 4, 4], &[&[UP, UP], &[UP], &[Op::Insert(0, 3)], &[Op::Get(0)]])
}

/// The same with a removal and an insertion, and nobody who reads.
pub(crate) fn chained_remove_and_insert() -> Protocol {
    let start = [Entry(0, 2), Empty, Empty];
    let writer = [Op::Remove(0), Op::Insert(0, 3)];
    protocol(&start, &[3, 5, 5], &[&[UP, UP], &[UP], &writer])
}
