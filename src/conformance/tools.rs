//! What the promises are made of.

use std::panic::resume_unwind;
use std::thread;

use super::{Ledger, Tracked};
use crate::sync::Ordering;
use crate::{Atomic, Guard, Ptr, Reclaimer, Scheme, Shield};

/// `many` natively, `few` under Miri, which is slower by three orders of magnitude.
pub(super) const fn sized(many: usize, few: usize) -> usize {
    if cfg!(miri) { few } else { many }
}

/// Objects whose retiring gives any scheme a reason to reclaim by itself.
const PRESSURE: usize = sized(2500, 10);

/// How many objects a structure asks to reclaim after an operation that retired.
const BUDGET: usize = 8;

/// The scheme of a reclaimer.
pub(super) type Of<R> = <R as Reclaimer>::Scheme;

/// Puts a new value into `link`, retires what stood there, and returns the new one's id.
pub(super) fn replace<S: Scheme>(
    guard: &Guard<'_, S>,
    link: &Atomic<Tracked>,
    ledger: &Ledger,
) -> usize {
    let new = guard.owned(Tracked::new(ledger, 0));
    let id = new.id();
    // AcqRel: publishes the new one; what stood there may be dropped by us.
    let old = link.swap(new.into_ptr(), Ordering::AcqRel);
    if !old.is_null() {
        // SAFETY: unlinked by this swap from the one place where it stood.
        unsafe { guard.retire(old) };
    }
    guard.reclaim(BUDGET);
    id
}

/// Retires what stands in `link`, and leaves null there.
pub(super) fn unlink<S: Scheme, T: Send + 'static>(guard: &Guard<'_, S>, link: &Atomic<T>) {
    let old = link.swap(Ptr::null(), Ordering::AcqRel);
    if !old.is_null() {
        // SAFETY: unlinked by this swap from the one place where it stood.
        unsafe { guard.retire(old) };
    }
    guard.reclaim(BUDGET);
}

/// Retires a value that was never linked.
pub(super) fn retire_new<S: Scheme, T: Send + 'static>(guard: &Guard<'_, S>, value: T) {
    // SAFETY: ours alone.
    unsafe { guard.retire(guard.owned(value).into_ptr()) };
}

/// A link to a new value, and the value's id.
pub(super) fn linked<R: Reclaimer>(domain: &R, ledger: &Ledger) -> (Atomic<Tracked>, usize) {
    let link = Atomic::null();
    let id = replace(&domain.pin(), &link, ledger);
    (link, id)
}

/// Retires many other objects and collects, from this thread.
pub(super) fn press<R: Reclaimer>(domain: &R, ledger: &Ledger) {
    for _ in 0..PRESSURE {
        let guard = domain.pin();
        retire_new(&guard, Tracked::new(ledger, 0));
        guard.reclaim(BUDGET);
    }
    domain.collect();
}

/// The same, from this thread and from another one.
pub(super) fn press_everywhere<R: Reclaimer>(domain: &R, ledger: &Ledger) {
    press(domain, ledger);
    elsewhere(|| press(domain, ledger));
}

/// Runs `work` on another thread, which has exited when this returns.
pub(super) fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    })
}

/// Runs `work(0)`, `work(1)`, ... on a thread each, which have exited when this returns.
pub(super) fn on_threads(threads: usize, work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> =
            (0..threads).map(|number| scope.spawn(move || work(number))).collect();
        // All are joined before any panic goes on. Joined, not only left by the scope, which would
        // not wait for their thread-locals.
        let ended: Vec<_> = running.into_iter().map(|thread| thread.join()).collect();
        for end in ended {
            end.unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// Reads what the shield covers, which must be the value with this id, alive.
#[track_caller]
pub(super) fn look<S: Scheme>(
    shield: &Shield<'_, Tracked, S>,
    id: usize,
    ledger: &Ledger,
    too_early: &str,
) {
    // The ledger first: what it tells is no use after free.
    ledger.assert_lives(id, too_early);
    // SAFETY: links of the suite lead to nodes of the domain under test, retired there when they
    // were unlinked.
    let value = unsafe { shield.as_ref() }.expect("the shield covers a value");
    assert_eq!(value.id(), id, "the shield covers another value");
}
