//! One test, every scheme.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test file uses its part of this")]

use std::hash::{BuildHasherDefault, Hasher};
use std::panic::resume_unwind;
use std::thread;

pub(crate) use sexton::conformance::{Ledger, Subject, Tracked};
pub(crate) use sexton::{
    Barrier, CrossbeamEpoch, Domain, Epoch, Haphazard, Hazard, Leak, Reclaimer, Scheme, epoch,
    hazard,
};

#[path = "../outside_scheme/interval.rs"]
pub(crate) mod interval;

/// Makes of each `fn promise(subject) { .. }` a module with a test for each scheme, so that
/// `--skip crossbeam` and the like work. In the body, `R` is the reclaimer.
macro_rules! for_each_scheme {
    ($($(#[doc = $doc:literal])* fn $promise:ident($subject:ident) $body:block)*) => {$(
        $(#[doc = $doc])*
        mod $promise {
            #[allow(unused_imports)]
            use super::*;
            use crate::common::{self, interval::Interval};

            fn promise<R: Reclaimer, F: Fn() -> R>($subject: &Subject<F>) $body

            #[test]
            fn epoch_global() {
                promise(&Subject::new(|| common::Epoch));
            }

            #[test]
            fn epoch_owned() {
                promise(&Subject::new(common::Domain::<common::Epoch>::new));
            }

            #[test]
            #[cfg_attr(miri, ignore = "all barriers are full fences there, whatever the domain's are")]
            fn epoch_symmetric() {
                promise(&Subject::new(common::symmetric_epoch));
            }

            #[test]
            fn hazard_global() {
                promise(&Subject::new(|| common::Hazard));
            }

            #[test]
            fn hazard_owned() {
                promise(&Subject::new(common::Domain::<common::Hazard>::new));
            }

            #[test]
            #[cfg_attr(miri, ignore = "all barriers are full fences there, whatever the domain's are")]
            fn hazard_symmetric() {
                promise(&Subject::new(common::symmetric_hazard));
            }

            #[test]
            #[cfg_attr(miri, ignore = "crossbeam-epoch fails under stacked borrows by itself; see xtask")]
            fn crossbeam_epoch_global() {
                promise(&Subject::new(|| common::CrossbeamEpoch));
            }

            #[test]
            #[cfg_attr(miri, ignore = "crossbeam-epoch fails under stacked borrows by itself; see xtask")]
            fn crossbeam_epoch_owned() {
                promise(&Subject::new(common::Domain::<common::CrossbeamEpoch>::new));
            }

            #[test]
            fn haphazard_global() {
                promise(&Subject::new(|| common::Haphazard));
            }

            #[test]
            fn haphazard_owned() {
                promise(&Subject::new(common::Domain::<common::Haphazard>::new));
            }

            #[test]
            fn interval_owned() {
                promise(&Subject::new(common::Domain::<Interval>::new));
            }

            #[test]
            fn leak_owned() {
                promise(&Subject::new(common::Domain::<common::Leak>::new).frees_with_its_domain());
            }
        }
    )*};
}
pub(crate) use for_each_scheme;

/// Epochs with full fences on both sides.
pub(crate) fn symmetric_epoch() -> Domain<Epoch> {
    epoch::Builder::new().barrier(Barrier::Symmetric).build()
}

/// Hazard pointers with full fences on both sides.
pub(crate) fn symmetric_hazard() -> Domain<Hazard> {
    hazard::Builder::new().barrier(Barrier::Symmetric).build()
}

/// Hazard pointers with batches of 64 objects.
pub(crate) fn hazard_of_small_batches() -> Domain<Hazard> {
    hazard::Builder::new().max_batch(64).build()
}

/// Hashes everything to the same.
#[derive(Clone, Default)]
pub(crate) struct Same;

pub(crate) type Alike = BuildHasherDefault<Same>;

impl Hasher for Same {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

/// `many` natively, `few` under Miri.
pub(crate) const fn sized(many: usize, few: usize) -> usize {
    if cfg!(miri) { few } else { many }
}

/// Runs `work(0)`, `work(1)`, ... on a thread each, which have exited when this returns: with their
/// thread-locals, for which a scope alone would not wait.
pub(crate) fn on_threads<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> =
            (0..threads).map(|number| scope.spawn(move || work(number))).collect();
        // All are joined before any panic goes on.
        let ended: Vec<_> = running.into_iter().map(|thread| thread.join()).collect();
        ended.into_iter().map(|end| end.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
