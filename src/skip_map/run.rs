//! A run: some entries in ascending order, in one block.
//!
//! ```text
//!                                                         run (what leaves point to)
//!                                                         v
//! +---------+---------+-----+----------+----------+--------+-------+---------+-----+
//! | entry 0 | entry 1 | ... | prefix 0 | prefix 1 | header | right | removed | len |
//! +---------+---------+-----+----------+----------+--------+-------+---------+-----+
//! ```
//!
//! A search looks at the prefixes, which lie side by side, and then at one entry.
//!
//! # Invariants
//!
//! - **I1.** A run never changes once others can reach it, but for `removed`: a bit for each slot,
//!   and `SEALED`. Bits are set, and never cleared; once it is sealed none is set any more.
//! - **I2.** An entry is in the map while it stands in a slot of a leaf's run and its bit is not set.
//!   It stands in no other leaf's run then. Who sets the bit, or puts a new run in place of a sealed
//!   one without that entry, has taken it out, and he alone.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::slice;

use super::leaf::Leaf;
use crate::atomic::Ptr;
use crate::guard::{Guard, Shield};
use crate::hash_map::Entry;
use crate::retired::{Vtable, deallocate, front_distance};
use crate::scheme::Scheme;
use crate::sync::{AtomicUsize, Ordering};

/// How many entries runs have room for. With its head such a run is a block of 64 bytes, 128, 256 or
/// 512: sizes of which blocks are used again.
const ROOMS: [usize; 4] = [2, 6, 14, 30];

/// No run has more entries.
pub(super) const MOST: usize = ROOMS[ROOMS.len() - 1];

/// A run is sparse when all but one in so many of its places are empty: then there is a smaller room which
/// is half empty with what is left.
const SPARSE: usize = 4;

/// In `removed`: nothing is removed here any more, as a new run is about to take its place.
const SEALED: usize = 1 << MOST;

/// How many entries a run may have: in a model as the model says.
#[cfg(not(any(loom, crossbeam_loom)))]
pub(super) fn most() -> usize {
    if cfg!(shuttle) { 3 } else { MOST }
}

#[cfg(any(loom, crossbeam_loom))]
mod chosen {
    use core::cell::Cell;

    crate::sync::constant_thread_local! {
        static MOST: Cell<usize> = Cell::new(1);
    }

    /// In a model: runs that this thread makes from now on have so many entries at most.
    pub fn build_runs_of(most: usize) {
        assert!((1..=super::MOST).contains(&most));
        MOST.with(|chosen| chosen.set(most));
    }

    pub(in crate::skip_map) fn most() -> usize {
        MOST.with(Cell::get)
    }
}

#[cfg(any(loom, crossbeam_loom))]
pub use chosen::build_runs_of;
#[cfg(any(loom, crossbeam_loom))]
pub(super) use chosen::most;

/// The fixed part of a run.
#[repr(C)]
#[cfg_attr(any(loom, crossbeam_loom), repr(align(64)))]
pub(super) struct Run<K, V> {
    /// The next leaf, whether dead or alive.
    pub(super) right: Ptr<Leaf<K, V>>,
    removed: AtomicUsize,
    len: usize,
    /// For how many there is room.
    room: usize,
}

/// A cover for a run.
pub(super) type Cover<'g, K, V, S> = Shield<'g, Run<K, V>, S>;

/// A set of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots(usize);

impl Slots {
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) fn has(self, slot: usize) -> bool {
        self.0 >> slot & 1 == 1
    }

    pub(super) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }

    pub(super) fn last(self) -> Option<usize> {
        self.0.checked_ilog2().map(|slot| slot as usize)
    }

    /// Those before a slot.
    pub(super) fn before(self, slot: usize) -> Self {
        Self(self.0 & ((1 << slot) - 1))
    }

    /// A slot and those behind it.
    pub(super) fn from(self, slot: usize) -> Self {
        Self(self.0 & !((1 << slot) - 1))
    }

    fn without_first(self) -> Self {
        Self(self.0 & self.0.wrapping_sub(1))
    }

    /// The one with so many before it, which is there.
    pub(super) fn nth(self, rank: usize) -> usize {
        (0..rank).fold(self, |slots, _| slots.without_first()).0.trailing_zeros() as usize
    }
}

impl Iterator for Slots {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let first = self.first();
        *self = self.without_first();
        first
    }
}

/// What a run says of its slots at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    removed: usize,
    len: usize,
}

impl State {
    /// That of no run.
    pub(super) const NONE: Self = Self { removed: 0, len: 0 };

    /// The slots whose entries are in the map, if the run is a leaf's.
    pub(super) fn live(self) -> Slots {
        Slots(!self.removed & ((1 << self.len) - 1))
    }

    pub(super) fn is_sealed(self) -> bool {
        self.removed & SEALED != 0
    }
}

impl<K, V> Run<K, V> {
    pub(super) fn state(&self) -> State {
        // Acquire: who finds an entry removed comes after that.
        State { removed: self.removed.load(Ordering::Acquire), len: self.len }
    }

    /// Takes the entry of a slot out of the map, if all is as it was in `from`. Returns the new state,
    /// or what has changed.
    pub(super) fn remove(&self, slot: usize, from: State) -> Result<State, State> {
        let removed = from.removed | 1 << slot;
        // Release: for those who find it removed. Acquire: if it failed, as `state`.
        self.removed
            .compare_exchange(from.removed, removed, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| State { removed, ..from })
            .map_err(|removed| State { removed, ..from })
    }

    #[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Whether so little is left that it would do with much less room. Not when nothing is left.
    pub(super) fn is_sparse(&self, state: State) -> bool {
        self.is_sparse_with(state.live().len())
    }

    fn is_sparse_with(&self, len: usize) -> bool {
        (1..=self.room / SPARSE).contains(&len)
    }

    /// Seals the run, and says what is left in it.
    pub(super) fn seal(&self) -> State {
        // Acquire: as `state`. The last word on what is removed, as it is read and written in one.
        let removed = self.removed.fetch_or(SEALED, Ordering::AcqRel) | SEALED;
        State { removed, len: self.len }
    }
}

pub(super) type EntryPtr<K, V> = Ptr<Entry<K, V>>;

/// The two arrays in front of a run.
pub(super) struct Arrays<K, V> {
    entries: NonNull<EntryPtr<K, V>>,
    prefixes: NonNull<usize>,
}

impl<K, V> Arrays<K, V> {
    /// # Safety
    /// `run` is one of scheme `S`, with room for so many.
    unsafe fn of<S: Scheme>(run: NonNull<Run<K, V>>, room: usize) -> Self {
        // SAFETY: the caller's; the front ends there (I2 of `retired`).
        unsafe {
            let end = run.cast::<u8>().sub(front_distance::<S::Header>());
            let prefixes = end.cast::<usize>().sub(room);
            Self { entries: prefixes.cast::<EntryPtr<K, V>>().sub(room), prefixes }
        }
    }
}

/// What runs with room for so many have in common.
struct Vtables<H, K, V>(PhantomData<(H, K, V)>);

impl<H, K, V> Vtables<H, K, V> {
    const BY_ROOM: &'static [Vtable; ROOMS.len()] = &{
        let mut vtables = [const { Vtable::with_front::<H, Run<K, V>>(0) }; ROOMS.len()];
        let mut kind = 0;
        while kind < ROOMS.len() {
            let front = ROOMS[kind] * (size_of::<usize>() + size_of::<EntryPtr<K, V>>());
            vtables[kind] = Vtable::with_front::<H, Run<K, V>>(front);
            kind += 1;
        }
        vtables
    };

    /// That with room for so many at least.
    fn of(len: usize) -> (&'static Vtable, usize) {
        let kind = ROOMS.iter().position(|room| *room >= len).unwrap_or(ROOMS.len() - 1);
        (&Self::BY_ROOM[kind], ROOMS[kind])
    }
}

/// The prefixes of a run, and its entries.
pub(super) type Slices<'r, K, V> = (&'r [usize], &'r [EntryPtr<K, V>]);

/// What a run says of its slots, but for what is removed.
///
/// # Safety
/// The run is alive for `'r`, and of scheme `S`.
#[inline]
pub(super) unsafe fn arrays<'r, K, V, S: Scheme>(run: Ptr<Run<K, V>>) -> Slices<'r, K, V> {
    let Some(at) = NonNull::new(run.as_raw()) else { return (&[], &[]) };
    // SAFETY: the caller's; the first `len` of each are initialised, and never change (I1).
    unsafe {
        let (len, room) = ((*at.as_ptr()).len, (*at.as_ptr()).room);
        let arrays = Arrays::of::<S>(at, room);
        (
            slice::from_raw_parts(arrays.prefixes.as_ptr(), len),
            slice::from_raw_parts(arrays.entries.as_ptr(), len),
        )
    }
}

/// Has the cache lines fetched of a run, however long it is.
#[inline(always)]
pub(super) fn prefetch<K, V>(run: Ptr<Run<K, V>>) {
    const LINE: usize = 64;
    let end = run.as_raw().cast::<u8>().wrapping_add(size_of::<Run<K, V>>());
    for line in 0..8 {
        crate::prefetch::prefetch(end.wrapping_sub(1 + line * LINE));
    }
}

/// Retires a run.
///
/// # Safety
/// As `Guard::retire`, for a run of a map.
pub(super) unsafe fn retire<K, V, S: Scheme>(guard: &Guard<'_, S>, run: Ptr<Run<K, V>>) {
    // SAFETY: the caller's; it was made with this vtable.
    unsafe {
        let room = (*run.as_raw()).room;
        guard.retire_with(run, Vtables::<S::Header, K, V>::of(room).0);
    }
}

/// A run that nobody else can reach. It owns its block, and not the entries.
pub(super) struct Loose<K, V, S: Scheme> {
    run: NonNull<Run<K, V>>,
    owner: PhantomData<(K, V, S::Header)>,
}

impl<K, V, S: Scheme> Loose<K, V, S> {
    /// An empty run with room for so many at least; `None` if there is no memory.
    pub(super) fn try_new(guard: &Guard<'_, S>, len: usize) -> Option<Self> {
        let (vtable, room) = Vtables::<S::Header, K, V>::of(len);
        // SAFETY: a vtable for headers of this scheme.
        let run = unsafe { guard.try_place(vtable) }?.cast::<Run<K, V>>();
        let empty = Run { right: Ptr::null(), removed: AtomicUsize::new(0), len: 0, room };
        // SAFETY: the block has the vtable's layout; nobody else knows it.
        unsafe { run.write(empty) };
        Some(Self { run, owner: PhantomData })
    }

    /// Takes a smaller block, if it is empty, so few entries are to come, and there is memory.
    pub(super) fn make_fit(&mut self, guard: &Guard<'_, S>, len: usize) {
        if self.fields().is_sparse_with(len) {
            if let Some(smaller) = Self::try_new(guard, len) {
                *self = smaller;
            }
        }
    }

    /// The layout of such a block, for the error that there is no memory for it.
    pub(super) fn layout(len: usize) -> core::alloc::Layout {
        Vtables::<S::Header, K, V>::of(len).0.layout()
    }

    /// Takes over a run.
    ///
    /// # Safety
    /// It is not null; nobody else can reach it, now or later, and it is not retired.
    pub(super) unsafe fn from_ptr(run: Ptr<Run<K, V>>) -> Self {
        // SAFETY: the caller's.
        Self { run: unsafe { NonNull::new_unchecked(run.as_raw()) }, owner: PhantomData }
    }

    pub(super) fn as_ptr(&self) -> Ptr<Run<K, V>> {
        Ptr::from_raw(self.run.as_ptr())
    }

    /// Lets go of the run: it is a leaf's.
    pub(super) fn into_ptr(self) -> Ptr<Run<K, V>> {
        core::mem::ManuallyDrop::new(self).as_ptr()
    }

    fn fields(&mut self) -> &mut Run<K, V> {
        // SAFETY: ours.
        unsafe { self.run.as_mut() }
    }

    pub(super) fn lead_to(&mut self, right: Ptr<Leaf<K, V>>) {
        self.fields().right = right;
    }

    pub(super) fn right(&mut self) -> Ptr<Leaf<K, V>> {
        self.fields().right
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, prefix: usize, entry: EntryPtr<K, V>) {
        let (len, room) = (self.fields().len, self.fields().room);
        assert!(len < room, "there is room");
        // SAFETY: ours; within the array.
        unsafe {
            let arrays = Arrays::of::<S>(self.run, room);
            arrays.prefixes.add(len).write(prefix);
            arrays.entries.add(len).write(entry);
        }
        self.fields().len += 1;
    }

    /// Takes the first entry out that is in the map; the slots before are not used any more.
    pub(super) fn take_first(&mut self) -> Option<EntryPtr<K, V>> {
        let state = self.fields().state();
        let slot = state.live().first()?;
        // SAFETY: ours.
        let entry = unsafe { arrays::<K, V, S>(self.as_ptr()) }.1[slot];
        let removed = self.fields().remove(slot, state);
        debug_assert!(removed.is_ok(), "nobody else is there");
        Some(entry)
    }
}

impl<K, V, S: Scheme> Drop for Loose<K, V, S> {
    fn drop(&mut self) {
        let room = self.fields().room;
        // SAFETY: ours, and not used after this; the block was made with this vtable.
        unsafe { deallocate(self.run.cast(), Vtables::<S::Header, K, V>::of(room).0) };
    }
}

impl<K, V> fmt::Debug for Run<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
mod tests {
    use super::*;

    /// All of the first slots are there, but for these.
    fn state(len: usize, removed: usize) -> State {
        State { removed, len }
    }

    /// Some sets of slots to remove: none, all, the ends, every other, and some that look random.
    fn masks() -> impl Iterator<Item = usize> {
        let all = SEALED - 1;
        let random = (1..if cfg!(miri) { 4 } else { 50_usize })
            .map(move |seed| (seed.wrapping_mul(0x9e37_79b9) >> 1) & all);
        [
            0,
            all,
            1,
            1 << (MOST - 1),
            (1 << (MOST - 1)) | 1,
            all / 3,
            (all / 3) << 1,
            all >> 1,
            all - 1,
        ]
        .into_iter()
        .chain(random)
    }

    #[test]
    fn slots_are_a_set() {
        for len in [0, 1, 2, 15, MOST - 1, MOST] {
            for removed in masks().flat_map(|mask| [mask, mask | SEALED]) {
                let expected: Vec<_> = (0..len).filter(|slot| removed >> slot & 1 == 0).collect();
                let live = state(len, removed).live();
                assert_eq!(live.collect::<Vec<_>>(), expected);
                assert_eq!((live.len(), live.is_empty()), (expected.len(), expected.is_empty()));
                assert_eq!(live.first(), expected.first().copied());
                assert_eq!(live.last(), expected.last().copied());
                for (rank, slot) in expected.iter().enumerate() {
                    assert_eq!(live.nth(rank), *slot);
                }
                for at in 0..=MOST {
                    assert_eq!(live.has(at), expected.contains(&at));
                    let (before, from) = expected.split_at(expected.partition_point(|x| *x < at));
                    assert_eq!(live.before(at).collect::<Vec<_>>(), before);
                    assert_eq!(live.from(at).collect::<Vec<_>>(), from);
                }
            }
        }
        assert!(State::NONE.live().is_empty() && !State::NONE.is_sealed());
    }

    fn run(len: usize) -> Run<u8, u8> {
        Run { right: Ptr::null(), removed: AtomicUsize::new(0), len, room: MOST }
    }

    #[test]
    fn a_slot_that_is_removed_is_not_live() {
        let run = run(MOST);
        for slot in (0..MOST).rev() {
            assert_eq!(run.state().live().last(), Some(slot));
            let after = run.remove(slot, run.state()).expect("nothing has changed");
            assert_eq!(after, run.state());
            assert!(!after.live().has(slot) && !after.is_sealed());
        }
        assert!(run.state().live().is_empty());
    }

    #[test]
    fn nothing_is_removed_if_the_state_has_changed() {
        let run = run(3);
        let before = run.state();
        let after = run.remove(1, before).expect("nothing has changed");
        assert_eq!(run.remove(0, before), Err(after));
        assert_eq!(run.state(), after);
        let sealed = run.seal();
        assert!(sealed.is_sealed() && !after.is_sealed());
        assert_eq!(sealed.live().collect::<Vec<_>>(), [0, 2]);
        assert_eq!((run.remove(0, after), run.seal()), (Err(sealed), sealed));
    }

    #[test]
    fn a_run_has_room_for_what_it_is_to_hold() {
        for len in 0..=MOST {
            let (vtable, room) = Vtables::<(), u8, u8>::of(len);
            assert!(room >= len, "with room for {room}");
            let words = 2 * room * size_of::<usize>() + size_of::<Run<u8, u8>>();
            assert!(vtable.layout().size() >= words, "with room for {room}");
        }
    }
}
