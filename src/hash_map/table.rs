//! One table: slots, the way a search takes through them, and who may still take a slot.
//!
//! - **T1.** The number of slots is a power of two. An entry's *home* is the slot with the number of
//!   its hash's top bits; its *path* goes from there, slot by slot and round the end, to the first
//!   empty slot (frozen or not), that one included; or once around if there is none.
//! - **T2.** An entry stands on its path. Slots do not become empty again (W1), so it stays there.
//! - **T3.** *One slot a key, and one a mark that may change hands.* Whoever takes an empty slot has
//!   given MORE to each slot of his mark that he has passed, or found it so, or SPENT. So of a mark's
//!   slots all but the last one are of this kind, and stay so (W3). The last one ends a
//!   search: behind it there is nothing of the mark, and what is before it is for other keys.
//!   There a key is put in, if it is a tombstone. If it holds another key, its word gets MORE, and then
//!   the search goes on, to the empty slot at the path's end. All this is by CAS from what was seen,
//!   so two who put in the same key meet, at the last slot or at the empty one.
//!
//! (Why the other slots are passed: let A hold the first slot of a mark, and B, of the same mark, the
//! second one. If the first were used again when A is gone, somebody who puts in B, and has passed
//! A, might take an empty slot behind, when B has been removed and was put in again in the first.)
//!
//! # Room
//!
//! Tombstones are used again by their own keys only, so slots run out. Sharded counters say how
//! many are used: each is counted up before its slot is taken, and down again if it was not. So
//! their sum, taken in any order, is never less than the slots that were taken before it was begun.
//!
//! - **T4.** A key takes an empty slot only after [`admit`](Table::admit): it was
//!   counted, and *then* no next table was seen. So for whoever has seen a next table and has then
//!   issued a full fence, the sum is no less than the slots that will *ever* be taken: who is not in
//!   it issued his fence later, and sees the next table. (*store `used`; fence; load `next`* against
//!   *`next` is set; fence; load `used`*.)
//! - **T5.** While entries still come in from the table before (the table is *young*), it admits no
//!   more than [`room`](room_for) new keys, by quotas of its shards. These are no fewer than the
//!   chunks of the table before, and each moves one: so all is moved when they are in.

use core::fmt;
use core::ptr;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

use crossbeam_utils::CachePadded;

use super::entry::Node;
use super::word::{Glance, Mark, Slot, Word};
use crate::atomic::{Atomic, Owned};
use crate::guard::{Guard, Shield};
use crate::retired::Owner;
use crate::scheme::Scheme;
use crate::sharded::{SHARDS, my_shard};
use crate::sync::{AtomicUsize, MODEL, Ordering, fence};

/// The smallest table.
pub(super) const MIN_SLOTS: usize = if MODEL { 4 } else { 8 };

/// A shard of the counters for so many slots: few shards are summed up faster.
const SLOTS_A_SHARD: usize = 256;

/// How full a table may get: three quarters.
pub(super) fn capacity_of(slots: usize) -> usize {
    slots - slots / 4
}

/// How many slots a table has for so many entries; `None` if that is more than memory can be.
pub(super) fn slots_for(entries: usize) -> Option<usize> {
    let slots = entries.checked_add(entries.div_ceil(3))?.checked_next_power_of_two()?;
    // Twice as many must be a layout, too.
    let most = isize::MAX as usize / size_of::<Slot<()>>() / 2;
    (slots <= most).then_some(slots.max(MIN_SLOTS))
}

/// T5: so many new keys may come into a table of so many slots while others are still on their way.
pub(super) fn room_for(slots: usize) -> usize {
    slots / 8
}

/// Why there is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortage {
    /// It would be larger than memory can be.
    Overflow,
    /// There is no memory for a table of this layout.
    NoMemory(Layout),
}

impl Shortage {
    /// What std's collections do.
    pub(super) fn fail(self) -> ! {
        match self {
            Self::Overflow => panic!("capacity overflow"),
            Self::NoMemory(layout) => handle_alloc_error(layout),
        }
    }
}

/// How many slots were taken by a group of threads.
#[derive(Default)]
struct Used {
    /// By keys that were new.
    inserted: AtomicUsize,
    /// By entries from the table before.
    moved: AtomicUsize,
}

/// How far the table's entries have been moved. In slots.
#[derive(Default)]
// Of its own cache line: readers have nothing to do with it.
#[cfg_attr(not(any(loom, crossbeam_loom)), repr(align(128)))]
pub(super) struct Progress {
    /// Chunks up to here were handed out.
    pub(super) claimed: AtomicUsize,
    /// All slots up to here are final.
    pub(super) finished: AtomicUsize,
}

// In a model a table stands in memory that notices a use after free.
#[cfg_attr(any(loom, crossbeam_loom), repr(align(64)))]
pub(super) struct Table<K, V> {
    slots: Box<[Slot<Node<K, V>>]>,
    /// Of a hash, to get a slot's number.
    shift: u32,
    /// What comes after this table: see `migrate`.
    pub(super) next: Atomic<Self>,
    used: Box<[CachePadded<Used>]>,
    pub(super) progress: Progress,
}

/// Where a search has ended.
pub(super) struct Search<N> {
    /// What was found.
    pub(super) end: End,
    /// The last slot that was looked at, and what it held.
    pub(super) at: usize,
    pub(super) word: Word<N>,
    /// How many slots were passed before.
    pub(super) passed: usize,
    /// Whether there was a frozen one: frozen entry, empty or moved; or, as none is empty, a next table.
    pub(super) met_frozen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The entry; it is covered.
    Found,
    /// A tombstone of this very mark, the last of its slots: here the key is put in again (T3).
    Tomb,
    /// The last slot of this mark has another key's entry; it is covered (T3).
    Other,
    /// An empty slot.
    Empty,
    /// All slots were passed.
    Round,
}

/// What [`Table::admit`] says of a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may take a slot. It was counted in this shard, which had counted so many before.
    Granted { shard: usize, before: usize },
    /// There is a next table: it goes there.
    Closed,
    /// Too many while others are still on their way.
    Later,
}

impl<K, V> Table<K, V> {
    /// A table of so many slots, which is a power of two.
    pub(super) fn new<S: Scheme>(
        guard: &Guard<'_, S>,
        slots: usize,
    ) -> Result<Owned<Self, S>, Shortage> {
        let shards = (slots / SLOTS_A_SHARD).clamp(1, SHARDS);
        let table = Self {
            slots: empty_slots(slots)?,
            shift: u64::BITS - slots.ilog2(),
            next: Atomic::null(),
            // SAFETY: counters of 0 are all zeros.
            used: unsafe { zeroed(shards, CachePadded::default)? },
            progress: Progress::default(),
        };
        let no_memory = |_| Shortage::NoMemory(Layout::new::<Self>());
        guard.try_owner(table).map_err(no_memory)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot with this number.
    #[inline]
    pub(super) fn slot(&self, at: usize) -> &Slot<Node<K, V>> {
        &self.slots[at]
    }

    pub(super) fn slots(&self) -> &[Slot<Node<K, V>>] {
        &self.slots
    }

    /// T1.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of slots")]
    pub(super) fn home(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }

    /// The greatest hash whose home is not behind the one that is `passed` slots from `home`, where
    /// no path goes round the end.
    pub(super) fn last_hash(&self, home: usize, passed: usize) -> u64 {
        let end = home.saturating_add(passed).saturating_add(1);
        if end >= self.len() { u64::MAX } else { ((end as u64) << self.shift) - 1 }
    }

    #[inline]
    pub(super) fn after(&self, at: usize) -> usize {
        self.ahead(at, 1)
    }

    /// The slot that is so many further on.
    #[inline]
    pub(super) fn ahead(&self, at: usize, count: usize) -> usize {
        (at + count) & (self.len() - 1)
    }

    /// Goes along the path of a hash, to an entry with that hash for which `is` says so; or to where
    /// it ends without (T3).
    // Always: what changes a key knows what of the result it needs.
    #[inline(always)]
    pub(super) fn search<S: Scheme>(
        &self,
        hash: u64,
        shield: &mut Shield<'_, Node<K, V>, S>,
        is: impl Fn(&Node<K, V>) -> bool,
    ) -> Search<Node<K, V>> {
        let mark = Mark::of(hash);
        let (slots, home) = (self.slots(), self.home(hash));
        let last = slots.len() - 1;
        let mut at = home;
        let mut met_frozen = false;
        let ends = |end, at: usize, word: Word<_>, met_frozen| {
            let passed = at.wrapping_sub(home) & last;
            Search { end, at, word, passed, met_frozen: met_frozen | word.is_frozen() }
        };
        loop {
            let slot = &slots[at];
            let mut word = Word::load(slot);
            if word.may_have(mark) {
                let end;
                (word, end) = Self::meet(slot, word, hash, shield, &is);
                if let Some(end) = end {
                    return ends(end, at, word, met_frozen);
                }
            }
            if word.is_empty() {
                return ends(End::Empty, at, word, met_frozen);
            }
            met_frozen |= word.is_frozen();
            let next = (at + 1) & last;
            if next == home {
                // M4: if there is a next table, the key may have gone there.
                return ends(End::Round, at, word, met_frozen | self.is_followed());
            }
            at = next;
        }
    }

    /// As [`search`](Self::search), as long as all is plain; `None` if it is not.
    ///
    /// Nothing is frozen where it went, and what it has found has no others of its mark behind it.
    // Always: it is what an operation does, nearly always, and few instructions.
    #[inline(always)]
    pub(super) fn glance<S: Scheme>(
        &self,
        hash: u64,
        shield: &mut Shield<'_, Node<K, V>, S>,
        is: impl Fn(&Node<K, V>) -> bool,
    ) -> Option<Search<Node<K, V>>> {
        let (mark, home) = (Mark::of(hash), self.home(hash));
        let mut at = home;
        // No further than to the end: so it needs no more than this to end.
        while let Some(slot) = self.slots.get(at) {
            let word = Word::load(slot);
            let ends = |end, word| {
                let passed = at - home;
                Some(Search { end, at, word, passed, met_frozen: false })
            };
            match word.at_a_glance(mark) {
                Glance::Empty => return ends(End::Empty, word),
                Glance::Node(node) => {
                    let word = word.cover_node(node, slot, shield).ok()?;
                    // SAFETY: as in `meet`.
                    let node = unsafe { shield.as_ref() }?;
                    if (MODEL || node.hash == hash) && is(node) {
                        return ends(End::Found, word);
                    }
                    if Mark::of(node.hash) == mark {
                        return None;
                    }
                    // Where words have no bits of the hash. (It stays so: W2.)
                }
                Glance::Tomb => return ends(End::Tomb, word),
                Glance::Other => {}
                Glance::Unclear => return None,
            }
            at += 1;
        }
        None
    }

    /// T3: whether this is the last entry of the hash's mark.
    #[cold]
    fn is_last(node: &Node<K, V>, word: Word<Node<K, V>>, hash: u64) -> bool {
        Mark::of(node.hash) == Mark::of(hash) && !word.has_more()
    }

    /// Looks closer at what may have the hash: what the slot holds, and whether the search ends there.
    #[inline(always)]
    fn meet<S: Scheme>(
        slot: &Slot<Node<K, V>>,
        mut word: Word<Node<K, V>>,
        hash: u64,
        shield: &mut Shield<'_, Node<K, V>, S>,
        is: &impl Fn(&Node<K, V>) -> bool,
    ) -> (Word<Node<K, V>>, Option<End>) {
        let mark = Mark::of(hash);
        while word.may_have(mark) {
            if !word.has_node() {
                return (word, (word == Word::tomb(mark)).then_some(End::Tomb));
            }
            match word.cover(slot, shield) {
                Ok(covered) => word = covered,
                Err(now) => {
                    word = now;
                    continue;
                }
            }
            // SAFETY: covered: it stood in its slot after the announcement, so it was not retired (M6
            // of `migrate`); nodes of this map, of this domain.
            let Some(node) = (unsafe { shield.as_ref() }) else { break };
            // In a model the key is looked at in any case: a dead one is noticed.
            if (MODEL || node.hash == hash) && is(node) {
                return (word, Some(End::Found));
            }
            return (word, Self::is_last(node, word, hash).then_some(End::Other));
        }
        (word, None)
    }

    /// How many slots are taken, or more; see T4.
    pub(super) fn used(&self) -> usize {
        // Relaxed, here and below: what the sum is to be ordered with, a fence orders (T4).
        let sum = |used: &CachePadded<Used>| {
            used.inserted.load(Ordering::Relaxed) + used.moved.load(Ordering::Relaxed)
        };
        self.used.iter().map(sum).sum()
    }

    #[inline]
    fn my_shard(&self) -> usize {
        my_shard() & (self.used.len() - 1)
    }

    /// Asks for a slot for a new key (T4).
    #[inline]
    pub(super) fn admit(&self, young: bool) -> Admission {
        let mine = self.my_shard();
        let shard = if young {
            let quota = room_for(self.len()) / self.used.len();
            let shards = (mine..self.used.len()).chain(0..mine);
            let Some(shard) = shards.into_iter().find(|shard| {
                let inserted = &self.used[*shard].inserted;
                let has_room = |quota| inserted.load(Ordering::Relaxed) < quota;
                if !has_room(quota) {
                    return false;
                }
                let before = inserted.fetch_add(1, Ordering::Relaxed);
                if before >= quota {
                    inserted.fetch_sub(1, Ordering::Relaxed);
                }
                before < quota
            }) else {
                return Admission::Later;
            };
            (shard, 0)
        } else {
            (mine, self.used[mine].inserted.fetch_add(1, Ordering::Relaxed))
        };
        let (shard, before) = shard;
        // T4. PAIRS: `upkeep`, `settle`.
        fence(Ordering::SeqCst);
        // Relaxed: only whether there is one.
        if self.next.load(Ordering::Relaxed).is_null() {
            Admission::Granted { shard, before }
        } else {
            self.dismiss(shard);
            Admission::Closed
        }
    }

    /// Counts a key out that was admitted to this shard and has not taken a slot.
    pub(super) fn dismiss(&self, shard: usize) {
        self.used[shard].inserted.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether an insertion that was counted as the shard's next after `before` is one of those
    /// after which it is looked whether the table is full.
    pub(super) fn is_time_to_look(&self, before: usize) -> bool {
        // Between two looks all shards together take a sixteenth of the slots, at most.
        before & ((self.len() / SLOTS_A_SHARD).max(1) - 1) == 0
    }

    /// Counts so many slots in that entries of the table before are going to take.
    pub(super) fn expect_moved(&self, count: usize) {
        self.used[self.my_shard()].moved.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts those out that they have not taken.
    pub(super) fn unexpect_moved(&self, count: usize) {
        self.used[self.my_shard()].moved.fetch_sub(count, Ordering::Relaxed);
    }

    /// Makes all slots empty, for whoever has the table to himself; their entries are forgotten.
    pub(super) fn wipe_exclusive(&self) {
        // T4: then nobody has written a slot.
        if self.used() == 0 {
            return;
        }
        for slot in &self.slots {
            // A page that nobody has written stays the system's: see `empty_slots`.
            if Word::load_exclusive(slot) != Word::EMPTY {
                Word::EMPTY.store_exclusive(slot);
            }
        }
        for used in &self.used {
            used.inserted.store(0, Ordering::Relaxed);
            used.moved.store(0, Ordering::Relaxed);
        }
    }
}

impl<K, V> Owner for Table<K, V> {
    fn owned_bytes(&self) -> usize {
        size_of_val(&*self.slots) + size_of_val(&*self.used)
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

/// So many empty slots. Large ones come from the system as pages that it fills with zeros when they
/// are first touched, so it takes no time to make them, and memory only where they are used.
fn empty_slots<N>(count: usize) -> Result<Box<[Slot<N>]>, Shortage> {
    // SAFETY: null pointers are all zeros.
    unsafe { zeroed(count, Atomic::null) }
}

/// So many objects in a box, each as `one` makes it.
///
/// # Safety
/// That is all zeros.
unsafe fn zeroed<T>(count: usize, one: impl Fn() -> T) -> Result<Box<[T]>, Shortage> {
    let layout = Layout::array::<T>(count).map_err(|_| Shortage::Overflow)?;
    if MODEL {
        // The model's atomics are not zeros.
        return Ok((0..count).map(|_| one()).collect());
    }
    // SAFETY: the size is not 0: there is one, at least, and it has a size.
    let block = unsafe { alloc_zeroed(layout) }.cast::<T>();
    if block.is_null() {
        return Err(Shortage::NoMemory(layout));
    }
    // SAFETY: a block of this very layout, from the global allocator; all zeros: the caller's.
    Ok(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(block, count)) })
}
