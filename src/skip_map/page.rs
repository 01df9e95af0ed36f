//! Where a search comes to in a level: a node, its run as it was at a moment, and a place in it.
//!
//! # What is covered, and why
//!
//! - **I1.** A run that `protect` has returned without the tag [`DEAD`] was its node's then, and the node
//!   was in the list of its level: who takes a dead node out of it has passed it here (`right_of`), and has
//!   seen the tag before, or set it. So the run was not retired: it is covered. With the tag it is, if the
//!   node was still in the list afterwards.
//! - **I2.** A node is in the list of its level as long as the run to its left is its node's, or
//!   is that of a dead node which is in the list. So what is announced, and what a dead node leads to, is
//!   covered if after that the run where it began was still its node's. A live node is never taken
//!   out of this list: a rebuilt run leads to it.
//! - **I3.** An item is announced, and then its bit is seen not to be set, and the run not to be sealed; or
//!   if it is, after that, to be its node's. So at the moment when the bit was read the entry was in the map, or
//!   the node in the index: for a run is sealed before it is replaced, and does not come back.

use core::cmp::Ordering::{self as Order, Equal, Greater, Less};

use super::list::{Level, Lost, PATIENCE};
use super::node::{self, DEAD, Node};
use super::prefix::{self, Sought};
use super::run::{self, Run, Slots, State};
use crate::atomic::{Atomic, Ptr};
use crate::guard::{Guard, Shield};
use crate::hash_map::Entry;
use crate::prefetch::{PREFETCHES, prefetch};
use crate::scheme::Scheme;
use crate::sync::Ordering;

/// A cover for an entry.
pub(super) type Cover<'g, K, V, S> = Shield<'g, Entry<K, V>, S>;

/// The place for what was searched for.
pub(super) struct Page<'g, K, V, S: Scheme> {
    pub(super) spot: Spot<'g, K, V, S>,
    /// What the run said of its slots.
    pub(super) state: State,
    /// Whether the slot has what was searched for; then the spot covers it. Else it is the first one
    /// that is greater.
    pub(super) found: bool,
    /// All of the leaf is greater: it was found by what was in it before.
    pub(super) is_misled: bool,
    /// The keys contradict one another, so the place is as good as any.
    pub(super) is_forced: bool,
}

/// A slot.
pub(super) struct Spot<'g, K, V, S: Scheme> {
    /// Nothing is the head.
    pub(super) node: node::Cover<'g, K, V, S>,
    /// Nothing is an empty one.
    pub(super) run: run::Cover<'g, K, V, S>,
    pub(super) slot: usize,
    /// In a leaf.
    pub(super) entry: Cover<'g, K, V, S>,
}

/// Whether a run is still the one of its node, and that not dead.
fn is_current<K, V, S: Scheme>(home: &Atomic<Run<K, V>>, run: &run::Cover<'_, K, V, S>) -> bool {
    // Acquire: who finds another one comes after that.
    home.load(Ordering::Acquire) == run.ptr()
}

/// Covers the item of a slot of a covered run, and, at the same moment, once more for somebody else;
/// false if it was removed, or the run replaced; or if it might have been, where no `home` is given. The item
/// is an entry in a leaf, and a node in a branch.
#[inline]
fn cover<T, K, V, S: Scheme>(
    item: &mut Shield<'_, T, S>,
    also: Option<&mut Shield<'_, T, S>>,
    home: Option<&Atomic<Run<K, V>>>,
    run: &run::Cover<'_, K, V, S>,
    slot: usize,
) -> bool {
    // SAFETY: covered.
    let (covered, (_, items)) = unsafe { (run.as_ref(), run::arrays::<_, _, S>(run.ptr())) };
    // I3.
    let is_there = || match covered.map(|run| run.has(slot)) {
        Some(None) => home.is_some_and(|home| is_current(home, run)),
        has => has == Some(Some(true)),
    };
    let announced = items[slot].cast();
    item.announce_if(announced, || match also {
        Some(also) => also.announce_if(announced, is_there),
        None => is_there(),
    })
}

/// Covers the first node to the right that is not dead, and its run, and says what that says: `None`
/// at the end. An error if the run where it began is not its node's any more.
///
/// Ends before, with a state that says nothing, at a node that is `enough`.
pub(super) fn right_of<K, V, S: Scheme>(
    home: &Atomic<Run<K, V>>,
    run: &run::Cover<'_, K, V, S>,
    right: &mut node::Cover<'_, K, V, S>,
    its_run: &mut run::Cover<'_, K, V, S>,
    enough: impl Fn(&Node<K, V>) -> bool,
) -> Result<Option<State>, ()> {
    // SAFETY: covered.
    let mut candidate = unsafe { run.as_ref() }.map_or(Ptr::null(), Run::right);
    loop {
        // I2.
        if !right.announce_if(candidate, || is_current(home, run)) {
            return Err(());
        }
        // SAFETY: covered.
        let Some(node) = (unsafe { right.as_ref() }) else { return Ok(None) };
        if enough(node) {
            return Ok(Some(State::NONE));
        }
        let is_dead = its_run.protect(node.run()).tag() == DEAD;
        if is_dead && !is_current(home, run) {
            return Err(());
        }
        // SAFETY: covered (I1, and I2 if it is dead).
        let Some(covered) = (unsafe { its_run.as_ref() }) else { return Err(()) };
        let state = covered.state();
        if !state.live().is_empty() {
            return Ok(Some(state));
        }
        node.show_death(its_run.ptr().with_tag(0));
        candidate = covered.right();
    }
}

/// Covers a leaf's first entry; says that there is none if it is dead.
fn first_of_leaf<K, V, S: Scheme>(
    leaf: &Node<K, V>,
    run: &mut run::Cover<'_, K, V, S>,
    entry: &mut Cover<'_, K, V, S>,
) -> bool {
    while run.protect(leaf.run()).tag() != DEAD {
        if PREFETCHES {
            run::prefetch_first(run.ptr());
        }
        // SAFETY: covered.
        let state = unsafe { run.as_ref() }.map_or(State::NONE, Run::state);
        let Some(slot) = state.live().first() else {
            leaf.show_death(run.ptr());
            break;
        };
        if cover(entry, None, Some(leaf.run()), run, slot) {
            return true;
        }
    }
    false
}

/// How the first entry of a leaf's run stands; `None` if there is none, or it was not covered.
fn order_of_first<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    leaf: &Node<K, V>,
    run: &run::Cover<'_, K, V, S>,
    state: State,
    sought: &mut Sought<impl FnMut(&K) -> Order>,
) -> Option<Order> {
    let slot = state.live().first()?;
    // SAFETY: covered.
    let (prefixes, _) = unsafe { run::arrays::<_, _, S>(run.ptr()) };
    let order = match sought.by_prefix(prefixes[slot]) {
        Some(order) => order,
        None => {
            let mut entry: Cover<'_, K, V, S> = guard.shield();
            if !cover(&mut entry, None, Some(leaf.run()), run, slot) {
                return None;
            }
            // SAFETY: covered.
            sought.by_key(&unsafe { entry.as_ref() }?.key)
        }
    };
    if order == Greater && sought.by_prefix(leaf.low()) == Some(Less) {
        // So that no search is misled again by what was removed.
        leaf.raise_low(prefixes[slot]);
    }
    Some(order)
}

/// Where a search stands in a level.
pub(super) struct Stop<'g, K, V, S: Scheme> {
    /// A node that does not begin behind what is sought, or nothing for the head.
    pub(super) node: node::Cover<'g, K, V, S>,
    /// Its run.
    run: run::Cover<'g, K, V, S>,
    /// A node that begins behind what is sought, or, above the leaves, may have no entries; if it covers one.
    after: node::Cover<'g, K, V, S>,
}

impl<'g, K, V, S: Scheme> Stop<'g, K, V, S> {
    pub(super) fn at_head(guard: &'g Guard<'g, S>) -> Self {
        Self { node: guard.shield(), run: guard.shield(), after: guard.shield() }
    }
}

impl<'g, K, V, S: Scheme> Level<'g, K, V, S> {
    /// Covers a node's first entry, or, of a branch, that of its first node that has one. False if there is
    /// none.
    pub(super) fn first_of(self, node: &Node<K, V>, entry: &mut Cover<'_, K, V, S>) -> bool {
        let mut run = self.guard.shield();
        if self.number == 0 {
            return first_of_leaf(node, &mut run, entry);
        }
        let mut below = self.guard.shield();
        let (mut seen, mut from) = (Ptr::null(), 0);
        while run.protect(node.run()).tag() != DEAD {
            if seen != run.ptr() {
                (seen, from) = (run.ptr(), 0);
            }
            // SAFETY: covered.
            let state = unsafe { run.as_ref() }.map_or(State::NONE, Run::state);
            let Some(slot) = state.live().from(from).first() else { return false };
            if cover(&mut below, None, Some(node.run()), &run, slot) {
                match self.below().first_below(&mut below, &mut run, entry) {
                    Some(true) => return true,
                    Some(false) => from = slot + 1,
                    None => from = 0,
                }
            }
        }
        false
    }

    /// The same for a covered node, the cover of which goes down. `None` if something has changed.
    fn first_below(
        mut self,
        node: &mut node::Cover<'g, K, V, S>,
        run: &mut run::Cover<'g, K, V, S>,
        entry: &mut Cover<'_, K, V, S>,
    ) -> Option<bool> {
        loop {
            // SAFETY: covered.
            let covered = unsafe { node.as_ref() }?;
            if self.number == 0 {
                return Some(first_of_leaf(covered, run, entry));
            }
            if run.protect(covered.run()).tag() == DEAD {
                return Some(false);
            }
            // SAFETY: covered.
            let state = unsafe { run.as_ref() }.map_or(State::NONE, Run::state);
            let Some(slot) = state.live().first() else { return Some(false) };
            if state.is_sealed() {
                // The node is needed, to see whether that is still its run.
                let mut below = self.guard.shield();
                if !cover(&mut below, None, Some(covered.run()), run, slot) {
                    return None;
                }
                *node = below;
            } else if !cover(node, None, None, run, slot) {
                return None;
            }
            self = self.below();
        }
    }

    /// How the first entry of a node stands to what is searched for; `None` if there is none.
    #[inline]
    fn order_of(
        self,
        node: &node::Cover<'_, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Option<Order> {
        // SAFETY: covered.
        let covered = unsafe { node.as_ref() }?;
        if covered.is_dead() {
            return None;
        }
        // It may be that the first entry is greater than `low` says: then a search is misled.
        if let Some(order) = sought.by_low(covered.low()) {
            return Some(order);
        }
        self.order_of_entry(covered, sought)
    }

    /// The same by the entry's key.
    #[inline(never)]
    fn order_of_entry(
        self,
        node: &Node<K, V>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Option<Order> {
        let mut entry = self.guard.shield();
        if !self.first_of(node, &mut entry) {
            return None;
        }
        // SAFETY: covered.
        let key = &unsafe { entry.as_ref() }?.key;
        let order = sought.by_key(key);
        if order == Greater && sought.by_prefix(node.low()) == Some(Less) {
            // So that no search is misled again by what was removed. Nothing lesser gets into it.
            node.raise_low(prefix::of(key));
        }
        Some(order)
    }

    /// Whether the node to the right, which is covered then, is greater than what is searched for. An error
    /// if the run where it began is not its node's any more.
    fn is_beyond(
        self,
        home: &Atomic<Run<K, V>>,
        run: &run::Cover<'_, K, V, S>,
        right: &mut node::Cover<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Result<bool, ()> {
        let mut its_run = self.guard.shield();
        loop {
            // All that is further to the right is greater still, whether or not this one is dead.
            let enough = |node: &Node<K, V>| sought.by_prefix(node.low()) == Some(Greater);
            let Some(state) = right_of(home, run, right, &mut its_run, enough)? else {
                return Ok(true);
            };
            // SAFETY: covered.
            let Some(node) = (unsafe { right.as_ref() }) else { return Ok(true) };
            if state == State::NONE {
                return Ok(true);
            }
            if self.number > 0 {
                drop(its_run);
                // What has no entries is passed by, or not: it makes no difference in the index.
                return Ok(self.order_of(right, sought).is_none_or(|order| order == Greater));
            }
            if let Some(order) = order_of_first(self.guard, node, &its_run, state, sought) {
                return Ok(order == Greater);
            }
        }
    }

    /// Goes to the right, as long as the next node does not begin behind what is sought; covers the node's
    /// run, and says what that says. `None` if the node is dead.
    #[inline]
    fn settle(
        self,
        at: &mut Stop<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Option<State> {
        loop {
            let home = self.home(&at.node);
            if at.run.protect(home).tag() == DEAD {
                return None;
            }
            // SAFETY: covered.
            let Some(covered) = (unsafe { at.run.as_ref() }) else { return Some(State::NONE) };
            let state = covered.state();
            if state.live().is_empty() {
                // SAFETY: covered.
                if let Some(node) = unsafe { at.node.as_ref() } {
                    node.show_death(at.run.ptr());
                    return None;
                }
            }
            // If it is that one, it still is: it is covered, and not another one at the same address.
            let is_last = covered.ends_behind(sought) || covered.right() == at.after.ptr();
            if is_last || self.look_right(at, sought) {
                return Some(state);
            }
        }
    }

    /// Whether the next node is greater than what is sought; then that is `after`. If not, goes there; or the
    /// run has changed.
    #[inline(never)]
    fn look_right(
        self,
        at: &mut Stop<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> bool {
        let home = self.home(&at.node);
        let is_beyond = self.is_beyond(home, &at.run, &mut at.after, sought);
        if is_beyond == Ok(false) {
            core::mem::swap(&mut at.node, &mut at.after);
        }
        if is_beyond != Ok(true) {
            at.after.clear();
        }
        is_beyond == Ok(true)
    }

    /// Covers the last node in a branch's run that does not begin behind what is sought; says its slot, or
    /// `None` if they all do: then the branch does, and is not the head, or the head of the level below is what
    /// is sought. An error if the run is not as it was.
    #[inline]
    fn choose(
        self,
        at: &mut Stop<'g, K, V, S>,
        state: State,
        below: &mut node::Cover<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Result<Option<usize>, ()> {
        // SAFETY: covered.
        let (prefixes, _) = unsafe { run::arrays::<_, _, S>(at.run.ptr()) };
        let (from, mut to) = sought.bounds(prefixes);
        let mut proven = None;
        if from < to {
            (proven, to) =
                self.narrow(at, state.live().from(from).before(to), to, below, sought)?;
        }
        let mut left = state.live().before(to);
        let first = state.live().first().map_or(0, |slot| prefixes[slot]);
        let mut low = first;
        while let Some(slot) = left.last() {
            if !cover(below, None, Some(self.home(&at.node)), &at.run, slot) {
                return Err(());
            }
            let is_proven = proven == Some(slot);
            if is_proven || matches!(self.below().order_of(below, sought), Some(Less | Equal)) {
                return Ok(Some(slot));
            }
            // SAFETY: covered.
            low = unsafe { below.as_ref() }.map_or(first, |node| first.max(node.low()));
            left = left.before(slot);
        }
        // SAFETY: covered.
        if let Some(branch) = unsafe { at.node.as_ref() } {
            // That of its first node, the last one that was looked at. As in `order_of_entry`.
            branch.raise_low(low);
        }
        below.clear();
        Ok(None)
    }

    /// Of some of which the prefixes do not say: the last one that was seen not to begin behind what is
    /// sought, and the first one that does, which is `after` then; if there are such, else nothing and `end`.
    /// An error if the run is not as it was.
    #[inline(never)]
    fn narrow(
        self,
        at: &mut Stop<'g, K, V, S>,
        doubtful: Slots,
        end: usize,
        below: &mut node::Cover<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Result<(Option<usize>, usize), ()> {
        // SAFETY: covered.
        let (_, items) = unsafe { run::arrays::<_, _, S>(at.run.ptr()) };
        let (mut low, mut high) = (0, doubtful.len());
        let (mut proven, mut end) = (None, end);
        while low < high {
            let middle = low.midpoint(high);
            let slot = doubtful.nth(middle);
            if PREFETCHES {
                // One of these is the next one.
                prefetch(items[doubtful.nth(low.midpoint(middle))].as_raw());
                prefetch(
                    items[doubtful.nth((middle + 1).midpoint(high).min(doubtful.len() - 1))]
                        .as_raw(),
                );
            }
            if !cover(below, None, Some(self.home(&at.node)), &at.run, slot) {
                return Err(());
            }
            match self.below().order_of(below, sought) {
                Some(Less | Equal) => (low, proven) = (middle + 1, Some(slot)),
                Some(Greater) => {
                    (high, end) = (middle, slot);
                    core::mem::swap(below, &mut at.after);
                }
                // One that is dead is passed by.
                None => (high, end) = (middle, slot),
            }
        }
        Ok((proven, end))
    }

    /// From a branch of this level, or its head, one level down: to the last node there that does not
    /// begin behind what is sought, or to the head.
    #[inline]
    pub(super) fn step_down(
        self,
        at: &mut Stop<'g, K, V, S>,
        below: &mut node::Cover<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Result<(), Lost> {
        loop {
            let state = self.settle(at, sought).ok_or(Lost::Dead)?;
            match self.choose(at, state, below, sought) {
                Err(()) => {}
                Ok(None) if !at.node.ptr().is_null() => return Err(Lost::Misled),
                Ok(_) => break,
            }
        }
        prefetch_run(below);
        core::mem::swap(&mut at.node, below);
        Ok(())
    }
}

/// Has the run fetched of a node to which a search goes.
#[inline(always)]
fn prefetch_run<K, V, S: Scheme>(node: &node::Cover<'_, K, V, S>) {
    if PREFETCHES {
        // SAFETY: covered.
        if let Some(node) = unsafe { node.as_ref() } {
            // Relaxed: nothing is read there.
            run::prefetch(node.run().load(Ordering::Relaxed).with_tag(0));
        }
    }
}

impl<'g, K, V, S: Scheme> Page<'g, K, V, S> {
    /// The place in the leaf where the search in the index has ended, or further to the right. `None` if the
    /// leaf is dead.
    ///
    /// # Linearization
    ///
    /// A search that does not find its key k reads a run, then what of it is removed, and before or after
    /// that it sees that the leaf to the right begins behind k. What is to the left of a leaf's first entry
    /// stays so, as leaves lose their first entries and never get lesser ones. So if the leaf to the right
    /// was seen before, or the run itself says so (I3 of `run`), k was in neither when the run was read, or was
    /// in the run and was removed since. If it was seen after, k may have been there when the run was read;
    /// then it was removed in between, and as nobody puts it further to the left before that, it was nowhere at
    /// that moment.
    pub(super) fn of_leaf(
        level: Level<'g, K, V, S>,
        mut at: Stop<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Option<Self> {
        let mut entry = level.guard.shield();
        loop {
            let state = level.settle(&mut at, sought)?;
            let place = place(level.home(&at.node), &at.run, state, sought, &mut entry);
            let Some((slot, found)) = place else { continue };
            let mut page = Self::new(at, state, slot, entry);
            page.found = found;
            page.find_out(level.guard, sought);
            return Some(page);
        }
    }

    /// The place in a level of the index, behind all that does not begin behind what is sought.
    pub(super) fn of_branch(
        level: Level<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Self {
        let mut misled = 0;
        loop {
            let (mut at, mut below) = (level.begin(sought), level.guard.shield());
            let Some(state) = level.settle(&mut at, sought) else { continue };
            let Ok(slot) = level.choose(&mut at, state, &mut below, sought) else { continue };
            if slot.is_none() && !at.node.ptr().is_null() && misled < PATIENCE {
                sought.be_careful();
                misled += 1;
                continue;
            }
            let slot = slot.map_or(0, |slot| slot + 1);
            let mut page = Self::new(at, state, slot, level.guard.shield());
            // At worst it is before all of them.
            page.is_forced = true;
            return page;
        }
    }

    fn new(at: Stop<'g, K, V, S>, state: State, slot: usize, entry: Cover<'g, K, V, S>) -> Self {
        let spot = Spot { node: at.node, run: at.run, slot, entry };
        Self { spot, state, found: false, is_misled: false, is_forced: false }
    }

    /// Finds out whether all of the leaf is greater: then the search was misled by what was there before.
    fn find_out(&mut self, guard: &Guard<'_, S>, sought: &mut Sought<impl FnMut(&K) -> Order>) {
        // SAFETY: covered.
        let Some(leaf) = (unsafe { self.spot.node.as_ref() }) else { return };
        if self.found || !self.state.live().before(self.spot.slot).is_empty() {
            return;
        }
        // From here on `low` says what the first entry is, if it has misled the search. If the answer is
        // another one now, the keys contradict one another, and this place is as good as any.
        let order = order_of_first(guard, leaf, &self.spot.run, self.state, sought);
        self.is_forced = matches!(order, Some(Less | Equal));
        self.is_misled = !self.is_forced;
    }

    /// The place; all else is let go of.
    pub(super) fn into_spot(self) -> Spot<'g, K, V, S> {
        self.spot
    }

    /// Whether it is the same place, as it was: both are covered, so it is not another one at the same
    /// address.
    pub(super) fn is_as(&self, run: &run::Cover<'_, K, V, S>, state: State) -> bool {
        self.spot.run.ptr() == run.ptr() && self.state == state
    }
}

/// The slot of what is searched for, whose entry is covered then, or the first that is greater. `None`
/// if the run is not as it was.
fn place<K, V, S: Scheme>(
    home: &Atomic<Run<K, V>>,
    run: &run::Cover<'_, K, V, S>,
    state: State,
    sought: &mut Sought<impl FnMut(&K) -> Order>,
    entry: &mut Cover<'_, K, V, S>,
) -> Option<(usize, bool)> {
    // SAFETY: covered.
    let (prefixes, _) = unsafe { run::arrays::<_, _, S>(run.ptr()) };
    let (from, to) = sought.bounds(prefixes);
    if from == to {
        return Some((to, false));
    }
    let doubtful = state.live().from(from).before(to);
    let (mut low, mut high) = (0, doubtful.len());
    while low < high {
        let middle = low.midpoint(high);
        let slot = doubtful.nth(middle);
        if !cover(entry, None, Some(home), run, slot) {
            return None;
        }
        // SAFETY: covered.
        match sought.by_key(&unsafe { entry.as_ref() }?.key) {
            Less => low = middle + 1,
            Equal => return Some((slot, true)),
            Greater => high = middle,
        }
    }
    let slot = if low < doubtful.len() { doubtful.nth(low) } else { to };
    Some((slot, false))
}

impl<'g, K, V, S: Scheme> Spot<'g, K, V, S> {
    /// The page of a spot that was found.
    pub(super) fn into_page(self) -> Page<'g, K, V, S> {
        // SAFETY: covered.
        let state = unsafe { self.run.as_ref() }.map_or(State::NONE, Run::state);
        Page { spot: self, state, found: true, is_misled: false, is_forced: false }
    }

    /// The entry; all else is let go of.
    pub(super) fn into_entry(self) -> Cover<'g, K, V, S> {
        self.entry
    }

    /// The beginning of the map.
    pub(super) fn first(level: Level<'g, K, V, S>) -> Self {
        let mut run = level.guard.shield();
        // It has no tag: the head does not die.
        run.protect(level.head());
        Self { node: level.guard.shield(), run, slot: 0, entry: level.guard.shield() }
    }

    /// Goes to the first entry from a slot on, in this leaf or further to the right, and covers it
    /// once more for somebody else. False if there is none; an error if the run is not its leaf's any
    /// more. Then it stays where it is.
    ///
    /// What it finds was the first one at the moment when its bit was read (I3): the run where it began
    /// was its leaf's then, what was removed in between does not come back, and nothing can have come in
    /// between: the leaf still had an entry before. Without one it would have lost the ground before
    /// what is found to the leaf on its left; then it is an error, too, but for who is `easy` and takes
    /// what comes.
    pub(super) fn forward(
        &mut self,
        level: Level<'g, K, V, S>,
        from: usize,
        is_easy: bool,
        mut also: Option<&mut Cover<'g, K, V, S>>,
    ) -> Result<bool, ()> {
        let its_home = level.home(&self.node);
        let mut entry = level.guard.shield();
        // Bits are never cleared: if there is an entry before now, there was one at that moment.
        let has_ground = |run: Option<&Run<K, V>>| {
            is_easy
                || self.node.ptr().is_null()
                || run.is_some_and(|run| !run.state().live().before(from).is_empty())
        };
        // SAFETY: covered.
        let its_run = unsafe { self.run.as_ref() };
        while let Some(run) = its_run {
            let Some(slot) = run.state().live().from(from).first() else { break };
            if cover(&mut entry, also.as_deref_mut(), Some(its_home), &self.run, slot) {
                if !has_ground(its_run) {
                    return Err(());
                }
                (self.slot, self.entry) = (slot, entry);
                self.fetch_ahead();
                return Ok(true);
            }
            if !is_current(its_home, &self.run) {
                return Err(());
            }
        }
        let (mut right, mut right_run) = (level.guard.shield(), level.guard.shield());
        loop {
            let state = right_of(its_home, &self.run, &mut right, &mut right_run, |_| false)?;
            // SAFETY: covered.
            let found = unsafe { right.as_ref() }.zip(state.and_then(|state| state.live().first()));
            let Some((node, slot)) = found else {
                return if has_ground(its_run) { Ok(false) } else { Err(()) };
            };
            if !cover(&mut entry, also.as_deref_mut(), Some(node.run()), &right_run, slot) {
                continue;
            }
            if !is_current(its_home, &self.run) || !has_ground(its_run) {
                return Err(());
            }
            *self = Self { node: right, run: right_run, slot, entry };
            return Ok(true);
        }
    }

    /// Has the entry fetched that a scan will come to in a few steps, or the next leaf.
    #[inline(always)]
    fn fetch_ahead(&self) {
        const STEPS: usize = 6;
        // SAFETY: covered.
        let (run, (_, entries)) =
            unsafe { (self.run.as_ref(), run::arrays::<_, _, S>(self.run.ptr())) };
        match (entries.get(self.slot + STEPS), run) {
            (Some(entry), _) => prefetch(entry.as_raw()),
            (None, Some(run)) if self.slot + STEPS == entries.len() => {
                prefetch(run.right().as_raw())
            }
            _ => {}
        }
    }

    /// Goes to the last entry before a slot, in this leaf, and covers it once more for somebody else.
    /// False if there is none; an error if the run is not its leaf's any more. Then it stays where it
    /// is.
    pub(super) fn back(
        &mut self,
        level: Level<'g, K, V, S>,
        before: usize,
        mut also: Option<&mut Cover<'g, K, V, S>>,
    ) -> Result<bool, ()> {
        let its_home = level.home(&self.node);
        let mut entry = level.guard.shield();
        // SAFETY: covered.
        while let Some(run) = unsafe { self.run.as_ref() } {
            let Some(slot) = run.state().live().before(before).last() else { break };
            if cover(&mut entry, also.as_deref_mut(), Some(its_home), &self.run, slot) {
                (self.slot, self.entry) = (slot, entry);
                return Ok(true);
            }
            if !is_current(its_home, &self.run) {
                return Err(());
            }
        }
        if is_current(its_home, &self.run) { Ok(false) } else { Err(()) }
    }
}
