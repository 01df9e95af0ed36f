//! The ordered map: all keys together, as operations ask for the order among them.
//!
//! An iteration is no single moment's, but its first step is: from either end.
//!
//! `pop_first` is not here. It removes what was the first when it was found, which a lesser key may not
//! have left the first until then: it is documented so, and not linearizable as "remove the least".

use std::collections::BTreeMap;
use std::ops::Bound;

use sexton::{Reclaimer, SkipMap};
use todc_utils::Specification;

use crate::map::{self, KEYS, operate_on_key};
use crate::{Dice, Subject};

/// A key and its value.
type Found = Option<(u64, u64)>;

/// What can be done with an ordered map, and what came of it.
#[derive(Clone, Debug)]
pub enum Operation {
    /// What can be done with a key of any map.
    OfKey(u64, map::Operation),
    /// `first`
    First(Found),
    /// `last`
    Last(Found),
    /// `lower_bound` of a key, itself included.
    LowerBound(u64, Found),
    /// `upper_bound` of a key, itself included.
    UpperBound(u64, Found),
    /// The `next` of a `range`
    FirstOf(u64, u64, Found),
    /// The `next_back` of a `range`
    LastOf(u64, u64, Found),
    /// `pop_last`
    PopLast(Found),
}

/// A `BTreeMap`.
#[derive(Debug)]
pub struct Model;

impl Specification for Model {
    type State = BTreeMap<u64, u64>;
    type Operation = Operation;

    fn init() -> Self::State {
        BTreeMap::new()
    }

    fn apply(operation: &Operation, map: &Self::State) -> (bool, Self::State) {
        let mut after = map.clone();
        let pair = |entry: Option<(&u64, &u64)>| entry.map(|(key, value)| (*key, *value));
        let valid = match *operation {
            Operation::OfKey(key, ref operation) => {
                let (valid, value) = map::Model::apply(operation, &map.get(&key).copied());
                match value {
                    Some(value) => after.insert(key, value),
                    None => after.remove(&key),
                };
                valid
            }
            Operation::First(found) => pair(map.first_key_value()) == found,
            Operation::Last(found) => pair(map.last_key_value()) == found,
            Operation::LowerBound(key, found) => pair(map.range(key..).next()) == found,
            Operation::UpperBound(key, found) => pair(map.range(..=key).next_back()) == found,
            Operation::FirstOf(from, to, found) => pair(map.range(from..=to).next()) == found,
            Operation::LastOf(from, to, found) => pair(map.range(from..=to).next_back()) == found,
            Operation::PopLast(popped) => after.pop_last() == popped,
        };
        (valid, after)
    }
}

impl<R: Reclaimer> Subject for SkipMap<u64, u64, R> {
    type Specification = Model;

    fn operate(&self, dice: &mut Dice) -> (u64, Operation) {
        let (key, new) = (dice.below(KEYS), dice.fresh());
        let pinned = self.pin();
        macro_rules! pair {
            ($found:expr) => {
                $found.map(|entry| (*entry.key(), *entry.value()))
            };
        }
        // Not past the last key.
        let to = key + dice.below(KEYS - key);
        let operation = match dice.below(16) {
            0..9 => Operation::OfKey(key, operate_on_key!(pinned, key, new, dice)),
            9 => Operation::First(pair!(pinned.first())),
            10 => Operation::Last(pair!(pinned.last())),
            11 => Operation::LowerBound(key, pair!(pinned.lower_bound(Bound::Included(&key)))),
            12 => Operation::UpperBound(key, pair!(pinned.upper_bound(Bound::Included(&key)))),
            13 => Operation::FirstOf(key, to, pair!(pinned.range(key..=to).next())),
            14 => Operation::LastOf(key, to, pair!(pinned.range(key..=to).next_back())),
            _ => Operation::PopLast(pair!(pinned.pop_last())),
        };
        (0, operation)
    }
}
