//! A map's entries as nodes of its list.

use core::fmt;
use core::ptr::NonNull;

use super::list::{Link, Retire};
use crate::atomic::{Owned, Ptr};
use crate::guard::{Guard, Shield};
use crate::scheme::Scheme;

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
    pub(super) key: K,
    pub(super) value: V,
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

/// The node of an entry.
#[repr(C)]
pub(super) struct Node<K, V> {
    /// First, so that a pointer to the node is one to its link.
    link: Link,
    entry: Entry<K, V>,
}

impl<K, V> Node<K, V> {
    pub(super) fn new(order: u64, key: K, value: V) -> Self {
        Self { link: Link::new(order), entry: Entry { key, value } }
    }

    pub(super) fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    pub(super) fn key(&self) -> &K {
        &self.entry.key
    }

    /// The node's pointer, as it stands in the list.
    pub(super) fn as_link<S: Scheme>(node: &Owned<Self, S>) -> Ptr<Link> {
        node.as_ptr().cast()
    }

    pub(super) fn into_entry(self) -> Entry<K, V> {
        self.entry
    }

    /// The entry of a node that is known by its link.
    ///
    /// # Safety
    /// `link` points to the link of a node of this type (not a sentinel), with the provenance of
    /// the whole node.
    pub(super) unsafe fn entry(link: NonNull<Link>) -> NonNull<Entry<K, V>> {
        // SAFETY: the caller's; only an address is taken.
        unsafe { NonNull::new_unchecked(&raw mut (*link.cast::<Self>().as_ptr()).entry) }
    }

    /// The entry that a shield covers; `None` if it covers nothing, or a sentinel.
    ///
    /// # Safety
    /// The shield covers a node of a list of these entries, in its own domain.
    pub(super) unsafe fn covered<'s, S: Scheme>(
        shield: &'s Shield<'_, Link, S>,
    ) -> Option<&'s Entry<K, V>> {
        // SAFETY: the caller's. A shared entry is only borrowed shared.
        unsafe {
            if shield.as_ref()?.is_sentinel() {
                return None;
            }
            let link = NonNull::new(shield.ptr().as_raw())?;
            Some(Self::entry(link).as_ref())
        }
    }
}

impl<K, V, S: Scheme> Retire<S> for Node<K, V> {
    unsafe fn retire(guard: &Guard<'_, S>, node: Ptr<Link>) {
        // SAFETY: the caller's: a node of this type, unlinked.
        unsafe { guard.retire(node.cast::<Self>()) }
    }
}

impl<K, V> fmt::Debug for Node<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.link).finish()
    }
}
