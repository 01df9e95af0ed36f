//! `Hash` and `Eq` that lie: nobody knows what such a map finds, but it ends, and each key and
//! value is dropped once. And a hasher that knows one hash only, which lies about nothing.

mod common;

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::HashMap;
use sexton::hash_map::Operation;

/// How a key lies.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// Equal to none, not even to itself.
    NeverEqual,
    /// Equal to all.
    AlwaysEqual,
    /// Now so, now so.
    SometimesEqual,
    /// Another hash each time.
    NewHash,
    /// Both.
    NothingHolds,
}

/// Numbers in no order, the same in each run.
fn dice() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut mixed = LAST.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

#[derive(Clone)]
struct Key {
    lie: Lie,
    number: u64,
    /// Counts the births and deaths of keys.
    body: Tracked,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.body.look();
        other.body.look();
        match self.lie {
            Lie::NeverEqual => false,
            Lie::AlwaysEqual => true,
            Lie::SometimesEqual | Lie::NothingHolds => dice() % 2 == 0,
            Lie::NewHash => self.number == other.number,
        }
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.body.look();
        match self.lie {
            Lie::NewHash | Lie::NothingHolds => dice().hash(hasher),
            _ => self.number.hash(hasher),
        }
    }
}

/// All operations, for a while, on few keys.
fn use_it<S, R>(map: &HashMap<Key, Tracked, S, R>, ledger: &Ledger, lie: Lie, rounds: usize)
where
    S: std::hash::BuildHasher + Clone,
    R: Reclaimer,
{
    let key = |number| Key { lie, number, body: Tracked::new(ledger, number) };
    let value = || Tracked::new(ledger, 0);
    for round in 0..rounds {
        let number = dice() % 16;
        let pinned = map.pin();
        match round % 10 {
            0..3 => drop(pinned.insert(key(number), value())),
            3 => drop(pinned.try_insert(key(number), value())),
            4 => drop(pinned.get_or_insert_with(key(number), value)),
            5 => drop(pinned.update(key(number), |_| value())),
            6 => drop(pinned.compute(key(number), |present| match present {
                Some(_) => Operation::<_, ()>::Remove,
                None => Operation::Insert(value()),
            })),
            7 => drop(pinned.get(&key(number)).as_deref().map(Tracked::look)),
            8 => drop(pinned.remove(&key(number))),
            _ => {
                pinned.remove_if(&key(number), |key, value| {
                    key.body.look();
                    value.look();
                    number % 2 == 0
                });
            }
        }
    }
}

fn nothing_is_lost_or_dropped_twice<R: Reclaimer, F: Fn() -> R>(subject: &Subject<F>, lie: Lie) {
    let (domain, ledger) = (subject.domain(), Ledger::new());
    let mut map = HashMap::with_reclaimer(domain.clone());
    on_threads(2, |_| use_it(&map, &ledger, lie, sized(1500, 10)));
    // An entry that no lookup finds is still there.
    assert_eq!(map.pin().iter().count(), map.len());
    drop(map.clone());
    map.reserve(500);
    map.shrink_to_fit();
    let before = map.len();
    map.retain(|key, _| key.number % 2 == 0);
    assert!(map.len() <= before);
    let left = map.len();
    assert_eq!(map.iter_mut().count(), left);
    assert_eq!(map.drain().take(3).count(), left.min(3));
    drop(map);
    subject.settle(domain, &ledger);
}

/// One hash for all.
#[derive(Clone, Default)]
struct OneHash;

impl Hasher for OneHash {
    fn finish(&self) -> u64 {
        42
    }

    fn write(&mut self, _: &[u8]) {}
}

/// Two hashes, that differ in the top bit.
#[derive(Clone, Default)]
struct TwoHashes(u8);

impl Hasher for TwoHashes {
    fn finish(&self) -> u64 {
        u64::from(self.0) << 63
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= bytes.iter().fold(0, |all, byte| all ^ byte) & 1;
    }
}

fn a_map_is_right_with<H, R, F>(subject: &Subject<F>)
where
    H: Hasher + Default + Clone,
    R: Reclaimer,
    F: Fn() -> R,
{
    const EACH: u64 = sized(100, 8) as u64;
    let (domain, ledger) = (subject.domain(), Ledger::new());
    let hasher = BuildHasherDefault::<H>::default();
    let map = HashMap::with_capacity_and_hasher_and_reclaimer(0, hasher, domain.clone());
    on_threads(2, |thread| {
        let own = || (0..EACH).map(|key| key * 2 + thread as u64);
        let value = |key| Tracked::new(&ledger, key);
        for _ in 0..2 {
            own().for_each(|key| assert!(map.pin().insert(key, value(key)).is_none()));
            own().for_each(|key| {
                assert_eq!(map.pin().get(&key).as_deref().map(Tracked::value), Some(key));
            });
            own().for_each(|key| assert!(map.pin().remove(&key).is_some()));
            own().for_each(|key| assert!(!map.contains_key(&key)));
        }
        own().for_each(|key| assert!(map.pin().insert(key, value(key)).is_none()));
    });
    let mut keys: Vec<u64> = map.pin().keys().map(|key| *key).collect();
    keys.sort_unstable();
    assert!(keys.into_iter().eq(0..2 * EACH));
    drop(map);
    subject.settle(domain, &ledger);
}

for_each_scheme! {
    fn a_key_that_equals_none(subject) {
        nothing_is_lost_or_dropped_twice(subject, Lie::NeverEqual);
    }

    fn a_key_that_equals_all(subject) {
        nothing_is_lost_or_dropped_twice(subject, Lie::AlwaysEqual);
    }

    fn a_key_that_equals_at_random(subject) {
        nothing_is_lost_or_dropped_twice(subject, Lie::SometimesEqual);
    }

    fn a_key_whose_hash_changes(subject) {
        nothing_is_lost_or_dropped_twice(subject, Lie::NewHash);
    }

    fn a_key_that_keeps_to_nothing(subject) {
        nothing_is_lost_or_dropped_twice(subject, Lie::NothingHolds);
    }

    fn one_hash_for_all_keys(subject) {
        a_map_is_right_with::<OneHash, _, _>(subject);
    }

    fn two_hashes_for_all_keys(subject) {
        a_map_is_right_with::<TwoHashes, _, _>(subject);
    }
}
