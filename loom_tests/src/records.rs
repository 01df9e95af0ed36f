//! What our own schemes have in common: records, bags, the biased lock, adoption, recycling.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use loom::thread;
use sexton::sync::Ordering::{AcqRel, Relaxed};
use sexton::{Atomic, Domain, Epoch, Hazard, Owned, Ptr, Reclaimer, Scheme, epoch, hazard};

use crate::model::{self, Limits, explore, in_turn, together, together_and_gone, wait_for};
use crate::scheme::{Links, load, read, warm_up};
use crate::witness::Witness;

/// Retires a block of objects under the first guard, and, with epochs, as many more under others as
/// it takes until that block is old enough, if nobody is in the way.
fn retire_until_some_are_freed<S: Scheme, const N: usize>(links: &Links<S, N>) {
    let guard = links.domain.pin();
    links.replace(&guard, 0, 10);
    links.replace(&guard, 0, 11);
    drop(guard);
    if !S::BOUNDED {
        links.replace(&links.domain.pin(), 0, 12);
        links.replace(&links.domain.pin(), 0, 13);
    }
}

/// Guards S1 on the way that objects go without [`Reclaimer::collect`]: full blocks, their stamps,
/// and barriers that are only issued when it is time. The reader reads twice: the second guard is
/// opened right after the first has ended.
fn what_is_protected_is_not_freed_by_retiring<S: Scheme>() {
    together(
        Links::<S, 1>::new(0),
        warm_up,
        [retire_until_some_are_freed, |links| {
            for _ in 0..2 {
                assert!([0, 10, 11, 12, 13].contains(&load(&links.domain, &links.links[0])));
            }
        }],
    );
}

/// As above, where nobody collects: so there is no full fence around a bag, as there is none on the
/// machine, and the only barriers are those of an advance or a scan, and those of stamps.
fn what_is_protected_needs_no_other_barriers<S: Built>() {
    together(
        Links::<S, 1>::in_domain(S::without_collectors(), 0),
        warm_up,
        [retire_until_some_are_freed, |links| {
            for _ in 0..2 {
                assert!([0, 10, 11, 12, 13].contains(&load(&links.domain, &links.links[0])));
            }
        }],
    );
}

/// As above, with two that retire: the barrier of the one serves the other, if it comes after what it
/// is to serve.
fn a_shared_barrier_serves_what_was_retired_before_it<S: Built>() {
    together(
        Links::<S, 2>::in_domain(S::without_collectors(), 0),
        warm_up,
        [
            |links| {
                let guard = links.domain.pin();
                links.replace(&guard, 0, 10);
                links.replace(&guard, 0, 11);
            },
            |links| {
                let guard = links.domain.pin();
                links.replace(&guard, 1, 20);
                links.replace(&guard, 1, 21);
            },
            |links| {
                assert!([0, 10, 11].contains(&load(&links.domain, &links.links[0])));
            },
        ],
    );
}

/// Guards I1 and I2 of `src/biased.rs`: a collector takes what is in the bag of another thread, which
/// retires at the same time, and neither disturbs the other.
fn a_collector_and_the_bags_owner_are_not_both_in_it<S: Scheme>() {
    let retire_two = |links: &Links<S, 1>| {
        links.replace(&links.domain.pin(), 0, 10);
        links.replace(&links.domain.pin(), 0, 11);
    };
    let (links, _) = together(
        Links::<S, 1>::new(0),
        |links| {
            // So that there is something to be taken.
            links.replace(&links.domain.pin(), 0, 1);
        },
        [retire_two, |links| {
            links.domain.collect();
        }],
    );
    assert_eq!(links.domain.stats().retired, 4);
}

/// Guards the adoption: what a thread has left that has exited is freed by another one that collects,
/// when nobody protects it any more, and only then.
fn what_an_exited_thread_has_left_is_not_freed_too_early<S: Scheme>() {
    together_and_gone(
        Links::<S, 2>::new(0),
        [
            |links| links.replace(&links.domain.pin(), 1, 20),
            |links| links.replace_and_collect(0, 10),
            |links| {
                assert!([1, 20].contains(&load(&links.domain, &links.links[1])));
            },
        ],
    );
}

/// Guards I1 of `src/record.rs`: a record, with what is in it, goes from a thread that exits to the
/// next one with its number, or to a collector, and never to both.
fn a_record_is_taken_over_by_one<S: Scheme>() {
    let replace_first = |links: &Links<S, 2>| links.replace(&links.domain.pin(), 0, 10);
    let (links, _) = together_and_gone(
        Links::<S, 2>::new(0),
        [replace_first, |links| {
            // The exit of the first thread may come in between.
            links.replace(&links.domain.pin(), 1, 20);
            links.replace(&links.domain.pin(), 1, 21);
        }],
    );
    assert_eq!(links.domain.stats().retired, 3);
}

/// Guards the end of a domain: it frees what is pending, whoever has retired it, while the threads
/// that used it exit.
fn a_domain_frees_what_is_pending_when_it_goes<S: Scheme>() {
    let (links, _) = together_and_gone(
        Links::<S, 2>::new(0),
        [
            |links| links.replace(&links.domain.pin(), 0, 10),
            |links| links.replace(&links.domain.pin(), 1, 20),
        ],
    );
    drop(links);
}

/// Leaves objects that were found to be ripe and wait for their turn: more than a section's end frees.
fn leave_ripe(links: &Links<Epoch, 1>) {
    let guard = links.domain.pin();
    (0..40).for_each(|number| links.replace(&guard, 0, number));
    drop(guard);
    // As many epochs as these objects wait for.
    (0..4).for_each(|number| links.replace(&links.domain.pin(), 0, number));
    let stats = links.domain.stats();
    assert!(stats.reclaimed > 0 && stats.pending > 4, "{stats:?}");
}

/// Guards the end of a domain: it frees, too, what waits for its turn.
#[test]
fn a_domain_frees_what_waits_for_its_turn_when_it_goes() {
    explore(Limits::preemptions(0, 1), || {
        let (links, _) = together(Links::<Epoch, 1>::new(0), warm_up, [leave_ripe]);
        drop(links);
    });
}

/// Guards what a collector takes over: that as well.
#[test]
fn a_collector_frees_what_waits_for_its_turn() {
    explore(Limits::preemptions(0, 1), || {
        let (links, _) = together(Links::<Epoch, 1>::new(0), warm_up, [leave_ripe]);
        links.domain.collect();
        assert_eq!(links.domain.stats().pending, 0);
    });
}

/// Guards the hint by which others find what a thread has left that has exited: nobody need collect, and
/// no thread need come by its record. (Nothing orders the exit, so it is not always seen.)
#[test]
fn what_an_exited_thread_has_left_is_adopted_by_who_retires() {
    static IS_ADOPTED: AtomicBool = AtomicBool::new(false);
    explore(Limits::preemptions(0, 1), || {
        together_and_gone(
            Links::<Hazard, 2>::in_domain(Hazard::without_collectors(), 0),
            [
                |links| {
                    let guard = links.domain.pin();
                    let mut shield = guard.shield();
                    in_turn(0, || shield.protect(&links.links[1]));
                    wait_for(2);
                    // Time for the other one's exit.
                    thread::yield_now();
                    drop(shield);
                    links.replace(&guard, 0, 10);
                    links.replace(&guard, 0, 11);
                    drop(guard);
                    IS_ADOPTED.fetch_or(links.domain.stats().pending == 0, SeqCst);
                },
                |links| in_turn(1, || links.replace(&links.domain.pin(), 1, 20)),
            ],
        );
    });
    assert!(IS_ADOPTED.load(SeqCst));
}

/// Guards the stamp of what is adopted from a block that was open: a reader has found it, and its own
/// thread, which would have given it one, is gone.
#[test]
fn what_is_adopted_waits_as_long_as_all_else() {
    explore(Limits::preemptions(0, 1), || {
        let links = Links::<Epoch, 2>::in_domain(Epoch::without_collectors(), 0);
        // More epochs than an object waits for.
        (0..4).for_each(|_| links.replace(&links.domain.pin(), 0, 10));
        together_and_gone(
            links,
            [
                |links| {
                    // So it does not get the record of the one that goes.
                    in_turn(0, || drop(links.domain.pin()));
                    wait_for(3);
                    // Time for that one's exit. It may not be seen, as nothing orders it.
                    thread::yield_now();
                    in_turn(3, || {
                        (0..2).for_each(|_| links.replace(&links.domain.pin(), 0, 10));
                    });
                },
                |links| {
                    wait_for(1);
                    let guard = links.domain.pin();
                    let mut shield = guard.shield();
                    in_turn(1, || shield.protect(&links.links[1]));
                    in_turn(4, || assert_eq!(read(&shield), 1));
                },
                |links| in_turn(2, || links.replace(&links.domain.pin(), 1, 20)),
            ],
        );
    });
}

/// Guards I2 of `src/thread.rs`: a thread with the number of one that is gone, which it has got in another
/// domain, makes the record its own before it uses it.
#[test]
fn a_thread_knows_its_record_by_more_than_its_number() {
    explore(Limits::preemptions(0, 1), || {
        together_and_gone(
            (Links::<Hazard, 1>::new(0), Domain::<Hazard>::new()),
            [
                |(links, _)| in_turn(0, || links.replace(&links.domain.pin(), 0, 10)),
                |(links, other)| {
                    wait_for(1);
                    // Time for the other one's exit.
                    thread::yield_now();
                    drop(other.pin());
                    let _guard = links.domain.pin();
                    let threads = links.domain.stats().threads;
                    assert!(threads >= 2, "this one, and the one that began: {threads}");
                },
            ],
        );
    });
}

/// A scheme whose domains have settings.
trait Built: Scheme {
    /// A domain in which blocks are used again.
    fn recycling() -> Domain<Self>;

    /// Where nobody collects.
    fn without_collectors() -> Domain<Self>;
}

impl Built for Epoch {
    fn recycling() -> Domain<Self> {
        epoch::Builder::new().recycle(1024).build()
    }

    fn without_collectors() -> Domain<Self> {
        epoch::Builder::new().nobody_collects().build()
    }
}

impl Built for Hazard {
    fn recycling() -> Domain<Self> {
        hazard::Builder::new().recycle(1024).build()
    }

    fn without_collectors() -> Domain<Self> {
        hazard::Builder::new().nobody_collects().build()
    }
}

/// A value of an alignment that is recycled. Its block is not the arena's, its witness is.
#[repr(C)]
struct Recycled {
    /// Written over while the block waits.
    _link: usize,
    witness: Box<Witness>,
}

struct Link<S: Scheme> {
    domain: Domain<S>,
    link: Atomic<Recycled>,
}

impl<S: Built> Link<S> {
    fn new() -> Self {
        let domain = S::recycling();
        let link = Atomic::new(Self::node(&domain, 0));
        Self { domain, link }
    }

    fn node(domain: &Domain<S>, number: u64) -> Ptr<Recycled> {
        let witness = Box::new(Witness::new(number));
        domain.pin().owned(Recycled { _link: 0, witness }).into_ptr()
    }

    /// Replaces the node so many times under one guard.
    fn replace(&self, times: u64) {
        let guard = self.domain.pin();
        for number in 0..times {
            let old = self.link.swap(Self::node(&self.domain, 10 + number), AcqRel);
            // SAFETY: just unlinked, from the one place where it stood, by us.
            unsafe { guard.retire(old) };
        }
    }
}

impl<S: Scheme> Drop for Link<S> {
    fn drop(&mut self) {
        let node = self.link.swap(Ptr::null(), Relaxed);
        // SAFETY: the link is borrowed exclusively, and a linked node is not retired.
        drop(unsafe { Owned::<Recycled, S>::from_ptr(node) });
    }
}

/// Guards the recycling of blocks: a freed node's block is used again at once, and a reader that
/// protects it sees the same value in it from beginning to end.
fn a_protected_block_is_not_used_again<S: Built>() {
    together(
        Link::<S>::new(),
        |shared| model::warm_up(&shared.domain, 1),
        [
            |shared| {
                // As in `retire_until_some_are_freed`, and one more.
                shared.replace(2);
                if !S::BOUNDED {
                    shared.replace(1);
                    shared.replace(1);
                }
                shared.replace(1);
            },
            |shared| {
                let guard = shared.domain.pin();
                let mut shield = guard.shield();
                shield.protect(&shared.link);
                // SAFETY: a node of this domain, retired by the rule.
                let node = unsafe { shield.as_ref() }.expect("the link is never null");
                let first = node.witness.read();
                assert_eq!(node.witness.read(), first);
            },
        ],
    );
}

crate::on_schemes! {
    what_is_protected_is_not_freed_by_retiring {
        epoch: Limits::preemptions(2, 3),
        hazard: Limits::preemptions(2, 3),
    }
    what_is_protected_needs_no_other_barriers {
        epoch: Limits::preemptions(2, 3).asymmetric(),
        hazard: Limits::preemptions(1, 2).asymmetric(),
    }
    a_shared_barrier_serves_what_was_retired_before_it {
        hazard: Limits::preemptions(1, 2).asymmetric(),
    }
    a_collector_and_the_bags_owner_are_not_both_in_it {
        epoch: Limits::preemptions(1, 2).at_most(5_000),
        hazard: Limits::preemptions(2, 3).asymmetric(),
    }
    what_an_exited_thread_has_left_is_not_freed_too_early {
        epoch: Limits::preemptions(0, 1),
        hazard: Limits::preemptions(1, 2),
    }
    a_record_is_taken_over_by_one {
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2).asymmetric(),
    }
    a_domain_frees_what_is_pending_when_it_goes {
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
    }
    a_protected_block_is_not_used_again {
        epoch: Limits::preemptions(2, 3),
        hazard: Limits::preemptions(2, 3),
    }
}
