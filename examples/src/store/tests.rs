//! What becomes of files: ours are used again, everybody else's are left alone.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

fn keys(n: u64) -> Vec<Key> {
    (0..n).map(|i| Key { tenant: (i / 10) as u32, id: i }).collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn hidden() -> ProgressBar {
    ProgressBar::hidden()
}

/// A database of this example, closed in good order.
fn made(folder: &TempDir, rows: u64) -> PathBuf {
    let path = folder.path().join("rows.redb");
    Store::create(&path, &keys(rows), &hidden()).unwrap().close(&path).unwrap();
    path
}

fn refusal(path: &Path) -> String {
    let before = fs::read(path).unwrap();
    let error = Store::inspect(path, &hidden()).unwrap_err().to_string();
    assert!(fs::read(path).unwrap() == before, "the file was changed");
    assert!(error.starts_with(&format!("database: {}: ", path.display())), "{error}");
    error
}

#[test]
fn rows_are_read_and_updated() {
    let folder = folder();
    let path = folder.path().join("rows.redb");
    let store = Store::create(&path, &keys(50), &hidden()).unwrap();
    let key = keys(50)[17];
    assert_eq!(store.read(key), Ok(Row::new(key, 1)));
    assert_eq!(store.update(key, Row::next), Ok(Row::new(key, 2)));
    assert_eq!(store.read(key), Ok(Row::new(key, 2)));
    let nobody = Key { tenant: 99, id: 99 };
    assert_eq!(store.read(nobody), Err(DatabaseError::Missing(nobody)));
    assert_eq!(store.update(nobody, Row::next), Err(DatabaseError::Missing(nobody)));
}

#[test]
fn what_was_closed_is_found_again() {
    let folder = folder();
    let path = made(&folder, 50);
    let store = Store::open(&path).unwrap();
    for _ in 0..3 {
        store.update(keys(50)[17], Row::next).unwrap();
    }
    let more = Key { tenant: 70, id: 7 };
    store.add(&path, &[more], &hidden()).unwrap();
    store.close(&path).unwrap();

    let mut wanted: Vec<_> = keys(50).into_iter().map(|key| (key, 1)).collect();
    wanted[17].1 = 4;
    wanted.push((more, 1));
    assert_eq!(Store::inspect(&path, &hidden()).unwrap(), wanted);
}

#[test]
fn a_database_whose_run_was_killed_is_still_ours_and_inspecting_does_not_repair_it() {
    let folder = folder();
    let path = made(&folder, 50);
    let store = Store::open(&path).unwrap();
    store.update(keys(50)[17], Row::next).unwrap();
    // As a killed process leaves it: what is in the file while the database is open.
    let killed = folder.path().join("killed.redb");
    fs::copy(&path, &killed).unwrap();
    let before = fs::read(&killed).unwrap();
    assert!(matches!(
        redb::ReadOnlyDatabase::open(&killed),
        Err(redb::DatabaseError::RepairAborted)
    ));

    assert_eq!(Store::inspect(&killed, &hidden()).unwrap().len(), 50);
    assert!(fs::read(&killed).unwrap() == before);
    assert!(Store::open(&killed).unwrap().read(keys(50)[17]).unwrap().is_whole());
}

#[test]
fn a_database_in_use_is_refused() {
    let folder = folder();
    let path = made(&folder, 50);
    let _store = Store::open(&path).unwrap();
    let error = Store::inspect(&path, &hidden()).unwrap_err().to_string();
    assert!(error.ends_with("is in use by another process"), "{error}");
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("theirs");

    fs::write(&path, "").unwrap();
    assert!(refusal(&path).contains("is empty"));
    fs::write(&path, "dear diary").unwrap();
    assert!(refusal(&path).contains("is not a redb database"));
    fs::write(&path, vec![0; 1 << 16]).unwrap();
    assert!(refusal(&path).contains("is not a redb database"));

    fs::remove_file(&path).unwrap();
    let db = redb::Database::create(&path).unwrap();
    let transaction = db.begin_write().unwrap();
    transaction.open_table(ROWS).unwrap();
    transaction.commit().unwrap();
    drop(db);
    assert!(refusal(&path).contains("not one of this example"));

    let db = redb::Database::open(&path).unwrap();
    let transaction = db.begin_write().unwrap();
    transaction.open_table(MARK).unwrap().insert("format", 7).unwrap();
    transaction.commit().unwrap();
    drop(db);
    assert!(refusal(&path).contains("format 7"));
}

#[test]
fn a_damaged_database_is_refused_wherever_it_is_damaged() {
    let folder = folder();
    let path = made(&folder, 2000);
    let sound = fs::read(&path).unwrap();

    for len in [1, 8, 320, 4096, 5000, 70_000, sound.len() / 2, sound.len() - 1] {
        fs::write(&path, &sound[..len]).unwrap();
        assert!(refusal(&path).contains("database"), "cut to {len}");
    }
    // In a page that is in use, that is: free pages may hold anything.
    let row = Row::new(keys(2000)[1000], 1).encode();
    let at = sound.windows(ROW_BYTES).position(|bytes| bytes == row).unwrap();
    let mut damaged = sound.clone();
    damaged[at + 50] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(refusal(&path).contains("damaged"));
}

#[test]
fn nothing_is_created_where_something_is() {
    let folder = folder();
    let path = folder.path().join("theirs");
    fs::write(&path, "dear diary").unwrap();
    assert!(Store::create(&path, &keys(50), &hidden()).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"dear diary");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = folder();
    let path = folder.path().join("nowhere").join("rows.redb");
    let error = Store::create(&path, &keys(50), &hidden()).err().unwrap().to_string();
    let wanted = format!("there is no folder {}", folder.path().join("nowhere").display());
    assert!(error.ends_with(&wanted), "{error}");
    let error = Store::inspect(folder.path(), &hidden()).unwrap_err().to_string();
    assert!(error.ends_with("is a folder"), "{error}");
}
