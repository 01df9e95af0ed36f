//! The `haphazard` crate as a scheme: hazard pointers, one in each slot.
//!
//! # Protection
//!
//! Load the pointer, publish it without its tag in the hazard pointer, full fence, load again,
//! compare. haphazard takes what was retired, then issues its heavy barrier, then reads all hazard
//! pointers. Of the two fences one is first: if ours, the hazard is seen and the object is kept; if
//! theirs, the unlinking came before it, so our second load sees that the source has changed, and
//! we start again. (Michael, "Hazard Pointers", 2004.) haphazard's own `protect` compares the whole
//! word it publishes, tag included, so only its raw parts serve here.
//!
//! # Retiring runs no user code
//!
//! haphazard calls deleters inside `retire`. Ours, called there, moves the object to a list of the
//! retiring section, the *ripe* list, and the objects are freed from it a few at a time when the
//! structure says that it is a good moment ([`Scheme::reclaim`]), and at the end of the section.
//! Called from anywhere else (the program uses haphazard's global domain by itself, too), it frees
//! the object at once.
//!
//! - **I1.** `ripe` is a list through the headers of objects that haphazard has given up: nobody
//!   protects them, nobody else knows them.
//! - **I2.** `COLLECTING` is not null only during a call of this thread into haphazard's domain,
//!   and then points to a ripe list that is buried before that domain goes. Every such call sets
//!   it, so what is given up during a call is of the call's domain (or is not ours).
//! - **I3.** The counts are in an allocation of their own, which the headers point to: `drain` has
//!   the domain's state as `&mut` while they are used.

use core::cell::Cell;
use core::fmt;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use std::sync::LazyLock;

use haphazard::raw::Pointer;
use haphazard::{Global, HazardPointer};

use super::burial::bury;
use crate::counts::Counts;
use crate::retired::{Retired, Vtable, swallow_panic};
use crate::rounds::{Round, Rounds};
use crate::scheme::{GlobalScheme, Protection, Scheme, Stats};
use crate::sharded::Sharded;
use crate::sync::counter::Arc;
use crate::sync::{AtomicPtr, Ordering, fence, thread_local};

/// Hazard pointers by the [`haphazard`](https://docs.rs/haphazard) crate: its global domain, or, as
/// [`Domain<Haphazard>`](crate::Domain), one of its own.
///
/// **Progress**: a slot is leased from a shared list under a short spin lock of haphazard's;
/// protecting is lock-free. **Pending memory is bounded**: haphazard scans when 1000 objects, or
/// twice as many as there are hazard pointers, are waiting; what a scan frees is dropped by the
/// thread that scanned, a few at each operation that retires, and the rest when its guard ends.
///
/// haphazard allocates when it retires, and aborts there when there is no memory.
///
/// A program that retires objects of its own in haphazard's global domain should know that their
/// `Drop` may run in the middle of an operation of ours. If it panics there, the panic is reported
/// by its hook and goes no further, but haphazard loses what else it was about to reclaim.
///
/// ```
/// use sexton::{Haphazard, Stack};
///
/// let stack = Stack::<_, Haphazard>::new();
/// stack.push(1);
/// assert_eq!(stack.pop(), Some(1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Haphazard;

/// haphazard's mark for owned domains.
#[derive(Debug)]
#[non_exhaustive]
pub struct Owned;

/// The state of a domain; public only because [`Scheme::Domain`] is.
pub struct State {
    domain: Kind,
    /// I3.
    counts: Arc<Sharded<Counts>>,
}

enum Kind {
    Global,
    /// A pointer from `Box`: slots refer to the domain past any borrow of this state.
    Owned(NonNull<haphazard::Domain<Owned>>),
}

// SAFETY: an owned `haphazard::Domain` is both.
unsafe impl Send for Kind {}
// SAFETY: as above.
unsafe impl Sync for Kind {}

impl State {
    fn owned(&self) -> Option<&'static haphazard::Domain<Owned>> {
        match self.domain {
            Kind::Global => None,
            // SAFETY: freed in `drain` only, and slots are not used after that, by the contract of
            // `Scheme`.
            Kind::Owned(domain) => Some(unsafe { domain.as_ref() }),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// What a node carries, as haphazard hands its deleter nothing but an address.
#[derive(Debug)]
pub struct Header {
    vtable: &'static Vtable,
    /// The domain's, from its `Arc`; good until the object is reclaimed.
    counts: *const Sharded<Counts>,
    /// I1.
    next: Cell<*mut Self>,
}

/// A list of ripe objects (I1).
type RipeList = Cell<*mut Header>;

/// One guard's state.
#[derive(Debug)]
pub struct Section {
    ripe: RipeList,
}

/// A hazard pointer of either kind of domain.
pub enum Slot {
    /// Of haphazard's global domain.
    #[doc(hidden)]
    Global(HazardPointer<'static, Global>),
    /// Of a domain of our own.
    #[doc(hidden)]
    Owned(HazardPointer<'static, Owned>),
}

impl Slot {
    #[inline]
    fn publish(&mut self, address: *mut u8) {
        match self {
            Self::Global(hazard) => hazard.protect_raw(address),
            Self::Owned(hazard) => hazard.protect_raw(address),
        }
        // SeqCst, a full fence: orders the publication before every later load, against the heavy
        // barrier of haphazard's scan. PAIRS: `asymmetric_heavy_barrier` in `do_reclamation`.
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn reset(&mut self) {
        match self {
            Self::Global(hazard) => hazard.reset_protection(),
            Self::Owned(hazard) => hazard.reset_protection(),
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom has no const form")]
    static COLLECTING: Cell<*const RipeList> = Cell::new(ptr::null());
}

/// Stands for the value of any node where haphazard wants a type.
struct Value;

/// haphazard's deleter is the drop of this.
struct Unprotected(NonNull<Value>);

// SAFETY: nothing is ever made of a `Value`: `into_raw` and `deref` are not called, and `from_raw`
// is the deleter, which only passes the address on.
unsafe impl Pointer<Value> for Unprotected {
    fn into_raw(self) -> *mut Value {
        self.0.as_ptr()
    }

    unsafe fn from_raw(value: *mut Value) -> Self {
        // SAFETY: haphazard returns what `retire_ptr` was given, which was not null.
        Self(unsafe { NonNull::new_unchecked(value) })
    }
}

impl Deref for Unprotected {
    type Target = Value;

    fn deref(&self) -> &Value {
        &Value
    }
}

impl Drop for Unprotected {
    fn drop(&mut self) {
        // SAFETY: a node that was retired in this scheme, and so made by a guard of it.
        let header = unsafe { crate::retired::header::<Header>(self.0.cast()) };
        let collecting = COLLECTING.with(Cell::get);
        if collecting.is_null() {
            // SAFETY: haphazard has given the object up; nobody protects it.
            unsafe { bury_object(header) };
        } else {
            // SAFETY: I2: the list is alive. The header is ours (I1).
            unsafe {
                let ripe = &*collecting;
                header.as_ref().next.set(ripe.replace(header.as_ptr()));
            }
        }
    }
}

/// Reclaims the object with this header, now or after the burial that we are in.
///
/// # Safety
/// The object is retired, in nobody's list, and nobody protects it; its domain's state is alive.
unsafe fn bury_object(header: NonNull<Header>) {
    // SAFETY: the header is alive until the object is reclaimed, and is copied before that. The
    // value begins where the header ends. The counts are alive as the domain is; from here on they
    // are shared ownership, as the domain may be gone when the burial's turn comes.
    let (retired, counts) = unsafe {
        let Header { vtable, counts, .. } = header.read();
        Arc::increment_strong_count(counts);
        (Retired::from_parts(header.add(1).cast(), vtable), Arc::from_raw(counts))
    };
    let runs_user_code = retired.runs_user_code();
    let burial = move || {
        let bytes = retired.bytes();
        // SAFETY: the caller's.
        let dropped = unsafe { retired.reclaim() };
        counts.mine().reclaimed(bytes, dropped);
    };
    if runs_user_code { bury(burial) } else { burial() }
}

/// Reclaims up to `budget` objects of a list.
fn bury_ripe(ripe: &RipeList, budget: usize) -> usize {
    let mut buried = 0;
    while buried < budget {
        let Some(header) = NonNull::new(ripe.get()) else { break };
        // SAFETY: I1. It is taken off the list before user code runs, which may come back here.
        unsafe {
            ripe.set(header.as_ref().next.get());
            bury_object(header);
        }
        buried += 1;
    }
    buried
}

/// Calls into haphazard's domain; what it gives up meanwhile goes to `ripe`.
fn collecting<T>(ripe: &RipeList, call: impl FnOnce() -> T) -> T {
    /// Puts back what was there, also when an object that is not ours panics in its drop.
    struct Restore(*const RipeList);

    impl Drop for Restore {
        fn drop(&mut self) {
            COLLECTING.with(|list| list.set(self.0));
        }
    }

    let _restore = Restore(COLLECTING.with(|list| list.replace(ripe)));
    call()
}

// SAFETY: S1 and S2: the module's head. S3: `protect` loads with Acquire. S4: deleters only move
// objects while we are in `retire` (I2). S5: `Retired::reclaim` lets no panic pass. A forgotten
// slot keeps its hazard pointer for ever; a forgotten section leaks its ripe list.
unsafe impl Scheme for Haphazard {
    const PROTECTION: Protection = Protection::Pointer;
    const BOUNDED: bool = true;

    type Header = Header;
    type Domain = State;
    type Section = Section;
    type Slot = Slot;

    fn new_domain() -> State {
        let domain = Box::new(haphazard::Domain::new(&Owned));
        // SAFETY: a box is not null.
        let domain = unsafe { NonNull::new_unchecked(Box::into_raw(domain)) };
        State { domain: Kind::Owned(domain), counts: Arc::default() }
    }

    #[inline]
    fn enter(_: &State) -> Section {
        Section { ripe: Cell::new(ptr::null_mut()) }
    }

    #[inline]
    unsafe fn leave(_: &State, section: Section) {
        bury_ripe(&section.ripe, usize::MAX);
    }

    #[inline]
    unsafe fn header(domain: &State, _: &Section, vtable: &'static Vtable) -> Header {
        let counts = Arc::as_ptr(&domain.counts);
        Header { vtable, counts, next: Cell::new(ptr::null_mut()) }
    }

    #[inline]
    unsafe fn slot(domain: &State, _: &Section) -> Slot {
        match domain.owned() {
            None => Slot::Global(HazardPointer::new()),
            Some(domain) => Slot::Owned(HazardPointer::new_in_domain(domain)),
        }
    }

    #[inline]
    unsafe fn free_slot(_: &State, _: &Section, slot: Slot) {
        drop(slot);
    }

    #[inline]
    unsafe fn protect<T>(
        _: &State,
        _: &Section,
        slot: &mut Slot,
        source: &AtomicPtr<T>,
        tag_mask: usize,
    ) -> *mut T {
        // Relaxed: only a guess, which the second load confirms.
        let mut guess = source.load(Ordering::Relaxed);
        loop {
            slot.publish(guess.map_addr(|address| address & !tag_mask).cast());
            // Acquire: pairs with the Release that published the node (S3).
            let found = source.load(Ordering::Acquire);
            if ptr::eq(found, guess) {
                return found;
            }
            guess = found;
        }
    }

    #[inline]
    unsafe fn announce(_: &State, _: &Section, slot: &mut Slot, address: *mut u8) {
        slot.publish(address);
    }

    #[inline]
    unsafe fn clear(_: &State, _: &Section, slot: &mut Slot) {
        slot.reset();
    }

    unsafe fn retire(domain: &State, section: &Section, retired: Retired) {
        domain.counts.mine().retired(retired.bytes());
        let value = retired.address().as_ptr().cast::<Value>();
        // The header has all that is needed to reclaim it.
        let _ = retired;
        // S5: an object of the program's own may panic here. Ours do not, and nothing of ours is
        // left half done by it.
        swallow_panic(|| {
            collecting(&section.ripe, || {
                // SAFETY: retired once, unlinked, and valid until it is reclaimed: the caller's.
                unsafe {
                    match domain.owned() {
                        None => haphazard::Domain::global().retire_ptr::<Value, Unprotected>(value),
                        Some(domain) => domain.retire_ptr::<Value, Unprotected>(value),
                    }
                }
            });
        });
    }

    #[inline]
    unsafe fn reclaim(_: &State, section: &Section, budget: usize) -> usize {
        bury_ripe(&section.ripe, budget)
    }

    fn collect(domain: &State) -> usize {
        let rounds = Rounds::new(|| Counts::sum(domain.counts.iter()));
        rounds.run(1, || {
            let ripe = RipeList::new(ptr::null_mut());
            swallow_panic(|| {
                collecting(&ripe, || match domain.owned() {
                    None => haphazard::Domain::global().eager_reclaim(),
                    Some(domain) => domain.eager_reclaim(),
                });
            });
            bury_ripe(&ripe, usize::MAX);
            Round::WithHeirs
        })
    }

    fn drain(domain: &mut State) {
        if let Kind::Owned(raw) = core::mem::replace(&mut domain.domain, Kind::Global) {
            let ripe = RipeList::new(ptr::null_mut());
            // SAFETY: made by `Box::into_raw`, and freed once: the kind has been replaced.
            // haphazard gives up in its drop what is still retired.
            collecting(&ripe, || drop(unsafe { Box::from_raw(raw.as_ptr()) }));
            bury_ripe(&ripe, usize::MAX);
        }
    }

    fn stats(domain: &State) -> Stats {
        Counts::sum(domain.counts.iter())
    }
}

// SAFETY: one static.
unsafe impl GlobalScheme for Haphazard {
    #[inline]
    fn global() -> &'static State {
        static GLOBAL: LazyLock<State> =
            LazyLock::new(|| State { domain: Kind::Global, counts: Arc::default() });
        &GLOBAL
    }
}
