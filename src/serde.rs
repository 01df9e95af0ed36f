//! The structures, for [serde](https://docs.rs/serde).
//!
//! A map, a set and a cell are written as what they hold; all are read into the default domain, and
//! a duplicate key counts with its last value. A stack and a queue are only read (their elements
//! pushed one after another): a shared one never refers to its elements, it hands them out. Write
//! what [`drain`](crate::Queue::drain) or `into_iter` gives.
//!
//! A map is written under one guard: into memory, not into a socket. What is written of changes
//! meanwhile is what an iteration sees. Text formats get the entries as they come. Other formats
//! need their number first, so references to all entries are held until they are written: with
//! hazard pointers a slot each.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::domain::Reclaimer;
use crate::{HashMap, HashSet, Queue, RcuCell, Stack};

/// No more room than this is made for what an input only promises.
const MOST_RESERVED: usize = 4096;

impl<K, V, S, R> Serialize for HashMap<K, V, S, R>
where
    K: Hash + Eq + Serialize + Send + 'static,
    V: Serialize + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        let map = self.pin();
        if !serializer.is_human_readable() {
            let entries: Vec<_> = map.iter().collect();
            return serializer.collect_map(entries.iter().map(|it| (it.key(), it.value())));
        }
        let mut writer = serializer.serialize_map(None)?;
        for entry in map.iter() {
            writer.serialize_entry(entry.key(), entry.value())?;
        }
        writer.end()
    }
}

impl<T, S, R> Serialize for HashSet<T, S, R>
where
    T: Hash + Eq + Serialize + Send + 'static,
    S: BuildHasher,
    R: Reclaimer,
{
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        let set = self.pin();
        if !serializer.is_human_readable() {
            let elements: Vec<_> = set.iter().collect();
            return serializer.collect_seq(elements.iter().map(|element| &**element));
        }
        let mut writer = serializer.serialize_seq(None)?;
        for element in set.iter() {
            writer.serialize_element(&*element)?;
        }
        writer.end()
    }
}

impl<T, R> Serialize for RcuCell<T, R>
where
    T: Serialize + Send + 'static,
    R: Reclaimer,
{
    fn serialize<W: Serializer>(&self, serializer: W) -> Result<W::Ok, W::Error> {
        self.read(|value| value.serialize(serializer))
    }
}

impl<'de, K, V, S, R> Deserialize<'de> for HashMap<K, V, S, R>
where
    K: Hash + Eq + Deserialize<'de> + Send + 'static,
    V: Deserialize<'de> + Send + 'static,
    S: BuildHasher + Default,
    R: Reclaimer + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<C>(PhantomData<C>);

        impl<'de, K, V, S, R> Visitor<'de> for Entries<HashMap<K, V, S, R>>
        where
            K: Hash + Eq + Deserialize<'de> + Send + 'static,
            V: Deserialize<'de> + Send + 'static,
            S: BuildHasher + Default,
            R: Reclaimer + Default,
        {
            type Value = HashMap<K, V, S, R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut input: A) -> Result<Self::Value, A::Error> {
                let capacity = input.size_hint().unwrap_or(0).min(MOST_RESERVED);
                let map = HashMap::with_capacity_and_hasher(capacity, S::default());
                // A guard for each: the input may have to wait.
                while let Some((key, value)) = input.next_entry()? {
                    map.pin().insert(key, value);
                }
                Ok(map)
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Reads a sequence into whatever takes one element after another.
struct Elements<C, T, F> {
    put: F,
    kinds: PhantomData<(C, T)>,
}

impl<'de, C, T, F> Visitor<'de> for Elements<C, T, F>
where
    T: Deserialize<'de>,
    C: Default,
    F: Fn(&C, T),
{
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<C, A::Error> {
        let structure = C::default();
        while let Some(element) = input.next_element()? {
            (self.put)(&structure, element);
        }
        Ok(structure)
    }
}

fn deserialize_elements<'de, C, T, D>(deserializer: D, put: impl Fn(&C, T)) -> Result<C, D::Error>
where
    C: Default,
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(Elements { put, kinds: PhantomData })
}

impl<'de, T, S, R> Deserialize<'de> for HashSet<T, S, R>
where
    T: Hash + Eq + Deserialize<'de> + Send + 'static,
    S: BuildHasher + Default,
    R: Reclaimer + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_elements(deserializer, |set: &Self, element| {
            set.insert(element);
        })
    }
}

impl<'de, T, R> Deserialize<'de> for Stack<T, R>
where
    T: Deserialize<'de>,
    R: Reclaimer + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_elements(deserializer, Self::push)
    }
}

impl<'de, T, R> Deserialize<'de> for Queue<T, R>
where
    T: Deserialize<'de>,
    R: Reclaimer + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_elements(deserializer, Self::push)
    }
}

impl<'de, T, R> Deserialize<'de> for RcuCell<T, R>
where
    T: Deserialize<'de> + Send + 'static,
    R: Reclaimer + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}
