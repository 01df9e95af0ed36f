//! Domains, and handles to them.
//!
//! A domain is one independent instance of a scheme: the garbage of one is never held up by a
//! reader of another. A [`Reclaimer`] is a handle to a domain: an owned [`Domain`], or the marker
//! type of a scheme that has a process-wide one.

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

use crate::guard::Guard;
use crate::scheme::{GlobalScheme, Scheme, Stats};
use crate::sync::Arc;

/// An owned domain of scheme `S`: cheap to clone, isolated from everyone else's garbage.
///
/// When the last handle is dropped, everything that was retired in it is reclaimed, as far as the
/// scheme can reach it: an exception is `CrossbeamEpoch` on a collector that others use too. (A handle that lives
/// in a value of a structure of that very domain keeps it for ever: a cycle, as with any `Arc`.)
///
/// ```
/// use sexton::{Domain, Epoch, Queue, Reclaimer};
///
/// let domain = Domain::<Epoch>::new();
/// let queue = Queue::with_reclaimer(domain.clone());
/// queue.push(1);
/// println!("{:?}", domain.stats());
/// ```
pub struct Domain<S: Scheme> {
    shared: Arc<Shared<S>>,
}

struct Shared<S: Scheme>(S::Domain);

impl<S: Scheme> Drop for Shared<S> {
    fn drop(&mut self) {
        S::drain(&mut self.0);
    }
}

// No user code runs while a domain is half changed: a `Drop` that panics finds the rest in order.
impl<S: Scheme> UnwindSafe for Domain<S> {}
impl<S: Scheme> RefUnwindSafe for Domain<S> {}

impl<S: Scheme> Domain<S> {
    /// A new domain.
    ///
    /// ```
    /// let domain = sexton::Domain::<sexton::Epoch>::new();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::from_raw(S::new_domain())
    }

    pub(crate) fn from_raw(domain: S::Domain) -> Self {
        Self { shared: Arc::new(Shared(domain)) }
    }
}

impl<S: Scheme> Clone for Domain<S> {
    /// Another handle to the same domain.
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Scheme> Default for Domain<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Scheme> PartialEq for Domain<S> {
    /// Whether both are handles to the same domain.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<S: Scheme> Eq for Domain<S> {}

impl<S: Scheme> fmt::Debug for Domain<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

mod sealed {
    use super::{Domain, GlobalScheme, Scheme};

    pub trait Sealed {}

    impl<S: Scheme> Sealed for Domain<S> {}

    impl<S: GlobalScheme> Sealed for S {}
}

/// A handle to a domain of some scheme: [`Epoch`](crate::Epoch), or an owned [`Domain`].
///
/// Sealed: a scheme of your own gets its reclaimers by implementing [`Scheme`] (and
/// [`GlobalScheme`]). Were this trait open, a safe implementation that protects nothing would be a
/// use-after-free without one `unsafe`.
///
/// ```
/// use sexton::{Domain, Epoch, Reclaimer};
///
/// fn pending(reclaimer: &impl Reclaimer) -> u64 {
///     reclaimer.stats().pending
/// }
///
/// pending(&Epoch);
/// pending(&Domain::<Epoch>::new());
/// ```
pub trait Reclaimer: Clone + Send + Sync + 'static + sealed::Sealed {
    /// The domain's scheme.
    type Scheme: Scheme;

    /// The domain itself.
    #[doc(hidden)]
    fn domain(&self) -> &<Self::Scheme as Scheme>::Domain;

    /// Opens a critical section.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer};
    ///
    /// let guard = Epoch.pin();
    /// ```
    #[inline]
    fn pin(&self) -> Guard<'_, Self::Scheme> {
        Guard::enter(self.domain())
    }

    /// Reclaims all that was retired before, by whomever, and that nobody can protect any more;
    /// says how many objects were reclaimed meanwhile. Runs their `Drop`.
    ///
    /// On a quiet domain nothing is left pending, unless the scheme's documentation says what is (or drops
    /// retire objects whose drops retire others, and so on, for more than a hundred generations).
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer};
    ///
    /// Epoch.collect();
    /// ```
    fn collect(&self) -> usize {
        Self::Scheme::collect(self.domain())
    }

    /// What the domain has done so far. Cheap enough to be asked every second.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer};
    ///
    /// println!("{} objects wait for a reader", Epoch.stats().pending);
    /// ```
    fn stats(&self) -> Stats {
        Self::Scheme::stats(self.domain())
    }

    /// Forgets the threads that do not exist in this process, as it is a child of `fork`.
    ///
    /// A domain works in a child without this. But where another thread of the parent had a guard
    /// open, it stays open in the child, and keeps memory for ever: after this call it does not. (Where
    /// words have 32 bits, so it is with [`Epoch`](crate::Epoch) where one was just about to reclaim.)
    /// What such a thread was retiring at the very moment is leaked.
    ///
    /// With the schemes of other crates it does nothing.
    ///
    /// # Safety
    /// The process is a child of `fork`, and has no other thread than the calling one yet.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer};
    ///
    /// // In the child, first of all:
    /// # if false {
    /// unsafe { Epoch.after_fork_in_child() };
    /// # }
    /// ```
    unsafe fn after_fork_in_child(&self) {
        // SAFETY: the caller's.
        unsafe { Self::Scheme::after_fork_in_child(self.domain()) }
    }
}

impl<S: Scheme> Reclaimer for Domain<S> {
    type Scheme = S;

    #[inline]
    fn domain(&self) -> &S::Domain {
        &self.shared.0
    }
}

impl<S: GlobalScheme> Reclaimer for S {
    type Scheme = S;

    #[inline]
    fn domain(&self) -> &S::Domain {
        S::global()
    }
}
