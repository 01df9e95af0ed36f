//! The one ordered list that holds a map's entries: Michael's.
//!
//! (M. M. Michael, "High performance dynamic lock-free hash tables and list-based sets", SPAA 2002;
//! Harris's list of 2001, with the walk that hazard pointers can follow.)
//!
//! - *Removing* a node marks its `next` (tag 1), which freezes it: from then on the node is not in
//!   the list, though it may still be linked. Then it is unlinked: the link before it is CASed to
//!   what comes after.
//! - *Replacing* a node marks its `next` and makes it lead to the replacement, in the same CAS: the
//!   moment the old node is out, the new one is in, and whoever stands on the old one gets to it.
//! - *A walk* unlinks every marked node that it meets, and starts again when that fails, or when the
//!   node that it stands on was marked meanwhile.
//!
//! # Invariants
//!
//! - **I1.** A link that is marked never changes again, and only such a node is unlinked.
//! - **I2.** A node whose link is unmarked is in the list; so is what that link leads to. So what
//!   `protect` returns from an unmarked link is covered: its node was in the list when the link was
//!   read again, and not retired. (A marked link proves nothing.)
//! - **I3.** A node is retired by the thread whose CAS unlinked it, once: an unmarked link leads to
//!   it only from one place, and it is never linked again.
//! - **I4.** Nodes stand in ascending `(order, serial)`, no two with the same; a new node goes behind
//!   all of its order, and takes the next serial; a replacement takes the place of the replaced.
//!   So two who insert the same key meet at the same link, and one of them wins; and a walk can take
//!   up at the place where another one left.
//! - **I5.** A sentinel is never marked.
//! - **I6.** *No zombie.* A pointer that was loaded before it was covered is never used again, not
//!   even if it compares equal to what a link holds now: its node may be gone, and another one have
//!   its address, whose content was not acquired. What is followed, and what is written into a
//!   link, is what `protect` returned. (But for what a marked link leads to, which an unlinking CAS
//!   writes: that cannot be unlinked before the marked node is, so if the CAS succeeds it was
//!   there all the time.)
//!
//! # Orderings
//!
//! The CAS that links a node is Release. Whoever follows a link has loaded it with Acquire. The
//! unlinking CAS passes on a pointer that was loaded with Acquire, so it is Release too, and so is
//! the marking one: it may publish a replacement.

use crate::atomic::{Atomic, Owned, Ptr};
use crate::guard::{Guard, Shield};
use crate::scheme::Scheme;
use crate::sync::Ordering;

/// In a link: the node that it belongs to is out of the list.
const MARK: usize = 1;

/// How a node begins, and all there is of a sentinel.
///
/// Pointers in the list are to `Link`, with the provenance of the whole node.
#[derive(Debug)]
pub(super) struct Link {
    next: Atomic<Link>,
    place: Place,
}

/// Where in the list a node stands (I4): first by order, then by serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Even for a sentinel, odd for an entry.
    pub(super) order: u64,
    /// Tells entries of the same order apart.
    pub(super) serial: u64,
}

impl Link {
    pub(super) fn new(order: u64) -> Self {
        Self { next: Atomic::null(), place: Place { order, serial: 0 } }
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn is_sentinel(&self) -> bool {
        self.place.order & 1 == 0
    }

    /// The next node, for whoever has the list to himself; and whether this one is out.
    pub(super) fn next_exclusive(&self) -> (Ptr<Self>, bool) {
        let next = self.next.load(Ordering::Relaxed);
        (next.with_tag(0), next.tag() == MARK)
    }

    /// Sets the next node, for whoever has the list to himself. The mark stays.
    pub(super) fn set_next_exclusive(&self, next: Ptr<Self>) {
        let mark = self.next.load(Ordering::Relaxed).tag();
        self.next.store(next.with_tag(mark), Ordering::Relaxed);
    }
}

/// What a list needs to know of its nodes: how to retire one.
pub(super) trait Retire<S: Scheme> {
    /// Retires an entry's node.
    ///
    /// # Safety
    /// As `Guard::retire`; `node` is an entry's, not a sentinel.
    unsafe fn retire(guard: &Guard<'_, S>, node: Ptr<Link>);
}

/// Where a walk has stopped.
pub(super) struct Cursor<'g, S: Scheme> {
    /// The sentinel where it began.
    start: &'g Link,
    /// The node before, or nothing if that is `start`.
    before: Shield<'g, Link, S>,
    /// The node where it stopped, or nothing at the list's end.
    pub(super) at: Shield<'g, Link, S>,
    /// How many nodes it passed.
    pub(super) passed: usize,
}

impl<'g, S: Scheme> Cursor<'g, S> {
    /// The link that leads to `at`.
    fn link(&self) -> &Atomic<Link> {
        // SAFETY: covered (I2), and its node is of this list's domain.
        let before = unsafe { self.before.as_ref() };
        &before.unwrap_or(self.start).next
    }

    /// The place of the node where it stopped.
    pub(super) fn place(&self) -> Option<Place> {
        // SAFETY: covered (I2), and its node is of this list's domain.
        unsafe { self.at.as_ref() }.map(Link::place)
    }

    /// Walks from `start` to the first node for which `stop` says so, or to the end. Unlinks what
    /// is marked on its way. `stop` may be asked about a node more than once.
    pub(super) fn walk<N: Retire<S>>(
        guard: &'g Guard<'g, S>,
        start: &'g Link,
        mut stop: impl FnMut(&Shield<'g, Link, S>, &Link) -> bool,
    ) -> Self {
        let mut cursor = Self { start, before: guard.shield(), at: guard.shield(), passed: 0 };
        while !cursor.try_walk::<N>(guard, &mut stop) {}
        cursor
    }

    /// One attempt; false when it must start again.
    fn try_walk<N: Retire<S>>(
        &mut self,
        guard: &Guard<'_, S>,
        stop: &mut impl FnMut(&Shield<'g, Link, S>, &Link) -> bool,
    ) -> bool {
        self.before.clear();
        self.passed = 0;
        // I5: a sentinel's link is unmarked, so what is found there is covered (I2).
        self.at.protect(&self.start.next);
        loop {
            // SAFETY: covered: found in an unmarked link, here and below (I2).
            let Some(node) = (unsafe { self.at.as_ref() }) else { return true };
            // Acquire: it may be linked.
            let next = node.next.load(Ordering::Acquire);
            if next.tag() == MARK {
                if !self.unlink::<N>(guard, next.with_tag(0)) {
                    return false;
                }
                let (at, before) = (&mut self.at, &self.before);
                // SAFETY: covered, as above.
                let link = &unsafe { before.as_ref() }.unwrap_or(self.start).next;
                // I6: whatever is there now. I2: if the link is unmarked, it is covered.
                if at.protect(link).tag() == MARK {
                    return false;
                }
                continue;
            }
            if stop(&self.at, node) {
                return true;
            }
            self.passed += 1;
            core::mem::swap(&mut self.before, &mut self.at);
            // SAFETY: covered, as above: the node that we stand on.
            let before = unsafe { self.before.as_ref() }.expect("it was not null");
            // I2: if the link is unmarked, what it leads to is covered.
            if self.at.protect(&before.next).tag() == MARK {
                return false;
            }
        }
    }

    /// CASes the link before from `at` to `next`, and retires `at`.
    fn unlink<N: Retire<S>>(&self, guard: &Guard<'_, S>, next: Ptr<Link>) -> bool {
        let at = self.at.ptr();
        // Release: passes `next` on. The CAS fails if the node before was marked (I1).
        let unlinked =
            self.link().compare_exchange(at, next, Ordering::Release, Ordering::Relaxed).is_ok();
        if unlinked {
            // SAFETY: I3; it is marked, so not a sentinel (I5).
            unsafe { N::retire(guard, at) };
        }
        unlinked
    }

    /// Links a new node before the one where the walk stopped; gives it back if another thread got
    /// in between.
    ///
    /// `as_link` gets at the node's link; the node begins with it.
    pub(super) fn insert<T>(
        &self,
        mut node: Owned<T, S>,
        as_link: impl FnOnce(&mut T) -> &mut Link,
    ) -> Result<Ptr<Link>, Owned<T, S>> {
        let link = as_link(&mut node);
        // SAFETY: covered, as in `walk`.
        let before = unsafe { self.before.as_ref() }.unwrap_or(self.start).place;
        // I4.
        let same_order = before.order == link.place.order;
        link.place.serial = if same_order { before.serial + 1 } else { 0 };
        // Relaxed: published by the CAS.
        let at = self.at.ptr();
        link.next.store(at, Ordering::Relaxed);
        let new = node.into_ptr();
        // Release: publishes the node.
        match self.link().compare_exchange(at, new.cast(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(new.cast()),
            // SAFETY: it was not linked.
            Err(_) => Err(unsafe { Owned::from_ptr(new) }),
        }
    }

    /// Takes the node where the walk stopped out of the list: marked, perhaps still linked. False
    /// if another thread got in between.
    pub(super) fn remove<N: Retire<S>>(&self, guard: &Guard<'_, S>) -> bool {
        match self.successor(guard) {
            Some(next) => self.mark::<N>(guard, &next, next.ptr()),
            None => false,
        }
    }

    /// What `at` leads to, covered (I6); `None` if `at` is out of the list, or nothing.
    fn successor<'s>(&self, guard: &'s Guard<'s, S>) -> Option<Shield<'s, Link, S>> {
        let mut next = guard.shield();
        // SAFETY: covered, as in `walk`.
        let node = unsafe { self.at.as_ref() }?;
        // I2.
        (next.protect(&node.next).tag() != MARK).then_some(next)
    }

    /// Puts a new node in the place of the one where the walk stopped; gives it back if another
    /// thread got in between.
    pub(super) fn replace<N: Retire<S>, T>(
        &self,
        guard: &Guard<'_, S>,
        mut node: Owned<T, S>,
        as_link: impl FnOnce(&mut T) -> &mut Link,
    ) -> Result<Ptr<Link>, Owned<T, S>> {
        let Some(next) = self.successor(guard) else { return Err(node) };
        let link = as_link(&mut node);
        // I4.
        link.place = self.place().expect("there is something to replace");
        // Relaxed: published by the CAS.
        link.next.store(next.ptr(), Ordering::Relaxed);
        let new = node.into_ptr();
        if self.mark::<N>(guard, &next, new.cast()) {
            Ok(new.cast())
        } else {
            // SAFETY: it was not linked.
            Err(unsafe { Owned::from_ptr(new) })
        }
    }

    /// Marks the node where the walk stopped, if it still leads to `successor`, and leads from it
    /// to `next`; then sees to it that it is unlinked.
    fn mark<N: Retire<S>>(
        &self,
        guard: &Guard<'_, S>,
        successor: &Shield<'_, Link, S>,
        next: Ptr<Link>,
    ) -> bool {
        // SAFETY: covered, as in `walk`.
        let Some(node) = (unsafe { self.at.as_ref() }) else { return false };
        let (current, marked) = (successor.ptr(), next.with_tag(MARK));
        // Release: publishes a replacement. I1: it fails if the node is marked.
        let won = node
            .next
            .compare_exchange(current, marked, Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if won && !self.unlink::<N>(guard, next) {
            Self::sweep::<N>(guard, self.start, node.place);
        }
        won
    }

    /// Walks past a place, so that nothing marked is left before it.
    #[cold]
    fn sweep<N: Retire<S>>(guard: &Guard<'_, S>, start: &Link, place: Place) {
        Cursor::walk::<N>(guard, start, |_, node| node.place > place);
    }
}
