//! A read-through row cache: what it promises, how it keeps it, and CLOCK.
//!
//! # What it promises
//!
//! A read never returns a version older than one whose update had returned before the read started.
//! Concurrent misses of a row read the database once. No thread holds a guard while the database
//! works. A hit takes no lock and counts no reference. At most `capacity` entries stay.
//!
//! # The states of an entry
//!
//! ```text
//!               lease                publish
//!   (none) ──────────────▶ Loading ───────────▶ Ready
//!                           ▲    │               │
//!                     lease │    │ invalidate,   │ invalidate
//!                           │    ▼ failed load   │
//!                           Vacant ◀─────────────┘
//! ```
//!
//! Each arrow is one atomic step on the map ([`HashMap`]'s `compute`). From every state, the
//! entry's turn in the clock may take it away.
//!
//! - *A read* looks the row up. `Ready`: that is a hit. `Loading`: it takes a reference to the load,
//!   leaves its guard, and waits for the result. Nothing or `Vacant`: it puts a `Loading` of its
//!   own there, **the lease**; leaves its guard; reads the database; and publishes.
//! - *An update* (1) commits to the database, (2) turns whatever is cached, `Ready` or `Loading`,
//!   into `Vacant`, (3) returns.
//!
//! # Why no read is stale
//!
//! - **I1, a lease is taken before its load reads.** So the load sees every update whose step 2 came
//!   before the lease: that update's step 1 came still earlier.
//! - **I2, a load publishes only under its own lease**: `publish` compares the load in the entry with
//!   its own, and nobody else has that load. A lease that an update (or the clock) took away does
//!   not come back: a later reader's lease is another load. So a `Ready` entry is at least as new as
//!   every update whose step 2 came before it was published: those before the lease by I1, and one
//!   between lease and publication would have taken the lease away.
//! - **I3, an update clears the entry after it has committed and before it returns**, whatever its
//!   state, and also when the commit failed or panicked: nobody knows then what the database holds.
//!   So an entry that a read finds, `Ready` or `Loading`, was put there after the step 2 of every
//!   update that had returned before the read started, and by I1 and I2 it is, or will be, at least
//!   as new as those.
//!
//! By I3 it does not matter in which order updates of one row reach step 2. Two updates commit
//! versions 2 and 3 and clear the entry in the order 3, 2: both clear it, and a load in between has
//! read version 3. Had they *replaced* the entry, version 2 would have stayed. That is why an update
//! invalidates.
//!
//! A load whose lease was taken away still gives its row to itself and to those who wait for it: all
//! of these found the lease in place, so I3 holds for them. It is only not cached.
//!
//! # Why nobody waits for ever, and nothing grows
//!
//! - **I4, a lease ends.** It ends in `publish`, or when it is dropped by a load that failed or
//!   panicked: then the entry becomes `Vacant`, the waiters get the error, and the next read tries
//!   again.
//! - **I5, no guard is held while the database works or another thread is waited for.** A guard held
//!   across I/O is the commonest way to stall reclamation. The function that looks up returns
//!   before either begins.
//! - **I6, each entry has exactly one token**: its key, in the queue or in the hands of one thread.
//!   Who puts a new entry into the map holds its token until the load is settled, and then queues
//!   it. Only who holds an entry's token takes the entry out of the map. An invalidated entry stays
//!   as `Vacant`, with its token in its place: so updates leave no stale tokens behind, and the
//!   queue is never longer than the map.
//! - **I7, a surplus entry is claimed, then evicted.** `resident` counts the entries that nobody has
//!   claimed. Who finds it above `capacity` takes one off and must take one entry out. Where the
//!   queue is empty (other threads hold the tokens), it puts the claim back; those threads look
//!   again after they have queued their tokens. So with no read under way the map holds at most
//!   `capacity` entries.
//!
//! # CLOCK
//!
//! First in, first out, with a second chance (Corbató 1968): the hand takes the oldest token. Was
//! its entry visited since the hand last came by, then the hand clears the bit and puts the token
//! back at the end; if not, the entry goes. A hit sets the bit, if it is not set, and does nothing
//! else. With one thread this is exactly CLOCK; with many, a hand that has turned away `capacity`
//! tokens takes the next one as it is, so an insert has a bound.
//!
//! [`HashMap`]: sexton::HashMap

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use sexton::hash_map::{Compute, Operation};
use sexton::{Guard, HashMap, Pinned, Queue, Reclaimer};

use crate::database::{Database, DatabaseError};
use crate::row::{Key, Row};

#[cfg(test)]
mod tests;

type Hasher = foldhash::fast::FixedState;

/// A cache of rows in front of a database, on the structures and the reclamation of `R`.
pub struct RowCache<D, R: Reclaimer> {
    database: D,
    entries: HashMap<Key, Entry, Hasher, R>,
    /// The tokens (I6), oldest first.
    clock: Queue<Key, R>,
    /// Entries that nobody has claimed for eviction (I7).
    resident: AtomicUsize,
    capacity: usize,
}

/// What the cache knows of a row.
enum Entry {
    /// The row, and whether it was read since the clock's hand last came by.
    Ready { row: Row, visited: AtomicBool },
    /// Somebody is reading it from the database: that thread's lease.
    Loading(Arc<Load>),
    /// Nothing; the entry only keeps its place in the clock.
    Vacant,
}

/// A row on its way from the database, and those who wait for it.
#[derive(Default)]
struct Load {
    outcome: OnceLock<Result<Row, DatabaseError>>,
    /// Whether the row was wanted again while it was on its way.
    visited: AtomicBool,
}

/// Where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// From the cache.
    Hit,
    /// From the database, by this read.
    Loaded,
    /// From the database, by another thread's read that was already under way.
    Joined,
}

impl<D: Database, R: Reclaimer> RowCache<D, R> {
    /// A cache of at most `capacity` rows (at least one) before `database`.
    pub fn new(database: D, capacity: usize, reclaimer: R) -> Self {
        // The map grows when it must; an absurd capacity shall not exhaust the memory here.
        let room = capacity.min(1 << 16);
        RowCache {
            database,
            entries: HashMap::with_capacity_and_hasher_and_reclaimer(
                room,
                Hasher::default(),
                reclaimer.clone(),
            ),
            clock: Queue::with_reclaimer(reclaimer),
            resident: AtomicUsize::new(0),
            capacity: capacity.max(1),
        }
    }

    /// Looks at a row, in the cache or else in the database.
    ///
    /// On a hit `look` runs inside the guard, on the row where it lies: it should be short. A database
    /// that reads the same row through this same cache would wait for itself.
    pub fn read<T>(
        &self,
        key: Key,
        look: impl FnOnce(&Row) -> T,
    ) -> Result<(T, Served), DatabaseError> {
        // I5: no guard survives this call.
        match self.look_up(key, look) {
            LookUp::Hit(seen) => Ok((seen, Served::Hit)),
            LookUp::Join(load, look) => {
                let row = load.outcome.wait().as_ref().map_err(Clone::clone)?;
                Ok((look(row), Served::Joined))
            }
            LookUp::Lead(lease, look) => {
                // I1: the lease is in place. I4: dropping it, on whatever way, settles it.
                let outcome = self.database.read(key);
                let load = lease.settle(outcome);
                let row = load.outcome.wait().as_ref().map_err(Clone::clone)?;
                Ok((look(row), Served::Loaded))
            }
        }
    }

    /// Updates a row in the database; when this returns, no read that starts finds an older one.
    pub fn update(&self, key: Key, change: impl FnOnce(&Row) -> Row) -> Result<Row, DatabaseError> {
        // I3: on every way out of the transaction, a panic included.
        let invalidate = Invalidate { cache: self, key };
        let outcome = self.database.update(key, change);
        drop(invalidate);
        outcome
    }

    /// How many entries there are: rows, rows on their way, and places kept for rows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the cache holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hit path, or the first step of a miss.
    fn look_up<T, F: FnOnce(&Row) -> T>(&self, key: Key, look: F) -> LookUp<'_, T, F, D, R> {
        let entries = self.entries.pin();
        loop {
            match entries.get(&key).as_deref() {
                Some(Entry::Ready { row, visited }) => {
                    mark(visited);
                    return LookUp::Hit(look(row));
                }
                Some(Entry::Loading(load)) => {
                    mark(&load.visited);
                    return LookUp::Join(Arc::clone(load), look);
                }
                // Another thread may get in between the look and the lease: look again.
                Some(Entry::Vacant) | None => {
                    if let Some(lease) = self.lease(&entries, key) {
                        return LookUp::Lead(lease, look);
                    }
                }
            }
        }
    }

    /// Takes the lease of a row, unless the row is there or on its way.
    fn lease(&self, entries: &Entries<'_, R>, key: Key) -> Option<Lease<'_, D, R>> {
        let load = Arc::new(Load::default());
        let leased = |entry: Option<(&Key, &Entry)>| match entry {
            None | Some((_, Entry::Vacant)) => Operation::Insert(Entry::Loading(load.clone())),
            Some((_, Entry::Ready { .. } | Entry::Loading(_))) => Operation::Abort(()),
        };
        let new = match entries.compute(key, leased) {
            Compute::Inserted(_) => true,
            // The row was here and is wanted again.
            Compute::Updated { .. } => {
                mark(&load.visited);
                false
            }
            Compute::Removed(_) | Compute::Absent | Compute::Aborted(()) => return None,
        };
        // I6: a new entry's token is ours until the lease is settled.
        let lease = Lease { cache: self, key, load, holds_token: new };
        if new {
            // Relaxed: a count; what it is a count of is ordered by the map and the queue.
            self.resident.fetch_add(1, Ordering::Relaxed);
            self.make_room(entries);
        }
        Some(lease)
    }

    /// Step 2 of an update: takes away the row, and the lease of a load that may have read too early.
    fn invalidate(&self, key: Key) {
        self.entries.pin().compute(key, |entry| match entry {
            Some((_, Entry::Ready { .. } | Entry::Loading(_))) => Operation::Insert(Entry::Vacant),
            Some((_, Entry::Vacant)) | None => Operation::Abort(()),
        });
    }

    /// Evicts entries while there are more than `capacity` (I7).
    fn make_room(&self, entries: &Entries<'_, R>) {
        let surplus = |n| (n > self.capacity).then(|| n - 1);
        // Relaxed: see `lease`.
        while self.resident.fetch_update(Ordering::Relaxed, Ordering::Relaxed, surplus).is_ok() {
            if !self.evict_one(entries) {
                self.resident.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Turns the clock's hand to the first entry that was not visited, and takes it out; false if
    /// all the tokens are in other hands.
    fn evict_one(&self, entries: &Entries<'_, R>) -> bool {
        let mut turns = 0;
        loop {
            let Some(key) = self.clock.pop() else { return false };
            let last = turns >= self.capacity;
            // I6: the token is ours, so the entry is there and stays there unless we take it out.
            if entries.remove_if(&key, |_, entry| last || !entry.had_a_visit()).is_some() {
                return true;
            }
            self.clock.push(key);
            turns += 1;
        }
    }
}

type Entries<'c, R> =
    Pinned<'c, HashMap<Key, Entry, Hasher, R>, Guard<'c, <R as Reclaimer>::Scheme>>;

/// What a look-up came to; none of it holds a guard.
enum LookUp<'c, T, F, D: Database, R: Reclaimer> {
    Hit(T),
    Join(Arc<Load>, F),
    Lead(Lease<'c, D, R>, F),
}

impl Entry {
    /// The clock's hand comes by: was the entry visited since the last time?
    fn had_a_visit(&self) -> bool {
        match self {
            // Relaxed: a hint to the clock. The row itself is published by the map.
            Entry::Ready { visited, .. } => visited.swap(false, Ordering::Relaxed),
            // It gets its chance when it is there.
            Entry::Loading(_) => true,
            Entry::Vacant => false,
        }
    }
}

/// Sets a visited bit; no store where it is set already, so that readers share the cache line.
fn mark(visited: &AtomicBool) {
    // Relaxed: see `had_a_visit`.
    if !visited.load(Ordering::Relaxed) {
        visited.store(true, Ordering::Relaxed);
    }
}

/// The right to publish a row, and the duty to settle its load (I2, I4).
struct Lease<'c, D: Database, R: Reclaimer> {
    cache: &'c RowCache<D, R>,
    key: Key,
    load: Arc<Load>,
    /// Whether this lease holds the entry's token (I6).
    holds_token: bool,
}

impl<D: Database, R: Reclaimer> Lease<'_, D, R> {
    /// Publishes what was read, if the lease is still there, and tells all who wait.
    fn settle(self, outcome: Result<Row, DatabaseError>) -> Arc<Load> {
        self.publish(outcome.as_ref().ok());
        let load = Arc::clone(&self.load);
        // Nobody else sets it. Set before `self` drops: the drop finds the load settled.
        let _ = load.outcome.set(outcome);
        load
    }

    fn publish(&self, row: Option<&Row>) {
        self.cache.entries.pin().compute(self.key, |entry| match entry {
            // I2: our own lease, and no other.
            Some((_, Entry::Loading(load))) if Arc::ptr_eq(load, &self.load) => {
                Operation::Insert(row.map_or(Entry::Vacant, |row| Entry::Ready {
                    row: row.clone(),
                    visited: load.visited.load(Ordering::Relaxed).into(),
                }))
            }
            _ => Operation::Abort(()),
        });
    }
}

impl<D: Database, R: Reclaimer> Drop for Lease<'_, D, R> {
    fn drop(&mut self) {
        if self.load.outcome.get().is_none() {
            // The load panicked on its way (I4).
            self.publish(None);
            let _ = self.load.outcome.set(Err(DatabaseError::Panicked(self.key)));
        }
        if self.holds_token {
            // I6: into the queue; and then I7: somebody may have missed it there.
            self.cache.clock.push(self.key);
            self.cache.make_room(&self.cache.entries.pin());
        }
    }
}

/// Step 2 of an update, when it drops (I3).
struct Invalidate<'c, D: Database, R: Reclaimer> {
    cache: &'c RowCache<D, R>,
    key: Key,
}

impl<D: Database, R: Reclaimer> Drop for Invalidate<'_, D, R> {
    fn drop(&mut self) {
        self.cache.invalidate(self.key);
    }
}
