//! A table that is large, and hardly used: what nobody has written stays the system's, and what was
//! taken out once is not looked for again.

#![cfg(not(any(miri, sexton_sanitize)))]

use std::time::Instant;

use sexton::{HashMap, HashSet};

/// Of a table that takes 64 MiB.
const CAPACITY: usize = (1 << 23) / 4 * 3;

/// The most memory that this process has had at once, in bytes.
#[cfg(target_os = "linux")]
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes.expect("Linux says so").parse::<usize>().unwrap() << 10
}

/// Its slots come as pages that are not there until they are written.
#[cfg(target_os = "linux")]
#[test]
fn a_map_that_goes_writes_no_slots() {
    let before = peak();
    let new = || HashMap::<u64, u64>::with_capacity(CAPACITY);
    drop(new());
    new().drain().for_each(drop);
    let map = new();
    (0..2).for_each(|key| _ = map.insert(key, key));
    assert_eq!(map.into_iter().count(), 2);
    let mut map = new();
    (0..2).for_each(|key| _ = map.insert(key, key));
    assert_eq!(map.drain().count(), 2);
    let grown = peak() - before;
    // The system may give 2 MiB for each page that is written.
    assert!(grown < 24 << 20, "{grown} bytes for a few entries");
}

/// As `FusedIterator` suggests.
#[test]
fn who_asks_again_for_what_is_out_does_not_wait() {
    fn asks(mut entries: impl Iterator) {
        let begin = Instant::now();
        assert_eq!(entries.by_ref().count(), 1);
        let all = begin.elapsed();
        let begin = Instant::now();
        (0..20).for_each(|_| assert!(entries.next().is_none()));
        let again = begin.elapsed();
        assert!(again < all, "{again:?} after {all:?}");
    }
    let new = || {
        let set = HashSet::<u64>::with_capacity(CAPACITY);
        set.insert(1);
        set
    };
    asks(new().drain());
    asks(new().into_iter());
}
