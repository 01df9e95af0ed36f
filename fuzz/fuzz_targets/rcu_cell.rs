//! The cell against a value.
#![no_main]
#![cfg(not(shuttle))]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sexton::{Domain, RcuCell, Reclaimer, Scheme};
use sexton_fuzz::{Values, on_scheme};

#[derive(Arbitrary, Debug)]
enum Operation {
    Load,
    Store(u64),
    TryStore(u64),
    Swap(u64),
    Update(u64),
    /// All of it while a reference to the value is held.
    Held(Vec<u64>),
    GetMut(u64),
    Collect,
}

fn run<S: Scheme>(operations: Vec<Operation>) {
    let (values, domain) = (Values::new(), Domain::<S>::new());
    let mut cell = RcuCell::with_reclaimer(values.value(0), domain.clone());
    let mut model = 0;
    for operation in operations {
        match operation {
            Operation::Load => assert_eq!(cell.load().value(), model),
            Operation::Store(value) => {
                cell.store(values.value(value));
                model = value;
            }
            Operation::TryStore(value) => {
                cell.try_store(values.value(value)).expect("there is memory");
                model = value;
            }
            Operation::Swap(value) => {
                assert_eq!(cell.swap(values.value(value)).value(), model);
                model = value;
            }
            Operation::Update(add) => {
                cell.update(|old| values.value(old.value().wrapping_add(add)));
                model = model.wrapping_add(add);
            }
            Operation::Held(others) => {
                let pinned = cell.pin();
                let held = pinned.load();
                for value in &others {
                    pinned.store(values.value(*value));
                    domain.collect();
                }
                assert_eq!(held.value(), model);
                model = others.last().copied().unwrap_or(model);
            }
            Operation::GetMut(value) => {
                *cell.get_mut() = values.value(value);
                model = value;
            }
            Operation::Collect => {
                domain.collect();
            }
        }
        assert_eq!(cell.read(|value| value.value()), model);
    }
    assert_eq!(cell.into_inner().value(), model);
    domain.collect();
    drop(domain);
    values.assert_all_dead();
}

fuzz_target!(|input: (u8, Vec<Operation>)| on_scheme!(input.0, run, input.1));
