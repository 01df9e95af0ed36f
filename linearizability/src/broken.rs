//! Structures that are not linearizable, which the check must reject.
//!
//! Each is right as long as one thread uses it alone, or nearly so.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use sexton::{Domain, Epoch, HashMap, RcuCell};

use crate::{Dice, Subject, cell, map, queue};

/// A queue that, now and then, when there are three, pops the last one.
#[derive(Debug, Default)]
pub struct UnfairQueue {
    /// The values, and how often it was popped.
    inside: Mutex<(VecDeque<u64>, usize)>,
}

impl Subject for UnfairQueue {
    type Specification = queue::Model;

    fn operate(&self, dice: &mut Dice) -> (u64, queue::Operation) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let (values, pops) = &mut *inside;
        let operation = if dice.below(5) < 3 {
            let value = dice.fresh();
            values.push_back(value);
            queue::Operation::Push(value)
        } else {
            *pops += 1;
            let unfair = *pops % 4 == 0 && values.len() > 2;
            let popped = if unfair { values.pop_back() } else { values.pop_front() };
            queue::Operation::Pop(popped)
        };
        (0, operation)
    }
}

/// A map that replaces a value in two steps: so for a moment the key is gone.
#[derive(Debug)]
pub struct TwoStepMap {
    /// One that is right.
    pub map: HashMap<u64, u64, std::hash::RandomState, Domain<Epoch>>,
    /// Called between the two.
    pub between: fn(),
}

impl Subject for TwoStepMap {
    type Specification = map::Model;

    fn operate(&self, dice: &mut Dice) -> (u64, map::Operation) {
        let (key, new) = (dice.below(2), dice.fresh());
        let operation = match dice.below(2) {
            0 => map::Operation::Get(self.map.get(&key)),
            _ => {
                let old = self.map.remove(&key);
                (self.between)();
                self.map.insert(key, new);
                map::Operation::Insert { new, old }
            }
        };
        (key, operation)
    }
}

/// A cell whose update is a load and a store: what came in between is lost.
#[derive(Debug)]
pub struct ForgetfulCell {
    /// One that is right.
    pub cell: RcuCell<u64, Domain<Epoch>>,
    /// Called between the two.
    pub between: fn(),
}

impl Subject for ForgetfulCell {
    type Specification = cell::Model;

    fn operate(&self, dice: &mut Dice) -> (u64, cell::Operation) {
        let operation = match dice.below(2) {
            0 => cell::Operation::Load(self.cell.load()),
            _ => {
                let add = dice.fresh();
                let new = self.cell.load() + add;
                (self.between)();
                self.cell.store(new);
                cell::Operation::Update { add, new }
            }
        };
        (0, operation)
    }
}
