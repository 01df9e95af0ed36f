//! What one writes by oneself: flat tables, each behind a mutex.

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard};

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::{Data, HashMap, Hasher, Map};

/// Many more than threads.
const SHARDS: usize = 64;

type Table<D> = HashTable<(<D as Data>::Key, <D as Data>::Value)>;

pub(super) struct Sharded<D: Data> {
    shards: Box<[CachePadded<Mutex<Table<D>>>]>,
    hasher: Hasher,
}

impl<D: Data> Sharded<D> {
    /// The key's hash, and the shard that it belongs to.
    #[inline]
    fn shard(&self, key: &D::Key) -> (u64, MutexGuard<'_, Table<D>>) {
        let hash = self.hasher.hash_one(key);
        // The tables use the bits at both ends.
        let shard = &self.shards[(hash >> 40) as usize % SHARDS];
        (hash, shard.lock().expect("nobody panics with it"))
    }
}

impl<D: Data> Map<D> for Sharded<D> {
    const NAME: &'static str = "64 x Mutex<hashbrown>";

    type Pinned<'a> = &'a Self;

    fn with_capacity(capacity: usize) -> Self {
        // Shards are not equally full.
        let capacity = capacity.div_ceil(SHARDS) * 17 / 16;
        let shard = |_| CachePadded::new(Mutex::new(Table::<D>::with_capacity(capacity)));
        Self { shards: (0..SHARDS).map(shard).collect(), hasher: Hasher::default() }
    }

    #[inline]
    fn pin(&self) -> &Self {
        self
    }

    #[inline]
    fn get<X>(map: &&Self, key: &D::Key, look: impl FnOnce(&D::Value) -> X) -> Option<X> {
        let (hash, table) = map.shard(key);
        table.find(hash, |entry| entry.0 == *key).map(|entry| look(&entry.1))
    }

    #[inline]
    fn insert(map: &&Self, key: D::Key, value: D::Value) {
        let (hash, mut table) = map.shard(&key);
        let rehash = |entry: &(D::Key, D::Value)| map.hasher.hash_one(&entry.0);
        match table.entry(hash, |entry| entry.0 == key, rehash) {
            Entry::Occupied(mut entry) => entry.get_mut().1 = value,
            Entry::Vacant(entry) => _ = entry.insert((key, value)),
        }
    }

    #[inline]
    fn remove(map: &&Self, key: &D::Key) -> bool {
        let (hash, mut table) = map.shard(key);
        table.find_entry(hash, |entry| entry.0 == *key).map(|entry| entry.remove()).is_ok()
    }
}

impl<D: Data> HashMap<D> for Sharded<D> {
    #[inline]
    fn update(map: &&Self, key: &D::Key, change: impl Fn(&D::Value) -> D::Value) -> bool {
        let (hash, mut table) = map.shard(key);
        let found = table.find_mut(hash, |entry| entry.0 == *key);
        found.map(|entry| entry.1 = change(&entry.1)).is_some()
    }

    fn each(map: &&Self, mut look: impl FnMut(&D::Value)) {
        for shard in &map.shards {
            shard.lock().expect("nobody panics with it").iter().for_each(|entry| look(&entry.1));
        }
    }
}
