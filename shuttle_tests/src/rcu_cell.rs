//! The cell.

use sexton::conformance::{Ledger, Tracked};
use sexton::{Domain, RcuCell, Reclaimer};

use crate::run::{Ours, together};

struct Shared<S: Ours> {
    cell: RcuCell<Tracked, Domain<S>>,
    ledger: Ledger,
}

fn increase<S: Ours>(shared: &Shared<S>) {
    for _ in 0..4 {
        shared.cell.update(|old| Tracked::new(&shared.ledger, old.value() + 1));
    }
}

fn read<S: Ours>(shared: &Shared<S>) {
    let mut last = 0;
    for _ in 0..5 {
        let cell = shared.cell.pin();
        let value = cell.load();
        let (id, number) = (value.id(), value.value());
        assert!(number >= last, "{number} after {last}");
        last = number;
        shuttle::thread::yield_now();
        shared.ledger.assert_lives(id, "under a reference");
        assert_eq!(value.id(), id);
    }
}

fn updates_in<S: Ours>(domain: Domain<S>) {
    let ledger = Ledger::new();
    let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), domain);
    let (shared, _) = together(
        Shared { cell, ledger },
        [increase, increase, increase, read, |shared| {
            read(shared);
            shared.cell.reclaimer().collect();
        }],
    );
    let domain = shared.cell.reclaimer().clone();
    assert_eq!(shared.cell.into_inner().value(), 12);
    domain.collect();
    shared.ledger.assert_all_dead();
}

fn no_update_is_lost<S: Ours>() {
    updates_in::<S>(Domain::new());
}

fn reused_addresses_deceive_nobody<S: Ours>() {
    updates_in(S::recycling());
}

/// What is swapped out comes out once, and lives as long as its reference.
fn each_value_is_swapped_out_once<S: Ours>() {
    fn swap<S: Ours>(shared: &Shared<S>, values: core::ops::Range<u64>) -> Vec<u64> {
        let swap = |value| {
            let cell = shared.cell.pin();
            let old = cell.swap(Tracked::new(&shared.ledger, value));
            let id = old.id();
            shuttle::thread::yield_now();
            shared.ledger.assert_lives(id, "under a reference");
            old.value()
        };
        values.map(swap).collect()
    }

    let ledger = Ledger::new();
    let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 0), Domain::<S>::new());
    let (shared, out) = together(
        Shared { cell, ledger },
        [|shared| swap(shared, 1..6), |shared| swap(shared, 6..11), |shared| swap(shared, 11..16)],
    );
    let mut all = out.concat();
    all.push(shared.cell.load().value());
    all.sort_unstable();
    assert!(all.into_iter().eq(0..16));
    drop(shared.cell);
    shared.ledger.assert_all_dead();
}

crate::on_our_schemes! {
    no_update_is_lost
    reused_addresses_deceive_nobody
    each_value_is_swapped_out_once
}
