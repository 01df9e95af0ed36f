//! The queue.

use sexton::conformance::{Ledger, Tracked};
use sexton::{Domain, Queue, Reclaimer};

use crate::run::{Ours, together};

struct Shared<S: Ours> {
    queue: Queue<Tracked, Domain<S>>,
    ledger: Ledger,
}

/// What a thread does; it returns what it has popped.
type Role<S> = fn(&Shared<S>) -> Vec<u64>;

/// Values of one producer, of 100 times its number and more.
fn push<S: Ours>(shared: &Shared<S>, values: core::ops::Range<u64>) -> Vec<u64> {
    values.for_each(|value| shared.queue.push(Tracked::new(&shared.ledger, value)));
    Vec::new()
}

fn pop<S: Ours>(shared: &Shared<S>, attempts: usize) -> Vec<u64> {
    (0..attempts).filter_map(|_| shared.queue.pop()).map(|popped| popped.value()).collect()
}

/// Values of one producer come in the order in which they went in.
fn assert_in_order(popped: &[u64]) {
    for producer in [0, 1, 2] {
        let of_one = popped.iter().filter(|value| **value / 100 == producer);
        assert!(of_one.is_sorted(), "out of order: {popped:?}");
    }
}

fn all_in_order<S: Ours, const N: usize>(
    domain: Domain<S>,
    roles: [Role<S>; N],
    expected: impl Iterator<Item = u64>,
) {
    let shared = Shared { queue: Queue::with_reclaimer(domain), ledger: Ledger::new() };
    let (mut shared, popped) = together(shared, roles);
    popped.iter().for_each(|popped| assert_in_order(popped));
    let left: Vec<_> = shared.queue.drain().map(|value| value.value()).collect();
    assert_in_order(&left);
    let mut all: Vec<_> = popped.into_iter().flatten().chain(left).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(expected));
    let domain = shared.queue.reclaimer().clone();
    drop(shared.queue);
    shared.ledger.assert_all_dead();
    domain.collect();
    assert_eq!(domain.stats().pending, 0);
}

fn several_producers<S: Ours>(domain: Domain<S>) {
    all_in_order(
        domain,
        [
            |shared| push(shared, 0..8),
            |shared| push(shared, 100..108),
            |shared| pop(shared, 9),
            |shared| {
                let popped = pop(shared, 3);
                push(shared, 200..203);
                shared.queue.reclaimer().collect();
                [popped, pop(shared, 5)].concat()
            },
        ],
        (0..8).chain(100..108).chain(200..203),
    );
}

fn values_of_a_producer_stay_in_order<S: Ours>() {
    several_producers::<S>(Domain::new());
}

fn reused_addresses_deceive_nobody<S: Ours>() {
    several_producers(S::recycling());
}

/// A lone pusher, so that segments have an owner, and so many poppers that one of them may have a number
/// which the owner has not taken.
fn values_of_an_owner_stay_in_order<S: Ours>() {
    let poppers = |shared: &Shared<S>| pop(shared, 5);
    all_in_order(Domain::new(), [|shared| push(shared, 0..12), poppers, poppers, poppers], 0..12);
}

crate::on_our_schemes! {
    values_of_a_producer_stay_in_order
    reused_addresses_deceive_nobody
    values_of_an_owner_stay_in_order
}
