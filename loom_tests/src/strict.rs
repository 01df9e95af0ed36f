//! Two schemes that free as early as the contract of [`Scheme`] allows, and cost a model nothing.
//!
//! A structure is to be right on every scheme. The adapted crates free late and touch a dozen
//! atomics at each step, so a model of a structure on one of them explores the crate for the most
//! part, and only a little of the structure. These two keep their books where loom does not look:
//! one step of the model is one step of the structure, so models with three threads are explored
//! without a bound, and a node is freed at the very first moment at which a scheme may free it.
//!
//! - [`Pointers`] is the ideal of hazard pointers: frees what no slot covers, at the end of the
//!   operation that retired it; and what some do, as soon as none of these covers it any more. One that
//!   has covered it since does not count: a real scan, which looks at one slot after the other, may
//!   have passed that one before, and come to the other one after it was cleared. So a protection
//!   cannot be copied, whichever slots it goes from and to.
//! - [`Regions`] is the ideal of epochs: frees an object as soon as the last section has ended that
//!   was open when the retiring one ended.
//!
//! Both write into a node's header when it is retired, as real ones do, so loom sees whether who retires
//! comes after who has made it.
//!
//! What they order, and with what, is no more than what real ones do: a full fence after a
//! protection is published or a section is entered, and one before the books are read. (For loom,
//! full fences synchronise with each other, which is more than the language says. It has no weaker
//! means to order what it cannot see.) Both make sure that no step of another thread comes between
//! such a fence and the entry in the books: loom switches threads at atomics only.

use core::mem;
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use loom::cell::UnsafeCell;
use sexton::scheme::{Protection, Scheme, Stats};
use sexton::sync::{AtomicPtr, Ordering, fence};
use sexton::{GuardScoped, Retired, Vtable};

/// The books of a domain. Never locked while loom may switch threads or a value is dropped.
#[derive(Debug)]
pub(crate) struct Books<T> {
    books: Mutex<T>,
}

impl<T: Default> Books<T> {
    fn new() -> Self {
        Self { books: Mutex::default() }
    }
}

impl<T> Books<T> {
    fn open(&self) -> MutexGuard<'_, T> {
        // A model that has failed unwinds through here.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node's header: written when it is made, and when it is retired.
#[derive(Debug)]
pub(crate) struct Life(UnsafeCell<()>);

impl Life {
    fn begin() -> Self {
        Self(UnsafeCell::new(()))
    }

    /// # Safety
    /// The node was made by a guard of one of these schemes.
    unsafe fn end(retired: &Retired) {
        // SAFETY: the caller's; the header is alive.
        unsafe { retired.header::<Self>().as_ref() }.0.with_mut(|_| ());
    }
}

/// Frees objects that nobody protects.
///
/// # Safety
/// Nobody does, and nobody can any more.
unsafe fn reclaim_all(ripe: Vec<Retired>) -> usize {
    let count = ripe.len();
    for retired in ripe {
        // SAFETY: the caller's.
        unsafe { retired.reclaim() };
    }
    count
}

/// Retired objects, each with its holders: the slots, or the sections, that it waits for.
#[derive(Debug, Default)]
struct Pending(Vec<(Retired, Vec<usize>)>);

impl Pending {
    fn push(&mut self, retired: Retired, holders: Vec<usize>) {
        self.0.push((retired, holders));
    }

    /// No object waits for this holder any more, but for those that are `still_held`.
    fn let_go(&mut self, holder: usize, still_held: impl Fn(&Retired) -> bool) {
        for (retired, holders) in &mut self.0 {
            if !still_held(retired) {
                holders.retain(|other| *other != holder);
            }
        }
    }

    /// Takes out what waits for nobody.
    fn take_ripe(&mut self) -> Vec<Retired> {
        let (ripe, held) =
            mem::take(&mut self.0).into_iter().partition(|(_, holders)| holders.is_empty());
        self.0 = held;
        Self(ripe).take_all()
    }

    fn take_all(&mut self) -> Vec<Retired> {
        mem::take(&mut self.0).into_iter().map(|(retired, _)| retired).collect()
    }
}

/// Hazard pointers as strict as can be.
#[derive(Debug)]
pub(crate) struct Pointers;

/// The slots of a domain, and what waits for them.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// The address that each slot covers; 0 for none. They are not used again.
    covered: Vec<usize>,
    /// Held by the slots that have covered them since they were first looked at.
    pending: Pending,
    retired: u64,
    reclaimed: u64,
}

impl Books<Slots> {
    /// Makes a slot cover another address. What it covered may be freed from now on.
    fn cover(&self, slot: usize, address: *mut u8) {
        let mut books = self.open();
        books.covered[slot] = address.addr();
        books.pending.let_go(slot, |retired| retired.address().as_ptr() == address);
        drop(books);
        // Orders the end of the old protection after the reads under it, and the begin of the new
        // one before the load that confirms it: nothing comes between the entry and the fence.
        fence(Ordering::SeqCst);
    }

    /// Frees what no slot covers.
    fn scan(&self, fresh: Vec<Retired>) -> usize {
        // Orders the unlinking before the scan, and the end of all protections before the freeing.
        fence(Ordering::SeqCst);
        let mut books = self.open();
        for retired in fresh {
            let address = retired.address().as_ptr().addr();
            let covered = books.covered.iter().enumerate();
            let holders = covered.filter(|(_, covered)| **covered == address);
            let holders = holders.map(|(slot, _)| slot).collect();
            books.pending.push(retired, holders);
        }
        let ripe = books.pending.take_ripe();
        books.reclaimed += ripe.len() as u64;
        drop(books);
        // SAFETY: no slot that covered them when the fence before their first look was executed does so
        // still. Whoever has covered one of them since finds at his second look, which is after a later
        // fence, that it is unlinked.
        unsafe { reclaim_all(ripe) }
    }
}

// SAFETY: S1, S2: `scan`. S3: `protect` loads with Acquire. S4: values are dropped in `reclaim`,
// `leave`, `collect` and `drain` only. S5: `Retired::reclaim` lets no panic pass.
unsafe impl Scheme for Pointers {
    const PROTECTION: Protection = Protection::Pointer;
    const BOUNDED: bool = true;

    type Header = Life;
    type Domain = Books<Slots>;
    /// What it has retired since it last scanned.
    type Section = RefCell<Vec<Retired>>;
    type Slot = usize;

    fn new_domain() -> Self::Domain {
        Books::new()
    }

    fn enter(_: &Self::Domain) -> Self::Section {
        RefCell::default()
    }

    unsafe fn leave(domain: &Self::Domain, section: Self::Section) {
        domain.scan(section.into_inner());
    }

    unsafe fn header(_: &Self::Domain, _: &Self::Section, _: &'static Vtable) -> Life {
        Life::begin()
    }

    unsafe fn slot(domain: &Self::Domain, _: &Self::Section) -> usize {
        let mut books = domain.open();
        books.covered.push(0);
        books.covered.len() - 1
    }

    unsafe fn free_slot(domain: &Self::Domain, _: &Self::Section, slot: usize) {
        domain.cover(slot, core::ptr::null_mut());
    }

    unsafe fn protect<T>(
        domain: &Self::Domain,
        _: &Self::Section,
        slot: &mut usize,
        source: &AtomicPtr<T>,
        tag_mask: usize,
    ) -> *mut T {
        // Relaxed: only a guess.
        let mut guess = source.load(Ordering::Relaxed);
        loop {
            domain.cover(*slot, guess.map_addr(|address| address & !tag_mask).cast());
            // Acquire: S3.
            let found = source.load(Ordering::Acquire);
            if core::ptr::eq(found, guess) {
                return found;
            }
            guess = found;
        }
    }

    unsafe fn announce(
        domain: &Self::Domain,
        _: &Self::Section,
        slot: &mut usize,
        address: *mut u8,
    ) {
        domain.cover(*slot, address);
    }

    unsafe fn clear(domain: &Self::Domain, _: &Self::Section, slot: &mut usize) {
        domain.cover(*slot, core::ptr::null_mut());
    }

    unsafe fn retire(domain: &Self::Domain, section: &Self::Section, retired: Retired) {
        // SAFETY: by the contract of `Scheme`, made by `header` above.
        unsafe { Life::end(&retired) };
        domain.open().retired += 1;
        section.borrow_mut().push(retired);
    }

    unsafe fn reclaim(domain: &Self::Domain, section: &Self::Section, _: usize) -> usize {
        domain.scan(section.take())
    }

    fn collect(domain: &Self::Domain) -> usize {
        domain.scan(Vec::new())
    }

    fn drain(domain: &mut Self::Domain) {
        let pending = domain.open().pending.take_all();
        // SAFETY: no section is open.
        unsafe { reclaim_all(pending) };
    }

    fn stats(domain: &Self::Domain) -> Stats {
        let books = domain.open();
        stats(books.retired, books.reclaimed)
    }
}

/// Epochs as strict as can be.
#[derive(Debug)]
pub(crate) struct Regions;

/// The sections of a domain, and what waits for them.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    open: Vec<usize>,
    /// Held by the sections that may have seen them.
    pending: Pending,
    entered: usize,
    retired: u64,
    reclaimed: u64,
}

/// One section: its number, and what it has retired.
#[derive(Debug)]
pub(crate) struct Section {
    number: usize,
    retired: RefCell<Vec<Retired>>,
}

// SAFETY: S1, S2: an object that a section has retired waits for all sections that are open when
// that one ends. One that is entered later has its fence after that end's, so it finds the object
// unlinked. S3 to S5: as for `Pointers`.
unsafe impl Scheme for Regions {
    const PROTECTION: Protection = Protection::Region;
    const BOUNDED: bool = false;

    type Header = Life;
    type Domain = Books<Sections>;
    type Section = Section;
    type Slot = ();

    fn new_domain() -> Self::Domain {
        Books::new()
    }

    fn enter(domain: &Self::Domain) -> Section {
        let mut books = domain.open();
        books.entered += 1;
        let number = books.entered;
        books.open.push(number);
        drop(books);
        // Orders the entry before all loads of the section.
        fence(Ordering::SeqCst);
        Section { number, retired: RefCell::default() }
    }

    unsafe fn leave(domain: &Self::Domain, section: Section) {
        // Orders the section's unlinking and reading before the books, and the reads of sections
        // that have ended before the freeing.
        fence(Ordering::SeqCst);
        let mut books = domain.open();
        books.open.retain(|number| *number != section.number);
        let open = books.open.clone();
        for retired in section.retired.into_inner() {
            books.pending.push(retired, open.clone());
        }
        books.pending.let_go(section.number, |_| false);
        let ripe = books.pending.take_ripe();
        books.reclaimed += ripe.len() as u64;
        drop(books);
        // SAFETY: all sections that could have seen them have ended.
        unsafe { reclaim_all(ripe) };
    }

    unsafe fn header(_: &Self::Domain, _: &Section, _: &'static Vtable) -> Life {
        Life::begin()
    }

    unsafe fn slot(_: &Self::Domain, _: &Section) {}

    unsafe fn free_slot(_: &Self::Domain, _: &Section, (): ()) {}

    unsafe fn protect<T>(
        _: &Self::Domain,
        _: &Section,
        (): &mut (),
        source: &AtomicPtr<T>,
        _: usize,
    ) -> *mut T {
        // Acquire: S3.
        source.load(Ordering::Acquire)
    }

    unsafe fn announce(_: &Self::Domain, _: &Section, (): &mut (), _: *mut u8) {}

    unsafe fn clear(_: &Self::Domain, _: &Section, (): &mut ()) {}

    unsafe fn retire(domain: &Self::Domain, section: &Section, retired: Retired) {
        // SAFETY: by the contract of `Scheme`, made by `header` above.
        unsafe { Life::end(&retired) };
        domain.open().retired += 1;
        section.retired.borrow_mut().push(retired);
    }

    unsafe fn reclaim(_: &Self::Domain, _: &Section, _: usize) -> usize {
        0
    }

    /// Nothing is left that could be freed now.
    fn collect(_: &Self::Domain) -> usize {
        0
    }

    fn drain(domain: &mut Self::Domain) {
        let pending = domain.open().pending.take_all();
        // SAFETY: no section is open.
        unsafe { reclaim_all(pending) };
    }

    fn stats(domain: &Self::Domain) -> Stats {
        let books = domain.open();
        stats(books.retired, books.reclaimed)
    }
}

// SAFETY: a region, and slots are nothing.
unsafe impl GuardScoped for Regions {}

fn stats(retired: u64, reclaimed: u64) -> Stats {
    let mut stats = Stats::default();
    stats.retired = retired;
    stats.reclaimed = reclaimed;
    stats.pending = retired - reclaimed;
    stats
}
