//! The queue.

use std::collections::VecDeque;

use sexton::{Queue, Reclaimer};
use todc_utils::Specification;

use crate::{Dice, Subject};

/// What can be done with a queue, and what came of it.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `push`, `try_push`
    Push(u64),
    /// `pop`
    Pop(Option<u64>),
    /// `peek`
    Peek(Option<u64>),
    /// `is_empty`
    IsEmpty(bool),
}

/// A `VecDeque`.
#[derive(Debug)]
pub struct Model;

impl Specification for Model {
    type State = VecDeque<u64>;
    type Operation = Operation;

    fn init() -> Self::State {
        VecDeque::new()
    }

    fn apply(operation: &Operation, queue: &Self::State) -> (bool, Self::State) {
        let mut after = queue.clone();
        let valid = match operation {
            Operation::Push(value) => {
                after.push_back(*value);
                true
            }
            Operation::Pop(popped) => after.pop_front() == *popped,
            Operation::Peek(peeked) => queue.front() == peeked.as_ref(),
            Operation::IsEmpty(empty) => queue.is_empty() == *empty,
        };
        (valid, after)
    }
}

impl<R: Reclaimer> Subject for Queue<u64, R> {
    type Specification = Model;

    fn operate(&self, dice: &mut Dice) -> (u64, Operation) {
        let operation = match dice.below(10) {
            0..3 => {
                let value = dice.fresh();
                self.push(value);
                Operation::Push(value)
            }
            3 => {
                let value = dice.fresh();
                self.try_push(value).expect("there is memory");
                Operation::Push(value)
            }
            4..8 => Operation::Pop(self.pop()),
            8 => Operation::Peek(self.peek()),
            _ => Operation::IsEmpty(self.is_empty()),
        };
        (0, operation)
    }
}
