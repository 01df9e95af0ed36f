//! A node: an entry, and in front of it, in the same allocation, its tower of links.
//!
//! ```text
//!                            node (what links point to)
//!                            v
//! +--------+-----+--------+--------+-------+-------+
//! | link 2 | ... | link 0 | header | entry | state |
//! +--------+-----+--------+--------+-------+-------+
//! ```
//!
//! The tower grows away from the entry, so the key and the lower links, all that most visitors of
//! the node look at, are neighbours, whatever the size of the value.
//!
//! - **I1.** Links of a level below a node's height are initialised, and stay as long as the node.
//! - **I2.** The state's count is that of the levels at which the node is linked, or may be yet.
//!   Who unlinks it at a level takes one off, the one who built the tower those that he gave up;
//!   who takes the last one off retires the node.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use crate::atomic::{Atomic, Ptr};
use crate::guard::{Guard, Shield};
use crate::hash_map::Entry;
use crate::retired::{NODE_ALIGN, Vtable, deallocate, front_distance};
use crate::scheme::Scheme;
use crate::sync::{AtomicUsize, MODEL, Ordering};

/// No tower is higher. One in two nodes of a level is in the next one too, so this is for more
/// entries than most memory has room for; with still more of them the highest list gets longer.
pub(super) const MAX_HEIGHT: usize = if MODEL { 16 } else { 32 };

pub(super) type Link<K, V> = Atomic<Node<K, V>>;

/// The fixed part of a node.
#[repr(C)]
pub(super) struct Node<K, V> {
    pub(super) entry: Entry<K, V>,
    /// From the low bits: flags, the count (I2), the height.
    state: AtomicUsize,
}

/// The tower is still being built; the builder has a say in what becomes of the node.
const BUILDING: usize = 1;
/// The node is out of the map.
const REMOVED: usize = 2;
/// One level.
const LEVEL: usize = 4;
const COUNT: usize = 0xff * LEVEL;
const HEIGHT_SHIFT: u32 = 10;

const _: () = assert!(MAX_HEIGHT <= COUNT / LEVEL);

/// What is left of a node when somebody is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It is linked nowhere, and never will be: whoever is told so retires it.
    Nothing,
    /// It is out of the map and the tower is whole: whoever is told so unlinks what is linked.
    ToUnlink,
    /// It is somebody else's, or still in use.
    Other,
}

impl<K, V> Node<K, V> {
    pub(super) fn height(&self) -> usize {
        // Relaxed: the height is there from the beginning.
        self.state.load(Ordering::Relaxed) >> HEIGHT_SHIFT
    }

    /// Takes levels off the count, which the caller has had a claim to.
    pub(super) fn release(&self, levels: usize) -> Left {
        // Acquire: pairs with the Release of those who took a level off before: their unlinking
        // comes before the retiring. If all that is left is the caller's, nobody else counts here.
        if self.state.load(Ordering::Acquire) & COUNT == levels * LEVEL {
            return Left::Nothing;
        }
        // Release: see above. Acquire: as above.
        let before = self.state.fetch_sub(levels * LEVEL, Ordering::AcqRel);
        if before & COUNT == levels * LEVEL { Left::Nothing } else { Left::Other }
    }

    /// The tower is done, but for some levels that were given up.
    pub(super) fn finish(&self, given_up: usize) -> Left {
        // Release: the links, for the one who removes the node later, and unlinks it. Acquire: if
        // it was removed, that comes before what follows.
        let before = self.state.fetch_sub(BUILDING + given_up * LEVEL, Ordering::AcqRel);
        if given_up > 0 && before & COUNT == given_up * LEVEL {
            Left::Nothing
        } else if before & REMOVED != 0 {
            Left::ToUnlink
        } else {
            Left::Other
        }
    }

    /// The node, of more than one level, is out of the map: its lowest link is marked.
    pub(super) fn remove(&self) -> Left {
        // Release: the mark, for the one who builds. Acquire: the links that he made.
        let before = self.state.fetch_or(REMOVED, Ordering::AcqRel);
        if before & BUILDING == 0 { Left::ToUnlink } else { Left::Other }
    }
}

/// Where the links of a node, or of the list's head, are.
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
    /// The tower of a node of scheme `S`.
    ///
    /// # Safety
    /// `node` is one's, and it is alive.
    #[inline]
    pub(super) unsafe fn of<S: Scheme>(node: Ptr<Node<K, V>>) -> Self {
        const { assert!(align_of::<Link<K, V>>() <= NODE_ALIGN) }
        let node = node.as_raw().cast::<u8>();
        // SAFETY: the caller's; the front ends there (I2 of `retired`), and the block is at least
        // so large.
        unsafe {
            let end = node.sub(front_distance::<S::Header>());
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
    /// The level is below the height, and the node or head is alive for `'l`.
    #[inline]
    pub(super) unsafe fn link<'l>(self, level: usize) -> &'l Link<K, V> {
        // SAFETY: the caller's (I1).
        unsafe { self.foot.sub(level).as_ref() }
    }
}

/// The link of a level of a node that a shield covers; `None` if it covers nothing.
///
/// # Safety
/// The shield covers a node of a list in its domain, and the level is below the node's height.
#[inline]
pub(super) unsafe fn link<'s, K, V, S: Scheme>(
    node: &'s Shield<'_, Node<K, V>, S>,
    level: usize,
) -> Option<&'s Link<K, V>> {
    if node.ptr().is_null() {
        return None;
    }
    // SAFETY: the caller's; covered as long as the shield is borrowed.
    Some(unsafe { Tower::of::<S>(node.ptr()).link(level) })
}

/// What nodes of each height have in common.
struct Vtables<H, K, V>(PhantomData<(H, K, V)>);

impl<H, K, V> Vtables<H, K, V> {
    const BY_HEIGHT: &'static [Vtable; MAX_HEIGHT] = &{
        let mut vtables = [const { Vtable::with_front::<H, Node<K, V>>(0) }; MAX_HEIGHT];
        let mut height = 1;
        while height <= MAX_HEIGHT {
            let front = (height * size_of::<Link<K, V>>()).next_multiple_of(NODE_ALIGN);
            vtables[height - 1] = Vtable::with_front::<H, Node<K, V>>(front);
            height += 1;
        }
        vtables
    };

    fn of(height: usize) -> &'static Vtable {
        &Self::BY_HEIGHT[height - 1]
    }
}

/// Retires a node.
///
/// # Safety
/// As `Guard::retire`, for a node of a list.
pub(super) unsafe fn retire<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    node: &Node<K, V>,
    at: Ptr<Node<K, V>>,
) {
    let vtable = Vtables::<S::Header, K, V>::of(node.height());
    // SAFETY: the caller's; it was made with this vtable.
    unsafe { guard.retire_with(at, vtable) }
}

/// A node that nobody else can reach: not linked yet, or not any more.
pub(super) struct Loose<K, V, S: Scheme> {
    node: NonNull<Node<K, V>>,
    owner: PhantomData<(K, V, S::Header)>,
}

impl<K, V, S: Scheme> Loose<K, V, S> {
    /// A node with a tower of null links. Gives the entry back if there is no memory.
    pub(super) fn try_new(
        guard: &Guard<'_, S>,
        height: usize,
        key: K,
        value: V,
    ) -> Result<Self, Entry<K, V>> {
        let entry = Entry { key, value };
        let vtable = Vtables::<S::Header, K, V>::of(height);
        // SAFETY: a vtable for headers of this scheme.
        let Some(place) = (unsafe { guard.try_place(vtable) }) else { return Err(entry) };
        let node = place.cast::<Node<K, V>>();
        let building = if height > 1 { BUILDING } else { 0 };
        let state = building | (height * LEVEL) | (height << HEIGHT_SHIFT);
        // SAFETY: the block has the vtable's layout: there is a place for a node, and for so many
        // links in front of it; nobody else knows it.
        unsafe {
            node.write(Node { entry, state: AtomicUsize::new(state) });
            let tower = Tower::of::<S>(Ptr::from_raw(node.as_ptr()));
            for level in 0..height {
                tower.foot.sub(level).write(Link::null());
            }
        }
        Ok(Self { node, owner: PhantomData })
    }

    /// As [`try_new`](Self::try_new).
    ///
    /// # Panics
    /// Aborts as `Box::new` does when there is no memory.
    pub(super) fn new(guard: &Guard<'_, S>, height: usize, key: K, value: V) -> Self {
        Self::try_new(guard, height, key, value).unwrap_or_else(|_| {
            std::alloc::handle_alloc_error(Vtables::<S::Header, K, V>::of(height).layout())
        })
    }

    /// Takes over a node.
    ///
    /// # Safety
    /// Nobody else can reach it, now or later, and it is not retired.
    pub(super) unsafe fn from_ptr(node: Ptr<Node<K, V>>) -> Self {
        // SAFETY: the caller's: a node, so not null.
        Self { node: unsafe { NonNull::new_unchecked(node.as_raw()) }, owner: PhantomData }
    }

    /// The node's pointer. The node stays owned.
    pub(super) fn as_ptr(&self) -> Ptr<Node<K, V>> {
        Ptr::from_raw(self.node.as_ptr())
    }

    /// Lets go of the node: it is linked.
    pub(super) fn into_ptr(self) -> Ptr<Node<K, V>> {
        core::mem::ManuallyDrop::new(self).as_ptr()
    }

    pub(super) fn key(&self) -> &K {
        // SAFETY: ours.
        unsafe { &self.node.as_ref().entry.key }
    }

    /// The link of level 0.
    pub(super) fn bottom(&self) -> &Link<K, V> {
        // SAFETY: ours; no node is lower.
        unsafe { Tower::of::<S>(self.as_ptr()).link(0) }
    }

    /// Frees the node and returns its entry.
    pub(super) fn into_entry(self) -> Entry<K, V> {
        // SAFETY: the entry is ours, and read once; the block was made with this vtable.
        unsafe {
            let node = self.into_ptr().as_raw();
            let vtable = Vtables::<S::Header, K, V>::of((*node).height());
            let entry = ptr::read(&raw const (*node).entry);
            deallocate(NonNull::new_unchecked(node.cast()), vtable);
            entry
        }
    }
}

impl<K, V, S: Scheme> Drop for Loose<K, V, S> {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        drop(unsafe { Self::from_ptr(self.as_ptr()) }.into_entry());
    }
}

impl<K, V> fmt::Debug for Node<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("height", &self.height()).finish_non_exhaustive()
    }
}
