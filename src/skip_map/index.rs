//! What the index leads to: how new nodes get into it, and dead ones out of it.
//!
//! Both are done after the fact, by whoever has made the node, or has taken the last of what was in it; and
//! if the one is still at it when the other comes, he does both (I4 of `node`). Meanwhile searches find a new
//! node from the one to its left, and go past a dead one.
//!
//! # Invariants
//!
//! - **I1.** Who links a node, or has to take it out of the index, has a claim to its place there (`INDEXED`),
//!   until he says that he is done. So until then it is not retired, he needs no cover for it, and in a run of
//!   the index an equal address is that very node.
//! - **I2.** User code (`Ord`) may panic: then a new node stays out of the index, and a dead one is still taken
//!   out of it, as that can be done without a key: by going through the whole level.

use super::list::{Level, PATIENCE};
use super::node::{self, Left, Node, Place, retire_if};
use super::page::{Cover, Page, Spot, right_of};
use super::prefix::{self, Sought};
use super::rebuild::{Change, Rebuilt, rebuild};
use super::run::{self, New, Run, child};
use crate::atomic::Ptr;
use crate::scheme::Scheme;
use crate::turn::Turn;

/// What is sought is where this key is.
fn at<K: Ord>(key: &K) -> Sought<impl FnMut(&K) -> core::cmp::Ordering> {
    Sought::by(key, |other: &K| other.cmp(key))
}

/// A new node that is to be linked. Dropped in a panic, it stays out of the index.
struct Building<'g, K, V, S: Scheme> {
    /// The node's level.
    level: Level<'g, K, V, S>,
    /// I1; null when it is done.
    node: Ptr<Node<K, V>>,
    is_linked: bool,
}

impl<'g, K, V, S: Scheme> Building<'g, K, V, S> {
    fn node(&self) -> Option<&Node<K, V>> {
        // SAFETY: alive (I1).
        unsafe { self.node.as_ref() }
    }

    /// Ends; the node may have died, and is to be buried then.
    fn finish(mut self) -> Option<Burial<'g, K, V, S>> {
        self.finish_now()
    }

    fn finish_now(&mut self) -> Option<Burial<'g, K, V, S>> {
        let left = self.node()?.finish(self.is_linked);
        let node = core::mem::take(&mut self.node);
        // SAFETY: said of this node, to us.
        unsafe { retire_if(self.level.guard, left, node) };
        (left == Left::ToUnlink).then(|| Burial { level: self.level, node })
    }
}

impl<K, V, S: Scheme> Drop for Building<'_, K, V, S> {
    fn drop(&mut self) {
        drop(self.finish_now());
    }
}

/// A dead node that is to be taken out of all lists. Dropped in a panic, it is taken out of the index only,
/// in the long way.
pub(super) struct Burial<'g, K, V, S: Scheme> {
    /// The node's level.
    level: Level<'g, K, V, S>,
    /// I1; null when it is out of the index, or that is somebody else's to do.
    node: Ptr<Node<K, V>>,
}

/// What became of a node that was to be taken out of the index.
enum Out<'g, K, V, S: Scheme> {
    /// It is out; and a branch may have died with it.
    Done(Option<Burial<'g, K, V, S>>),
    /// The branch where the search was has died.
    Lost,
    /// It was not found, from where the search has begun.
    NotFound,
}

impl<'g, K, V, S: Scheme> Burial<'g, K, V, S> {
    /// # Safety
    /// The node is of this level, and `left` was said of it, to this thread.
    pub(super) unsafe fn new(level: Level<'g, K, V, S>, node: Ptr<Node<K, V>>, left: Left) -> Self {
        Self { level, node: if left == Left::ToUnlink { node } else { Ptr::null() } }
    }

    /// Takes the node out of the index, wherever it is there. Returns the branch that has died with it.
    fn take_out(&mut self) -> Option<Self> {
        let node = core::mem::take(&mut self.node);
        let above = self.level.above()?;
        loop {
            // There it is found: I3 of `list`.
            match above.take_out_from(above.guard.shield(), usize::MAX, node) {
                Out::Done(branch) => return branch,
                Out::Lost => {}
                // It cannot be. If it is, a node that stays until the map is dropped is better than no end.
                Out::NotFound => {
                    debug_assert!(false, "it is in the index");
                    return None;
                }
            }
        }
    }
}

impl<K, V, S: Scheme> Drop for Burial<'_, K, V, S> {
    fn drop(&mut self) {
        if !self.node.is_null() {
            drop(self.take_out());
        }
    }
}

impl<K: Ord, V, S: Scheme> Burial<'_, K, V, S> {
    /// Takes the node, where this key was, out of all lists, and the branches that die with it.
    pub(super) fn bury(self, key: &K) {
        let mut dead = Some(self);
        while let Some(mut this) = dead.take() {
            let level = this.level;
            if !this.node.is_null() {
                dead = this.take_out_at(key);
            }
            drop(this);
            level.unlink_dead(key);
        }
    }

    /// Takes the node out of the index, where this key was in it. Returns the branch that has died with it.
    fn take_out_at(&mut self, key: &K) -> Option<Self> {
        /// How far it goes from where it begins, and how often.
        const NEAR: usize = 4;
        let above = self.level.above()?;
        for _ in 0..NEAR {
            let mut sought = at(key);
            // What is not known to be less than the key may have been misled to the right of the node.
            sought.be_careful();
            let begin = above.begin(&mut sought).node;
            if let Out::Done(branch) = above.take_out_from(begin, NEAR, self.node) {
                self.node = Ptr::null();
                return branch;
            }
        }
        // That it is near is not certain: I4 of `list`.
        self.take_out()
    }
}

impl<'g, K: Ord, V, S: Scheme> Level<'g, K, V, S> {
    /// Links a new node of this level in the index, where that makes new branches, now and then.
    ///
    /// # Safety
    /// The caller has just put it into the list of this level, and does this once.
    pub(super) unsafe fn link(self, node: Ptr<Node<K, V>>) {
        let mut new = Some(Building { level: self, node, is_linked: false });
        while let Some(mut building) = new.take() {
            let mut first = self.guard.shield();
            if let Some(above) = building.level.above() {
                above.raise();
                new = above.put_below(&mut building, &mut first);
            }
            // SAFETY: covered, an entry of this map.
            let key = unsafe { first.as_ref() }.map(|first| &first.key);
            if let Some((burial, key)) = building.finish().zip(key) {
                burial.bury(key);
            }
        }
    }

    /// Puts a node of the level below into a run of this one. `first` covers an entry that was the node's first
    /// one. Returns the new branch, if one was made.
    fn put_below(
        self,
        building: &mut Building<'g, K, V, S>,
        first: &mut Cover<'g, K, V, S>,
    ) -> Option<Building<'g, K, V, S>> {
        let mut turn = Turn::new();
        let mut patience = PATIENCE;
        loop {
            let node = building.node()?;
            if !building.level.first_of(node, first) {
                // What is in a branch may be dead, but not taken out yet.
                patience = patience.checked_sub(1).filter(|_| !node.is_dead())?;
                turn.rest();
                continue;
            }
            // SAFETY: covered, an entry of this map.
            let key = &unsafe { first.as_ref() }?.key;
            let page = Page::of_branch(self, &mut at(key));
            let new = New { prefix: prefix::of(key), item: building.node.cast() };
            // SAFETY: of this level; whoever builds the node puts it in once.
            match unsafe { rebuild(self, &page, Change::Put(new)) } {
                // It is found from the one to its left.
                Err(_) => return None,
                Ok(Rebuilt::Done { new_node, .. }) => {
                    building.is_linked = true;
                    return new_node.map(|node| Building { level: self, node, is_linked: false });
                }
                Ok(Rebuilt::Stale) => turn.rest(),
            }
        }
    }

    /// Has the list of this level lead past the dead nodes where a key was. For that there may be no memory;
    /// then somebody else does, some time.
    fn unlink_dead(self, key: &K) {
        let mut turn = Turn::new();
        loop {
            let page = match self.number {
                0 => self.locate(&mut at(key)),
                _ => Page::of_branch(self, &mut at(key)),
            };
            if !self.leads_to_dead(&page) {
                return;
            }
            // Who has come before may not have known of the death.
            // SAFETY: of this level.
            if !matches!(unsafe { rebuild(self, &page, Change::Nothing) }, Ok(Rebuilt::Stale)) {
                return;
            }
            turn.rest();
        }
    }
}

impl<'g, K, V, S: Scheme> Level<'g, K, V, S> {
    /// Whether the next node of a page is dead; or may be, as the page is not up to date.
    fn leads_to_dead(self, page: &Page<'g, K, V, S>) -> bool {
        // SAFETY: covered.
        let Some(run) = (unsafe { page.spot.run.as_ref() }) else { return false };
        let (mut next, mut its_run) = (self.guard.shield(), self.guard.shield());
        let home = self.home(&page.spot.node);
        right_of(home, &page.spot.run, &mut next, &mut its_run, |_| false).is_err()
            || next.ptr() != run.right()
    }

    /// Takes a dead node of the level below out of this one; looks for it in so many branches.
    fn take_out_from(
        self,
        mut branch: node::Cover<'g, K, V, S>,
        branches: usize,
        node: Ptr<Node<K, V>>,
    ) -> Out<'g, K, V, S> {
        let mut run = self.guard.shield();
        let mut gone = 0;
        while gone < branches {
            if run.protect(self.home(&branch)).tag() == node::DEAD {
                return Out::Lost;
            }
            // SAFETY: covered.
            let (covered, (_, items)) =
                unsafe { (run.as_ref(), run::arrays::<_, _, S>(run.ptr())) };
            let Some(covered) = covered else { return Out::NotFound };
            let state = covered.state();
            let Some(slot) = { state.live() }.find(|slot| child(items[*slot]) == node) else {
                let home = self.home(&branch);
                let (mut right, mut its_run) = (self.guard.shield(), self.guard.shield());
                match right_of(home, &run, &mut right, &mut its_run, |_| false) {
                    Err(()) => {}
                    Ok(None) => return Out::NotFound,
                    Ok(Some(_)) => {
                        branch = right;
                        gone += 1;
                    }
                }
                continue;
            };
            let empty = if state.is_sealed() {
                let spot = Spot { node: branch, run, slot, entry: self.guard.shield() };
                let page = spot.into_page();
                // SAFETY: of this level.
                let rebuilt = unsafe { rebuild(self, &page, Change::Take) };
                (branch, run) = (page.spot.node, page.spot.run);
                match rebuilt {
                    Ok(Rebuilt::Stale) => continue,
                    Ok(Rebuilt::Done { empty, .. }) => empty,
                    // There it stays until the map is dropped, and its branch as well.
                    Err(_) => return Out::Done(None),
                }
            } else {
                match covered.remove(slot, state) {
                    Err(_) => continue,
                    Ok(state) => state.live().is_empty().then_some(run.ptr()),
                }
            };
            return Out::Done(self.taken_out(branch, node, empty));
        }
        Out::NotFound
    }

    /// A node was taken out of a branch, which has died if it has an empty run now.
    fn taken_out(
        self,
        branch: node::Cover<'g, K, V, S>,
        node: Ptr<Node<K, V>>,
        empty: Option<Ptr<Run<K, V>>>,
    ) -> Option<Burial<'g, K, V, S>> {
        // SAFETY: alive (I1).
        let left = unsafe { node.as_ref() }?.leave(Place::Index);
        // SAFETY: said of this node, to us: whoever has set its bit, or replaced a sealed run without it, has
        // taken it out, and he alone (I2 of `run`).
        unsafe { retire_if(self.guard, left, node) };
        // SAFETY: covered.
        let dead = unsafe { branch.as_ref() }?;
        dead.show_death(empty?);
        // SAFETY: of this level, and said of it, to us.
        Some(unsafe { Burial::new(self, branch.ptr(), dead.bury()) })
    }
}
