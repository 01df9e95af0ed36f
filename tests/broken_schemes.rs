//! The suite catches schemes that break their promises: each fault here is caught by the promise
//! that it breaks.
//!
//! There are two simple schemes, both right, and each with faults that can be planted. A broken
//! scheme frees what is in use, or frees it twice, and that should be seen by an assertion and not
//! by a crash: so in this binary the allocator never gives memory out twice, and to free is to do
//! nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, ThreadId};

use sexton::conformance::{self, Subject};
use sexton::sync::{AtomicPtr, AtomicUsize, Ordering};
use sexton::{Domain, GuardScoped, Protection, Retired, Scheme, Stats, Vtable};

/// Hands out memory from large chunks, once. The chunks are linked, so that they are not leaked in
/// the eyes of a leak checker.
struct Once(Mutex<Chunk>);

struct Chunk {
    next: *mut u8,
    end: *mut u8,
    /// The chunk before begins with the pointer to the one before it, and so on.
    begin: *mut u8,
}

// SAFETY: the chunks are the allocator's alone.
unsafe impl Send for Chunk {}

impl Chunk {
    const SIZE: usize = if cfg!(miri) { 1 << 18 } else { 1 << 22 };

    fn take(&mut self, layout: Layout) -> Option<*mut u8> {
        let skip = self.next.align_offset(layout.align());
        let needed = skip.checked_add(layout.size())?;
        if needed > self.end.addr() - self.next.addr() {
            return None;
        }
        let block = self.next.wrapping_add(skip);
        self.next = self.next.wrapping_add(needed);
        Some(block)
    }
}

// SAFETY: blocks do not overlap, have the layout that was asked for, and stay for ever.
unsafe impl GlobalAlloc for Once {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut chunk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = chunk.take(layout) {
            return block;
        }
        let size = Chunk::SIZE.max(layout.size() + layout.align() + 64);
        // SAFETY: not zero; 16 is a power of two.
        let begin = unsafe { System.alloc_zeroed(Layout::from_size_align_unchecked(size, 16)) };
        if begin.is_null() {
            return begin;
        }
        // SAFETY: the chunk's first word.
        unsafe { begin.cast::<*mut u8>().write(chunk.begin) };
        *chunk = Chunk { next: begin.wrapping_add(16), end: begin.wrapping_add(size), begin };
        chunk.take(layout).expect("it has the size")
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ONCE: Once =
    Once(Mutex::new(Chunk { next: ptr::null_mut(), end: ptr::null_mut(), begin: ptr::null_mut() }));

/// What can be wrong.
mod fault {
    pub(crate) const NONE: u32 = 0;
    /// Reclaims in `retire`.
    pub(crate) const FREES_AT_ONCE: u32 = 1;
    /// Reclaims when any section ends, though others are open.
    pub(crate) const FREES_WHEN_ANY_GUARD_ENDS: u32 = 2;
    /// Does not see sections of other threads than the one that reclaims.
    pub(crate) const SEES_ITS_OWN_THREAD_ONLY: u32 = 3;
    /// Reclaims each object twice.
    pub(crate) const FREES_TWICE: u32 = 4;
    /// Forgets each hundredth object.
    pub(crate) const LOSES_SOME: u32 = 5;
    /// Drops its list when it is drained, and nothing on it.
    pub(crate) const DRAINS_NOTHING: u32 = 6;
    /// `collect` reclaims half of what it could.
    pub(crate) const COLLECTS_HALF: u32 = 7;
    /// `collect` reclaims what the same thread has retired.
    pub(crate) const ORPHANS: u32 = 8;
    /// Runs user code under its lock. (It panics where an honest lock would hang.)
    pub(crate) const LOCKED_WHILE_IT_DROPS: u32 = 9;
    /// All domains count their open sections in one place.
    pub(crate) const ONE_FOR_ALL_DOMAINS: u32 = 10;
    /// Needs a thread-local that has a destructor.
    pub(crate) const NEEDS_A_THREAD_LOCAL: u32 = 11;
    /// Says that it is bounded.
    pub(crate) const CLAIMS_A_BOUND: u32 = 12;
    /// `protect` returns the address only.
    pub(crate) const LOSES_TAGS: u32 = 13;
    /// `pending_bytes` only grows.
    pub(crate) const COUNTS_BYTES_UP: u32 = 14;
    /// Does not count the drops that panicked.
    pub(crate) const COUNTS_NO_PANICS: u32 = 15;
    /// `announce` does nothing.
    pub(crate) const ANNOUNCES_NOTHING: u32 = 16;
    /// Has eight slots and no more: the ninth is the first.
    pub(crate) const HAS_EIGHT_SLOTS: u32 = 17;
    /// Publishes the pointer with its tag.
    pub(crate) const PUBLISHES_THE_TAG: u32 = 18;
    /// `clear` does nothing.
    pub(crate) const CLEARS_NOTHING: u32 = 19;
    /// A slot is set once.
    pub(crate) const SETS_A_SLOT_ONCE: u32 = 20;
    /// An object that was found protected is never looked at again.
    pub(crate) const LOOKS_ONCE: u32 = 21;
    /// The end of a section clears the slots of all sections of its thread.
    pub(crate) const CLEARS_OTHERS_SLOTS: u32 = 22;
    /// Reclaims in the middle of reclaiming.
    pub(crate) const NESTS: u32 = 23;
    /// `collect` goes on until nothing is left.
    pub(crate) const COLLECTS_FOR_EVER: u32 = 24;
    /// Hands out small blocks twice.
    pub(crate) const ALLOCATES_TWICE: u32 = 25;
    /// A section cannot be used while it reclaims.
    pub(crate) const BORROWS_ITS_SECTION: u32 = 26;
    /// A domain that goes while another one reclaims leaves its objects to it.
    pub(crate) const DRAINS_NOTHING_WITHIN_A_DROP: u32 = 27;
    /// Drains only when all slots are back.
    pub(crate) const NEEDS_ITS_SLOTS_BACK: u32 = 28;
}

/// What both schemes keep.
#[derive(Default)]
struct Book {
    /// By thread: how many sections are open. (The first scheme.)
    open: Vec<ThreadId>,
    /// By slot: whose it is, and what it protects. (The second scheme.)
    slots: Vec<Option<(ThreadId, usize)>>,
    waiting: Vec<(ThreadId, Retired)>,
    /// The last small block, by its address.
    last: Option<NonNull<u8>>,
    stats: Stats,
}

// SAFETY: the block is memory that nobody frees.
unsafe impl Send for Book {}

struct State<const FAULT: u32>(Mutex<Book>);

static OPEN_ANYWHERE: AtomicUsize = AtomicUsize::new(0);

struct Destructor;

impl Drop for Destructor {
    fn drop(&mut self) {}
}

thread_local! {
    /// Whether this thread is reclaiming just now: then what becomes ripe is left on its list.
    static RECLAIMING: Cell<bool> = const { Cell::new(false) };
}

thread_local! {
    static WITH_DESTRUCTOR: (Cell<usize>, Destructor) = const { (Cell::new(0), Destructor) };
}

fn me() -> ThreadId {
    thread_local! {
        // `thread::current` is not for destructors; this has none.
        static ME: Cell<Option<ThreadId>> = const { Cell::new(None) };
    }
    static NEXT: Mutex<()> = Mutex::new(());
    ME.with(|me| {
        me.get().unwrap_or_else(|| {
            let _one_by_one = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
            let id = thread::current().id();
            me.set(Some(id));
            id
        })
    })
}

impl<const FAULT: u32> State<FAULT> {
    fn book(&self) -> MutexGuard<'_, Book> {
        match self.0.try_lock() {
            Ok(book) => book,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if FAULT == fault::LOCKED_WHILE_IT_DROPS => {
                panic!("an honest lock would hang here")
            }
            Err(TryLockError::WouldBlock) => self.0.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn reclaim(&self, ripe: Vec<(ThreadId, Retired)>) -> usize {
        let mut count = 0;
        let held = (FAULT == fault::LOCKED_WHILE_IT_DROPS).then(|| self.book());
        let mut panics = 0;
        let mut bytes = 0;
        for (_, retired) in ripe {
            count += 1;
            bytes += retired.bytes() as u64;
            if FAULT == fault::LOSES_SOME && count % 100 == 99 {
                // A `Retired` that is dropped is lost.
                continue;
            }
            let again = (retired.address(), retired.vtable());
            // SAFETY: nobody protects it, if no fault says otherwise; and then nothing is really
            // freed in this binary.
            if !unsafe { retired.reclaim() } && FAULT != fault::COUNTS_NO_PANICS {
                panics += 1;
            }
            if FAULT == fault::FREES_TWICE {
                // SAFETY: none, which is the point; but the memory is still there.
                unsafe { Retired::from_parts(again.0, again.1).reclaim() };
            }
        }
        let stats = &mut held.unwrap_or_else(|| self.book()).stats;
        stats.reclaimed += count as u64;
        stats.pending -= count as u64;
        stats.drop_panics += panics;
        if FAULT != fault::COUNTS_BYTES_UP {
            stats.pending_bytes -= bytes;
        }
        count
    }

    fn queue(&self, retired: Retired) {
        let mut book = self.book();
        book.stats.retired += 1;
        book.stats.pending += 1;
        book.stats.pending_bytes += retired.bytes() as u64;
        book.waiting.push((me(), retired));
    }

    /// Reclaims what `ripe` says.
    fn collect(&self, ripe: impl Fn(&Book, &Retired) -> bool) -> usize {
        if FAULT != fault::NESTS && RECLAIMING.replace(true) {
            return 0;
        }
        let most_rounds = if FAULT == fault::COLLECTS_FOR_EVER { usize::MAX } else { 50 };
        let mut collected = 0;
        for _ in 0..most_rounds {
            let found = self.take(&ripe);
            match self.reclaim(found) {
                0 => break,
                some => collected += some,
            }
            if FAULT == fault::COLLECTS_HALF {
                break;
            }
        }
        RECLAIMING.set(false);
        collected
    }

    /// Takes off the list what `ripe` says.
    fn take(&self, ripe: impl Fn(&Book, &Retired) -> bool) -> Vec<(ThreadId, Retired)> {
        let mut book = self.book();
        let waiting = mem::take(&mut book.waiting);
        let most = if FAULT == fault::COLLECTS_HALF { waiting.len() / 2 } else { usize::MAX };
        let mut found = Vec::new();
        for entry in waiting {
            let skipped = FAULT == fault::ORPHANS && entry.0 != me();
            if !skipped && found.len() < most && ripe(&book, &entry.1) {
                found.push(entry);
            } else if FAULT != fault::LOOKS_ONCE || skipped {
                book.waiting.push(entry);
            }
        }
        found
    }

    fn drain(&self) {
        let waiting = mem::take(&mut self.book().waiting);
        let leased = self.book().slots.iter().any(Option::is_some);
        let lost = FAULT == fault::DRAINS_NOTHING_WITHIN_A_DROP && RECLAIMING.get()
            || FAULT == fault::NEEDS_ITS_SLOTS_BACK && leased;
        if FAULT != fault::DRAINS_NOTHING && !lost {
            self.reclaim(waiting);
        }
    }
}

/// Frees when no section is open.
struct Quiescent<const FAULT: u32>;

// SAFETY: without a fault: what is on the list was unlinked before it got there, and is freed when,
// after that, no section is open; those that begin later do not find it.
unsafe impl<const FAULT: u32> Scheme for Quiescent<FAULT> {
    const PROTECTION: Protection = Protection::Region;
    const BOUNDED: bool = FAULT == fault::CLAIMS_A_BOUND;

    type Header = ();
    type Domain = State<FAULT>;
    type Section = ();
    type Slot = ();

    fn new_domain() -> State<FAULT> {
        State(Mutex::default())
    }

    fn enter(domain: &State<FAULT>) {
        if FAULT == fault::NEEDS_A_THREAD_LOCAL {
            WITH_DESTRUCTOR.with(|local| local.0.set(local.0.get() + 1));
        }
        if FAULT == fault::ONE_FOR_ALL_DOMAINS {
            OPEN_ANYWHERE.fetch_add(1, Ordering::SeqCst);
        }
        domain.book().open.push(me());
    }

    unsafe fn leave(domain: &State<FAULT>, (): ()) {
        if FAULT == fault::ONE_FOR_ALL_DOMAINS {
            OPEN_ANYWHERE.fetch_sub(1, Ordering::SeqCst);
        }
        let mut book = domain.book();
        let at = book.open.iter().position(|thread| *thread == me()).expect("a section is open");
        book.open.swap_remove(at);
        let many = book.open.is_empty() && book.waiting.len() >= 64;
        drop(book);
        if FAULT == fault::FREES_WHEN_ANY_GUARD_ENDS {
            domain.collect(|_, _| true);
        } else if many {
            Self::collect(domain);
        }
    }

    unsafe fn header(_: &State<FAULT>, (): &(), _: &'static Vtable) {}

    unsafe fn allocate(
        domain: &State<FAULT>,
        (): &(),
        vtable: &'static Vtable,
    ) -> Option<NonNull<u8>> {
        let layout = vtable.layout();
        if FAULT == fault::ALLOCATES_TWICE && layout.size() == 8 {
            if let Some(last) = domain.book().last.take() {
                return Some(last);
            }
        }
        // SAFETY: the size of a node is never 0.
        let block = NonNull::new(unsafe { std::alloc::alloc(layout) });
        if layout.size() == 8 {
            domain.book().last = block;
        }
        block
    }

    unsafe fn slot(_: &State<FAULT>, (): &()) {}

    unsafe fn free_slot(_: &State<FAULT>, (): &(), (): ()) {}

    unsafe fn protect<T>(
        _: &State<FAULT>,
        (): &(),
        (): &mut (),
        source: &AtomicPtr<T>,
        tag_mask: usize,
    ) -> *mut T {
        let found = source.load(Ordering::Acquire);
        match FAULT {
            fault::LOSES_TAGS => found.map_addr(|address| address & !tag_mask),
            _ => found,
        }
    }

    unsafe fn announce(_: &State<FAULT>, (): &(), (): &mut (), _: *mut u8) {}

    unsafe fn clear(_: &State<FAULT>, (): &(), (): &mut ()) {}

    unsafe fn retire(domain: &State<FAULT>, (): &(), retired: Retired) {
        domain.queue(retired);
        if FAULT == fault::FREES_AT_ONCE {
            domain.collect(|_, _| true);
        }
    }

    unsafe fn reclaim(_: &State<FAULT>, (): &(), _: usize) -> usize {
        0
    }

    fn collect(domain: &State<FAULT>) -> usize {
        domain.collect(|book, _| match FAULT {
            fault::SEES_ITS_OWN_THREAD_ONLY => !book.open.contains(&me()),
            fault::ONE_FOR_ALL_DOMAINS => OPEN_ANYWHERE.load(Ordering::SeqCst) == 0,
            _ => book.open.is_empty(),
        })
    }

    fn drain(domain: &mut State<FAULT>) {
        domain.drain();
    }

    fn stats(domain: &State<FAULT>) -> Stats {
        domain.book().stats
    }
}

// SAFETY: a region, and slots are nothing.
unsafe impl<const FAULT: u32> GuardScoped for Quiescent<FAULT> {}

/// Hazard pointers, behind a lock.
struct Slots<const FAULT: u32>;

// SAFETY: without a fault: under the lock, slots are set only to what was just found in its source,
// and objects are taken off the list only if no slot has them.
unsafe impl<const FAULT: u32> Scheme for Slots<FAULT> {
    const PROTECTION: Protection = Protection::Pointer;
    const BOUNDED: bool = true;

    type Header = ();
    type Domain = State<FAULT>;
    type Section = ();
    type Slot = usize;

    fn new_domain() -> State<FAULT> {
        State(Mutex::default())
    }

    fn enter(_: &State<FAULT>) {}

    unsafe fn leave(domain: &State<FAULT>, (): ()) {
        if FAULT == fault::CLEARS_OTHERS_SLOTS {
            for slot in domain.book().slots.iter_mut().flatten() {
                if slot.0 == me() {
                    slot.1 = 0;
                }
            }
        }
        // SAFETY: this very section.
        unsafe { Self::reclaim(domain, &(), 0) };
    }

    unsafe fn header(_: &State<FAULT>, (): &(), _: &'static Vtable) {}

    unsafe fn slot(domain: &State<FAULT>, (): &()) -> usize {
        assert!(FAULT != fault::BORROWS_ITS_SECTION || !RECLAIMING.get(), "it is borrowed");
        let slots = &mut domain.book().slots;
        let free = slots.iter().position(Option::is_none).unwrap_or(slots.len());
        if FAULT == fault::HAS_EIGHT_SLOTS && free == 8 {
            return 0;
        }
        if free == slots.len() {
            slots.push(None);
        }
        slots[free] = Some((me(), 0));
        free
    }

    unsafe fn free_slot(domain: &State<FAULT>, (): &(), slot: usize) {
        domain.book().slots[slot] = None;
    }

    unsafe fn protect<T>(
        domain: &State<FAULT>,
        (): &(),
        slot: &mut usize,
        source: &AtomicPtr<T>,
        tag_mask: usize,
    ) -> *mut T {
        let mut book = domain.book();
        let found = source.load(Ordering::Acquire);
        let tag_mask = if FAULT == fault::PUBLISHES_THE_TAG { 0 } else { tag_mask };
        set::<FAULT>(&mut book, *slot, found.addr() & !tag_mask);
        found
    }

    unsafe fn announce(domain: &State<FAULT>, (): &(), slot: &mut usize, address: *mut u8) {
        if FAULT != fault::ANNOUNCES_NOTHING {
            set::<FAULT>(&mut domain.book(), *slot, address.addr());
        }
    }

    unsafe fn clear(domain: &State<FAULT>, (): &(), slot: &mut usize) {
        if FAULT != fault::CLEARS_NOTHING {
            domain.book().slots[*slot] = Some((me(), 0));
        }
    }

    unsafe fn retire(domain: &State<FAULT>, (): &(), retired: Retired) {
        domain.queue(retired);
        if FAULT == fault::FREES_AT_ONCE {
            domain.collect(|_, _| true);
        }
    }

    unsafe fn reclaim(domain: &State<FAULT>, (): &(), _: usize) -> usize {
        let book = domain.book();
        let due = book.waiting.len() > 2 * book.slots.len() + 64;
        drop(book);
        if due { Self::collect(domain) } else { 0 }
    }

    fn collect(domain: &State<FAULT>) -> usize {
        domain.collect(|book, retired| {
            let address = retired.address().as_ptr().addr();
            !book.slots.iter().flatten().any(|slot| slot.1 == address)
        })
    }

    fn drain(domain: &mut State<FAULT>) {
        domain.drain();
    }

    fn stats(domain: &State<FAULT>) -> Stats {
        domain.book().stats
    }
}

fn set<const FAULT: u32>(book: &mut Book, slot: usize, address: usize) {
    if let Some((_, old)) = &mut book.slots[slot] {
        if FAULT != fault::SETS_A_SLOT_ONCE || *old == 0 {
            *old = address;
        }
    }
}

// Without a fault, both are right: so it is the fault that is caught below.
sexton::conformance!(
    #[cfg_attr(miri, ignore = "it takes long, and is about the crate in no way")]
    quiescent,
    Domain::<Quiescent<{ fault::NONE }>>::new,
);
sexton::conformance!(
    #[cfg_attr(miri, ignore = "it takes long, and is about the crate in no way")]
    slots,
    Domain::<Slots<{ fault::NONE }>>::new,
);

/// Asserts that a promise is found broken, and that it is said so.
fn assert_caught(promise: impl FnOnce(), message: &str) {
    let panic = catch_unwind(AssertUnwindSafe(promise)).expect_err("the fault was not caught");
    let said = match panic.downcast::<String>() {
        Ok(said) => *said,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
    };
    assert!(said.contains(message), "caught, but by: {said}");
}

/// One test for each fault: which scheme, which promise, what it says.
macro_rules! caught {
    ($(
        $(#[$attribute:meta])*
        $test:ident: $scheme:ident, $fault:ident, $promise:ident, $message:literal;
    )*) => {$(
        #[test]
        $(#[$attribute])*
        fn $test() {
            let subject = Subject::new(Domain::<$scheme<{ fault::$fault }>>::new);
            assert_caught(|| conformance::$promise(&subject), $message);
        }
    )*};
}

caught! {
    a_region_that_frees_at_once: Quiescent, FREES_AT_ONCE,
        what_a_guard_protects_is_not_freed_before_it_ends, "freed while a guard protected it";
    a_region_that_frees_at_once_and_shields: Quiescent, FREES_AT_ONCE,
        what_a_shield_covers_is_not_freed, "freed while a shield covered it";
    a_region_that_frees_at_once_and_refs: Quiescent, FREES_AT_ONCE,
        what_a_ref_refers_to_is_not_freed, "freed while a Ref referred to it";
    user_code_inside_retire: Quiescent, FREES_AT_ONCE,
        retiring_runs_no_user_code, "dropped inside `retire`";
    sections_that_do_not_nest: Quiescent, FREES_WHEN_ANY_GUARD_ENDS,
        guards_nest_and_end_in_any_order, "freed while its guard was open";
    sections_that_others_do_not_see: Quiescent, SEES_ITS_OWN_THREAD_ONLY,
        what_a_guard_protects_is_not_freed_before_it_ends, "freed while a guard protected it";
    an_object_that_is_freed_twice: Quiescent, FREES_TWICE,
        each_value_is_dropped_exactly_once, "a value was dropped when its word was";
    #[cfg_attr(miri, ignore = "it shows with more objects than there are under Miri")]
    an_object_that_is_lost: Quiescent, LOSES_SOME,
        everything_is_freed_in_the_end, "values were never freed";
    a_domain_that_does_not_drain: Quiescent, DRAINS_NOTHING,
        the_last_handle_frees_everything, "values were never freed";
    a_collect_that_leaves_half: Quiescent, COLLECTS_HALF,
        one_collect_empties_a_quiet_domain, "left something";
    garbage_without_an_heir: Quiescent, ORPHANS,
        an_exiting_thread_leaves_its_garbage_to_others, "values were never freed";
    a_lock_held_over_user_code: Quiescent, LOCKED_WHILE_IT_DROPS,
        a_drop_may_pin_retire_and_collect, "panic was swallowed";
    a_domain_that_others_hold_up: Quiescent, ONE_FOR_ALL_DOMAINS,
        a_domain_does_not_wait_for_another, "values were never freed";
    a_thread_local_that_is_gone: Quiescent, NEEDS_A_THREAD_LOCAL,
        a_thread_local_destructor_may_pin, "panicked in a thread-local's destructor";
    #[cfg_attr(miri, ignore = "it shows with more objects than there are under Miri")]
    a_bound_that_is_not_kept: Quiescent, CLAIMS_A_BOUND,
        pending_is_bounded_while_a_thread_sleeps, "objects were pending";
    #[cfg_attr(miri, ignore = "it shows with more objects than there are under Miri")]
    a_bound_that_a_long_guard_breaks: Quiescent, CLAIMS_A_BOUND,
        pending_is_bounded_in_one_long_guard, "objects were pending";
    #[cfg_attr(miri, ignore = "it shows with more objects than there are under Miri")]
    drops_within_drops: Quiescent, NESTS,
        drops_do_not_nest_without_end, "drops nest more than";
    a_collect_without_end: Quiescent, COLLECTS_FOR_EVER,
        a_collect_ends_though_more_is_retired, "went on and on";
    a_block_that_is_handed_out_twice: Quiescent, ALLOCATES_TWICE,
        values_of_any_size_and_alignment, "two nodes are in one place";
    a_domain_that_goes_and_leaves_something: Quiescent, DRAINS_NOTHING_WITHIN_A_DROP,
        a_domain_may_go_in_a_drop, "values were never freed";
    sections_that_others_do_not_see_when_they_retire: Quiescent, SEES_ITS_OWN_THREAD_ONLY,
        another_thread_may_retire, "freed while a shield covered it";
    short_threads_without_an_heir: Quiescent, ORPHANS,
        many_short_threads_leave_nothing_behind, "values were never freed";
    a_tag_that_is_lost: Quiescent, LOSES_TAGS,
        tags_are_kept, "does not return the tag";
    a_null_that_lost_its_tag: Quiescent, LOSES_TAGS,
        a_null_source_protects_nothing, "null was not loaded as it was";
    bytes_that_are_not_given_back: Quiescent, COUNTS_BYTES_UP,
        stats_add_up, "pending_bytes";
    panics_that_nobody_counts: Quiescent, COUNTS_NO_PANICS,
        a_panic_in_a_drop_stops_nothing, "panics are miscounted";

    slots_that_nobody_reads: Slots, FREES_AT_ONCE,
        what_a_shield_covers_is_not_freed, "freed while a shield covered it";
    an_announcement_that_is_not_made: Slots, ANNOUNCES_NOTHING,
        a_valid_announcement_protects, "freed while a shield covered it that had announced it";
    eight_slots_and_no_more: Slots, HAS_EIGHT_SLOTS,
        many_shields_in_one_guard_cover_one_object_each, "freed while one of many shields";
    a_slot_with_a_tag_in_it: Slots, PUBLISHES_THE_TAG,
        tags_are_kept, "freed while a shield covered it that had found it tagged";
    a_slot_that_is_not_cleared: Slots, CLEARS_NOTHING,
        a_cleared_shield_keeps_nothing, "values were never freed";
    a_slot_that_is_set_once: Slots, SETS_A_SLOT_ONCE,
        protecting_anew_covers_the_new_object, "freed while a shield that had covered others";
    a_walk_on_slots_that_are_set_once: Slots, SETS_A_SLOT_ONCE,
        swapped_shields_take_their_protection_along, "freed while a swapped shield covered it";
    a_scan_that_looks_once: Slots, LOOKS_ONCE,
        a_long_guard_puts_off_but_does_not_lose, "values were never freed";
    a_section_that_is_borrowed: Slots, BORROWS_ITS_SECTION,
        a_drop_may_use_the_guard_it_is_reclaimed_in, "panic was swallowed";
    a_failed_announcement_that_stays: Slots, SETS_A_SLOT_ONCE,
        a_failed_announcement_covers_nothing, "whose announcement had failed";
    a_forgotten_slot_that_is_missed: Slots, NEEDS_ITS_SLOTS_BACK,
        a_forgotten_shield_keeps_memory_at_worst, "values were never freed";
    a_forgotten_guards_slot_that_is_missed: Slots, NEEDS_ITS_SLOTS_BACK,
        a_forgotten_guard_keeps_memory_at_worst, "values were never freed";
    a_guard_that_ends_for_all: Slots, CLEARS_OTHERS_SLOTS,
        guards_nest_and_end_in_any_order, "freed while its guard was open";
}

/// What only a race shows: natively, as it is a data race for Miri, too.
#[test]
#[cfg_attr(miri, ignore = "it is undefined behaviour, which Miri stops at")]
fn a_race_that_is_lost() {
    let subject = Subject::new(Domain::<Quiescent<{ fault::FREES_AT_ONCE }>>::new);
    let promise = || conformance::readers_and_writers_agree_on_who_lives(&subject);
    // It may be won now and then.
    let lost = (0..20).any(|_| catch_unwind(AssertUnwindSafe(promise)).is_err());
    assert!(lost, "the fault was not caught");
}
