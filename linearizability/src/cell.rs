//! The cell.

use sexton::{RcuCell, Reclaimer};
use todc_utils::Specification;

use crate::{Dice, Subject};

/// What a cell begins with.
pub const BEGIN: u64 = 0;

/// What can be done with a cell, and what came of it.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `load`, `read`
    Load(u64),
    /// `store`, `try_store`
    Store(u64),
    /// `swap`
    Swap {
        /// The value that is in.
        new: u64,
        /// The value that is out.
        old: u64,
    },
    /// `update`
    Update {
        /// How much was added.
        add: u64,
        /// The value that is in.
        new: u64,
    },
}

/// A value, [`BEGIN`] at first.
#[derive(Debug)]
pub struct Model;

impl Specification for Model {
    type State = u64;
    type Operation = Operation;

    fn init() -> u64 {
        BEGIN
    }

    fn apply(operation: &Operation, value: &u64) -> (bool, u64) {
        match operation {
            Operation::Load(seen) => (seen == value, *value),
            Operation::Store(new) => (true, *new),
            Operation::Swap { new, old } => (old == value, *new),
            Operation::Update { add, new } => (value + add == *new, *new),
        }
    }
}

impl<R: Reclaimer> Subject for RcuCell<u64, R> {
    type Specification = Model;

    fn operate(&self, dice: &mut Dice) -> (u64, Operation) {
        let operation = match dice.below(8) {
            0 | 1 => Operation::Load(self.load()),
            2 => Operation::Load(self.read(|value| *value)),
            3 => {
                let new = dice.fresh();
                self.store(new);
                Operation::Store(new)
            }
            4 => {
                let new = dice.fresh();
                let old = self.swap(new);
                Operation::Swap { new, old }
            }
            _ => {
                let add = dice.fresh();
                let new = *self.pin().update(|old| old + add);
                Operation::Update { add, new }
            }
        };
        (0, operation)
    }
}
