//! A table that grows and never moves: segments, each twice as large as the one before.
//!
//! - **I1.** A segment, once there, stays where it is for as long as the table lives, so a reference
//!   into it lasts as long as a borrow of the table.
//! - **I2.** Segments come in their order: behind the first that is missing there is none.

use core::fmt;
use core::ptr;
use core::slice;

use crate::sync::{AtomicPtr, MODEL, Ordering, null_pointers, sized};

/// The length of the first segment.
const FIRST: usize = if MODEL { 2 } else { 8 };

/// Segments at most: with these a table has more places than there can be threads.
const SEGMENTS: usize = sized(2, 4, 26);

/// A table of `T`, which begin as their default.
pub(crate) struct Segments<T> {
    segments: [AtomicPtr<T>; SEGMENTS],
}

impl<T> Segments<T> {
    crate::sync::const_where_possible! {
        pub(crate) fn new() -> Self {
            Self { segments: null_pointers() }
        }
    }

    /// What stands at a place, if its segment is there.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (segment, offset) = place(index);
        // Acquire: pairs with the Release in `grow`, so the places are initialised.
        let first = self.segments.get(segment)?.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        // SAFETY: I1; `place` returns an offset within the segment.
        Some(unsafe { &*first.add(offset) })
    }

    /// All places that are there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let segments = self.segments.iter().enumerate().map_while(|(number, first)| {
            // Acquire: as above.
            let first = first.load(Ordering::Acquire);
            // SAFETY: I1; initialised before it was published.
            (!first.is_null()).then(|| unsafe { slice::from_raw_parts(first, length(number)) })
        });
        segments.flatten()
    }
}

impl<T: Default> Segments<T> {
    /// What stands at a place, whose segment is made if need be.
    ///
    /// # Panics
    /// If there are more places than a process can have threads. Aborts when there is no memory.
    #[inline]
    pub(crate) fn get_or_grow(&self, index: usize) -> &T {
        match self.get(index) {
            Some(found) => found,
            None => self.grow(index),
        }
    }

    #[cold]
    fn grow(&self, index: usize) -> &T {
        let (last, _) = place(index);
        assert!(last < SEGMENTS, "more threads than there can be");
        for (number, segment) in self.segments.iter().take(last + 1).enumerate() {
            if !segment.load(Ordering::Relaxed).is_null() {
                continue;
            }
            let new: Box<[T]> = (0..length(number)).map(|_| T::default()).collect();
            let new = Box::into_raw(new);
            // Release: publishes the places. I2: in order; Acquire: so that who sees this one sees
            // those before it.
            let won = segment.compare_exchange(
                ptr::null_mut(),
                new.cast(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if won.is_err() {
                // SAFETY: from `Box::into_raw`, and nobody else knows it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
        self.get(index).expect("just made")
    }
}

impl<T> Drop for Segments<T> {
    fn drop(&mut self) {
        for (number, segment) in self.segments.iter().enumerate() {
            // Acquire: the table is ours; this is for the places' contents.
            let first = segment.load(Ordering::Acquire);
            if !first.is_null() {
                let places = ptr::slice_from_raw_parts_mut(first, length(number));
                // SAFETY: from `Box::into_raw`, with this length.
                drop(unsafe { Box::from_raw(places) });
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Segments<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The length of a segment.
const fn length(segment: usize) -> usize {
    FIRST << segment
}

/// In which segment a place is, and where in it. The number may be beyond the last segment.
#[inline]
const fn place(index: usize) -> (usize, usize) {
    let from_first = index.saturating_add(FIRST);
    let segment = (from_first.ilog2() - FIRST.ilog2()) as usize;
    (segment, from_first - (FIRST << segment))
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;
    use crate::sync::AtomicUsize;

    #[test]
    fn places_follow_one_another_without_a_gap() {
        let mut expected = (0, 0);
        for index in 0..if cfg!(miri) { 1000 } else { 10_000 } {
            assert_eq!(place(index), expected);
            expected.1 += 1;
            if expected.1 == length(expected.0) {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(place(usize::MAX).0 >= SEGMENTS);
    }

    #[test]
    fn a_place_stays_where_it_is() {
        let table = Segments::<AtomicUsize>::new();
        assert!(table.get(0).is_none());
        assert!(table.get(usize::MAX).is_none());
        let places: Vec<_> = (0..1000).map(|index| table.get_or_grow(index)).collect();
        places.iter().enumerate().for_each(|(index, place)| place.store(index, Ordering::Relaxed));
        for (index, place) in table.iter().take(1000).enumerate() {
            assert_eq!(place.load(Ordering::Relaxed), index);
            assert!(ptr::eq(place, places[index]));
        }
    }
}
