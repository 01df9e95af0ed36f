//! What one writes by oneself: a counted value, behind a lock that readers share.

use std::sync::{Arc, RwLock};

use super::Cell;

impl Cell for RwLock<Arc<u64>> {
    const NAME: &'static str = "RwLock<Arc>";

    type Reader<'a> = &'a Self;

    fn new(value: u64) -> Self {
        Self::new(Arc::new(value))
    }

    fn reader(&self) -> &Self {
        self
    }

    /// The lock is not held while the value is used.
    #[inline]
    fn read(cell: &mut &Self) -> u64 {
        let value = Arc::clone(&cell.read().expect(NOBODY_PANICS));
        *value
    }

    fn store(&self, value: u64) {
        *self.write().expect(NOBODY_PANICS) = Arc::new(value);
    }
}

const NOBODY_PANICS: &str = "nobody panics with it";
