//! Waiting does not change what a lock-free loop may do next, so a model has none of it.

/// A backoff that never waits.
#[derive(Debug, Default)]
pub struct Backoff;

impl Backoff {
    /// A backoff that never waits.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// Does nothing.
    pub fn spin(&self) {}
}
