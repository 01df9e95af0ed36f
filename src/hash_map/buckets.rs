//! Ways into the list: a table of sentinels that doubles without moving an entry.
//!
//! All entries stand in one list, ordered by their hash's bits read backwards. A bucket is a stretch
//! of it, and its entry in the table is the sentinel that begins the stretch. Twice as many buckets
//! split each stretch in two, where the entries stand already: only a sentinel is put in between,
//! when it is first asked for. (Shalev and Shavit, "Split-ordered lists: lock-free extensible hash
//! tables", J. ACM 2006.)
//!
//! # Invariants
//!
//! - **I1.** A bucket's slot is null, or its sentinel, and changes once. Sentinels live as long as
//!   the table is shared.
//! - **I2.** A segment never moves: segment 0 has bucket 0 and 1, segment `n` the `2^n` buckets from
//!   `2^n` on.
//! - **I3.** Any bucket whose index is a lower part of a hash's bits begins before the hash's place.
//!   So a smaller table, or the bucket's parent in place of a bucket for which there is no memory,
//!   is only slower.

use core::ptr;

use super::list::{Cursor, Link, Retire};
use crate::atomic::{Atomic, Owned, Ptr};
use crate::guard::Guard;
use crate::scheme::Scheme;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};

/// Enough for every bucket index.
const SEGMENTS: usize = usize::BITS as usize;

/// The smallest table.
const MIN_BUCKETS: usize = 2;

/// More entries than this in a bucket, on average, and the table doubles.
const MAX_LOAD: usize = 2;

type Slot = Atomic<Link>;

pub(super) struct Buckets {
    /// I2. Each points to a boxed slice's first slot.
    segments: [AtomicPtr<Slot>; SEGMENTS],
    /// How many are in use: a power of two.
    count: AtomicUsize,
    /// Bucket 0, where the list begins.
    first: *mut Link,
}

/// The order of an entry with this hash.
pub(super) fn entry_order(hash: u64) -> u64 {
    hash.reverse_bits() | 1
}

fn sentinel_order(index: usize) -> u64 {
    (index as u64).reverse_bits()
}

/// The bucket that a sentinel belongs to.
fn sentinel_index(order: u64) -> usize {
    order.reverse_bits() as usize
}

/// Segment and offset of a bucket (I2).
fn locate(index: usize) -> (usize, usize) {
    match index.checked_ilog2() {
        None | Some(0) => (0, index),
        Some(segment) => (segment as usize, index - (1 << segment)),
    }
}

fn segment_len(segment: usize) -> usize {
    if segment == 0 { 2 } else { 1 << segment }
}

/// The number of buckets for so many entries.
///
/// # Panics
/// If their table would be larger than memory can be, as std's collections do.
fn buckets_for(entries: usize) -> usize {
    let buckets = entries.div_ceil(MAX_LOAD);
    assert!(buckets <= isize::MAX as usize / size_of::<Slot>() / 2, "capacity overflow");
    buckets.next_power_of_two().max(MIN_BUCKETS)
}

impl Buckets {
    pub(super) fn new<S: Scheme>(guard: &Guard<'_, S>, entries: usize) -> Self {
        let count = buckets_for(entries);
        let first = guard.owned(Link::new(sentinel_order(0))).into_ptr().as_raw();
        Self {
            segments: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            count: AtomicUsize::new(count),
            first,
        }
    }

    /// Where the list begins.
    pub(super) fn first(&self) -> &Link {
        // SAFETY: I1.
        unsafe { &*self.first }
    }

    /// How many entries fit before the table doubles.
    pub(super) fn capacity(&self) -> usize {
        // Relaxed: the count orders nothing (I3).
        self.count.load(Ordering::Relaxed).saturating_mul(MAX_LOAD)
    }

    /// Makes room for so many entries, at least.
    pub(super) fn grow_for(&self, entries: usize) {
        // Relaxed: as above.
        self.count.fetch_max(buckets_for(entries), Ordering::Relaxed);
    }

    /// Keeps room for so many entries only, and frees the rest.
    ///
    /// # Safety
    /// Nobody else uses the table or the list.
    pub(super) unsafe fn shrink_for<S: Scheme>(&mut self, entries: usize) {
        // Relaxed, here and below: borrowed exclusively.
        let count = buckets_for(entries).min(self.count.load(Ordering::Relaxed));
        self.count.store(count, Ordering::Relaxed);
        let is_spare =
            |link: &Link| link.is_sentinel() && sentinel_index(link.place().order) >= count;
        let mut at = Ptr::from_raw(self.first);
        // SAFETY: linked nodes are alive.
        while let Some(link) = unsafe { at.as_ref() } {
            let next = link.next_exclusive().0;
            // SAFETY: as above.
            match unsafe { next.as_ref() }.filter(|next| is_spare(next)) {
                None => at = next,
                Some(spare) => {
                    link.set_next_exclusive(spare.next_exclusive().0);
                    // SAFETY: unlinked; its slot is in a segment that goes below.
                    drop(unsafe { Owned::<Link, S>::from_ptr(next) });
                }
            }
        }
        // A segment begins with bucket 2^n, and `count` is a power of two: all of it goes, or none.
        for segment in locate(count).0..SEGMENTS {
            let slots = self.segments[segment].swap(ptr::null_mut(), Ordering::Relaxed);
            if !slots.is_null() {
                // SAFETY: I2; nothing leads to it any more.
                unsafe { free_segment(slots, segment) };
            }
        }
    }

    /// A sentinel from which a walk reaches every entry with this hash.
    pub(super) fn start<'g, S: Scheme, N: Retire<S>>(
        &'g self,
        guard: &'g Guard<'g, S>,
        hash: u64,
    ) -> &'g Link {
        // Relaxed: as above.
        let count = self.count.load(Ordering::Relaxed);
        self.sentinel::<S, N>(guard, hash as usize & (count - 1))
    }

    fn sentinel<'g, S: Scheme, N: Retire<S>>(
        &'g self,
        guard: &'g Guard<'g, S>,
        index: usize,
    ) -> &'g Link {
        if index == 0 {
            return self.first();
        }
        let slot = self.slot(index);
        // Acquire: pairs with the Release in `add_sentinel`.
        let known = slot.map(|slot| slot.load(Ordering::Acquire));
        // SAFETY: I1.
        match known.and_then(|sentinel| unsafe { sentinel.as_ref() }) {
            Some(sentinel) => sentinel,
            None => self.add_sentinel::<S, N>(guard, index, slot),
        }
    }

    /// Puts a bucket's sentinel in its place, or the parent's where there is no memory for it (I3).
    #[cold]
    fn add_sentinel<'g, S: Scheme, N: Retire<S>>(
        &'g self,
        guard: &'g Guard<'g, S>,
        index: usize,
        slot: Option<&Slot>,
    ) -> &'g Link {
        let parent = self.sentinel::<S, N>(guard, index & !(1 << index.ilog2()));
        let Some(slot) = slot else { return parent };
        let order = sentinel_order(index);
        let mut new = None;
        loop {
            let cursor = Cursor::walk::<N>(guard, parent, |_, node| node.place().order >= order);
            let found = match cursor.place() {
                Some(place) if place.order == order => cursor.at.ptr(),
                _ => {
                    let Some(node) = new.take().or_else(|| guard.try_owned(Link::new(order)).ok())
                    else {
                        return parent;
                    };
                    match cursor.insert(node, |node| node) {
                        Ok(inserted) => inserted,
                        Err(node) => {
                            new = Some(node);
                            continue;
                        }
                    }
                }
            };
            // Release: publishes the sentinel. There is one of this order in the list, so whoever
            // stores here stores the same (I1).
            slot.store(found, Ordering::Release);
            // SAFETY: I1.
            return unsafe { found.as_ref() }.unwrap_or(parent);
        }
    }

    /// A bucket's slot; `None` where there is no memory for its segment.
    fn slot(&self, index: usize) -> Option<&Slot> {
        let (segment, offset) = locate(index);
        // Acquire: pairs with the Release in `add_segment`.
        let mut slots = self.segments[segment].load(Ordering::Acquire);
        if slots.is_null() {
            slots = self.add_segment(segment)?;
        }
        // SAFETY: I2: the segment is there, as long as the table is, and `offset` is in it.
        Some(unsafe { &*slots.add(offset) })
    }

    #[cold]
    fn add_segment(&self, segment: usize) -> Option<*mut Slot> {
        let new = new_segment(segment)?;
        let place = &self.segments[segment];
        // Release: publishes the nulls. Acquire: another thread's are seen.
        match place.compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Acquire) {
            Ok(_) => Some(new),
            Err(theirs) => {
                // SAFETY: made above, shared with nobody.
                unsafe { free_segment(new, segment) };
                Some(theirs)
            }
        }
    }

    /// Frees a sentinel that was unlinked, and forgets it.
    ///
    /// # Safety
    /// Nobody else uses the table; the sentinel, not the first, is in no list any more.
    pub(super) unsafe fn free_sentinel<S: Scheme>(&mut self, sentinel: Owned<Link, S>) {
        if let Some(slot) = self.slot(sentinel_index(sentinel.place().order)) {
            // Relaxed: borrowed exclusively.
            slot.store(Ptr::null(), Ordering::Relaxed);
        }
    }

    /// Frees the table; the first sentinel must be the only one left.
    ///
    /// # Safety
    /// Nobody uses it any more, and this is called once.
    pub(super) unsafe fn free<S: Scheme>(&mut self) {
        for (segment, slots) in self.segments.iter().enumerate() {
            // Relaxed: borrowed exclusively.
            let slots = slots.load(Ordering::Relaxed);
            if !slots.is_null() {
                // SAFETY: I2; freed once.
                unsafe { free_segment(slots, segment) };
            }
        }
        // SAFETY: made in `new`, freed once.
        drop(unsafe { Owned::<Link, S>::from_ptr(Ptr::from_raw(self.first)) });
    }
}

/// A boxed slice of null slots, by its first; `None` when there is no memory.
#[cfg(not(any(loom, crossbeam_loom, shuttle)))]
fn new_segment(segment: usize) -> Option<*mut Slot> {
    let layout = core::alloc::Layout::array::<Slot>(segment_len(segment)).ok()?;
    // A large one is not written now, but page by page, as it is used.
    // SAFETY: its size is not 0. A null slot is all zero bits: it is a transparent pointer.
    let slots = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Slot>();
    (!slots.is_null()).then_some(slots)
}

/// As above; a model's atomics must be made one by one.
#[cfg(any(loom, crossbeam_loom, shuttle))]
fn new_segment(segment: usize) -> Option<*mut Slot> {
    let slots: Box<[Slot]> = (0..segment_len(segment)).map(|_| Slot::null()).collect();
    Some(Box::into_raw(slots).cast())
}

/// # Safety
/// `slots` came from `new_segment` with this number, and is not used any more.
unsafe fn free_segment(slots: *mut Slot, segment: usize) {
    let slots = ptr::slice_from_raw_parts_mut(slots, segment_len(segment));
    // SAFETY: it was a boxed slice of this length.
    drop(unsafe { Box::from_raw(slots) });
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;

    #[test]
    fn segments_hold_each_bucket_once() {
        let mut expected = (0, 0);
        for index in 0..1 << 10 {
            assert_eq!(locate(index), expected, "bucket {index}");
            expected.1 += 1;
            if expected.1 == segment_len(expected.0) {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn a_parent_begins_before_its_child_and_both_before_the_entry() {
        for hash in [0, 1, 2, 3, 0xffff, 0x1234_5678_9abc_def0, u64::MAX] {
            let mut last = 0;
            for bits in 1..16 {
                let order = sentinel_order(hash as usize & ((1 << bits) - 1));
                assert!(last <= order && order < entry_order(hash));
                assert_eq!(sentinel_index(order), hash as usize & ((1 << bits) - 1));
                last = order;
            }
        }
    }

    #[test]
    fn the_number_of_buckets_is_a_power_of_two() {
        assert_eq!(buckets_for(0), MIN_BUCKETS);
        assert_eq!(buckets_for(5), 4);
        assert_eq!(buckets_for(8), 4);
    }

    #[test]
    #[should_panic(expected = "capacity overflow")]
    fn a_capacity_larger_than_memory_is_refused() {
        buckets_for(usize::MAX);
    }
}
