//! Putting a new run in the place of a leaf's: how entries get into the map.
//!
//! 1. The blocks that will be needed are allocated. After that nothing can fail.
//! 2. The old run is sealed. What is in it is settled then: its entries can be taken out only by
//!    whoever replaces it.
//! 3. A new run is made of what is left in it, and the new entry. If that is too much for one, the
//!    upper half goes to a new leaf to the right of this one. (If so many were removed before the sealing
//!    that the run would be sparse, it gets a smaller block, when there is one to be had.)
//! 4. A CAS puts the new run, and with it the new leaf, in place. It fails if somebody else has
//!    replaced the sealed one.
//!
//! Nobody waits for who has sealed a run and sleeps: whoever wants to change it replaces it as well, with
//! his own change, be that an entry less; so whose CAS fails has made way for somebody's change. Readers do
//! not care.
//!
//! # Invariants
//!
//! - **I1.** A new entry goes into a leaf only if the first entry there, as it was sealed, is not
//!   greater (the head takes all), and that of the next leaf was seen to be greater. Leaves get no
//!   lesser first entries than they had; so each entry of a leaf is less than all of those further
//!   to the right, now and later. (With an `Ord` that lies it is not, and nothing unsafe depends on it.)
//! - **I2.** Whose CAS succeeds has taken the old run out of the map, and the dead leaves that were
//!   between it and the next one: no other run leads there. So he retires the one, and takes a list
//!   off the count of the others.

use core::alloc::Layout;

use super::leaf::{self, Leaf, retire_if};
use super::list::List;
use super::page::{Page, home};
use super::run::{self, Run, State, most};
use super::{height, prefix};
use crate::atomic::Ptr;
use crate::guard::Guard;
use crate::hash_map::Entry;
use crate::scheme::Scheme;
use crate::sync::Ordering;

/// What became of a rebuilding.
pub(super) enum Rebuilt<'g, K, V, S: Scheme> {
    /// The change is made. A new entry took the place of the one that the page has found, or of none. A
    /// new leaf was made, or not: who made it builds its tower.
    Done {
        has_replaced: bool,
        new_leaf: Option<leaf::Cover<'g, K, V, S>>,
        /// The new run, if nothing is in it. If it is a leaf's, that has died with this.
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

/// Where a run is split: the new leaf, and its run.
struct Upper<K, V, S: Scheme> {
    leaf: leaf::Loose<K, V, S>,
    run: run::Loose<K, V, S>,
}

impl<K, V, S: Scheme> Blocks<K, V, S> {
    /// For so many entries, of which `low` stay if they are too many. An error, with the layout of
    /// what could not be had, if there is no memory.
    fn try_new(guard: &Guard<'_, S>, count: usize, low: usize) -> Result<Self, Layout> {
        let run =
            |len| run::Loose::try_new(guard, len).ok_or_else(|| run::Loose::<K, V, S>::layout(len));
        if count <= most() {
            return Ok(Self { run: run(count)?, upper: None });
        }
        let height = height::random();
        let leaf = leaf::Loose::try_new(guard, height);
        let leaf = leaf.ok_or_else(|| leaf::Loose::<K, V, S>::layout(height))?;
        Ok(Self { run: run(most())?, upper: Some(Upper { leaf, run: run(count - low)? }) })
    }

    /// Fills them with these entries: all in the one run, if they are not too many. Returns the run, and
    /// the new leaf to the right of it.
    #[expect(clippy::type_complexity, reason = "a run and a leaf")]
    fn fill(
        self,
        guard: &Guard<'_, S>,
        entries: impl Iterator<Item = New<K, V>> + Clone,
        low: usize,
        right: Ptr<Leaf<K, V>>,
    ) -> (run::Loose<K, V, S>, Option<leaf::Loose<K, V, S>>) {
        let Self { mut run, upper } = self;
        let upper = upper.filter(|_| entries.clone().count() > most());
        let Some(Upper { leaf, run: mut high }) = upper else {
            // Some may have been removed before the old run was sealed.
            run.make_fit(guard, entries.clone().count());
            entries.for_each(|new| run.push(new.prefix, new.entry));
            run.lead_to(right);
            return (run, None);
        };
        entries.clone().take(low).for_each(|new| run.push(new.prefix, new.entry));
        let mut rest = entries.skip(low).peekable();
        let lowest = rest.peek().map_or(0, |new| new.prefix);
        rest.for_each(|new| high.push(new.prefix, new.entry));
        high.lead_to(right);
        run.lead_to(leaf.as_ptr());
        leaf.fill(lowest, high);
        (run, Some(leaf))
    }
}

/// A new entry, which is the caller's until it is in.
pub(super) struct New<K, V> {
    prefix: usize,
    entry: Ptr<Entry<K, V>>,
}

impl<K, V> Clone for New<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for New<K, V> {}

impl<K, V> New<K, V> {
    /// # Safety
    /// The entry is the caller's.
    pub(super) unsafe fn of(entry: Ptr<Entry<K, V>>) -> Self {
        // SAFETY: the caller's.
        let prefix = unsafe { entry.as_ref() }.map_or(0, |entry| prefix::of(&entry.key));
        Self { prefix, entry }
    }
}

/// What a new run differs in from the old one.
pub(super) enum Change<K, V> {
    /// In nothing, but that it does not lead to dead leaves.
    Nothing,
    /// This entry is in the page's place.
    Put(New<K, V>),
    /// The entry that the page has found is missing.
    Take,
}

/// Puts a new run in the place of a page's. Entries are neither freed nor retired.
///
/// An error, with the layout of what could not be had, if there is no memory; then nothing was done.
///
/// # Safety
/// The page is of this list, whose domain's the guard is; the new entry is the caller's, and is the
/// list's when this returns [`Rebuilt::Done`].
pub(super) unsafe fn rebuild<'g, K, V, S: Scheme>(
    list: &List<K, V>,
    guard: &'g Guard<'g, S>,
    page: &Page<'g, K, V, S>,
    change: Change<K, V>,
) -> Result<Rebuilt<'g, K, V, S>, Layout> {
    let spot = &page.spot;
    let is_more = matches!(change, Change::Put(_)) && !page.found;
    let count = page.state.live().len() + usize::from(is_more);
    let low = split_at(page, count);
    let blocks = Blocks::try_new(guard, count, low)?;

    // SAFETY: covered.
    let (old, (prefixes, entries)) =
        unsafe { (spot.run.as_ref(), run::arrays::<_, _, S>(spot.run.ptr())) };
    let state = old.map_or(State::NONE, Run::seal);
    let live = state.live();
    let is_head = spot.leaf.ptr().is_null();
    // I3 of `leaf`.
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
    let stays = |slot| New { prefix: prefixes[slot], entry: entries[slot] };
    let behind = live.from(spot.slot + usize::from(goes));
    let all = live.before(spot.slot).map(stays).chain(new).chain(behind.map(stays));

    let is_empty = all.clone().next().is_none();
    let (run, leaf) = blocks.fill(guard, all, low, page.next.ptr());
    let mut new_leaf = guard.shield();
    if let Some(leaf) = &leaf {
        // Announced before it is linked, so before anyone can retire it.
        new_leaf.announce_if(leaf.as_ptr(), || true);
    }
    // Release: publishes the run, the new entry and the leaf. Whoever finds an entry missing comes
    // after its removal, as sealing does.
    let replaced = home(list, &spot.leaf).compare_exchange(
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
    let new_leaf = leaf.map(|leaf| {
        let _ = leaf.into_ptr();
        new_leaf
    });
    if let Some(old) = old {
        // SAFETY: I2.
        unsafe {
            release_dead(guard, old.right, page.next.ptr());
            run::retire(guard, spot.run.ptr());
        }
    }
    Ok(if fits {
        Rebuilt::Done { has_replaced: is_there, new_leaf, empty }
    } else {
        Rebuilt::Stale
    })
}

/// How many entries stay where they are if a run is split: half of them; but a map that only grows at
/// its end, or at its beginning, is left full.
fn split_at<K, V, S: Scheme>(page: &Page<'_, K, V, S>, count: usize) -> usize {
    let (live, slot) = (page.state.live(), page.spot.slot);
    if page.next.ptr().is_null() && live.from(slot).is_empty() {
        count.saturating_sub(1)
    } else if page.spot.leaf.ptr().is_null() && live.before(slot).is_empty() {
        1
    } else {
        count - count / 2
    }
}

/// Takes off the count the dead leaves that are linked no more, from one up to that before another.
///
/// # Safety
/// The caller has unlinked them (I2).
unsafe fn release_dead<K, V, S: Scheme>(
    guard: &Guard<'_, S>,
    from: Ptr<Leaf<K, V>>,
    to: Ptr<Leaf<K, V>>,
) {
    let mut dead = from;
    while dead != to {
        // SAFETY: it is not retired before its last list is taken off the count, nor is its run.
        let Some(leaf) = (unsafe { dead.as_ref() }) else { return };
        // SAFETY: as above. Acquire: the run.
        let run = unsafe { leaf.run().load(Ordering::Acquire).as_ref() };
        let right = run.map_or(Ptr::null(), |run| run.right);
        let left = leaf.release(1);
        // SAFETY: said of this leaf, to us.
        unsafe { retire_if(guard, left, dead) };
        dead = right;
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
mod tests {
    use crate::{Domain, Epoch, SkipMap};

    type Map = SkipMap<u32, u32, Domain<Epoch>>;

    const ENTRIES: u32 = if cfg!(miri) { 90 } else { 30_000 };

    fn filled(keys: impl Iterator<Item = u32>) -> Map {
        let map = Map::with_reclaimer(Domain::new());
        keys.for_each(|key| {
            map.insert(key, key);
        });
        map
    }

    /// For how many entries there is room in the map, for each that it has.
    fn room_for_one(map: &mut Map) -> f64 {
        let (room, len) = (map.list.rooms(), map.len());
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
