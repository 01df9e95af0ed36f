//! The levels: lists of nodes, one over the other, and how a search comes down through them.
//!
//! (The index is a B-tree's, kept as a skip list is: each level is a list, sparser than the one below, which
//! is right without it. W. Pugh, "Skip lists: a probabilistic alternative to balanced trees", CACM 1990, and
//! "Concurrent maintenance of skip lists", 1990; D. Golovin, "The B-skip-list", 2010. That a node leads to
//! the one to its right, so that a level above which lags behind does no harm, is from P. Lehman and S. B.
//! Yao, "Efficient locking for concurrent operations on B-trees", TODS 1981; that all of a node is replaced
//! at once, from J. Levandoski, D. Lomet and S. Sengupta, "The Bw-tree", ICDE 2013. Nodes die when they are
//! empty, and are not merged before: T. Johnson and D. Shasha, "B-trees with inserts and deletes: why
//! free-at-empty is better than merge-at-half", JCSS 1993.)
//!
//! ```text
//! level 2   head ─────────────────────────────────────────> branch ────────────────> .
//!            |                                                 |
//! level 1   head ────────────> branch ────────────────────> branch ────────────────> .
//!            |                 |     |                      |     |
//! level 0   head ───> leaf ─> leaf  leaf ─────────> leaf ─> leaf  leaf ─────────────> .
//!           3 8       9 12    20 21  30 33 34       41 47   50    60 62
//! ```
//!
//! *The list of leaves is the map*: each leaf has a run of entries, and the run leads to the next leaf
//! (`right`). The head is like a leaf, but never dies. The first entry of a leaf is where it begins: what
//! is not less than that, and less than the first entry of the next leaf, belongs into it. So as first
//! entries are removed a leaf loses ground to the one on its left, and never gets it back.
//!
//! *The index says where to begin*, and nothing depends on it but the time that it takes. A branch is like a
//! leaf, but what is in its run are nodes of the level below; it begins where the first of them does. A
//! search goes from the top level's head to the last node below that does not begin behind what it seeks, or
//! to the head of the level below, if they all do; and in each level to the right as long as the next node
//! does not begin behind (`page`).
//!
//! - *Inserting* puts a new run in the place of a leaf's (`rebuild`). If it is split, there is a new leaf
//!   to its right, which is then put in a branch's run in the same way, and so on (`index`).
//! - *Removing* sets a bit in the run. With the last entry of it the leaf dies, for ever.
//! - *A dead leaf* is taken out of the index by whoever has taken its last entry, or by whoever still
//!   links it there; and out of the list of leaves by whoever puts a new run to its left. The same
//!   goes for a branch with nothing left in it. Searches do not care: they go past.
//!
//! # Invariants
//!
//! - **I1.** A node is retired when it is in no list and no run of a branch any more, and will not be (I1 of
//!   `node`). So what is announced, and then found in a run of the index that is its branch's, is covered.
//! - **I2.** A search may begin at any node of a level that does not begin behind what it seeks, and so at the
//!   head.
//! - **I3.** Nodes go to the right only: what is moved from one run to another one, when that is split, goes
//!   to a new node further to the right. So who goes to the right through a level from its head comes past
//!   what is there all the time.
//! - **I4.** In each run nodes stand in the order in which they are in their level, and a slot's prefix is below
//!   all that is in its node. (Nearly: what a node had when it was linked may be gone, and another node may have
//!   been put before it since, with a greater prefix; and a node that loses the first of what is in it while it is
//!   linked may come to stand before one that was made to its left. Searches then begin further to the left than
//!   they could; and who looks for a node by its key may have to go through the whole level.)
//!
//! Only I4 needs an order of the keys, and with an `Ord` that lies searches may miss entries.
//!
//! # Progress
//!
//! A search starts again if it has come to a node that has died meanwhile, or if it was misled by what was
//! the first in a node before: then it raises that one's `low`, if that helps, and looks at what is first now
//! where it had gone by `low`. After some times it begins at the head of the level (I2).
//!
//! A new node that could not be linked in the index, for lack of memory, stays out of it.

use core::cmp::Ordering as Order;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;

use super::node::{self, Left, Loose, Node, Place};
use super::page::{Page, Stop};
use super::prefix::Sought;
use super::run::{self, Item, Run, Slots, child};
use crate::atomic::{Atomic, Owned, Ptr};
use crate::guard::Guard;
use crate::hash_map::Entry;
use crate::scheme::Scheme;
use crate::sync::counter::AtomicUsize;
use crate::sync::{MODEL, Ordering};

/// There are no more levels. A branch that was full leads to 15 nodes at least, so this is for more than most
/// memory has room for; with still more of them the highest list gets longer.
pub(super) const LEVELS: usize = if MODEL { 4 } else { 12 };

/// How often a search in the index may be misled, or find nothing where there should be something.
pub(super) const PATIENCE: usize = 8;

/// The heads of all levels.
pub(super) struct List<K, V> {
    /// The runs of the heads, which are like nodes that never die; null is an empty one.
    heads: [Atomic<Run<K, V>>; LEVELS],
    /// The highest level so far in which there is anything, from which searches begin.
    top: AtomicUsize,
    /// What the runs have in their arrays.
    entries: PhantomData<Item<K, V>>,
}

impl<K, V> List<K, V> {
    pub(super) fn new() -> Self {
        let heads = core::array::from_fn(|_| Atomic::null());
        Self { heads, top: AtomicUsize::new(0), entries: PhantomData }
    }

    /// The level of the leaves.
    pub(super) fn leaves<'g, S: Scheme>(&'g self, guard: &'g Guard<'g, S>) -> Level<'g, K, V, S> {
        Level { list: self, guard, number: 0 }
    }
}

/// A level of a list, and a guard of its domain.
pub(super) struct Level<'g, K, V, S: Scheme> {
    pub(super) list: &'g List<K, V>,
    pub(super) guard: &'g Guard<'g, S>,
    pub(super) number: usize,
}

impl<K, V, S: Scheme> Clone for Level<'_, K, V, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V, S: Scheme> Copy for Level<'_, K, V, S> {}

/// Why a search starts again.
pub(super) enum Lost {
    /// It has come to a node that is dead.
    Dead,
    /// It has come to a node all of which is greater: what misled it was there before.
    Misled,
}

impl<'g, K, V, S: Scheme> Level<'g, K, V, S> {
    fn at(self, number: usize) -> Self {
        Self { number, ..self }
    }

    /// The level above, if there can be one.
    pub(super) fn above(self) -> Option<Self> {
        (self.number + 1 < LEVELS).then(|| self.at(self.number + 1))
    }

    /// The level below this one, which is not that of the leaves.
    pub(super) fn below(self) -> Self {
        self.at(self.number - 1)
    }

    /// Where a node's run is, or the head's.
    pub(super) fn home<'s>(self, node: &'s node::Cover<'_, K, V, S>) -> &'s Atomic<Run<K, V>>
    where
        'g: 's,
    {
        // SAFETY: covered, a node of this list.
        unsafe { node.as_ref() }.map_or(self.head(), Node::run)
    }

    /// Where the head's run is.
    pub(super) fn head(self) -> &'g Atomic<Run<K, V>> {
        &self.list.heads[self.number]
    }

    /// From now on searches begin here, or above.
    pub(super) fn raise(self) {
        // It is high enough but for a few times, and then all searches go on to read it from their
        // caches. Relaxed: nothing depends on it but time.
        if self.list.top.load(Ordering::Relaxed) < self.number {
            self.list.top.fetch_max(self.number, Ordering::Relaxed);
        }
    }

    /// Where a search begins in this level.
    #[inline]
    pub(super) fn begin(self, sought: &mut Sought<impl FnMut(&K) -> Order>) -> Stop<'g, K, V, S> {
        let mut misled = 0;
        loop {
            match self.descend(sought) {
                Ok(stop) => return stop,
                Err(Lost::Dead) => {}
                Err(Lost::Misled) if misled < PATIENCE => {
                    sought.be_careful();
                    misled += 1;
                }
                // I2.
                Err(Lost::Misled) => return Stop::at_head(self.guard),
            }
        }
    }

    /// One attempt, from the top.
    #[inline]
    fn descend(
        self,
        sought: &mut Sought<impl FnMut(&K) -> Order>,
    ) -> Result<Stop<'g, K, V, S>, Lost> {
        let mut at = Stop::at_head(self.guard);
        // Relaxed: see `raise`.
        let top = self.list.top.load(Ordering::Relaxed);
        if top > self.number {
            let mut below = self.guard.shield();
            for number in (self.number + 1..=top).rev() {
                self.at(number).step_down(&mut at, &mut below, sought)?;
            }
        }
        Ok(at)
    }

    /// Searches for a place in the map. This is the level of the leaves.
    pub(super) fn locate(self, sought: &mut Sought<impl FnMut(&K) -> Order>) -> Page<'g, K, V, S> {
        let (mut last, mut misled) = (None, 0_usize);
        loop {
            let at = self.begin(sought);
            let Some(mut page) = Page::of_leaf(self, at, sought) else { continue };
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
            // Not at once: it takes a slot.
            if misled >= 4 && misled.is_power_of_two() {
                last = Some((page.spot.run, page.state));
            }
        }
    }
}

/// For whoever has the list to himself.
impl<K, V> List<K, V> {
    /// Goes through the entries.
    pub(super) fn entries(&mut self) -> Entries<K, V> {
        Entries { run: self.heads[0].load(Ordering::Relaxed), live: None }
    }

    /// Takes the first entry out; `None` when all are out, and all memory is freed.
    pub(super) fn take_first<S: Scheme>(&mut self) -> Option<Owned<Entry<K, V>, S>> {
        loop {
            let run = self.heads[0].load(Ordering::Relaxed);
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
            self.heads[0].store(next, Ordering::Relaxed);
        }
    }

    /// Takes the first leaf out, and frees it; returns its run.
    fn take_leaf<S: Scheme>(&mut self, first: Ptr<Node<K, V>>) -> Ptr<Run<K, V>> {
        // SAFETY: linked in the list; nobody else is there.
        let leaf = unsafe { first.as_ref() }.expect("it is not null");
        if leaf.is_indexed() {
            self.take_from_index::<S>(1, first);
        }
        let left = leaf.leave(Place::List);
        debug_assert_eq!(left, Left::Nothing, "whoever has linked it has finished");
        // SAFETY: it is nowhere, and was not retired, as it was in the list.
        let leaf = unsafe { Loose::<K, V, S>::from_ptr(first) };
        leaf.take_run().map_or(Ptr::null(), run::Loose::into_ptr)
    }

    /// Takes a node out of a level of the index, if it is there, and what becomes empty by that.
    fn take_from_index<S: Scheme>(&mut self, number: usize, node: Ptr<Node<K, V>>) {
        let Some(head) = self.heads.get(number) else { return };
        let mut before: Option<Ptr<Run<K, V>>> = None;
        let (mut branch, mut at) = (Ptr::<Node<K, V>>::null(), head.load(Ordering::Relaxed));
        // SAFETY: of this level; nobody else is there.
        while let Some(run) = unsafe { at.as_ref() } {
            // SAFETY: as above.
            let (_, items) = unsafe { run::arrays::<_, _, S>(at) };
            let state = run.state();
            let right = run.right();
            if let Some(slot) = { state.live() }.find(|slot| child(items[*slot]) == node) {
                let state = run.remove(slot, state);
                // SAFETY: as above.
                unsafe { node.as_ref() }.map(|node| node.leave(Place::Index));
                if let (false, Some(before), true) =
                    (branch.is_null(), before, state.is_ok_and(|state| state.live().is_empty()))
                {
                    let beyond = run.beyond();
                    // SAFETY: the run to its left; nobody else is there.
                    let mut before =
                        ManuallyDrop::new(unsafe { run::Loose::<K, V, S>::from_ptr(before) });
                    before.lead_to(right, beyond);
                    self.take_from_index::<S>(number + 1, branch);
                    // SAFETY: it is nowhere any more; nobody else is there.
                    drop(unsafe { Loose::<K, V, S>::from_ptr(branch) });
                }
                return;
            }
            before = Some(at);
            branch = right;
            // SAFETY: as above.
            at = unsafe { run_of(right) };
        }
    }

    /// Frees the index, and what was left there only.
    fn free_index<S: Scheme>(&mut self) {
        for number in 1..LEVELS {
            let mut at = self.heads[number].swap(Ptr::null(), Ordering::Relaxed);
            let mut branch = Ptr::<Node<K, V>>::null();
            // SAFETY: of this level; nobody else is there.
            while let Some(run) = unsafe { at.as_ref() } {
                // SAFETY: as above.
                let (_, items) = unsafe { run::arrays::<_, _, S>(at) };
                for slot in run.state().live() {
                    // SAFETY: in the index; as above.
                    unsafe { free_if_last::<K, V, S>(child(items[slot]), Place::Index) };
                }
                let (run, right) = (at, run.right());
                // SAFETY: in the list; as above.
                at = unsafe { run_of(right) };
                if branch.is_null() {
                    // SAFETY: the head's; nobody else is there.
                    drop(unsafe { run::Loose::<K, V, S>::from_ptr(run) });
                } else {
                    // SAFETY: in the list; as above.
                    unsafe { free_if_last::<K, V, S>(branch, Place::List) };
                }
                branch = right;
            }
        }
        self.top.store(0, Ordering::Relaxed);
    }
}

/// The run of a node, or nothing.
///
/// # Safety
/// The node is there, if it is one, and nobody else uses the list.
unsafe fn run_of<K, V>(node: Ptr<Node<K, V>>) -> Ptr<Run<K, V>> {
    // SAFETY: the caller's.
    let node = unsafe { node.as_ref() };
    node.map_or(Ptr::null(), |node| node.run().load(Ordering::Relaxed).with_tag(0))
}

/// Frees a node, and its run, if it was left in this place only.
///
/// # Safety
/// It is there, and nobody else uses the list.
unsafe fn free_if_last<K, V, S: Scheme>(node: Ptr<Node<K, V>>, place: Place) {
    // SAFETY: the caller's.
    let left = unsafe { node.as_ref() }.map(|node| node.leave(place));
    if left == Some(Left::Nothing) {
        // SAFETY: it is nowhere, and was not retired, as it was there.
        drop(unsafe { Loose::<K, V, S>::from_ptr(node) });
    }
}

/// What there is in a list.
#[cfg(any(loom, crossbeam_loom, all(test, not(shuttle))))]
#[derive(Debug, Default)]
pub(super) struct Census {
    /// For how many entries there is room.
    pub(super) rooms: usize,
    /// How many nodes each level has, dead or alive, beside its head.
    pub(super) nodes: [usize; LEVELS],
    /// How many places, in lists and in the index, dead nodes take up.
    pub(super) dead: usize,
    /// How many nodes the index does not know.
    pub(super) strangers: usize,
}

#[cfg(any(loom, crossbeam_loom, all(test, not(shuttle))))]
impl<K, V> List<K, V> {
    /// For whoever has the list to himself.
    pub(super) fn census<S: Scheme>(&mut self) -> Census {
        let mut census = Census::default();
        // SAFETY: linked, or null; nobody else is there.
        let node = |node: Ptr<Node<K, V>>| unsafe { node.as_ref() };
        let is_dead = |at| usize::from(node(at).is_some_and(Node::is_dead));
        for (number, head) in self.heads.iter().enumerate() {
            let mut at = head.load(Ordering::Relaxed);
            // SAFETY: as above.
            while let Some(run) = unsafe { at.as_ref() } {
                // SAFETY: as above.
                let (_, items) = unsafe { run::arrays::<_, _, S>(at) };
                if number == 0 {
                    census.rooms += run.room();
                } else {
                    census.dead +=
                        run.state().live().map(|slot| is_dead(child(items[slot]))).sum::<usize>();
                }
                census.dead += is_dead(run.right());
                census.nodes[number] += usize::from(node(run.right()).is_some());
                census.strangers +=
                    usize::from(node(run.right()).is_some_and(|node| !node.is_indexed()));
                // SAFETY: as above.
                at = unsafe { run_of(run.right()) };
            }
        }
        census
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
    pub(super) unsafe fn next<S: Scheme>(&mut self) -> Option<Item<K, V>> {
        loop {
            // SAFETY: a leaf's, or the head's; nobody else is there.
            let (run, (_, entries)) =
                unsafe { (self.run.as_ref()?, run::arrays::<_, _, S>(self.run)) };
            let live = self.live.get_or_insert_with(|| run.state().live());
            if let Some(slot) = live.next() {
                return Some(entries[slot]);
            }
            // SAFETY: linked; as above.
            self.run = unsafe { run_of(run.right()) };
            self.live = None;
        }
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::Census;
    use crate::{Domain, Epoch, Hazard, Scheme, SkipMap};

    const KEYS: u64 = if cfg!(miri) { 40 } else { 30_000 };
    const THREADS: u64 = if cfg!(miri) { 2 } else { 4 };

    /// A key without a prefix.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Unknown(u64);

    type Map<K, S> = SkipMap<K, u64, Domain<S>>;

    fn census<K: Ord + Send + 'static, S: Scheme>(map: &mut Map<K, S>) -> Census {
        let census = map.list.census::<S>();
        assert_eq!(map.iter_mut().count(), map.len());
        census
    }

    /// Each thread has its own keys, which lie between those of others.
    fn together(work: impl Fn(u64) + Sync) {
        let start = Barrier::new(THREADS as usize);
        thread::scope(|scope| {
            for first in 0..THREADS {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    // In an order like a random one.
                    let mine = (0..KEYS).map(|number| number * 7_919 % KEYS);
                    mine.filter(|key| key % THREADS == first).for_each(work);
                });
            }
        });
    }

    fn the_index_knows_all_and_forgets_the_dead<K, S>(
        domain: Domain<S>,
        key: impl Fn(u64) -> K + Sync,
    ) where
        K: Ord + Send + Sync + 'static,
        S: Scheme,
    {
        let mut map = Map::<K, S>::with_reclaimer(domain);
        for _ in 0..if cfg!(miri) { 1 } else { 3 } {
            together(|number| assert_eq!(map.insert(key(number), number), None));
            let full = census(&mut map);
            assert!(full.nodes[1] > 0, "{full:?}: there are branches");
            assert_eq!((full.dead, full.strangers), (0, 0), "{full:?}");
            for number in (0..KEYS).step_by(if cfg!(miri) { 4 } else { 1 }) {
                assert_eq!(map.get(&key(number)), Some(number));
            }

            together(|number| assert_eq!(map.remove(&key(number)), Some(number)));
            let empty = census(&mut map);
            assert!(map.is_empty());
            // Who takes the last entry out may look for the leaf where another one has been split meanwhile.
            assert!(empty.nodes.iter().sum::<usize>() <= 8, "{empty:?}");
        }
    }

    /// Leaves and branches that have lost what they began with, and got other entries before it, are found when
    /// they die.
    #[test]
    #[cfg_attr(miri, ignore = "it needs many entries")]
    fn what_has_lost_its_beginning_is_forgotten_all_the_same() {
        const LEAVES: u64 = 4_000;
        let mut map = Map::<u64, Hazard>::with_reclaimer(Domain::new());
        (0..LEAVES * 30).for_each(|number| drop(map.pin().insert(number * 10, number)));
        for leaf in 0..LEAVES {
            map.pin().remove_range(leaf * 300..leaf * 300 + 200);
            (0..20).for_each(|number| drop(map.pin().insert(leaf * 300 + number, number)));
        }
        let full = census(&mut map);
        map.pin().remove_range(1_000..);
        let empty = census(&mut map);
        assert!(empty.nodes.iter().sum::<usize>() <= 20, "{full:?} {empty:?}");
    }

    /// Under Miri, which takes long, each scheme has its turn, and each kind of key.
    #[test]
    fn the_index_knows_all_and_forgets_the_dead_of_known_keys() {
        if !cfg!(miri) {
            the_index_knows_all_and_forgets_the_dead(Domain::<Epoch>::new(), |number| number);
        }
        the_index_knows_all_and_forgets_the_dead(Domain::<Hazard>::new(), |number| number);
    }

    #[test]
    fn the_index_knows_all_and_forgets_the_dead_of_unknown_keys() {
        the_index_knows_all_and_forgets_the_dead(Domain::<Epoch>::new(), Unknown);
        if !cfg!(miri) {
            the_index_knows_all_and_forgets_the_dead(Domain::<Hazard>::new(), Unknown);
        }
    }
}
