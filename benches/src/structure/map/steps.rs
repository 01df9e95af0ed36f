//! What a thread does with a map, drawn beforehand: so that drawing is not measured.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use sexton_examples::workload::Popularity;

use super::Data;

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Get,
    Insert,
    Remove,
    Update,
}

/// How many of a hundred steps do what; the rest are updates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    pub(super) get: u32,
    pub(super) insert: u32,
    pub(super) remove: u32,
}

impl Mix {
    fn draw(self, rng: &mut impl RngExt) -> What {
        match rng.random_range(0..100) {
            it if it < self.get => What::Get,
            it if it < self.get + self.insert => What::Insert,
            it if it < self.get + self.insert + self.remove => What::Remove,
            _ => What::Update,
        }
    }
}

/// Steps without an end: when they have all been done, they begin again.
pub(super) struct Steps<K> {
    whats: Vec<What>,
    keys: Vec<K>,
}

impl<K> Steps<K> {
    /// The steps of each thread, among so many keys: uniform with a `skew` of 0, else Zipf's.
    pub(super) fn new<D: Data<Key = K>>(
        threads: usize,
        keys: u32,
        skew: f64,
        mix: Mix,
    ) -> Vec<Self> {
        const { assert!(D::STEPS.is_power_of_two()) };
        let popularity = Popularity::new(keys as usize, skew).expect("there are keys");
        let of_thread = |thread| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(thread);
            Self {
                whats: (0..D::STEPS).map(|_| mix.draw(&mut rng)).collect(),
                keys: popularity
                    .sequence(thread)
                    .take(D::STEPS)
                    .map(|number| D::key(number as u32))
                    .collect(),
            }
        };
        (0..threads as u64).map(of_thread).collect()
    }

    #[inline]
    pub(super) fn at(&self, place: usize) -> (What, &K) {
        // As `%`, which would be a division.
        let place = place & (self.keys.len() - 1);
        (self.whats[place], &self.keys[place])
    }
}

#[cfg(test)]
mod tests {
    use super::super::Words;
    use super::*;

    #[test]
    fn steps_are_mixed_as_asked() {
        let mix = Mix { get: 10, insert: 40, remove: 40 };
        let steps = &Steps::new::<Words>(1, 1000, 0.0, mix)[0];
        let share =
            |what| steps.whats.iter().filter(|it| **it == what).count() * 100 / Words::STEPS;
        assert!((9..=10).contains(&share(What::Get)));
        assert!((39..=40).contains(&share(What::Insert)));
        assert!((39..=40).contains(&share(What::Remove)));
        assert!((9..=10).contains(&share(What::Update)));
        assert_eq!(steps.at(Words::STEPS), steps.at(0));
    }
}
