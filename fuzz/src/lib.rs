//! Each structure of sexton against a model, with operations from bytes.
//!
//! ```text
//! cargo xtask fuzz                            # all targets, a minute each
//! cargo xtask fuzz hash_map --seconds 3600
//! ```
//!
//! In `stack`, `queue`, `rcu_cell`, `hash_map` and `skip_map` one thread does what the bytes say, on any scheme, and
//! compares with std's collections. In `interleavings`, which is built with shuttle, the bytes are a
//! schedule: they say at each step which thread goes on, and what they have done must be linearizable.

use arbitrary::Arbitrary;
use sexton::conformance::{Ledger, Tracked};

/// What is checked of each structure, whatever it is.
pub struct Values {
    ledger: Ledger,
}

impl Values {
    /// None yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it is a beginning, not a value")]
    pub fn new() -> Self {
        Self { ledger: Ledger::new() }
    }

    /// A value whose birth and death are noted.
    #[must_use]
    pub fn value(&self, value: u64) -> Tracked {
        Tracked::new(&self.ledger, value)
    }

    /// How many live.
    #[must_use]
    pub fn living(&self) -> usize {
        self.ledger.living()
    }

    /// # Panics
    /// If one still lives, or died twice.
    pub fn assert_all_dead(&self) {
        self.ledger.assert_all_dead();
    }
}

/// Runs `$run::<S>($input)` with the scheme that a byte chooses.
#[macro_export]
macro_rules! on_scheme {
    ($byte:expr, $run:ident, $input:expr) => {
        match $byte % 4 {
            0 => $run::<sexton::Epoch>($input),
            1 => $run::<sexton::Hazard>($input),
            2 => $run::<sexton::CrossbeamEpoch>($input),
            _ => $run::<sexton::Haphazard>($input),
        }
    };
}

/// What can be done with a key of either map.
#[derive(Arbitrary, Debug)]
pub enum OfKey {
    /// `get`, and `contains_key`
    Get,
    /// `insert`
    Insert(u64),
    /// `try_insert`
    TryInsert(u64),
    /// `get_or_insert_with`
    GetOrInsert(u64),
    /// `update`, by adding.
    Update(u64),
    /// `compute`: inserts, or removes.
    Toggle(u64),
    /// `remove`
    Remove,
    /// `remove_if`
    RemoveIfEven,
}

/// Does something with a key of a pinned map and of its model, a `BTreeMap`, and compares what comes of it.
/// The methods have one name in both maps.
#[macro_export]
macro_rules! operate_on_key {
    ($pinned:expr, $model:expr, $values:expr, $key:expr, $operation:expr) => {{
        let pinned = $pinned;
        match $operation {
            $crate::OfKey::Get => {
                let found = pinned.get(&$key).map(|value| value.value());
                assert_eq!(found, $model.get(&$key).copied());
                assert_eq!(pinned.contains_key(&$key), $model.contains_key(&$key));
            }
            $crate::OfKey::Insert(value) => {
                let old = pinned.insert($key, $values.value(value)).map(|old| old.value());
                assert_eq!(old, $model.insert($key, value));
            }
            $crate::OfKey::TryInsert(value) => {
                match pinned.try_insert($key, $values.value(value)) {
                    Ok(_) => assert_eq!($model.insert($key, value), None),
                    Err(sexton::hash_map::TryInsertError::Occupied {
                        current,
                        value: back,
                        ..
                    }) => {
                        assert_eq!($model.get(&$key), Some(&current.value()));
                        assert_eq!(back.value(), value);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            $crate::OfKey::GetOrInsert(value) => {
                let got = pinned.get_or_insert_with($key, || $values.value(value)).value();
                assert_eq!(got, *$model.entry($key).or_insert(value));
            }
            $crate::OfKey::Update(add) => {
                let new = pinned.update($key, |old| $values.value(old.value().wrapping_add(add)));
                let expected = $model.get_mut(&$key).map(|value| {
                    *value = value.wrapping_add(add);
                    *value
                });
                assert_eq!(new.map(|new| new.value()), expected);
            }
            $crate::OfKey::Toggle(value) => {
                let done = pinned.compute($key, |entry| match entry {
                    Some(_) => sexton::hash_map::Operation::<_, ()>::Remove,
                    None => sexton::hash_map::Operation::Insert($values.value(value)),
                });
                match (done, $model.remove(&$key)) {
                    (sexton::hash_map::Compute::Removed(entry), Some(old)) => {
                        assert_eq!(entry.value().value(), old)
                    }
                    (sexton::hash_map::Compute::Inserted(_), None) => {
                        drop($model.insert($key, value))
                    }
                    (done, old) => panic!("{done:?}, and the model had {old:?}"),
                }
            }
            $crate::OfKey::Remove => {
                let old = pinned.remove(&$key).map(|old| old.value());
                assert_eq!(old, $model.remove(&$key));
            }
            $crate::OfKey::RemoveIfEven => {
                let old = pinned.remove_if(&$key, |_, value| value.value() % 2 == 0);
                let even = $model.get(&$key).is_some_and(|value| value % 2 == 0);
                let expected = if even { $model.remove(&$key) } else { None };
                assert_eq!(old.map(|old| old.value()), expected);
            }
        }
    }};
}
