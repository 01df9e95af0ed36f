//! Our epochs: what can go wrong with pins, stamps and advances. See the head of `src/epoch.rs`.

use sexton::{Epoch, Guard, Reclaimer, epoch};

use crate::model::{Limits, end_turn, explore, in_one_go, in_turn, together, wait_for};
use crate::scheme::{Links, load, read, warm_up};

/// Guards the stamps against a stale pin: a thread that has read the epoch long ago, and pins with
/// it, retires objects which a thread protects that has pinned later.
#[test]
fn a_stale_pin_makes_no_stale_stamp() {
    explore(Limits::preemptions(1, 2), || {
        together(
            Links::<Epoch, 2>::new(0),
            warm_up,
            [
                |links| {
                    // One guard: the first pin's epoch is that of both. They fill a block.
                    let guard = links.domain.pin();
                    links.replace(&guard, 0, 10);
                    links.replace(&guard, 0, 11);
                },
                |links| {
                    links.replace_and_collect(1, 20);
                    assert!([0, 10, 11].contains(&load(&links.domain, &links.links[0])));
                },
            ],
        );
    });
}

/// Guards the advance against a stale pin of who only reads, and against two that advance at the
/// same time: one of them has looked at the records before the reader pinned.
#[test]
fn two_who_advance_do_not_pass_a_reader() {
    explore(Limits::preemptions(1, 2), || {
        together(
            Links::<Epoch, 2>::new(0),
            warm_up,
            [
                |links| {
                    let guard = in_one_go(|| retire(links, 0, 2));
                    // The block has its stamp. Here the two others have their turn.
                    loom::thread::yield_now();
                    // Two advances, and what is ripe then.
                    in_one_go(|| {
                        drop(guard);
                        drop(retire(links, 0, 1));
                    });
                },
                // The other advance, step by step.
                |links| drop(in_one_go(|| retire(links, 1, 1))),
                |links| {
                    let guard = links.domain.pin();
                    let mut shield = guard.shield();
                    shield.protect(&links.links[0]);
                    // And here, too.
                    loom::thread::yield_now();
                    assert!([0, 10, 11].contains(&read(&shield)));
                },
            ],
        );
    });
}

/// Retires so many objects, and returns the guard, at whose end an advance is due.
fn retire(links: &Links<Epoch, 2>, link: usize, objects: u64) -> Guard<'_, Epoch> {
    let guard = links.domain.pin();
    (0..objects).for_each(|number| links.replace(&guard, link, 10 + number));
    guard
}

/// Guards the distance: an advance whose barrier came before a block was stamped, and before a reader
/// pinned, orders neither against the other. So the reader may have the newer epoch and still find
/// what is in the block.
#[test]
fn an_object_waits_for_two_barriers_after_its_stamp() {
    explore(Limits::preemptions(1, 2).asymmetric().at_most(20_000), || {
        together(
            Links::<Epoch, 2>::in_domain(epoch::Builder::new().nobody_collects().build(), 0),
            warm_up,
            [
                // Advances once; another thread comes in between its barrier and its CAS.
                |links| drop(in_one_go(|| retire(links, 1, 1))),
                |links| {
                    let guard = in_one_go(|| retire(links, 0, 2));
                    // The block has its stamp. Here the two others have their turn.
                    loom::thread::yield_now();
                    drop(guard);
                    drop(in_one_go(|| retire(links, 0, 1)));
                },
                |links| {
                    assert!([0, 10, 11].contains(&load(&links.domain, &links.links[0])));
                },
            ],
        );
    });
}

/// Guards the fence before a stamp. A thread pins (with whatever epoch) after the first look of an advance
/// at its record, and before that one's barrier; unlinks objects after the barrier; and has ended before
/// the second look. That barrier orders nothing of what was unlinked, and without a fence of its own the
/// thread may still see the epoch before, and stamp them with it. Then there is one barrier left that
/// does, and it does not hold up a reader which has the epoch of that advance.
#[cfg(loom_barriers)]
#[test]
fn a_stamp_is_not_older_than_what_it_stamps() {
    use sexton::sync::{Ordering::SeqCst, fence};

    use crate::model::wait_at_barrier;

    explore(Limits::preemptions(0, 0).asymmetric(), || {
        together(
            Links::<Epoch, 2>::in_domain(epoch::Builder::new().nobody_collects().build(), 0),
            warm_up,
            [
                |links| {
                    in_turn(1, || fence(SeqCst));
                    // Half a block.
                    in_turn(3, || {
                        fence(SeqCst);
                        in_one_go(|| links.replace(&links.domain.pin(), 0, 10));
                        fence(SeqCst);
                    });
                    let guard = in_turn(6, || in_one_go(|| links.domain.pin()));
                    // The barrier comes here.
                    wait_for(8);
                    // Now it is full, and gets its stamp.
                    links.replace(&guard, 0, 20);
                    in_one_go(|| drop(guard));
                    end_turn();
                    // Comes after the last advance, and frees the block, if it can be.
                    in_turn(12, || in_one_go(|| links.replace(&links.domain.pin(), 1, 30)));
                },
                |links| {
                    let advance = || links.replace(&links.domain.pin(), 1, 10);
                    in_turn(2, || {
                        fence(SeqCst);
                        in_one_go(advance);
                        fence(SeqCst);
                    });
                    in_turn(4, || {
                        fence(SeqCst);
                        in_one_go(|| [advance(), advance()]);
                    });
                    let guard = in_one_go(|| retire(links, 1, 1));
                    wait_at_barrier(7, 9);
                    in_turn(5, || drop(guard));
                    in_turn(11, || in_one_go(|| [advance(), advance()]));
                },
                |links| {
                    fence(SeqCst);
                    end_turn();
                    wait_for(10);
                    let guard = links.domain.pin();
                    let mut shield = guard.shield();
                    in_turn(10, || shield.protect(&links.links[0]));
                    in_turn(13, || assert!([0, 10, 20].contains(&read(&shield))));
                },
            ],
        );
    });
}

/// Guards the Acquire with which who frees has read the epoch: it was another thread, which has moved it,
/// that has seen the end of the last section.
#[test]
fn who_frees_comes_after_the_last_use() {
    explore(Limits::preemptions(0, 1).asymmetric(), || {
        together(
            Links::<Epoch, 2>::in_domain(epoch::Builder::new().nobody_collects().build(), 0),
            warm_up,
            [
                |links| {
                    // With the stamp of an epoch that is over: it need not know.
                    in_turn(2, || in_one_go(|| drop(retire(links, 0, 2))));
                    let guard = in_turn(5, || links.domain.pin());
                    wait_for(7);
                    links.replace(&guard, 0, 20);
                },
                |links| {
                    in_turn(0, || in_one_go(|| drop(retire(links, 1, 1))));
                    in_turn(3, || in_one_go(|| drop(retire(links, 1, 1))));
                    in_turn(6, || drop(retire(links, 1, 1)));
                },
                |links| {
                    wait_for(1);
                    let guard = links.domain.pin();
                    let mut shield = guard.shield();
                    shield.protect(&links.links[0]);
                    end_turn();
                    wait_for(4);
                    assert_eq!(read(&shield), 0);
                    drop(shield);
                    drop(guard);
                    end_turn();
                },
            ],
        );
    });
}

/// Guards the pin of an outer guard: an inner one that ends does not end it.
#[test]
fn an_outer_guard_outlives_the_inner_one() {
    explore(Limits::preemptions(2, 3), || {
        together(
            Links::<Epoch, 1>::new(0),
            warm_up,
            [
                |links| links.replace_and_collect(0, 10),
                |links| {
                    let outer = links.domain.pin();
                    let mut shield = outer.shield();
                    shield.protect(&links.links[0]);
                    drop(links.domain.pin());
                    assert!([0, 10].contains(&read(&shield)));
                },
            ],
        );
    });
}
