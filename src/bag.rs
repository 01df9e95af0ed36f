//! What a thread has retired in a domain and nobody has reclaimed yet.
//!
//! Objects are in blocks:
//!
//! - *fresh* ones, which somebody may protect: in one block that is open, and, when that is sealed, in
//!   a queue of blocks that were *sealed* with a stamp: a number that says when its last object had
//!   been retired (an epoch, or a barrier's ticket).
//! - *ripe* ones, which nobody can protect any more: in another queue.
//!
//! The scheme moves objects from the one to the other: by whole blocks whose stamp is old enough
//! ([`Bag::ripen`]), or one by one ([`Bag::sift`]). Its owner takes them out of the second a few at
//! a time ([`Bag::take`]).
//!
//! - **I1.** A bag is an array of addresses, with what it takes to free them: a look at it touches no
//!   retired object (but for its size, where that is counted by what it owns: it is alive here).
//! - **I2.** One empty block is kept in reserve if it can be had, so that retiring goes on for a
//!   while when memory is short; a block that was emptied is used again. So once the bag has been as
//!   full as it gets, retiring allocates nothing.
//! - **I3.** The open block has room for one more; only sealed blocks ripen.

use core::alloc::Layout;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use crate::retired::Retired;
use crate::sync::MODEL;

/// Objects in a block: with these a block has 1 KiB on a 64-bit machine.
pub(crate) const BLOCK: usize = if MODEL { 2 } else { 62 };

/// How many empty blocks are kept for later: as many as a bag of the largest batch has, twice over,
/// so that a bag which is filled and emptied by whole batches allocates none.
const SPARE_BLOCKS: usize = if MODEL { 4 } else { 2 * crate::barrier::MAX_BATCH / BLOCK };

/// So many objects, and their memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) objects: usize,
    pub(crate) bytes: usize,
}

struct Block {
    next: *mut Self,
    /// When it was sealed.
    stamp: u64,
    /// The memory of the objects, in bytes; kept up to date while the block is fresh.
    bytes: usize,
    len: usize,
    objects: [MaybeUninit<Retired>; BLOCK],
}

impl Block {
    /// An empty block; `None` if there is no memory.
    fn allocate() -> Option<NonNull<Self>> {
        // SAFETY: a block is not of size 0.
        let block = unsafe { std::alloc::alloc(Layout::new::<Self>()) };
        let block = NonNull::new(block.cast::<Self>())?;
        // SAFETY: ours, and not initialised.
        unsafe { Self::clear(block) };
        Some(block)
    }

    /// # Safety
    /// The block is the caller's alone, and has no objects.
    unsafe fn free(block: NonNull<Self>) {
        // SAFETY: from `allocate`.
        unsafe { std::alloc::dealloc(block.as_ptr().cast(), Layout::new::<Self>()) };
    }

    /// Makes it empty.
    ///
    /// # Safety
    /// The block is the caller's alone, and may be uninitialised.
    unsafe fn clear(block: NonNull<Self>) {
        let block = block.as_ptr();
        // SAFETY: the caller's; the places are written without being read.
        unsafe {
            (&raw mut (*block).next).write(ptr::null_mut());
            (&raw mut (*block).stamp).write(0);
            (&raw mut (*block).bytes).write(0);
            (&raw mut (*block).len).write(0);
        }
    }

    #[inline]
    fn push(&mut self, retired: Retired) {
        self.bytes += retired.bytes();
        self.objects[self.len].write(retired);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Retired> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: below the length before, so it was written and not yet read.
        Some(unsafe { self.objects[self.len].assume_init_read() })
    }

    /// Takes the last ones out, as many as there is room for; says how many.
    #[inline]
    fn pop_many(&mut self, room: &mut [MaybeUninit<Retired>]) -> usize {
        let many = self.len.min(room.len());
        let left = self.len - many;
        let last = &self.objects[left..self.len];
        // SAFETY: below the length before, so they were written and not yet read; two places.
        unsafe { ptr::copy_nonoverlapping(last.as_ptr(), room.as_mut_ptr(), many) };
        self.len = left;
        many
    }

    /// Takes out the objects of which `which` is true, one at a time, and gives them to `to`, until
    /// that returns one.
    fn extract(
        &mut self,
        mut which: impl FnMut(&Retired) -> bool,
        mut to: impl FnMut(Retired) -> Result<(), Retired>,
    ) -> Result<(), ()> {
        let mut at = 0;
        while at < self.len {
            // SAFETY: below the length.
            if !which(unsafe { self.objects[at].assume_init_ref() }) {
                at += 1;
                continue;
            }
            // Its place is taken by the last.
            self.objects.swap(at, self.len - 1);
            let extracted = self.pop().expect("not empty");
            self.bytes -= extracted.bytes();
            if let Err(returned) = to(extracted) {
                self.push(returned);
                return Err(());
            }
        }
        Ok(())
    }
}

/// A queue of blocks.
struct Blocks {
    head: *mut Block,
    tail: *mut Block,
    objects: usize,
    /// What the blocks that are here had when they came: those whose objects are being taken out count
    /// until they are empty.
    bytes: usize,
}

impl Blocks {
    const fn new() -> Self {
        Self { head: ptr::null_mut(), tail: ptr::null_mut(), objects: 0, bytes: 0 }
    }

    fn head(&mut self) -> Option<&mut Block> {
        // SAFETY: blocks in a queue are the queue's, and valid.
        unsafe { self.head.as_mut() }
    }

    fn push_block(&mut self, block: NonNull<Block>) {
        // SAFETY: the block is given to the queue.
        unsafe {
            (*block.as_ptr()).next = ptr::null_mut();
            self.objects += block.as_ref().len;
            self.bytes += block.as_ref().bytes;
        }
        // SAFETY: as in `head`.
        match unsafe { self.tail.as_mut() } {
            None => self.head = block.as_ptr(),
            Some(tail) => tail.next = block.as_ptr(),
        }
        self.tail = block.as_ptr();
    }

    fn pop_block(&mut self) -> Option<NonNull<Block>> {
        let block = NonNull::new(self.head)?;
        // SAFETY: the queue's, and valid.
        unsafe {
            self.head = block.as_ref().next;
            self.objects -= block.as_ref().len;
            self.bytes -= block.as_ref().bytes;
        }
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        Some(block)
    }

    /// Moves all blocks of `other` behind these.
    fn append(&mut self, other: &mut Self) {
        let other = core::mem::replace(other, Self::new());
        if other.head.is_null() {
            return;
        }
        self.objects += other.objects;
        self.bytes += other.bytes;
        // SAFETY: as in `head`.
        match unsafe { self.tail.as_mut() } {
            None => self.head = other.head,
            Some(tail) => tail.next = other.head,
        }
        self.tail = other.tail;
    }
}

/// A thread's retired objects in one domain. See the [module](self).
pub(crate) struct Bag {
    /// I3; null if there is none.
    open: *mut Block,
    sealed: Blocks,
    ripe: Blocks,
    spare: Blocks,
    spare_blocks: usize,
}

// SAFETY: its blocks are its own, and what is retired may be freed by any thread.
unsafe impl Send for Bag {}

impl Bag {
    pub(crate) const fn new() -> Self {
        Self {
            open: ptr::null_mut(),
            sealed: Blocks::new(),
            ripe: Blocks::new(),
            spare: Blocks::new(),
            spare_blocks: 0,
        }
    }

    fn open(&self) -> Option<&Block> {
        // SAFETY: ours, and valid.
        unsafe { self.open.as_ref() }
    }

    /// What somebody may still protect.
    pub(crate) fn fresh(&self) -> Load {
        let (objects, bytes) = self.open().map_or((0, 0), |open| (open.len, open.bytes));
        Load { objects: self.sealed.objects + objects, bytes: self.sealed.bytes + bytes }
    }

    /// How many objects can be freed.
    pub(crate) fn ripe(&self) -> usize {
        self.ripe.objects
    }

    /// The memory of these, in bytes, and of those that were taken out of blocks that are not empty.
    pub(crate) fn ripe_bytes(&self) -> usize {
        self.ripe.bytes
    }

    /// How many objects are in sealed blocks at the front whose stamp is `old_enough`.
    pub(crate) fn sealed(&self, old_enough: impl Fn(u64) -> bool) -> usize {
        // SAFETY: blocks in a queue are the queue's, and valid.
        let mut block = unsafe { self.sealed.head.as_ref() };
        let mut objects = 0;
        while let Some(old) = block.filter(|block| old_enough(block.stamp)) {
            objects += old.len;
            // SAFETY: as above.
            block = unsafe { old.next.as_ref() };
        }
        objects
    }

    /// Takes an object over. A block that becomes full is sealed with `stamp()`.
    ///
    /// # Errors
    /// Gives it back if there is no memory, and no reserve any more (I2).
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        retired: Retired,
        stamp: impl FnOnce() -> u64,
    ) -> Result<(), Retired> {
        // SAFETY: ours, and valid.
        match unsafe { self.open.as_mut() } {
            Some(open) if open.len < BLOCK - 1 => {
                open.push(retired);
                Ok(())
            }
            _ => self.push_at_edge(retired, stamp),
        }
    }

    /// As [`push`](Self::push): for the first object of a block, and for the last.
    #[cold]
    fn push_at_edge(
        &mut self,
        retired: Retired,
        stamp: impl FnOnce() -> u64,
    ) -> Result<(), Retired> {
        if self.open.is_null() && !self.open_block() {
            return Err(retired);
        }
        // SAFETY: ours, and valid.
        let open = unsafe { &mut *self.open };
        open.push(retired);
        if open.len == BLOCK {
            self.seal(stamp);
        }
        Ok(())
    }

    /// Opens an empty block; false if there is no memory.
    fn open_block(&mut self) -> bool {
        let Some(block) = self.spare_block() else { return false };
        self.open = block.as_ptr();
        self.keep_reserve();
        true
    }

    /// Seals the open block, with what is in it.
    #[cold]
    pub(crate) fn seal(&mut self, stamp: impl FnOnce() -> u64) {
        let Some(mut block) = NonNull::new(self.open) else { return };
        self.open = ptr::null_mut();
        // SAFETY: ours, and valid.
        unsafe { block.as_mut() }.stamp = stamp();
        self.sealed.push_block(block);
    }

    /// Seals the open block if what is in it has so many bytes, and there is a block for what comes next.
    #[inline]
    pub(crate) fn seal_what_weighs(&mut self, bytes: usize, stamp: impl FnOnce() -> u64) {
        if self.open().is_some_and(|open| open.bytes >= bytes) && self.keep_reserve() {
            self.seal(stamp);
        }
    }

    fn spare_block(&mut self) -> Option<NonNull<Block>> {
        match self.spare.pop_block() {
            Some(block) => {
                self.spare_blocks -= 1;
                Some(block)
            }
            None => Block::allocate(),
        }
    }

    /// Sees to it that there is a block in reserve (I2); false if there is no memory for it.
    pub(crate) fn keep_reserve(&mut self) -> bool {
        if self.spare_blocks > 0 {
            return true;
        }
        let Some(block) = Block::allocate() else { return false };
        self.keep_block(block);
        true
    }

    /// Keeps an emptied block for later, or frees it.
    fn keep_block(&mut self, block: NonNull<Block>) {
        if self.spare_blocks >= SPARE_BLOCKS {
            // SAFETY: a block of ours that has no objects.
            unsafe { Block::free(block) };
            return;
        }
        // SAFETY: a block of ours that has no objects.
        unsafe { Block::clear(block) };
        self.spare.push_block(block);
        self.spare_blocks += 1;
    }

    /// Moves the blocks at the front whose stamp is `old_enough`; says whether any was.
    pub(crate) fn ripen(&mut self, old_enough: impl Fn(u64) -> bool) -> bool {
        let mut ripened = false;
        while let Some(block) = self.pop_fresh(&old_enough) {
            self.ripe.push_block(block);
            ripened = true;
        }
        ripened
    }

    /// The sealed block at the front, if its stamp is `old_enough`.
    fn pop_fresh(&mut self, old_enough: impl Fn(u64) -> bool) -> Option<NonNull<Block>> {
        let head = self.sealed.head()?;
        if !old_enough(head.stamp) {
            return None;
        }
        self.sealed.pop_block()
    }

    /// Moves, out of the blocks at the front whose stamp is `old_enough`, the objects that are not
    /// `protected`; those that are stay fresh, and are sealed with `stamp()` again. Says how much that
    /// is.
    pub(crate) fn sift(
        &mut self,
        old_enough: impl Fn(u64) -> bool,
        mut protected: impl FnMut(&Retired) -> bool,
        stamp: impl Fn() -> u64,
    ) -> Load {
        // Apart, as what stays is pushed behind them.
        let mut candidates = Blocks::new();
        while let Some(block) = self.pop_fresh(&old_enough) {
            candidates.push_block(block);
        }
        let mut kept = Load::default();
        while let Some(mut block) = candidates.pop_block() {
            // SAFETY: just taken out of the queue.
            let inside = unsafe { block.as_mut() };
            let keep = |stays: Retired| {
                let bytes = stays.bytes();
                self.push(stays, &stamp)?;
                kept = Load { objects: kept.objects + 1, bytes: kept.bytes + bytes };
                Ok(())
            };
            if inside.extract(&mut protected, keep).is_err() {
                // No memory for what stays: so all of them stay, and are looked at again.
                self.sealed.push_block(block);
            } else if inside.len == 0 {
                self.keep_block(block);
            } else {
                self.ripe.push_block(block);
            }
        }
        kept
    }

    /// Takes ripe objects out, as many as there is room for; says how many.
    pub(crate) fn take<const N: usize>(
        &mut self,
        room: &mut [MaybeUninit<Retired>; N],
        limit: usize,
    ) -> usize {
        let room = &mut room[..limit.min(N)];
        let mut taken = 0;
        while taken < room.len() {
            let Some(head) = self.ripe.head() else { break };
            let moved = head.pop_many(&mut room[taken..]);
            let is_empty = head.len == 0;
            self.ripe.objects -= moved;
            taken += moved;
            if is_empty {
                let empty = self.ripe.pop_block().expect("there is a head");
                self.keep_block(empty);
            }
        }
        taken
    }

    /// Takes out, of the first ripe block, objects that can be freed without running user code.
    pub(crate) fn take_plain<const N: usize>(
        &mut self,
        room: &mut [MaybeUninit<Retired>; N],
    ) -> usize {
        let Some(head) = self.ripe.head() else { return 0 };
        let mut taken = 0;
        let take = |plain| {
            let Some(place) = room.get_mut(taken) else { return Err(plain) };
            place.write(plain);
            taken += 1;
            Ok(())
        };
        let bytes = head.bytes;
        // Whether there was room for all does not matter.
        let _ = head.extract(|retired| !retired.runs_user_code(), take);
        let is_empty = head.len == 0;
        let bytes = bytes - head.bytes;
        self.ripe.objects -= taken;
        self.ripe.bytes -= bytes;
        if is_empty {
            let empty = self.ripe.pop_block().expect("there is a head");
            self.keep_block(empty);
        }
        taken
    }

    /// Moves all objects of `other` here. They keep their stamps; those of the open block get
    /// `stamp()`.
    pub(crate) fn adopt(&mut self, other: &mut Self, stamp: impl FnOnce() -> u64) {
        other.seal(stamp);
        self.sealed.append(&mut other.sealed);
        self.ripe.append(&mut other.ripe);
    }

    /// Takes any object out, protected or not: for the end of a domain.
    pub(crate) fn pop(&mut self) -> Option<Retired> {
        self.seal(|| 0);
        self.ripe.append(&mut self.sealed);
        let mut room = [const { MaybeUninit::uninit() }; 1];
        // SAFETY: one was taken.
        (self.take(&mut room, 1) == 1).then(|| unsafe { room[0].assume_init_read() })
    }

    /// Frees the empty blocks, but for the reserve.
    pub(crate) fn shrink(&mut self) {
        while self.spare_blocks > 1 {
            let block = self.spare.pop_block().expect("they are counted");
            self.spare_blocks -= 1;
            // SAFETY: a block of ours that has no objects.
            unsafe { Block::free(block) };
        }
    }
}

impl Drop for Bag {
    /// The objects must have been taken out; they would be leaked.
    fn drop(&mut self) {
        self.seal(|| 0);
        let queues = [&mut self.sealed, &mut self.ripe, &mut self.spare];
        for queue in queues {
            while let Some(block) = queue.pop_block() {
                // SAFETY: ours; forgetting objects is sound.
                unsafe { Block::free(block) };
            }
        }
    }
}

impl fmt::Debug for Bag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bag").field("fresh", &self.fresh()).field("ripe", &self.ripe()).finish()
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;
    use crate::retired::Vtable;

    /// An object whose memory nobody looks at.
    fn object(number: usize) -> Retired {
        let value = NonNull::new(ptr::without_provenance_mut(8 * (number + 1))).unwrap();
        // SAFETY: it is never reclaimed.
        unsafe { Retired::new(value, Vtable::of::<(), [u64; 2]>()) }
    }

    fn number(retired: &Retired) -> usize {
        retired.address().addr().get() / 8 - 1
    }

    fn filled(objects: usize) -> Bag {
        let mut bag = Bag::new();
        for number in 0..objects {
            bag.push(object(number), || (number / BLOCK) as u64).unwrap();
        }
        bag
    }

    fn take_all(bag: &mut Bag) -> Vec<usize> {
        let mut numbers = Vec::new();
        let mut room = [const { MaybeUninit::uninit() }; 8];
        loop {
            let taken = bag.take(&mut room, 8);
            if taken == 0 {
                break;
            }
            // SAFETY: so many were taken.
            numbers.extend(room[..taken].iter().map(|it| number(unsafe { it.assume_init_ref() })));
        }
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn only_sealed_blocks_that_are_old_enough_ripen() {
        let mut bag = filled(3 * BLOCK + 5);
        assert!(!bag.ripen(|_| false));
        assert!(bag.ripen(|stamp| stamp < 2));
        assert_eq!((bag.fresh().objects, bag.ripe()), (BLOCK + 5, 2 * BLOCK));
        assert_eq!(take_all(&mut bag), (0..2 * BLOCK).collect::<Vec<_>>());
        assert!(bag.ripen(|_| true));
        assert_eq!((bag.fresh().objects, bag.ripe()), (5, BLOCK));
        bag.seal(|| 9);
        assert!(bag.ripen(|stamp| stamp == 2 || stamp == 9));
        assert_eq!(take_all(&mut bag), (2 * BLOCK..3 * BLOCK + 5).collect::<Vec<_>>());
        assert_eq!(bag.fresh(), Load::default());
    }

    #[test]
    fn sifting_keeps_what_is_protected() {
        let mut bag = filled(4 * BLOCK);
        let protected = |it: &Retired| number(it) % 10 == 3;
        let kept = (0..3 * BLOCK).filter(|number| number % 10 == 3).count();
        let load = bag.sift(|stamp| stamp < 3, protected, || 7);
        assert_eq!(load, Load { objects: kept, bytes: 16 * kept });
        assert_eq!((bag.fresh().objects, bag.ripe()), (BLOCK + kept, 3 * BLOCK - kept));
        assert_eq!(bag.fresh().bytes, 16 * (BLOCK + kept));
        let freed = (0..3 * BLOCK).filter(|number| number % 10 != 3);
        assert_eq!(take_all(&mut bag), freed.collect::<Vec<_>>());
        bag.seal(|| 8);
        bag.ripen(|_| true);
        assert_eq!(take_all(&mut bag).len(), BLOCK + kept);
    }

    #[test]
    fn an_adopted_bag_is_empty_and_its_objects_keep_their_stamps() {
        let (mut bag, mut other) = (filled(3), filled(BLOCK + 1));
        bag.adopt(&mut other, || 9);
        assert_eq!((other.fresh(), other.ripe()), (Load::default(), 0));
        assert_eq!(bag.fresh().objects, BLOCK + 4);
        bag.push(object(100), || 0).unwrap();
        assert!(!bag.ripen(|stamp| stamp == 9));
        assert!(bag.ripen(|stamp| stamp == 0));
        assert_eq!(bag.ripe(), BLOCK);
        assert!(bag.ripen(|stamp| stamp == 9));
        assert_eq!((bag.fresh().objects, bag.ripe()), (4, BLOCK + 1));
    }

    #[test]
    fn emptied_blocks_are_used_again() {
        let mut bag = Bag::new();
        for _ in 0..if cfg!(miri) { 3 } else { 10 } {
            for number in 0..4 * BLOCK {
                bag.push(object(number), || 0).unwrap();
            }
            bag.ripen(|_| true);
            assert_eq!(take_all(&mut bag).len(), 4 * BLOCK);
        }
        assert!(bag.spare_blocks <= 6);
        bag.shrink();
        assert_eq!(bag.spare_blocks, 1);
    }
}
