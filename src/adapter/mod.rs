//! Schemes that others wrote, under our trait, and the one that never frees.

#[cfg(any(feature = "crossbeam-epoch", feature = "haphazard"))]
mod burial;
#[cfg(feature = "crossbeam-epoch")]
pub(crate) mod crossbeam_epoch;
#[cfg(feature = "haphazard")]
pub(crate) mod haphazard;
pub(crate) mod leak;
