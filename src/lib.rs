//! Lock-free structures.

mod adapter;
mod atomic;
mod domain;
mod exclusive;
mod guard;
mod retired;
pub mod scheme;
mod sharded;
mod stack;
pub mod sync;

#[cfg(feature = "haphazard")]
pub use adapter::haphazard::Haphazard;
pub use adapter::crossbeam_epoch::CrossbeamEpoch;
pub use adapter::leak::Leak;
pub use atomic::{AllocError, Atomic, Owned, Ptr};
pub use domain::{Domain, Reclaimer};
pub use exclusive::{Drain, IntoIter};
pub use guard::{Guard, Pinned, Ref, Shield};
pub use retired::{NODE_ALIGN, Retired, Vtable};
pub use scheme::{GlobalScheme, GuardScoped, Protection, Scheme, Stats};
pub use stack::Stack;
pub use adapter::crossbeam_epoch::CrossbeamEpoch as Epoch;
