//! The skip list: searching, linking, and taking out.
//!
//! (W. Pugh, "Skip lists: a probabilistic alternative to balanced trees", CACM 1990, and
//! "Concurrent maintenance of skip lists", 1990; K. Fraser, "Practical lock-freedom", 2004; H.
//! Sundell and P. Tsigas, "Scalable and lock-free concurrent dictionaries", SAC 2004; M. Herlihy
//! and N. Shavit, "The art of multiprocessor programming", chapter 14. The lists of all levels are
//! those of M. M. Michael, SPAA 2002: a walk that hazard pointers can follow.)
//!
//! Each level is a list in ascending order. That of level 0 *is* the map; those above are an index:
//! a node of height h is linked at levels 0 to h - 1.
//!
//! - *Inserting* links a node at level 0, and then, level by level, in the index; each with a
//!   search of its own, for which an insertion pays once on average: in what is cached by then.
//! - *Removing* marks the node's link of level 0 (tag 1), which freezes it: from then on the node
//!   is not in the map. *Replacing* makes that link lead to the replacement, in the same CAS: the
//!   moment the old node is out, the new one is in.
//! - *A removed node is taken out of the index* by whoever meets it there: he marks its link of
//!   that level, and unlinks it. To be sure, whoever has removed it searches its key once more; and
//!   if it was still being built then, the builder does so, when he is done (`Node::remove` and
//!   `Node::finish` settle who does).
//! - *A search* goes along a level as long as the keys are less, then one level down. It unlinks
//!   every marked node that it meets, and starts again when that fails or when the node that it
//!   stands on is marked.
//!
//! # Invariants
//!
//! - **I1.** A marked link never changes again. A link is marked only when its node was linked at
//!   that level, and in the index only when the link of level 0 is. A node is unlinked at a level
//!   only when its link of that level is marked.
//! - **I2.** A node that was linked at a level and whose link there is unmarked is linked there,
//!   and so is the one that the link leads to. Nodes are linked from level 0 upwards, so whoever
//!   was linked at a level was linked at all below. A node is retired when it is linked at no level
//!   and will not be any more (I2 of `node`). *So what `protect` returns from an unmarked link of a
//!   node that the search met at this level, or above it, is covered*: it was linked when the link
//!   was read again, and not retired. A marked link proves nothing.
//! - **I3.** Who has unlinked a node at a level does so once: only one unmarked link leads to it,
//!   and it is never linked there again. So it is retired once.
//! - **I4.** At each level nodes stand in ascending order. Of several with the same key at level 0
//!   at most the last is in the map, each leading to the next. In the index there is at most one
//!   for a key: whoever is about to link another one there has seen that the key was not in the map
//!   after this one was removed; so his search finds it marked at level 0, and unlinks it first.
//! - **I5.** The head is never marked.
//! - **I6.** *No zombie.* A pointer that was loaded before it was covered is never used again, not
//!   even if it compares equal to what a link holds now: its node may be gone, and another one have
//!   its address. What is followed, and what is written into a link, is covered at that moment.
//!   (But for what a marked link leads to, which an unlinking CAS writes: that cannot be unlinked
//!   before the marked node is, so if the CAS succeeds it was there all the time.) The link of a
//!   node that is not linked at that level is the builder's alone (I1): so what stands there when
//!   it gets linked is what he has written last.
//!
//! I1 to I3 and I6 need no order of the keys: with an `Ord` that lies, a search may miss a node,
//! which is then left in the index, marked or not, until some search passes or the map is dropped.
//!
//! # Orderings
//!
//! The CAS that links a node is Release. Whoever follows a link has loaded it with Acquire. The
//! unlinking CAS passes on a pointer that was loaded with Acquire, so it is Release too, and so is
//! the marking one: it may publish a replacement. So whoever sees that a key is absent, by whatever
//! links, comes after the mark that made it so: this is what I4 rests on.
//!
//! # Progress
//!
//! A search starts again only if a link that it was about to use has changed, which is somebody's
//! progress, or if it stands on a removed node whose link one level up is not marked yet: then it
//! marks that one, and there are no more of them than the node has levels.

use core::cmp::Ordering::{self as Order, Equal, Greater, Less};

use super::node::{Left, Link, Loose, MAX_HEIGHT, Node, Tower, link, retire};
use crate::atomic::Ptr;
use crate::guard::{Guard, Shield};
use crate::prefetch::PREFETCHES;
use crate::scheme::Scheme;
use crate::sync::Ordering;
use crate::sync::counter::AtomicUsize;

/// In a link: the node that it belongs to is out of the list of that level.
const MARK: usize = 1;

/// Of so many levels below the nodes are fetched that a search turns to if it goes no further at this
/// one: each is as likely as not.
const LEVELS_AHEAD: usize = 3;

/// The head of all levels.
pub(super) struct List<K, V> {
    /// Upside down: see `Tower::of_head`.
    head: [Link<K, V>; MAX_HEIGHT],
    /// The highest tower so far, from which searches begin. Raised before a tower is linked that
    /// high, so who comes after that, comes after this as well.
    height: AtomicUsize,
}

/// A cover for a node of a list.
pub(super) type Cover<'g, K, V, S> = Shield<'g, Node<K, V>, S>;

impl<K, V> List<K, V> {
    pub(super) fn new() -> Self {
        Self { head: core::array::from_fn(|_| Link::null()), height: AtomicUsize::new(1) }
    }

    fn head(&self) -> Tower<K, V> {
        Tower::of_head(&self.head)
    }

    /// The head's link of a level.
    fn head_link(&self, level: usize) -> &Link<K, V> {
        &self.head[MAX_HEIGHT - 1 - level]
    }

    pub(super) fn raise(&self, height: usize) {
        // It is high enough but for a few times, and then all searches go on to read it from their
        // caches. Relaxed: who links a tower after it was found so, comes after the raising.
        if self.height.load(Ordering::Relaxed) < height {
            self.height.fetch_max(height, Ordering::Relaxed);
        }
    }

    /// Searches, from the top down to a level, for the first node that is not `Less`; ends before
    /// if one is `Equal`. True if it found such.
    ///
    /// `compare` says how a key stands to what is searched for, and may be asked more than once.
    pub(super) fn search<'g, S: Scheme>(
        &'g self,
        guard: &'g Guard<'g, S>,
        bottom: usize,
        compare: impl FnMut(&K) -> Order,
    ) -> (Cursor<'g, K, V, S>, bool) {
        // Relaxed: see `height`.
        let top = self.height.load(Ordering::Relaxed).max(bottom + 1) - 1;
        Cursor::search(self, guard, top, bottom, compare)
    }

    /// The first node in the map.
    pub(super) fn first<'g, S: Scheme>(&'g self, guard: &'g Guard<'g, S>) -> Cursor<'g, K, V, S> {
        Cursor::search(self, guard, 0, 0, |_| Greater).0
    }
}

/// Where a search has ended.
pub(super) struct Cursor<'g, K, V, S: Scheme> {
    guard: &'g Guard<'g, S>,
    /// The last node that was less, or nothing if that is the head.
    pub(super) before: Cover<'g, K, V, S>,
    /// The tower of that node, or of the head.
    tower: Tower<K, V>,
    /// The first node that was not less, or nothing at the list's end.
    pub(super) at: Cover<'g, K, V, S>,
    /// The level where it ended.
    level: usize,
}

impl<'g, K, V, S: Scheme> Cursor<'g, K, V, S> {
    fn search(
        list: &'g List<K, V>,
        guard: &'g Guard<'g, S>,
        top: usize,
        bottom: usize,
        mut compare: impl FnMut(&K) -> Order,
    ) -> (Self, bool) {
        let (before, at) = (guard.shield(), guard.shield());
        let mut cursor = Self { guard, before, tower: list.head(), at, level: top };
        loop {
            if let Some(order) = cursor.descend(top, bottom, &mut compare) {
                return (cursor, order == Equal);
            }
            // The safe place to start again from is the head (I5).
            cursor.before.clear();
            cursor.at.clear();
            cursor.tower = list.head();
        }
    }

    /// One attempt, from the head; says how the node where it ended stands, or `None` if it must
    /// start again.
    fn descend(
        &mut self,
        top: usize,
        bottom: usize,
        compare: &mut impl FnMut(&K) -> Order,
    ) -> Option<Order> {
        self.level = top;
        // Nothing is greater than any key, and nothing is what `at` covers.
        let mut order = Greater;
        loop {
            order = self.walk(order, compare)?;
            if order == Equal || self.level == bottom {
                return Some(order);
            }
            self.level -= 1;
        }
    }

    /// Goes along a level to the first node that is not less. `order` is that of `at`, from the
    /// level above.
    fn walk(&mut self, mut order: Order, compare: &mut impl FnMut(&K) -> Order) -> Option<Order> {
        let level = self.level;
        // Acquire: see `cover`. If it is what `at` covers already, it is still covered, and was
        // compared. (If the link is marked, it is not.)
        let mut known = self.link().load(Ordering::Acquire) == self.at.ptr();
        if !known && !self.cover() {
            // Removed, and met above: so it is linked there, and must not be met again.
            self.mark_before();
            return None;
        }
        loop {
            // SAFETY: covered (I2), and its node is of this list's domain.
            let Some(node) = (unsafe { self.at.as_ref() }) else { return Some(Greater) };
            // SAFETY: covered; linked at this level.
            let tower = unsafe { Tower::of::<S>(self.at.ptr()) };
            // SAFETY: as above. Acquire: it may be passed on.
            let next = unsafe { tower.link(level) }.load(Ordering::Acquire);
            if next.tag() == MARK {
                if !self.unlink(next) || !self.cover() {
                    return None;
                }
                known = false;
                continue;
            }
            if !known {
                order = compare(&node.entry.key);
                known = true;
            }
            if order != Less {
                // SAFETY: as above. Acquire: who finds it removed comes after that.
                let is_removed =
                    level > 0 && unsafe { tower.link(0) }.load(Ordering::Acquire).tag() == MARK;
                if !is_removed {
                    return Some(order);
                }
                mark(self.guard, &self.at, level);
                continue;
            }
            core::mem::swap(&mut self.before, &mut self.at);
            self.tower = tower;
            if !self.cover() {
                return None;
            }
            known = false;
        }
    }

    /// Ends the search, but for the cover of the node where it ended.
    pub(super) fn into_at(self) -> Cover<'g, K, V, S> {
        self.at
    }

    /// The link that leads to `at`.
    fn link(&self) -> &Link<K, V> {
        // SAFETY: the head's, or that of `before`, which is covered, and was met at this level or
        // above.
        unsafe { self.tower.link(self.level) }
    }

    /// Covers what the link leads to; false if the link is marked, and so it is not covered (I2).
    fn cover(&mut self) -> bool {
        // SAFETY: as in `link`.
        let link = unsafe { self.tower.link(self.level) };
        let is_covered = self.at.protect(link).tag() != MARK;
        for level in (0..self.level).rev().take(LEVELS_AHEAD) {
            // SAFETY: as in `link`; all levels below are the tower's, too.
            prefetch(unsafe { self.tower.link(level) });
        }
        is_covered
    }

    /// Marks, one level up, the node before, which is removed.
    #[cold]
    fn mark_before(&self) {
        if !self.before.ptr().is_null() {
            mark(self.guard, &self.before, self.level + 1);
        }
    }

    /// CASes the link from `at` to the next one, and retires `at` if it is linked nowhere any more.
    fn unlink(&self, next: Ptr<Node<K, V>>) -> bool {
        // SAFETY: covered, as in `walk`.
        let Some(node) = (unsafe { self.at.as_ref() }) else { return true };
        let (at, next) = (self.at.ptr(), next.with_tag(0));
        // Release: passes `next` on. The CAS fails if the node before was marked (I1).
        let unlinked =
            self.link().compare_exchange(at, next, Ordering::Release, Ordering::Relaxed).is_ok();
        if unlinked {
            let left = node.release(1);
            // SAFETY: I3.
            unsafe { retire_if(self.guard, left, &self.at) };
        }
        unlinked
    }

    /// Links a new node at level 0 before the one where the search ended; gives it back if another
    /// thread got in between.
    pub(super) fn insert(&self, node: Loose<K, V, S>) -> Result<(), Loose<K, V, S>> {
        // Relaxed: published by the CAS. I6: covered.
        node.bottom().store(self.at.ptr(), Ordering::Relaxed);
        let new = node.into_ptr();
        // SAFETY: it was not linked.
        self.lead_to(new).map_err(|()| unsafe { Loose::from_ptr(new) })
    }

    /// Links a node that is linked below this level, and has not been linked at it.
    ///
    /// # Safety
    /// The caller builds the node, which `node` covers, and the level is below its height.
    pub(super) unsafe fn insert_above(&self, node: &Cover<'_, K, V, S>) -> bool {
        // SAFETY: the caller's; covered.
        let Some(link) = (unsafe { link(node, self.level) }) else { return false };
        // Relaxed: published by the CAS. I6: covered, and nobody else writes here.
        link.store(self.at.ptr(), Ordering::Relaxed);
        self.lead_to(node.ptr()).is_ok()
    }

    fn lead_to(&self, new: Ptr<Node<K, V>>) -> Result<(), ()> {
        // Release: publishes the node.
        self.link()
            .compare_exchange(self.at.ptr(), new, Ordering::Release, Ordering::Relaxed)
            .map(drop)
            .map_err(drop)
    }

    /// Unlinks the node where the search ended, which was removed and has one level only. False if
    /// another thread got in between.
    pub(super) fn unlink_low(&self) -> bool {
        // SAFETY: covered; each node has a level 0.
        let Some(link) = (unsafe { link(&self.at, 0) }) else { return true };
        // Acquire: it is passed on.
        self.level == 0 && self.unlink(link.load(Ordering::Acquire))
    }
}

/// Has the node fetched that a link leads to, while the search waits for the one at its level. Either
/// is as likely as not to be in no cache.
#[inline(always)]
fn prefetch<K, V>(link: &Link<K, V>) {
    if PREFETCHES {
        // Relaxed: nothing is read there.
        crate::prefetch::prefetch(link.load(Ordering::Relaxed).as_raw());
    }
}

/// Marks a node's link of a level at which it was linked.
fn mark<K, V, S: Scheme>(guard: &Guard<'_, S>, node: &Cover<'_, K, V, S>, level: usize) {
    // SAFETY: covered; it has this level.
    let Some(link) = (unsafe { link(node, level) }) else { return };
    let mut next = guard.shield();
    // I2, I6: if it is unmarked, what it leads to is covered.
    while next.protect(link).tag() != MARK {
        let (current, marked) = (next.ptr(), next.ptr().with_tag(MARK));
        // Release: passes it on.
        if link.compare_exchange(current, marked, Ordering::Release, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// Whether a node is in the map.
pub(super) fn is_live<K, V, S: Scheme>(node: &Cover<'_, K, V, S>) -> bool {
    // SAFETY: covered; each node has a level 0. Acquire: who finds it removed comes after that.
    unsafe { link(node, 0) }.is_some_and(|link| link.load(Ordering::Acquire).tag() != MARK)
}

/// The node behind one, covered, or a shield that covers nothing at the end; `None` if one of the
/// two was removed.
pub(super) fn next<'g, K, V, S: Scheme>(
    guard: &'g Guard<'g, S>,
    node: &Cover<'_, K, V, S>,
) -> Option<Cover<'g, K, V, S>> {
    // SAFETY: covered; each node has a level 0.
    let link = unsafe { link(node, 0) }?;
    let mut next = guard.shield();
    // I2: if it is unmarked, what it leads to is covered.
    let is_last = match next.protect(link) {
        next if next.tag() == MARK => return None,
        next => next.is_null(),
    };
    (is_last || is_live(&next)).then_some(next)
}

/// Takes a node out of the map; false if another thread did.
pub(super) fn remove<K, V, S: Scheme>(guard: &Guard<'_, S>, node: &Cover<'_, K, V, S>) -> bool {
    // SAFETY: covered; each node has a level 0.
    let Some(link) = (unsafe { link(node, 0) }) else { return false };
    let mut next = guard.shield();
    // I2, I6: if it is unmarked, what it leads to is covered.
    while next.protect(link).tag() != MARK {
        let (current, marked) = (next.ptr(), next.ptr().with_tag(MARK));
        // Release: passes it on. I1: it fails if the node is marked.
        if link.compare_exchange(current, marked, Ordering::Release, Ordering::Relaxed).is_ok() {
            return true;
        }
    }
    false
}

/// Takes a node out of the map if nothing comes after it.
pub(super) fn remove_last<K, V, S: Scheme>(node: &Cover<'_, K, V, S>) -> bool {
    // SAFETY: covered; each node has a level 0.
    let Some(link) = (unsafe { link(node, 0) }) else { return false };
    let (null, marked) = (Ptr::null(), Ptr::null().with_tag(MARK));
    // Relaxed: there is nothing to pass on, but Release, for those who find it removed.
    link.compare_exchange(null, marked, Ordering::Release, Ordering::Relaxed).is_ok()
}

/// Puts a new node in the place of one that is in the map; gives it back if that was removed.
pub(super) fn replace<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    old: &Cover<'_, K, V, S>,
    node: Loose<K, V, S>,
) -> Result<(), Loose<K, V, S>> {
    // SAFETY: covered; each node has a level 0.
    let Some(link) = (unsafe { link(old, 0) }) else { return Err(node) };
    let mut next = guard.shield();
    // I2, I6: if it is unmarked, what it leads to is covered.
    while next.protect(link).tag() != MARK {
        // Relaxed: published by the CAS.
        node.bottom().store(next.ptr(), Ordering::Relaxed);
        let marked = node.as_ptr().with_tag(MARK);
        // Release: publishes the node. I1: it fails if the old one is marked.
        if link.compare_exchange(next.ptr(), marked, Ordering::Release, Ordering::Relaxed).is_ok() {
            let _ = node.into_ptr();
            return Ok(());
        }
    }
    Err(node)
}

/// Retires a node of which nothing is left.
///
/// # Safety
/// `left` was said of this node, to this thread, and `node` covers it.
pub(super) unsafe fn retire_if<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    left: Left,
    node: &Cover<'_, K, V, S>,
) {
    if left == Left::Nothing {
        // SAFETY: covered.
        if let Some(covered) = unsafe { node.as_ref() } {
            // SAFETY: I2, I3; the entry may be dropped anywhere: see the map's bounds.
            unsafe { retire(guard, covered, node.ptr()) };
        }
    }
}

/// For whoever has the list to himself.
impl<K, V> List<K, V> {
    /// The node behind one, or the first if that is null, that is in the map.
    ///
    /// # Safety
    /// `after` is linked, and the caller has the list to himself.
    pub(super) unsafe fn next_exclusive<S: Scheme>(
        &self,
        after: Ptr<Node<K, V>>,
    ) -> Ptr<Node<K, V>> {
        let bottom = |node: Ptr<Node<K, V>>| {
            // SAFETY: linked; nobody else is there.
            unsafe { Tower::of::<S>(node).link(0) }.load(Ordering::Relaxed)
        };
        let first = || self.head_link(0).load(Ordering::Relaxed);
        let mut next = if after.is_null() { first() } else { bottom(after) };
        loop {
            let node = next.with_tag(0);
            if node.is_null() {
                return node;
            }
            next = bottom(node);
            if next.tag() != MARK {
                return node;
            }
        }
    }

    /// Takes the first entry out; `None` when all are out, and all memory is freed.
    pub(super) fn take_first<S: Scheme>(&mut self) -> Option<Loose<K, V, S>> {
        loop {
            let first = self.head_link(0).load(Ordering::Relaxed);
            if first.is_null() {
                self.free_index::<S>();
                return None;
            }
            // SAFETY: linked; nobody else is there.
            let (node, tower) = unsafe { (first.as_ref(), Tower::of::<S>(first)) };
            let node = node.expect("it is not null");
            // SAFETY: as above.
            let was_live = unsafe { tower.link(0) }.load(Ordering::Relaxed).tag() != MARK;
            // From below: what is not linked there any more, or never was, is above.
            let all_unlinked = (0..node.height()).any(|level| {
                self.unlink_exclusive::<S>(level, first) && node.release(1) == Left::Nothing
            });
            debug_assert!(all_unlinked, "the builder has finished");
            // SAFETY: it is linked nowhere, and was not retired, as it was linked.
            let node = unsafe { Loose::from_ptr(first) };
            if was_live {
                return Some(node);
            }
        }
    }

    /// Unlinks a node at a level; false if it is not linked there.
    fn unlink_exclusive<S: Scheme>(&self, level: usize, node: Ptr<Node<K, V>>) -> bool {
        let mut link = self.head_link(level);
        loop {
            let at = link.load(Ordering::Relaxed).with_tag(0);
            if at.is_null() {
                return false;
            }
            // SAFETY: linked at this level; nobody else is there.
            let next = unsafe { Tower::of::<S>(at).link(level) };
            if at == node {
                let mark = link.load(Ordering::Relaxed).tag();
                let after = next.load(Ordering::Relaxed).with_tag(mark);
                link.store(after, Ordering::Relaxed);
                return true;
            }
            link = next;
        }
    }

    /// Frees what was left in the index only.
    fn free_index<S: Scheme>(&mut self) {
        for level in (1..MAX_HEIGHT).rev() {
            loop {
                let first = self.head_link(level).load(Ordering::Relaxed);
                // SAFETY: linked; nobody else is there.
                let Some(node) = (unsafe { first.as_ref() }) else { break };
                self.unlink_exclusive::<S>(level, first);
                if node.release(1) == Left::Nothing {
                    // SAFETY: it is linked nowhere, and was not retired, as it was linked.
                    drop(unsafe { Loose::<K, V, S>::from_ptr(first) });
                }
            }
        }
    }
}
