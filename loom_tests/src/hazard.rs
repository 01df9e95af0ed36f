//! Our hazard pointers: what can go wrong with slots and their blocks, of two slots here. See the
//! head of `src/hazard.rs`.

use loom::thread::yield_now;
use sexton::{Domain, Hazard, Reclaimer, hazard};

use crate::model::{Limits, end_turn, explore, in_one_go, in_turn, together, wait_for};
use crate::scheme::{Links, read, warm_up};

/// Guards that a guard within a guard has slots of its own: what it protects, and the end of that,
/// changes nothing of what the outer one protects.
#[test]
fn an_inner_guard_leaves_the_outer_ones_slots_alone() {
    explore(Limits::preemptions(2, 3), || {
        together(
            Links::<Hazard, 2>::new(0),
            warm_up,
            [
                |links| links.replace_and_collect(0, 10),
                |links| {
                    let outer = links.domain.pin();
                    let mut shield = outer.shield();
                    shield.protect(&links.links[0]);
                    {
                        let inner = links.domain.pin();
                        let mut other = inner.shield();
                        other.protect(&links.links[1]);
                        assert_eq!(read(&other), 1);
                    }
                    assert!([0, 10].contains(&read(&shield)));
                },
            ],
        );
    });
}

/// Guards the slots beyond a guard's first block: a scan sees them, from the first use on.
#[test]
fn a_slot_of_another_block_protects() {
    explore(Limits::preemptions(1, 2).asymmetric(), || {
        together(
            Links::<Hazard, 1>::new(0),
            warm_up,
            [
                |links| links.replace_and_collect(0, 10),
                |links| {
                    let guard = links.domain.pin();
                    let (_first, _second) = (guard.shield::<u8>(), guard.shield::<u8>());
                    let mut third = guard.shield();
                    third.protect(&links.links[0]);
                    assert!([0, 10].contains(&read(&third)));
                },
            ],
        );
    });
}

/// Guards the reuse of a slot: a shield that goes, and one that takes its slot, end the protection
/// of the one before only after its reads.
#[test]
fn a_slot_goes_from_shield_to_shield() {
    explore(Limits::preemptions(2, 3).asymmetric(), || {
        together(
            Links::<Hazard, 2>::new(0),
            warm_up,
            [
                |links| links.replace_and_collect(0, 10),
                |links| {
                    let guard = links.domain.pin();
                    let mut shield = guard.shield();
                    shield.protect(&links.links[0]);
                    assert!([0, 10].contains(&read(&shield)));
                    drop(shield);
                    let mut shield = guard.shield();
                    shield.protect(&links.links[1]);
                    assert_eq!(read(&shield), 1);
                },
            ],
        );
    });
}

/// Guards the retiring thread's own protections, and those of two who scan at the same time: each
/// has a barrier of its own, or one that began after its ticket.
#[test]
fn two_who_scan_leave_what_is_protected() {
    explore(Limits::preemptions(1, 2), || {
        together(
            Links::<Hazard, 2>::new(0),
            warm_up,
            [
                |links| {
                    links.replace(&links.domain.pin(), 0, 10);
                    links.replace(&links.domain.pin(), 0, 11);
                },
                |links| {
                    links.replace(&links.domain.pin(), 1, 20);
                    links.replace(&links.domain.pin(), 1, 21);
                },
                |links| {
                    let guard = links.domain.pin();
                    let (mut one, mut other) = (guard.shield(), guard.shield());
                    one.protect(&links.links[0]);
                    other.protect(&links.links[1]);
                    assert!([0, 10, 11].contains(&read(&one)));
                    assert!([1, 20, 21].contains(&read(&other)));
                },
            ],
        );
    });
}

/// Where two objects are worth a barrier.
fn in_batches_of_two() -> Domain<Hazard> {
    hazard::Builder::new().max_batch(2).nobody_collects().build()
}

/// Protects what a link leads to, lets others get on, and reads it.
fn read_slowly(links: &Links<Hazard, 2>) {
    let guard = links.domain.pin();
    let mut shield = guard.shield();
    shield.protect(&links.links[0]);
    yield_now();
    assert!([0, 10, 11, 12].contains(&read(&shield)));
}

/// Guards I2 of `src/barrier.rs`: a barrier that had ended serves nothing that was retired after it.
#[test]
fn a_barrier_serves_nothing_that_is_retired_after_it() {
    explore(Limits::preemptions(2, 3).asymmetric(), || {
        together(
            Links::<Hazard, 2>::in_domain(in_batches_of_two(), 0),
            |links| {
                let guard = links.domain.pin();
                links.replace(&guard, 1, 20);
                links.replace(&guard, 1, 21);
            },
            [
                |links| {
                    let guard = links.domain.pin();
                    links.replace(&guard, 0, 10);
                    links.replace(&guard, 0, 11);
                },
                read_slowly,
            ],
        );
    });
}

/// Guards I1 of `src/barrier.rs`, the fence of a ticket: another thread's barrier serves what was
/// unlinked before it, and who comes after that barrier sees that it was.
#[test]
fn a_barrier_of_another_thread_serves_what_is_unlinked() {
    explore(Limits::preemptions(1, 2).asymmetric(), || {
        together(
            Links::<Hazard, 2>::in_domain(in_batches_of_two(), 0),
            warm_up,
            [
                |links| {
                    let guard = links.domain.pin();
                    links.replace(&guard, 0, 10);
                    links.replace(&guard, 0, 11);
                    yield_now();
                    links.replace(&guard, 0, 12);
                },
                |links| {
                    let guard = links.domain.pin();
                    links.replace(&guard, 1, 20);
                    links.replace(&guard, 1, 21);
                },
                read_slowly,
            ],
        );
    });
}

/// Guards I2 of `src/barrier.rs`, the Acquire of who is served: what readers had published before another
/// thread's barrier, the scan that follows it sees.
#[test]
fn a_scan_comes_after_the_barrier_of_another_thread() {
    explore(Limits::preemptions(0, 0).asymmetric(), || {
        together(
            Links::<Hazard, 2>::in_domain(in_batches_of_two(), 0),
            warm_up,
            [
                |links| {
                    // The reader's warm-up has a fence, and is not to come after the one of a ticket.
                    wait_for(1);
                    let guard = links.domain.pin();
                    in_turn(1, || [10, 11].map(|number| links.replace(&guard, 0, number)));
                    wait_for(4);
                    links.replace(&guard, 0, 12);
                    drop(guard);
                    end_turn();
                },
                |links| {
                    end_turn();
                    wait_for(2);
                    let guard = links.domain.pin();
                    let mut shield = guard.shield();
                    in_turn(2, || shield.protect(&links.links[0]));
                    in_turn(5, || assert!([0, 10, 11].contains(&read(&shield))));
                },
                |links| {
                    wait_for(3);
                    let guard = links.domain.pin();
                    in_one_go(|| [20, 21].map(|number| links.replace(&guard, 1, number)));
                    in_one_go(|| drop(guard));
                    end_turn();
                },
            ],
        );
    });
}
