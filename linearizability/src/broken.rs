//! Structures that are not linearizable, which the check must reject.
//!
//! Each is right as long as one thread uses it alone, or nearly so.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use sexton::{Domain, Epoch, HashMap, Queue, RcuCell, SkipMap, Stack};

use crate::{Dice, Subject, cell, line, map, skip_map};

/// A queue that, now and then, when there are three, pops the last one.
#[derive(Debug, Default)]
pub struct UnfairQueue {
    /// The values, and how often it was popped.
    inside: Mutex<(VecDeque<u64>, usize)>,
}

impl Subject for UnfairQueue {
    type Specification = line::Model<false>;

    fn operate(&self, dice: &mut Dice) -> (u64, line::Operation) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let (values, pops) = &mut *inside;
        let operation = if dice.below(5) < 3 {
            let value = dice.fresh();
            values.push_back(value);
            line::Operation::Push(value)
        } else {
            *pops += 1;
            let unfair = *pops % 4 == 0 && values.len() > 2;
            let popped = if unfair { values.pop_back() } else { values.pop_front() };
            line::Operation::Pop(popped)
        };
        (0, operation)
    }
}

/// A stack whose values are popped one after the other when all are asked for.
#[derive(Debug)]
pub struct SlowStack {
    /// One that is right.
    pub stack: Stack<u64, Domain<Epoch>>,
    /// Called between two of them.
    pub between: fn(),
}

impl Subject for SlowStack {
    type Specification = line::Model<true>;

    fn operate(&self, dice: &mut Dice) -> (u64, line::Operation) {
        let operation = match dice.below(3) {
            0 => line::Operation::PopAll(
                core::iter::from_fn(|| {
                    (self.between)();
                    self.stack.pop()
                })
                .collect(),
            ),
            _ => {
                let value = dice.fresh();
                self.stack.push(value);
                line::Operation::Push(value)
            }
        };
        (0, operation)
    }
}

/// A queue of which a push looks whether it is closed, and only then puts its value in.
#[derive(Debug)]
pub struct LatePushQueue {
    /// One that is right.
    pub queue: Queue<u64, Domain<Epoch>>,
    /// Whether it is closed.
    pub is_closed: Mutex<bool>,
    /// Called between the two.
    pub between: fn(),
}

impl Subject for LatePushQueue {
    type Specification = line::Model<false>;

    fn operate(&self, dice: &mut Dice) -> (u64, line::Operation) {
        let closed = || self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        let operation = match dice.below(12) {
            0 => line::Operation::Close(!core::mem::replace(&mut *closed(), true)),
            1..4 => line::Operation::IsClosed(*closed()),
            4..8 => line::Operation::Pop(self.queue.pop()),
            _ if *closed() => line::Operation::Refused,
            _ => {
                (self.between)();
                let value = dice.fresh();
                self.queue.push(value);
                line::Operation::Push(value)
            }
        };
        (0, operation)
    }
}

/// An ordered map that looks for the first key of a range by asking for one after the other.
#[derive(Debug)]
pub struct GropingMap {
    /// One that is right.
    pub map: SkipMap<u64, u64, Domain<Epoch>>,
    /// Called between two of them.
    pub between: fn(),
}

impl Subject for GropingMap {
    type Specification = skip_map::Model;

    fn operate(&self, dice: &mut Dice) -> (u64, skip_map::Operation) {
        let (key, new) = (dice.below(2), dice.fresh());
        let operation = match dice.below(3) {
            0 => {
                let found = (0..2).find_map(|key| {
                    (self.between)();
                    self.map.get(&key).map(|value| (key, value))
                });
                skip_map::Operation::FirstOf(0, 1, found)
            }
            1 => {
                let old = self.map.insert(key, new);
                skip_map::Operation::OfKey(key, map::Operation::Insert { new, old })
            }
            _ => {
                let removed = self.map.remove(&key);
                skip_map::Operation::OfKey(key, map::Operation::Remove(removed))
            }
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
