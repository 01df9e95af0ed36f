//! The list of leaves, and the index over it: searching, linking, and taking out.
//!
//! (W. Pugh, "Skip lists: a probabilistic alternative to balanced trees", CACM 1990, and
//! "Concurrent maintenance of skip lists", 1990; K. Fraser, "Practical lock-freedom", 2004; M. Herlihy
//! and N. Shavit, "The art of multiprocessor programming", chapter 14. The lists of the index are those
//! of M. M. Michael, SPAA 2002: a walk that hazard pointers can follow. That a leaf leads to the one to
//! its right, so that an index which lags behind does no harm, is from P. Lehman and S. B. Yao,
//! "Efficient locking for concurrent operations on B-trees", TODS 1981; that all of a leaf is replaced
//! at once, from J. Levandoski, D. Lomet and S. Sengupta, "The Bw-tree", ICDE 2013. Leaves die when they
//! are empty, and are not merged before: T. Johnson and D. Shasha, "B-trees with inserts and deletes: why
//! free-at-empty is better than merge-at-half", JCSS 1993.)
//!
//! ```text
//! level 1   head ────────────────────────────> leaf ──────────────────────> .
//! level 0   head ────────────> leaf ─────────> leaf ────────> leaf ───────> .
//!            |                  |                |              |
//!           run ─────────────> run ───────────> run ─────────> run ───────> .
//!           3 8                20 21 25          30             41 47
//! ```
//!
//! *The list of leaves is the map*: each leaf has a run of entries, and the run leads to the next leaf
//! (`right`). The head is like a leaf, but never dies. The first entry of a leaf is where it begins: what
//! is not less than that, and less than the first entry of the next leaf, belongs into it. So as first
//! entries are removed a leaf loses ground to the one on its left, and never gets it back.
//!
//! *The index says where to begin*, and nothing depends on it but the time that it takes: a leaf of
//! height h is linked at levels 0 to h - 1. A search goes along a level as long as leaves do not begin
//! behind what it seeks, then one level down; and in the end to the right along the leaves themselves
//! (`page`).
//!
//! - *Inserting* puts a new run in the place of a leaf's (`rebuild`). If it is split, there is a new leaf
//!   to its right, which is then linked in the index, level by level, each with a search of its own.
//! - *Removing* sets a bit in the run. With the last entry of it the leaf dies, for ever.
//! - *A dead leaf is taken out of the index* by whoever meets it there: he marks its link of that level
//!   (tag 1), which freezes it, and unlinks it. It is taken out of the list of leaves by whoever puts a
//!   new run to its left. To be sure, whoever has taken its last entry searches that key once more, and
//!   rebuilds the run on the left; and if its tower was still being built then, the builder looks, too,
//!   when he is done (`Leaf::bury` and `Leaf::finish`).
//!
//! # Invariants of the index
//!
//! - **I1.** A marked link never changes again. A link is marked only when its leaf is dead and was linked
//!   at that level. A leaf is unlinked at a level only when its link of that level is marked.
//! - **I2.** A leaf that was linked at a level and whose link there is unmarked is linked there, and so is
//!   the one that the link leads to. A leaf is linked from level 0 upwards, so whoever was linked at a
//!   level was linked at all below. It is retired when it is in no list and will not be any more (I2 of
//!   `leaf`). *So what `protect` returns from an unmarked link of a leaf that the search met at this
//!   level, or above it, is covered*: it was linked when the link was read again, and not retired. A
//!   marked link proves nothing.
//! - **I3.** Who has unlinked a leaf at a level does so once: only one unmarked link leads to it, and it
//!   is never linked there again. So it is retired once.
//! - **I4.** At each level leaves stand in the order in which they are linked to the right. (Nearly: a
//!   leaf that loses its first entries while it is linked may come to stand before one that was made to
//!   its left meanwhile. Searches then begin a leaf or two further to the left than they could, and if
//!   it dies, it stays in the index until a search for a greater key comes by.)
//! - **I5.** The head is never marked.
//! - **I6.** *No zombie.* A pointer that was loaded before it was covered is never used again, not
//!   even if it compares equal to what a link holds now: its leaf may be gone, and another one have
//!   its address. What is followed, and what is written into a link, is covered at that moment.
//!   (But for what a marked link leads to, which an unlinking CAS writes: that cannot be unlinked
//!   before the marked leaf is, so if the CAS succeeds it was there all the time.) The link of a
//!   leaf that is not linked at that level is the builder's alone (I1): so what stands there when
//!   it gets linked is what he has written last.
//!
//! None of these but I4 needs an order of the keys: with an `Ord` that lies, a search may miss an entry,
//! and a leaf may stay in the index after its death until some search passes or the map is dropped.
//!
//! # Orderings
//!
//! The CAS that links a leaf is Release. Whoever follows a link has loaded it with Acquire. The
//! unlinking CAS passes on a pointer that was loaded with Acquire, so it is Release too, and so is
//! the marking one.
//!
//! # Progress
//!
//! A search starts again only if a link that it was about to use has changed, which is somebody's
//! progress; if it stands on a dead leaf whose link one level up is not marked yet: then it marks that
//! one, and there are no more of them than the leaf has levels; or if it was misled by the first entry
//! that a leaf had before (`Page::at`): then that entry was removed meanwhile, or `low` said so, which it
//! has raised.

use core::cmp::Ordering::{self as Order, Greater};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;

use super::leaf::{Cover, Leaf, Left, Link, Loose, MAX_HEIGHT, Tower, link, retire_if};
use super::page::{Page, order_of};
use super::prefix::Sought;
use super::run::{self, EntryPtr, Run, Slots};
use crate::atomic::{Atomic, Owned, Ptr};
use crate::guard::Guard;
use crate::hash_map::Entry;
use crate::prefetch::PREFETCHES;
use crate::scheme::Scheme;
use crate::sync::Ordering;
use crate::sync::counter::AtomicUsize;

/// In a link: the leaf that it belongs to is dead, and out of the list of that level.
const MARK: usize = 1;

/// The head of all levels, and the first part of the map.
pub(super) struct List<K, V> {
    /// The run of the head, which is like a leaf's that never dies; null is an empty one.
    run: Atomic<Run<K, V>>,
    /// Upside down: see `Tower::of_head`.
    head: [Link<K, V>; MAX_HEIGHT],
    /// The highest tower so far, from which searches begin. Raised before a tower is linked that
    /// high, so who comes after that, comes after this as well.
    height: AtomicUsize,
    /// What the runs have in their arrays.
    entries: PhantomData<EntryPtr<K, V>>,
}

impl<K, V> List<K, V> {
    pub(super) fn new() -> Self {
        let head = core::array::from_fn(|_| Link::null());
        let height = AtomicUsize::new(1);
        Self { run: Atomic::null(), head, height, entries: PhantomData }
    }

    /// Where the head's run is.
    pub(super) fn first_run(&self) -> &Atomic<Run<K, V>> {
        &self.run
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

    /// Searches in the index, from the top down to a level, for the last leaf whose first entry is not
    /// greater than what is `sought`.
    pub(super) fn search<'g, S: Scheme>(
        &'g self,
        guard: &'g Guard<'g, S>,
        bottom: usize,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Cursor<'g, K, V, S> {
        // Relaxed: see `height`.
        let top = self.height.load(Ordering::Relaxed).max(bottom + 1) - 1;
        let mut cursor = Cursor::at_head(self, guard);
        while !cursor.descend(top, bottom, sought) {
            // The safe place to start again from is the head (I5).
            cursor = Cursor::at_head(self, guard);
        }
        cursor
    }

    /// Searches for a place in the map.
    pub(super) fn locate<'g, S: Scheme>(
        &'g self,
        guard: &'g Guard<'g, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Page<'g, K, V, S> {
        let (mut last, mut misled) = (None, 0_usize);
        loop {
            let Cursor { before, at, .. } = self.search(guard, 0, sought);
            let Some(mut page) = Page::at(self, guard, before, at, sought) else { continue };
            if !page.is_misled {
                return page;
            }
            // Misled to the same place twice, by nothing that has changed: an `Ord` that lies must not
            // lead in circles, be they large or small (R. P. Brent, 1980).
            if last.as_ref().is_some_and(|(run, state)| page.is_as(run, *state)) {
                page.is_forced = true;
                return page;
            }
            misled += 1;
            if misled.is_power_of_two() {
                last = Some((page.spot.run, page.state));
            }
        }
    }
}

/// Where a search has ended.
pub(super) struct Cursor<'g, K, V, S: Scheme> {
    guard: &'g Guard<'g, S>,
    /// The last leaf that does not begin behind what is sought, or nothing if that is the head.
    pub(super) before: Cover<'g, K, V, S>,
    /// The tower of that leaf, or of the head.
    tower: Tower<K, V>,
    /// The first leaf that does, or nothing at the list's end.
    pub(super) at: Cover<'g, K, V, S>,
    /// The level where it ended.
    level: usize,
}

impl<'g, K, V, S: Scheme> Cursor<'g, K, V, S> {
    fn at_head(list: &List<K, V>, guard: &'g Guard<'g, S>) -> Self {
        Self { guard, before: guard.shield(), tower: list.head(), at: guard.shield(), level: 0 }
    }

    /// One attempt, from the head; false if it must start again.
    fn descend(
        &mut self,
        top: usize,
        bottom: usize,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> bool {
        (bottom..=top).rev().all(|level| {
            self.level = level;
            if level == 0 {
                self.prefetch_run();
            }
            self.walk(sought)
        })
    }

    /// Goes along a level to the first leaf that is greater; false if the search must start again.
    fn walk(&mut self, sought: &mut Sought<impl FnMut(&K) -> Order>) -> bool {
        // What `at` covers is greater than what is sought: it was found one level up. If the link
        // leads to it, it is still covered. (If the link is marked, it does not.)
        let mut is_greater = self.link().load(Ordering::Acquire) == self.at.ptr();
        if !is_greater && !self.cover() {
            // Dead, and met above: so it is linked there, and must not be met again.
            self.mark_before();
            return false;
        }
        loop {
            // SAFETY: covered (I2), and the leaf is of this list's domain.
            let Some(leaf) = (unsafe { self.at.as_ref() }) else { return true };
            // SAFETY: covered; linked at this level.
            let tower = unsafe { Tower::of::<S>(self.at.ptr()) };
            // SAFETY: as above. Acquire: it may be passed on.
            let next = unsafe { tower.link(self.level) }.load(Ordering::Acquire);
            if next.tag() == MARK {
                if !self.unlink(next) || !self.cover() {
                    return false;
                }
                is_greater = false;
                continue;
            }
            if leaf.is_dead() {
                mark(self.guard, &self.at, self.level);
                continue;
            }
            if is_greater {
                return true;
            }
            match order_of(self.guard, &self.at, sought) {
                None => continue,
                Some(Greater) => return true,
                Some(_) => {}
            }
            core::mem::swap(&mut self.before, &mut self.at);
            self.tower = tower;
            if self.level == 0 {
                self.prefetch_run();
            }
            if !self.cover() {
                return false;
            }
        }
    }

    /// Has the run fetched of the leaf before, where the search is likely to end.
    #[inline(always)]
    fn prefetch_run(&self) {
        if PREFETCHES {
            // SAFETY: covered.
            if let Some(leaf) = unsafe { self.before.as_ref() } {
                // Relaxed: nothing is read there.
                let run = leaf.run().load(Ordering::Relaxed).with_tag(0);
                run::prefetch(run);
            }
        }
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
        if let Some(below) = self.level.checked_sub(1) {
            // SAFETY: as in `link`; all levels below are the tower's, too.
            prefetch(unsafe { self.tower.link(below) });
        }
        is_covered
    }

    /// Marks, one level up, the leaf before, which is dead.
    #[cold]
    fn mark_before(&self) {
        if !self.before.ptr().is_null() {
            mark(self.guard, &self.before, self.level + 1);
        }
    }

    /// CASes the link from `at` to the next one, and retires `at` if it is linked nowhere any more.
    fn unlink(&self, next: Ptr<Leaf<K, V>>) -> bool {
        // SAFETY: covered, as in `walk`.
        let Some(leaf) = (unsafe { self.at.as_ref() }) else { return true };
        let (at, next) = (self.at.ptr(), next.with_tag(0));
        // Release: passes `next` on. The CAS fails if the leaf before was marked (I1).
        let unlinked =
            self.link().compare_exchange(at, next, Ordering::Release, Ordering::Relaxed).is_ok();
        if unlinked {
            let left = leaf.release(1);
            // SAFETY: I3.
            unsafe { retire_if(self.guard, left, self.at.ptr()) };
        }
        unlinked
    }

    /// Links a leaf at this level where it is not linked yet.
    ///
    /// # Safety
    /// The caller builds the leaf, which `leaf` covers, and the level is below its height.
    pub(super) unsafe fn insert(&self, leaf: &Cover<'_, K, V, S>) -> bool {
        // SAFETY: the caller's; covered.
        let Some(link) = (unsafe { link(leaf, self.level) }) else { return false };
        // Relaxed: published by the CAS. I6: covered, and nobody else writes here.
        link.store(self.at.ptr(), Ordering::Relaxed);
        self.lead_to(leaf.ptr()).is_ok()
    }

    fn lead_to(&self, new: Ptr<Leaf<K, V>>) -> Result<(), ()> {
        // Release: publishes the leaf.
        self.link()
            .compare_exchange(self.at.ptr(), new, Ordering::Release, Ordering::Relaxed)
            .map(drop)
            .map_err(drop)
    }
}

/// Has the leaf fetched that a link leads to, while the search waits for the one a level above. Either is
/// as likely as not to be the next one that it looks at.
#[inline(always)]
fn prefetch<K, V>(link: &Link<K, V>) {
    if PREFETCHES {
        // Relaxed: nothing is read there.
        crate::prefetch::prefetch(link.load(Ordering::Relaxed).as_raw());
    }
}

/// Marks a dead leaf's link of a level at which it was linked.
fn mark<K, V, S: Scheme>(guard: &Guard<'_, S>, leaf: &Cover<'_, K, V, S>, level: usize) {
    // SAFETY: covered; it has this level.
    let Some(link) = (unsafe { link(leaf, level) }) else { return };
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

/// For whoever has the list to himself.
impl<K, V> List<K, V> {
    /// Goes through the entries.
    pub(super) fn entries(&mut self) -> Entries<K, V> {
        Entries { run: self.run.load(Ordering::Relaxed), live: None }
    }

    /// Takes the first entry out; `None` when all are out, and all memory is freed.
    pub(super) fn take_first<S: Scheme>(&mut self) -> Option<Owned<Entry<K, V>, S>> {
        loop {
            let run = self.run.load(Ordering::Relaxed);
            if run.is_null() {
                self.free_index::<S>();
                return None;
            }
            // SAFETY: the head's; nobody else is there.
            let mut run = ManuallyDrop::new(unsafe { run::Loose::<K, V, S>::from_ptr(run) });
            if let Some(entry) = run.take_first() {
                // SAFETY: it was in the map, and was taken out once.
                return Some(unsafe { Owned::from_ptr(entry) });
            }
            let right = run.right();
            drop(ManuallyDrop::into_inner(run));
            let next = if right.is_null() { Ptr::null() } else { self.take_leaf::<S>(right) };
            self.run.store(next, Ordering::Relaxed);
        }
    }

    /// Takes the first leaf out, and frees it; returns its run.
    fn take_leaf<S: Scheme>(&mut self, first: Ptr<Leaf<K, V>>) -> Ptr<Run<K, V>> {
        // SAFETY: linked; nobody else is there.
        let leaf = unsafe { first.as_ref() }.expect("it is not null");
        let levels = (0..leaf.height()).filter(|level| self.unlink_exclusive::<S>(*level, first));
        let left = leaf.release(1 + levels.count());
        debug_assert_eq!(left, Left::Nothing, "the builder has finished");
        // SAFETY: it is linked nowhere, and was not retired, as it was linked.
        let leaf = unsafe { Loose::<K, V, S>::from_ptr(first) };
        leaf.take_run().map_or(Ptr::null(), run::Loose::into_ptr)
    }

    /// Unlinks a leaf at a level; false if it is not linked there.
    fn unlink_exclusive<S: Scheme>(&self, level: usize, leaf: Ptr<Leaf<K, V>>) -> bool {
        let mut link = self.head_link(level);
        loop {
            let at = link.load(Ordering::Relaxed).with_tag(0);
            if at.is_null() {
                return false;
            }
            // SAFETY: linked at this level; nobody else is there.
            let next = unsafe { Tower::of::<S>(at).link(level) };
            if at == leaf {
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
        for level in (0..MAX_HEIGHT).rev() {
            loop {
                let first = self.head_link(level).load(Ordering::Relaxed);
                // SAFETY: linked; nobody else is there.
                let Some(leaf) = (unsafe { first.as_ref() }) else { break };
                self.unlink_exclusive::<S>(level, first);
                if leaf.release(1) == Left::Nothing {
                    // SAFETY: it is linked nowhere, and was not retired, as it was linked.
                    drop(unsafe { Loose::<K, V, S>::from_ptr(first) });
                }
            }
        }
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
impl<K, V> List<K, V> {
    /// For how many entries its runs have room.
    pub(super) fn rooms(&mut self) -> usize {
        let mut at = self.run.load(Ordering::Relaxed);
        let mut rooms = 0;
        // SAFETY: a leaf's, or the head's; nobody else is there.
        while let Some(run) = unsafe { at.as_ref() } {
            rooms += run.room();
            // SAFETY: linked; as above.
            let right = unsafe { run.right.as_ref() };
            at = right.map_or(Ptr::null(), |leaf| leaf.run().load(Ordering::Relaxed));
        }
        rooms
    }
}

#[cfg(any(loom, crossbeam_loom))]
impl<K, V> List<K, V> {
    /// How many places in lists dead leaves take up.
    pub(super) fn remnants<S: Scheme>(&mut self) -> usize {
        let remnants = core::cell::Cell::new(0);
        let count = |leaf: Ptr<Leaf<K, V>>| {
            // SAFETY: linked; nobody else is there.
            unsafe { leaf.as_ref() }
                .inspect(|leaf| remnants.set(remnants.get() + usize::from(leaf.is_dead())))
        };
        for level in 0..MAX_HEIGHT {
            let mut at = self.head_link(level).load(Ordering::Relaxed).with_tag(0);
            while count(at).is_some() {
                // SAFETY: as above.
                let next = unsafe { Tower::of::<S>(at).link(level) };
                at = next.load(Ordering::Relaxed).with_tag(0);
            }
        }
        let mut run = self.run.load(Ordering::Relaxed);
        // SAFETY: as above.
        while let Some(right) = unsafe { run.as_ref() }.map(|run| run.right) {
            let Some(leaf) = count(right) else { break };
            run = leaf.run().load(Ordering::Relaxed).with_tag(0);
        }
        remnants.get()
    }
}

/// Goes through the entries of a list that its user has to himself.
pub(super) struct Entries<K, V> {
    run: Ptr<Run<K, V>>,
    /// What is still to come of the run; `None` before it was looked at.
    live: Option<Slots>,
}

impl<K, V> Entries<K, V> {
    /// The next entry.
    ///
    /// # Safety
    /// The list is there, of scheme `S`, and nobody else uses it.
    pub(super) unsafe fn next<S: Scheme>(&mut self) -> Option<EntryPtr<K, V>> {
        loop {
            // SAFETY: a leaf's, or the head's; nobody else is there.
            let (run, (_, entries)) =
                unsafe { (self.run.as_ref()?, run::arrays::<_, _, S>(self.run)) };
            let live = self.live.get_or_insert_with(|| run.state().live());
            if let Some(slot) = live.next() {
                return Some(entries[slot]);
            }
            // SAFETY: linked; as above.
            let right = unsafe { run.right.as_ref() };
            self.run = right.map_or(Ptr::null(), |leaf| leaf.run().load(Ordering::Relaxed));
            self.live = None;
        }
    }
}
