//! Births and drops: what is pending is the difference.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many values came into being, and how many were dropped.
#[derive(Debug, Default)]
pub struct Ledger {
    births: AtomicU64,
    drops: AtomicU64,
}

impl Ledger {
    /// A ledger that lasts as long as the values it counts: for ever.
    ///
    /// A peer may drop a value at any later time, even at the end of the process.
    pub fn lasting() -> &'static Self {
        Box::leak(Box::default())
    }

    /// A new value.
    pub fn value(&'static self) -> Counted {
        self.births.fetch_add(1, Relaxed);
        Counted(self)
    }

    /// How many values have not been dropped yet.
    ///
    /// # Panics
    /// If there were more drops than births: something was dropped twice.
    pub fn alive(&self) -> u64 {
        // Drops first: on a busy ledger the difference is too large rather than negative.
        let drops = self.drops.load(Relaxed);
        let births = self.births.load(Relaxed);
        births.checked_sub(drops).expect("a value was dropped twice")
    }
}

/// A value that a ledger counts; as large as a `u64`.
#[derive(Debug)]
pub struct Counted(&'static Ledger);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alive_is_births_less_drops() {
        let ledger = Ledger::lasting();
        let (one, two) = (ledger.value(), ledger.value());
        assert_eq!(ledger.alive(), 2);
        drop(one);
        assert_eq!(ledger.alive(), 1);
        drop(two);
        assert_eq!(ledger.alive(), 0);
    }
}
