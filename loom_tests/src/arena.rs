//! The allocator of the models: it makes a use after free visible, and a model deterministic.
//!
//! loom sees atomics and its own cells, not memory. So the nodes of a model live in blocks of an
//! arena here:
//!
//! - A freed block is filled with [`POISON`] and stays mapped. loom's atomics and cells are indices
//!   into its tables, so whoever touches a freed node asks for an index that cannot be, and panics.
//! - Each iteration of a model begins with an empty arena and gets the same addresses in the same
//!   order. Whether a CAS meets an address that was used before is so a question of the schedule
//!   alone; with malloc it would change from iteration to iteration, and loom would lose its way.
//! - Blocks that are freed twice, written to after they were freed, or still there at an iteration's
//!   end are found at that end.
//!
//! A node is known by its alignment: the values of the models are aligned to [`ALIGN`], and nothing
//! else in the process is. All other memory is the system's.
//!
//! A model runs on one thread of the machine (loom's threads are coroutines on it), so the arena is
//! a thread-local, and the models of several tests do not meet.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr;
use std::alloc::System;
use std::thread_local;

/// The alignment that a node of a model is known by.
pub(crate) const ALIGN: usize = 64;

/// What a freed block is filled with.
const POISON: u8 = 0xDD;

/// Each block is so large, whatever is asked for.
const BLOCK: usize = 512;

/// More nodes than any iteration makes.
const BLOCKS: usize = 128;

#[repr(align(64))]
struct Memory(#[expect(dead_code, reason = "gives it a size")] [u8; BLOCK * BLOCKS]);

const _: () = assert!(align_of::<Memory>() == ALIGN);

/// What becomes of a freed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// It is not used again in this iteration: every use after free is found.
    Never,
    /// The block that was freed first is used first: the same address comes back, as an ABA needs.
    OldestFirst,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Unused,
    Live,
    Freed,
}

struct Arena {
    /// [`BLOCKS`] blocks, or null before the first use.
    memory: Cell<*mut u8>,
    blocks: [Cell<Block>; BLOCKS],
    /// How many blocks were ever used in this iteration.
    used: Cell<usize>,
    /// The freed blocks in the order of their freeing, for [`Reuse::OldestFirst`].
    freed: [Cell<usize>; BLOCKS],
    /// How many blocks were ever put into `freed`, and taken out again.
    put: Cell<usize>,
    taken: Cell<usize>,
    reuse: Cell<Reuse>,
    /// The first thing that was found to be wrong.
    fault: Cell<Option<&'static str>>,
}

thread_local! {
    static ARENA: Arena = const {
        Arena {
            memory: Cell::new(ptr::null_mut()),
            blocks: [const { Cell::new(Block::Unused) }; BLOCKS],
            used: Cell::new(0),
            freed: [const { Cell::new(0) }; BLOCKS],
            put: Cell::new(0),
            taken: Cell::new(0),
            reuse: Cell::new(Reuse::Never),
            fault: Cell::new(None),
        }
    };
}

impl Arena {
    fn memory(&self) -> *mut u8 {
        if self.memory.get().is_null() {
            // SAFETY: the size is not 0. It is never given back: a stale pointer into it must stay
            // readable.
            self.memory.set(unsafe { System.alloc(Layout::new::<Memory>()) });
        }
        self.memory.get()
    }

    fn block(&self, index: usize) -> *mut u8 {
        // SAFETY: the index is below `BLOCKS`.
        unsafe { self.memory().add(index * BLOCK) }
    }

    fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.memory().is_null() || layout.size() > BLOCK {
            return ptr::null_mut();
        }
        let index = if self.reuse.get() == Reuse::OldestFirst && self.taken.get() < self.put.get() {
            let index = self.freed[self.taken.get() % BLOCKS].get();
            self.taken.set(self.taken.get() + 1);
            self.check_poison(index);
            index
        } else if self.used.get() < BLOCKS {
            self.used.set(self.used.get() + 1);
            self.used.get() - 1
        } else {
            return ptr::null_mut();
        };
        self.blocks[index].set(Block::Live);
        self.block(index)
    }

    fn dealloc(&self, block: *mut u8) {
        let index = (block.addr() - self.memory().addr()) / BLOCK;
        // A global allocator must not unwind, so this waits for the iteration's end.
        if self.blocks[index].get() != Block::Live {
            return self.fault("a node was freed twice");
        }
        self.poison(index);
        self.blocks[index].set(Block::Freed);
        self.freed[self.put.get() % BLOCKS].set(index);
        self.put.set(self.put.get() + 1);
    }

    fn poison(&self, index: usize) {
        // SAFETY: the block is whole, and in nobody's use but that of a bug.
        unsafe { self.block(index).write_bytes(POISON, BLOCK) };
    }

    fn check_poison(&self, index: usize) {
        // SAFETY: the block was filled when it was freed.
        let bytes = unsafe { core::slice::from_raw_parts(self.block(index), BLOCK) };
        if bytes.iter().any(|byte| *byte != POISON) {
            self.fault("a node was written to after it was freed");
        }
    }

    fn fault(&self, fault: &'static str) {
        if self.fault.get().is_none() {
            self.fault.set(Some(fault));
        }
    }
}

/// Begins an iteration with an empty arena.
pub(crate) fn reset(reuse: Reuse) {
    ARENA.with(|arena| {
        for index in 0..arena.used.get() {
            arena.blocks[index].set(Block::Unused);
            arena.poison(index);
        }
        arena.used.set(0);
        arena.put.set(0);
        arena.taken.set(0);
        arena.fault.set(None);
        arena.reuse.set(reuse);
    });
}

/// How many nodes were made in this iteration.
pub(crate) fn births() -> usize {
    ARENA.with(|arena| arena.used.get() + arena.taken.get())
}

/// How many nodes were freed in this iteration until now.
pub(crate) fn deaths() -> usize {
    ARENA.with(|arena| arena.put.get())
}

/// What has gone wrong in the iteration that is over.
pub(crate) fn fault() -> Option<&'static str> {
    ARENA.with(|arena| {
        for index in 0..arena.used.get() {
            match arena.blocks[index].get() {
                Block::Freed => arena.check_poison(index),
                Block::Live => arena.fault("a node was leaked"),
                Block::Unused => {}
            }
        }
        arena.fault.get()
    })
}

struct Allocator;

// SAFETY: nodes come from the arena, which hands out each block of sufficient size and alignment to
// one owner at a time; all else is the system allocator's. Neither unwinds. What one thread of the
// machine has allocated in its arena is freed there: a model lives on one thread.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() == ALIGN {
            ARENA.with(|arena| arena.alloc(layout))
        } else {
            // SAFETY: the caller's.
            unsafe { System.alloc(layout) }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.align() == ALIGN {
            ARENA.with(|arena| arena.dealloc(block));
        } else {
            // SAFETY: the caller's.
            unsafe { System.dealloc(block, layout) }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;
