//! Promises about what is protected: by guards, by shields, by references.

use core::mem::{self, ManuallyDrop};
use core::ptr::NonNull;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::tools::{
    Of, elsewhere, linked, look, press, press_everywhere, replace, retire_new, sized, unlink,
};
use super::{Subject, Tracked};
use crate::sync::Ordering;
use crate::{Atomic, Guard, Protection, Ptr, Reclaimer, Ref, Scheme, Shield, Stack};

/// What a shield covers stays, while this thread and others retire, reclaim and collect.
///
/// A scheme that fails frees when an object is retired, or when nobody *began* to read since, or
/// does not see the protections of other threads.
pub fn what_a_shield_covers_is_not_freed<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    const TOO_EARLY: &str = "while a shield covered it";
    for by_another_thread in [false, true] {
        let (domain, ledger) = subject.begin();
        let (link, id) = linked(&domain, &ledger);
        let guard = domain.pin();
        let mut shield = guard.shield();
        shield.protect(&link);
        look(&shield, id, &ledger, "while it was linked");

        if by_another_thread {
            elsewhere(|| unlink(&domain.pin(), &link));
        } else {
            unlink(&guard, &link);
        }
        look(&shield, id, &ledger, TOO_EARLY);
        press_everywhere(&domain, &ledger);
        look(&shield, id, &ledger, TOO_EARLY);
        // What is retired within the guard goes another way in some schemes.
        for _ in 0..sized(3000, 8) {
            retire_new(&guard, Tracked::new(&ledger, 0));
            guard.reclaim(8);
        }
        look(&shield, id, &ledger, TOO_EARLY);
        drop(shield);
        drop(guard);
        subject.settle(domain, &ledger);
    }
}

/// Where a guard protects the region, whatever was loaded under it stays until it ends, with no
/// shield at all; where it protects eras, whatever was protected stays so after its shield has
/// gone. (Where a slot protects one pointer, a guard by itself protects nothing, and nothing is
/// asked.)
///
/// A scheme that fails ends the protection with the shield, or does not keep a guard's section open
/// to its end. It must not implement [`GuardScoped`](crate::GuardScoped).
pub fn what_a_guard_protects_is_not_freed_before_it_ends<R: Reclaimer>(
    subject: &Subject<impl Fn() -> R>,
) {
    const TOO_EARLY: &str = "while a guard protected it";
    let (domain, ledger) = subject.begin();
    let (link, id) = linked(&domain, &ledger);
    let guard = domain.pin();
    let seen = match Of::<R>::PROTECTION {
        Protection::Region => link.load(Ordering::Acquire),
        Protection::Era => guard.shield().protect(&link),
        Protection::Pointer => {
            drop(guard);
            unlink(&domain.pin(), &link);
            return subject.settle(domain, &ledger);
        }
    };
    let value = seen.as_raw();
    elsewhere(|| unlink(&domain.pin(), &link));
    press_everywhere(&domain, &ledger);
    ledger.assert_lives(id, TOO_EARLY);
    // Another guard that comes and goes does not take the protection with it.
    drop(domain.pin());
    press(&domain, &ledger);
    ledger.assert_lives(id, TOO_EARLY);
    // SAFETY: loaded under a guard that is still open, which protects it: the promise in question.
    unsafe { (*value).look() };
    drop(guard);
    subject.settle(domain, &ledger);
}

/// A [`Ref`] keeps its value, also when the value was removed and the `Ref` was
/// [mapped](Ref::map) to a part of it, and when several refer to one value and some have ended.
///
/// A scheme that fails ends a slot's protection when the slot is moved, or counts slots that cover
/// one object as one.
pub fn what_a_ref_refers_to_is_not_freed<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    const TOO_EARLY: &str = "while a Ref referred to it";
    let (domain, ledger) = subject.begin();
    let (link, id) = linked(&domain, &ledger);
    let guard = domain.pin();
    let refer = || {
        let mut shield = guard.shield();
        shield.protect(&link);
        // SAFETY: the suite's links; see `look`.
        unsafe { shield.into_ref(|value| value) }.expect("the link is not null")
    };
    let (first, second, third) = (refer(), refer(), Ref::map(refer(), |value| value));
    unlink(&guard, &link);
    for ended in [second, first] {
        press_everywhere(&domain, &ledger);
        ledger.assert_lives(id, TOO_EARLY);
        assert_eq!((ended.id(), third.id()), (id, id), "a Ref refers to another value");
        drop(ended);
    }
    press_everywhere(&domain, &ledger);
    ledger.assert_lives(id, TOO_EARLY);
    third.look();
    drop(third);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// Guards of one thread are independent of each other: each protects until it ends itself, in
/// whatever order they end.
///
/// A scheme that fails counts on the last one opened to be the first one ended, or opens its
/// section at the first and closes it when any of them ends.
pub fn guards_nest_and_end_in_any_order<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (domain, ledger) = subject.begin();
        let links = [(); 3].map(|()| linked(&domain, &ledger));
        // Each guard is opened when those before it already protect.
        let mut readers = [0, 1, 2].map(|at| {
            let mut reader = Reader::new(&domain);
            reader.shield.protect(&links[at].0);
            Some(reader)
        });
        for (link, _) in &links {
            unlink(&domain.pin(), link);
        }
        for ends in order {
            press(&domain, &ledger);
            for (reader, (_, id)) in readers.iter().zip(&links) {
                if let Some(reader) = reader {
                    look(&reader.shield, *id, &ledger, "while its guard was open");
                }
            }
            readers[ends] = None;
        }
        drop(readers);
        subject.settle(domain, &ledger);
    }
}

/// A guard together with a shield of it: they end at a time that is not known to the compiler.
struct Reader<'d, S: Scheme> {
    /// Of the guard below, so it goes before it.
    shield: ManuallyDrop<Shield<'d, Tracked, S>>,
    guard: NonNull<Guard<'d, S>>,
}

impl<'d, S: Scheme> Reader<'d, S> {
    fn new<R: Reclaimer<Scheme = S>>(domain: &'d R) -> Self {
        let guard = NonNull::from(Box::leak(Box::new(domain.pin())));
        // SAFETY: the guard is dropped in `drop` only, after the shield.
        let shield = unsafe { guard.as_ref() }.shield();
        Self { shield: ManuallyDrop::new(shield), guard }
    }
}

impl<S: Scheme> Drop for Reader<'_, S> {
    fn drop(&mut self) {
        // SAFETY: both are dropped once, the shield before its guard, which came from a box.
        unsafe {
            ManuallyDrop::drop(&mut self.shield);
            drop(Box::from_raw(self.guard.as_ptr()));
        }
    }
}

/// A guard has shields without limit, and each covers its own object.
///
/// A scheme that fails has a fixed number of slots and reuses the first for the last, or scans only
/// some of them.
pub fn many_shields_in_one_guard_cover_one_object_each<R: Reclaimer>(
    subject: &Subject<impl Fn() -> R>,
) {
    let (domain, ledger) = subject.begin();
    let links: Vec<_> = (0..sized(400, 40)).map(|_| linked(&domain, &ledger)).collect();
    let guard = domain.pin();
    let mut shields: Vec<_> = links
        .iter()
        .map(|(link, id)| {
            let mut shield = guard.shield();
            shield.protect(link);
            (shield, *id)
        })
        .collect();
    links.iter().for_each(|(link, _)| unlink(&guard, link));
    while !shields.is_empty() {
        press(&domain, &ledger);
        for (shield, id) in &shields {
            look(shield, *id, &ledger, "while one of many shields covered it");
        }
        // Those that stay are not the first ones, nor the last ones.
        let mut at = 0;
        shields.retain(|_| {
            at += 1;
            at % 4 == 2
        });
    }
    drop(shields);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// Shields that are swapped, as a walk does at each hop, take their slots along: what each covers
/// is protected on, and when one protects anew, only what that one covered is let go.
///
/// A scheme that fails finds a slot by where the shield stands and not by what the slot says.
pub fn swapped_shields_take_their_protection_along<R: Reclaimer>(
    subject: &Subject<impl Fn() -> R>,
) {
    const TOO_EARLY: &str = "while a swapped shield covered it";
    let (domain, ledger) = subject.begin();
    let guard = domain.pin();
    let (link, mut last) = linked(&domain, &ledger);
    let (mut behind, mut ahead) = (guard.shield(), guard.shield());
    ahead.protect(&link);
    for _ in 0..sized(20, 6) {
        // The walk goes on: what was ahead is behind, and the shield that was there protects anew.
        mem::swap(&mut behind, &mut ahead);
        let next = elsewhere(|| replace(&domain.pin(), &link, &ledger));
        look(&behind, last, &ledger, TOO_EARLY);
        ahead.protect(&link);
        elsewhere(|| unlink(&domain.pin(), &link));
        press(&domain, &ledger);
        look(&behind, last, &ledger, TOO_EARLY);
        look(&ahead, next, &ledger, TOO_EARLY);
        // Moved to where the other one was, and back.
        let moved = mem::replace(&mut behind, guard.shield());
        press(&domain, &ledger);
        look(&moved, last, &ledger, "while a shield that was moved covered it");
        behind = moved;
        last = next;
    }
    drop((behind, ahead));
    drop(guard);
    subject.settle(domain, &ledger);
}

/// A shield that protects anew covers the new object.
///
/// A scheme that fails sets a slot only once.
pub fn protecting_anew_covers_the_new_object<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let (link, mut id) = linked(&domain, &ledger);
    let guard = domain.pin();
    let mut shield = guard.shield();
    for _ in 0..sized(20, 6) {
        shield.protect(&link);
        let next = elsewhere(|| replace(&domain.pin(), &link, &ledger));
        press(&domain, &ledger);
        look(&shield, id, &ledger, "while a shield that had covered others covered it");
        id = next;
    }
    unlink(&guard, &link);
    drop(shield);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// A null source is nothing to protect, and hurts nobody: the shield covers nothing, and can be
/// used on.
///
/// A scheme that fails follows the pointer, or its tag.
pub fn a_null_source_protects_nothing<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let guard = domain.pin();
    let mut shield = guard.shield::<Tracked>();
    for tag in (0..8).step_by(sized(1, 3)) {
        let null = Ptr::null().with_tag(tag);
        let link = Atomic::new(null);
        assert_eq!(shield.protect(&link), null, "null was not loaded as it was");
        assert_eq!(shield.ptr(), null);
        // SAFETY: null.
        assert!(unsafe { shield.as_ref() }.is_none(), "a shield follows a null pointer");
        assert!(shield.announce_if(null, || true));
        // SAFETY: null.
        assert!(unsafe { shield.as_ref() }.is_none(), "a shield follows a null pointer");
    }
    // SAFETY: null.
    assert!(unsafe { guard.shield::<Tracked>().into_ref(|value| value) }.is_none());

    let (link, id) = linked(&domain, &ledger);
    shield.protect(&link);
    unlink(&guard, &link);
    press(&domain, &ledger);
    look(&shield, id, &ledger, "while a shield that had covered null covered it");
    shield.protect(&link);
    // SAFETY: null.
    assert!(unsafe { shield.as_ref() }.is_none(), "the shield does not cover null now");
    drop(shield);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// Tags come out of `protect`, `store`, `swap` and CAS as they went in, on null too, and are no
/// part of what is protected.
///
/// A scheme that fails publishes the tagged address, which no scan recognises, or masks the tag
/// from what it returns.
pub fn tags_are_kept<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    const TOO_EARLY: &str = "while a shield covered it that had found it tagged";
    use Ordering::{AcqRel, Acquire, Release};

    for tag in (0..8).step_by(sized(1, 3)) {
        let (domain, ledger) = subject.begin();
        let (link, id) = linked(&domain, &ledger);
        let guard = domain.pin();
        let mut shield = guard.shield();
        let plain = shield.protect(&link);
        assert_eq!(plain.tag(), 0, "a node's address has low bits of its own");
        let tagged = plain.with_tag(tag);
        link.store(tagged, Release);
        assert_eq!(shield.protect(&link), tagged, "protect does not return the tag");
        assert_eq!((shield.ptr(), shield.ptr().tag()), (tagged, tag));
        look(&shield, id, &ledger, "while it was linked");

        let other = tagged.with_tag(tag ^ 7);
        assert_eq!(link.compare_exchange(other, plain, AcqRel, Acquire), Err(tagged));
        assert_eq!(link.compare_exchange(tagged, other, AcqRel, Acquire), Ok(tagged));
        assert_eq!(shield.protect(&link), other, "protect does not return the tag");
        assert!(shield.announce_if(tagged, || link.load(Acquire) == other));
        assert_eq!(shield.ptr(), tagged, "announce_if does not keep the tag");
        shield.protect(&link);

        // Retired with its tag.
        elsewhere(|| unlink(&domain.pin(), &link));
        press_everywhere(&domain, &ledger);
        look(&shield, id, &ledger, TOO_EARLY);
        drop(shield);
        drop(guard);
        subject.settle(domain, &ledger);
    }
}

/// An announcement that proves to be too late covers nothing, and the shield can be used on: the
/// object may be freed, and nobody follows the pointer.
///
/// A scheme that fails gives the slot back, or loses what it protects next.
pub fn a_failed_announcement_covers_nothing<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let (link, _) = linked(&domain, &ledger);
    let guard = domain.pin();
    let mut shield = guard.shield();
    for _ in 0..4 {
        let seen = link.load(Ordering::Acquire);
        // It is replaced at the worst moment: before the announcement, and not yet seen.
        let id = replace(&guard, &link, &ledger);
        press(&domain, &ledger);
        assert!(!shield.announce_if(seen, || link.load(Ordering::Acquire) == seen));
        assert!(shield.ptr().is_null(), "a shield covers what it could not protect");
        // SAFETY: null.
        assert!(unsafe { shield.as_ref() }.is_none());

        shield.protect(&link);
        look(&shield, id, &ledger, "while it was linked");
        elsewhere(|| replace(&domain.pin(), &link, &ledger));
        press(&domain, &ledger);
        look(&shield, id, &ledger, "while a shield covered it whose announcement had failed");
    }
    // A panic in the validation leaves a shield that covers nothing.
    let seen = shield.protect(&link);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        shield.announce_if(seen, || std::panic::resume_unwind(Box::new("not valid")))
    }));
    assert!(panic.is_err());
    assert!(shield.ptr().is_null(), "a shield covers what it could not protect");
    unlink(&guard, &link);
    drop(shield);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// An announcement that was in time protects, as `protect` does.
///
/// A scheme that fails does nothing in `announce` where `protect` does something: a slot is not
/// set, an interval does not grow.
pub fn a_valid_announcement_protects<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let guard = domain.pin();
    // Born after the guard was opened, and eras later, if the scheme has eras.
    press(&domain, &ledger);
    let (link, id) = linked(&domain, &ledger);
    let mut shield = guard.shield();
    let seen = link.load(Ordering::Acquire);
    assert!(shield.announce_if(seen, || link.load(Ordering::Acquire) == seen));
    assert_eq!(shield.ptr(), seen);
    elsewhere(|| unlink(&domain.pin(), &link));
    press_everywhere(&domain, &ledger);
    look(&shield, id, &ledger, "while a shield covered it that had announced it");
    drop(shield);
    drop(guard);
    subject.settle(domain, &ledger);
}

/// A structure does not take a guard of another domain, and says so; it takes one of its own.
///
/// A scheme that fails gives two domains one address. (Of a process-wide domain there is no other,
/// so its guard is always right.)
pub fn a_guard_of_another_domain_is_refused<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, other) = (subject.domain(), subject.domain());
    let stack = Stack::with_reclaimer(domain.clone());
    let (own, foreign) = (domain.pin(), other.pin());
    stack.with(&own).push(1);
    let push = AssertUnwindSafe(|| stack.with(&foreign).push(2));
    if subject.is_isolated() {
        let panic = catch_unwind(push).expect_err("a foreign guard was taken");
        let message = panic.downcast::<&str>().expect("a message");
        assert!(message.contains("another domain"), "an unclear message: {message}");
        assert_eq!(stack.with(&own).pop(), Some(1));
    } else {
        push();
        assert_eq!(stack.with(&own).pop(), Some(2));
    }
}
