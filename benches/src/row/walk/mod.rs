//! A walk of a list of 1000 nodes, as Michael's list does it: protect the next node, see that the
//! link is not marked (else start again), go on. One operation is one hop.
//!
//! The nodes are allocated in the same order for all, but a scheme that puts a header before each
//! has larger ones, and fewer of them in a cache; that is a part of its price.

mod crossbeam_epoch;
mod haphazard;
mod ours;
mod plain;

use std::hint::black_box;

use self::crossbeam_epoch::CrossbeamList;
use self::haphazard::HaphazardList;
use self::ours::OurList;
use self::plain::PlainList;
use crate::contender::{Contender, Epoch, Hazard, Ours};
use crate::options::Settings;
use crate::report::Report;
use crate::turns::{Entry, timed};
use crate::watch::nanoseconds;

const NODES: usize = 1000;

/// In a link: its node is out of the list. Nothing is marked here, but all look.
const MARK: usize = 1;

const EPOCH: &str = Ours::<Epoch>::NAME;
const HAZARD: &str = Ours::<Hazard>::NAME;

/// A list of nodes that hold their places, 0 to 999.
trait List: Sync {
    const NAME: &'static str;

    /// Its nodes are allocated in this order.
    fn new(order: &[usize]) -> Self;

    /// The sum of the nodes' values.
    fn walk(&self) -> u64;
}

/// With nodes that lie in memory as in the list, and with nodes that do not.
pub(super) fn measure(settings: &Settings) -> Vec<Report> {
    let in_order = report("nodes allocated in order", &in_order(), settings)
        .ratio(EPOCH, CrossbeamList::NAME, 1.0)
        .ratio(HAZARD, EPOCH, 1.2)
        .ratio(HAZARD, HaphazardList::NAME, 0.5);
    vec![in_order, report("nodes allocated in disorder", &shuffled(), settings)]
}

fn report(what: &str, order: &[usize], settings: &Settings) -> Report {
    let ballast = ballast();
    let entries = vec![
        entry::<OurList<Epoch>>(order),
        entry::<OurList<Hazard>>(order),
        entry::<CrossbeamList>(order),
        entry::<HaphazardList>(order),
        entry::<PlainList>(order),
    ];
    drop(ballast);
    let title = format!("walk of a {NODES}-node list, a hop, {what}");
    Report::new(title, "ns", &timed(entries, settings))
}

fn entry<L: List + 'static>(order: &[usize]) -> Entry<'static, f64> {
    let list = L::new(order);
    Entry::new(L::NAME, move |hops| {
        nanoseconds(1, hops, |_, watch| watch.time(|hops| walks(&list, hops)))
    })
}

/// As many walks as have so many hops, or just more.
fn walks<L: List>(list: &L, hops: u64) {
    const NODES_SUM: u64 = (NODES as u64 - 1) * NODES as u64 / 2;
    for _ in 0..hops.div_ceil(NODES as u64) {
        // A plain list would be walked once, and its sum be used again and again.
        assert_eq!(black_box(list).walk(), NODES_SUM, "{}: the walk went astray", L::NAME);
    }
}

/// Fills the holes that what ran before has left in the heap: else the list that is made first
/// lies scattered in them, and its walk is a fifth slower than that of the others.
fn ballast() -> Vec<Box<[u8]>> {
    const BLOCKS: usize = 50_000;
    [16, 32, 48, 64].into_iter().flat_map(|size| vec![vec![1; size].into(); BLOCKS]).collect()
}

fn in_order() -> Vec<usize> {
    (0..NODES).collect()
}

/// Always the same disorder: steps of a number that has no factor in common with 1000.
fn shuffled() -> Vec<usize> {
    (0..NODES).map(|place| place * 617 % NODES).collect()
}

/// Makes nodes in the given order; returns them by their places.
fn nodes<N>(order: &[usize], mut make: impl FnMut(u64) -> N) -> Vec<N> {
    let mut nodes: Vec<Option<N>> = order.iter().map(|_| None).collect();
    for &place in order {
        nodes[place] = Some(make(place as u64));
    }
    nodes.into_iter().map(|node| node.expect("an order has every place")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked<L: List>() {
        for order in [in_order(), shuffled()] {
            walks(&L::new(&order), 1);
        }
    }

    #[test]
    fn every_list_has_every_node() {
        walked::<OurList<Epoch>>();
        walked::<OurList<Hazard>>();
        walked::<CrossbeamList>();
        walked::<HaphazardList>();
        walked::<PlainList>();
    }
}
