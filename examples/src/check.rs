//! What a read may see, and the check that it saw nothing else.
//!
//! For each row two numbers are kept beside the database: the newest version whose update has
//! *returned* (`acknowledged`) and the newest version whose update has *begun* (`begun`). A read
//! that starts when the first is `a`, and ends when the second is `b`, must see one of `a..=b`:
//!
//! - less than `a` is **stale**: somebody was told that a newer version is there;
//! - more than `b` is **from the future**: nobody has written it yet;
//! - a checksum that does not fit is **torn**, and another key is **another row**.
//!
//! The orderings. `acknowledge` is Release and `start` is Acquire: a reader that sees `a` also sees
//! all that the update did before it returned, so a cache that still serves the older row has no
//! excuse. `begin` happens before the commit, which happens before any read that finds the version:
//! a version without its `begin` is a real fault.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::row::{Key, Row};

/// The two numbers of each row.
#[derive(Debug)]
pub struct Ledger {
    rows: Vec<Versions>,
}

#[derive(Debug)]
struct Versions {
    acknowledged: AtomicU64,
    begun: AtomicU64,
}

/// A read that has started.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    row: usize,
    acknowledged: u64,
}

impl Ledger {
    /// A ledger of rows whose present versions are given; a row goes by its place among them.
    pub fn new(versions: impl IntoIterator<Item = u64>) -> Ledger {
        let row = |v| Versions { acknowledged: AtomicU64::new(v), begun: AtomicU64::new(v) };
        Ledger { rows: versions.into_iter().map(row).collect() }
    }

    /// An update of the row that will give it this version begins: to be called before the commit.
    pub fn begin(&self, row: usize, version: u64) {
        // The commit carries it to whoever finds the version; see above.
        self.rows[row].begun.fetch_max(version, Ordering::Release);
    }

    /// The update that gave the row this version has returned.
    pub fn acknowledge(&self, row: usize, version: u64) {
        // Release: pairs with the Acquire in `start`, so that what the update did is seen.
        self.rows[row].acknowledged.fetch_max(version, Ordering::Release);
    }

    /// A read of the row starts: to be called before anything is looked up.
    pub fn start(&self, row: usize) -> Started {
        // Acquire: pairs with the Release in `acknowledge`.
        Started { row, acknowledged: self.rows[row].acknowledged.load(Ordering::Acquire) }
    }

    /// The read of `key` has found this row: was it allowed to?
    pub fn check(&self, started: Started, key: Key, found: &Row) -> Result<(), Fault> {
        let begun = self.rows[started.row].begun.load(Ordering::Acquire);
        let kind = if !found.is_whole() {
            FaultKind::Torn
        } else if found.key != key {
            FaultKind::AnotherRow(found.key)
        } else if found.version < started.acknowledged {
            FaultKind::Stale
        } else if found.version > begun {
            FaultKind::Future
        } else {
            return Ok(());
        };
        Err(Fault { key, seen: found.version, allowed: (started.acknowledged, begun), kind })
    }
}

/// A read that saw what it must not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The row that was asked for.
    pub key: Key,
    /// The version that was seen.
    pub seen: u64,
    /// The oldest and the newest version that were allowed.
    pub allowed: (u64, u64),
    /// What is wrong with it.
    pub kind: FaultKind,
}

/// What is wrong with a row that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Older than a version whose update had returned before the read started.
    Stale,
    /// Newer than any version whose update had begun when the read ended.
    Future,
    /// The checksum does not fit: not all of one piece.
    Torn,
    /// A whole row, but not the one that was asked for.
    AnotherRow(Key),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { key, seen, allowed: (oldest, newest), kind } = self;
        match kind {
            FaultKind::Stale => write!(f, "{key}: stale: ")?,
            FaultKind::Future => write!(f, "{key}: from the future: ")?,
            FaultKind::Torn => write!(f, "{key}: torn, its checksum does not fit: ")?,
            FaultKind::AnotherRow(other) => write!(f, "{key}: got {other} instead: ")?,
        }
        write!(f, "saw version {seen}, allowed were {oldest} to {newest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { tenant: 1, id: 2 };

    /// A row at version 4, to which update 5 has returned and update 6 has begun.
    fn ledger() -> Ledger {
        let ledger = Ledger::new([0, 4]);
        for version in [5, 6] {
            ledger.begin(1, version);
        }
        ledger.acknowledge(1, 5);
        ledger
    }

    fn kind(ledger: &Ledger, started: Started, row: &Row) -> Option<FaultKind> {
        ledger.check(started, KEY, row).err().map(|fault| fault.kind)
    }

    #[test]
    fn what_is_acknowledged_or_begun_is_allowed_and_nothing_else() {
        let ledger = ledger();
        let started = ledger.start(1);
        assert_eq!(kind(&ledger, started, &Row::new(KEY, 4)), Some(FaultKind::Stale));
        assert_eq!(kind(&ledger, started, &Row::new(KEY, 5)), None);
        assert_eq!(kind(&ledger, started, &Row::new(KEY, 6)), None);
        assert_eq!(kind(&ledger, started, &Row::new(KEY, 7)), Some(FaultKind::Future));
    }

    #[test]
    fn an_update_during_the_read_allows_both_versions() {
        let ledger = ledger();
        let started = ledger.start(1);
        ledger.acknowledge(1, 6);
        ledger.begin(1, 7);
        for version in 5..=7 {
            assert_eq!(kind(&ledger, started, &Row::new(KEY, version)), None);
        }
        let later = ledger.start(1);
        assert_eq!(kind(&ledger, later, &Row::new(KEY, 5)), Some(FaultKind::Stale));
    }

    #[test]
    fn a_late_acknowledgement_does_not_set_the_row_back() {
        let ledger = ledger();
        ledger.acknowledge(1, 6);
        ledger.acknowledge(1, 5);
        assert_eq!(kind(&ledger, ledger.start(1), &Row::new(KEY, 5)), Some(FaultKind::Stale));
    }

    #[test]
    fn half_of_one_version_and_half_of_another_is_torn() {
        let ledger = ledger();
        let mut row = Row::new(KEY, 5);
        row.payload[50..].copy_from_slice(&Row::new(KEY, 6).payload[50..]);
        assert_eq!(kind(&ledger, ledger.start(1), &row), Some(FaultKind::Torn));
        let renumbered = Row { version: 6, ..Row::new(KEY, 5) };
        assert_eq!(kind(&ledger, ledger.start(1), &renumbered), Some(FaultKind::Torn));
    }

    #[test]
    fn the_right_version_of_the_wrong_row_is_a_fault() {
        let ledger = ledger();
        let other = Key { tenant: 2, id: 2 };
        let found = kind(&ledger, ledger.start(1), &Row::new(other, 5));
        assert_eq!(found, Some(FaultKind::AnotherRow(other)));
    }

    #[test]
    fn a_fault_says_which_row_what_was_seen_and_what_was_allowed() {
        let ledger = ledger();
        let fault = ledger.check(ledger.start(1), KEY, &Row::new(KEY, 4)).unwrap_err();
        let line = "tenant 1 row 2: stale: saw version 4, allowed were 5 to 6";
        assert_eq!(fault.to_string(), line);
    }
}
