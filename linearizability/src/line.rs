//! Stacks and queues: values in a line. They come out at the end where they went in, or at the other one.

use std::collections::VecDeque;

use sexton::{PushError, Queue, Reclaimer, Stack};
use todc_utils::Specification;

use crate::{Dice, Subject};

/// What can be done with a stack or a queue, and what came of it.
///
/// `len` of a queue is not here: it is no single moment's number, and documented so.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `push`, `try_push`
    Push(u64),
    /// `try_push` that found the queue closed
    Refused,
    /// `pop`
    Pop(Option<u64>),
    /// `peek`
    Peek(Option<u64>),
    /// `is_empty`
    IsEmpty(bool),
    /// `push_all` of a stack: all in one step
    PushAll(Vec<u64>),
    /// `pop_all` of a stack: all in one step, the top first
    PopAll(Vec<u64>),
    /// `close` of a queue; whether it was this one that closed it
    Close(bool),
    /// `is_closed` of a queue
    IsClosed(bool),
}

/// A line, from the end where values come out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    values: VecDeque<u64>,
    is_closed: bool,
}

/// A `Vec`, if values go in where they come out, or else a `VecDeque`, which may be closed.
#[derive(Debug)]
pub struct Model<const LAST_IN_FIRST_OUT: bool>;

impl<const LAST_IN_FIRST_OUT: bool> Specification for Model<LAST_IN_FIRST_OUT> {
    type State = Line;
    type Operation = Operation;

    fn init() -> Line {
        Line::default()
    }

    fn apply(operation: &Operation, line: &Line) -> (bool, Line) {
        let mut after = line.clone();
        let mut push = |value| {
            if LAST_IN_FIRST_OUT {
                after.values.push_front(value);
            } else {
                after.values.push_back(value);
            }
            !after.is_closed
        };
        let valid = match operation {
            Operation::Push(value) => push(*value),
            Operation::PushAll(values) => values.iter().all(|value| push(*value)),
            Operation::Refused => line.is_closed,
            Operation::Pop(popped) => after.values.pop_front() == *popped,
            Operation::PopAll(popped) => core::mem::take(&mut after.values) == *popped,
            Operation::Peek(peeked) => line.values.front() == peeked.as_ref(),
            Operation::IsEmpty(empty) => line.values.is_empty() == *empty,
            Operation::Close(closed) => core::mem::replace(&mut after.is_closed, true) != *closed,
            Operation::IsClosed(closed) => line.is_closed == *closed,
        };
        (valid, after)
    }
}

impl<R: Reclaimer> Subject for Stack<u64, R> {
    type Specification = Model<true>;

    fn operate(&self, dice: &mut Dice) -> (u64, Operation) {
        let operation = match dice.below(12) {
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
            4 => {
                let values = vec![dice.fresh(), dice.fresh()];
                self.push_all(values.iter().copied());
                Operation::PushAll(values)
            }
            5..9 => Operation::Pop(self.pop()),
            9 => Operation::PopAll(self.pop_all().collect()),
            10 => Operation::Peek(self.peek()),
            _ => Operation::IsEmpty(self.is_empty()),
        };
        (0, operation)
    }
}

impl<R: Reclaimer> Subject for Queue<u64, R> {
    type Specification = Model<false>;

    fn operate(&self, dice: &mut Dice) -> (u64, Operation) {
        let operation = match dice.below(40) {
            0..16 => {
                let value = dice.fresh();
                match self.try_push(value) {
                    Ok(()) => Operation::Push(value),
                    Err(PushError::Closed(_)) => Operation::Refused,
                    Err(error) => panic!("{error}"),
                }
            }
            16..32 => Operation::Pop(self.pop()),
            32..35 => Operation::Peek(self.peek()),
            35..37 => Operation::IsEmpty(self.is_empty()),
            // Late in most histories: nothing goes in after it.
            37 => Operation::Close(self.close()),
            _ => Operation::IsClosed(self.is_closed()),
        };
        (0, operation)
    }
}
