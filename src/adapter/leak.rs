//! The scheme that never frees.
//!
//! Retiring pushes the object on one of the domain's lists, through its header, and nothing takes
//! it off while the domain lives. So every pointer that was ever loaded stays good (S1 to S3 are
//! trivial), and what is leaked stays reachable from the domain, which leak checkers accept.
//!
//! - **I1.** A list is only ever pushed to while the domain is shared; its objects are freed when
//!   the domain is ours alone.

use core::cell::Cell;
use core::ptr::{self, NonNull};
use std::sync::LazyLock;

use crate::counts::Counts;
use crate::retired::{Retired, Vtable};
use crate::scheme::{GlobalScheme, GuardScoped, Protection, Scheme, Stats};
use crate::sharded::Sharded;
use crate::sync::{AtomicPtr, Ordering};

/// Never frees while the domain lives: the baseline for benchmarks, and the first thing to try on a
/// suspected use-after-free (if it goes away with `Leak`, it was one).
///
/// An owned [`Domain<Leak>`](crate::Domain) frees all at once when it is dropped, so it also serves
/// as an arena for a short-lived job.
///
/// **Progress**: everything is wait-free, but retiring, which is lock-free.
///
/// ```
/// use sexton::{Domain, Leak, Reclaimer, Stack};
///
/// let domain = Domain::<Leak>::new();
/// let stack = Stack::with_reclaimer(domain.clone());
/// stack.push(1);
/// stack.pop();
/// assert_eq!(domain.collect(), 0);
/// assert_eq!(domain.stats().pending, 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leak;

/// The state of a domain; public only because [`Scheme::Domain`] is.
#[derive(Debug, Default)]
pub struct State {
    lists: Sharded<List>,
    counts: Sharded<Counts>,
}

#[derive(Debug)]
struct List {
    head: AtomicPtr<Header>,
}

impl Default for List {
    fn default() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()) }
    }
}

/// What a node carries: its place in the list of the leaked.
#[derive(Debug)]
pub struct Header {
    vtable: &'static Vtable,
    next: Cell<*mut Self>,
}

// SAFETY: nothing is reclaimed before `drain`. No user code runs but there, where
// `Retired::reclaim` lets no panic pass. Sections and slots are nothing.
unsafe impl Scheme for Leak {
    const PROTECTION: Protection = Protection::Region;
    const BOUNDED: bool = false;

    type Header = Header;
    type Domain = State;
    type Section = ();
    type Slot = ();

    fn new_domain() -> State {
        State::default()
    }

    #[inline]
    fn enter(_: &State) {}

    #[inline]
    unsafe fn leave(_: &State, (): ()) {}

    #[inline]
    unsafe fn header(_: &State, (): &(), vtable: &'static Vtable) -> Header {
        Header { vtable, next: Cell::new(ptr::null_mut()) }
    }

    #[inline]
    unsafe fn slot(_: &State, (): &()) {}

    #[inline]
    unsafe fn free_slot(_: &State, (): &(), (): ()) {}

    #[inline]
    unsafe fn protect<T>(
        _: &State,
        (): &(),
        (): &mut (),
        source: &AtomicPtr<T>,
        _: usize,
    ) -> *mut T {
        // Acquire: pairs with the Release that published the node (S3).
        source.load(Ordering::Acquire)
    }

    #[inline]
    unsafe fn announce(_: &State, (): &(), (): &mut (), _: *mut u8) {}

    #[inline]
    unsafe fn clear(_: &State, (): &(), (): &mut ()) {}

    unsafe fn retire(domain: &State, (): &(), retired: Retired) {
        domain.counts.mine().retired(retired.bytes());
        // SAFETY: the node was made by a guard of this scheme.
        let header = unsafe { retired.header::<Header>() };
        let list = domain.lists.mine();
        // Relaxed: the head is only written back; nobody follows it before the drain.
        let mut head = list.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: the object is ours until it is pushed; its header is alive.
            unsafe { header.as_ref() }.next.set(head);
            // Relaxed: as above, and who drains has the domain to himself: after all others.
            let pushed = list.head.compare_exchange_weak(
                head,
                header.as_ptr(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match pushed {
                Ok(_) => return,
                Err(found) => head = found,
            }
        }
    }

    #[inline]
    unsafe fn reclaim(_: &State, (): &(), _: usize) -> usize {
        0
    }

    /// Nothing, ever.
    fn collect(_: &State) -> usize {
        0
    }

    fn drain(domain: &mut State) {
        for list in domain.lists.iter() {
            // Relaxed, I1: the domain is ours, so the objects of other threads are seen.
            let mut next = list.head.swap(ptr::null_mut(), Ordering::Relaxed);
            while let Some(header) = NonNull::new(next) {
                // SAFETY: I1. The header is copied before its object is freed; the value begins
                // where it ends; each object is on one list, once.
                unsafe {
                    let Header { vtable, next: after } = header.read();
                    next = after.get();
                    let retired = Retired::from_parts(header.add(1).cast(), vtable);
                    let bytes = retired.bytes();
                    let dropped = retired.reclaim();
                    domain.counts.mine().reclaimed(bytes, dropped);
                }
            }
        }
    }

    fn stats(domain: &State) -> Stats {
        Counts::sum(domain.counts.iter())
    }
}

// SAFETY: one static.
unsafe impl GlobalScheme for Leak {
    #[inline]
    fn global() -> &'static State {
        static GLOBAL: LazyLock<State> = LazyLock::new(State::default);
        &GLOBAL
    }
}

// SAFETY: a region, and slots are nothing.
unsafe impl GuardScoped for Leak {}
