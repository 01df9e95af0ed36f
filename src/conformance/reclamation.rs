//! Promises about what is freed: all of it, once, in its time, whatever user code does.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::tools::{
    Of, elsewhere, linked, look, press, press_everywhere, replace, retire_new, sized, unlink,
};
use super::{Subject, Tracked};
#[cfg(doc)]
use crate::Scheme;
use crate::retired::NODE_ALIGN;
use crate::{Atomic, Owned, Reclaimer, Stack};

/// Each value is dropped once, whichever way it goes: with its [`Owned`], out of it, taken back
/// after it was not linked, or retired.
///
/// A scheme that fails keeps an object that it has reclaimed on some list.
pub fn each_value_is_dropped_exactly_once<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let guard = domain.pin();
    let own = || guard.owned(Tracked::new(&ledger, 0));

    drop(own());
    assert_eq!(ledger.living(), 0, "an Owned is not freed at once");
    let value = own().into_inner();
    assert_eq!(ledger.living(), 1, "a value that was moved out was dropped");
    drop(value);
    let node = own().into_ptr();
    // SAFETY: not shared with anybody.
    drop(unsafe { Owned::<_, Of<R>>::from_ptr(node) });
    ledger.assert_all_dead();

    for _ in 0..sized(300, 10) {
        retire_new(&guard, Tracked::new(&ledger, 0));
        guard.reclaim(8);
    }
    drop(guard);
    let (link, _) = linked(&domain, &ledger);
    for _ in 0..sized(300, 10) {
        replace(&domain.pin(), &link, &ledger);
        domain.collect();
    }
    elsewhere(|| replace(&domain.pin(), &link, &ledger));
    unlink(&domain.pin(), &link);
    press(&domain, &ledger);
    subject.settle(domain, &ledger);
}

/// When all guards have ended, all that was retired is freed, under whatever guards, of whatever
/// threads: if need be after some more rounds of [`collect`](Reclaimer::collect).
///
/// A scheme that fails forgets objects: those of a full bag, of a thread that has gone, of a guard
/// that was open at the wrong time.
pub fn everything_is_freed_in_the_end<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let outer = domain.pin();
    // One by one, so that there are bags that are almost empty, and more than full.
    for round in 0..sized(200, 6) {
        let inner = domain.pin();
        for _ in 0..round {
            retire_new(&inner, Tracked::new(&ledger, 0));
        }
        if round % 3 == 0 {
            elsewhere(|| retire_new(&domain.pin(), Tracked::new(&ledger, 0)));
        }
    }
    drop(outer);
    press_everywhere(&domain, &ledger);
    subject.settle(domain, &ledger);
}

/// On a quiet domain (no guard, no other thread at work) one call of
/// [`collect`](Reclaimer::collect) leaves nothing pending, and says how many it freed. The garbage
/// of threads that have exited is among it.
///
/// A scheme that fails needs several calls, or never reaches what is younger than some epoch. One
/// that [frees with its domain](Subject::frees_with_its_domain) frees nothing, and says so.
pub fn one_collect_empties_a_quiet_domain<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    for count in [1, 2, 3, sized(500, 20)] {
        for _ in 0..count {
            retire_new(&domain.pin(), Tracked::new(&ledger, 0));
        }
        elsewhere(|| retire_new(&domain.pin(), Tracked::new(&ledger, 0)));
        let living = ledger.living();
        let collected = domain.collect();
        if !subject.collects() {
            assert_eq!((collected, ledger.living()), (0, living), "something was freed");
        } else if subject.is_isolated() {
            assert_eq!(ledger.living(), 0, "a collect on a quiet domain left something");
            assert_eq!(collected, living, "collect does not count what it frees");
            assert_eq!(domain.stats().pending, 0);
            assert_eq!(domain.collect(), 0, "collect frees what is not there");
        }
    }
    subject.settle(domain, &ledger);
}

/// When the last handle to an owned domain is dropped, all that is pending in it is freed, and
/// nothing needs to be collected before. It may be a structure that has the last handle.
///
/// A scheme that fails does not drain, or leaves out what is retired by threads that have gone.
pub fn the_last_handle_frees_everything<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    for _ in 0..sized(300, 10) {
        retire_new(&domain.pin(), Tracked::new(&ledger, 0));
    }
    elsewhere(|| {
        let guard = domain.pin();
        (0..10).for_each(|_| retire_new(&guard, Tracked::new(&ledger, 0)));
    });
    let stack = Stack::with_reclaimer(domain.clone());
    (0..10).for_each(|value| stack.push(Tracked::new(&ledger, value)));
    (0..5).for_each(|_| drop(stack.pop()));
    if subject.is_isolated() {
        drop(domain);
        assert!(ledger.living() >= 5, "what is still in a structure was freed");
        drop(stack);
        ledger.assert_all_dead();
    } else {
        drop(stack);
        subject.settle(domain, &ledger);
    }
}

/// A guard of one owned domain holds up nothing in another, and protects nothing there.
///
/// A scheme that fails has something process-wide that should be in the domain.
pub fn a_domain_does_not_wait_for_another<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let (link, id) = linked(&domain, &ledger);
    let guard = domain.pin();
    let mut shield = guard.shield();
    shield.protect(&link);
    if subject.is_isolated() {
        let (other, others) = subject.begin();
        press_everywhere(&other, &others);
        // It settles, its end included, though the guard of the first is open all the time.
        subject.settle(other, &others);
    }
    unlink(&guard, &link);
    press(&domain, &ledger);
    look(&shield, id, &ledger, "while a shield covered it, when another domain had gone");
    drop(shield);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// Deaths of [`Nothing`]s; locked while a test counts them.
static NOTHINGS: Mutex<()> = Mutex::new(());
static DEAD_NOTHINGS: Mutex<usize> = Mutex::new(0);

/// A value of no size, which can't carry a ledger.
struct Nothing;

impl Drop for Nothing {
    fn drop(&mut self) {
        *DEAD_NOTHINGS.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
}

/// Nodes are aligned as their values ask, at least to 8 bytes, so that tags fit; values of no size
/// have addresses of their own; and all of them are protected and freed as others are.
///
/// A scheme that fails overrides [`allocate`](Scheme::allocate) and hands out a block of another
/// size or alignment, or takes two nodes without a size for the same.
pub fn values_of_any_size_and_alignment<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    #[repr(align(1))]
    struct Align1(Tracked, u8);
    #[repr(align(64))]
    struct Align64(Tracked, u8);
    #[repr(align(4096))]
    struct Align4096(Tracked, u8);
    #[repr(align(128))]
    struct NothingAligned;

    let (domain, ledger) = subject.begin();
    check(
        &domain,
        || Align1(Tracked::new(&ledger, 1), 1),
        |value| assert_eq!(value.0.value(), u64::from(value.1)),
    );
    check(
        &domain,
        || Align64(Tracked::new(&ledger, 64), 64),
        |value| assert_eq!(value.0.value(), u64::from(value.1)),
    );
    check(
        &domain,
        || Align4096(Tracked::new(&ledger, 96), 96),
        |value| assert_eq!(value.0.value(), u64::from(value.1)),
    );
    check(&domain, || (Tracked::new(&ledger, 0), [7_u8; 3]), |value| assert_eq!(value.1, [7; 3]));
    check(&domain, || 7_u8, |value| assert_eq!(*value, 7));
    check(&domain, || [7_u8; 4097], |value| assert_eq!(value[4096], 7));
    check(&domain, || NothingAligned, |_| ());
    check(&domain, || (), |_| ());

    // Counted by a number that all tests share.
    let _alone = NOTHINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let dead = || *DEAD_NOTHINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let before = dead();
    let nothings = check(&domain, || Nothing, |_| ());
    subject.collect_all(&domain, &ledger);
    if subject.collects() {
        // The ledger does not see them, so it did not wait for them.
        let begin = Instant::now();
        while dead() < before + nothings && begin.elapsed() < Duration::from_secs(60) {
            domain.collect();
            thread::yield_now();
        }
    }
    let isolated = subject.is_isolated();
    subject.settle(domain, &ledger);
    if isolated || subject.collects() {
        assert_eq!(dead() - before, nothings, "values of no size were not dropped once each");
    } else {
        assert_eq!(dead() - before, 0);
    }
}

/// Makes, protects and retires some values of one type; says how many.
fn check<R: Reclaimer, T: Send + 'static>(
    domain: &R,
    make: impl Fn() -> T,
    look: impl Fn(&T),
) -> usize {
    const VALUES: usize = 4;
    let guard = domain.pin();
    let links: Vec<_> = (0..VALUES).map(|_| Atomic::new(guard.owned(make()).into_ptr())).collect();
    let mut addresses = Vec::new();
    let mut shields = Vec::new();
    for link in &links {
        let mut shield = guard.shield();
        let address = shield.protect(link).as_raw().addr();
        assert_eq!(address % align_of::<T>().max(NODE_ALIGN), 0, "a node is not aligned");
        addresses.push(address);
        shields.push(shield);
    }
    addresses.sort_unstable();
    for pair in addresses.windows(2) {
        assert!(pair[1] - pair[0] >= size_of::<T>().max(1), "two nodes are in one place");
    }
    links.iter().for_each(|link| unlink(&guard, link));
    domain.collect();
    for shield in &shields {
        // SAFETY: the suite's links; see `tools::look`.
        look(unsafe { shield.as_ref() }.expect("covered"));
    }
    VALUES
}

/// `retired` is `reclaimed` plus `pending`; `pending_bytes` is the size of the nodes that wait, and
/// 0 when none does.
///
/// A scheme that fails forgets to count some way that an object can take.
pub fn stats_add_up<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    const VALUES: u64 = sized(500, 20) as u64;
    let (domain, ledger) = subject.begin();
    let before = domain.stats();
    let (link, id) = linked(&domain, &ledger);
    let guard = domain.pin();
    let mut shield = guard.shield();
    shield.protect(&link);
    unlink(&guard, &link);
    for _ in 1..VALUES {
        retire_new(&domain.pin(), Tracked::new(&ledger, 0));
    }
    // A value that is owned, or moved out, was never retired.
    drop(guard.owned(Tracked::new(&ledger, 0)));
    drop(guard.owned(Tracked::new(&ledger, 0)).into_inner());
    domain.collect();
    let during = domain.stats();
    look(&shield, id, &ledger, "while a shield covered it");
    drop(shield);
    drop(guard);

    let size = size_of::<Tracked>() as u64;
    if subject.is_isolated() {
        assert_eq!((before.retired, before.reclaimed, before.pending), (0, 0, 0), "{before:?}");
        assert_eq!(before.pending_bytes, 0, "{before:?}");
        assert_eq!(during.retired, VALUES, "{during:?}");
        assert_eq!(during.reclaimed + during.pending, VALUES, "{during:?}");
        assert!(during.pending >= 1, "the protected one is not pending: {during:?}");
        assert!(during.pending_bytes >= during.pending * size, "{during:?}");
        assert_eq!(during.drop_panics, 0, "{during:?}");
        domain.collect();
        let after = domain.stats();
        assert_eq!(after.retired, VALUES, "{after:?}");
        if subject.collects() {
            assert_eq!((after.reclaimed, after.pending), (VALUES, 0), "{after:?}");
            assert_eq!(after.pending_bytes, 0, "{after:?}");
        } else {
            assert_eq!((after.reclaimed, after.pending), (0, VALUES), "{after:?}");
        }
    } else {
        // Others count there as well.
        assert!(during.retired >= before.retired + VALUES, "{before:?} {during:?}");
        assert!(during.reclaimed >= before.reclaimed, "{before:?} {during:?}");
    }
    subject.settle(domain, &ledger);
}

/// What is retired within a guard that lives long, and what is retired elsewhere meanwhile, is
/// freed when that guard has ended.
///
/// A scheme that fails drops what a section has put aside, or waits for an event that has passed.
pub fn a_long_guard_puts_off_but_does_not_lose<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let (link, id) = linked(&domain, &ledger);
    let long = domain.pin();
    let mut shield = long.shield();
    shield.protect(&link);
    unlink(&long, &link);
    for _ in 0..sized(2500, 20) {
        retire_new(&long, Tracked::new(&ledger, 0));
    }
    press_everywhere(&domain, &ledger);
    look(&shield, id, &ledger, "while a shield of a long guard covered it");
    drop(shield);
    drop(long);
    subject.settle(domain, &ledger);
}
