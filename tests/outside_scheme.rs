//! A scheme that is written outside of the crate, with what is public only: how to bring your own.
//!
//! 1. Implement [`Scheme`](sexton::Scheme): here `outside_scheme/interval.rs`, which is to be read
//!    as a tutorial. Its protocol is real, an interval scheme with birth eras in the nodes'
//!    headers; its bookkeeping is a list behind a lock, which is slow and short.
//! 2. Implement [`GlobalScheme`](sexton::GlobalScheme) if there is to be a process-wide domain, and
//!    [`GuardScoped`](sexton::GuardScoped) if a guard protects until it ends.
//! 3. Call [`conformance!`](sexton::conformance!), as below.
//!
//! The other tests of this directory then run every structure on it, as on the crate's own schemes.

#[path = "outside_scheme/interval.rs"]
mod interval;

use interval::Interval;
use sexton::{Domain, Reclaimer, Scheme, Stack};

// It is bounded, and its limit can be told exactly: see the head of its file.
sexton::conformance!(interval_owned, Domain::<Interval>::new, pending_limit(interval::PENDING));
sexton::conformance!(interval_global, || Interval, pending_limit(interval::PENDING));

#[test]
fn a_scheme_of_ones_own_reads_like_those_of_the_crate() {
    let stack = Stack::<_, Interval>::new();
    stack.push(7);
    assert_eq!(stack.pop(), Some(7));

    let domain = Domain::<Interval>::new();
    let stack = Stack::with_reclaimer(domain.clone());
    stack.push("last");
    let pinned = stack.pin();
    assert_eq!(pinned.pop(), Some("last"));
    drop(pinned);
    domain.collect();
    assert_eq!((domain.stats().retired, domain.stats().pending), (1, 0));
}

/// The point of intervals: what is born after a reader fell asleep is not held up by it, though
/// its guard protects everything that it has ever loaded.
#[test]
fn a_sleeping_reader_holds_what_lived_then_and_nothing_younger() {
    let domain = Domain::<Interval>::new();
    let cell = sexton::RcuCell::with_reclaimer(String::from("old"), domain.clone());
    let sleeping = cell.pin();
    let old: &String = sleeping.load().into_ref();
    for round in 0..1000 {
        cell.store(round.to_string());
    }
    domain.collect();
    let pending = domain.stats().pending;
    assert!((1..=Interval::ERA_LENGTH + 1).contains(&pending), "{pending} are pending");
    assert_eq!(old, "old");
    drop(sleeping);
    domain.collect();
    assert_eq!(domain.stats().pending, 0);
    const { assert!(Interval::BOUNDED) }
}
