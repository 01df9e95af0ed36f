//! The queue against a `VecDeque`.
#![no_main]
#![cfg(not(shuttle))]

use std::collections::VecDeque;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sexton::{Domain, Queue, Reclaimer, Scheme};
use sexton_fuzz::{Values, on_scheme};

#[derive(Arbitrary, Debug)]
enum Operation {
    Push(u64),
    TryPush(u64),
    /// So many at once: segments fill up.
    PushMany(u8),
    Pop,
    /// Under one guard.
    PopMany(u8),
    Drain(u8),
    Collect,
}

fn run<S: Scheme>(operations: Vec<Operation>) {
    let (values, domain) = (Values::new(), Domain::<S>::new());
    let mut queue = Queue::with_reclaimer(domain.clone());
    let mut model = VecDeque::new();
    for operation in operations {
        match operation {
            Operation::Push(value) => {
                queue.push(values.value(value));
                model.push_back(value);
            }
            Operation::TryPush(value) => {
                queue.try_push(values.value(value)).expect("there is memory");
                model.push_back(value);
            }
            Operation::PushMany(count) => {
                let pinned = queue.pin();
                for value in 0..count.into() {
                    pinned.push(values.value(value));
                    model.push_back(value);
                }
            }
            Operation::Pop => {
                assert_eq!(queue.pop().map(|value| value.value()), model.pop_front());
            }
            Operation::PopMany(count) => {
                let pinned = queue.pin();
                for _ in 0..count {
                    assert_eq!(pinned.pop().map(|value| value.value()), model.pop_front());
                }
            }
            Operation::Drain(count) => {
                for value in queue.drain().take(count.into()) {
                    assert_eq!(Some(value.value()), model.pop_front());
                }
            }
            Operation::Collect => {
                domain.collect();
            }
        }
        assert_eq!(queue.is_empty(), model.is_empty());
        assert_eq!(values.living(), model.len());
    }
    assert!(queue.into_iter().map(|value| value.value()).eq(model));
    drop(domain);
    values.assert_all_dead();
}

fuzz_target!(|input: (u8, Vec<Operation>)| on_scheme!(input.0, run, input.1));
