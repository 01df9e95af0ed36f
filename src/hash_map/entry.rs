//! A map's entries, and the nodes that they are in.

use core::fmt;
use core::ptr::NonNull;

/// A key and its value, as a map holds them.
///
/// ```
/// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
/// let map = map.pin();
/// let entry = map.get_key_value("a").unwrap();
/// assert_eq!((*entry.key(), *entry.value()), ("a", 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
}

impl<K, V> Entry<K, V> {
    /// The key.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(*map.pin().get_key_value("a").unwrap().key(), "a");
    /// ```
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The value.
    ///
    /// ```
    /// let map = sexton::HashMap::<_, _>::from([("a", 1)]);
    /// assert_eq!(*map.pin().get_key_value("a").unwrap().value(), 1);
    /// ```
    pub fn value(&self) -> &V {
        &self.value
    }
}

/// The node of an entry. It does not change while the map is shared.
pub(super) struct Node<K, V> {
    /// Kept, so that moving an entry to another table runs no code of the user's: none that could
    /// panic under somebody who only helps, and none that is dear.
    pub(super) hash: u64,
    pub(super) entry: Entry<K, V>,
}

impl<K, V> Node<K, V> {
    pub(super) fn new(hash: u64, key: K, value: V) -> Self {
        Self { hash, entry: Entry { key, value } }
    }

    /// The entry of a node.
    ///
    /// # Safety
    /// `node` points to a node, with the provenance of the whole of it.
    pub(super) unsafe fn entry(node: NonNull<Self>) -> NonNull<Entry<K, V>> {
        // SAFETY: the caller's; only an address is taken.
        unsafe { NonNull::new_unchecked(&raw mut (*node.as_ptr()).entry) }
    }
}

impl<K, V> fmt::Debug for Node<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("hash", &self.hash).finish_non_exhaustive()
    }
}
