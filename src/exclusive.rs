//! Taking a structure apart that is borrowed exclusively: no guard, no scheme, plain iterators.

use core::fmt;
use core::iter::FusedIterator;

/// A structure whose values can be taken out one by one by its only user.
pub trait Exclusive {
    /// What is taken out.
    type Item;

    /// Called before the first is taken, each time: others may have used the structure since.
    fn begin(&mut self) {}

    /// Takes one out. Once it has returned `None`, it does so again, and at once.
    fn take_one(&mut self) -> Option<Self::Item>;

    /// Called when all were taken out of a structure that stays.
    fn end(&mut self) {}
}

/// Drops all that is left in a structure, also when a value's drop panics (the second panic of
/// that kind aborts, as everywhere).
pub(crate) fn drop_all<C: Exclusive>(structure: &mut C) {
    struct Rest<'a, C: Exclusive>(&'a mut C);

    impl<C: Exclusive> Drop for Rest<'_, C> {
        fn drop(&mut self) {
            while let Some(item) = self.0.take_one() {
                drop(item);
            }
        }
    }

    structure.begin();
    let rest = Rest(structure);
    while let Some(item) = rest.0.take_one() {
        drop(item);
    }
}

/// Takes all values out of a structure, which stays. What is not taken stays in it.
///
/// ```
/// let mut queue = sexton::Queue::<_>::from([1, 2, 3]);
/// assert_eq!(queue.drain().next(), Some(1));
/// assert_eq!(queue.pop(), Some(2));
/// ```
pub struct Drain<'a, C> {
    /// `None` when all were taken out.
    structure: Option<&'a mut C>,
}

impl<'a, C: Exclusive> Drain<'a, C> {
    pub(crate) fn new(structure: &'a mut C) -> Self {
        structure.begin();
        Self { structure: Some(structure) }
    }
}

impl<C: Exclusive> Iterator for Drain<'_, C> {
    type Item = C::Item;

    fn next(&mut self) -> Option<C::Item> {
        let item = self.structure.as_mut()?.take_one();
        if item.is_none() {
            self.structure.take()?.end();
        }
        item
    }
}

impl<C: Exclusive> FusedIterator for Drain<'_, C> {}

impl<C> fmt::Debug for Drain<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Drain")
    }
}

/// Takes all values out of a structure that was given away.
///
/// ```
/// let stack = sexton::Stack::<_>::from([1, 2, 3]);
/// assert_eq!(stack.into_iter().collect::<Vec<_>>(), [3, 2, 1]);
/// ```
pub struct IntoIter<C> {
    structure: C,
}

impl<C: Exclusive> IntoIter<C> {
    pub(crate) fn new(mut structure: C) -> Self {
        structure.begin();
        Self { structure }
    }
}

impl<C: Exclusive> Iterator for IntoIter<C> {
    type Item = C::Item;

    fn next(&mut self) -> Option<C::Item> {
        self.structure.take_one()
    }
}

impl<C: Exclusive> FusedIterator for IntoIter<C> {}

impl<C> fmt::Debug for IntoIter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntoIter")
    }
}
