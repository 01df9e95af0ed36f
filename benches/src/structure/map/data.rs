//! What maps hold: words, as every benchmark has them, and records, as services do.

use std::hash::Hash;

/// Keys and values by their numbers.
pub(crate) trait Data: 'static {
    const NAME: &'static str;

    /// How many steps are drawn for a thread: a power of two. Few enough to leave room in a cache,
    /// many enough to reach most keys.
    const STEPS: usize;

    type Key: Hash + Ord + Clone + Send + Sync + 'static;
    type Value: Clone + Send + Sync + 'static;

    /// Different for different numbers. The order of keys is not that of their numbers.
    fn key(number: u32) -> Self::Key;

    fn value(number: u32) -> Self::Value;

    /// Reads the value, its first byte and its last.
    fn look(value: &Self::Value) -> u64;

    /// Another value.
    fn change(value: &Self::Value) -> Self::Value;
}

/// A bijection that leaves no order.
fn scattered(number: u32) -> u64 {
    u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Words to words.
pub(crate) struct Words;

impl Data for Words {
    const NAME: &'static str = "u64 to u64";
    const STEPS: usize = 1 << 20;

    type Key = u64;
    type Value = u64;

    #[inline]
    fn key(number: u32) -> u64 {
        scattered(number)
    }

    #[inline]
    fn value(number: u32) -> u64 {
        u64::from(number)
    }

    #[inline]
    fn look(value: &u64) -> u64 {
        *value
    }

    #[inline]
    fn change(value: &u64) -> u64 {
        value.wrapping_add(1)
    }
}

/// Strings to 100 bytes.
pub(crate) struct Records;

impl Data for Records {
    const NAME: &'static str = "String to 100 bytes";
    const STEPS: usize = 1 << 18;

    type Key = String;
    type Value = [u8; 100];

    fn key(number: u32) -> String {
        format!("user:{:016x}", scattered(number))
    }

    #[inline]
    fn value(number: u32) -> [u8; 100] {
        [number as u8; 100]
    }

    #[inline]
    fn look(value: &[u8; 100]) -> u64 {
        u64::from(value[0]) + u64::from(value[99])
    }

    #[inline]
    fn change(value: &[u8; 100]) -> [u8; 100] {
        [value[0].wrapping_add(1); 100]
    }
}
