//! A leaf: a part of the map, and in front of it, in the same allocation, its tower of links.
//!
//! ```text
//!                            leaf (what links point to)
//!                            v
//! +--------+-----+--------+--------+-----+-----+-------+
//! | link 1 | ... | link 0 | header | low | run | state |
//! +--------+-----+--------+--------+-----+-----+-------+
//! ```
//!
//! The tower grows away from the rest, so the lower links are neighbours of what a search looks at.
//!
//! # Invariants
//!
//! - **I1.** Links of a level below a leaf's height are initialised, and stay as long as the leaf.
//! - **I2.** The state's count is that of the levels at which the leaf is linked in the index, or may
//!   be yet, and one for the place in the list of leaves. Who takes it out of a list takes one off,
//!   the one who built the tower those that he gave up; who takes the last one off retires the leaf,
//!   and its run.
//! - **I3.** A leaf that has an entry in the map dies when the last one is taken out, and for ever: a
//!   run in which nothing is left is not replaced, so what it leads to does not change any more. Death is
//!   seen in the run, and later, for those who do not look there, in the tag [`DEAD`] of the pointer to it.
//! - **I4.** No entry that is in the leaf now, or will be, has a prefix below `low`.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::run::{self, Run};
use crate::atomic::{Atomic, Ptr};
use crate::guard::{Guard, Shield};
use crate::retired::{NODE_ALIGN, Vtable, deallocate, front_distance};
use crate::scheme::Scheme;
use crate::sync::{AtomicUsize, MODEL, Ordering};

/// No tower is higher. One in two leaves of a level is in the next one too, so this is for more
/// leaves than most memory has room for; with still more of them the highest list gets longer.
pub(super) const MAX_HEIGHT: usize = if MODEL { 16 } else { 32 };

pub(super) type Link<K, V> = Atomic<Leaf<K, V>>;

/// A cover for a leaf.
pub(super) type Cover<'g, K, V, S> = Shield<'g, Leaf<K, V>, S>;

/// In the pointer to a leaf's run: the leaf is dead.
pub(super) const DEAD: usize = 1;

/// The fixed part of a leaf.
#[repr(C)]
#[cfg_attr(any(loom, crossbeam_loom), repr(align(64)))]
pub(super) struct Leaf<K, V> {
    /// I4.
    low: AtomicUsize,
    run: Atomic<Run<K, V>>,
    /// From the low bits: flags, the count (I2), the height.
    state: AtomicUsize,
}

/// The tower is still being built; the builder has a say in what becomes of the leaf.
const BUILDING: usize = 1;
/// The leaf is dead.
const REMOVED: usize = 2;
/// One list.
const LIST: usize = 4;
const COUNT: usize = 0xff * LIST;
const HEIGHT_SHIFT: u32 = 10;

const _: () = assert!(MAX_HEIGHT < COUNT / LIST);

/// What is left of a leaf when somebody is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It is linked nowhere, and never will be: whoever is told so retires it.
    Nothing,
    /// It is dead and the tower is whole: whoever is told so unlinks what is linked.
    ToUnlink,
    /// It is somebody else's, or still in use.
    Other,
}

impl<K, V> Leaf<K, V> {
    pub(super) fn height(&self) -> usize {
        // Relaxed: the height is there from the beginning.
        self.state.load(Ordering::Relaxed) >> HEIGHT_SHIFT
    }

    /// Where the run is.
    pub(super) fn run(&self) -> &Atomic<Run<K, V>> {
        &self.run
    }

    pub(super) fn is_dead(&self) -> bool {
        // Acquire: who finds it dead comes after that.
        self.run.load(Ordering::Acquire).tag() == DEAD
    }

    /// Makes it seen that the leaf is dead, as this run of it says.
    pub(super) fn show_death(&self, run: Ptr<Run<K, V>>) {
        // Release: for those who find it dead. If it fails, another one has done so, as a run in which
        // nothing is left is not replaced (I3). Relaxed: to have seen the tag is enough for I1 of `page`;
        // nothing is read by way of it, and who reclaims issues a barrier after that.
        let _ = self.run.compare_exchange(
            run,
            run.with_tag(DEAD),
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    pub(super) fn low(&self) -> usize {
        // Acquire: who goes by it comes after what was removed below it.
        self.low.load(Ordering::Acquire)
    }

    /// The first entry that is in the leaf, or was just now, has this prefix (I4).
    pub(super) fn raise_low(&self, prefix: usize) {
        // Release, Acquire: see above, and whoever reads it later comes after all of them.
        self.low.fetch_max(prefix, Ordering::AcqRel);
    }

    /// Takes lists off the count, which the caller has had a claim to.
    pub(super) fn release(&self, lists: usize) -> Left {
        // Acquire: pairs with the Release of those who took one off before: their unlinking comes
        // before the retiring. If all that is left is the caller's, nobody else counts here.
        if self.state.load(Ordering::Acquire) & COUNT == lists * LIST {
            return Left::Nothing;
        }
        // Release: see above. Acquire: as above.
        let before = self.state.fetch_sub(lists * LIST, Ordering::AcqRel);
        if before & COUNT == lists * LIST { Left::Nothing } else { Left::Other }
    }

    /// The tower is done, but for some levels that were given up.
    pub(super) fn finish(&self, given_up: usize) -> Left {
        // Release: the links, for the one who unlinks it later. Acquire: if it died, that comes
        // before what follows.
        let before = self.state.fetch_sub(BUILDING + given_up * LIST, Ordering::AcqRel);
        if given_up > 0 && before & COUNT == given_up * LIST {
            Left::Nothing
        } else if before & REMOVED != 0 {
            Left::ToUnlink
        } else {
            Left::Other
        }
    }

    /// The leaf is dead: whoever is still building its tower takes it out of the index, too.
    pub(super) fn bury(&self) {
        // Release: the death, for the one who builds. Acquire: the links that he made.
        self.state.fetch_or(REMOVED, Ordering::AcqRel);
    }
}

/// Where the links of a leaf, or of the list's head, are.
pub(super) struct Tower<K, V> {
    /// The link of level 0; the others are before it.
    foot: NonNull<Link<K, V>>,
}

impl<K, V> Clone for Tower<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Tower<K, V> {}

impl<K, V> Tower<K, V> {
    /// The tower of a leaf of scheme `S`.
    ///
    /// # Safety
    /// `leaf` is one's, and it is alive.
    #[inline]
    pub(super) unsafe fn of<S: Scheme>(leaf: Ptr<Leaf<K, V>>) -> Self {
        const { assert!(align_of::<Link<K, V>>() <= NODE_ALIGN) }
        let leaf = leaf.as_raw().cast::<u8>();
        // SAFETY: the caller's; the front ends there (I2 of `retired`), and the block is at least
        // so large.
        unsafe {
            let end = leaf.sub(front_distance::<S::Header>());
            Self { foot: NonNull::new_unchecked(end.cast::<Link<K, V>>().sub(1)) }
        }
    }

    /// The tower of a head, which stands upside down: its last link is that of level 0.
    #[inline]
    pub(super) fn of_head(head: &[Link<K, V>; MAX_HEIGHT]) -> Self {
        // SAFETY: within the array.
        Self { foot: unsafe { NonNull::from(head).cast::<Link<K, V>>().add(MAX_HEIGHT - 1) } }
    }

    /// The link of a level.
    ///
    /// # Safety
    /// The level is below the height, and the leaf or head is alive for `'l`.
    #[inline]
    pub(super) unsafe fn link<'l>(self, level: usize) -> &'l Link<K, V> {
        // SAFETY: the caller's (I1).
        unsafe { self.foot.sub(level).as_ref() }
    }
}

/// The link of a level of a leaf that a shield covers; `None` if it covers nothing.
///
/// # Safety
/// The shield covers a leaf of a list in its domain, and the level is below the leaf's height.
#[inline]
pub(super) unsafe fn link<'s, K, V, S: Scheme>(
    leaf: &'s Cover<'_, K, V, S>,
    level: usize,
) -> Option<&'s Link<K, V>> {
    if leaf.ptr().is_null() {
        return None;
    }
    // SAFETY: the caller's; covered as long as the shield is borrowed.
    Some(unsafe { Tower::of::<S>(leaf.ptr()).link(level) })
}

/// What leaves of each height have in common.
struct Vtables<H, K, V>(PhantomData<(H, K, V)>);

impl<H, K, V> Vtables<H, K, V> {
    const BY_HEIGHT: &'static [Vtable; MAX_HEIGHT] = &{
        let mut vtables = [const { Vtable::with_front::<H, Leaf<K, V>>(0) }; MAX_HEIGHT];
        let mut height = 1;
        while height <= MAX_HEIGHT {
            let front = (height * size_of::<Link<K, V>>()).next_multiple_of(NODE_ALIGN);
            vtables[height - 1] = Vtable::with_front::<H, Leaf<K, V>>(front);
            height += 1;
        }
        vtables
    };

    fn of(height: usize) -> &'static Vtable {
        &Self::BY_HEIGHT[height - 1]
    }
}

/// Retires a leaf, and its run.
///
/// # Safety
/// As `Guard::retire`, for a leaf of a map, of which nothing is left.
unsafe fn retire<K, V, S: Scheme>(guard: &Guard<'_, S>, leaf: Ptr<Leaf<K, V>>) {
    // SAFETY: it is retired here, so it is still alive.
    let Some(covered) = (unsafe { leaf.as_ref() }) else { return };
    // Relaxed: it is dead, so this does not change any more; and the count was seen.
    let run = covered.run.load(Ordering::Relaxed).with_tag(0);
    let vtable = Vtables::<S::Header, K, V>::of(covered.height());
    // SAFETY: the caller's; both were made with these vtables. The run is found through the leaf only.
    unsafe {
        run::retire(guard, run);
        guard.retire_with(leaf, vtable);
    }
}

/// Retires a leaf of which nothing is left.
///
/// # Safety
/// `left` was said of this leaf, to this thread.
pub(super) unsafe fn retire_if<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    left: Left,
    leaf: Ptr<Leaf<K, V>>,
) {
    if left == Left::Nothing {
        // SAFETY: the caller's (I2); the entry may be dropped anywhere: see the map's bounds.
        unsafe { retire(guard, leaf) };
    }
}

/// A leaf that nobody else can reach: not linked yet, or not any more.
pub(super) struct Loose<K, V, S: Scheme> {
    leaf: NonNull<Leaf<K, V>>,
    owner: PhantomData<(K, V, S::Header)>,
}

impl<K, V, S: Scheme> Loose<K, V, S> {
    /// A leaf with a tower of null links, and no run. `None` if there is no memory.
    pub(super) fn try_new(guard: &Guard<'_, S>, height: usize) -> Option<Self> {
        let vtable = Vtables::<S::Header, K, V>::of(height);
        // SAFETY: a vtable for headers of this scheme.
        let leaf = unsafe { guard.try_place(vtable) }?.cast::<Leaf<K, V>>();
        let state = BUILDING | ((height + 1) * LIST) | (height << HEIGHT_SHIFT);
        let state = AtomicUsize::new(state);
        // SAFETY: the block has the vtable's layout: there is a place for a leaf, and for so many
        // links in front of it; nobody else knows it.
        unsafe {
            leaf.write(Leaf { low: AtomicUsize::new(0), run: Atomic::null(), state });
            let tower = Tower::of::<S>(Ptr::from_raw(leaf.as_ptr()));
            for level in 0..height {
                tower.foot.sub(level).write(Link::null());
            }
        }
        Some(Self { leaf, owner: PhantomData })
    }

    /// The layout of such a block, for the error that there is no memory for it.
    pub(super) fn layout(height: usize) -> core::alloc::Layout {
        Vtables::<S::Header, K, V>::of(height).layout()
    }

    /// Takes over a leaf.
    ///
    /// # Safety
    /// It is not null; nobody else can reach it, now or later, and it is not retired.
    pub(super) unsafe fn from_ptr(leaf: Ptr<Leaf<K, V>>) -> Self {
        // SAFETY: the caller's.
        Self { leaf: unsafe { NonNull::new_unchecked(leaf.as_raw()) }, owner: PhantomData }
    }

    /// The leaf's pointer. The leaf stays owned.
    pub(super) fn as_ptr(&self) -> Ptr<Leaf<K, V>> {
        Ptr::from_raw(self.leaf.as_ptr())
    }

    /// Lets go of the leaf: it is linked.
    pub(super) fn into_ptr(self) -> Ptr<Leaf<K, V>> {
        core::mem::ManuallyDrop::new(self).as_ptr()
    }

    /// Gives the leaf a run, the first prefix of which is this one.
    pub(super) fn fill(&self, low: usize, run: run::Loose<K, V, S>) {
        // SAFETY: ours.
        let leaf = unsafe { self.leaf.as_ref() };
        // Relaxed: the leaf is published later.
        leaf.low.store(low, Ordering::Relaxed);
        leaf.run.store(run.into_ptr(), Ordering::Relaxed);
    }

    /// Takes the run out, if there is one.
    pub(super) fn take_run(&self) -> Option<run::Loose<K, V, S>> {
        // SAFETY: ours.
        let run = unsafe { self.leaf.as_ref() }.run.swap(Ptr::null(), Ordering::Relaxed);
        // SAFETY: the run is the leaf's.
        (!run.is_null()).then(|| unsafe { run::Loose::from_ptr(run.with_tag(0)) })
    }
}

impl<K, V, S: Scheme> Drop for Loose<K, V, S> {
    fn drop(&mut self) {
        drop(self.take_run());
        // SAFETY: ours, and not used after this; the block was made with this vtable.
        unsafe {
            let vtable = Vtables::<S::Header, K, V>::of(self.leaf.as_ref().height());
            deallocate(self.leaf.cast(), vtable);
        }
    }
}

impl<K, V> fmt::Debug for Leaf<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("height", &self.height()).finish_non_exhaustive()
    }
}
