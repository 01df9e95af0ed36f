//! Every scheme of this crate passes the suite.
//!
//! Under Miri, `crossbeam-epoch` as it is published runs with tree borrows and permissive
//! provenance only (`-Zmiri-tree-borrows -Zmiri-permissive-provenance`). It keeps its pointers as integers,
//! behind which Miri does not look for what is still reachable: so with `-Zmiri-ignore-leaks`, too.
//! So there its tests are ignored, and `cargo xtask miri` runs them, with those flags, and those only.
//! All others run with stacked borrows, strict provenance and the leak check.

mod common;

use sexton::{CrossbeamEpoch, Domain, Epoch, Haphazard, Hazard, Leak};

sexton::conformance!(epoch_global, || Epoch);
sexton::conformance!(epoch_owned, Domain::<Epoch>::new);
sexton::conformance!(
    #[cfg_attr(miri, ignore = "all barriers are full fences there, whatever the domain's are")]
    epoch_symmetric,
    common::symmetric_epoch,
);
sexton::conformance!(hazard_global, || Hazard);
// Its documented bound, with 3 records and 8 slots each; and a small one.
sexton::conformance!(hazard_owned, Domain::<Hazard>::new, pending_limit(3 * (4 * 4096 + 24 + 16)));
sexton::conformance!(
    hazard_small_batches,
    common::hazard_of_small_batches,
    pending_limit(3 * (4 * 64 + 24 + 16))
);
sexton::conformance!(
    #[cfg_attr(miri, ignore = "all barriers are full fences there, whatever the domain's are")]
    hazard_symmetric,
    common::symmetric_hazard,
);
sexton::conformance!(
    #[cfg_attr(miri, ignore = "crossbeam-epoch fails under stacked borrows by itself; see xtask")]
    crossbeam_epoch_global,
    || CrossbeamEpoch,
);
sexton::conformance!(
    #[cfg_attr(miri, ignore = "crossbeam-epoch fails under stacked borrows by itself; see xtask")]
    crossbeam_epoch_owned,
    Domain::<CrossbeamEpoch>::new,
);
sexton::conformance!(haphazard_global, || Haphazard);
sexton::conformance!(haphazard_owned, Domain::<Haphazard>::new);
sexton::conformance!(leak_global, || Leak, frees_with_its_domain());
sexton::conformance!(leak_owned, Domain::<Leak>::new, frees_with_its_domain());
