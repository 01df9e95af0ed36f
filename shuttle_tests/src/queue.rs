//! The queue.

use sexton::conformance::{Ledger, Tracked};
use sexton::{Domain, Queue, Reclaimer};

use crate::run::{Ours, together};

struct Shared<S: Ours> {
    queue: Queue<Tracked, Domain<S>>,
    ledger: Ledger,
}

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

fn all_in_order<S: Ours>(domain: Domain<S>) {
    let shared = Shared { queue: Queue::with_reclaimer(domain), ledger: Ledger::new() };
    let (mut shared, popped) = together(
        shared,
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
    );
    popped.iter().for_each(|popped| assert_in_order(popped));
    let left: Vec<_> = shared.queue.drain().map(|value| value.value()).collect();
    assert_in_order(&left);
    let mut all: Vec<_> = popped.into_iter().flatten().chain(left).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq((0..8).chain(100..108).chain(200..203)));
    let domain = shared.queue.reclaimer().clone();
    drop(shared.queue);
    shared.ledger.assert_all_dead();
    domain.collect();
    assert_eq!(domain.stats().pending, 0);
}

fn values_of_a_producer_stay_in_order<S: Ours>() {
    all_in_order::<S>(Domain::new());
}

fn reused_addresses_deceive_nobody<S: Ours>() {
    all_in_order(S::recycling());
}

crate::on_our_schemes! {
    values_of_a_producer_stay_in_order
    reused_addresses_deceive_nobody
}
