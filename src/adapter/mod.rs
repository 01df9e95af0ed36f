//! Schemes that others wrote, under our trait, and the one that never frees.

mod burial;
pub(crate) mod crossbeam_epoch;
#[cfg(feature = "haphazard")]
pub(crate) mod haphazard;
pub(crate) mod leak;
