//! The cell: invariants I1 to I4 of `src/rcu_option.rs`.

use sexton::{Domain, RcuCell, RcuOption, Reclaimer, Scheme};

use crate::model::{self, together};
use crate::witness::Witness;

type Owned<S> = RcuCell<Witness, Domain<S>>;

fn cell_of<S: Scheme>(value: u64) -> Owned<S> {
    RcuCell::with_reclaimer(Witness::new(value), Domain::new())
}

fn warm_up<S: Scheme>(cell: &Owned<S>) {
    model::warm_up(cell.reclaimer(), 2);
}

/// Guards the shield of `load`, and the Acquire of it with the Release of `store`: what is read is
/// a value that was stored, it is alive, and it does not go back in time.
fn a_reader_sees_a_living_value<S: Scheme>() {
    together(
        cell_of::<S>(0),
        warm_up,
        [
            |cell| {
                cell.pin().store(Witness::new(1));
                cell.reclaimer().collect();
            },
            |cell| {
                let first = cell.read(Witness::read);
                let second = cell.read(Witness::read);
                assert!(first <= second && second <= 1);
            },
        ],
    );
}

/// Guards the same with two who store: the one frees what the other has stored.
fn a_stored_value_is_dropped_once<S: Scheme>() {
    let (cell, _) = together(
        cell_of::<S>(0),
        warm_up,
        [
            |cell| cell.pin().store(Witness::new(1)),
            |cell| {
                cell.pin().store(Witness::new(2));
                cell.reclaimer().collect();
            },
            |cell| assert!(cell.read(Witness::read) <= 2),
        ],
    );
    assert!([1, 2].contains(&cell.into_inner().read()));
}

/// Guards the announcement of `swap` (I3): it hands out a value that it has just retired, while
/// another thread frees what it can.
fn a_swapped_value_lives_as_long_as_its_reference<S: Scheme>() {
    fn swap<S: Scheme>(cell: &Owned<S>, value: u64) -> u64 {
        let pinned = cell.pin();
        let old = pinned.swap(Witness::new(value));
        cell.reclaimer().collect();
        old.read()
    }
    let (cell, [one, two]) =
        together(cell_of::<S>(0), warm_up, [|cell| swap(cell, 1), |cell| swap(cell, 2)]);
    let last = cell.into_inner().read();
    assert!([(0, 1, 2), (2, 0, 1)].contains(&(one, two, last)), "{one} {two} {last}");
}

/// Guards the CAS of `update`: none of two is lost.
fn no_update_is_lost<S: Scheme>() {
    fn add<S: Scheme>(cell: &Owned<S>) {
        cell.update(|old| Witness::new(old.read() + 1));
    }
    let (cell, _) = together(cell_of::<S>(0), warm_up, [add, add]);
    assert_eq!(cell.into_inner().read(), 2);
}

/// Guards the second shield of `update` (I3): it hands out the value that it has just put in, while
/// another thread replaces that and frees what it can.
fn an_updated_value_lives_as_long_as_its_reference<S: Scheme>() {
    together(
        cell_of::<S>(0),
        warm_up,
        [
            |cell| {
                let pinned = cell.pin();
                let new = pinned.update(|old| Witness::new(old.read() + 1));
                // Whatever the scheme of this thread frees by itself.
                cell.reclaimer().collect();
                assert!(new.read() <= 3);
            },
            |cell| {
                cell.pin().store(Witness::new(2));
                cell.reclaimer().collect();
            },
        ],
    );
}

/// Guards the CAS of `compare_exchange`, and I4: of two who expect the same value one succeeds, though
/// a third one frees what it can and makes others.
fn an_exchange_succeeds_once<S: Scheme>() {
    fn add<S: Scheme>(cell: &Owned<S>) -> usize {
        let pinned = cell.pin();
        let old = pinned.load();
        cell.reclaimer().collect();
        usize::from(pinned.compare_exchange(&old, Witness::new(old.read() + 1)).is_ok())
    }
    let (cell, done) = together(
        cell_of::<S>(0),
        warm_up,
        [add, |cell| {
            let once = add(cell);
            once + add(cell)
        }],
    );
    assert_eq!(cell.into_inner().read(), done.iter().sum::<usize>() as u64);
}

/// Guards `RcuOption` where it is null: of two who take, one gets the value, and of two who put one
/// where there is none, one succeeds.
fn a_value_is_taken_once<S: Scheme>() {
    let cell = RcuOption::with_reclaimer(Some(Witness::new(0)), Domain::<S>::new());
    let (cell, taken) = together(
        cell,
        |cell| model::warm_up(cell.reclaimer(), 2),
        [
            |cell| {
                let pinned = cell.pin();
                let taken = pinned.take().map(|value| value.read());
                (taken, pinned.compare_exchange(None, Some(Witness::new(1))).is_ok())
            },
            |cell| {
                let taken = cell.pin().take().map(|value| value.read());
                cell.reclaimer().collect();
                (taken, false)
            },
        ],
    );
    let left = cell.into_inner().map(|value| value.read());
    let found: Vec<_> = [taken[0].0, taken[1].0, left].into_iter().flatten().collect();
    let expected: &[u64] = if taken[0].1 { &[0, 1] } else { &[0] };
    assert_eq!(model::sorted(found.into_iter()), expected);
}

/// Guards what a failed `compare_exchange` reports: a value that was there instead of what was expected,
/// though it is taken, or another one comes and goes, right before or after the CAS.
fn who_expects_none_in_vain_is_shown_a_value<S: Scheme>() {
    let cell = RcuOption::with_reclaimer(Some(Witness::new(0)), Domain::<S>::new());
    together(
        cell,
        |cell| model::warm_up(cell.reclaimer(), 2),
        [
            |cell| {
                let pinned = cell.pin();
                if let Err(changed) = pinned.compare_exchange(None, Some(Witness::new(1))) {
                    let current = changed.current.expect("none was expected: that is no failure");
                    assert!([0, 2].contains(&current.read()));
                    assert_eq!(changed.new.map(|new| new.read()), Some(1));
                }
            },
            |cell| {
                let pinned = cell.pin();
                assert!(pinned.take().is_some());
                pinned.store(Some(Witness::new(2)));
                assert_eq!(pinned.take().map(|value| value.read() > 0), Some(true));
            },
        ],
    );
}

crate::on_schemes! {
    an_exchange_succeeds_once {
        pointers: Limits::ALL.reusing(),
        regions: Limits::ALL.reusing(),
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2).at_most(30_000),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_value_is_taken_once {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    who_expects_none_in_vain_is_shown_a_value {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_reader_sees_a_living_value {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(2, 3),
    }
    a_stored_value_is_dropped_once {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        kept: Limits::preemptions(1, 2),
        crossbeam: Limits::preemptions(1, 2),
    }
    a_swapped_value_lives_as_long_as_its_reference {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
    no_update_is_lost {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        epoch: Limits::preemptions(1, 2),
        hazard: Limits::preemptions(1, 2),
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(2, 3),
    }
    an_updated_value_lives_as_long_as_its_reference {
        pointers: Limits::ALL,
        regions: Limits::ALL,
        kept: Limits::preemptions(2, 3),
        crossbeam: Limits::preemptions(1, 2),
    }
}
