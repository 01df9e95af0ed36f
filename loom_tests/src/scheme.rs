//! The core of a scheme: S1 to S3 of `src/scheme.rs`, on bare links.
//!
//! The reader of these models never tells the writer that it has protected: that would order the
//! very thing that is to be tested. And it reads twice, under two guards, as the first pin of a
//! thread and the first lease of a slot have slow paths with fences of their own.

use core::mem;

use sexton::sync::Ordering::{AcqRel, Acquire, Relaxed};
use sexton::{Atomic, Domain, Guard, Owned, Ptr, Reclaimer, Scheme, Shield};

use crate::model::{self, together, together_and_gone};
use crate::witness::Witness;

/// Links to values, in a domain.
pub(crate) struct Links<S: Scheme, const N: usize> {
    pub(crate) domain: Domain<S>,
    pub(crate) links: [Atomic<Witness>; N],
    /// Stands in all links, and is no part of a pointer.
    tag: usize,
}

impl<S: Scheme, const N: usize> Links<S, N> {
    pub(crate) fn new(tag: usize) -> Self {
        Self::in_domain(Domain::new(), tag)
    }

    pub(crate) fn in_domain(domain: Domain<S>, tag: usize) -> Self {
        let links = core::array::from_fn(|number| {
            let node = domain.pin().owned(Witness::new(number as u64));
            Atomic::new(node.into_ptr().with_tag(tag))
        });
        Self { domain, links, tag }
    }

    /// Replaces what a link leads to by a new value, and retires it.
    pub(crate) fn replace(&self, guard: &Guard<'_, S>, link: usize, number: u64) {
        let new = guard.owned(Witness::new(number)).into_ptr().with_tag(self.tag);
        let old = self.links[link].swap(new, AcqRel);
        // SAFETY: just unlinked, from the one place where it stood, by us.
        unsafe { guard.retire(old) };
    }

    /// As above, and frees what can be freed.
    pub(crate) fn replace_and_collect(&self, link: usize, number: u64) {
        self.replace(&self.domain.pin(), link, number);
        self.domain.collect();
    }
}

/// Leases no slot: only one thread of each model does, so that haphazard's spin lock is never
/// fought for (see `kept`).
pub(crate) fn warm_up<S: Scheme, const N: usize>(links: &Links<S, N>) {
    model::warm_up(&links.domain, 0);
}

impl<S: Scheme, const N: usize> Drop for Links<S, N> {
    fn drop(&mut self) {
        for link in &self.links {
            let node = link.swap(Ptr::null(), Relaxed);
            // SAFETY: the links are borrowed exclusively, and linked nodes are not retired.
            drop(unsafe { Owned::<Witness, S>::from_ptr(node) });
        }
    }
}

/// Reads what a shield covers.
pub(crate) fn read<S: Scheme>(shield: &Shield<'_, Witness, S>) -> u64 {
    // SAFETY: it covers a node of `Links`, which are retired by the rule.
    let value = unsafe { shield.as_ref() };
    value.expect("the links are never null").read()
}

pub(crate) fn load<S: Scheme>(domain: &Domain<S>, link: &Atomic<Witness>) -> u64 {
    let guard = domain.pin();
    let mut shield = guard.shield();
    shield.protect(link);
    read(&shield)
}

/// Guards S1 and S3: the fence of a publication, or of a pin, against that of a collection; the
/// second look of `protect` and its Acquire; the Release at the end of a protection.
fn what_is_protected_is_not_freed<S: Scheme>() {
    together(
        Links::<S, 1>::new(0),
        warm_up,
        [
            |links| links.replace_and_collect(0, 10),
            |links| {
                for _ in 0..2 {
                    assert!([0, 10].contains(&load(&links.domain, &links.links[0])));
                }
            },
        ],
    );
}

/// Guards S1 where the link has a tag, which the scheme must not publish with the address.
fn a_tag_is_no_part_of_what_is_protected<S: Scheme>() {
    together(
        Links::<S, 1>::new(3),
        warm_up,
        [
            |links| links.replace_and_collect(0, 10),
            |links| {
                assert!([0, 10].contains(&load(&links.domain, &links.links[0])));
            },
        ],
    );
}

/// Guards S2: a pointer that was announced, and then seen in its link.
fn what_is_announced_and_still_linked_is_not_freed<S: Scheme>() {
    together(
        Links::<S, 1>::new(0),
        warm_up,
        [
            |links| links.replace_and_collect(0, 10),
            |links| {
                let (guard, link) = (links.domain.pin(), &links.links[0]);
                let mut shield = guard.shield();
                for _ in 0..2 {
                    let seen = link.load(Acquire);
                    if shield.announce_if(seen, || link.load(Relaxed) == seen) {
                        assert!([0, 10].contains(&read(&shield)));
                    }
                }
            },
        ],
    );
}

/// Guards S1 for shields that are swapped, as a walk does: the protection goes with the pointer, and
/// protecting anew through the one ends nothing that the other covers.
fn a_protection_goes_with_its_pointer<S: Scheme>() {
    together(
        Links::<S, 2>::new(0),
        warm_up,
        [
            |links| links.replace_and_collect(0, 10),
            |links| {
                let guard = links.domain.pin();
                let (mut before, mut at) = (guard.shield(), guard.shield());
                at.protect(&links.links[0]);
                mem::swap(&mut before, &mut at);
                at.protect(&links.links[1]);
                assert!([0, 10].contains(&read(&before)));
                assert_eq!(read(&at), 1);
            },
        ],
    );
}

/// Guards the nesting of sections, which end in any order: a protection lasts as long as its own.
fn an_inner_guard_outlives_the_outer_one<S: Scheme>() {
    together(
        Links::<S, 1>::new(0),
        warm_up,
        [
            |links| links.replace_and_collect(0, 10),
            |links| {
                let outer = links.domain.pin();
                let inner = links.domain.pin();
                let mut shield = inner.shield();
                shield.protect(&links.links[0]);
                drop(outer);
                assert!([0, 10].contains(&read(&shield)));
            },
        ],
    );
}

/// Guards the finding of a thread's record: a guard protects in its own domain, also when the
/// thread was in another one before.
fn a_guard_protects_in_its_own_domain<S: Scheme>() {
    together(
        (Domain::<S>::new(), Links::<S, 1>::new(0)),
        // Cold: the writer's thread must not have been in the other domain.
        |_| (),
        [
            |(_, links)| links.replace_and_collect(0, 10),
            |(other, links)| {
                drop(other.pin());
                assert!([0, 10].contains(&load(&links.domain, &links.links[0])));
            },
        ],
    );
}

/// Guards the bookkeeping of what is retired: two who retire, and collect, free each object once
/// and lose none.
fn two_who_collect_free_each_object_once<S: Scheme>() {
    let (links, _) = together(
        Links::<S, 1>::new(0),
        warm_up,
        [|links| links.replace_and_collect(0, 10), |links| links.replace_and_collect(0, 20)],
    );
    assert_eq!(links.domain.stats().retired, 2);
}

/// Guards that garbage does not need the thread that made it: another one frees what threads have
/// retired that are gone.
fn a_collector_frees_what_others_retired<S: Scheme>() {
    let (links, _) = together_and_gone(
        Links::<S, 2>::new(0),
        [
            |links| links.replace(&links.domain.pin(), 0, 10),
            |links| {
                links.replace(&links.domain.pin(), 1, 20);
            },
        ],
    );
    links.domain.collect();
    let stats = links.domain.stats();
    assert_eq!((stats.retired, stats.pending), (2, 0));
}

crate::on_schemes! {
    what_is_protected_is_not_freed {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(2, 3),
        hazard: Limits::preemptions(2, 3),
        haphazard: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(2, 3),
    }
    a_tag_is_no_part_of_what_is_protected {
        pointers: Limits::ALL,
        epoch: Limits::preemptions(2, 3),
        hazard: Limits::preemptions(2, 3),
        haphazard: Limits::preemptions(2, 3),
    }
    what_is_announced_and_still_linked_is_not_freed {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(2, 3),
        hazard: Limits::preemptions(2, 3),
        haphazard: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(2, 3),
    }
    a_protection_goes_with_its_pointer {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(2, 3),
        hazard: Limits::preemptions(2, 3),
        haphazard: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(2, 3),
    }
    an_inner_guard_outlives_the_outer_one {
        regions: Limits::ALL,
        epoch: Limits::preemptions(2, 3),
        hazard: Limits::preemptions(2, 3),
        haphazard: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(2, 3),
    }
    a_guard_protects_in_its_own_domain {
        epoch: Limits::preemptions(2, 3),
        hazard: Limits::preemptions(2, 3),
        haphazard: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(2, 3),
    }
    two_who_collect_free_each_object_once {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        leak: Limits::ALL,
        epoch: Limits::preemptions(0, 1),
        hazard: Limits::preemptions(1, 2),
        haphazard: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_collector_frees_what_others_retired {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        haphazard: Limits::preemptions(2, 3),
    }
}
