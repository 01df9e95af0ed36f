//! Node blocks that are used again, without the allocator in between.
//!
//! Allocating and freeing are most of what a linked structure pays. So a thread keeps the blocks of
//! nodes that it has reclaimed, by their layout, and takes the next node's block from there.
//!
//! - **I1.** A block in a list came from the global allocator with the layout that belongs to the
//!   list ([`Class`]), and goes back there with it.
//! - **I2.** What is kept is bounded, in bytes. The class that has most of it gives way to others, down to
//!   as much as they have: a thread that has come from a queue to a stack does not keep segments only.
//!
//! Reused addresses are no new danger: the allocator reuses them too. But a tool that watches memory
//! would not see a use after free any more, so under Miri, sanitizers and in models nothing is kept.

use core::alloc::Layout;
use core::fmt;
use core::ptr::{self, NonNull};

use crate::retired::{NODE_ALIGN, Vtable};

/// How much a thread keeps in a domain if nothing else is said, in bytes.
pub(crate) const DEFAULT_LIMIT: usize =
    if cfg!(any(miri, loom, crossbeam_loom, shuttle, sexton_sanitize)) { 0 } else { 64 << 10 };

/// Lists for blocks of 8, 16, ... bytes: nodes.
const SMALL: usize = 32;

/// Lists for blocks of `LARGE_FROM`, twice that, ... bytes, and of no size between: arrays of cells,
/// which are made in such sizes for this.
const LARGE: usize = 4;
const LARGE_FROM: usize = 512;

const CLASSES: usize = SMALL + LARGE;

/// So many that a class is one of them whatever it is, which spares a check.
const LISTS: usize = CLASSES.next_power_of_two();

/// What is written into a block that waits.
struct Free {
    next: *mut Self,
}

/// The blocks of one class.
#[derive(Clone, Copy)]
struct List {
    head: *mut Free,
    bytes: usize,
}

impl List {
    /// Takes one out; they are of this size.
    #[inline]
    fn pop(&mut self, size: usize) -> Option<NonNull<u8>> {
        let free = NonNull::new(self.head)?;
        // SAFETY: I1: in the list, so ours, and `next` was written.
        self.head = unsafe { free.as_ref() }.next;
        self.bytes -= size;
        Some(free.cast())
    }
}

/// A thread's blocks for reuse in one domain.
pub(crate) struct Recycler {
    lists: [List; LISTS],
    kept_bytes: usize,
    limit: usize,
}

// SAFETY: the blocks are its own.
unsafe impl Send for Recycler {}

/// A layout of which blocks are kept: the number of its list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class(u8);

impl Class {
    /// The class of a node's layout; `None` if such blocks are not kept.
    pub(crate) const fn of(layout: Layout) -> Option<Self> {
        let mut class = 0;
        while class < CLASSES {
            #[expect(clippy::cast_possible_truncation, reason = "it is less than `CLASSES`")]
            let this = Self(class as u8);
            if layout.align() == NODE_ALIGN && layout.size() == this.size() {
                return Some(this);
            }
            class += 1;
        }
        None
    }

    /// The size of its blocks in bytes.
    const fn size(self) -> usize {
        let class = self.0 as usize;
        if class < SMALL { (class + 1) * NODE_ALIGN } else { LARGE_FROM << (class - SMALL) }
    }

    /// The layout of its blocks.
    fn layout(self) -> Layout {
        Layout::from_size_align(self.size(), NODE_ALIGN)
            .expect("a small multiple of a power of two")
    }
}

impl Recycler {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { lists: [List { head: ptr::null_mut(), bytes: 0 }; LISTS], kept_bytes: 0, limit }
    }

    #[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// A block for a node that was used before, if there is one.
    #[inline]
    pub(crate) fn take(&mut self, vtable: &Vtable) -> Option<NonNull<u8>> {
        let Class(class) = vtable.class()?;
        let size = vtable.layout().size();
        let block = self.lists[usize::from(class) % LISTS].pop(size)?;
        self.kept_bytes -= size;
        Some(block)
    }

    /// Keeps the blocks of nodes with one vtable, as many as there is room for: what is left in
    /// `blocks` goes back to the allocator. (Not from here: that may be the user's, and come back here.)
    ///
    /// # Safety
    /// The blocks came from the global allocator with this vtable's layout, and nobody uses them any
    /// more.
    #[inline]
    pub(crate) unsafe fn keep(
        &mut self,
        blocks: &mut impl Iterator<Item = NonNull<u8>>,
        vtable: &Vtable,
    ) {
        let Some(Class(class)) = vtable.class() else { return };
        let (list, size) = (&mut self.lists[usize::from(class) % LISTS], vtable.layout().size());
        let (mut head, before) = (list.head, self.kept_bytes);
        let mut kept_bytes = before;
        while kept_bytes + size <= self.limit {
            let Some(block) = blocks.next() else { break };
            let free = block.cast::<Free>();
            // SAFETY: ours; large enough and aligned for a pointer, as `NODE_ALIGN` is.
            unsafe { free.write(Free { next: head }) };
            head = free.as_ptr();
            kept_bytes += size;
        }
        (list.head, list.bytes) = (head, list.bytes + (kept_bytes - before));
        self.kept_bytes = kept_bytes;
    }

    /// When there is no room for one more block of nodes with this vtable: takes a block out of the class
    /// that has most (I2), for the caller to give back to the allocator, and to try again; `None` if that has
    /// not so much more than this one.
    #[cold]
    pub(crate) fn crowd_out(&mut self, vtable: &Vtable) -> Option<(NonNull<u8>, Layout)> {
        let Class(class) = vtable.class()?;
        let (own, size) = (self.lists[usize::from(class) % LISTS].bytes, vtable.layout().size());
        // It must have as much as this one would have then, with all that it loses until there is room.
        let missing = (self.kept_bytes + size).saturating_sub(self.limit);
        let wanted = own + size + missing;
        if self.kept_bytes - own < wanted {
            return None;
        }
        let lists = (0..).map(Class).zip(&mut self.lists[..CLASSES]);
        let (most, list) = lists.max_by_key(|(_, list)| list.bytes)?;
        if list.bytes < wanted {
            return None;
        }
        let block = list.pop(most.size())?;
        self.kept_bytes -= most.size();
        Some((block, most.layout()))
    }

    /// Gives all blocks back to the allocator.
    pub(crate) fn clear(&mut self) {
        for (class, list) in (0..).map(Class).zip(&mut self.lists[..CLASSES]) {
            while let Some(block) = list.pop(class.size()) {
                // SAFETY: I1.
                unsafe { std::alloc::dealloc(block.as_ptr(), class.layout()) };
            }
        }
        self.kept_bytes = 0;
    }
}

impl Drop for Recycler {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Recycler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recycler").field("kept_bytes", &self.kept_bytes).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;

    #[repr(align(64))]
    struct Wide(#[expect(dead_code, reason = "gives it a size")] u8);

    fn allocate(vtable: &Vtable) -> NonNull<u8> {
        // SAFETY: the size of a node is not 0.
        NonNull::new(unsafe { std::alloc::alloc(vtable.layout()) }).unwrap()
    }

    /// Says how many it has not kept.
    fn keep(recycler: &mut Recycler, blocks: Vec<NonNull<u8>>, vtable: &Vtable) -> usize {
        let mut blocks = blocks.into_iter();
        // SAFETY: from `allocate`.
        unsafe { recycler.keep(&mut blocks, vtable) };
        let layout = vtable.layout();
        // SAFETY: as above.
        blocks.map(|block| unsafe { std::alloc::dealloc(block.as_ptr(), layout) }).count()
    }

    #[test]
    fn a_block_serves_the_next_node_of_its_layout_and_no_other() {
        let mut recycler = Recycler::new(1 << 10);
        let (small, large) = (Vtable::of::<(), [u64; 2]>(), Vtable::of::<u64, [u64; 2]>());
        assert_eq!(recycler.take(small), None);
        let block = allocate(small);
        assert_eq!(keep(&mut recycler, vec![block], small), 0);
        assert_eq!(recycler.take(large), None);
        assert_eq!(recycler.take(Vtable::of::<u64, u64>()), Some(block));
        assert_eq!(keep(&mut recycler, vec![block], small), 0);
        assert_eq!(keep(&mut recycler, vec![allocate(large)], large), 0);
        assert_eq!(recycler.kept_bytes, 40);
        recycler.clear();
        assert_eq!(recycler.kept_bytes, 0);
    }

    #[test]
    fn each_class_has_blocks_of_one_size() {
        let classes = (0..CLASSES as u8).map(Class);
        assert!(classes.clone().map(Class::size).is_sorted_by(|one, next| one < next));
        for class in classes {
            let layout = Layout::from_size_align(class.size(), NODE_ALIGN).unwrap();
            assert_eq!(Class::of(layout).unwrap().0, class.0);
        }
        for size in [264, 504, 520, 1016, 1032, 3072, 8192] {
            assert!(Class::of(Layout::from_size_align(size, NODE_ALIGN).unwrap()).is_none());
        }
        assert!(Class::of(Layout::from_size_align(64, 64).unwrap()).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_and_of_ordinary_layouts() {
        let mut recycler = Recycler::new(100);
        let vtables = [
            Vtable::of::<(), ()>(),
            Vtable::of::<(), [u64; 32]>(),
            Vtable::of::<(), [u64; 33]>(),
            Vtable::of::<(), [u64; 64]>(),
            Vtable::of::<(), Wide>(),
        ];
        for vtable in vtables {
            let blocks = (0..20).map(|_| allocate(vtable)).collect();
            assert!(keep(&mut recycler, blocks, vtable) >= 8);
            assert!(recycler.kept_bytes <= 100);
        }
    }

    /// A thread that goes from one structure to another one keeps the blocks of both.
    #[test]
    fn who_has_most_gives_way() {
        const LIMIT: usize = 4 << 10;
        let mut recycler = Recycler::new(LIMIT);
        let (node, array) = (Vtable::of::<(), [u64; 2]>(), Vtable::of::<(), [u64; 64]>());
        let fill = |recycler: &mut Recycler, vtable| {
            loop {
                if keep(recycler, vec![allocate(vtable)], vtable) == 0 {
                    continue;
                }
                let Some((other, layout)) = recycler.crowd_out(vtable) else { break };
                // SAFETY: it was the recycler's, and has this layout.
                unsafe { std::alloc::dealloc(other.as_ptr(), layout) };
            }
        };
        let kept = |recycler: &Recycler, vtable: &Vtable| {
            recycler.lists[usize::from(vtable.class().unwrap().0)].bytes
        };
        fill(&mut recycler, array);
        assert_eq!(kept(&recycler, array), LIMIT);
        for vtable in [node, array, node] {
            fill(&mut recycler, vtable);
            for vtable in [node, array] {
                assert!(kept(&recycler, vtable) >= LIMIT / 2 - array.layout().size());
            }
            assert_eq!(recycler.kept_bytes, kept(&recycler, node) + kept(&recycler, array));
            assert!(recycler.kept_bytes <= LIMIT);
        }
        recycler.clear();
        assert_eq!((recycler.kept_bytes, kept(&recycler, node)), (0, 0));
    }
}
