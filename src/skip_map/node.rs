//! A node: a leaf of the map, or a branch of the index over it.
//!
//! # Invariants
//!
//! - **I1.** The state says where the node is, or may be yet: in the list of its level, and in the index,
//!   in a run one level up. Who takes it out of one of them says so; who takes it out of the last one
//!   retires it, and its run.
//! - **I2.** A node dies when the last of what is in it is taken out, and for ever: a run in which nothing
//!   is left is not replaced, so what it leads to does not change any more. Death is seen in the run, and
//!   later, for those who do not look there, in the tag [`DEAD`] of the pointer to it.
//! - **I3.** Nothing that is in a leaf now, or will be, has a prefix below `low`. (Of what is below a branch the
//!   same is nearly always true, and only time depends on it: I4 of `list`.)
//! - **I4.** Of who links a node in the index and who finds that it has died, one takes it out of there:
//!   the latter, if the former was done before; else the former.

use core::alloc::Layout;
use core::fmt;

use super::run::{self, Run};
use crate::atomic::{Atomic, Owned, Ptr};
use crate::guard::{Guard, Shield};
use crate::retired::Vtable;
use crate::scheme::Scheme;
use crate::sync::{AtomicUsize, Ordering};

/// A cover for a node.
pub(super) type Cover<'g, K, V, S> = Shield<'g, Node<K, V>, S>;

/// In the pointer to a node's run: the node is dead.
pub(super) const DEAD: usize = 1;

#[cfg_attr(any(loom, crossbeam_loom), repr(align(64)))]
pub(super) struct Node<K, V> {
    /// I3.
    low: AtomicUsize,
    run: Atomic<Run<K, V>>,
    /// I1 and I4.
    state: AtomicUsize,
}

/// It is being linked in the index.
const BUILDING: usize = 1;
/// It is dead.
const REMOVED: usize = 2;
/// It is in the list of its level.
const LISTED: usize = 4;
/// It is in the index, or may be yet.
const INDEXED: usize = 8;

/// A place where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    List,
    Index,
}

/// What is left of a node when somebody is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It is nowhere, and never will be: whoever is told so retires it.
    Nothing,
    /// It is dead and in the index: whoever is told so takes it out of there.
    ToUnlink,
    /// It is somebody else's, or still in use.
    Other,
}

impl<K, V> Node<K, V> {
    /// Where the run is.
    pub(super) fn run(&self) -> &Atomic<Run<K, V>> {
        &self.run
    }

    pub(super) fn is_dead(&self) -> bool {
        // Acquire: who finds it dead comes after that.
        self.run.load(Ordering::Acquire).tag() == DEAD
    }

    /// Makes it seen that the node is dead, as this run of it says.
    pub(super) fn show_death(&self, run: Ptr<Run<K, V>>) {
        // Release: for those who find it dead. If it fails, another one has done so, as a run in which
        // nothing is left is not replaced (I2). Relaxed: to have seen the tag is enough for I1 of `page`;
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

    /// The first entry that is in the node, or below it, or was just now, has this prefix, or a greater one (I3).
    pub(super) fn raise_low(&self, prefix: usize) {
        // Release, Acquire: see above, and whoever reads it later comes after all of them.
        self.low.fetch_max(prefix, Ordering::AcqRel);
    }

    /// Whether it is in the index, where nobody else is there.
    pub(super) fn is_indexed(&self) -> bool {
        self.state.load(Ordering::Relaxed) & INDEXED != 0
    }

    /// It is taken out of a place, by the caller.
    pub(super) fn leave(&self, place: Place) -> Left {
        let place = match place {
            Place::List => LISTED,
            Place::Index => INDEXED,
        };
        // Release: the unlinking, for the one who retires it. Acquire: pairs with that.
        let before = self.state.fetch_and(!place, Ordering::AcqRel);
        if before & (LISTED | INDEXED) == place { Left::Nothing } else { Left::Other }
    }

    /// It is in the index; or it was given up.
    pub(super) fn finish(&self, is_linked: bool) -> Left {
        let done = if is_linked { BUILDING } else { BUILDING | INDEXED };
        // Release: the linking, or as in `leave`. Acquire: if it died, that comes before what follows.
        let before = self.state.fetch_and(!done, Ordering::AcqRel);
        if !is_linked && before & LISTED == 0 {
            Left::Nothing
        } else if is_linked && before & REMOVED != 0 {
            Left::ToUnlink
        } else {
            Left::Other
        }
    }

    /// It is dead.
    pub(super) fn bury(&self) -> Left {
        // Release: the death, for the one who builds. Acquire: the linking, if that is done.
        let before = self.state.fetch_or(REMOVED, Ordering::AcqRel);
        if before & (BUILDING | INDEXED) == INDEXED { Left::ToUnlink } else { Left::Other }
    }
}

/// Retires a node of which nothing is left, and its run.
///
/// # Safety
/// `left` was said of this node, to this thread, whose guard is of the map's domain.
pub(super) unsafe fn retire_if<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    left: Left,
    node: Ptr<Node<K, V>>,
) {
    if left != Left::Nothing {
        return;
    }
    // SAFETY: it is retired here, so it is still alive.
    let Some(covered) = (unsafe { node.as_ref() }) else { return };
    // Relaxed: it is dead, so this does not change any more; and the state was seen.
    let run = covered.run.load(Ordering::Relaxed).with_tag(0);
    // SAFETY: it is nowhere any more (I1), and the run is found through it only; nothing of them borrows.
    unsafe {
        run::retire(guard, run);
        guard.retire(node);
    }
}

/// A node that nobody else can reach: not linked yet, or not any more.
pub(super) struct Loose<K, V, S: Scheme> {
    node: Option<Owned<Node<K, V>, S>>,
}

impl<K, V, S: Scheme> Loose<K, V, S> {
    /// A node without a run. `None` if there is no memory.
    pub(super) fn try_new(guard: &Guard<'_, S>) -> Option<Self> {
        let state = AtomicUsize::new(BUILDING | LISTED | INDEXED);
        let node = Node { low: AtomicUsize::new(0), run: Atomic::null(), state };
        let node = guard.try_owned(node).ok()?;
        Some(Self { node: Some(node) })
    }

    /// The layout of such a block, for the error that there is no memory for it.
    pub(super) fn layout() -> Layout {
        Vtable::of::<S::Header, Node<K, V>>().layout()
    }

    /// Takes over a node.
    ///
    /// # Safety
    /// It is not null; nobody else can reach it, now or later, and it is not retired.
    pub(super) unsafe fn from_ptr(node: Ptr<Node<K, V>>) -> Self {
        // SAFETY: the caller's.
        Self { node: Some(unsafe { Owned::from_ptr(node) }) }
    }

    /// The node's pointer. The node stays owned.
    pub(super) fn as_ptr(&self) -> Ptr<Node<K, V>> {
        self.node.as_ref().map_or(Ptr::null(), Owned::as_ptr)
    }

    /// Lets go of the node: it is linked.
    pub(super) fn into_ptr(mut self) -> Ptr<Node<K, V>> {
        self.node.take().map_or(Ptr::null(), Owned::into_ptr)
    }

    /// Gives the node a run, the first prefix of which is this one.
    pub(super) fn fill(&self, low: usize, run: run::Loose<K, V, S>) {
        if let Some(node) = &self.node {
            // Relaxed: the node is published later.
            node.low.store(low, Ordering::Relaxed);
            node.run.store(run.into_ptr(), Ordering::Relaxed);
        }
    }

    /// Takes the run out, if there is one.
    pub(super) fn take_run(&self) -> Option<run::Loose<K, V, S>> {
        let run = self.node.as_ref()?.run.swap(Ptr::null(), Ordering::Relaxed);
        // SAFETY: the run is the node's.
        (!run.is_null()).then(|| unsafe { run::Loose::from_ptr(run.with_tag(0)) })
    }
}

impl<K, V, S: Scheme> Drop for Loose<K, V, S> {
    fn drop(&mut self) {
        drop(self.take_run());
    }
}

impl<K, V> fmt::Debug for Node<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("state", &self.state).finish_non_exhaustive()
    }
}
