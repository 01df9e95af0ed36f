//! Sets, each member for itself.

use std::hash::BuildHasher;

use sexton::{HashSet, Reclaimer};
use todc_utils::Specification;

use crate::map::KEYS;
use crate::{Dice, Subject};

/// What can be done with a member of a set, and what came of it.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Whether it is in.
    Contains(bool),
    /// Puts it in; whether it was not.
    Insert(bool),
    /// Takes it out; whether it was in.
    Remove(bool),
}

/// In or out.
#[derive(Debug)]
pub struct Model;

impl Specification for Model {
    type State = bool;
    type Operation = Operation;

    fn init() -> bool {
        false
    }

    fn apply(operation: &Operation, is_in: &bool) -> (bool, bool) {
        match operation {
            Operation::Contains(seen) => (seen == is_in, *is_in),
            Operation::Insert(new) => (*new != *is_in, true),
            Operation::Remove(removed) => (removed == is_in, false),
        }
    }
}

impl<S, R> Subject for HashSet<u64, S, R>
where
    S: BuildHasher + Send + Sync,
    R: Reclaimer,
{
    type Specification = Model;

    fn operate(&self, dice: &mut Dice) -> (u64, Operation) {
        let key = dice.below(KEYS);
        let operation = match dice.below(3) {
            0 => Operation::Contains(self.contains(&key)),
            1 => Operation::Insert(self.insert(key)),
            _ => Operation::Remove(self.remove(&key)),
        };
        (key, operation)
    }
}
