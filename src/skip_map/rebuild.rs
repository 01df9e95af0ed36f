//! Putting a new run in the place of a node's: how entries get into the map, and nodes into the index.
//!
//! 1. The blocks that will be needed are allocated. After that nothing can fail.
//! 2. The old run is sealed. What is in it is settled then: its items can be taken out only by
//!    whoever replaces it.
//! 3. A new run is made of what is left in it, and the new item. If that is too much for one, the
//!    upper half goes to a new node to the right of this one. (If so many were removed before the sealing
//!    that the run would be sparse, it gets a smaller block, when there is one to be had.)
//! 4. A CAS puts the new run, and with it the new node, in place. It fails if somebody else has
//!    replaced the sealed one.
//!
//! Nobody waits for who has sealed a run and sleeps: whoever wants to change it replaces it as well, with
//! his own change, be that an item less; so whose CAS fails has made way for somebody's change. Readers do
//! not care.
//!
//! # Invariants
//!
//! - **I1.** A new entry goes into a leaf only if the first entry there, as it was sealed, is not
//!   greater (the head takes all), and that of the next leaf was seen to be greater, or `beyond` said so.
//!   Leaves get no lesser first entries than they had; so each entry of a leaf is less than all of those
//!   further to the right, now and later. (With an `Ord` that lies it is not, and nothing unsafe depends on
//!   it. In the index it is nearly so: I4 of `list`.)
//! - **I2.** Whose CAS succeeds has taken the old run out of its level, and the dead nodes that were
//!   between it and the next one: no other run leads there. So he retires the one, and the others leave
//!   the list.

use core::alloc::Layout;

use super::list::Level;
use super::node::{self, Node, Place, retire_if};
use super::page::{Page, right_of};
use super::prefix;
use super::run::{self, New, Run, State, most};
use crate::atomic::Ptr;
use crate::guard::Guard;
use crate::hash_map::Entry;
use crate::scheme::Scheme;
use crate::sync::Ordering;

/// What became of a rebuilding.
pub(super) enum Rebuilt<K, V> {
    /// The change is made. A new entry took the place of the one that the page has found, or of none. A
    /// new node was made, or not: who made it links it in the index, and until then it lives (I1 of `index`).
    Done {
        has_replaced: bool,
        new_node: Option<Ptr<Node<K, V>>>,
        /// The new run, if nothing is in it. If it is a node's, that has died with this.
        empty: Option<Ptr<Run<K, V>>>,
    },
    /// The page is not up to date.
    Stale,
}

/// The blocks for a rebuilding.
struct Blocks<K, V, S: Scheme> {
    run: run::Loose<K, V, S>,
    upper: Option<Upper<K, V, S>>,
}

/// Where a run is split: the new node, and its run.
struct Upper<K, V, S: Scheme> {
    node: node::Loose<K, V, S>,
    run: run::Loose<K, V, S>,
}

/// Where a run leads to, and what no prefix there is below.
#[derive(Debug)]
struct Right<K, V> {
    node: Ptr<Node<K, V>>,
    beyond: usize,
}

impl<K, V, S: Scheme> Blocks<K, V, S> {
    /// For so many items, of which `low` stay if they are more than `most`. An error, with the layout of
    /// what could not be had, if there is no memory.
    fn try_new(
        guard: &Guard<'_, S>,
        count: usize,
        low: usize,
        most: usize,
    ) -> Result<Self, Layout> {
        let run =
            |len| run::Loose::try_new(guard, len).ok_or_else(|| run::Loose::<K, V, S>::layout(len));
        if count <= most {
            return Ok(Self { run: run(count)?, upper: None });
        }
        let node = node::Loose::try_new(guard).ok_or_else(node::Loose::<K, V, S>::layout)?;
        Ok(Self { run: run(most)?, upper: Some(Upper { node, run: run(count - low)? }) })
    }

    /// Fills them with these items: all in the one run, if they are not too many. Returns the run, and
    /// the new node to the right of it.
    #[expect(clippy::type_complexity, reason = "a run and a node")]
    fn fill(
        self,
        guard: &Guard<'_, S>,
        items: impl Iterator<Item = New<K, V>> + Clone,
        (low, most): (usize, usize),
        right: Right<K, V>,
    ) -> (run::Loose<K, V, S>, Option<node::Loose<K, V, S>>) {
        let Self { mut run, upper } = self;
        let upper = upper.filter(|_| items.clone().count() > most);
        let Some(Upper { node, run: mut high }) = upper else {
            // Some may have been removed before the old run was sealed.
            run.make_fit(guard, items.clone().count());
            items.for_each(|new| run.push(new));
            run.complete(right.node, right.beyond);
            return (run, None);
        };
        items.clone().take(low).for_each(|new| run.push(new));
        let mut rest = items.skip(low).peekable();
        let lowest = rest.peek().map_or(0, |new| new.prefix);
        rest.for_each(|new| high.push(new));
        high.complete(right.node, right.beyond);
        run.complete(node.as_ptr(), lowest);
        node.fill(lowest, high);
        (run, Some(node))
    }
}

/// An entry to be put in, with its prefix.
///
/// # Safety
/// The entry is the caller's.
pub(super) unsafe fn new_entry<K, V>(entry: Ptr<Entry<K, V>>) -> New<K, V> {
    // SAFETY: the caller's.
    let prefix = unsafe { entry.as_ref() }.map_or(0, |entry| prefix::of(&entry.key));
    New { prefix, item: entry }
}

/// What a new run differs in from the old one.
pub(super) enum Change<K, V> {
    /// In nothing, but that it does not lead to dead nodes.
    Nothing,
    /// This item is in the page's place.
    Put(New<K, V>),
    /// The item that the page has found is missing.
    Take,
}

/// Puts a new run in the place of a page's. Items are neither freed nor retired.
///
/// An error, with the layout of what could not be had, if there is no memory; then nothing was done.
///
/// # Safety
/// The page is of this level; the new item is the caller's, and is the level's when this returns
/// [`Rebuilt::Done`].
pub(super) unsafe fn rebuild<K, V, S: Scheme>(
    level: Level<'_, K, V, S>,
    page: &Page<'_, K, V, S>,
    change: Change<K, V>,
) -> Result<Rebuilt<K, V>, Layout> {
    let (guard, spot) = (level.guard, &page.spot);
    let is_more = matches!(change, Change::Put(_)) && !page.found;
    let count = page.state.live().len() + usize::from(is_more);
    // Only what gets more is split.
    let most = most(level.number).max(if is_more { 1 } else { count });
    let low = split_at(page, count);
    let blocks = Blocks::try_new(guard, count, low, most)?;
    // Most of the time what is to the right is left alone: it is in no cache. If the run is split, a dead node
    // there would be to the right of the new one, where he does not look who has taken its last entry.
    let is_tidy = count > most || !matches!(change, Change::Put(_));
    let Ok(right) = right(level, page, is_tidy) else { return Ok(Rebuilt::Stale) };

    // SAFETY: covered.
    let (old, (prefixes, items)) =
        unsafe { (spot.run.as_ref(), run::arrays::<_, _, S>(spot.run.ptr())) };
    let state = old.map_or(State::NONE, Run::seal);
    let live = state.live();
    let is_head = spot.node.ptr().is_null();
    // I2 of `node`.
    if live.is_empty() && !is_head {
        return Ok(Rebuilt::Stale);
    }
    let is_there = page.found && live.has(spot.slot);
    let fits = match change {
        Change::Nothing => true,
        // What was decided for the entry that was found is not for another one, or none.
        Change::Put(_) if page.found => is_there,
        // I1.
        Change::Put(_) => is_head || page.is_forced || !live.before(spot.slot).is_empty(),
        Change::Take => is_there,
    };
    let (new, goes) = match change {
        Change::Put(new) if fits => (Some(new), is_there),
        Change::Take => (None, is_there),
        _ => (None, false),
    };
    let stays = |slot| New { prefix: prefixes[slot], item: items[slot] };
    let behind = live.from(spot.slot + usize::from(goes));
    let all = live.before(spot.slot).map(stays).chain(new).chain(behind.map(stays));

    let is_empty = all.clone().next().is_none();
    let next = right.node;
    let (run, node) = blocks.fill(guard, all, (low, most), right);
    // Release: publishes the run, the new item and the node. Whoever finds an item missing comes
    // after its removal, as sealing does.
    let replaced = level.home(&spot.node).compare_exchange(
        spot.run.ptr(),
        run.as_ptr(),
        Ordering::Release,
        Ordering::Relaxed,
    );
    if replaced.is_err() {
        return Ok(Rebuilt::Stale);
    }
    let run = run.into_ptr();
    let empty = is_empty.then_some(run);
    let new_node = node.map(node::Loose::into_ptr);
    if let Some(old) = old {
        // SAFETY: I2.
        unsafe {
            release_dead(guard, old.right(), next);
            run::retire(guard, spot.run.ptr());
        }
    }
    Ok(if fits {
        Rebuilt::Done { has_replaced: is_there, new_node, empty }
    } else {
        Rebuilt::Stale
    })
}

/// Where the new run of a page leads to: past dead nodes, if it is to be tidy. An error if the page is not up
/// to date.
///
/// As long as the page's run is its node's, what this returns is in the list (I2 of `page`), so it need not be
/// covered until that is replaced.
fn right<K, V, S: Scheme>(
    level: Level<'_, K, V, S>,
    page: &Page<'_, K, V, S>,
    is_tidy: bool,
) -> Result<Right<K, V>, ()> {
    // SAFETY: covered.
    let Some(old) = (unsafe { page.spot.run.as_ref() }) else {
        return Ok(Right { node: Ptr::null(), beyond: 0 });
    };
    if !is_tidy {
        return Ok(Right { node: old.right(), beyond: old.beyond() });
    }
    let (mut next, mut its_run) = (level.guard.shield(), level.guard.shield());
    let home = level.home(&page.spot.node);
    right_of(home, &page.spot.run, &mut next, &mut its_run, |_| false)?;
    // SAFETY: covered.
    let beyond = unsafe { next.as_ref() }.map_or(0, Node::low);
    Ok(Right { node: next.ptr(), beyond })
}

/// How many items stay where they are if a run is split: half of them; but what only grows at its end, or at
/// its beginning, is left full.
fn split_at<K, V, S: Scheme>(page: &Page<'_, K, V, S>, count: usize) -> usize {
    let (live, slot) = (page.state.live(), page.spot.slot);
    // SAFETY: covered.
    let is_last = unsafe { page.spot.run.as_ref() }.is_none_or(|run| run.right().is_null());
    if is_last && live.from(slot).is_empty() {
        count.saturating_sub(1)
    } else if page.spot.node.ptr().is_null() && live.before(slot).is_empty() {
        1
    } else {
        count - count / 2
    }
}

/// Takes the dead nodes that are linked no more out of the list, from one up to that before another.
///
/// # Safety
/// The caller has unlinked them (I2).
unsafe fn release_dead<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    from: Ptr<Node<K, V>>,
    to: Ptr<Node<K, V>>,
) {
    let mut dead = from;
    while dead != to {
        // SAFETY: it is not retired before it leaves the list, nor is its run.
        let Some(node) = (unsafe { dead.as_ref() }) else { return };
        // SAFETY: as above. Acquire: the run.
        let run = unsafe { node.run().load(Ordering::Acquire).as_ref() };
        let right = run.map_or(Ptr::null(), Run::right);
        let left = node.leave(Place::List);
        // SAFETY: said of this node, to us.
        unsafe { retire_if(guard, left, dead) };
        dead = right;
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
mod tests {
    use crate::{Domain, Epoch, SkipMap};

    type Map = SkipMap<u32, u32, Domain<Epoch>>;

    const ENTRIES: u32 = if cfg!(miri) { 60 } else { 30_000 };

    fn filled(keys: impl Iterator<Item = u32>) -> Map {
        let map = Map::with_reclaimer(Domain::new());
        keys.for_each(|key| {
            map.insert(key, key);
        });
        map
    }

    /// For how many entries there is room in the map, for each that it has.
    fn room_for_one(map: &mut Map) -> f64 {
        let (room, len) = (map.list.census::<Epoch>().rooms, map.len());
        f64::from(u32::try_from(room).unwrap()) / f64::from(u32::try_from(len).unwrap())
    }

    fn assert_room(mut map: Map, most: f64) {
        let room = room_for_one(&mut map);
        assert!(room <= most, "room for {room}");
    }

    #[test]
    fn what_grows_at_an_end_is_full() {
        assert_room(filled(0..ENTRIES), 1.1);
        assert_room(filled((0..ENTRIES).rev()), 1.1);
    }

    /// In an order like a random one.
    #[test]
    fn what_grows_everywhere_is_half_full() {
        assert_room(filled((0..ENTRIES).map(|key| key.wrapping_mul(0x9e37_79b9))), 1.8);
    }

    #[test]
    fn what_has_lost_most_becomes_smaller() {
        let map = filled(0..ENTRIES);
        map.pin().retain(|key, _| key % 10 == 0);
        assert_room(map, 3.0);
        let map = filled(0..ENTRIES);
        (0..ENTRIES)
            .filter(|key| key % 10 != 0)
            .for_each(|key| assert!(map.remove(&key).is_some()));
        assert_room(map, 3.0);
    }

    /// Each leaf loses its first entries, and with them the ground where they were.
    #[test]
    fn what_has_lost_its_first_entries_becomes_smaller() {
        let leaves = ENTRIES / 30;
        let map = filled(0..leaves * 30);
        for leaf in (0..leaves).rev() {
            map.pin().remove_range(leaf * 30..leaf * 30 + 29);
        }
        assert_room(map, 3.0);
    }
}
