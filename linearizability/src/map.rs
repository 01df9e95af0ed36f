//! Maps, each key for itself.

use std::hash::BuildHasher;

use sexton::{HashMap, Reclaimer};
use todc_utils::Specification;

use crate::{Dice, Subject};

/// The keys of a history: few, so that operations meet, and so many that a small table grows.
pub const KEYS: u64 = 6;

/// What can be done with a key of a map, and what came of it.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `get`
    Get(Option<u64>),
    /// `contains_key`
    Contains(bool),
    /// `insert`
    Insert {
        /// The value that is in.
        new: u64,
        /// The value that is out.
        old: Option<u64>,
    },
    /// `try_insert`
    TryInsert {
        /// The value that was offered.
        new: u64,
        /// The value that was there.
        current: Option<u64>,
    },
    /// `get_or_insert_with`
    GetOrInsert {
        /// The value that was offered.
        new: u64,
        /// The value that was there in the end.
        got: u64,
    },
    /// `update`
    Update {
        /// How much was added.
        add: u64,
        /// The value that is in.
        new: Option<u64>,
    },
    /// `compute`, which inserts what is absent and removes what is present.
    Toggle {
        /// The value that was offered.
        new: u64,
        /// The value that is out.
        removed: Option<u64>,
    },
    /// `remove`
    Remove(Option<u64>),
    /// `remove_if` with the condition that the value is even.
    RemoveEven(Option<u64>),
}

/// A value, or none.
#[derive(Debug)]
pub struct Model;

impl Specification for Model {
    type State = Option<u64>;
    type Operation = Operation;

    fn init() -> Option<u64> {
        None
    }

    fn apply(operation: &Operation, value: &Option<u64>) -> (bool, Option<u64>) {
        let value = *value;
        match *operation {
            Operation::Get(seen) => (seen == value, value),
            Operation::Contains(seen) => (seen == value.is_some(), value),
            Operation::Insert { new, old } => (old == value, Some(new)),
            Operation::TryInsert { new, current } => (current == value, value.or(Some(new))),
            Operation::GetOrInsert { new, got } => {
                (got == value.unwrap_or(new), value.or(Some(new)))
            }
            Operation::Update { add, new } => (new == value.map(|value| value + add), new),
            Operation::Toggle { new, removed } => {
                (removed == value, if value.is_some() { None } else { Some(new) })
            }
            Operation::Remove(removed) => (removed == value, None),
            Operation::RemoveEven(removed) => {
                let (even, odd) = match value {
                    Some(value) if value % 2 == 0 => (Some(value), None),
                    odd => (None, odd),
                };
                (removed == even, odd)
            }
        }
    }
}

/// Does something at random with a key of a pinned map, whichever it is: the methods have one name in both.
macro_rules! operate_on_key {
    ($map:expr, $key:expr, $new:expr, $dice:expr) => {
        match $dice.below(14) {
            0..3 => $crate::map::Operation::Get($map.get(&$key).map(|value| *value)),
            3 => $crate::map::Operation::Contains($map.contains_key(&$key)),
            4 | 5 => $crate::map::Operation::Insert {
                new: $new,
                old: $map.insert($key, $new).map(|old| *old),
            },
            6 => {
                let current = match $map.try_insert($key, $new) {
                    Ok(_) => None,
                    Err(sexton::hash_map::TryInsertError::Occupied { current, .. }) => {
                        Some(*current)
                    }
                    Err(error) => panic!("{error}"),
                };
                $crate::map::Operation::TryInsert { new: $new, current }
            }
            7 => $crate::map::Operation::GetOrInsert {
                new: $new,
                got: *$map.get_or_insert_with($key, || $new),
            },
            8 | 9 => {
                let changed = $map.update($key, |old| old + $new);
                $crate::map::Operation::Update { add: $new, new: changed.map(|changed| *changed) }
            }
            10 => {
                let done = $map.compute($key, |entry| match entry {
                    Some(_) => sexton::hash_map::Operation::<_, ()>::Remove,
                    None => sexton::hash_map::Operation::Insert($new),
                });
                let removed = match done {
                    sexton::hash_map::Compute::Removed(entry) => Some(*entry.value()),
                    _ => None,
                };
                $crate::map::Operation::Toggle { new: $new, removed }
            }
            11 | 12 => $crate::map::Operation::Remove($map.remove(&$key).map(|removed| *removed)),
            _ => {
                let removed = $map.remove_if(&$key, |_, value| value % 2 == 0);
                $crate::map::Operation::RemoveEven(removed.map(|removed| *removed))
            }
        }
    };
}
pub(crate) use operate_on_key;

impl<S, R> Subject for HashMap<u64, u64, S, R>
where
    S: BuildHasher + Send + Sync,
    R: Reclaimer,
{
    type Specification = Model;

    fn operate(&self, dice: &mut Dice) -> (u64, Operation) {
        let key = dice.below(KEYS);
        let new = dice.fresh();
        let map = self.pin();
        (key, operate_on_key!(map, key, new, dice))
    }
}
