//! A run: some items in ascending order, in one block. In a leaf's they are entries, in a branch's the nodes
//! of the level below.
//!
//! ```text
//!                                                       run (what nodes point to)
//!                                                       v
//! +--------+--------+-----+----------+----------+--------+-------+--------+---------+-----+
//! | item 0 | item 1 | ... | prefix 0 | prefix 1 | header | right | beyond | removed | len |
//! +--------+--------+-----+----------+----------+--------+-------+--------+---------+-----+
//! ```
//!
//! A search looks at the prefixes, which lie side by side, and then at one item.
//!
//! # Invariants
//!
//! - **I1.** A run never changes once others can reach it, but for `removed`: a bit for each slot, those
//!   behind the last item included, and `SEALED`. Bits are set, and never cleared; once it is sealed none is
//!   set any more.
//! - **I2.** An entry is in the map, and a node in the index, while it stands in a slot of a node's run and
//!   its bit is not set. It stands in no other node's run then. Who sets the bit, or puts a new run in place
//!   of a sealed one without that item, has taken it out, and he alone.
//! - **I3.** Nothing that is to the right of a node, as long as this is its run, has a prefix below `beyond`:
//!   nodes that are there get nothing less (I3 of `node`), and new ones get there with a new run only.

use core::cmp::Ordering::{self as Order, Greater};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::slice;

use super::node::Node;
use super::prefix::Sought;
use crate::atomic::Ptr;
use crate::guard::{Guard, Shield};
use crate::hash_map::Entry;
use crate::retired::{Vtable, deallocate, front_distance};
use crate::scheme::Scheme;
use crate::sync::{AtomicUsize, Ordering};

/// How many items runs have room for. With its head such a run is a block of 64 bytes, 128, 256 or
/// 512: sizes of which blocks are used again.
const ROOMS: [usize; 4] = [2, 6, 14, 30];

/// No run has more items.
pub(super) const MOST: usize = ROOMS[ROOMS.len() - 1];

/// A run is sparse when all but one in so many of its places are empty: then there is a smaller room which
/// is half empty with what is left.
const SPARSE: usize = 4;

/// In `removed`: nothing is removed here any more, as a new run is about to take its place.
const SEALED: usize = 1 << MOST;

/// In `removed`: nothing is in any slot.
const ALL: usize = SEALED - 1;

/// How many items a run of a level may have: in a model as the model says, and where all is slow few, so that
/// there are branches all the same.
#[cfg(not(any(loom, crossbeam_loom)))]
pub(super) fn most(_level: usize) -> usize {
    if cfg!(shuttle) {
        3
    } else if cfg!(miri) {
        6
    } else {
        MOST
    }
}

#[cfg(any(loom, crossbeam_loom))]
mod chosen {
    use core::cell::Cell;

    crate::sync::constant_thread_local! {
        static LEAVES: Cell<usize> = Cell::new(1);
        static BRANCHES: Cell<usize> = Cell::new(2);
    }

    /// In a model: runs that this thread makes from now on have so many entries at most.
    pub fn build_leaves_of(most: usize) {
        assert!((1..=super::MOST).contains(&most));
        LEAVES.with(|chosen| chosen.set(most));
    }

    /// In a model: in the index, runs that this thread makes from now on lead to so many nodes at most.
    pub fn build_branches_of(most: usize) {
        assert!((1..=super::MOST).contains(&most));
        BRANCHES.with(|chosen| chosen.set(most));
    }

    pub(in crate::skip_map) fn most(level: usize) -> usize {
        if level == 0 { LEAVES.with(Cell::get) } else { BRANCHES.with(Cell::get) }
    }
}

#[cfg(any(loom, crossbeam_loom))]
pub(super) use chosen::most;
#[cfg(any(loom, crossbeam_loom))]
pub use chosen::{build_branches_of, build_leaves_of};

/// The fixed part of a run.
#[repr(C)]
#[cfg_attr(any(loom, crossbeam_loom), repr(align(64)))]
pub(super) struct Run<K, V> {
    /// The next node of the level, whether dead or alive.
    right: Ptr<Node<K, V>>,
    /// I3.
    beyond: usize,
    /// A bit for each slot in which there is nothing, or nothing any more.
    removed: AtomicUsize,
    len: u16,
    /// For how many there is room.
    room: u16,
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
}

impl State {
    /// That of no run.
    pub(super) const NONE: Self = Self { removed: ALL };

    /// The slots whose entries are in the map, if the run is a leaf's.
    pub(super) fn live(self) -> Slots {
        Slots(!self.removed & ALL)
    }

    pub(super) fn is_sealed(self) -> bool {
        self.removed & SEALED != 0
    }
}

impl<K, V> Run<K, V> {
    pub(super) fn state(&self) -> State {
        // Acquire: who finds an item removed comes after that.
        State { removed: self.removed.load(Ordering::Acquire) }
    }

    /// Whether a slot's item is there. `None` if it was when the run was sealed: then that may have been
    /// replaced since. (Until it is sealed it is not.)
    pub(super) fn has(&self, slot: usize) -> Option<bool> {
        let state = self.state();
        if !state.live().has(slot) { Some(false) } else { (!state.is_sealed()).then_some(true) }
    }

    pub(super) fn right(&self) -> Ptr<Node<K, V>> {
        self.right
    }

    pub(super) fn beyond(&self) -> usize {
        self.beyond
    }

    /// Whether it is known, without a look, that all further to the right is greater than what is sought.
    pub(super) fn ends_behind(&self, sought: &Sought<impl FnMut(&K) -> Order>) -> bool {
        self.right.is_null() || sought.by_prefix(self.beyond) == Some(Greater)
    }

    /// Takes the item of a slot out, if all is as it was in `from`. Returns the new state, or what has
    /// changed.
    pub(super) fn remove(&self, slot: usize, from: State) -> Result<State, State> {
        let removed = from.removed | 1 << slot;
        // Release: for those who find it removed. Acquire: if it failed, as `state`.
        self.removed
            .compare_exchange(from.removed, removed, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| State { removed })
            .map_err(|removed| State { removed })
    }

    #[cfg(any(loom, crossbeam_loom, all(test, not(shuttle))))]
    pub(super) fn room(&self) -> usize {
        self.room.into()
    }

    /// Whether so little is left that it would do with much less room. Not when nothing is left.
    pub(super) fn is_sparse(&self, state: State) -> bool {
        self.is_sparse_with(state.live().len())
    }

    fn is_sparse_with(&self, len: usize) -> bool {
        (1..=usize::from(self.room) / SPARSE).contains(&len)
    }

    /// Seals the run, and says what is left in it.
    pub(super) fn seal(&self) -> State {
        // Acquire: as `state`. The last word on what is removed, as it is read and written in one.
        let removed = self.removed.fetch_or(SEALED, Ordering::AcqRel) | SEALED;
        State { removed }
    }
}

/// What a slot leads to: in a leaf's run the entry itself.
pub(super) type Item<K, V> = Ptr<Entry<K, V>>;

/// What a slot leads to in a branch's run. Which it is follows from the level: into runs of the leaves' only
/// entries are put (`view`), into those above only nodes of the level below (`index`), and a run stays in its
/// level. So what is covered by way of a slot is of the type that its level says.
pub(super) fn child<K, V>(item: Item<K, V>) -> Ptr<Node<K, V>> {
    item.cast()
}

/// An item and its prefix.
pub(super) struct New<K, V> {
    pub(super) prefix: usize,
    pub(super) item: Item<K, V>,
}

impl<K, V> Clone for New<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for New<K, V> {}

/// The two arrays in front of a run.
pub(super) struct Arrays<K, V> {
    items: NonNull<Item<K, V>>,
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
            Self { items: prefixes.cast::<Item<K, V>>().sub(room), prefixes }
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
            let front = ROOMS[kind] * (size_of::<usize>() + size_of::<Item<K, V>>());
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

/// The prefixes of a run, and its items.
pub(super) type Slices<'r, K, V> = (&'r [usize], &'r [Item<K, V>]);

/// What a run says of its slots, but for what is removed.
///
/// # Safety
/// The run is alive for `'r`, and of scheme `S`.
#[inline]
pub(super) unsafe fn arrays<'r, K, V, S: Scheme>(run: Ptr<Run<K, V>>) -> Slices<'r, K, V> {
    let Some(at) = NonNull::new(run.as_raw()) else { return (&[], &[]) };
    // SAFETY: the caller's; the first `len` of each are initialised, and never change (I1).
    unsafe {
        let (len, room) = ((*at.as_ptr()).len.into(), (*at.as_ptr()).room.into());
        let arrays = Arrays::of::<S>(at, room);
        (
            slice::from_raw_parts(arrays.prefixes.as_ptr(), len),
            slice::from_raw_parts(arrays.items.as_ptr(), len),
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

/// Has the first item fetched of a run with much room, while it is not known yet how much it has.
#[inline(always)]
pub(super) fn prefetch_first<K, V>(run: Ptr<Run<K, V>>) {
    const FRONT: usize = MOST * (size_of::<usize>() + size_of::<*const ()>());
    crate::prefetch::prefetch(run.as_raw().cast::<u8>().wrapping_sub(FRONT));
}

/// Retires a run.
///
/// # Safety
/// As `Guard::retire`, for a run of a map.
pub(super) unsafe fn retire<K, V, S: Scheme>(guard: &Guard<'_, S>, run: Ptr<Run<K, V>>) {
    // SAFETY: the caller's; it was made with this vtable.
    unsafe {
        let room = (*run.as_raw()).room.into();
        guard.retire_with(run, Vtables::<S::Header, K, V>::of(room).0);
    }
}

/// A run that nobody else can reach. It owns its block, and not the items.
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
        #[expect(clippy::cast_possible_truncation, reason = "no run has room for so many")]
        let room = room as u16;
        let removed = AtomicUsize::new(ALL);
        let empty = Run { right: Ptr::null(), beyond: 0, removed, len: 0, room };
        // SAFETY: the block has the vtable's layout; nobody else knows it.
        unsafe { run.write(empty) };
        Some(Self { run, owner: PhantomData })
    }

    /// Takes a smaller block, if it is empty, so few items are to come, and there is memory.
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

    /// All items are there.
    pub(super) fn complete(&mut self, right: Ptr<Node<K, V>>, beyond: usize) {
        let empty = ALL & !((1 << self.fields().len) - 1);
        self.fields().removed = AtomicUsize::new(empty);
        self.lead_to(right, beyond);
    }

    /// All that is further to the right has no prefix below `beyond`.
    pub(super) fn lead_to(&mut self, right: Ptr<Node<K, V>>, beyond: usize) {
        (self.fields().right, self.fields().beyond) = (right, beyond);
    }

    pub(super) fn right(&self) -> Ptr<Node<K, V>> {
        // SAFETY: ours.
        unsafe { self.run.as_ref() }.right
    }

    /// Appends an item.
    pub(super) fn push(&mut self, new: New<K, V>) {
        let (len, room) = (usize::from(self.fields().len), usize::from(self.fields().room));
        assert!(len < room, "there is room");
        // SAFETY: ours; within the array.
        unsafe {
            let arrays = Arrays::of::<S>(self.run, room);
            arrays.prefixes.add(len).write(new.prefix);
            arrays.items.add(len).write(new.item);
        }
        self.fields().len += 1;
    }

    /// Takes the first item out that is there; the slots before are not used any more.
    pub(super) fn take_first(&mut self) -> Option<Item<K, V>> {
        let state = self.fields().state();
        let slot = state.live().first()?;
        // SAFETY: ours.
        let item = unsafe { arrays::<K, V, S>(self.as_ptr()) }.1[slot];
        let removed = self.fields().remove(slot, state);
        debug_assert!(removed.is_ok(), "nobody else is there");
        Some(item)
    }
}

impl<K, V, S: Scheme> Drop for Loose<K, V, S> {
    fn drop(&mut self) {
        let room = self.fields().room.into();
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
        State { removed: removed | (ALL & !((1 << len) - 1)) }
    }

    /// Some sets of slots to remove: none, all, the ends, every other, and some that look random.
    fn masks() -> impl Iterator<Item = usize> {
        let all = SEALED - 1;
        let random = (1..if cfg!(miri) { 2 } else { 50_usize })
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
                for at in (0..=MOST).step_by(if cfg!(miri) { 10 } else { 1 }) {
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
        let removed = AtomicUsize::new(state(len, 0).removed);
        let (len, room) = (len.try_into().unwrap(), MOST.try_into().unwrap());
        Run { right: Ptr::null(), beyond: 0, removed, len, room }
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
