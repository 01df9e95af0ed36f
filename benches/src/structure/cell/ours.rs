//! Our cell: read within a guard.

use super::{Cell, OurCell};
use crate::contender::ours::Named;

impl<R: Named> Cell for OurCell<R> {
    const NAME: &'static str = R::NAME;

    type Reader<'a> = &'a Self;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn reader(&self) -> &Self {
        self
    }

    #[inline]
    fn read(cell: &mut &Self) -> u64 {
        *cell.pin().load()
    }

    fn store(&self, value: u64) {
        self.store(value);
    }
}
