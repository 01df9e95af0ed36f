//! The database of a run: found, or created.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use tempfile::TempDir;

use crate::error::Error;
use crate::progress;
use crate::row::Key;
use crate::store::Store;
use crate::workload::generated_keys;

/// Which rows a run needs.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// All that are there, at least one; exactly so many, if a number is given.
    Any(Option<u32>),
    /// These; what else is there does not matter.
    These(&'a [Key]),
}

/// A database that has the rows a run needs.
pub struct Prepared {
    /// The database.
    pub store: Store,
    /// Its file.
    pub path: PathBuf,
    /// The rows' keys, in the order in which they were wanted.
    pub keys: Vec<Key>,
    /// The rows' versions, in the same order.
    pub versions: Vec<u64>,
    /// How many rows were created for this run; the others were found.
    pub created: usize,
    /// How long it took to have them there.
    pub took: Duration,
    /// The folder goes when this drops.
    _temporary: Option<TempDir>,
}

impl Prepared {
    /// Writes out what is still in memory, and closes the file.
    pub fn close(self) -> Result<(), Error> {
        self.store.close(&self.path)
    }
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenants: BTreeSet<u32> = self.keys.iter().map(|key| key.tenant).collect();
        write!(
            f,
            "database: {}: {} rows ({} created now), tenants: {}, ready in {:.1} s",
            self.path.display(),
            HumanCount(self.keys.len() as u64),
            HumanCount(self.created as u64),
            tenants.len(),
            self.took.as_secs_f64(),
        )
    }
}

/// Opens the database in `file`, or creates it if there is none; without a name, in a temporary
/// folder. A new one gets the wanted rows, or `default_rows` of them.
///
/// # Errors
///
/// If the file is something else, does not have the number of rows that is asked for, or cannot be
/// created; in all these cases it is, or is not, there as before.
pub fn prepare(
    file: Option<&Path>,
    wanted: Wanted<'_>,
    default_rows: u32,
) -> Result<Prepared, Error> {
    let start = Instant::now();
    let (path, temporary) = match file {
        Some(path) => (path.to_owned(), None),
        None => {
            let folder = tempfile::Builder::new().prefix("row_cache.").tempdir();
            let folder = folder
                .map_err(|why| Error::in_file("temporary folder", &std::env::temp_dir(), why))?;
            (folder.path().join("rows.redb"), Some(folder))
        }
    };
    // Not `exists`, which follows links: one that leads nowhere is something, too.
    let absent = matches!(fs::symlink_metadata(&path),
        Err(why) if why.kind() == io::ErrorKind::NotFound);
    let (store, found, created) = if absent {
        let keys = match wanted {
            Wanted::Any(rows) => generated_keys(rows.unwrap_or(default_rows)),
            Wanted::These(keys) => sorted(keys.to_vec()),
        };
        let bar = progress::bar("creating rows", keys.len() as u64);
        let store = Store::create(&path, &keys, &bar)?;
        bar.finish_and_clear();
        let created = keys.len();
        (store, keys.into_iter().map(|key| (key, 1)).collect(), created)
    } else {
        find(&path, wanted)?
    };
    let (keys, versions) = match wanted {
        Wanted::Any(_) => found.into_iter().unzip(),
        Wanted::These(keys) => {
            let version = |key| found[position(&found, key).expect("found or created")].1;
            (keys.to_vec(), keys.iter().map(version).collect())
        }
    };
    Ok(Prepared {
        store,
        path,
        keys,
        versions,
        created,
        took: start.elapsed(),
        _temporary: temporary,
    })
}

/// An existing database, with the rows that were missing added.
fn find(path: &Path, wanted: Wanted<'_>) -> Result<(Store, Found, usize), Error> {
    let bar = progress::bar("checking rows", 0);
    let mut found = Store::inspect(path, &bar)?;
    bar.finish_and_clear();
    let missing = match wanted {
        Wanted::Any(Some(rows)) if rows as usize != found.len() => {
            let why = format!(
                "has {} rows, not {rows}; leave --rows out to use them, or name another file",
                found.len()
            );
            return Err(Error::in_file("database", path, why));
        }
        Wanted::Any(_) => Vec::new(),
        Wanted::These(keys) => {
            let missing = |key: &Key| position(&found, key).is_none();
            sorted(keys.iter().copied().filter(missing).collect())
        }
    };
    let store = Store::open(path)?;
    if !missing.is_empty() {
        let bar = progress::bar("adding rows", missing.len() as u64);
        store.add(path, &missing, &bar)?;
        bar.finish_and_clear();
        found.extend(missing.iter().map(|key| (*key, 1)));
        found.sort_unstable();
    }
    Ok((store, found, missing.len()))
}

/// The rows of a database and their versions, sorted.
type Found = Vec<(Key, u64)>;

fn position(found: &[(Key, u64)], key: &Key) -> Option<usize> {
    found.binary_search_by_key(key, |(key, _)| *key).ok()
}

fn sorted(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_unstable();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::row::Row;

    #[test]
    fn a_file_is_created_once_and_then_used_again_with_its_versions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.redb");
        let first = prepare(Some(&file), Wanted::Any(Some(100)), 7).unwrap();
        assert_eq!((first.created, first.keys.len()), (100, 100));
        first.store.update(first.keys[3], Row::next).unwrap();
        first.store.close(&file).unwrap();

        for rows in [None, Some(100)] {
            let again = prepare(Some(&file), Wanted::Any(rows), 7).unwrap();
            assert_eq!((again.created, &again.keys), (0, &first.keys));
            assert_eq!((again.versions[2], again.versions[3]), (1, 2));
        }
        let error = prepare(Some(&file), Wanted::Any(Some(99)), 7).err().unwrap().to_string();
        assert!(error.contains("has 100 rows, not 99"), "{error}");
    }

    #[test]
    fn rows_that_a_trace_needs_are_added() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.redb");
        let key = |id| Key { tenant: 1, id };
        drop(prepare(Some(&file), Wanted::These(&[key(9), key(5)]), 7).unwrap());
        let wanted = [key(7), key(5), key(1)];
        let more = prepare(Some(&file), Wanted::These(&wanted), 7).unwrap();
        assert_eq!((more.created, &more.keys[..]), (2, &wanted[..]));
        assert!(wanted.iter().all(|key| more.store.read(*key).unwrap().key == *key));
        drop(more);
        assert_eq!(prepare(Some(&file), Wanted::Any(None), 7).unwrap().keys.len(), 4);
    }

    #[test]
    fn a_temporary_database_goes_with_its_folder() {
        let prepared = prepare(None, Wanted::Any(None), 7).unwrap();
        let path = prepared.path.clone();
        assert!(path.exists() && prepared.keys.len() == 7);
        drop(prepared);
        assert!(!path.parent().unwrap().exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("link");
        let target = folder.path().join("target");
        std::os::unix::fs::symlink(&target, &file).unwrap();
        assert!(prepare(Some(&file), Wanted::Any(None), 7).is_err());
        assert!(!target.exists());
    }
}
