//! The ordered map.

use sexton::conformance::{Ledger, Tracked};
use sexton::{Domain, Reclaimer, SkipMap};

use crate::run::{Ours, together};

struct Shared<S: Ours> {
    map: SkipMap<u64, Tracked, Domain<S>>,
    ledger: Ledger,
}

impl<S: Ours> Shared<S> {
    fn in_domain(domain: Domain<S>) -> Self {
        Self { map: SkipMap::with_reclaimer(domain), ledger: Ledger::new() }
    }

    fn insert(&self, key: u64) -> bool {
        self.map.pin().insert(key, Tracked::new(&self.ledger, key)).is_none()
    }

    /// These keys are in it, in order, and nothing else lives.
    fn end(self, expected: impl IntoIterator<Item = u64>) {
        let map = self.map.pin();
        assert!(
            map.iter().map(|entry| *entry.key()).eq(expected),
            "other keys than there should be"
        );
        assert!(map.iter().all(|entry| entry.value().value() == *entry.key()));
        drop(map);
        let domain = self.map.reclaimer().clone();
        domain.collect();
        assert_eq!(self.map.len(), self.ledger.living());
        drop(self.map);
        self.ledger.assert_all_dead();
        domain.collect();
        assert_eq!(domain.stats().pending, 0);
    }
}

fn keys_in<S: Ours>(domain: Domain<S>) {
    /// Every third key of one's own, so that neighbours are others'.
    fn insert_and_remove<S: Ours>(shared: &Shared<S>, first: u64) {
        for key in (first..18).step_by(3) {
            assert!(shared.insert(key), "key {key} was there");
            assert!(shared.map.pin().contains_key(&key), "key {key} is lost");
        }
        for key in (first..18).step_by(3).filter(|key| key % 2 == 0) {
            assert!(shared.map.pin().remove(&key).is_some(), "key {key} is lost");
            assert!(!shared.map.pin().contains_key(&key), "key {key} is back");
        }
    }

    let (shared, _) = together(
        Shared::in_domain(domain),
        [
            |shared| insert_and_remove(shared, 0),
            |shared| insert_and_remove(shared, 1),
            |shared| insert_and_remove(shared, 2),
            |shared| {
                for _ in 0..3 {
                    let map = shared.map.pin();
                    let keys: Vec<_> = map.iter().map(|entry| *entry.key()).collect();
                    assert!(keys.is_sorted_by(|one, next| one < next), "out of order: {keys:?}");
                    let back: Vec<_> = map.iter().rev().map(|entry| *entry.key()).collect();
                    assert!(back.is_sorted_by(|one, next| one > next), "out of order: {back:?}");
                }
                shared.map.reclaimer().collect();
            },
        ],
    );
    shared.end((0..18).filter(|key| key % 2 == 1));
}

fn each_key_is_where_it_belongs<S: Ours>() {
    keys_in::<S>(Domain::new());
}

fn reused_addresses_deceive_nobody<S: Ours>() {
    keys_in(S::recycling());
}

/// From both ends, while others insert: each entry is popped once.
fn each_entry_is_popped_once<S: Ours>() {
    fn pop<S: Ours>(shared: &Shared<S>, first: bool) -> Vec<u64> {
        let map = shared.map.pin();
        let pop = |_| if first { map.pop_first() } else { map.pop_last() };
        (0..6).filter_map(pop).map(|entry| entry.value().value()).collect()
    }

    fn insert<S: Ours>(shared: &Shared<S>, keys: core::ops::Range<u64>) -> Vec<u64> {
        keys.for_each(|key| assert!(shared.insert(key)));
        Vec::new()
    }

    let (shared, popped) = together(
        Shared::<S>::in_domain(Domain::new()),
        [
            |shared| insert(shared, 0..6),
            |shared| insert(shared, 6..12),
            |shared| pop(shared, true),
            |shared| pop(shared, false),
            |shared| pop(shared, true),
        ],
    );
    let popped = popped.concat();
    let left: Vec<_> = (0..12).filter(|key| !popped.contains(key)).collect();
    assert_eq!(popped.len() + left.len(), 12, "an entry was popped twice: {popped:?}");
    shared.end(left);
}

crate::on_our_schemes! {
    each_key_is_where_it_belongs
    reused_addresses_deceive_nobody
    each_entry_is_popped_once
}
