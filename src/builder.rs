//! Domains of our own schemes, with settings of one's own.

use core::fmt;
use core::marker::PhantomData;

use crate::barrier::{self, Barrier};
use crate::domain::Domain;
use crate::recycler;
use crate::scheme::Scheme;

/// What can be set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub(crate) barrier: Barrier,
    /// Retired objects for each heavy barrier, at most.
    pub(crate) max_batch: usize,
    /// Bytes of node blocks that each thread keeps.
    pub(crate) recycle: usize,
    /// See [`Builder::nobody_collects`].
    #[cfg(any(loom, crossbeam_loom))]
    pub(crate) nobody_collects: bool,
}

impl Settings {
    pub(crate) const DEFAULT: Self = Self {
        barrier: Barrier::Asymmetric,
        max_batch: barrier::MAX_BATCH,
        recycle: recycler::DEFAULT_LIMIT,
        #[cfg(any(loom, crossbeam_loom))]
        nobody_collects: false,
    };
}

/// A scheme whose domains have settings. Sealed: it is public in name only.
pub trait Configurable: Scheme {
    /// A new domain with these settings.
    fn with_settings(settings: Settings) -> Self::Domain;
}

/// Makes an owned [`Domain`] of scheme `S` with settings of one's own: `epoch::Builder`,
/// `hazard::Builder`.
///
/// ```
/// use sexton::{Barrier, epoch};
///
/// let domain = epoch::Builder::new().barrier(Barrier::Symmetric).max_batch(64).recycle(0).build();
/// assert_eq!(domain, domain.clone());
/// ```
#[must_use = "nothing is made before `build`"]
pub struct Builder<S> {
    settings: Settings,
    scheme: PhantomData<fn() -> S>,
}

impl<S> Clone for Builder<S> {
    fn clone(&self) -> Self {
        Self { settings: self.settings, scheme: PhantomData }
    }
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Builder").field(&self.settings).finish()
    }
}

impl<S> Builder<S> {
    /// The settings of a domain that is made without a builder.
    ///
    /// ```
    /// let domain = sexton::epoch::Builder::new().build();
    /// ```
    pub const fn new() -> Self {
        Self { settings: Settings::DEFAULT, scheme: PhantomData }
    }

    /// How readers are ordered against those who reclaim; the default is
    /// [`Asymmetric`](Barrier::Asymmetric).
    ///
    /// ```
    /// use sexton::{Barrier, epoch};
    ///
    /// let domain = epoch::Builder::new().barrier(Barrier::Symmetric).build();
    /// ```
    pub const fn barrier(mut self, barrier: Barrier) -> Self {
        self.settings.barrier = barrier;
        self
    }

    /// At most so many objects that a thread has retired share one heavy barrier (at least one; the
    /// default is 4096, and epochs use no more than 1536, or as many as there were threads at a time). The
    /// domain uses fewer where barriers are cheap.
    ///
    /// Fewer objects wait then, and each costs more: a barrier takes from half a microsecond to
    /// some 20, during which other threads are interrupted.
    ///
    /// ```
    /// let domain = sexton::epoch::Builder::new().max_batch(64).build();
    /// ```
    pub const fn max_batch(mut self, objects: usize) -> Self {
        self.settings.max_batch = if objects == 0 { 1 } else { objects };
        self
    }

    /// How many bytes of node blocks each thread keeps for its next nodes; 0 turns it off. The
    /// default is 64 KiB.
    ///
    /// Under Miri the default is 0, so that a use after free stays visible; turn it off to look for
    /// one with a sanitizer or Valgrind (or set `--cfg sexton_sanitize` for all domains).
    ///
    /// ```
    /// let domain = sexton::epoch::Builder::new().recycle(0).build();
    /// ```
    pub const fn recycle(mut self, bytes: usize) -> Self {
        self.settings.recycle = bytes;
        self
    }

    /// Promises a model that nobody collects, so that its bags need no barrier against collectors. In
    /// a model that is a full fence, where on the machine there is none, and hides the want of others.
    #[doc(hidden)]
    #[cfg(any(loom, crossbeam_loom))]
    pub const fn nobody_collects(mut self) -> Self {
        self.settings.nobody_collects = true;
        self
    }

    /// Makes the domain.
    ///
    /// ```
    /// let domain = sexton::hazard::Builder::new().build();
    /// ```
    #[must_use]
    pub fn build(&self) -> Domain<S>
    where
        S: Configurable,
    {
        Domain::from_raw(S::with_settings(self.settings))
    }
}

impl<S> Default for Builder<S> {
    fn default() -> Self {
        Self::new()
    }
}
