//! The first word of a key, so to speak: a number that is in the same order.
//!
//! A search compares many keys and meets most of them once: each costs a miss of the cache. For the
//! types of key that most maps have a word says which of two is less, nearly always: it is kept beside
//! the pointer to the entry. That of a number is its value, that of a text its first bytes.
//!
//! - **I1.** Of two keys of one type, the one whose prefix is less is less.
//! - **I2.** The prefix of a key and that of its borrowed form are the same, if both types are known:
//!   the borrowed form of a text is the text, that of a number the number. Where only one is known,
//!   nothing is concluded from prefixes ([`Sought::by`]).
//!
//! All keys of an unknown type have the same prefix, and are compared themselves.

use core::borrow::Borrow;
use core::cmp::Ordering::{self as Order, Greater, Less};
use std::sync::Arc;

/// What is known of a type's prefixes; I2 holds between types of one family.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Number,
    Text,
}

/// A prefix of so many bytes.
const BYTES: usize = size_of::<usize>();

/// If it is one type, the key as that type: there need be no key, to ask for the type only.
///
/// Lifetimes in the type are taken for `'static`: nothing of the key may be kept.
fn cast<T: ?Sized, U: 'static>(key: Option<&T>) -> Option<Option<&U>> {
    let is_one = typeid::of::<T>() == typeid::of::<U>();
    // SAFETY: it is of that type.
    is_one.then(|| key.map(|key| unsafe { &*(&raw const *key).cast::<U>() }))
}

/// The same for the borrowed forms of texts, which have no size.
fn cast_bytes<T: ?Sized>(key: Option<&T>) -> Option<Option<&[u8]>> {
    let is_text =
        typeid::of::<T>() == typeid::of::<str>() || typeid::of::<T>() == typeid::of::<[u8]>();
    // SAFETY: it is of such a type, so `&T` is an address and a length, and all bytes there are
    // initialised.
    is_text.then(|| key.map(|key| unsafe { core::mem::transmute_copy::<&T, &[u8]>(&key) }))
}

/// Those bytes as a number that is in the same order. Zeros behind a short one: then it may have the
/// prefix of a longer one, which is no contradiction to I1.
fn of_bytes(bytes: &[u8]) -> usize {
    let mut word = [0; BYTES];
    let len = bytes.len().min(BYTES);
    word[..len].copy_from_slice(&bytes[..len]);
    usize::from_be_bytes(word)
}

/// A number's highest bits, so many as a word has.
fn highest(number: u128, bits: u32) -> usize {
    let excess = bits.saturating_sub(usize::BITS);
    // What does not fit is shifted out.
    (number >> excess) as usize
}

/// The number that the key is, if it is one; a signed one with its sign turned, as the negative are
/// less.
macro_rules! number {
    ($key:ident: $($unsigned:ident $signed:ident)*) => { $(
        if let Some(key) = cast::<_, $unsigned>($key) {
            let number = key.map_or(0, |key| *key);
            return Some((Family::Number, highest(number as u128, $unsigned::BITS)));
        }
        if let Some(key) = cast::<_, $signed>($key) {
            let turned = key.map_or(0, |key| *key) as $unsigned ^ (1 << ($unsigned::BITS - 1));
            return Some((Family::Number, highest(turned as u128, $unsigned::BITS)));
        }
    )* };
}

/// The bytes that the key is, if it is a text.
macro_rules! text {
    ($key:ident: $($owner:ty)*) => { $(
        if let Some(key) = cast::<_, $owner>($key) {
            return Some((Family::Text, key.map_or(0, |key| of_bytes((**key).as_ref()))));
        }
    )* };
}

/// A type's family, and the prefix of a key of it.
#[expect(clippy::cast_lossless, clippy::cast_sign_loss, reason = "one form for all of them")]
#[inline]
fn known<T: ?Sized>(key: Option<&T>) -> Option<(Family, usize)> {
    number!(key: u64 i64 u32 i32 usize isize u128 i128 u16 i16 u8 i8);
    if let Some(key) = cast::<_, char>(key) {
        return Some((Family::Number, key.map_or(0, |key| *key as usize)));
    }
    if let Some(bytes) = cast_bytes(key) {
        return Some((Family::Text, bytes.map_or(0, of_bytes)));
    }
    text!(key: String Vec<u8> Box<str> Box<[u8]> Arc<str> Arc<[u8]> &'static str &'static [u8]);
    None
}

/// The prefix of a key in the map.
#[inline]
pub(super) fn of<K>(key: &K) -> usize {
    known(Some(key)).map_or(0, |(_, prefix)| prefix)
}

/// What is searched for, and how keys stand to it.
pub(super) struct Sought<F> {
    /// Of a lesser prefix are lesser keys, and of a greater one than `high` greater ones.
    low: usize,
    high: usize,
    /// How a key stands to what is searched for. May be asked more than once.
    compare: F,
    /// It was misled by what nodes had before.
    is_careful: bool,
}

impl<F> Sought<F> {
    /// A place that is found by comparing with this key.
    #[inline]
    pub(super) fn by<K, Q>(key: &Q, compare: F) -> Self
    where
        K: Borrow<Q>,
        Q: ?Sized,
        F: FnMut(&K) -> Order,
    {
        let (low, high) = match (known::<K>(None), known(Some(key))) {
            (Some((ours, _)), Some((theirs, prefix))) if ours == theirs => (prefix, prefix),
            _ => (0, usize::MAX),
        };
        Self { low, high, compare, is_careful: false }
    }

    /// What is behind all keys.
    pub(super) fn end<K>(compare: F) -> Self
    where
        F: FnMut(&K) -> Order,
    {
        Self { low: usize::MAX, high: usize::MAX, compare, is_careful: false }
    }

    /// How keys of this prefix stand, if that is known.
    #[inline]
    pub(super) fn by_prefix(&self, prefix: usize) -> Option<Order> {
        if prefix < self.low {
            Some(Less)
        } else if prefix > self.high {
            Some(Greater)
        } else {
            None
        }
    }

    /// From now on it takes what is below a node's least prefix for no proof that the node begins there.
    pub(super) fn be_careful(&mut self) {
        self.is_careful = true;
    }

    /// How the first of what is in a node stands, if that is known by the node's least prefix, or nearly.
    #[inline]
    pub(super) fn by_low(&self, low: usize) -> Option<Order> {
        self.by_prefix(low).filter(|order| !self.is_careful || *order == Greater)
    }

    /// How a key stands.
    #[inline]
    pub(super) fn by_key<K>(&mut self, key: &K) -> Order
    where
        F: FnMut(&K) -> Order,
    {
        (self.compare)(key)
    }

    /// How many of some ascending prefixes are less for sure, and how many may be not greater.
    #[inline]
    pub(super) fn bounds(&self, prefixes: &[usize]) -> (usize, usize) {
        let from = prefixes.partition_point(|prefix| *prefix < self.low);
        let rest = &prefixes[from..];
        let doubtful = match rest.first() {
            Some(first) if *first <= self.high => {
                rest.partition_point(|prefix| *prefix <= self.high)
            }
            _ => 0,
        };
        (from, from + doubtful)
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use core::fmt::Debug;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    /// The prefix of a key of a known type.
    fn prefix<T: ?Sized>(key: &T) -> usize {
        let (_, prefix) = known(Some(key)).expect("the type is known");
        prefix
    }

    /// I1, for each two of these.
    fn assert_in_order<T: Ord + Debug>(keys: &[T]) {
        // Once for each key: under Miri that is what takes time.
        let keys: Vec<_> = keys.iter().map(|key| (key, prefix(key))).collect();
        for (one, low) in &keys {
            for (other, high) in &keys {
                assert!(low >= high || one < other, "{one:?} and {other:?}");
            }
        }
    }

    /// Runs a test on random values. Nothing is kept in files: a failure prints its smallest example.
    fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value)) {
        let cases = if cfg!(miri) { 1 } else { 1000 };
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&strategy, |value| {
            test(value);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Bytes of texts that often begin alike, with many zeros.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0), Just(1), Just(b'a'), any::<u8>()], 0..12)
    }

    /// The same, of characters of one byte.
    fn text() -> impl Strategy<Value = String> {
        let ascii = |bytes: Vec<u8>| bytes.into_iter().map(|byte| char::from(byte & 0x7f));
        bytes().prop_map(move |bytes| ascii(bytes).collect())
    }

    /// Texts of which each two differ as texts can.
    const EDGES: [&str; 18] = [
        "",
        "\0",
        "\0\0",
        "\0\0\0\0\0\0\0\0",
        "\0\0\0\0\0\0\0\0\0",
        "\0\0\0\0\0\0\0\0a",
        "\0a",
        "\u{1}",
        "a",
        "a\0",
        "a\0b",
        "aa",
        "aaaaaaa",
        "aaaaaaaa",
        "aaaaaaaaa",
        "aaaaaaaab",
        "b",
        "\u{10ffff}",
    ];

    /// Under Miri one of three.
    fn edges() -> impl Iterator<Item = &'static str> {
        EDGES.into_iter().step_by(if cfg!(miri) { 3 } else { 1 })
    }

    #[test]
    fn what_has_the_lesser_prefix_is_the_lesser_number() {
        macro_rules! check_numbers {
            ($($number:ident)*) => { $(
                let (least, most) = ($number::MIN, $number::MAX);
                let zero: $number = 0;
                let edges = [
                    least, least + 1, least / 2, zero.wrapping_sub(1), zero, 1, most / 2,
                    most / 2 + 1, most - 1, most,
                ];
                assert_in_order(&edges);
                assert!(prefix(&least) < prefix(&(most / 2 + 1)), "it says nothing");
                assert!(prefix(&(most / 2 - most / 4)) < prefix(&most), "it says nothing");
                check(any::<[$number; 4]>(), |numbers| {
                    assert_in_order(&numbers);
                    if size_of::<$number>() <= BYTES {
                        let [one, other, ..] = numbers;
                        assert_eq!(prefix(&one) == prefix(&other), one == other);
                    }
                });
            )* };
        }
        check_numbers! { u8 i8 u16 i16 u32 i32 u64 i64 usize isize u128 i128 }
        // Of these a word has the highest bits only.
        let half = u128::from(u64::MAX);
        assert_in_order(&[0, 1, half, half + 1, half << 1, u128::MAX - 1]);
    }

    #[test]
    fn what_has_the_lesser_prefix_is_the_lesser_character() {
        assert_in_order(&['\0', '\u{1}', 'a', '\u{d7ff}', '\u{e000}', '\u{ffff}', char::MAX]);
        assert!(prefix(&'a') < prefix(&'b'), "it says nothing");
        check(any::<[char; 4]>(), |characters| assert_in_order(&characters));
    }

    #[test]
    fn what_has_the_lesser_prefix_is_the_lesser_text() {
        fn assert_all_in_order(texts: &[String]) {
            let bytes: Vec<_> = texts.iter().map(|text| text.as_bytes()).collect();
            assert_in_order(texts);
            assert_in_order(&texts.iter().map(|text| &**text).collect::<Vec<_>>());
            assert_in_order(
                &texts.iter().map(|text| Box::from(&**text)).collect::<Vec<Box<str>>>(),
            );
            assert_in_order(
                &texts.iter().map(|text| Arc::from(&**text)).collect::<Vec<Arc<str>>>(),
            );
            assert_bytes_in_order(&bytes);
        }

        fn assert_bytes_in_order(texts: &[&[u8]]) {
            assert_in_order(texts);
            assert_in_order(&texts.iter().map(|text| text.to_vec()).collect::<Vec<_>>());
            assert_in_order(&texts.iter().map(|text| Box::from(*text)).collect::<Vec<Box<[u8]>>>());
            assert_in_order(&texts.iter().map(|text| Arc::from(*text)).collect::<Vec<Arc<[u8]>>>());
        }

        assert_all_in_order(&edges().map(str::to_owned).collect::<Vec<_>>());
        let highest = [0xff; BYTES + 1];
        assert_bytes_in_order(&[&[], &[0], &[0x7f], &[0x80], &highest[1..], &highest]);
        assert!(prefix("a") < prefix("b") && prefix("a") < prefix("aa"), "it says nothing");
        assert!(prefix("aaa\0") < prefix("aaab"), "it says nothing");
        // Two by two under Miri, which takes longest to think them up.
        let together = if cfg!(miri) { 2 } else { 4 };
        check(vec(text(), together), |texts| assert_all_in_order(&texts));
        check(vec(bytes(), together), |texts| {
            assert_bytes_in_order(&texts.iter().map(|text| &**text).collect::<Vec<_>>());
        });
    }

    /// I2. The map's key is asked for its prefix by `of`.
    fn assert_same<K: Borrow<Q>, Q: ?Sized>(key: K) {
        let sought = Sought::by(key.borrow(), |_: &K| Order::Equal);
        let ours = of(&key);
        assert_eq!((sought.low, sought.high), (ours, ours));
        assert!(known(Some(&key)) == known(Some(key.borrow())));
    }

    #[test]
    fn a_key_has_the_prefix_of_its_borrowed_form() {
        fn check_text(text: &str) {
            let (text, bytes) = (text.to_owned(), text.as_bytes());
            assert_same::<String, str>(text.clone());
            assert_same::<Box<str>, str>(Box::from(&*text));
            assert_same::<Arc<str>, str>(Arc::from(&*text));
            assert_same::<&str, str>(&text);
            assert_same::<&str, &str>(&text);
            assert_same::<Vec<u8>, [u8]>(bytes.to_vec());
            assert_same::<Box<[u8]>, [u8]>(Box::from(bytes));
            assert_same::<Arc<[u8]>, [u8]>(Arc::from(bytes));
            assert_same::<&[u8], [u8]>(bytes);
            assert_same::<String, String>(text);
        }

        edges().for_each(check_text);
        check(text(), |text| check_text(&text));
        check(any::<u64>(), assert_same::<u64, u64>);
        check(any::<i8>(), assert_same::<i8, i8>);
        check(any::<char>(), assert_same::<char, char>);
    }

    /// Keys whose type is not known.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    #[repr(transparent)]
    struct Unknown(u64);

    impl Borrow<u64> for Unknown {
        fn borrow(&self) -> &u64 {
            &self.0
        }
    }

    impl Borrow<Unknown> for u64 {
        fn borrow(&self) -> &Unknown {
            // SAFETY: `Unknown` is a `u64` and no more.
            unsafe { &*(&raw const *self).cast() }
        }
    }

    #[test]
    fn nothing_is_concluded_if_one_type_is_unknown() {
        fn assert_nothing<K: Borrow<Q>, Q: ?Sized>(key: &Q) {
            let sought = Sought::by(key, |_: &K| Order::Equal);
            for prefix in [0, 1, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
                assert_eq!(sought.by_prefix(prefix), None);
            }
            assert_eq!(sought.bounds(&[0, 0, 5, usize::MAX]), (0, 4));
        }

        for number in [0, 1, u64::MAX] {
            assert_nothing::<Unknown, u64>(&number);
            assert_nothing::<u64, Unknown>(&Unknown(number));
            assert_nothing::<Unknown, Unknown>(&Unknown(number));
            assert_nothing::<&u64, u64>(&number);
            assert_nothing::<Box<u64>, u64>(&number);
            assert_eq!(of(&Unknown(number)), 0);
        }
        assert_nothing::<Box<String>, String>(&"a".to_owned());
        assert_nothing::<[u8; 3], [u8]>(b"abc");
        assert_nothing::<(), ()>(&());
        // Not even that a number is less than a text.
        assert!(known(Some(&7_u64)) != known(Some(&[0, 0, 0, 0, 0, 0, 0, 7_u8][..])));
    }

    #[test]
    fn a_map_finds_keys_if_one_type_is_unknown() {
        use crate::SkipMap;

        const COUNT: u64 = if cfg!(miri) { 44 } else { 1000 };
        let numbers = || (0..COUNT).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let known: SkipMap<u64, u64> = numbers().map(|number| (number, number)).collect();
        let unknown: SkipMap<Unknown, u64> =
            numbers().map(|number| (Unknown(number), number)).collect();
        let (known, unknown) = (known.pin(), unknown.pin());
        // (For branches there must be so many, under Miri, but not all need be looked for.)
        for number in numbers().step_by(if cfg!(miri) { 8 } else { 1 }) {
            assert_eq!(known.get(&Unknown(number)).as_deref(), Some(&number));
            assert_eq!(unknown.get(&number).as_deref(), Some(&number));
            assert_eq!(known.get(&Unknown(number + 1)).as_deref(), None);
            assert_eq!(unknown.get(&(number + 1)).as_deref(), None);
        }
        let middle = u64::MAX / 3;
        let expected = numbers().filter(|number| *number >= middle).count();
        assert_eq!(known.range(Unknown(middle)..).count(), expected);
        assert_eq!(unknown.range(middle..).rev().count(), expected);
        assert_eq!(known.remove_range(Unknown(middle)..), expected);
        assert_eq!(unknown.remove_range(middle..), expected);
        for number in numbers().filter(|number| *number < middle) {
            assert_eq!(known.remove(&Unknown(number)).as_deref(), Some(&number));
            assert_eq!(unknown.remove(&number).as_deref(), Some(&number));
        }
        assert!(known.is_empty() && unknown.is_empty());
    }

    #[test]
    fn bounds_are_those_of_what_is_not_less_and_not_greater() {
        let prefixes = || vec(prop_oneof![0..8_usize, Just(usize::MAX)], 0..31);
        let limit = || prop_oneof![0..9_usize, Just(usize::MAX)];
        check((prefixes(), limit(), limit()), |(mut prefixes, one, other)| {
            prefixes.sort_unstable();
            let (low, high) = (one.min(other), one.max(other));
            let sought = Sought { low, high, is_careful: false, compare: |_: &()| Order::Equal };
            let count = |condition: &dyn Fn(usize) -> bool| {
                prefixes.iter().filter(|prefix| condition(**prefix)).count()
            };
            let (from, to) = (count(&|prefix| prefix < low), count(&|prefix| prefix <= high));
            assert_eq!(sought.bounds(&prefixes), (from, to));
            for (at, prefix) in prefixes.iter().enumerate() {
                let expected = match at {
                    _ if at < from => Some(Less),
                    _ if at >= to => Some(Greater),
                    _ => None,
                };
                assert_eq!(sought.by_prefix(*prefix), expected);
            }
        });
        // Behind all keys is behind those with the greatest prefix, too: they are compared.
        let end = Sought::end(|_: &u64| Less);
        assert_eq!(end.bounds(&[0, 7, usize::MAX, usize::MAX]), (2, 4));
        assert_eq!(end.by_prefix(usize::MAX), None);
    }
}
