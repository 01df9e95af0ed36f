//! Promises about how little is pending.

use core::mem;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::tools::{Of, linked, look, press, replace, retire_new, sized, unlink};
use super::{Ledger, Subject, Tracked};
use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use crate::{Protection, Reclaimer, Scheme};

/// Where a slot protects one pointer: what a shield does not cover any more, as it was
/// [cleared](crate::Shield::clear) or protects something else, is freed though guard and shield
/// are still there. (Where a guard protects, it is freed when the guard ends.)
///
/// A scheme that fails leaves an address in a slot, so that its pending memory is not bounded by
/// what is covered.
pub fn a_cleared_shield_keeps_nothing<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let mut guard = domain.pin();
    let freed_now = Of::<R>::PROTECTION == Protection::Pointer;
    for way in ["cleared", "protects null", "protects another", "failed to announce"] {
        let others = Ledger::new();
        let (link, id) = linked(&domain, &ledger);
        let (other, other_id) = linked(&domain, &others);
        let mut shield = guard.shield();
        let seen = shield.protect(&link);
        unlink(&domain.pin(), &link);
        press(&domain, &ledger);
        look(&shield, id, &ledger, "while a shield covered it");
        match way {
            "cleared" => shield.clear(),
            "protects null" => assert!(shield.protect(&link).is_null()),
            "protects another" => assert!(!shield.protect(&other).is_null()),
            _ => {
                shield.clear();
                assert!(!shield.announce_if(seen, || false));
                shield.clear();
            }
        }
        assert_eq!(shield.ptr().is_null(), way != "protects another", "a shield that {way}");
        if freed_now {
            subject.collect_all(&domain, &ledger);
        }
        shield.protect(&other);
        unlink(&domain.pin(), &other);
        press(&domain, &ledger);
        look(&shield, other_id, &others, "while a shield covered it that was used before");
        drop(shield);
        if !freed_now {
            drop(mem::replace(&mut guard, domain.pin()));
        }
    }
    drop(guard);
    subject.settle(domain, &ledger);
}

/// How many are retired under the eyes of a sleeper.
const RETIRES: usize = sized(100_000, 300);

/// A thread that sleeps with one shield in its hand keeps what it covers, and little else: if the
/// scheme says that it is [bounded](Scheme::BOUNDED), pending objects stay below the
/// [limit](Subject::pending_limit). (If not, nothing is asked. Nor on a process-wide domain, where
/// others keep what their guards have put aside.)
///
/// A scheme that fails claims a bound that it has not.
pub fn pending_is_bounded_while_a_thread_sleeps<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    if !Of::<R>::BOUNDED || !subject.is_isolated() {
        return;
    }
    let (domain, ledger) = subject.begin();
    let (link, id) = linked(&domain, &ledger);
    let (busy, _) = linked(&domain, &ledger);
    thread::scope(|scope| {
        // Both ends are in here: a failed assertion hangs up, and so wakes the sleeper.
        let (asleep, is_asleep) = mpsc::channel();
        let (wake, is_awake) = mpsc::channel::<()>();
        let (domain, ledger, link) = (&domain, &ledger, &link);
        let sleeper = scope.spawn(move || {
            let guard = domain.pin();
            let mut shield = guard.shield();
            shield.protect(link);
            asleep.send(()).expect("the test waits");
            // An error is a wake-up too.
            let _ = is_awake.recv();
            look(&shield, id, ledger, "while a sleeping thread's shield covered it");
        });
        is_asleep.recv().expect("the sleeper sleeps");
        unlink(&domain.pin(), link);
        let mut most = 0;
        for _ in 0..RETIRES {
            replace(&domain.pin(), &busy, ledger);
            most = most.max(ledger.living());
        }
        assert!(most <= subject.limit(), "{most} of {RETIRES} objects were pending");
        if Of::<R>::PROTECTION == Protection::Pointer {
            domain.collect();
            // What the sleeper covers, and what is linked.
            assert_eq!(ledger.living(), 2, "a collect left what no shield covers");
        }
        drop(wake);
        sleeper.join().unwrap_or_else(|panic| resume_unwind(panic));
    });
    unlink(&domain.pin(), &busy);
    subject.settle(domain, &ledger);
}

/// One guard that lives long and retires all the time keeps little, too, if it lets the scheme
/// [reclaim](crate::Guard::reclaim) as structures do: where a slot protects one pointer, also when
/// it protects each of the objects; where it protects eras, when it protects nothing new. (Asked of
/// whom the promise above is asked.)
///
/// A scheme that fails reclaims when a guard begins or ends only.
pub fn pending_is_bounded_in_one_long_guard<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    if !Of::<R>::BOUNDED || !subject.is_isolated() {
        return;
    }
    let (domain, ledger) = subject.begin();
    let (link, mut id) = linked(&domain, &ledger);
    let guard = domain.pin();
    let mut shield = guard.shield();
    let mut most = 0;
    for _ in 0..RETIRES {
        let protects = Of::<R>::PROTECTION == Protection::Pointer;
        if protects {
            shield.protect(&link);
        }
        let next = replace(&guard, &link, &ledger);
        if protects {
            look(&shield, id, &ledger, "while a shield of a long guard covered it");
        }
        id = next;
        most = most.max(ledger.living());
    }
    assert!(most <= subject.limit(), "{most} of {RETIRES} objects were pending");
    unlink(&guard, &link);
    drop(shield);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// More births than any collect needs to reclaim what was there before.
const TOO_MANY: usize = sized(100_000, 2000);

/// A value that is born again in each death.
struct Phoenix<R: Reclaimer> {
    own: Tracked,
    nest: Weak<Nest<R>>,
}

struct Nest<R: Reclaimer> {
    domain: R,
    ledger: Ledger,
    /// How many births are left.
    births: AtomicUsize,
}

impl<R: Reclaimer> Drop for Phoenix<R> {
    fn drop(&mut self) {
        self.own.look();
        let Some(nest) = self.nest.upgrade() else { return };
        // Relaxed, here and below: a number.
        let born = nest
            .births
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |births| births.checked_sub(1));
        if born.is_ok() {
            let own = Tracked::new(&nest.ledger, 0);
            retire_new(&nest.domain.pin(), Self { own, nest: Weak::clone(&self.nest) });
        }
    }
}

/// [`collect`](Reclaimer::collect) comes to an end, also when each value that it drops retires
/// another, and when other threads retire all the time.
///
/// A scheme that fails collects until nothing is left.
pub fn a_collect_ends_though_more_is_retired<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let births = AtomicUsize::new(TOO_MANY);
    let nest = Arc::new(Nest { domain: domain.clone(), ledger: ledger.clone(), births });
    let phoenix = || {
        let own = Tracked::new(&ledger, 0);
        retire_new(&domain.pin(), Phoenix { own, nest: Arc::downgrade(&nest) });
    };
    phoenix();
    if subject.is_isolated() {
        domain.collect();
    }
    let left = nest.births.swap(0, Ordering::Relaxed);
    assert!(left > 0, "a collect went on and on with what its drops retired");

    if cfg!(miri) {
        // The rest takes too long there.
        subject.collect_all(&domain, &ledger);
        drop(nest);
        return subject.settle(domain, &ledger);
    }
    nest.births.store(TOO_MANY, Ordering::Relaxed);
    let done = AtomicBool::new(false);
    let in_time = thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(60) {
                if done.load(Ordering::Relaxed) {
                    return true;
                }
                phoenix();
                domain.pin().reclaim(8);
                thread::yield_now();
            }
            false
        });
        for _ in 0..20 {
            domain.collect();
        }
        done.store(true, Ordering::Relaxed);
        busy.join().unwrap_or_else(|panic| resume_unwind(panic))
    });
    assert!(in_time, "a collect did not end before others stopped");
    nest.births.store(0, Ordering::Relaxed);
    subject.collect_all(&domain, &ledger);
    drop(nest);
    subject.settle(domain, &ledger);
}
