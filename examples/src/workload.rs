//! Which rows are read and updated.

use std::fmt::Display;

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

use crate::error::Error;
use crate::row::Key;

/// How many tenants the generated rows belong to.
pub const TENANTS: u32 = 8;

/// The keys of `rows` rows, dealt out to the tenants, sorted.
pub fn generated_keys(rows: u32) -> Vec<Key> {
    let deal = |i: u32| Key { tenant: i % TENANTS, id: u64::from(i / TENANTS) };
    let mut keys: Vec<Key> = (0..rows).map(deal).collect();
    keys.sort_unstable();
    keys
}

/// Zipf-distributed rows: the row of rank `r` is wanted in proportion to `1 / r^skew`.
///
/// The ranks are dealt to the rows at random, but always alike, so that the popular rows are not
/// neighbours in the database.
#[derive(Debug)]
pub struct Popularity {
    ranks: Zipf<f64>,
    row_of_rank: Vec<u32>,
}

impl Popularity {
    /// A popularity of `rows` rows, with Zipf's exponent `skew`: 0 is uniform.
    ///
    /// # Errors
    ///
    /// If there is no row, or more than 2^32, or if `skew` is negative.
    pub fn new(rows: usize, skew: f64) -> Result<Popularity, Error> {
        let error = |why: &dyn Display| Error::new("popularity", format!("{rows} rows"), why);
        let rows = u32::try_from(rows).map_err(|why| error(&why))?;
        let ranks = Zipf::new(f64::from(rows), skew).map_err(|why| error(&why))?;
        let mut row_of_rank: Vec<u32> = (0..rows).collect();
        row_of_rank.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(0x5e87_0000));
        Ok(Popularity { ranks, row_of_rank })
    }

    /// An endless sequence of rows, the same for the same seed.
    ///
    /// Drawing costs more than a hit, so a million rows are drawn here and then gone through again
    /// and again.
    pub fn sequence(&self, seed: u64) -> impl Iterator<Item = usize> + use<> {
        const DRAWN: usize = if cfg!(test) { 1 << 17 } else { 1 << 20 };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let drawn: Vec<u32> = (0..DRAWN)
            .map(|_| {
                let rank = self.ranks.sample(&mut rng) as usize;
                self.row_of_rank[rank.clamp(1, self.row_of_rank.len()) - 1]
            })
            .collect();
        let start = rng.random_range(0..DRAWN);
        (start..).map(move |i| drawn[i % DRAWN] as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn generated_keys_are_sorted_distinct_and_dealt_to_all_tenants() {
        let keys = generated_keys(1001);
        assert!(keys.is_sorted());
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 1001);
        let tenants: HashSet<u32> = keys.iter().map(|key| key.tenant).collect();
        assert_eq!(tenants, (0..TENANTS).collect());
    }

    #[test]
    fn a_sequence_depends_on_its_seed_alone() {
        let popularity = Popularity::new(500, 1.0).unwrap();
        let first = |seed| popularity.sequence(seed).take(100).collect::<Vec<_>>();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn the_most_popular_row_is_twice_as_popular_as_the_second() {
        let popularity = Popularity::new(1000, 1.0).unwrap();
        let mut counts = HashMap::new();
        for row in popularity.sequence(7).take(1 << 17) {
            *counts.entry(row).or_insert(0_u32) += 1;
        }
        let mut counts: Vec<u32> = counts.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(counts.len(), 1000, "even the least popular row is wanted");
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn one_row_is_possible_and_no_row_is_not() {
        assert!(Popularity::new(1, 1.0).unwrap().sequence(1).take(10).all(|row| row == 0));
        assert!(Popularity::new(0, 1.0).is_err());
        assert!(Popularity::new(10, -1.0).is_err());
        assert!(Popularity::new(10, f64::NAN).is_err());
    }
}
