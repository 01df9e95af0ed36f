//! How high a new tower is: a level more with a chance of one in two.
//!
//! What a search pays for is the leaves that it looks at, most of which are in no cache. With a chance of
//! p, it goes past (1 - p) / p nodes of a level, and is stopped by one that it has not met above with a
//! chance of 1 - p; and there are ln n / ln (1 / p) levels. So of n leaves it looks at 2.2 ln n with one
//! in two, and at 2.7 ln n with one in four, which would spare two words for three leaves.

use super::leaf::MAX_HEIGHT;

/// The height of a new tower.
///
/// The chance comes from std's hasher, which costs a few nanoseconds for 64 bits, and they last for
/// a dozen towers.
#[cfg(not(any(loom, crossbeam_loom, shuttle)))]
pub(super) fn random() -> usize {
    use crate::sync::counter::thread_local;
    use core::cell::Cell;
    use core::hash::BuildHasher;
    use std::hash::RandomState;

    #[expect(clippy::cast_possible_truncation, reason = "it is small")]
    const WORST: u32 = MAX_HEIGHT as u32;

    thread_local! {
        /// Bits that were not used yet, and how many.
        static CHANCE: Cell<(u64, u32)> = const { Cell::new((0, 0)) };
    }
    let (mut bits, mut left) = CHANCE.get();
    if left < WORST {
        // Each state has keys of its own.
        (bits, left) = (RandomState::new().hash_one(0), u64::BITS);
    }
    #[expect(clippy::cast_possible_truncation, reason = "a constant, and small")]
    let more = bits.trailing_zeros().min(MAX_HEIGHT as u32 - 1);
    let used = more + 1;
    CHANCE.set((bits.checked_shr(used).unwrap_or(0), left - used));
    more as usize + 1
}

/// The same, by a chance that comes again when shuttle replays a schedule.
#[cfg(shuttle)]
pub(super) fn random() -> usize {
    use shuttle::rand::RngCore;

    let bits = shuttle::rand::thread_rng().next_u32();
    (bits.trailing_zeros() as usize + 1).min(MAX_HEIGHT)
}

#[cfg(any(loom, crossbeam_loom))]
mod chosen {
    use super::MAX_HEIGHT;
    use core::cell::Cell;

    crate::sync::constant_thread_local! {
        static HEIGHT: Cell<usize> = Cell::new(1);
    }

    /// In a model there is no chance: the towers that this thread builds from now on are so high.
    pub fn build_towers_of(height: usize) {
        assert!((1..=MAX_HEIGHT).contains(&height));
        HEIGHT.with(|chosen| chosen.set(height));
    }

    pub(in crate::skip_map) fn random() -> usize {
        HEIGHT.with(Cell::get)
    }
}

#[cfg(any(loom, crossbeam_loom))]
pub use chosen::build_towers_of;
#[cfg(any(loom, crossbeam_loom))]
pub(super) use chosen::random;

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;

    #[test]
    fn one_tower_in_two_is_a_level_higher() {
        const TOWERS: u32 = if cfg!(miri) { 2_000 } else { 100_000 };
        let mut towers = [0_u32; MAX_HEIGHT + 1];
        (0..TOWERS).for_each(|_| towers[random()] += 1);
        assert_eq!(towers[0], 0);
        let (mut chance, all) = (0.5, f64::from(TOWERS));
        for height in 1..=3 {
            let off = f64::from(towers[height]) - chance * all;
            let deviation = (all * chance * (1.0 - chance)).sqrt();
            assert!(off.abs() < 7.0 * deviation, "{towers:?}");
            chance /= 2.0;
        }
    }
}
