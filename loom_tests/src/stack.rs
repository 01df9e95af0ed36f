//! The stack: invariants I1 to I4 of `src/stack.rs`.

use sexton::{Domain, Reclaimer, Scheme, Stack};

use crate::model::{self, sorted, together};
use crate::witness::{Token, Witness};

type Owned<S> = Stack<Witness, Domain<S>>;

/// A stack with these values, the last one on top.
fn stack_of<S: Scheme>(values: &[u64]) -> Owned<S> {
    let stack = Stack::with_reclaimer(Domain::new());
    values.iter().for_each(|value| stack.push(Witness::new(*value)));
    stack
}

fn warm_up<T, S: Scheme>(stack: &Stack<T, Domain<S>>) {
    model::warm_up(stack.reclaimer(), 1);
}

fn push<S: Scheme>(stack: &Owned<S>, value: u64) -> Vec<u64> {
    // In the section, so that nothing but the push publishes it; so everywhere.
    stack.pin().push(Witness::new(value));
    Vec::new()
}

fn pop<S: Scheme>(stack: &Owned<S>) -> Vec<u64> {
    stack.pop().iter().map(Witness::read).collect()
}

/// All that was popped, and all that is left.
fn all<S: Scheme, const N: usize>((mut stack, popped): (Owned<S>, [Vec<u64>; N])) -> Vec<u64> {
    let left: Vec<_> = stack.drain().map(|value| value.read()).collect();
    sorted(popped.into_iter().flatten().chain(left))
}

/// Guards the CAS of `push` and `pop`, the Release of the one and the Acquire of the other: a value
/// comes out as it went in, and once.
fn each_value_is_popped_once<S: Scheme>() {
    let ended = together(
        stack_of::<S>(&[0]),
        warm_up,
        [|stack| push(stack, 1), |stack| pop(stack), |stack| pop(stack)],
    );
    assert_eq!(all(ended), [0, 1]);
}

/// Guards I1 and the Release of `push`: of two who push, none overwrites the other, and who pops
/// the one finds the other below.
fn no_push_is_lost<S: Scheme>() {
    let ended = together(
        stack_of::<S>(&[]),
        warm_up,
        [|stack| push(stack, 1), |stack| push(stack, 2), |stack| [pop(stack), pop(stack)].concat()],
    );
    assert_eq!(all(ended), [1, 2]);
}

/// Guards the shield of `pop`: the loser of a race for a node still reads its `next`.
fn a_node_is_not_freed_under_a_pop<S: Scheme>() {
    let ended = together(
        stack_of::<S>(&[0, 1]),
        warm_up,
        [
            |stack| pop(stack),
            |stack| {
                let popped = pop(stack);
                stack.reclaimer().collect();
                popped
            },
        ],
    );
    assert_eq!(all(ended), [0, 1]);
}

/// Guards I3 with freed nodes used again: one thread has read the top node and what is below, the
/// other pops both, frees them, and pushes a node that gets the first one's address.
fn a_reused_address_deceives_no_pop<S: Scheme>() {
    let ended = together(
        stack_of::<S>(&[0, 1]),
        warm_up,
        [
            |stack| pop(stack),
            |stack| {
                let popped = [pop(stack), pop(stack)].concat();
                stack.reclaimer().collect();
                push(stack, 2);
                popped
            },
        ],
    );
    assert_eq!(all(ended), [0, 1, 2]);
}

fn pop_all<S: Scheme>(stack: &Owned<S>) -> Vec<u64> {
    stack.pop_all().map(|value| value.read()).collect()
}

/// Guards the swap of `pop_all`, and its Acquire: what it takes off is whole, and nobody else's.
fn all_come_out_at_once<S: Scheme>() {
    let ended = together(
        stack_of::<S>(&[]),
        warm_up,
        [
            |stack| {
                stack.push_all([1, 2].map(Witness::new));
                Vec::new()
            },
            |stack| {
                let popped = pop_all(stack);
                assert!(popped.is_empty() || popped == [2, 1], "{popped:?}");
                popped
            },
        ],
    );
    assert_eq!(all(ended), [1, 2]);
}

/// Guards the Release of `push_all`, and that it links below all that it pushes.
fn what_is_pushed_together_stays_together<S: Scheme>() {
    let ended = together(
        stack_of::<S>(&[]),
        warm_up,
        [
            |stack| {
                stack.push_all([1, 2].map(Witness::new));
                Vec::new()
            },
            |stack| push(stack, 3),
            |stack| {
                let popped = pop_all(stack);
                assert!(!popped.ends_with(&[1]) || popped.ends_with(&[2, 1]), "{popped:?}");
                popped
            },
        ],
    );
    assert_eq!(all(ended), [1, 2, 3]);
}

/// Guards the retiring of what `pop_all` took off: one who pops has found the top before.
fn a_chain_is_not_freed_under_a_pop<S: Scheme>() {
    let ended = together(
        stack_of::<S>(&[0, 1]),
        warm_up,
        [
            |stack| pop(stack),
            |stack| {
                let popped = pop_all(stack);
                stack.reclaimer().collect();
                push(stack, 2);
                popped
            },
        ],
    );
    assert_eq!(all(ended), [0, 1, 2]);
}

/// Guards `peek`: its shield, and its Acquire with the Release of `push`.
fn a_peek_sees_a_value_that_was_on_top<S: Scheme>() {
    let stack = Stack::<Token, Domain<S>>::with_reclaimer(Domain::new());
    stack.push(Token::new(0));
    let (_, [peeked, popped, _]) = together(
        stack,
        warm_up,
        [
            |stack| stack.peek().map(Token::read),
            |stack| {
                let popped = stack.pop().map(Token::read);
                stack.reclaimer().collect();
                popped
            },
            |stack| {
                stack.pin().push(Token::new(1));
                None
            },
        ],
    );
    assert!([None, Some(0), Some(1)].contains(&peeked));
    assert!([Some(0), Some(1)].contains(&popped));
}

crate::on_schemes! {
    each_value_is_popped_once {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    no_push_is_lost {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::ALL,
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_node_is_not_freed_under_a_pop {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(2, 3),
    }
    a_reused_address_deceives_no_pop {
        pointers: Limits::ALL.reusing(),
        regions: Limits::ALL.reusing(),
        epoch: Limits::preemptions(1, 2).reusing(),
        hazard: Limits::preemptions(1, 2).reusing(),
        kept: Limits::preemptions(2, 3).reusing(),
        crossbeam: Limits::preemptions(1, 2).reusing(),
    }
    all_come_out_at_once {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        leak: Limits::ALL,
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    what_is_pushed_together_stays_together {
        pointers: Limits::preemptions_or_all(2),
        regions: Limits::preemptions_or_all(2),
    }
    a_chain_is_not_freed_under_a_pop {
        pointers: Limits::ALL.reusing(),
        regions: Limits::ALL.reusing(),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_peek_sees_a_value_that_was_on_top {
        pointers: Limits::preemptions_or_all(3),
        regions: Limits::ALL,
        leak: Limits::ALL,
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
}
