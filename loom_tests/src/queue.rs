//! The queue: invariants I1 to I6 of `src/queue/list.rs`, C1 to C4 and C7 of `src/queue/segment.rs`. A
//! segment has two cells here, and the one after a segment that was used up without a lost attempt is its
//! maker's own (in loom nobody else has a name, see `src/queue/counter.rs`).

use sexton::{Domain, Queue, Reclaimer, Scheme};

use crate::model::{self, in_one_go, sorted, together};
use crate::witness::{Token, Witness};

type Owned<S> = Queue<Witness, Domain<S>>;

fn queue_of<S: Scheme>(values: &[u64]) -> Owned<S> {
    let queue = Queue::with_reclaimer(Domain::new());
    values.iter().for_each(|value| queue.push(Witness::new(*value)));
    queue
}

fn warm_up<T, S: Scheme>(queue: &Queue<T, Domain<S>>) {
    model::warm_up(queue.reclaimer(), 2);
}

fn push<S: Scheme>(queue: &Owned<S>, value: u64) -> Vec<u64> {
    queue.pin().push(Witness::new(value));
    Vec::new()
}

fn pop<S: Scheme>(queue: &Owned<S>) -> Vec<u64> {
    queue.pop().iter().map(Witness::read).collect()
}

/// Pops until there is nothing.
fn drain<S: Scheme>(queue: &Owned<S>) -> Vec<u64> {
    core::iter::from_fn(|| queue.pop()).map(|value| value.read()).collect()
}

fn left<S: Scheme>(mut queue: Owned<S>) -> Vec<u64> {
    queue.drain().map(|value| value.read()).collect()
}

/// Guards C2 and C3, the Release of who fills a cell and the Acquire of who finds it full: what one
/// thread pushes comes out in its order, and nothing is lost, be a cell poisoned or not.
fn values_come_out_in_their_order<S: Scheme>() {
    let (queue, [_, mut popped]) = together(
        queue_of::<S>(&[]),
        warm_up,
        [
            |queue| [push(queue, 1), push(queue, 2), push(queue, 3)].concat(),
            |queue| [pop(queue), pop(queue)].concat(),
        ],
    );
    popped.extend(left(queue));
    assert_eq!(popped, [1, 2, 3]);
}

/// Guards C1 and C4: two who pop compete for a cell, and for what is pushed meanwhile.
fn each_value_is_popped_once<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[0]),
        warm_up,
        [|queue| push(queue, 1), |queue| pop(queue), |queue| pop(queue)],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [0, 1]);
}

/// Guards the Release of the head's CAS, and the Acquire of who follows the link: who finds a segment
/// there finds it initialised, though another thread was the one who followed the link to it.
fn each_value_of_the_next_segment_is_popped_once<S: Scheme>() {
    let queue = queue_of::<S>(&[0, 1]);
    assert_eq!(drain(&queue), [0, 1]);
    let (queue, popped) =
        together(queue, warm_up, [|queue| push(queue, 2), |queue| pop(queue), |queue| pop(queue)]);
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [2]);
}

/// Guards I1, C1: two who push compete for a cell, and for the next segment.
fn no_push_is_lost<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[0]),
        warm_up,
        [|queue| push(queue, 1), |queue| push(queue, 2), |queue| pop(queue)],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [0, 1, 2]);
}

/// Guards I1 where there is no segment yet.
fn one_makes_the_first_segment<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[]),
        warm_up,
        [|queue| push(queue, 1), |queue| push(queue, 2), |queue| pop(queue)],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [1, 2]);
}

/// Guards I3 and I4: a pusher has linked a segment, or is about to, and sleeps before it moves the
/// tail; another thread passes the one before, retires and frees it, and pushes.
fn the_tail_never_leads_to_a_freed_segment<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[0, 1]),
        warm_up,
        [
            |queue| push(queue, 2),
            |queue| {
                let popped = [pop(queue), pop(queue), pop(queue)].concat();
                queue.reclaimer().collect();
                push(queue, 3);
                popped
            },
        ],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [0, 1, 2, 3]);
}

/// Guards the same for the first segment, on which the tail is moved by whoever comes by.
fn the_tail_finds_the_first_segment<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[]),
        warm_up,
        [
            |queue| push(queue, 1),
            |queue| {
                let popped = [push(queue, 2), push(queue, 3), drain(queue)].concat();
                queue.reclaimer().collect();
                popped
            },
        ],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [1, 2, 3]);
}

/// Guards the shields: one has found a segment, or even claimed a cell in it, when another passes it
/// and frees it.
fn a_segment_is_not_freed_under_a_pop<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[0, 1, 2]),
        warm_up,
        [
            |queue| pop(queue),
            |queue| {
                let popped = drain(queue);
                queue.reclaimer().collect();
                popped
            },
        ],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [0, 1, 2]);
}

/// Guards the shield of `push`: one has found the last segment, when another puts one more behind it,
/// passes it and frees it.
fn a_segment_is_not_freed_under_a_push<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[0, 1]),
        warm_up,
        [
            |queue| push(queue, 2),
            |queue| {
                let popped = [push(queue, 3), pop(queue), pop(queue), pop(queue)].concat();
                queue.reclaimer().collect();
                popped
            },
        ],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [0, 1, 2, 3]);
}

/// Guards I5 with freed segments used again: an old one's address comes back as a new one's.
fn a_reused_address_deceives_nobody<S: Scheme>() {
    let (queue, [popped, mut others]) = together(
        queue_of::<S>(&[0, 1, 2]),
        warm_up,
        [
            |queue| pop(queue),
            |queue| {
                let popped = [pop(queue), pop(queue), pop(queue)].concat();
                queue.reclaimer().collect();
                push(queue, 3);
                push(queue, 4);
                popped
            },
        ],
    );
    others.extend(left(queue));
    assert!(others.is_sorted(), "they were pushed in this order: {others:?}");
    assert_eq!(sorted(popped.into_iter().chain(others)), [0, 1, 2, 3, 4]);
}

/// Guards the Release of claims and the Acquire of who looks at them: in a queue that is never empty
/// nobody finds nothing, though its values come and go.
fn a_queue_is_not_empty_while_there_is_something_in_it<S: Scheme>() {
    together(queue_of::<S>(&[0]), warm_up, [push_and_pop, assert_pops]);
}

/// Guards the same where the other value comes in a segment of its own.
fn a_queue_is_not_empty_while_there_is_a_segment_behind<S: Scheme>() {
    let queue = queue_of::<S>(&[0, 1]);
    assert_eq!(pop(&queue), [0]);
    together(queue, warm_up, [push_and_pop, assert_pops]);
}

fn push_and_pop<S: Scheme>(queue: &Owned<S>) {
    push(queue, 2);
    assert_eq!(pop(queue).len(), 1, "there was one for each");
}

fn assert_pops<S: Scheme>(queue: &Owned<S>) {
    assert_eq!(pop(queue).len(), 1, "there was one for each");
}

/// Guards the same for `is_empty` and `len`, which look only.
fn a_queue_does_not_look_empty_while_there_is_something_in_it<S: Scheme>() {
    together(
        queue_of::<S>(&[0]),
        warm_up,
        [push_and_pop, |queue| {
            let pinned = queue.pin();
            assert!(!pinned.is_empty());
            assert!(pinned.len() <= 2);
        }],
    );
}

/// Guards `peek`: its shield, its Acquire, and that what it finds is the first.
fn a_peek_sees_a_value_that_was_first<S: Scheme>() {
    let queue = Queue::<Token, Domain<S>>::with_reclaimer(Domain::new());
    queue.push(Token::new(0));
    queue.push(Token::new(1));
    let (_, [peeked, popped]) = together(
        queue,
        warm_up,
        [
            |queue| {
                let peeked = [queue.peek().map(Token::read), queue.peek().map(Token::read)];
                assert!(peeked[0] <= peeked[1], "the first one does not come back");
                peeked[1]
            },
            |queue| {
                queue.pin().push(Token::new(2));
                assert_eq!(queue.pop().map(Token::read), Some(0));
                let popped = queue.pop().map(Token::read);
                queue.reclaimer().collect();
                popped
            },
        ],
    );
    assert!([Some(0), Some(1), Some(2)].contains(&peeked), "it was never empty");
    assert_eq!(popped, Some(1));
}

/// Guards that a peek decides what is in front: what it has seen first comes out first, though a push
/// that had claimed an earlier cell is still under way; and that push's value is not lost.
fn what_was_seen_first_comes_out_first<S: Scheme>() {
    let queue = Queue::<Token, Domain<S>>::with_reclaimer(Domain::new());
    queue.push(Token::new(0));
    assert_eq!(queue.pop().map(Token::read), Some(0));
    let (mut queue, [_, _, (peeked, popped)]) = together(
        queue,
        warm_up,
        [
            |queue| {
                queue.pin().push(Token::new(1));
                (None, None)
            },
            |queue| {
                queue.pin().push(Token::new(2));
                (None, None)
            },
            |queue| (queue.peek().map(Token::read), queue.pop().map(Token::read)),
        ],
    );
    assert!(peeked.is_none() || popped == peeked, "{peeked:?} {popped:?}");
    let left = queue.drain().map(Token::read);
    assert_eq!(sorted(left.chain(popped)), [1, 2]);
}

/// Guards I6: what a push says that was under way when the queue was closed is the truth, and nothing
/// comes after the last pop of who closed.
fn closed_is_closed_for_good<S: Scheme>() {
    fn close<S: Scheme>(queue: &Owned<S>) -> (bool, Vec<u64>) {
        (queue.close(), drain(queue))
    }
    let (queue, [(pushed, _), (closed, popped)]) = together(
        queue_of::<S>(&[0]),
        warm_up,
        [
            |queue| {
                let pinned = queue.pin();
                let one = pinned.try_push(Witness::new(1)).is_ok();
                let two = pinned.try_push(Witness::new(2)).is_ok();
                assert!(one || !two, "it was closed before");
                (two, if one { vec![1] } else { vec![] })
            },
            close,
        ],
    );
    assert!(closed);
    assert!(!pushed || popped.contains(&2), "{popped:?}");
    assert!(popped.is_sorted() && popped[0] == 0);
    assert_eq!(left(queue), [], "it came after the end");
}

/// Guards the same for one who only sees that it is closed, when the other has not finished.
fn who_sees_it_closed_sees_the_last_value<S: Scheme>() {
    let (queue, [(pushed, _), _, (closed, popped)]) = together(
        queue_of::<S>(&[0]),
        warm_up,
        [
            |queue| (queue.pin().try_push(Witness::new(1)).is_ok(), Vec::new()),
            |queue| (queue.close(), Vec::new()),
            |queue| {
                let closed = queue.is_closed();
                (closed, drain(queue))
            },
        ],
    );
    let left = left(queue);
    assert_eq!(popped.len() + left.len(), 1 + usize::from(pushed));
    assert!(!closed || left.is_empty(), "it came after the end");
}

/// Its next segment is its maker's own.
fn used_up<S: Scheme>() -> Owned<S> {
    let queue = queue_of(&[0, 1]);
    assert_eq!(drain(&queue), [0, 1]);
    queue
}

/// Makes a segment of its own, with one value in it.
fn own<S: Scheme>(queue: &Owned<S>, value: u64) {
    in_one_go(|| push(queue, value));
}

/// Guards C7 and N4: another one pushes, and pops, where one is the owner.
fn an_owner_and_another_lose_nothing<S: Scheme>() {
    let (queue, [_, popped]) = together(
        used_up::<S>(),
        warm_up,
        [
            |queue| {
                own(queue, 2);
                [push(queue, 3), push(queue, 4)].concat()
            },
            |queue| [push(queue, 5), pop(queue)].concat(),
        ],
    );
    let all = [popped, left(queue)].concat();
    let owners: Vec<_> = all.iter().filter(|value| **value != 5).collect();
    assert_eq!(owners, [&2, &3, &4], "in their order");
    assert_eq!(sorted(all.into_iter()), [2, 3, 4, 5]);
}

/// Guards C7 for those who pop: what they find by its number, or by its cell, is there.
fn an_owners_values_are_popped_once<S: Scheme>() {
    let (queue, popped) = together(
        used_up::<S>(),
        warm_up,
        [
            |queue| {
                own(queue, 2);
                push(queue, 3)
            },
            |queue| [pop(queue), pop(queue)].concat(),
            |queue| pop(queue),
        ],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [2, 3]);
}

/// Guards that nobody stops at a segment that was ended: there is something in the queue all the time.
fn a_queue_is_not_empty_behind_a_segment_that_was_ended<S: Scheme>() {
    together(
        used_up::<S>(),
        warm_up,
        [
            |queue| {
                own(queue, 2);
                push_and_pop(queue);
            },
            |queue| {
                push(queue, 5);
                let pinned = queue.pin();
                assert!(!pinned.is_empty());
                assert!(pinned.len() <= 3);
                assert!(pinned.pop().is_some());
            },
        ],
    );
}

/// Guards C7 for those who look: what they find, they pop.
fn an_owners_values_are_seen_before_they_are_popped<S: Scheme>() {
    let queue = Queue::<Token, Domain<S>>::with_reclaimer(Domain::new());
    for value in [0, 1] {
        queue.push(Token::new(value));
        assert_eq!(queue.pop().map(Token::read), Some(value));
    }
    let (mut queue, [_, popped]) = together(
        queue,
        warm_up,
        [
            |queue| {
                queue.pin().push(Token::new(2));
                queue.pin().push(Token::new(3));
                Vec::new()
            },
            |queue| {
                let (seen, popped) = (queue.peek().map(Token::read), queue.pop().map(Token::read));
                assert!(seen.is_none() || seen == popped, "{seen:?} {popped:?}");
                popped.into_iter().chain(queue.pop().map(Token::read)).collect()
            },
        ],
    );
    let all: Vec<_> = popped.into_iter().chain(queue.drain().map(Token::read)).collect();
    assert_eq!(all, [2, 3]);
}

/// Guards I6 where the last segment has an owner.
fn an_owner_does_not_push_after_the_end<S: Scheme>() {
    let (queue, [(pushed, _), (closed, popped)]) = together(
        used_up::<S>(),
        warm_up,
        [
            |queue| {
                let pinned = queue.pin();
                let one = in_one_go(|| pinned.try_push(Witness::new(2)).is_ok());
                let two = pinned.try_push(Witness::new(3)).is_ok();
                assert!(one || !two, "it was closed before");
                (two, Vec::new())
            },
            |queue| (queue.close(), drain(queue)),
        ],
    );
    assert!(closed);
    assert!(!pushed || popped.contains(&3), "{popped:?}");
    assert_eq!(left(queue), [], "it came after the end");
}

crate::on_schemes! {
    values_come_out_in_their_order {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    each_value_is_popped_once {
        pointers: Limits::preemptions_or_all(2),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    each_value_of_the_next_segment_is_popped_once {
        pointers: Limits::preemptions_or_all(2),
        regions: Limits::preemptions_or_all(3),
    }
    no_push_is_lost {
        pointers: Limits::preemptions_or_all(2),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    one_makes_the_first_segment {
        pointers: Limits::preemptions_or_all(2),
        regions: Limits::preemptions_or_all(2),
    }
    the_tail_never_leads_to_a_freed_segment {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    the_tail_finds_the_first_segment {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(2, 3),
    }
    a_segment_is_not_freed_under_a_pop {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_segment_is_not_freed_under_a_push {
        pointers: Limits::preemptions(2, 3),
        regions: Limits::preemptions(2, 3),
    }
    a_reused_address_deceives_nobody {
        pointers: Limits::preemptions_or_all(3).reusing(),
        regions: Limits::preemptions_or_all(3).reusing(),
        epoch: Limits::preemptions(1, 2).reusing(),
        hazard: Limits::preemptions(1, 2).reusing(),
        kept: Limits::preemptions(2, 3).reusing(),
        crossbeam: Limits::preemptions(1, 2).reusing(),
    }
    a_queue_is_not_empty_while_there_is_something_in_it {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::ALL,
        leak: Limits::ALL,
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_queue_is_not_empty_while_there_is_a_segment_behind {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::ALL,
        kept: Limits::preemptions(2, 3),
    }
    a_queue_does_not_look_empty_while_there_is_something_in_it {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::ALL,
        kept: Limits::preemptions(2, 3),
    }
    a_peek_sees_a_value_that_was_first {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    what_was_seen_first_comes_out_first {
        regions: Limits::preemptions_or_all(2),
    }
    closed_is_closed_for_good {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    who_sees_it_closed_sees_the_last_value {
        pointers: Limits::preemptions_or_all(2),
        regions: Limits::preemptions_or_all(2),
    }
    an_owner_and_another_lose_nothing {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    an_owners_values_are_seen_before_they_are_popped {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
    }
    an_owners_values_are_popped_once {
        pointers: Limits::preemptions_or_all(2),
        regions: Limits::preemptions_or_all(2),
    }
    a_queue_is_not_empty_behind_a_segment_that_was_ended {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(2),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
    }
    an_owner_does_not_push_after_the_end {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
    }
}
