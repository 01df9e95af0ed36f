//! What is under test: how to get a domain, and what its scheme says of itself.

use core::fmt;
use std::thread;
use std::time::{Duration, Instant};

use super::Ledger;
use crate::Reclaimer;

/// How long a domain that others use as well may take: they may hold guards.
const PATIENCE: Duration = Duration::from_secs(120);

/// A scheme under test: a function that makes a handle to a domain, and what is known beforehand.
///
/// Tests of structures use it too, to run over several schemes and to
/// [settle](Self::settle) accounts at the end.
///
/// ```
/// use sexton::conformance::{Ledger, Subject, Tracked};
/// use sexton::{Domain, Epoch, Stack};
///
/// let subject = Subject::new(Domain::<Epoch>::new);
/// let (domain, ledger) = (subject.domain(), Ledger::new());
/// let stack = Stack::with_reclaimer(domain.clone());
/// stack.push(Tracked::new(&ledger, 1));
/// drop(stack);
/// subject.settle(domain, &ledger);
/// ```
pub struct Subject<F> {
    make: F,
    isolated: bool,
    collects: bool,
    pending_limit: usize,
}

impl<R: Reclaimer, F: Fn() -> R> Subject<F> {
    /// A scheme whose [`collect`](Reclaimer::collect) frees what nobody protects.
    ///
    /// `make` returns a handle to a fresh domain at each call, or to the same one each time: the
    /// difference is found out.
    #[must_use]
    pub fn new(make: F) -> Self {
        let (one, two) = (make(), make());
        let isolated = !one.pin().is_of(&two);
        Self { make, isolated, collects: true, pending_limit: 5000 }
    }

    /// Says that nothing is freed before the domain itself goes, as with [`Leak`](crate::Leak).
    #[must_use]
    pub fn frees_with_its_domain(mut self) -> Self {
        self.collects = false;
        self
    }

    /// Says how many objects may be pending at most while one thread sleeps, of
    /// 100,000 that are retired: the scheme's documented bound. 5000 if not said.
    #[must_use]
    pub fn pending_limit(mut self, objects: usize) -> Self {
        self.pending_limit = objects;
        self
    }

    /// A handle to a domain.
    #[must_use]
    pub fn domain(&self) -> R {
        (self.make)()
    }

    /// Whether each [`domain`](Self::domain) is one of its own, which nobody else uses.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        self.isolated
    }

    /// Whether `collect` frees; see [`frees_with_its_domain`](Self::frees_with_its_domain).
    #[must_use]
    pub fn collects(&self) -> bool {
        self.collects
    }

    pub(super) fn limit(&self) -> usize {
        self.pending_limit
    }

    /// Collects until everything in the ledger is dead, where the scheme collects.
    ///
    /// The caller has no guard open and its threads were joined. (Joined one by one:
    /// [`std::thread::scope`] by itself may return before their thread-locals are gone, and some
    /// schemes pass a thread's garbage on from there.)
    ///
    /// # Panics
    /// If values still live after a time that is long enough for any scheme.
    #[track_caller]
    pub fn collect_all(&self, domain: &R, ledger: &Ledger) {
        if !self.collects {
            return;
        }
        let begin = Instant::now();
        // Nobody else is there to wait for: a few rounds, for garbage of garbage.
        let mut rounds = if self.isolated { 256 } else { usize::MAX };
        while ledger.living() > 0 && rounds > 0 && begin.elapsed() < PATIENCE {
            domain.collect();
            thread::yield_now();
            rounds -= 1;
        }
        ledger.assert_all_dead();
    }

    /// Asserts that everything in the ledger died, and each value once: by collecting, if the
    /// scheme [collects](Self::collects), and else when the domain goes. A process-wide domain that
    /// does not collect keeps all for ever, and then each value died once at most.
    ///
    /// `domain` must be the last handle, if it is [isolated](Self::is_isolated). The rest is as for
    /// [`collect_all`](Self::collect_all).
    ///
    /// # Panics
    /// If the accounts are not settled.
    #[track_caller]
    pub fn settle(&self, domain: R, ledger: &Ledger) {
        self.collect_all(&domain, ledger);
        drop(domain);
        if self.isolated {
            ledger.assert_all_dead();
        }
        ledger.assert_no_fault();
    }

    /// For the promises themselves: a domain, a ledger, and nothing in them yet.
    pub(super) fn begin(&self) -> (R, Ledger) {
        (self.domain(), Ledger::new())
    }
}

impl<F> fmt::Debug for Subject<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("isolated", &self.isolated)
            .field("collects", &self.collects)
            .finish_non_exhaustive()
    }
}
