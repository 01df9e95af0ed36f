//! Rows in a `redb` file: created whole or not at all, and nothing of anybody else's overwritten.
//!
//! - *A new file* is written under a temporary name in the same folder and renamed when every row is
//!   in it; the renaming fails if something has appeared under that name meanwhile. A run that is
//!   killed leaves a `.NAME.*.partial` there, never half a database under the name itself.
//! - *An existing file* is first read through an overlay (`store/overlay.rs`), which keeps every write in
//!   memory: `redb`
//!   may repair what it finds (a run that was killed), and a file that is not ours must come out of
//!   this byte for byte as it went in. Only when the file has shown itself to be a sound database of
//!   this example is it opened for writing.
//!
//! Updates commit with [`Durability::None`]: this shows a cache, not the speed of a disk's `fsync`. A
//! killed run loses its last updates; what is left is consistent.

mod overlay;

use std::any::Any;
use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::panic;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::ProgressBar;
use redb::{Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use self::overlay::Overlay;
use crate::database::{Database, DatabaseError};
use crate::error::Error;
use crate::row::{Key, ROW_BYTES, Row};

/// Tells our files from other people's: `format` stands at [`FORMAT`].
const MARK: TableDefinition<&str, u64> = TableDefinition::new("sexton_row_cache");
const FORMAT: u64 = 1;

const ROWS: TableDefinition<(u32, u64), &[u8; ROW_BYTES]> = TableDefinition::new("rows");

/// What the error lines call us.
const WHAT: &str = "database";

/// One update in so many is written to the disk, so that the pages of the others can be used again.
const UPDATES_PER_SYNC: u64 = 1000;

/// The memory in which the database keeps pages of the file: much less than the file's size. A
/// database that fits into its own cache has little need of another one.
const PAGE_CACHE_BYTES: usize = 8 << 20;

fn builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(PAGE_CACHE_BYTES);
    builder
}

/// A database file of rows.
pub struct Store {
    db: redb::Database,
    updates: AtomicU64,
}

impl Store {
    /// Creates a database file with version 1 of each row. The keys should be sorted.
    ///
    /// # Errors
    ///
    /// If there is something under that name, or nothing can be written there; then nothing is
    /// left behind.
    pub fn create(path: &Path, keys: &[Key], progress: &ProgressBar) -> Result<Store, Error> {
        let error = |why: &dyn ToString| Error::in_file(WHAT, path, why.to_string());
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let Some(name) = path.file_name() else { return Err(error(&"is no name for a file")) };
        if !folder.is_dir() {
            return Err(error(&format_args!("there is no folder {}", folder.display())));
        }
        // Gone again when it drops, which any error below brings about.
        let partial = tempfile::Builder::new()
            .prefix(&format!(".{}.", name.to_string_lossy()))
            .suffix(".partial")
            .tempfile_in(folder)
            .map_err(|why| error(&plain(&why)))?
            .into_temp_path();
        let db = builder().create(&partial).map_err(|why| error(&why))?;
        let store = Store { db, updates: AtomicU64::new(0) };
        store.insert(keys, progress).map_err(|why| error(&why))?;
        partial.persist_noclobber(path).map_err(|why| error(&plain(&why.error)))?;
        Ok(store)
    }

    /// Reads the keys and versions of all rows of an existing file, in the keys' order, and checks
    /// that each row is whole. Does not change a byte of the file.
    ///
    /// # Errors
    ///
    /// If the file is anything but a sound database of this example.
    pub fn inspect(path: &Path, progress: &ProgressBar) -> Result<Vec<(Key, u64)>, Error> {
        let error = |why: &dyn ToString| Error::in_file(WHAT, path, why.to_string());
        let about = fs::metadata(path).map_err(|why| error(&plain(&why)))?;
        if !about.is_file() {
            return Err(error(&if about.is_dir() { "is a folder" } else { "is not a plain file" }));
        }
        if about.len() == 0 {
            return Err(error(&"is empty, not a database of this example; it is left as it is"));
        }
        if about.permissions().readonly() {
            return Err(error(&"is read-only, and the example updates rows"));
        }
        // `redb` trusts a file that was closed in good order, and may panic if it was changed since.
        match without_panic(|| look_inside(path, progress)) {
            Ok(rows) => rows.map_err(|why| error(&why)),
            Err(_) => Err(error(&"is a damaged redb database; it is left as it is")),
        }
    }

    /// Opens an existing file that [`Store::inspect`] has approved.
    pub fn open(path: &Path) -> Result<Store, Error> {
        let db = builder().open(path).map_err(|why| Error::in_file(WHAT, path, why))?;
        Ok(Store { db, updates: AtomicU64::new(0) })
    }

    /// Adds version 1 of rows that are not there, all or none.
    pub fn add(&self, path: &Path, keys: &[Key], progress: &ProgressBar) -> Result<(), Error> {
        self.insert(keys, progress).map_err(|why| Error::in_file(WHAT, path, why))
    }

    /// Writes out what is still in memory, and closes the file.
    pub fn close(self, path: &Path) -> Result<(), Error> {
        self.db.close().map_err(|why| Error::in_file(WHAT, path, why))
    }

    fn insert(&self, keys: &[Key], progress: &ProgressBar) -> Result<(), redb::Error> {
        let transaction = self.db.begin_write()?;
        {
            let mut rows = transaction.open_table(ROWS)?;
            for chunk in keys.chunks(1000) {
                for key in chunk {
                    rows.insert((key.tenant, key.id), &Row::new(*key, 1).encode())?;
                }
                progress.inc(chunk.len() as u64);
            }
            transaction.open_table(MARK)?.insert("format", FORMAT)?;
        }
        Ok(transaction.commit()?)
    }
}

impl Database for Store {
    fn read(&self, key: Key) -> Result<Row, DatabaseError> {
        let found = || -> Result<_, redb::Error> {
            let rows = self.db.begin_read()?.open_table(ROWS)?;
            Ok(rows.get((key.tenant, key.id))?.and_then(|bytes| Row::decode(bytes.value())))
        };
        found().map_err(DatabaseError::failed)?.ok_or(DatabaseError::Missing(key))
    }

    fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError> {
        let updated = || -> Result<_, redb::Error> {
            let mut transaction = self.db.begin_write()?;
            // Relaxed: a count.
            let sync =
                self.updates.fetch_add(1, Ordering::Relaxed).is_multiple_of(UPDATES_PER_SYNC);
            transaction.set_durability(if sync {
                Durability::Immediate
            } else {
                Durability::None
            })?;
            let row = {
                let mut rows = transaction.open_table(ROWS)?;
                let old = rows.get((key.tenant, key.id))?.and_then(|b| Row::decode(b.value()));
                let Some(old) = old else { return Ok(None) };
                let new = change(&old);
                rows.insert((key.tenant, key.id), &new.encode())?;
                new
            };
            transaction.commit()?;
            Ok(Some(row))
        };
        updated().map_err(DatabaseError::failed)?.ok_or(DatabaseError::Missing(key))
    }
}

/// Why a file is not a database that we may use.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("is not a redb database; it is left as it is")]
    NoDatabase,
    #[error("is a redb database, but not one of this example; it is left as it is")]
    NotOurs,
    #[error("is a database of this example, but of format {0} where this one is {FORMAT}")]
    OtherFormat(u64),
    #[error("is in use by another process")]
    InUse,
    #[error("is damaged: {0} does not fit its checksum; it is left as it is")]
    DamagedRow(Key),
    #[error("{}", plain(.0))]
    Unreadable(io::Error),
    #[error("is damaged: {0}; it is left as it is")]
    Damaged(#[from] redb::Error),
}

/// Every row of the file, looked at through an overlay.
fn look_inside(path: &Path, progress: &ProgressBar) -> Result<Vec<(Key, u64)>, Refused> {
    // First as redb's own reader: it sees whether another process has the file open.
    match redb::ReadOnlyDatabase::open(path) {
        // Somebody else's may be large: not to be read to its end.
        Ok(db) => check_mark(&db.begin_read().map_err(redb::Error::from)?)?,
        // A run was killed: to be repaired, at first in the overlay.
        Err(redb::DatabaseError::RepairAborted) => {}
        Err(redb::DatabaseError::DatabaseAlreadyOpen) => return Err(Refused::InUse),
        Err(redb::DatabaseError::Storage(redb::StorageError::Io(why))) => {
            return Err(match why.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Refused::NoDatabase,
                _ => Refused::Unreadable(why),
            });
        }
        Err(why) => return Err(redb::Error::from(why).into()),
    }
    let file = File::open(path).and_then(Overlay::new).map_err(Refused::Unreadable)?;
    let db = redb::Builder::new()
        .set_check_integrity_on_open(true)
        .create_with_backend(file)
        .map_err(redb::Error::from)?;

    let transaction = db.begin_read().map_err(redb::Error::from)?;
    check_mark(&transaction)?;
    let Ok(rows) = transaction.open_table(ROWS) else { return Err(Refused::NotOurs) };
    let count = rows.len().map_err(redb::Error::from)?;
    progress.set_length(count);
    let mut found = Vec::new();
    for entry in rows.iter().map_err(redb::Error::from)? {
        let (key, bytes) = entry.map_err(redb::Error::from)?;
        let (tenant, id) = key.value();
        let key = Key { tenant, id };
        match Row::decode(bytes.value()) {
            Some(row) if row.key == key && row.is_whole() => found.push((key, row.version)),
            _ => return Err(Refused::DamagedRow(key)),
        }
        progress.inc(1);
    }
    if found.is_empty() { Err(Refused::NotOurs) } else { Ok(found) }
}

/// Whether the database is one of this example, of the format that we know.
fn check_mark(transaction: &redb::ReadTransaction) -> Result<(), Refused> {
    let Ok(mark) = transaction.open_table(MARK) else { return Err(Refused::NotOurs) };
    match mark.get("format").map_err(redb::Error::from)?.map(|format| format.value()) {
        Some(FORMAT) => Ok(()),
        Some(other) => Err(Refused::OtherFormat(other)),
        None => Err(Refused::NotOurs),
    }
}

/// An I/O error without its number, which says nothing to a person.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Runs `f`; a panic in it becomes an error and prints nothing.
fn without_panic<T>(f: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(f));
    QUIET.set(false);
    result
}

#[cfg(test)]
mod tests;
