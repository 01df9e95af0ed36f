//! What a cache needs of the database behind it.
//!
//! A small trait, so that the tests can put a database there that stops where they want it to.

use std::sync::Arc;

use crate::row::{Key, Row};

/// A database of rows.
///
/// Reads and updates of one row are linearizable: once `update` has returned, every `read` that
/// starts afterwards returns that version or a later one.
pub trait Database: Sync {
    /// Reads a row as it was last committed.
    fn read(&self, key: Key) -> Result<Row, DatabaseError>;

    /// Replaces a row by what `change` makes of it, in one transaction, and returns the new row.
    fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError>;
}

impl<D: Database> Database for &D {
    fn read(&self, key: Key) -> Result<Row, DatabaseError> {
        D::read(self, key)
    }

    fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError> {
        D::update(self, key, change)
    }
}

/// Why a row could not be read or updated; cheap to clone, for one failed load may have many
/// waiters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// There is no such row.
    #[error("there is no {0}")]
    Missing(Key),
    /// The database could not do it.
    #[error("{0}")]
    Failed(Arc<str>),
    /// The thread that was to read the row for all who wait for it panicked.
    #[error("the thread that was reading {0} panicked")]
    Panicked(Key),
}

impl DatabaseError {
    /// The database's own words.
    pub fn failed(why: impl ToString) -> Self {
        DatabaseError::Failed(why.to_string().into())
    }
}
