//! The queue: invariants I1 to I4 of `src/queue.rs`.

use sexton::{Domain, Queue, Reclaimer, Scheme};

use crate::model::{self, sorted, together};
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

fn left<S: Scheme>(mut queue: Owned<S>) -> Vec<u64> {
    queue.drain().map(|value| value.read()).collect()
}

/// Guards I1 and the linking CAS, its Release and the Acquire of those who follow `next`: what one
/// thread pushes comes out in its order, and nothing is lost.
fn values_come_out_in_their_order<S: Scheme>() {
    let (queue, [_, mut popped]) = together(
        queue_of::<S>(&[]),
        warm_up,
        [
            |queue| [push(queue, 1), push(queue, 2)].concat(),
            |queue| [pop(queue), pop(queue)].concat(),
        ],
    );
    popped.extend(left(queue));
    assert_eq!(popped, [1, 2]);
}

/// Guards I2, and the Release of the head's CAS: who finds a new dummy there finds it initialised,
/// though another thread was the one who followed the link to it.
fn each_value_is_popped_once<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[]),
        warm_up,
        [|queue| [push(queue, 1), push(queue, 2)].concat(), |queue| pop(queue), |queue| pop(queue)],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [1, 2]);
}

/// Guards I1: of two who push, none overwrites the other, also when one has to help the other.
fn no_push_is_lost<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[]),
        warm_up,
        [|queue| push(queue, 1), |queue| push(queue, 2), |queue| pop(queue)],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [1, 2]);
}

/// Guards I3: a pusher has linked its node and sleeps before it moves the tail; another thread pops
/// that node, which retires the one that the tail led to, frees it, and pushes.
fn the_tail_never_leads_to_a_freed_node<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[]),
        warm_up,
        [
            |queue| push(queue, 1),
            |queue| {
                let popped = pop(queue);
                queue.reclaimer().collect();
                push(queue, 2);
                popped
            },
        ],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [1, 2]);
}

/// Guards I3 and I4 where two pop: the second one makes the first one's new dummy an old one, and
/// frees it. (What the first then reads out of the dummy is no atomic: a missing announcement of
/// `next` is for Miri and AddressSanitizer to find.)
fn a_node_is_not_freed_under_a_pop<S: Scheme>() {
    let (queue, popped) = together(
        queue_of::<S>(&[0, 1]),
        warm_up,
        [
            |queue| pop(queue),
            |queue| {
                let popped = pop(queue);
                queue.reclaimer().collect();
                popped
            },
        ],
    );
    let all = sorted(popped.into_iter().flatten().chain(left(queue)));
    assert_eq!(all, [0, 1]);
}

/// Guards the same with freed nodes used again: an old dummy's address comes back as a new node's.
fn a_reused_address_deceives_nobody<S: Scheme>() {
    let (queue, [popped, mut others]) = together(
        queue_of::<S>(&[0]),
        warm_up,
        [
            |queue| pop(queue),
            |queue| {
                let popped = pop(queue);
                queue.reclaimer().collect();
                push(queue, 1);
                [popped, pop(queue)].concat()
            },
        ],
    );
    others.extend(left(queue));
    assert!(others.is_sorted(), "0 was pushed before 1");
    assert_eq!(sorted(popped.into_iter().chain(others)), [0, 1]);
}

/// Guards `peek`: the announcement of `next` and the second look at the head (I4), and its Acquire
/// with the Release of `push`.
fn a_peek_sees_a_value_that_was_first<S: Scheme>() {
    let queue = Queue::<Token, Domain<S>>::with_reclaimer(Domain::new());
    queue.push(Token::new(0));
    let (_, [peeked, popped, _]) = together(
        queue,
        warm_up,
        [
            |queue| queue.peek().map(Token::read),
            |queue| {
                let popped = queue.pop().map(Token::read);
                queue.reclaimer().collect();
                popped
            },
            |queue| {
                queue.pin().push(Token::new(1));
                None
            },
        ],
    );
    assert!([None, Some(0), Some(1)].contains(&peeked));
    assert_eq!(popped, Some(0));
}

crate::on_schemes! {
    values_come_out_in_their_order {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    each_value_is_popped_once {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    no_push_is_lost {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    the_tail_never_leads_to_a_freed_node {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_node_is_not_freed_under_a_pop {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_reused_address_deceives_nobody {
        pointers: Limits::ALL.reusing(),
        regions: Limits::ALL.reusing(),
        epoch: Limits::preemptions(1, 2).reusing(),
        hazard: Limits::preemptions(1, 2).reusing(),
        kept: Limits::preemptions(2, 3).reusing(),
        crossbeam: Limits::preemptions(1, 2).reusing(),
    }
    a_peek_sees_a_value_that_was_first {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::preemptions_or_all(3),
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
}
