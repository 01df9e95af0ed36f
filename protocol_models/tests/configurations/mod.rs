//! Who does what, on which tables. Key 0 is worked on; key 1 stands on its path.

#![allow(dead_code, reason = "each test file uses its part of this")]

use sexton_protocol_models::Start::{Empty, Entry, More, Tomb};
use sexton_protocol_models::{Op, Protocol, Start};

const UP: Op = Op::Migrate { descending: false };
const DOWN: Op = Op::Migrate { descending: true };

fn protocol(start: &[Start], slots: &[u8], programs: &[&[Op]]) -> Protocol {
    Protocol {
        start: start.to_vec(),
        slots: slots.to_vec(),
        other_home: 0,
        marks: [0, 1, 2],
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
    let start = [Tomb(2), Entry(1, 1), Empty, Empty];
    protocol(&start, &[4, 5], &[&[UP], &[DOWN], &[Op::Insert(0, 3)], &[Op::Get(0), Op::Get(0)]])
}

/// A helper, two writers of a key that never was in the table, a reader.
pub(crate) fn first_comes() -> Protocol {
    let one = [Op::Insert(0, 2), Op::Remove(0)];
    protocol(&[Empty], &[2, 4], &[&[UP], &one, &[Op::Insert(0, 3)], &[Op::Get(0)]])
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

fn of_one_mark(protocol: Protocol) -> Protocol {
    Protocol { marks: [0; 3], ..protocol }
}

/// A key that comes and goes, by two writers, beside a reader. No migration.
pub(crate) fn comes_and_goes() -> Protocol {
    let start = [Entry(0, 1), Empty];
    let one = [Op::Remove(0), Op::Insert(0, 2), Op::Remove(0)];
    let other = [Op::Insert(0, 3), Op::Remove(0), Op::Insert(0, 4)];
    protocol(&start, &[2], &[&one, &other, &[Op::Get(0), Op::Get(0)]])
}

/// The same while the table is migrated.
pub(crate) fn comes_and_goes_and_moves() -> Protocol {
    let one = [Op::Insert(0, 2), Op::Remove(0)];
    let other = [Op::Insert(0, 3)];
    protocol(&[Tomb(0), Empty], &[2, 4], &[&[UP], &one, &other, &[Op::Get(0)]])
}

/// Two keys of one mark come and go, beside a reader of both. No migration.
pub(crate) fn one_mark() -> Protocol {
    let one = [Op::Remove(0), Op::Insert(0, 2), Op::Insert(0, 3)];
    let other = [Op::Insert(1, 4), Op::Remove(1), Op::Insert(1, 5)];
    let reader = [Op::Get(0), Op::Get(1)];
    of_one_mark(protocol(&[Entry(0, 1)], &[6], &[&one, &other, &reader]))
}

/// Three keys of one mark.
pub(crate) fn three_of_one_mark() -> Protocol {
    let zero = [Op::Remove(0), Op::Insert(0, 2)];
    let one = [Op::Insert(1, 3), Op::Remove(1)];
    let two = [Op::Insert(2, 4)];
    of_one_mark(protocol(&[Entry(0, 1)], &[6], &[&zero, &one, &two, &[Op::Get(2)]]))
}

/// Two helpers move two keys of one mark, while one of them is removed.
pub(crate) fn one_mark_moves() -> Protocol {
    let start = [More(0, 1), Entry(1, 2), Empty];
    of_one_mark(protocol(&start, &[3, 5], &[&[UP], &[DOWN], &[Op::Remove(1)], &[Op::Get(1)]]))
}

/// Two keys of one mark come and go while a helper moves them.
pub(crate) fn one_mark_grows() -> Protocol {
    let one = [Op::Remove(0), Op::Insert(0, 2)];
    let other = [Op::Insert(1, 3), Op::Remove(1)];
    of_one_mark(protocol(&[Entry(0, 1)], &[4, 6], &[&[UP], &one, &other]))
}

/// Two keys of one mark come, the one in its slot and the other in its tombstone, while a helper
/// moves them.
pub(crate) fn one_mark_returns() -> Protocol {
    let start = [More(0, 1), Tomb(1), Empty];
    let writers = [[Op::Insert(0, 2)], [Op::Insert(1, 3)]];
    let programs: [&[Op]; 4] = [&[UP], &writers[0], &writers[1], &[Op::Get(0)]];
    of_one_mark(protocol(&start, &[3, 5], &programs))
}

/// A helper sleeps, through the next migration too, while the other key of the mark comes into the
/// slot of the one it moves, and its address comes back.
pub(crate) fn one_mark_sleeps() -> Protocol {
    let start = [Entry(0, 1), Empty];
    let writer = [Op::Remove(0), Op::Insert(1, 2), Op::Insert(0, 3)];
    of_one_mark(protocol(&start, &[2, 4, 4], &[&[UP, UP], &[UP], &writer]))
}

/// One migration after another, of two keys of one mark.
pub(crate) fn one_mark_chained() -> Protocol {
    let start = [More(0, 1), Entry(1, 2), Empty];
    let writer = [Op::Remove(0), Op::Insert(0, 3)];
    of_one_mark(protocol(&start, &[3, 5, 5], &[&[UP, UP], &[UP], &writer]))
}
