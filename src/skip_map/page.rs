//! Where a search ends: a leaf, its run as it was at a moment, and a place in it.
//!
//! # What is covered, and why
//!
//! - **I1.** A run that `protect` has returned without the tag [`DEAD`] was its leaf's then, and the leaf
//!   was in the list of leaves: who takes a dead leaf out of it has passed it here (`right_of`), and has
//!   seen the tag before, or set it. So the run was not retired: it is covered. With the tag it is, if the
//!   leaf was still linked afterwards.
//! - **I2.** A leaf is linked in the list of leaves as long as the run to its left is its leaf's, or
//!   is that of a dead leaf which is linked. So what is announced, and what a dead leaf leads to, is
//!   covered if after that the run where it began was still its leaf's. A live leaf is never taken
//!   out of this list: a rebuilt run leads to it.
//! - **I3.** An entry is announced, and then, in this order, its bit is seen not to be set, and the run
//!   to be its leaf's. So at the moment when the bit was read the entry was in the map: for a run that
//!   is replaced does not come back.

use core::cmp::Ordering::{self as Order, Equal, Greater, Less};

use super::leaf::{self, DEAD, Leaf};
use super::list::List;
use super::prefix::Sought;
use super::run::{self, Run, State};
use crate::atomic::{Atomic, Ptr};
use crate::guard::{Guard, Shield};
use crate::hash_map::Entry;
use crate::prefetch::prefetch;
use crate::scheme::Scheme;
use crate::sync::Ordering;

/// A cover for an entry.
pub(super) type Cover<'g, K, V, S> = Shield<'g, Entry<K, V>, S>;

/// The place for what was searched for.
pub(super) struct Page<'g, K, V, S: Scheme> {
    guard: &'g Guard<'g, S>,
    pub(super) spot: Spot<'g, K, V, S>,
    /// The first leaf to the right that was not dead, or one before it all of whose keys were greater
    /// than what was searched for; nothing at the end.
    pub(super) next: leaf::Cover<'g, K, V, S>,
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
    pub(super) leaf: leaf::Cover<'g, K, V, S>,
    /// Nothing is an empty one.
    pub(super) run: run::Cover<'g, K, V, S>,
    pub(super) slot: usize,
    pub(super) entry: Cover<'g, K, V, S>,
}

/// Where a leaf's run is, or the head's.
pub(super) fn home<'s, K, V, S: Scheme>(
    list: &'s List<K, V>,
    leaf: &'s leaf::Cover<'_, K, V, S>,
) -> &'s Atomic<Run<K, V>> {
    // SAFETY: covered, a leaf of this list.
    unsafe { leaf.as_ref() }.map_or(list.first_run(), Leaf::run)
}

/// Whether a run is still the one of its leaf, and that not dead.
fn is_current<K, V, S: Scheme>(home: &Atomic<Run<K, V>>, run: &run::Cover<'_, K, V, S>) -> bool {
    // Acquire: who finds another one comes after that.
    home.load(Ordering::Acquire) == run.ptr()
}

/// Covers the entry of a slot of a covered run, and, at the same moment, once more for somebody else;
/// false if it was removed, or the run replaced.
fn cover<K, V, S: Scheme>(
    entry: &mut Cover<'_, K, V, S>,
    also: Option<&mut Cover<'_, K, V, S>>,
    home: &Atomic<Run<K, V>>,
    run: &run::Cover<'_, K, V, S>,
    slot: usize,
) -> bool {
    // SAFETY: covered.
    let (covered, (_, entries)) = unsafe { (run.as_ref(), run::arrays::<_, _, S>(run.ptr())) };
    let is_live = || covered.is_some_and(|run| run.state().live().has(slot));
    let is_in_map = || is_live() && is_current(home, run);
    // I3.
    entry.announce_if(entries[slot], || match also {
        Some(also) => also.announce_if(entries[slot], is_in_map),
        None => is_in_map(),
    })
}

/// Covers the first leaf to the right that is not dead, and its run, and says what that says: `None`
/// at the end. An error if the run where it began is not its leaf's any more.
///
/// Ends before, with a state that says nothing, at a leaf that is `enough`.
fn right_of<K, V, S: Scheme>(
    home: &Atomic<Run<K, V>>,
    run: &run::Cover<'_, K, V, S>,
    right: &mut leaf::Cover<'_, K, V, S>,
    its_run: &mut run::Cover<'_, K, V, S>,
    enough: impl Fn(&Leaf<K, V>) -> bool,
) -> Result<Option<State>, ()> {
    // SAFETY: covered.
    let mut candidate = unsafe { run.as_ref() }.map_or(Ptr::null(), |run| run.right);
    loop {
        // I2.
        if !right.announce_if(candidate, || is_current(home, run)) {
            return Err(());
        }
        // SAFETY: covered.
        let Some(leaf) = (unsafe { right.as_ref() }) else { return Ok(None) };
        if enough(leaf) {
            return Ok(Some(State::NONE));
        }
        let is_dead = its_run.protect(leaf.run()).tag() == DEAD;
        if is_dead && !is_current(home, run) {
            return Err(());
        }
        // SAFETY: covered (I1, and I2 if it is dead).
        let Some(covered) = (unsafe { its_run.as_ref() }) else { return Err(()) };
        let state = covered.state();
        if !state.live().is_empty() {
            return Ok(Some(state));
        }
        leaf.show_death(its_run.ptr().with_tag(0));
        candidate = covered.right;
    }
}

/// How the first entry of a leaf stands to what is searched for; `None` if the leaf is dead.
pub(super) fn order_of<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    leaf: &leaf::Cover<'_, K, V, S>,
    sought: &mut Sought<impl FnMut(&K) -> Order>,
) -> Option<Order> {
    // SAFETY: covered.
    let covered = unsafe { leaf.as_ref() }?;
    // It may be that the first entry is greater than `low` says: then a search is misled (`Page::at`).
    if let Some(order) = sought.by_prefix(covered.low()) {
        return Some(order);
    }
    let mut run = guard.shield();
    loop {
        if run.protect(covered.run()).tag() == DEAD {
            return None;
        }
        // SAFETY: covered.
        let state = unsafe { run.as_ref() }?.state();
        match order_of_first(guard, covered, &run, state, sought) {
            None if state.live().is_empty() => {
                covered.show_death(run.ptr());
                return None;
            }
            None => {}
            order => return order,
        }
    }
}

/// How the first entry of a leaf's run stands; `None` if there is none, or it was not covered.
fn order_of_first<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    leaf: &Leaf<K, V>,
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
            let mut entry = guard.shield();
            if !cover(&mut entry, None, leaf.run(), run, slot) {
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

impl<'g, K, V, S: Scheme> Page<'g, K, V, S> {
    /// The place in the leaf where the search in the index has ended, or further to the right; `next`
    /// is a leaf that is greater. `None` if the leaf is dead.
    ///
    /// # Linearization
    ///
    /// A search that does not find its key k reads a run, then what of it is removed, and before or after
    /// that it sees that the leaf to the right begins behind k. What is to the left of a leaf's first entry
    /// stays so, as leaves lose their first entries and never get lesser ones. So if the leaf to the right
    /// was seen before, k was in neither when the run was read, or was in the run and was removed since. If
    /// it was seen after, k may have been there when the run was read; then it was removed in between, and
    /// as nobody puts it further to the left before that, it was nowhere at that moment.
    pub(super) fn at(
        list: &'g List<K, V>,
        guard: &'g Guard<'g, S>,
        mut leaf: leaf::Cover<'g, K, V, S>,
        mut next: leaf::Cover<'g, K, V, S>,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Option<Self> {
        let (mut run, mut entry) = (guard.shield(), guard.shield());
        let mut is_greater = true;
        loop {
            let its_home = home(list, &leaf);
            if run.protect(its_home).tag() == DEAD {
                return None;
            }
            // SAFETY: covered.
            let covered = unsafe { run.as_ref() };
            let state = covered.map_or(State::NONE, Run::state);
            // SAFETY: covered.
            match unsafe { leaf.as_ref() } {
                Some(leaf) if state.live().is_empty() => {
                    leaf.show_death(run.ptr());
                    return None;
                }
                _ => {}
            }
            let right = covered.map_or(Ptr::null(), |run| run.right);
            if !is_greater || right != next.ptr() {
                // Until it is known to be, whatever `next` is left with.
                is_greater = false;
                match is_beyond(guard, its_home, &run, &mut next, sought) {
                    Err(()) => continue,
                    Ok(false) => {
                        core::mem::swap(&mut leaf, &mut next);
                        continue;
                    }
                    Ok(true) => is_greater = true,
                }
            }
            let Some((slot, found)) = place(its_home, &run, state, sought, &mut entry) else {
                continue;
            };
            let mut page = Self {
                guard,
                spot: Spot { leaf, run, slot, entry },
                next,
                state,
                found,
                is_misled: false,
                is_forced: false,
            };
            page.find_out(sought);
            return Some(page);
        }
    }

    /// Finds out whether all of the leaf is greater: then the search was misled by what was there before.
    fn find_out(&mut self, sought: &mut Sought<impl FnMut(&K) -> Order>) {
        // SAFETY: covered.
        let Some(leaf) = (unsafe { self.spot.leaf.as_ref() }) else { return };
        if self.found || !self.state.live().before(self.spot.slot).is_empty() {
            return;
        }
        // From here on `low` says what the first entry is, if it has misled the search. If the answer is
        // another one now, the keys contradict one another, and this place is as good as any.
        let order = order_of_first(self.guard, leaf, &self.spot.run, self.state, sought);
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

/// Whether the leaf to the right, which is covered then, is greater than what is searched for. An error
/// if the run where it began is not its leaf's any more.
fn is_beyond<'g, K, V, S: Scheme>(
    guard: &'g Guard<'g, S>,
    home: &Atomic<Run<K, V>>,
    run: &run::Cover<'_, K, V, S>,
    right: &mut leaf::Cover<'g, K, V, S>,
    sought: &mut Sought<impl FnMut(&K) -> Order>,
) -> Result<bool, ()> {
    let mut its_run = guard.shield();
    loop {
        // All that is further to the right is greater still, whether or not this one is dead.
        let enough = |leaf: &Leaf<K, V>| sought.by_prefix(leaf.low()) == Some(Greater);
        let Some(state) = right_of(home, run, right, &mut its_run, enough)? else {
            return Ok(true);
        };
        // SAFETY: covered.
        let Some(leaf) = (unsafe { right.as_ref() }) else { return Ok(true) };
        if state == State::NONE {
            return Ok(true);
        }
        if let Some(order) = order_of_first(guard, leaf, &its_run, state, sought) {
            return Ok(order == Greater);
        }
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
    let doubtful = state.live().from(from).before(to);
    let (mut low, mut high) = (0, doubtful.len());
    while low < high {
        let middle = low.midpoint(high);
        let slot = doubtful.nth(middle);
        if !cover(entry, None, home, run, slot) {
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

/// Covers the first entry of a leaf that is covered; false if that is dead.
pub(super) fn first_of<'g, K, V, S: Scheme>(
    guard: &'g Guard<'g, S>,
    leaf: &leaf::Cover<'_, K, V, S>,
    entry: &mut Cover<'g, K, V, S>,
) -> bool {
    // SAFETY: covered.
    let Some(covered) = (unsafe { leaf.as_ref() }) else { return false };
    let mut run = guard.shield();
    while run.protect(covered.run()).tag() != DEAD {
        // SAFETY: covered.
        let state = unsafe { run.as_ref() }.map_or(State::NONE, Run::state);
        let Some(slot) = state.live().first() else { return false };
        if cover(entry, None, covered.run(), &run, slot) {
            return true;
        }
    }
    false
}

impl<'g, K, V, S: Scheme> Spot<'g, K, V, S> {
    /// The page of a spot whose leaf is followed by this one, or none.
    fn into_page_before(
        self,
        guard: &'g Guard<'g, S>,
        next: leaf::Cover<'g, K, V, S>,
    ) -> Page<'g, K, V, S> {
        // SAFETY: covered.
        let state = unsafe { self.run.as_ref() }.map_or(State::NONE, Run::state);
        Page { guard, spot: self, next, state, found: true, is_misled: false, is_forced: false }
    }

    /// The page of a spot that nothing is to the right of.
    pub(super) fn into_last_page(self, guard: &'g Guard<'g, S>) -> Page<'g, K, V, S> {
        self.into_page_before(guard, guard.shield())
    }

    /// The page of a spot; it may be that its run is not its leaf's any more, and then not `next`, either.
    pub(super) fn into_page(self, list: &List<K, V>, guard: &'g Guard<'g, S>) -> Page<'g, K, V, S> {
        let (mut next, mut its_run) = (guard.shield(), guard.shield());
        // If it fails the run will never be its leaf's again, so nothing comes of what is done with the page.
        let _ = right_of(home(list, &self.leaf), &self.run, &mut next, &mut its_run, |_| false);
        self.into_page_before(guard, next)
    }

    /// The entry; all else is let go of.
    pub(super) fn into_entry(self) -> Cover<'g, K, V, S> {
        self.entry
    }

    /// The beginning of the map.
    pub(super) fn first(list: &List<K, V>, guard: &'g Guard<'g, S>) -> Self {
        let mut run = guard.shield();
        // It has no tag: the head does not die.
        run.protect(list.first_run());
        Self { leaf: guard.shield(), run, slot: 0, entry: guard.shield() }
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
        list: &List<K, V>,
        guard: &'g Guard<'g, S>,
        from: usize,
        is_easy: bool,
        mut also: Option<&mut Cover<'g, K, V, S>>,
    ) -> Result<bool, ()> {
        let its_home = home(list, &self.leaf);
        let mut entry = guard.shield();
        // Bits are never cleared: if there is an entry before now, there was one at that moment.
        let has_ground = |run: Option<&Run<K, V>>| {
            is_easy
                || self.leaf.ptr().is_null()
                || run.is_some_and(|run| !run.state().live().before(from).is_empty())
        };
        // SAFETY: covered.
        let its_run = unsafe { self.run.as_ref() };
        while let Some(run) = its_run {
            let Some(slot) = run.state().live().from(from).first() else { break };
            if cover(&mut entry, also.as_deref_mut(), its_home, &self.run, slot) {
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
        let (mut right, mut right_run) = (guard.shield(), guard.shield());
        loop {
            let state = right_of(its_home, &self.run, &mut right, &mut right_run, |_| false)?;
            // SAFETY: covered.
            let found = unsafe { right.as_ref() }.zip(state.and_then(|state| state.live().first()));
            let Some((leaf, slot)) = found else {
                return if has_ground(its_run) { Ok(false) } else { Err(()) };
            };
            if !cover(&mut entry, also.as_deref_mut(), leaf.run(), &right_run, slot) {
                continue;
            }
            if !is_current(its_home, &self.run) || !has_ground(its_run) {
                return Err(());
            }
            *self = Self { leaf: right, run: right_run, slot, entry };
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
            (None, Some(run)) if self.slot + STEPS == entries.len() => prefetch(run.right.as_raw()),
            _ => {}
        }
    }

    /// Goes to the last entry before a slot, in this leaf, and covers it once more for somebody else.
    /// False if there is none; an error if the run is not its leaf's any more. Then it stays where it
    /// is.
    pub(super) fn back(
        &mut self,
        list: &List<K, V>,
        guard: &'g Guard<'g, S>,
        before: usize,
        mut also: Option<&mut Cover<'g, K, V, S>>,
    ) -> Result<bool, ()> {
        let its_home = home(list, &self.leaf);
        let mut entry = guard.shield();
        // SAFETY: covered.
        while let Some(run) = unsafe { self.run.as_ref() } {
            let Some(slot) = run.state().live().before(before).last() else { break };
            if cover(&mut entry, also.as_deref_mut(), its_home, &self.run, slot) {
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
