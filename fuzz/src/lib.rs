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
