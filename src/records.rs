//! A domain of one of our own schemes: its table of records, and what the schemes have in common.
//!
//! What is known of a record, and the invariants I1 to I6 that are named here, stand in `record.rs`.
//!
//! The schemes differ in how they find out that nobody can protect an object any more: this they
//! tell by [`Ripens`]. All else is the same: finding a thread's record, retiring, freeing a few
//! objects at a time, taking over what other threads have left, collecting.

use core::fmt;
use core::ptr;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::bag::{Bag, Load};
use crate::barrier::{self, Barrier, Barriers, Issued};
use crate::builder::Settings;
use crate::counts::{Counts, add_alone};
use crate::guard::RECLAIM_BUDGET;
use crate::record::{DOMAIN_GONE, FULL, LEASED, More, OPEN, Portion, Record, Seen};
use crate::retired::Retired;
use crate::rounds::{Round, Rounds};
use crate::scheme::Stats;
use crate::segments::Segments;
use crate::sync::counter::{self, AtomicUsize as Hint};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, fence};
use crate::thread::{self, ProcessWide};

/// A place in a domain's table.
struct Place<X>(AtomicPtr<Record<X>>);

impl<X> Default for Place<X> {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<X> Place<X> {
    #[inline]
    fn record(&self) -> Option<&Record<X>> {
        // Acquire: pairs with the Release of `make`. SAFETY: from an `Arc` that the place keeps.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The record, which is made if need be, and counted then.
    fn record_or_make(&self, made: &Hint, make: impl FnOnce() -> Record<X>) -> &Record<X> {
        if self.0.load(Ordering::Relaxed).is_null() {
            let new = Arc::into_raw(Arc::new(make())).cast_mut();
            // Release: publishes the record.
            let won =
                self.0.compare_exchange(ptr::null_mut(), new, Ordering::Release, Ordering::Relaxed);
            if won.is_ok() {
                made.fetch_add(1, counter::Relaxed);
            } else {
                // SAFETY: from `into_raw`, and nobody else knows it.
                drop(unsafe { Arc::from_raw(new) });
            }
        }
        self.record().expect("just made")
    }

    /// The record, for one more to keep.
    fn share(&self) -> Option<Arc<Record<X>>> {
        // The pointer itself: one that is made of a reference may not reach the counts beside it.
        // Acquire: as in `record`.
        let record = self.0.load(Ordering::Acquire).cast_const();
        if record.is_null() {
            return None;
        }
        // SAFETY: from an `Arc` that the place keeps.
        unsafe {
            Arc::increment_strong_count(record);
            Some(Arc::from_raw(record))
        }
    }
}

impl<X> Drop for Place<X> {
    fn drop(&mut self) {
        // Acquire: as in `record`.
        let record = self.0.load(Ordering::Acquire);
        if !record.is_null() {
            #[cfg(any(loom, crossbeam_loom))]
            // SAFETY: from an `Arc`, of which the place still has its share.
            unsafe { &*record }.shares_ended.fetch_add(1, Ordering::AcqRel);
            // SAFETY: from an `Arc`, and the place's share of it is given back once.
            drop(unsafe { Arc::from_raw(record) });
        }
    }
}

/// The records of a domain, and what is common to our own schemes.
pub(crate) struct Records<X> {
    /// What a section's word begins with; see the [module](self).
    pub(crate) opening: CachePadded<AtomicUsize>,
    table: Segments<Place<X>>,
    /// How many records there are.
    made: Hint,
    settings: Settings,
    /// In a model each domain has barriers of its own.
    #[cfg(any(loom, crossbeam_loom, shuttle))]
    barriers: Barriers,
}

impl<X> Records<X> {
    crate::sync::const_where_possible! {
        pub(crate) fn new(settings: Settings) -> Self {
            Self {
                opening: CachePadded::new(AtomicUsize::new(1)),
                table: Segments::new(),
                made: Hint::new(0),
                settings,
                #[cfg(any(loom, crossbeam_loom, shuttle))]
                barriers: Barriers::new(),
            }
        }
    }

    #[cfg(not(any(loom, crossbeam_loom, shuttle)))]
    #[expect(clippy::unused_self, reason = "in a model they are the domain's")]
    pub(crate) fn barriers(&self) -> &Barriers {
        static PROCESS: Barriers = Barriers::new();
        &PROCESS
    }

    #[cfg(any(loom, crossbeam_loom, shuttle))]
    pub(crate) fn barriers(&self) -> &Barriers {
        &self.barriers
    }

    /// How many objects a barrier should serve.
    pub(crate) fn batch(&self) -> usize {
        self.barriers().batch().min(self.settings.max_batch)
    }

    /// How many objects should be retired for each look at all records: as many as there are, as far as the
    /// builder has not asked for less. So retiring costs the same, whatever number of threads there were.
    pub(crate) fn batch_for_a_look(&self) -> usize {
        self.made.load(counter::Relaxed).min(self.settings.max_batch)
    }

    /// What its builder says, where [nobody collects](crate::Builder::nobody_collects).
    #[cfg(any(loom, crossbeam_loom))]
    pub(crate) fn batch_of_model(&self) -> Option<usize> {
        self.settings.nobody_collects.then_some(self.settings.max_batch)
    }

    /// All records.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record<X>> {
        self.table.iter().filter_map(Place::record)
    }

    /// All records, with the numbers of their places.
    fn numbered(&self) -> impl Iterator<Item = (usize, &Record<X>)> {
        let places = self.table.iter().enumerate();
        places.filter_map(|(number, place)| Some((number, place.record()?)))
    }

    /// The calling thread's own record.
    #[inline]
    pub(crate) fn mine(&self) -> Option<&Record<X>> {
        let record = self.table.get(thread::number())?.record()?;
        // I2 of `thread`. Relaxed: if it is this thread's, this thread wrote it.
        (record.owner.load(Ordering::Relaxed) == thread::identity()).then_some(record)
    }

    /// A heavy barrier, if nobody else is at it or it is `urgent`; counted for `record`'s owner, which
    /// is the calling thread. What was stamped with a ticket below the result was unlinked before it.
    pub(crate) fn heavy(&self, record: &Record<X>, urgent: bool) -> Option<u64> {
        if self.opening.load(Ordering::Relaxed) & FULL == 0 {
            match self.barriers().issue(urgent) {
                Issued::Busy => return None,
                Issued::Done => {
                    add_alone(&record.heavy_barriers, 1);
                    return Some(self.barriers().finished());
                }
                // I6. Relaxed: the fence below orders it.
                Issued::Refused => {
                    self.opening.fetch_or(FULL, Ordering::Relaxed);
                }
            }
        }
        record.adapt();
        add_alone(&record.heavy_barriers, 1);
        // PAIRS: the full fences of readers.
        fence(Ordering::SeqCst);
        Some(u64::MAX)
    }

    /// Whether, after [`heavy`](Self::heavy), what a record shows is to be relied on (I6).
    pub(crate) fn is_reliable(&self, record: &Record<X>, seen: Seen) -> bool {
        self.opening.load(Ordering::Relaxed) & FULL == 0
            || seen.0 & FULL != 0
            || (seen.0 == 0 && !record.is_owned())
    }

    /// Adds up what the threads have counted.
    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Counts::sum(self.iter().map(|record| &record.counts));
        for record in self.iter() {
            stats.threads += u64::from(record.is_owned());
            stats.collections += record.collections.load(counter::Relaxed);
            stats.heavy_barriers += record.heavy_barriers.load(counter::Relaxed);
            stats.leaked += record.leaked.load(counter::Relaxed);
        }
        stats
    }
}

/// Why an object did not go into a bag; here it is again.
enum Refused {
    /// Another thread is looking into the bag.
    Claimed(Retired),
    NoMemory(Retired),
}

/// How a scheme finds out what in a bag nobody can protect any more.
pub(crate) trait Ripens<X> {
    /// How many objects more may be freed at a time so that bytes keep up with what is retired.
    const MORE_FOR_BYTES: usize;

    /// The stamp for objects that the calling thread has unlinked before.
    fn stamp(&self) -> u64;

    /// Moves what can be freed to the ripe ones, if it is time; runs no user code. Says how much more
    /// should be freed now, as it was other threads', or has waited for long.
    ///
    /// # Safety
    /// The calling thread owns the record.
    unsafe fn ripen(&self, record: &Record<X>) -> More;

    /// As [`ripen`](Self::ripen), whatever it costs: all that can be had.
    ///
    /// # Safety
    /// As there.
    unsafe fn ripen_all(&self, record: &Record<X>);
}

impl<X: Default + Send + Sync + 'static> Records<X> {
    /// The record's place, and a record in it.
    fn at(&self, index: usize) -> &Place<X> {
        let place = self.table.get_or_grow(index);
        place.record_or_make(&self.made, || {
            // Before the first section there is, so that all readers know.
            let full =
                self.settings.barrier == Barrier::Symmetric || !barrier::heavy_is_to_be_had();
            if full {
                self.opening.fetch_or(FULL, Ordering::Relaxed);
            }
            let word = self.opening.load(Ordering::Relaxed) & FULL;
            Record::new(&self.settings, word)
        });
        place
    }

    #[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
    pub(crate) fn make(&self, index: usize) {
        self.at(index);
    }

    /// A record for the calling thread: its own, or, if it cannot have one, a lease.
    #[cold]
    pub(crate) fn obtain(&self, process_wide: Option<ProcessWide>) -> &Record<X> {
        self.own(process_wide).unwrap_or_else(|| self.lease())
    }

    /// Takes the record with the calling thread's number for as long as the thread runs.
    fn own(&self, process_wide: Option<ProcessWide>) -> Option<&Record<X>> {
        let place = self.at(thread::claim_number()?);
        let record = place.record().expect("it is there");
        let identity = thread::identity();
        if record.owner.load(Ordering::Relaxed) != identity {
            if !record.take(identity, &self.opening) {
                return None;
            }
            if !thread::keep(place.share().expect("it is there")) {
                // SAFETY: just taken.
                unsafe { record.give_up() };
                return None;
            }
        }
        if let Some(process_wide) = process_wide {
            thread::keep_at_hand(process_wide, ptr::from_ref(record).cast());
        }
        Some(record)
    }

    /// Takes any record for a while (I2). It is marked, so that the end of its section gives it up.
    fn lease(&self) -> &Record<X> {
        self.lease_for(|_| Some(())).0
    }

    /// Takes any record for a while that serves for `work`.
    fn lease_for<R>(&self, mut work: impl FnMut(&Record<X>) -> Option<R>) -> (&Record<X>, R) {
        let (number, identity) = (thread::number(), thread::identity());
        for index in 0.. {
            // Not the one with its own number, even if it can be had by now: its own it would be
            // then, and be given up when the lease ends.
            if index == number {
                continue;
            }
            let record = self.at(index).record().expect("it is there");
            if !record.take(identity, &self.opening) {
                continue;
            }
            if let Some(result) = work(record) {
                record.flag(LEASED);
                return (record, result);
            }
            // SAFETY: just taken.
            unsafe { record.give_up() };
        }
        unreachable!("there is always one more")
    }

    /// Ends a lease in which no section is open; nothing for a record that is not leased.
    ///
    /// # Safety
    /// The calling thread owns the record.
    unsafe fn end_lease(record: &Record<X>) {
        let word = record.word.load(Ordering::Relaxed);
        if word & LEASED != 0 && word & OPEN == 0 {
            // Release: I4.
            record.word.store(word & FULL, Ordering::Release);
            record.may_keep_memory();
            // SAFETY: the caller's, and no section is open.
            unsafe { record.give_up() };
        }
    }

    /// Works with a record of the calling thread's, outside any section.
    fn with_record<R>(&self, work: impl FnOnce(&Record<X>) -> R) -> R {
        let record = self.mine().unwrap_or_else(|| self.obtain(None));
        let result = work(record);
        // SAFETY: ours, and if it is a lease, of this very call.
        unsafe { Self::end_lease(record) };
        result
    }

    /// Ends a section, and, if it was the last, does what is left to do.
    ///
    /// # Safety
    /// As [`Record::close`], which returned false.
    #[cold]
    pub(crate) unsafe fn end(&self, scheme: &impl Ripens<X>, record: &Record<X>) {
        // SAFETY: the caller's.
        unsafe {
            let ended = record.close_with_care();
            if ended.tidy {
                self.reclaim_now(scheme, record, RECLAIM_BUDGET);
            }
            if ended.leased {
                record.may_keep_memory();
                record.give_up();
            }
        }
    }

    /// Frees `budget` objects, or more, if the thread has retired more; says how many.
    ///
    /// # Safety
    /// The calling thread owns the record.
    #[inline]
    pub(crate) unsafe fn reclaim(
        &self,
        scheme: &impl Ripens<X>,
        record: &Record<X>,
        budget: usize,
    ) -> usize {
        // SAFETY: the caller's.
        unsafe { if record.is_untidy() { self.reclaim_now(scheme, record, budget) } else { 0 } }
    }

    /// # Safety
    /// The calling thread owns the record.
    #[cold]
    unsafe fn reclaim_now<S: Ripens<X>>(
        &self,
        scheme: &S,
        record: &Record<X>,
        budget: usize,
    ) -> usize {
        // SAFETY: the caller's; the others are worked on and given up by who has just taken them.
        unsafe {
            // Within a drop little is freed. What it has retired stays due, or nobody would free it.
            let within_a_drop = record.freeing.is_under_way();
            let portion = if !within_a_drop {
                record.portion(budget, S::MORE_FOR_BYTES)
            } else {
                Portion::of_objects(budget)
            };
            if record.with_bag(|_| ()).is_some() {
                if !within_a_drop {
                    record.is_tidy();
                }
                return Self::ripen_and_free(scheme, record, portion);
            }
            // Another thread is looking into the bag, and may have fallen asleep over it. What this
            // one retires goes elsewhere meanwhile, wherever there was a record, and is seen to there.
            let (number, mut freed) = (thread::number(), 0);
            // Not the one with its own number, as in `lease_for`: a drop would find it.
            for (_, other) in self.numbered().filter(|(index, _)| *index != number) {
                if other.is_left_with_objects() && other.take(thread::identity(), &self.opening) {
                    freed += Self::ripen_and_free(scheme, other, portion);
                    other.may_keep_memory();
                    other.give_up();
                }
            }
            freed
        }
    }

    /// # Safety
    /// The calling thread owns the record.
    unsafe fn ripen_and_free(
        scheme: &impl Ripens<X>,
        record: &Record<X>,
        portion: Portion,
    ) -> usize {
        // SAFETY: the caller's.
        unsafe {
            let more = scheme.ripen(record);
            record.free_ripe(portion.and(more))
        }
    }

    /// Takes an object over.
    ///
    /// # Safety
    /// The calling thread owns the record, and has a section open.
    // Always: who retires knows the vtable, and then little is left of it.
    #[inline(always)]
    pub(crate) unsafe fn retire(
        &self,
        scheme: &impl Ripens<X>,
        record: &Record<X>,
        retired: Retired,
    ) {
        // SAFETY: the caller's.
        unsafe {
            record.note_retired(retired.bytes());
            match Self::push(scheme, record, retired) {
                Ok(()) => {}
                Err(Refused::Claimed(retired)) => self.retire_elsewhere(scheme, record, retired),
                Err(Refused::NoMemory(retired)) => self.retire_in_need(scheme, record, retired),
            }
        }
    }

    /// Puts an object into the bag.
    ///
    /// # Safety
    /// The calling thread owns the record.
    #[inline(always)]
    unsafe fn push(
        scheme: &impl Ripens<X>,
        record: &Record<X>,
        retired: Retired,
    ) -> Result<(), Refused> {
        let mut retired = Some(retired);
        let push = |bag: &mut Bag| {
            let retired = retired.take().expect("once");
            bag.push(retired, || scheme.stamp()).map_err(Refused::NoMemory)
        };
        // SAFETY: the caller's.
        match unsafe { record.with_bag(push) } {
            Some(pushed) => pushed,
            None => Err(Refused::Claimed(retired.expect("not pushed"))),
        }
    }

    /// Takes an object over while another thread is looking into the bag of `record`.
    ///
    /// # Safety
    /// The calling thread owns the record.
    #[cold]
    unsafe fn retire_elsewhere(
        &self,
        scheme: &impl Ripens<X>,
        record: &Record<X>,
        retired: Retired,
    ) {
        let mut retired = Some(retired);
        let push = |other: &Record<X>| {
            // SAFETY: leased for this.
            let pushed = unsafe { Self::push(scheme, other, retired.take().expect("not pushed")) };
            match pushed {
                Err(Refused::Claimed(back)) => {
                    retired = Some(back);
                    return None;
                }
                Err(Refused::NoMemory(back)) => retired = Some(back),
                Ok(()) => {}
            }
            Some(())
        };
        let (other, ()) = self.lease_for(push);
        // SAFETY: leased above; the caller's.
        unsafe {
            Self::end_lease(other);
            if let Some(retired) = retired {
                self.retire_in_need(scheme, record, retired);
            }
        }
    }

    /// Takes an object over when there is no memory for it.
    ///
    /// # Safety
    /// The calling thread owns the record.
    #[cold]
    #[inline(never)]
    unsafe fn retire_in_need(&self, scheme: &impl Ripens<X>, record: &Record<X>, retired: Retired) {
        record.reserve_is_missing.set(true);
        // SAFETY: the caller's. What needs no drop is freed without running user code. The recycler is the
        // owner's, and the allocator does not come back here (see the crate's docs).
        unsafe {
            scheme.ripen_all(record);
            record.free_plain(Portion::ALL);
            (*record.recycler.get()).clear();
            let Err(Refused::Claimed(retired) | Refused::NoMemory(retired)) =
                Self::push(scheme, record, retired)
            else {
                return;
            };
            // Others may have a block to spare, now that they are gone. There is no memory for one
            // record more.
            let mut retired = Some(retired);
            for other in self.iter() {
                if !other.take(thread::identity(), &self.opening) {
                    continue;
                }
                if let Err(Refused::Claimed(back) | Refused::NoMemory(back)) =
                    Self::push(scheme, other, retired.take().expect("not pushed yet"))
                {
                    retired = Some(back);
                }
                other.give_up();
                if retired.is_none() {
                    return;
                }
            }
            // To lose it, and to say so, is the least that can happen.
            add_alone(&record.leaked, 1);
        }
    }

    /// Moves what is in the bag of one thread that has exited to the bag of `record`; says how much that
    /// is. It begins where the last look has ended: so threads that come and go, and leave
    /// something each time, do not hide what others have left. Within a drop nothing is moved: it would
    /// wait for the outer call.
    ///
    /// # Safety
    /// The calling thread owns the record.
    pub(crate) unsafe fn adopt(&self, scheme: &impl Ripens<X>, record: &Record<X>) -> Load {
        if record.freeing.is_under_way() {
            return Load::default();
        }
        let start = record.adopts_from.get();
        let all = || self.iter().enumerate();
        for (index, other) in all().skip(start).chain(all().take(start)) {
            // SAFETY: the caller's.
            let load = unsafe { self.adopt_from(scheme, record, other) };
            if load.objects > 0 {
                record.adopts_from.set(index + 1);
                return load;
            }
        }
        Load::default()
    }

    /// As [`adopt`](Self::adopt), from this record, if its thread has exited.
    ///
    /// # Safety
    /// As there.
    unsafe fn adopt_from(
        &self,
        scheme: &impl Ripens<X>,
        record: &Record<X>,
        other: &Record<X>,
    ) -> Load {
        if !other.is_left_with_objects() || !other.take(thread::identity(), &self.opening) {
            return Load::default();
        }
        // SAFETY: just taken; the caller's.
        unsafe {
            let moved = other.with_bag(|from| Self::move_to(scheme, record, from));
            other.give_up();
            moved.unwrap_or_default()
        }
    }

    /// Frees the memory that threads which have exited kept for later.
    fn free_what_is_kept(&self) {
        let is_left = |other: &&Record<X>| other.keeps_memory() && !other.is_owned();
        for other in self.iter().filter(is_left) {
            if other.take(thread::identity(), &self.opening) {
                // SAFETY: just taken.
                unsafe {
                    other.free_what_is_kept();
                    other.give_up();
                }
            }
        }
    }

    /// # Safety
    /// The calling thread owns the record.
    unsafe fn move_to(scheme: &impl Ripens<X>, record: &Record<X>, from: &mut Bag) -> Load {
        let fresh = from.fresh();
        let load =
            Load { objects: fresh.objects + from.ripe(), bytes: fresh.bytes + from.ripe_bytes() };
        // If another thread is looking into our bag, all stays where it is. SAFETY: the caller's.
        let moved = unsafe { record.with_bag(|bag| bag.adopt(from, || scheme.stamp())) };
        if moved.is_some() { load } else { Load::default() }
    }

    /// Moves what is in the bags of all threads, as far as they are not at work on them, to the bag
    /// of `record`.
    ///
    /// The heavy barrier here is for the owners of the bags alone, and is of no use against readers:
    /// light barriers are ordered with a heavy one, each pair by itself, and not with one another
    /// through it (see `barrier`). What was gathered needs a barrier of its own.
    ///
    /// # Safety
    /// The calling thread owns the record.
    unsafe fn gather(&self, scheme: &impl Ripens<X>, record: &Record<X>) {
        for other in self.iter() {
            // SAFETY: the caller's.
            unsafe { self.adopt_from(scheme, record, other) };
        }
        let identity = thread::identity();
        // Also those that have no owner now: a thread may have exited since `adopt` looked.
        for other in self.iter().filter(|other| !other.is_collecting()) {
            other.bag.claim(identity);
        }
        // PAIRS: the light barrier of `Biased::as_owner`.
        let issued = self.heavy(record, true).is_some();
        for other in self.iter().filter(|other| other.bag.is_claimed_by(identity)) {
            // SAFETY: claimed above, a barrier was issued since, and it worked for this record's
            // owner if that uses full fences where needed (I6).
            unsafe {
                if issued && self.is_reliable(other, other.seen()) {
                    other.bag.with_claimed(|from| Self::move_to(scheme, record, from));
                } else {
                    other.bag.disclaim();
                }
            }
        }
    }

    /// See [`Scheme::collect`](crate::Scheme::collect).
    pub(crate) fn collect(&self, scheme: &impl Ripens<X>) -> usize {
        let round = |record: &Record<X>| {
            let retired = record.counts.retired_so_far();
            // SAFETY: the record is ours, and so is its recycler; the allocator does not come back here (see
            // the crate's docs).
            unsafe {
                self.gather(scheme, record);
                record.with_bag(|bag| bag.seal(|| scheme.stamp()));
                scheme.ripen_all(record);
                // So many, and not what their drops retire and ripen meanwhile: each round ends.
                let ripe = record.with_bag(|bag| bag.ripe()).unwrap_or(0);
                record.free_ripe(Portion::of_objects(ripe));
                record.with_bag(Bag::shrink);
                if record.is_leased() {
                    (*record.recycler.get()).clear();
                }
            }
            // What is retired from within a lease, another one has.
            let has_heirs = record.is_leased() || record.counts.retired_so_far() != retired;
            if has_heirs { Round::WithHeirs } else { Round::Whole }
        };
        self.free_what_is_kept();
        let round = || self.with_record(|record| record.while_collecting(round));
        Rounds::new(|| self.stats()).run(1, round)
    }
}

impl<X> Records<X> {
    /// Frees everything: the domain is about to go.
    pub(crate) fn drain(&mut self) {
        for record in self.iter() {
            // No section is open, so no thread uses its record; those that exit see that it is not
            // theirs any more. Acquire: what its last owner did.
            record.owner.swap(DOMAIN_GONE, Ordering::Acquire);
            // SAFETY: the domain is ours alone, and so is the record; nobody protects anything.
            unsafe {
                while let Some(retired) = record.with_bag(Bag::pop).flatten() {
                    record.free(&[retired]);
                }
                (*record.recycler.get()).clear();
            }
        }
    }

    /// See [`Scheme::after_fork_in_child`](crate::Scheme::after_fork_in_child).
    ///
    /// # Safety
    /// As there: the calling thread is the only one.
    pub(crate) unsafe fn after_fork_in_child(&self, clear: impl Fn(&X)) {
        let identity = thread::identity();
        for record in self.iter() {
            // SAFETY: the caller's: who was at work on it does not exist here.
            unsafe { record.bag.reset(Bag::new()) };
            if !record.is_owned() || record.owner.load(Ordering::Relaxed) == identity {
                continue;
            }
            clear(&record.extra);
            // SAFETY: the caller's: its thread does not exist here.
            unsafe { record.after_fork_in_child(&self.settings) };
        }
        self.barriers().after_fork_in_child();
    }
}

impl<X> fmt::Debug for Records<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom, shuttle))))]
mod tests {
    use core::cell::Cell;

    use super::*;
    use crate::retired::Vtable;

    /// A scheme under which nothing ripens. It counts how often it is asked.
    #[derive(Default)]
    struct Never(Cell<usize>);

    impl Ripens<()> for Never {
        const MORE_FOR_BYTES: usize = 0;

        fn stamp(&self) -> u64 {
            0
        }

        unsafe fn ripen(&self, _: &Record<()>) -> More {
            self.0.set(self.0.get() + 1);
            More::Nothing
        }

        unsafe fn ripen_all(&self, _: &Record<()>) {}
    }

    /// As if the record's thread had exited with one object in its bag.
    fn leave_one(records: &Records<()>, index: usize) {
        let record = records.at(index).record().unwrap();
        assert!(record.take(thread::identity(), &records.opening));
        let object = Box::into_raw(Box::new(7_u64)).cast();
        // SAFETY: from a box, and known to nobody else; the record was just taken.
        unsafe {
            let object = Retired::new(ptr::NonNull::new_unchecked(object), Vtable::of::<(), u64>());
            assert!(Records::push(&Never::default(), record, object).is_ok());
            record.give_up();
        }
    }

    #[test]
    fn who_exits_again_and_again_does_not_hide_what_others_have_left() {
        let mut records = Records::<()>::new(Settings::DEFAULT);
        let mine = records.at(0).record().unwrap();
        assert!(mine.take(thread::identity(), &records.opening));
        (1..=9).for_each(|index| leave_one(&records, index));
        for _ in 1..=9 {
            // SAFETY: taken above.
            assert_eq!(unsafe { records.adopt(&Never::default(), mine) }.objects, 1);
            if !records.at(1).record().unwrap().is_left_with_objects() {
                leave_one(&records, 1);
            }
        }
        let left =
            (1..=9).filter(|index| records.at(*index).record().unwrap().is_left_with_objects());
        assert_eq!(left.collect::<Vec<_>>(), [1]);
        records.drain();
    }

    /// How many records a thread looks at whose own bag another one looks into. It has the record at this
    /// place; at those, something is left.
    fn looks_elsewhere(place: usize, left: &[usize]) -> usize {
        let mut records = Records::<()>::new(Settings::DEFAULT);
        let mine = records.at(place).record().unwrap();
        assert!(mine.take(thread::identity(), &records.opening));
        left.iter().for_each(|&index| leave_one(&records, index));
        mine.bag.claim(thread::identity() + 1);
        let scheme = Never::default();
        // SAFETY: taken above; and the claim is given up by who is alone here.
        unsafe {
            records.reclaim_now(&scheme, mine, 8);
            mine.bag.disclaim();
        }
        records.drain();
        scheme.0.get()
    }

    /// While another thread looks into the bag, what is retired may go here or there.
    #[test]
    fn what_was_retired_elsewhere_is_looked_at_wherever_it_is() {
        let number = thread::claim_number().unwrap();
        assert_eq!(looks_elsewhere(number, &[number + 1, number + 3, number + 4]), 3);
    }

    /// Its drops would find it, and keep it at hand, as if it were their thread's own.
    #[test]
    fn the_record_with_ones_own_number_is_left_alone() {
        let number = thread::claim_number().unwrap();
        assert_eq!(looks_elsewhere(number + 1, &[number, number + 2]), 1);
    }
}
