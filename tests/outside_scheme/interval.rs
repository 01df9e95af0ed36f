//! Interval-based reclamation, 2GE-IBR: a tutorial in writing a [`Scheme`].
//!
//! (Wen, Izraelevitz, Cai, Beadle, Scott, "Interval-based memory reclamation", PPoPP 2018.)
//!
//! # The idea
//!
//! A clock ticks in *eras*. Each object has a *life*: from the era in which it was allocated, which
//! is written in the node's header, to the one in which it was retired. Each critical section has a
//! *reservation*: from the era in which it began to the last one in which it loaded a pointer. A
//! pointer that a section holds was loaded while the object lived, and while the reservation had
//! grown to the present; so life and reservation have an era in common. Objects whose lives meet no
//! reservation are held by nobody.
//!
//! Against epochs: a section that sleeps holds what lived when it last loaded something, and
//! nothing that is born later, so pending memory is bounded. Against hazard pointers: a load costs
//! a comparison, and a fence only when the era has changed since the last.
//!
//! # Invariants
//!
//! - **I1.** The era never goes back. A node's birth is the era as it was read before the node was
//!   published, or an older one; its death is the era as it was read after it was unlinked.
//! - **I2.** A section's `lower` is the era of its beginning and does not change; its `upper` only
//!   grows. `protect` returns a pointer that it has loaded *after* `upper` was published, and it
//!   has found *after* that load that `upper` is the era still.
//! - **I3.** An object is reclaimed only if no open reservation meets its life: for each of them
//!   `upper < birth`, or `death < lower`.
//!
//! # Why what is protected is not freed (S1)
//!
//! Thread T holds `p` from `protect`; thread R has retired it; a scan looks at `p` and at T's
//! reservation.
//!
//! - `birth <= upper`: the birth was read before `p` was published (Release), so before T's load
//!   (Acquire), so before T read the era that it found equal to `upper` (I2). Eras that are read
//!   one after the other do not go back (I1).
//! - `lower <= death`: both eras are read under the lock, under which the clock ticks. Had R been
//!   first, the unlinking of `p` would happen before T's section begins, and T could not have found
//!   `p`. So T was first, and read an era not younger than R's.
//! - *The scan sees T's reservation*, and `upper` as it is needed. If T began after the scan had
//!   the lock, the unlinking happens before T's loads, as above. Else T is in the list, and there
//!   is a fence between T's store of `upper` and its load of `p`, and another between the unlinking
//!   and the scan's load of `upper`. If T's is first, the scan loads the new `upper`, or a later
//!   one. If the scan's is first, T's load sees that `p` was unlinked, and does not find it.
//!
//! For an announced pointer (S2) the same holds: the birth is read before `announce` reads the era,
//! as the address was loaded with Acquire, and the algorithm finds out after the fence that the
//! object was not retired yet.
//!
//! # What is simple here, and would not be in earnest
//!
//! All sections of a domain stand in one list behind a lock, and all that is retired in another. So
//! nothing here is lock-free, but a `protect` in an era that it knows. And `retire` may find no
//! memory for its list, and then ends the process: a scheme in earnest links what is retired
//! through its headers, or reserves a place before it needs one.
//!
//! # How much is pending
//!
//! A section that sleeps holds at most what lived when it last protected something: that is linked
//! (and not pending), or retired by then, or died later. What is not held is scanned when there is
//! twice as much as after the last scan, and [`SCAN`] more.

use core::cell::Cell;
use core::fmt;
use core::mem;
use core::ptr::NonNull;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use sexton::sync::{AtomicPtr, AtomicU64, Ordering, fence};
use sexton::{GlobalScheme, GuardScoped, Protection, Retired, Scheme, Stats, Vtable};

/// What is pending at most while a section sleeps that has protected one object, and others that
/// come and go retire one after another. With a good margin: each of them may hold some more.
pub(crate) const PENDING: usize = 1000;

/// A scan is due when so many objects have been retired since the last (and as many again as that
/// one had to leave).
const SCAN: usize = 64;

/// How many objects a section's end reclaims at most.
const BUDGET: usize = 32;

/// How often `collect` looks again.
const GENERATIONS: usize = 100;

/// What a header says beside the birth, to see that it arrives as it was made.
const MADE_HERE: u64 = 0x1BB7_AB1E_0F2C_0DE5;

/// Interval-based reclamation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval;

impl Interval {
    /// So many objects are retired in one era.
    pub(crate) const ERA_LENGTH: u64 = 16;
}

/// Stands before each node's value.
#[derive(Debug)]
pub(crate) struct Header {
    birth: u64,
    made_here: u64,
}

/// What a domain shares.
pub(crate) struct State {
    /// I1. Ticks under the lock, so that `enter` and `retire` read it in turn.
    era: AtomicU64,
    book: Mutex<Book>,
}

/// What is behind the lock. No user code runs while it is held: a value's `Drop` may come back to
/// it.
#[derive(Default)]
struct Book {
    open: Open,
    /// Retired, and held by somebody at the last scan, or younger than that.
    waiting: Vec<Grave>,
    /// Held by nobody.
    ripe: Vec<Retired>,
    /// The length of `waiting` at which the next scan is due, less `SCAN`.
    left: usize,
    /// `pending` and `pending_bytes` are what is left of the others.
    stats: Stats,
}

struct Grave {
    retired: Retired,
    birth: u64,
    death: u64,
}

/// The reservation of a section. In a box of its own, as the section writes it without the lock.
struct Reservation {
    /// I2.
    lower: u64,
    /// I2.
    upper: AtomicU64,
}

/// All open reservations, those of forgotten sections among them. They are the domain's, so that
/// nothing is leaked with a section.
#[derive(Default)]
struct Open(Vec<NonNull<Reservation>>);

// SAFETY: they point to what they own, and that is a number and an atomic.
unsafe impl Send for Open {}

impl Open {
    /// Takes a reservation off the list and frees it.
    fn close(&mut self, reservation: NonNull<Reservation>) {
        let at = self.0.iter().position(|&open| open == reservation).expect("it was opened");
        self.0.swap_remove(at);
        // SAFETY: it came from a box; what is on the list is not freed elsewhere.
        drop(unsafe { Box::from_raw(reservation.as_ptr()) });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        while let Some(&forgotten) = self.0.last() {
            self.close(forgotten);
        }
    }
}

thread_local! {
    /// Whether this thread is in `bury`. It has no destructor, so it is there in those of others.
    static BURYING: Cell<bool> = const { Cell::new(false) };
}

/// A critical section.
pub(crate) struct Section(NonNull<Reservation>);

impl Section {
    fn upper(&self) -> &AtomicU64 {
        // SAFETY: the reservation is freed when the section is left, or with the domain; a section
        // is not used after either.
        unsafe { &(*self.0.as_ptr()).upper }
    }
}

impl State {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reclaims up to `budget` ripe objects. Called without the lock.
    fn bury(&self, budget: usize) -> usize {
        // Queue, don't recurse: a value's `Drop` that makes others ripe leaves them to the loop
        // that it is called from, however many they are.
        if BURYING.replace(true) {
            return 0;
        }
        let mut buried = 0;
        while buried < budget {
            // The lock is held for this statement only.
            let Some(retired) = self.book().take_ripe() else { break };
            self.reclaim(retired);
            buried += 1;
        }
        BURYING.set(false);
        buried
    }

    fn reclaim(&self, retired: Retired) {
        let bytes = retired.bytes() as u64;
        // SAFETY: I3, as `Book::scan` found; nobody can begin to protect what is unlinked. (Or the
        // domain is going.)
        let dropped = unsafe { retired.reclaim() };
        let stats = &mut self.book().stats;
        stats.reclaimed += 1;
        stats.pending -= 1;
        stats.pending_bytes -= bytes;
        stats.drop_panics += u64::from(!dropped);
    }
}

impl Book {
    /// Moves to `ripe` what no open reservation meets (I3).
    fn scan(&mut self) {
        // PAIRS: the fences in `protect` and `announce`. What is in `waiting` was unlinked before.
        fence(Ordering::SeqCst);
        let open: Vec<_> = self
            .open
            .0
            .iter()
            .map(|reservation| {
                // SAFETY: what is on the list is not freed.
                let reservation = unsafe { reservation.as_ref() };
                // Relaxed: ordered by the fence.
                (reservation.lower, reservation.upper.load(Ordering::Relaxed))
            })
            .collect();
        let held = |grave: &Grave| {
            open.iter().any(|&(lower, upper)| grave.birth <= upper && lower <= grave.death)
        };
        for grave in mem::take(&mut self.waiting) {
            if held(&grave) {
                self.waiting.push(grave);
            } else {
                self.ripe.push(grave.retired);
            }
        }
        self.left = self.waiting.len();
        self.stats.collections += 1;
    }

    /// A ripe object, after a scan if one is due.
    fn take_ripe(&mut self) -> Option<Retired> {
        if self.waiting.len() >= 2 * self.left + SCAN {
            self.scan();
        }
        self.ripe.pop()
    }
}

// SAFETY:
// - S1, S2: the head of this file. S3: `protect`. S4: `retire` only queues; where user code runs,
//   the lock is not held. S5: `Retired::reclaim` lets no panic pass.
// - A section that is forgotten leaves its reservation open. There are no slots.
// - A retired object is in one list, and leaves it to be reclaimed; `drain` empties both.
unsafe impl Scheme for Interval {
    const PROTECTION: Protection = Protection::Era;
    const BOUNDED: bool = true;

    type Header = Header;
    type Domain = State;
    type Section = Section;
    type Slot = ();

    fn new_domain() -> State {
        State { era: AtomicU64::new(0), book: Mutex::default() }
    }

    fn enter(domain: &State) -> Section {
        let mut book = domain.book();
        // I2. Relaxed: ordered by the lock.
        let era = domain.era.load(Ordering::Relaxed);
        let reservation = Box::new(Reservation { lower: era, upper: AtomicU64::new(era) });
        let reservation = NonNull::from(Box::leak(reservation));
        book.open.0.push(reservation);
        Section(reservation)
    }

    unsafe fn leave(domain: &State, section: Section) {
        domain.book().open.close(section.0);
        domain.bury(BUDGET);
    }

    unsafe fn header(domain: &State, _: &Section, _: &'static Vtable) -> Header {
        // I1. Relaxed: what matters is that it is read before the node is published; an era that
        // is older than need be makes a life that is longer than need be.
        Header { birth: domain.era.load(Ordering::Relaxed), made_here: MADE_HERE }
    }

    unsafe fn slot(_: &State, _: &Section) {}

    unsafe fn free_slot(_: &State, _: &Section, (): ()) {}

    unsafe fn protect<T>(
        domain: &State,
        section: &Section,
        (): &mut (),
        source: &AtomicPtr<T>,
        _: usize,
    ) -> *mut T {
        let upper = section.upper();
        // Relaxed: nobody else writes it.
        let mut published = upper.load(Ordering::Relaxed);
        loop {
            // Acquire: pairs with the Release that published the node (S3).
            let found = source.load(Ordering::Acquire);
            // Relaxed: after `found`, which is acquired, so not older than its birth.
            let era = domain.era.load(Ordering::Relaxed);
            if era == published {
                return found;
            }
            // I2: published, and loaded again. The new era was made by some retirement: so this
            // goes on for ever only if other threads go on for ever.
            upper.store(era, Ordering::Relaxed);
            // PAIRS: `Book::scan`.
            fence(Ordering::SeqCst);
            published = era;
        }
    }

    unsafe fn announce(domain: &State, section: &Section, (): &mut (), _: *mut u8) {
        // Relaxed: the address was loaded with Acquire (or the node is our own), so the era is not
        // older than its birth. Nobody else writes `upper`.
        section.upper().store(domain.era.load(Ordering::Relaxed), Ordering::Relaxed);
        // PAIRS: `Book::scan`.
        fence(Ordering::SeqCst);
    }

    unsafe fn clear(_: &State, _: &Section, (): &mut ()) {}

    unsafe fn retire(domain: &State, _: &Section, retired: Retired) {
        // SAFETY: a node of this scheme, not reclaimed yet.
        let &Header { birth, made_here } = unsafe { retired.header::<Header>().as_ref() };
        assert_eq!(made_here, MADE_HERE, "a header did not arrive as it was made");
        let mut book = domain.book();
        // I1. Relaxed: ordered by the lock.
        let death = domain.era.load(Ordering::Relaxed);
        assert!(birth <= death, "an object died before it was born");
        book.stats.retired += 1;
        book.stats.pending += 1;
        book.stats.pending_bytes += retired.bytes() as u64;
        book.waiting.push(Grave { retired, birth, death });
        if book.stats.retired % Interval::ERA_LENGTH == 0 {
            // Relaxed: under the lock, where order matters.
            domain.era.fetch_add(1, Ordering::Relaxed);
        }
    }

    unsafe fn reclaim(domain: &State, _: &Section, budget: usize) -> usize {
        domain.bury(budget)
    }

    fn collect(domain: &State) -> usize {
        let mut collected = 0;
        // A value's `Drop` may retire more, and that one's too; but there is an end.
        for _generation in 0..GENERATIONS {
            domain.book().scan();
            match domain.bury(usize::MAX) {
                0 => break,
                buried => collected += buried,
            }
        }
        collected
    }

    fn drain(domain: &mut State) {
        let mut book = domain.book();
        let waiting = mem::take(&mut book.waiting).into_iter().map(|grave| grave.retired);
        let ripe = mem::take(&mut book.ripe);
        drop(book);
        // Nobody has a handle any more, so no `Drop` can retire here. It may be that the last one
        // was in a value that is being dropped just now, on this thread.
        waiting.chain(ripe).for_each(|retired| domain.reclaim(retired));
    }

    fn stats(domain: &State) -> Stats {
        domain.book().stats
    }
}

// SAFETY: one static.
unsafe impl GlobalScheme for Interval {
    fn global() -> &'static State {
        static GLOBAL: LazyLock<State> = LazyLock::new(Interval::new_domain);
        &GLOBAL
    }
}

// SAFETY: a reservation never shrinks before its section ends, and slots are nothing.
unsafe impl GuardScoped for Interval {}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("stats", &self.book().stats).finish_non_exhaustive()
    }
}
