//! The stack against a `Vec`.
#![no_main]
#![cfg(not(shuttle))]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sexton::{Domain, Reclaimer, Scheme, Stack};
use sexton_fuzz::{Values, on_scheme};

#[derive(Arbitrary, Debug)]
enum Operation {
    Push(u64),
    TryPush(u64),
    /// At one moment.
    PushAll(Vec<u64>),
    Pop,
    /// Under one guard.
    PopMany(u8),
    /// At one moment; so many are taken out, and the rest is dropped.
    PopAll(u8),
    Drain(u8),
    Collect,
}

fn run<S: Scheme>(operations: Vec<Operation>) {
    let (values, domain) = (Values::new(), Domain::<S>::new());
    let mut stack = Stack::with_reclaimer(domain.clone());
    let mut model = Vec::new();
    for operation in operations {
        match operation {
            Operation::Push(value) => {
                stack.push(values.value(value));
                model.push(value);
            }
            Operation::TryPush(value) => {
                stack.try_push(values.value(value)).expect("there is memory");
                model.push(value);
            }
            Operation::PushAll(all) => {
                stack.push_all(all.iter().map(|value| values.value(*value)));
                model.extend(all);
            }
            Operation::Pop => assert_eq!(stack.pop().map(|value| value.value()), model.pop()),
            Operation::PopMany(count) => {
                let pinned = stack.pin();
                for _ in 0..count {
                    assert_eq!(pinned.pop().map(|value| value.value()), model.pop());
                }
            }
            Operation::PopAll(count) => {
                for value in stack.pop_all().take(count.into()) {
                    assert_eq!(Some(value.value()), model.pop());
                }
                model.clear();
            }
            Operation::Drain(count) => {
                for value in stack.drain().take(count.into()) {
                    assert_eq!(Some(value.value()), model.pop());
                }
            }
            Operation::Collect => {
                domain.collect();
            }
        }
        assert_eq!(stack.is_empty(), model.is_empty());
        assert_eq!(values.living(), model.len());
    }
    assert!(stack.into_iter().map(|value| value.value()).eq(model.into_iter().rev()));
    drop(domain);
    values.assert_all_dead();
}

fuzz_target!(|input: (u8, Vec<Operation>)| on_scheme!(input.0, run, input.1));
