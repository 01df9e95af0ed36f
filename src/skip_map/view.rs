//! The operations of a map under a guard: a search, and a CAS at its end.
//!
//! # Invariants
//!
//! - **I1.** User code (`Ord`, closures) may panic: nothing is half changed then. What is put in or taken
//!   out is counted, and what was taken out retired, before the next key is compared; for new leaves and dead
//!   ones see `index`.

use core::alloc::Layout;
use core::borrow::Borrow;
use core::cmp::Ordering as Order;
use core::ops::Bound;
use std::alloc::handle_alloc_error;

use super::index::Burial;
use super::list::Level;
use super::node::Left;
use super::page::{Cover, Page, Spot};
use super::prefix::Sought;
use super::rebuild::{Change, Rebuilt, new_entry, rebuild};
use super::run::Run;
use super::{Compute, Operation, SkipMap, TryInsertError};
use crate::atomic::{AllocError, Owned, Ptr};
use crate::domain::Reclaimer;
use crate::guard::{Guard, RECLAIM_BUDGET, Ref};
use crate::hash_map::Entry;
use crate::scheme::Scheme;
use crate::turn::Turn;

/// A map, and a guard of its domain.
pub(super) struct View<'g, K, V, R: Reclaimer> {
    map: &'g SkipMap<K, V, R>,
    guard: &'g Guard<'g, R::Scheme>,
}

impl<K, V, R: Reclaimer> Clone for View<'_, K, V, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V, R: Reclaimer> Copy for View<'_, K, V, R> {}

pub(super) type EntryRef<'g, K, V, R> = Ref<'g, Entry<K, V>, <R as Reclaimer>::Scheme>;
pub(super) type ValueRef<'g, V, R> = Ref<'g, V, <R as Reclaimer>::Scheme>;
pub(super) type CoverOf<'g, K, V, R> = Cover<'g, K, V, <R as Reclaimer>::Scheme>;
pub(super) type SpotOf<'g, K, V, R> = Spot<'g, K, V, <R as Reclaimer>::Scheme>;
pub(super) type StandOf<'g, K, V, R> = Stand<'g, K, V, <R as Reclaimer>::Scheme>;
/// A place for one more cover.
type AlsoOf<'s, 'g, K, V, R> = Option<&'s mut Option<CoverOf<'g, K, V, R>>>;
type PageOf<'g, K, V, R> = Page<'g, K, V, <R as Reclaimer>::Scheme>;
type Replaced<'g, K, V, R> = Option<EntryRef<'g, K, V, R>>;
type OwnedOf<K, V, R> = Owned<Entry<K, V>, <R as Reclaimer>::Scheme>;

pub(super) fn value<'g, K, V, S: Scheme>(entry: Ref<'g, Entry<K, V>, S>) -> Ref<'g, V, S> {
    Ref::map(entry, |entry| &entry.value)
}

/// The entry that a shield covers, which is not nothing.
pub(super) fn entry<'g, K, V, S: Scheme>(cover: Cover<'g, K, V, S>) -> Ref<'g, Entry<K, V>, S> {
    // SAFETY: covered, of the map's domain; entries are only borrowed shared.
    let entry = unsafe { cover.into_ref(|entry| entry) };
    entry.expect("the shield covers an entry")
}

/// The entry of a spot that covers one.
pub(super) fn of_spot<'g, K, V, S: Scheme>(spot: Spot<'g, K, V, S>) -> Ref<'g, Entry<K, V>, S> {
    entry(spot.into_entry())
}

/// Whether a key is less than another one, and that greater than it.
fn is_less<K: Ord>(key: &K, other: &K) -> bool {
    (key.cmp(other), other.cmp(key)) == (Order::Less, Order::Greater)
}

/// Where an iteration stands.
pub(super) enum Stand<'g, K, V, S: Scheme> {
    /// At a spot.
    At(Spot<'g, K, V, S>),
    /// Where an entry was, of which no more is known.
    Was(Cover<'g, K, V, S>),
}

impl<'g, K, V, S: Scheme> Stand<'g, K, V, S> {
    pub(super) fn entry(&self) -> &Cover<'g, K, V, S> {
        match self {
            Self::At(spot) => &spot.entry,
            Self::Was(entry) => entry,
        }
    }

    /// The entry; all else is let go of.
    pub(super) fn into_entry(self) -> Cover<'g, K, V, S> {
        match self {
            Self::At(spot) => spot.into_entry(),
            Self::Was(entry) => entry,
        }
    }
}

/// The entry that a shield covers; `None` if it covers nothing.
pub(super) fn peek<'s, K, V, S: Scheme>(cover: &'s Cover<'_, K, V, S>) -> Option<&'s Entry<K, V>> {
    // SAFETY: as in `entry`.
    unsafe { cover.as_ref() }
}

/// What a removal has left of a leaf.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// Enough.
    Enough,
    /// So little that a smaller run would do.
    Little,
    /// Nothing: it is dead, and to be taken out of all lists.
    Nothing(Left),
}

/// What became of an entry that was to be taken out.
enum Taken {
    /// It was taken out here.
    Here(Leaves),
    /// Somebody else has taken it out.
    Gone,
    /// Its run is sealed, or was replaced: it may be in another one.
    Sealed,
}

/// Why an entry was not put in: it comes back.
enum NotPut<K, V, S: Scheme> {
    Stale(Owned<Entry<K, V>, S>),
    NoMemory(Owned<Entry<K, V>, S>, Layout),
}

/// For a search that is to pass all that are `below`, and no others.
fn up_to(below: bool) -> Order {
    if below { Order::Less } else { Order::Greater }
}

impl<'g, K, V, R: Reclaimer> View<'g, K, V, R> {
    pub(super) fn new(map: &'g SkipMap<K, V, R>, guard: &'g Guard<'g, R::Scheme>) -> Self {
        Self { map, guard }
    }

    /// Covers an entry that is not in the map yet, so that it can be referred to once it is.
    fn cover(self, entry: &OwnedOf<K, V, R>) -> CoverOf<'g, K, V, R> {
        let mut shield = self.guard.shield();
        // Announced before it is in, so before anyone can retire it.
        shield.announce_if(entry.as_ptr(), || true);
        shield
    }
}

impl<'g, K, V, R> View<'g, K, V, R>
where
    K: Ord + Send + 'static,
    V: Send + 'static,
    R: Reclaimer,
{
    /// The leaves.
    fn leaves(self) -> Level<'g, K, V, R::Scheme> {
        self.map.list.leaves(self.guard)
    }

    /// Searches for a key.
    fn find<Q>(self, key: &Q) -> PageOf<'g, K, V, R>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let mut sought = Sought::by(key, |other: &K| other.borrow().cmp(key));
        self.leaves().locate(&mut sought)
    }

    /// Searches for the place behind all keys that are `before` it, which is by a key.
    fn locate<Q>(self, key: &Q, before: impl Fn(&Q) -> bool) -> PageOf<'g, K, V, R>
    where
        K: Borrow<Q>,
        Q: ?Sized,
    {
        let mut sought = Sought::by(key, |other: &K| up_to(before(other.borrow())));
        self.leaves().locate(&mut sought)
    }

    /// A key's entry, covered.
    pub(super) fn get<Q>(self, key: &Q) -> Option<CoverOf<'g, K, V, R>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let page = self.find(key);
        page.found.then_some(page.spot.entry)
    }

    /// The first entry that is not below a bound, covered once more for somebody else.
    pub(super) fn seek<Q>(
        self,
        bound: Bound<&Q>,
        mut also: AlsoOf<'_, 'g, K, V, R>,
    ) -> Option<SpotOf<'g, K, V, R>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let leaves = self.leaves();
        loop {
            let page = match bound {
                Bound::Unbounded => None,
                Bound::Included(from) => Some(self.locate(from, |key| key < from)),
                Bound::Excluded(from) => Some(self.locate(from, |key| key <= from)),
            };
            let is_forced = page.as_ref().is_some_and(|page| page.is_forced);
            let mut spot = page.map_or_else(|| Spot::first(leaves), Page::into_spot);
            let slot = spot.slot;
            // Not before: a search needs slots itself.
            let also = also.as_deref_mut().map(|also| also.insert(self.guard.shield()));
            let found = spot.forward(leaves, slot, is_forced, also);
            if let Ok(found) = found {
                return found.then_some(spot);
            }
        }
    }

    /// The last entry that is not above a bound, covered once more for somebody else.
    pub(super) fn seek_back<Q>(
        self,
        bound: Bound<&Q>,
        mut also: AlsoOf<'_, 'g, K, V, R>,
    ) -> Option<SpotOf<'g, K, V, R>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let leaves = self.leaves();
        loop {
            let page = match bound {
                Bound::Unbounded => leaves.locate(&mut Sought::end(|_: &K| Order::Less)),
                Bound::Included(to) => self.locate(to, |key| key <= to),
                Bound::Excluded(to) => self.locate(to, |key| key < to),
            };
            let (is_forced, mut spot) = (page.is_forced, page.into_spot());
            let slot = spot.slot;
            let also = also.as_deref_mut().map(|also| also.insert(self.guard.shield()));
            match spot.back(leaves, slot, also) {
                Ok(true) => return Some(spot),
                Ok(false) if is_forced || spot.node.ptr().is_null() => return None,
                _ => {}
            }
        }
    }

    /// Goes on to the entry behind one that is, or was, in the map, and covers it once more.
    pub(super) fn seek_behind(
        self,
        entry: CoverOf<'g, K, V, R>,
        also: &mut Option<CoverOf<'g, K, V, R>>,
    ) -> Option<SpotOf<'g, K, V, R>> {
        let key = &peek(&entry)?.key;
        let spot = self.seek(Bound::Excluded(key), Some(also))?;
        // With an `Ord` that lies it might be one where the iteration has been before.
        is_less(key, &peek(&spot.entry)?.key).then_some(spot)
    }

    /// Goes back to the entry before one that is, or was, in the map, and covers it once more.
    pub(super) fn seek_before(
        self,
        entry: CoverOf<'g, K, V, R>,
        also: &mut Option<CoverOf<'g, K, V, R>>,
    ) -> Option<SpotOf<'g, K, V, R>> {
        let key = &peek(&entry)?.key;
        let spot = self.seek_back(Bound::Excluded(key), Some(also))?;
        // As above.
        is_less(&peek(&spot.entry)?.key, key).then_some(spot)
    }

    /// Goes on from a spot to the next entry, and covers it once more. False if there is none, an error if
    /// the spot's leaf has changed.
    ///
    /// Who is easy does not care what was put in between meanwhile.
    pub(super) fn step(
        self,
        spot: &mut SpotOf<'g, K, V, R>,
        is_easy: bool,
        also: &mut Option<CoverOf<'g, K, V, R>>,
    ) -> Result<bool, ()> {
        let (next, also) = (spot.slot + 1, also.insert(self.guard.shield()));
        spot.forward(self.leaves(), next, is_easy, Some(also))
    }

    /// Goes back from a spot to the entry before, and covers it once more. False if it is in another leaf, or
    /// this one has changed.
    pub(super) fn step_back(
        self,
        spot: &mut SpotOf<'g, K, V, R>,
        also: &mut Option<CoverOf<'g, K, V, R>>,
    ) -> bool {
        let (slot, also) = (spot.slot, also.insert(self.guard.shield()));
        spot.back(self.leaves(), slot, Some(also)) == Ok(true)
    }

    /// Where what has the key now is of an entry that was in the map.
    pub(super) fn find_again(self, entry: &CoverOf<'g, K, V, R>) -> Option<SpotOf<'g, K, V, R>> {
        let page = self.find(&peek(entry)?.key);
        page.found.then_some(page.spot)
    }

    /// Takes the entry of a spot out.
    ///
    /// If it does, the run was its leaf's then, as it was not sealed; and so what follows the entry is
    /// what had followed it in that run and those to the right, less what was removed.
    fn take(self, spot: &SpotOf<'g, K, V, R>) -> Taken {
        // SAFETY: covered.
        let Some(run) = (unsafe { spot.run.as_ref() }) else { return Taken::Gone };
        let mut state = run.state();
        while state.live().has(spot.slot) {
            if state.is_sealed() {
                return Taken::Sealed;
            }
            match run.remove(spot.slot, state) {
                Ok(state) => {
                    let empty = state.live().is_empty().then_some(spot.run.ptr());
                    let leaves = self.taken(spot, empty);
                    return Taken::Here(if run.is_sparse(state) { Leaves::Little } else { leaves });
                }
                Err(changed) => state = changed,
            }
        }
        Taken::Gone
    }

    /// Takes the entry that a page has found out of a sealed run, by putting one without it in its place.
    ///
    /// # Panics
    /// Aborts as `Box::new` does when there is no memory.
    fn take_from_sealed(self, page: &PageOf<'g, K, V, R>) -> Taken {
        match self.rebuild(page, Change::Take) {
            Err(layout) => handle_alloc_error(layout),
            Ok(Rebuilt::Stale) => Taken::Sealed,
            Ok(Rebuilt::Done { empty, .. }) => Taken::Here(self.taken(&page.spot, empty)),
        }
    }

    /// What comes after each removal, and cannot fail. If the leaf has died, its run in which nothing is
    /// left is given.
    fn taken(self, spot: &SpotOf<'g, K, V, R>, empty: Option<Ptr<Run<K, V>>>) -> Leaves {
        // I1.
        self.map.count(-1);
        // SAFETY: whoever has set its bit, or replaced a sealed run without it, has taken it out, and he
        // alone (I2 of `run`); the entry may be dropped anywhere: see the map's bounds.
        unsafe { self.guard.retire(spot.entry.ptr()) };
        // SAFETY: covered.
        let Some((leaf, empty)) = unsafe { spot.node.as_ref() }.zip(empty) else {
            return Leaves::Enough;
        };
        leaf.show_death(empty);
        Leaves::Nothing(leaf.bury())
    }

    /// Brings the place in order where an entry was taken out, and frees memory. Returns the entry.
    fn tidy(self, spot: SpotOf<'g, K, V, R>, leaves: Leaves) -> CoverOf<'g, K, V, R> {
        let taken = match leaves {
            Leaves::Enough => spot.into_entry(),
            Leaves::Little => self.shrink(spot),
            Leaves::Nothing(left) => {
                // SAFETY: a leaf, and it was said of it in `taken`.
                let burial = unsafe { Burial::new(self.leaves(), spot.node.ptr(), left) };
                let taken = spot.into_entry();
                if let Some(entry) = peek(&taken) {
                    burial.bury(&entry.key);
                }
                taken
            }
        };
        self.guard.reclaim(RECLAIM_BUDGET);
        taken
    }

    /// Puts a smaller run in the place of a sparse one. For that there may be no memory.
    fn shrink(self, spot: SpotOf<'g, K, V, R>) -> CoverOf<'g, K, V, R> {
        let page = spot.into_page();
        // If it was replaced meanwhile, the new run has the room that it needs.
        let _ = self.rebuild(&page, Change::Nothing);
        page.spot.into_entry()
    }

    fn rebuild(
        self,
        page: &PageOf<'g, K, V, R>,
        change: Change<K, V>,
    ) -> Result<Rebuilt<K, V>, Layout> {
        // SAFETY: of this level; a new entry is ours.
        unsafe { rebuild(self.leaves(), page, change) }
    }

    /// Takes the entry that a page has found out, whether or not the run is sealed.
    fn take_anyway(self, page: &PageOf<'g, K, V, R>) -> Taken {
        match self.take(&page.spot) {
            Taken::Sealed => self.take_from_sealed(page),
            taken => taken,
        }
    }

    /// Takes the entry that a page has found out, and returns it; `None` if it is not there any more, or was
    /// moved.
    fn take_found(self, page: PageOf<'g, K, V, R>) -> Option<CoverOf<'g, K, V, R>> {
        let Taken::Here(leaves) = self.take_anyway(&page) else { return None };
        Some(self.tidy(page.into_spot(), leaves))
    }

    /// Puts an entry in a page's place; returns what was replaced.
    #[expect(clippy::type_complexity, reason = "what is out, or what is not in")]
    fn put(
        self,
        page: PageOf<'g, K, V, R>,
        new: OwnedOf<K, V, R>,
    ) -> Result<Replaced<'g, K, V, R>, NotPut<K, V, R::Scheme>> {
        // SAFETY: ours.
        let put = unsafe { new_entry(new.as_ptr()) };
        let (has_replaced, leaf) = match self.rebuild(&page, Change::Put(put)) {
            Err(layout) => return Err(NotPut::NoMemory(new, layout)),
            Ok(Rebuilt::Stale) => return Err(NotPut::Stale(new)),
            Ok(Rebuilt::Done { has_replaced, new_node, .. }) => (has_replaced, new_node),
        };
        let _ = new.into_ptr();
        let old = page.into_spot().into_entry();
        let replaced = has_replaced.then(|| {
            // SAFETY: who replaces a run without an entry has taken it out (I2 of `run`); and it may
            // be dropped anywhere: see the map's bounds.
            unsafe { self.guard.retire(old.ptr()) };
            entry(old)
        });
        if replaced.is_none() {
            self.map.count(1);
        }
        if let Some(leaf) = leaf {
            // SAFETY: just made here.
            unsafe { self.leaves().link(leaf) };
        }
        self.guard.reclaim(RECLAIM_BUDGET);
        Ok(replaced)
    }

    /// The same where a lack of memory ends the process; gives the entry back if the page was stale.
    fn put_or_abort(
        self,
        page: PageOf<'g, K, V, R>,
        new: OwnedOf<K, V, R>,
    ) -> Result<Replaced<'g, K, V, R>, OwnedOf<K, V, R>> {
        self.put(page, new).map_err(|failure| match failure {
            NotPut::Stale(entry) => entry,
            NotPut::NoMemory(_, layout) => handle_alloc_error(layout),
        })
    }

    pub(super) fn insert(self, key: K, value: V) -> Option<EntryRef<'g, K, V, R>> {
        let mut new = self.guard.owned(Entry { key, value });
        let mut turn = Turn::new();
        loop {
            let page = self.find(&new.key);
            match self.put_or_abort(page, new) {
                Ok(old) => return old,
                Err(back) => new = back,
            }
            turn.rest();
        }
    }

    pub(super) fn try_insert(
        self,
        key: K,
        value: V,
    ) -> Result<ValueRef<'g, V, R>, TryInsertError<'g, K, V, R::Scheme>> {
        if let Some(found) = self.get(&key) {
            let current = self::value(entry(found));
            return Err(TryInsertError::Occupied { current, key, value });
        }
        match self.guard.try_owned(Entry { key, value }) {
            Ok(new) => self.insert_absent(new).map(self::value).map_err(|(present, new)| {
                let Entry { key, value } = new.into_inner();
                match present {
                    Ok(current) => {
                        TryInsertError::Occupied { current: self::value(current), key, value }
                    }
                    Err(_) => TryInsertError::NoMemory { key, value },
                }
            }),
            Err(AllocError(Entry { key, value })) => Err(TryInsertError::NoMemory { key, value }),
        }
    }

    /// Puts an entry in if its key is absent; else gives it back, with the entry that is present, or
    /// with the layout for which there was no memory.
    #[expect(clippy::type_complexity, reason = "what is in, or what is in and what is not")]
    fn insert_absent(
        self,
        mut new: OwnedOf<K, V, R>,
    ) -> Result<EntryRef<'g, K, V, R>, (Result<EntryRef<'g, K, V, R>, Layout>, OwnedOf<K, V, R>)>
    {
        let ours = self.cover(&new);
        let mut turn = Turn::new();
        loop {
            let page = self.find(&new.key);
            if page.found {
                return Err((Ok(entry(page.spot.entry)), new));
            }
            match self.put(page, new) {
                Ok(_) => return Ok(entry(ours)),
                Err(NotPut::Stale(back)) => new = back,
                Err(NotPut::NoMemory(back, layout)) => return Err((Err(layout), back)),
            }
            turn.rest();
        }
    }

    pub(super) fn get_or_insert_with(
        self,
        key: K,
        value: impl FnOnce() -> V,
    ) -> EntryRef<'g, K, V, R> {
        if let Some(found) = self.get(&key) {
            return entry(found);
        }
        let new = self.guard.owned(Entry { key, value: value() });
        match self.insert_absent(new) {
            Ok(entry) | Err((Ok(entry), _)) => entry,
            Err((Err(layout), _)) => handle_alloc_error(layout),
        }
    }

    pub(super) fn compute<T>(
        self,
        mut key: K,
        mut decide: impl FnMut(Option<(&K, &V)>) -> Operation<V, T>,
    ) -> Compute<'g, K, V, T, R::Scheme> {
        let mut turn = Turn::new();
        loop {
            let page = self.find(&key);
            let present = peek(&page.spot.entry).filter(|_| page.found);
            match decide(present.map(|entry| (&entry.key, &entry.value))) {
                Operation::Abort(value) => return Compute::Aborted(value),
                Operation::Remove if !page.found => return Compute::Absent,
                Operation::Remove => {
                    if let Some(taken) = self.take_found(page) {
                        return Compute::Removed(entry(taken));
                    }
                }
                Operation::Insert(value) => {
                    let new = self.guard.owned(Entry { key, value });
                    let ours = self.cover(&new);
                    match self.put_or_abort(page, new) {
                        Ok(Some(old)) => return Compute::Updated { old, new: entry(ours) },
                        Ok(None) => return Compute::Inserted(entry(ours)),
                        Err(back) => key = back.into_inner().key,
                    }
                }
            }
            turn.rest();
        }
    }

    pub(super) fn remove_if<Q>(
        self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<EntryRef<'g, K, V, R>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let mut turn = Turn::new();
        loop {
            let page = self.find(key);
            let present = peek(&page.spot.entry).filter(|_| page.found)?;
            if !condition(&present.key, &present.value) {
                return None;
            }
            if let Some(taken) = self.take_found(page) {
                return Some(entry(taken));
            }
            turn.rest();
        }
    }

    /// Removes the very entry that a spot covers, and says whether another thread has not; and where that
    /// was.
    pub(super) fn remove_spot(self, spot: SpotOf<'g, K, V, R>) -> (bool, StandOf<'g, K, V, R>) {
        let entry = match self.take(&spot) {
            Taken::Here(Leaves::Enough) => {
                self.guard.reclaim(RECLAIM_BUDGET);
                return (true, Stand::At(spot));
            }
            Taken::Here(leaves) => return (true, Stand::Was(self.tidy(spot, leaves))),
            Taken::Gone => return (false, Stand::Was(spot.into_entry())),
            Taken::Sealed => spot.into_entry(),
        };
        // It may have been replaced, and moved.
        while let Some(page) = peek(&entry).map(|entry| self.find(&entry.key)) {
            if !page.found || page.spot.entry.ptr() != entry.ptr() {
                break;
            }
            match self.take_anyway(&page) {
                Taken::Here(leaves) => {
                    drop(entry);
                    return (true, Stand::Was(self.tidy(page.into_spot(), leaves)));
                }
                Taken::Gone => break,
                Taken::Sealed => {}
            }
        }
        (false, Stand::Was(entry))
    }

    pub(super) fn pop_first(self) -> Option<EntryRef<'g, K, V, R>> {
        let mut turn = Turn::new();
        loop {
            let first = self.seek::<K>(Bound::Unbounded, None)?;
            if let (true, stand) = self.remove_spot(first) {
                return Some(entry(stand.into_entry()));
            }
            turn.rest();
        }
    }

    pub(super) fn pop_last(self) -> Option<EntryRef<'g, K, V, R>> {
        let mut turn = Turn::new();
        loop {
            let last = self.seek_back::<K>(Bound::Unbounded, None)?;
            // In the run where it was the last one it still is (`take`). In another it need not be.
            let last = last.into_page();
            if let Some(taken) = self.take_found(last) {
                return Some(entry(taken));
            }
            turn.rest();
        }
    }
}
