//! The stack.

use sexton::{Reclaimer, Stack};
use todc_utils::Specification;

use crate::{Dice, Subject};

/// What can be done with a stack, and what came of it.
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

/// A `Vec`.
#[derive(Debug)]
pub struct Model;

impl Specification for Model {
    type State = Vec<u64>;
    type Operation = Operation;

    fn init() -> Self::State {
        Vec::new()
    }

    fn apply(operation: &Operation, stack: &Self::State) -> (bool, Self::State) {
        let mut after = stack.clone();
        let valid = match operation {
            Operation::Push(value) => {
                after.push(*value);
                true
            }
            Operation::Pop(popped) => after.pop() == *popped,
            Operation::Peek(peeked) => stack.last() == peeked.as_ref(),
            Operation::IsEmpty(empty) => stack.is_empty() == *empty,
        };
        (valid, after)
    }
}

impl<R: Reclaimer> Subject for Stack<u64, R> {
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
