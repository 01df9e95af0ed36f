//! The `crossbeam-epoch` crate as a scheme.
//!
//! A section is a pinned `crossbeam_epoch::Guard`, and retiring defers a function there. Epochs
//! protect the region: every pointer loaded after the pin (which has a full fence) stays good until
//! the unpin, because what is unlinked meanwhile is freed two epochs later, and the second one does
//! not begin before we unpin. (Fraser, "Practical lock-freedom", 2004.)
//!
//! # Threads
//!
//! For its default collector, crossbeam keeps each thread's handle. For an owned domain we do, in
//! a thread-local list. Handles never leave their thread.
//!
//! - **I1.** No user code runs while the list is borrowed: pinning and dropping a handle may both
//!   run the `Drop` of retired values, which may pin this or another domain again. So a handle is
//!   taken out of the list (`Rc`) before it is used, and dropped after the borrow has ended.
//! - **I2.** A handle whose domain has gone is dropped when its thread next registers somewhere,
//!   or exits; until then it keeps the collector, and what its thread has retired and not yet
//!   passed on.

use core::cell::RefCell;
use core::ops::Deref;
use std::rc::Rc;
use std::sync::{LazyLock, Weak};

use crossbeam_epoch::{Collector, Guard, LocalHandle};

use super::burial::bury;
use crate::counts::Counts;
#[cfg(feature = "crossbeam-epoch")]
use crate::domain::Domain;
use crate::retired::{Retired, Vtable};
use crate::rounds::{Round, Rounds};
use crate::scheme::{GlobalScheme, GuardScoped, Protection, Scheme, Stats};
use crate::sharded::Sharded;
use crate::sync::counter::Arc;
use crate::sync::{AtomicPtr, Ordering, thread_local};

/// Epochs by the [`crossbeam-epoch`](https://docs.rs/crossbeam-epoch) crate: its default collector,
/// or, as [`Domain<CrossbeamEpoch>`](crate::Domain), one of its own or of the user's.
///
/// **Progress**: pinning is wait-free but for the collecting that crossbeam does at each 128th pin;
/// retiring is lock-free. **Pending memory is not bounded** while a thread stays in a critical
/// section, and a thread that has retired a little and then does nothing keeps that little until
/// it pins again or exits: no other thread's [`collect`](crate::Reclaimer::collect) reaches it.
///
/// Of an owned domain that is dropped, what was retired by *other* threads that still live may
/// stay until they exit or use another owned domain for the first time; and for ever, if a guard of
/// it was forgotten.
///
/// crossbeam allocates a little for each 64 objects that a thread retires, and aborts there when
/// there is no memory. A program that itself defers functions to a collector that it shares with
/// this crate, and lets them panic, gets the panic wherever crossbeam runs them: in a `pin`, too.
///
/// ```
/// # // Miri finds fault with crossbeam-epoch itself; see `tests/conformance.rs`.
/// # if cfg!(miri) { return; }
/// use sexton::{CrossbeamEpoch, Stack};
///
/// let stack = Stack::<_, CrossbeamEpoch>::new();
/// stack.push(1);
/// assert_eq!(stack.pop(), Some(1));
/// ```
/// A collector of the user's (feature `crossbeam-epoch`):
///
/// ```
/// # // Miri finds fault with crossbeam-epoch itself; see `tests/conformance.rs`.
/// # if cfg!(miri) { return; }
/// use sexton::{CrossbeamEpoch, Domain, Queue};
///
/// let collector = crossbeam_epoch::Collector::new();
/// let domain = Domain::<CrossbeamEpoch>::from(collector.clone());
/// let queue = Queue::with_reclaimer(domain);
/// queue.push(1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrossbeamEpoch;

/// The state of a domain; public only because [`Scheme::Domain`] is.
#[derive(Debug)]
pub struct State {
    /// `None`: crossbeam's default collector.
    collector: Option<Collector>,
    /// Tells the threads' handles that the domain lives (I2).
    alive: Arc<()>,
    /// Each shard by itself in an `Arc`, as a deferred function may run after the domain is gone.
    counts: Sharded<Arc<Counts>>,
}

impl State {
    fn new(collector: Option<Collector>) -> Self {
        Self { collector, alive: Arc::new(()), counts: Sharded::default() }
    }

    fn pin(&self) -> Guard {
        match &self.collector {
            None => crossbeam_epoch::pin(),
            Some(collector) => pin_registered(collector, &self.alive),
        }
    }

    fn stats(&self) -> Stats {
        Counts::sum(self.counts.iter().map(|counts| &**counts))
    }
}

/// A thread's handle for an owned domain.
struct Registration {
    handle: LocalHandle,
    alive: Weak<()>,
}

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom has no const form")]
    static REGISTRATIONS: RefCell<Vec<Rc<Registration>>> = RefCell::new(Vec::new());
}

/// Pins through the calling thread's handle, which is made at first use.
fn pin_registered(collector: &Collector, alive: &Arc<()>) -> Guard {
    let known = REGISTRATIONS.try_with(|list| {
        list.borrow().iter().find(|known| known.handle.collector() == collector).map(Rc::clone)
    });
    match known {
        Ok(Some(registration)) => registration.handle.pin(),
        Ok(None) => register(collector, alive).handle.pin(),
        // The thread is exiting, and its list is gone: a handle for this one guard, which keeps
        // what it needs of it.
        Err(_) => collector.register().pin(),
    }
}

#[cold]
fn register(collector: &Collector, alive: &Arc<()>) -> Rc<Registration> {
    let new = Rc::new(Registration { handle: collector.register(), alive: Arc::downgrade(alive) });
    // If the list is gone meanwhile, the handle lives as long as this pin.
    let dead = REGISTRATIONS.try_with(|list| {
        let mut list = list.borrow_mut();
        let (alive, dead) = list.drain(..).partition(|known| known.alive.strong_count() > 0);
        *list = alive;
        list.push(Rc::clone(&new));
        dead
    });
    // I1: dropped after the borrow.
    drop::<Result<Vec<Rc<Registration>>, _>>(dead);
    new
}

/// Drops the calling thread's handle for a domain that is going.
fn unregister(collector: &Collector) {
    let found = REGISTRATIONS.try_with(|list| {
        let mut list = list.borrow_mut();
        let at = list.iter().position(|known| known.handle.collector() == collector)?;
        Some(list.swap_remove(at))
    });
    // I1: dropped after the borrow.
    drop(found);
}

/// Defers the burial of an object.
///
/// # Safety
/// The object is unlinked, and may be reclaimed on any thread, at any time when no guard that could
/// have seen it is left; `counts` may be used there and then.
unsafe fn defer<C>(section: &Guard, retired: Retired, counts: C)
where
    C: Deref<Target = Counts> + 'static,
{
    // crossbeam stores a deferred function of up to three words without an allocation.
    const { assert!(size_of::<(Retired, C)>() <= 3 * size_of::<usize>()) }
    let runs_user_code = retired.runs_user_code();
    let burial = move || {
        let bytes = retired.bytes();
        // SAFETY: crossbeam calls it when no guard that could have seen the object is left, and by
        // the caller's promise later ones can't find it.
        let dropped = unsafe { retired.reclaim() };
        counts.reclaimed(bytes, dropped);
    };
    // SAFETY: what is captured may be used on any thread, at any later time: the caller's promise.
    unsafe {
        if runs_user_code {
            section.defer_unchecked(move || bury(burial));
        } else {
            section.defer_unchecked(burial);
        }
    }
}

/// Rounds without progress after which nothing more can be had: an epoch is passed in one, garbage
/// is ripe after two epochs, and one more for an advance that another thread was in the way of.
const IDLE_ROUNDS: usize = 4;

// SAFETY: S1 and S2: crossbeam-epoch runs a deferred function only when every guard that was
// pinned when it was deferred has been dropped, and protection is by guard. S3: `protect`. S4:
// `defer_unchecked` only stores the function (its own queue's nodes have no user code in them).
// S5: `Retired::reclaim` lets no panic pass. A forgotten guard stays pinned.
unsafe impl Scheme for CrossbeamEpoch {
    const PROTECTION: Protection = Protection::Region;
    const BOUNDED: bool = false;

    type Header = ();
    type Domain = State;
    type Section = Guard;
    type Slot = ();

    fn new_domain() -> State {
        State::new(Some(Collector::new()))
    }

    #[inline]
    fn enter(domain: &State) -> Guard {
        domain.pin()
    }

    #[inline]
    unsafe fn leave(_: &State, section: Guard) {
        drop(section);
    }

    #[inline]
    unsafe fn header(_: &State, _: &Guard, _: &'static Vtable) {}

    #[inline]
    unsafe fn slot(_: &State, _: &Guard) {}

    #[inline]
    unsafe fn free_slot(_: &State, _: &Guard, (): ()) {}

    #[inline]
    unsafe fn protect<T>(
        _: &State,
        _: &Guard,
        (): &mut (),
        source: &AtomicPtr<T>,
        _: usize,
    ) -> *mut T {
        // Acquire: pairs with the Release that published the node (S3).
        source.load(Ordering::Acquire)
    }

    #[inline]
    unsafe fn announce(_: &State, _: &Guard, (): &mut (), _: *mut u8) {}

    #[inline]
    unsafe fn clear(_: &State, _: &Guard, (): &mut ()) {}

    unsafe fn retire(domain: &State, section: &Guard, retired: Retired) {
        let counts = domain.counts.mine();
        counts.retired(retired.bytes());
        // SAFETY: the caller's promise for the object; the counts are static, or shared ownership.
        unsafe {
            if domain.collector.is_none() {
                defer(section, retired, &**Self::global().counts.mine());
            } else {
                defer(section, retired, Arc::clone(counts));
            }
        }
    }

    #[inline]
    unsafe fn reclaim(_: &State, _: &Guard, _: usize) -> usize {
        // crossbeam reclaims when it pins.
        0
    }

    fn collect(domain: &State) -> usize {
        Rounds::new(|| domain.stats()).run(IDLE_ROUNDS, || {
            domain.pin().flush();
            Round::Part
        })
    }

    fn drain(domain: &mut State) {
        if let Some(collector) = domain.collector.take() {
            unregister(&collector);
            // The last handle of a collector frees all that is in it.
            drop(collector);
        }
    }

    fn stats(domain: &State) -> Stats {
        domain.stats()
    }
}

// SAFETY: one static.
unsafe impl GlobalScheme for CrossbeamEpoch {
    #[inline]
    fn global() -> &'static State {
        static GLOBAL: LazyLock<State> = LazyLock::new(|| State::new(None));
        &GLOBAL
    }
}

// SAFETY: a region, and slots are nothing.
unsafe impl GuardScoped for CrossbeamEpoch {}

impl From<Collector> for Domain<CrossbeamEpoch> {
    /// A domain on a collector of the user's.
    ///
    /// What is retired in it is reclaimed by whoever keeps the collector, at the latest when its
    /// last handle is dropped.
    fn from(collector: Collector) -> Self {
        Self::from_raw(State::new(Some(collector)))
    }
}
