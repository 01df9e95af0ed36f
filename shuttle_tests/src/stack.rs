//! The stack.

use sexton::conformance::{Ledger, Tracked};
use sexton::{Domain, Reclaimer, Stack};

use crate::run::{Ours, together};

struct Shared<S: Ours> {
    stack: Stack<Tracked, Domain<S>>,
    ledger: Ledger,
}

impl<S: Ours> Shared<S> {
    fn in_domain(domain: Domain<S>) -> Self {
        Self { stack: Stack::with_reclaimer(domain), ledger: Ledger::new() }
    }

    fn push(&self, value: u64) {
        self.stack.push(Tracked::new(&self.ledger, value));
    }

    fn pop(&self) -> Option<u64> {
        self.stack.pop().map(|popped| popped.value())
    }

    /// Asserts that the values 0 to `count` were popped, or are left, each once.
    fn end<const N: usize>(mut self, popped: [Vec<u64>; N], count: u64) {
        let left = self.stack.drain().map(|value| value.value());
        let mut all: Vec<_> = popped.into_iter().flatten().chain(left).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..count));
        let domain = self.stack.reclaimer().clone();
        drop(self.stack);
        self.ledger.assert_all_dead();
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
    }
}

fn push_and_pop<S: Ours>(shared: &Shared<S>, values: core::ops::Range<u64>) -> Vec<u64> {
    let push_pop = |value| {
        shared.push(value);
        shared.pop()
    };
    values.filter_map(push_pop).collect()
}

fn each_value_in<S: Ours>(domain: Domain<S>) {
    let (shared, popped) = together(
        Shared::in_domain(domain),
        [
            |shared| push_and_pop(shared, 0..6),
            |shared| push_and_pop(shared, 6..12),
            |shared| {
                let values = 12..16;
                values.for_each(|value| shared.push(value));
                (0..2).filter_map(|_| shared.pop()).collect()
            },
            |shared| {
                let popped = (0..6).filter_map(|_| shared.pop()).collect();
                shared.stack.reclaimer().collect();
                popped
            },
        ],
    );
    shared.end(popped, 16);
}

fn each_value_is_popped_once<S: Ours>() {
    each_value_in::<S>(Domain::new());
}

/// I3: nodes that come back at the addresses of others.
fn reused_addresses_deceive_nobody<S: Ours>() {
    each_value_in(S::recycling());
}

crate::on_our_schemes! {
    each_value_is_popped_once
    reused_addresses_deceive_nobody
}
