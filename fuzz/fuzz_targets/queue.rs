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
    /// Nothing goes in any more.
    Close,
    Collect,
}

fn run<S: Scheme>(operations: Vec<Operation>) {
    let (values, domain) = (Values::new(), Domain::<S>::new());
    let mut queue = Queue::with_reclaimer(domain.clone());
    let mut model = VecDeque::new();
    let mut is_closed = false;
    for operation in operations {
        match operation {
            Operation::Push(_) | Operation::PushMany(_) if is_closed => {}
            Operation::Push(value) => {
                queue.push(values.value(value));
                model.push_back(value);
            }
            Operation::TryPush(value) => match queue.try_push(values.value(value)) {
                Ok(()) => {
                    assert!(!is_closed);
                    model.push_back(value);
                }
                Err(error) => {
                    assert!(is_closed && error.is_closed());
                    assert_eq!(error.into_inner().value(), value);
                }
            },
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
            Operation::Close => {
                assert_eq!(queue.close(), !is_closed);
                is_closed = true;
            }
            Operation::Collect => {
                domain.collect();
            }
        }
        assert_eq!((queue.is_empty(), queue.len()), (model.is_empty(), model.len()));
        assert_eq!(queue.is_closed(), is_closed);
        assert_eq!(values.living(), model.len());
    }
    assert!(queue.into_iter().map(|value| value.value()).eq(model));
    drop(domain);
    values.assert_all_dead();
}

fuzz_target!(|input: (u8, Vec<Operation>)| on_scheme!(input.0, run, input.1));
