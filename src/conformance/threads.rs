//! Promises about threads: many, exiting, exited.

use core::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;

use super::tools::{
    Of, elsewhere, linked, on_threads, press, press_everywhere, replace, retire_new, sized, unlink,
};
use super::{Ledger, Subject, Tracked};
use crate::sync::Ordering;
use crate::{Atomic, Protection, Ptr, Reclaimer, Ref, Scheme, Stack};

/// Threads that read links through shields, references and guards while others replace what is
/// there find living values only, and the right ones.
///
/// A scheme that fails has a race: a protection that is published too late or validated too early,
/// an ordering that is too weak.
pub fn readers_and_writers_agree_on_who_lives<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    const ROUNDS: usize = sized(3000, 15);
    let (domain, ledger) = subject.begin();
    let links = [(); 2].map(|()| linked(&domain, &ledger).0);
    on_threads(4, |thread| {
        if thread < 2 {
            for round in 0..ROUNDS {
                let guard = domain.pin();
                replace(&guard, &links[(round + thread) % 2], &ledger);
                if round % 16 == 0 {
                    domain.collect();
                }
            }
            return;
        }
        for round in 0..ROUNDS {
            let guard = domain.pin();
            let (mut behind, mut ahead) = (guard.shield(), guard.shield());
            for link in links.iter().cycle().take(4) {
                core::mem::swap(&mut behind, &mut ahead);
                ahead.protect(link);
                for shield in [&behind, &ahead] {
                    // SAFETY: the suite's links; see `tools::look`.
                    if let Some(value) = unsafe { shield.as_ref() } {
                        value.look();
                    }
                }
            }
            let seen = links[0].load(Ordering::Acquire);
            if behind.announce_if(seen, || links[0].load(Ordering::Acquire) == seen) {
                // SAFETY: the suite's links; it was linked after the announcement.
                unsafe { behind.as_ref() }.expect("never null").look();
            }
            // SAFETY: the suite's links.
            let kept = unsafe { ahead.into_ref(|value| value) }.expect("never null");
            if Of::<R>::PROTECTION == Protection::Region {
                let seen = links[round % 2].load(Ordering::Acquire);
                // SAFETY: loaded under a guard that protects the region, from the suite's links.
                unsafe { (*seen.as_raw()).look() };
            }
            if round % 8 == 0 {
                thread::yield_now();
            }
            Ref::map(kept, |value| value).look();
        }
    });
    links.iter().for_each(|link| unlink(&domain.pin(), link));
    subject.settle(domain, &ledger);
}

/// Who retires an object need not be who allocated it; that one may have exited.
///
/// A scheme that fails keeps something of the allocating thread in the node.
pub fn another_thread_may_retire<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let links: Vec<_> = (0..sized(64, 4)).map(|_| elsewhere(|| linked(&domain, &ledger))).collect();
    // By a third thread, while this one reads.
    let guard = domain.pin();
    let shields: Vec<_> = links
        .iter()
        .map(|(link, _)| {
            let mut shield = guard.shield();
            shield.protect(link);
            shield
        })
        .collect();
    elsewhere(|| links.iter().for_each(|(link, _)| unlink(&domain.pin(), link)));
    press_everywhere(&domain, &ledger);
    for (shield, (_, id)) in shields.iter().zip(&links) {
        super::tools::look(shield, *id, &ledger, "while a shield covered it");
    }
    drop(shields);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// What a thread has retired when it exits, however little, is freed by those who collect after it.
///
/// A scheme that fails keeps a bag in a thread's record and never looks there again.
pub fn an_exiting_thread_leaves_its_garbage_to_others<R: Reclaimer>(
    subject: &Subject<impl Fn() -> R>,
) {
    let (domain, ledger) = subject.begin();
    for count in 1..sized(40, 5) {
        elsewhere(|| {
            let guard = domain.pin();
            (0..count).for_each(|_| retire_new(&guard, Tracked::new(&ledger, 0)));
        });
    }
    // Held by a guard while the thread that retires it comes and goes.
    let (link, id) = linked(&domain, &ledger);
    let guard = domain.pin();
    let mut shield = guard.shield();
    shield.protect(&link);
    elsewhere(|| unlink(&domain.pin(), &link));
    press(&domain, &ledger);
    super::tools::look(&shield, id, &ledger, "when the thread that had retired it exited");
    drop(shield);
    drop(guard);
    subject.collect_all(&domain, &ledger);
    if subject.is_isolated() && subject.collects() {
        assert_eq!(domain.stats().pending, 0, "the garbage of threads that have gone");
    }
    subject.settle(domain, &ledger);
}

/// What a thread has to do when it exits.
struct AtExit(RefCell<Option<Box<dyn FnOnce()>>>);

impl AtExit {
    fn set(&self, last_will: impl FnOnce() + 'static) {
        *self.0.borrow_mut() = Some(Box::new(last_will));
    }
}

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(last_will) = self.0.take() {
            last_will();
        }
    }
}

thread_local! {
    static BEFORE: AtExit = const { AtExit(RefCell::new(None)) };
    static AFTER: AtExit = const { AtExit(RefCell::new(None)) };
}

/// A thread-local's destructor may pin, protect, retire and collect, also when what the scheme
/// itself keeps in thread-locals is gone already, and when the thread has never pinned before.
///
/// The destructors are registered before and after the thread first pins, as some systems run the
/// last registered first, and others the other way round.
///
/// A scheme that fails counts on its own thread-locals, and so ends the process.
pub fn a_thread_local_destructor_may_pin<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let link = Arc::new(linked(&domain, &ledger).0);
    // A panic in a destructor would end the process, so it is caught and told here.
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let last_will = || {
        let (domain, ledger) = (domain.clone(), ledger.clone());
        let (link, outcomes) = (Arc::clone(&link), Arc::clone(&outcomes));
        move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| use_domain(&domain, &link, &ledger)));
            // The handle is given back before the thread that waits for us looks.
            drop(domain);
            outcomes.lock().unwrap().push(outcome.is_ok());
        }
    };
    for pins_before in [true, false] {
        let (before, after) = (last_will(), last_will());
        let (domain, link, ledger) = (domain.clone(), Arc::clone(&link), ledger.clone());
        let thread = thread::spawn(move || {
            BEFORE.with(|at_exit| at_exit.set(before));
            if pins_before {
                use_domain(&domain, &link, &ledger);
            }
            AFTER.with(|at_exit| at_exit.set(after));
        });
        thread.join().expect("the thread itself is well");
    }
    let outcomes = outcomes.lock().unwrap();
    assert_eq!(*outcomes, [true; 4], "a scheme panicked in a thread-local's destructor");
    unlink(&domain.pin(), &link);
    subject.settle(domain, &ledger);
}

fn use_domain<R: Reclaimer>(domain: &R, link: &Atomic<Tracked>, ledger: &Ledger) {
    let guard = domain.pin();
    let mut shield = guard.shield();
    shield.protect(link);
    replace(&domain.pin(), link, ledger);
    press(domain, ledger);
    // SAFETY: the suite's links; see `tools::look`.
    unsafe { shield.as_ref() }.expect("never null").look();
    retire_new(&guard, Tracked::new(ledger, 0));
}

/// Threads that come and go by the hundred, some of them with a guard open that is older than they
/// are, leave no garbage.
///
/// A scheme that fails leaks a record a thread, or stops to advance because of one.
pub fn many_short_threads_leave_nothing_behind<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let link = Atomic::new(Ptr::null());
    for round in 0..sized(60, 3) {
        let guard = (round % 2 == 0).then(|| domain.pin());
        on_threads(3, |_| {
            replace(&domain.pin(), &link, &ledger);
        });
        drop(guard);
    }
    unlink(&domain.pin(), &link);
    subject.collect_all(&domain, &ledger);
    subject.settle(domain, &ledger);
}

/// A [`Stack`] on the scheme keeps every value that goes in, and gives it out once.
///
/// A scheme that fails lets an address come back too early: the stack's CAS takes one node for
/// another.
pub fn a_stack_loses_and_doubles_nothing<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    const THREADS: usize = sized(4, 3);
    const VALUES: usize = sized(2000, 12);
    let (domain, ledger) = subject.begin();
    let stack = Stack::with_reclaimer(domain.clone());
    let taken = Mutex::new(Vec::new());
    on_threads(THREADS, |thread| {
        let mut mine = Vec::new();
        for at in 0..VALUES {
            stack.push(Tracked::new(&ledger, (thread * VALUES + at) as u64));
            if at % 3 > 0 {
                mine.extend(stack.pop().map(|value| value.value()));
            }
        }
        taken.lock().unwrap().extend(mine);
    });
    let mut taken = taken.into_inner().unwrap();
    taken.extend(stack.into_iter().map(|value| value.value()));
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..(THREADS * VALUES) as u64), "values were lost or doubled");
    subject.settle(domain, &ledger);
}
