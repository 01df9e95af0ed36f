//! A queue.
//!
//! A list of segments; a segment is an array of cells, in which pushers and poppers number themselves,
//! by fetch-and-add at the latest. (After Ramalhete and Correia, "FAAArrayQueue", 2016, with the values in the
//! cells; they go back to Michael and Scott, PODC 1996, for the list, and to Morrison and Afek, PPoPP
//! 2013, for the rest.)
//!
//! | file | what |
//! | --- | --- |
//! | `mod.rs` | what users see |
//! | `list.rs` | the algorithm: how segments come and go; why it is right, and gets on |
//! | `segment.rs` | cells: how a pusher and a popper agree on one |
//! | `counter.rs` | which cell is next, whether others are at it, and whether one alone may |
//! | `error.rs` | why a push did not succeed |

mod counter;
mod error;
mod list;
mod segment;

use core::borrow::Borrow;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

use crossbeam_utils::CachePadded;

pub use self::error::PushError;
use self::list::Link;
use self::segment::Segment;
use crate::Epoch;
use crate::domain::Reclaimer;
use crate::exclusive::{Drain, Exclusive, IntoIter, drop_all};
use crate::guard::{Guard, Pinned};
use crate::retired::Vtable;
use crate::scheme::Scheme;

/// A lock-free queue: first in, first out, unbounded, for any number of threads at both ends.
///
/// ```
/// let queue = sexton::Queue::<_>::new();
/// queue.push(1);
/// queue.push(2);
/// assert_eq!(queue.pop(), Some(1));
/// assert_eq!(queue.pop(), Some(2));
/// assert_eq!(queue.pop(), None);
/// ```
///
/// # Progress
/// Lock-free at both ends: a thread that stops in the middle of an operation, even for ever, stops
/// nobody, and no value is lost or doubled by it but the one that was in its hands: the one that its
/// push had not put in yet, or that its pop had taken already. (In `crossbeam`'s `SegQueue` and in
/// `concurrent-queue` a pusher that sleeps at the wrong moment stops those who pop.)
///
/// A push and a pop each take a number by compare-and-swap. Who loses steps back for a moment, so that
/// the winner runs on in its own cache; so does a push that finds that another thread was the last to
/// push. If the others get on all the time it takes a number by fetch-and-add, whatever they do: after
/// a tenth of a millisecond at most, and no step takes more than a few microseconds. A push has one more
/// atomic operation, on the cell of that number. A pop that finds nothing writes nothing.
///
/// Who has filled a segment alone makes the next one its own, and saves that second operation there: it puts
/// its value in first, and then takes the number. Another thread that pushes ends such a segment, when the
/// owner pauses, or after that tenth of a millisecond; so does a pop that has got ahead of the owner, and
/// [`close`](Self::close).
///
/// No method may be called in a signal handler that may have interrupted another one of the same queue.
///
/// # Linearization
/// Values come out in the order of the cells that their pushes take. A `push` takes effect when its cell or
/// a later one is filled, or, in a segment of its own, when it takes the number; a `pop` when it takes its
/// cell's number, or, if that push comes later, right after it. Who finds nothing, when he loads how many
/// cells pushes have taken, or that there is no segment, or none behind one that is used up or ended; a
/// `peek` or an `is_empty` that finds a value, when it loads which cell is the first, or, if the push of what
/// it finds comes later, right after it. `close`, when no cell of the last segment can be filled any more.
/// `len` is of no single moment.
///
/// # Memory
/// An empty queue that was never used has no memory of its own. With the first value it has a segment
/// of 2 KiB, and it never has less again; an element takes its size and one byte, rounded up to its
/// alignment (16 bytes for a `u64`, of which 112 go into a segment), and there is no allocation for
/// each. Segments have at least 8 cells, so large values make larger ones. Where one thread has pushed
/// alone and another one comes, the cells that are left in a segment stay empty: in one segment of three
/// at most. A segment that is used up is retired, and its block serves again where the scheme keeps
/// blocks. A popped value is moved out, so `T` may borrow.
///
/// # Closing
/// A queue can be [closed](Self::close): then nothing goes in any more, and what is in comes out.
/// [`push`](Self::push) is for queues that nobody closes, and has no error to handle, as
/// [`Vec::push`] has none; [`try_push`](Self::try_push) gives the value back in a [`PushError`].
///
/// # Iteration
/// [`drain`](Self::drain) and `into_iter` take the values out, and have the queue for themselves.
/// There is no iterator over a queue that is shared: values are moved out under it.
///
/// # When to use a lock instead
/// A `Mutex<VecDeque<T>>` is faster on few cores when threads do little else: its owner runs in
/// bursts. It also is bounded, or has values looked at in the middle, if you like. What this queue
/// gives is that a thread that sleeps in the middle stops nobody.
pub struct Queue<T, R: Reclaimer = Epoch> {
    /// The first segment; null before the first push.
    head: CachePadded<Link<T>>,
    /// The last segment, or one before it; null at first.
    tail: CachePadded<Link<T>>,
    reclaimer: R,
}

// SAFETY: the queue owns its values and passes them between threads, one owner at a time.
unsafe impl<T: Send, R: Reclaimer> Send for Queue<T, R> {}
// SAFETY: as above. A shared queue hands out values, and copies of `Copy` ones, never a `&T`.
unsafe impl<T: Send, R: Reclaimer> Sync for Queue<T, R> {}

// No user code runs while a value is on its way in or out, and nobody sees one that is in.
impl<T, R: Reclaimer> UnwindSafe for Queue<T, R> {}
impl<T, R: Reclaimer> RefUnwindSafe for Queue<T, R> {}

impl<T, R: Reclaimer + Default> Queue<T, R> {
    /// An empty queue. Allocates nothing.
    ///
    /// ```
    /// let queue = sexton::Queue::<u8>::new();
    /// assert!(queue.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_reclaimer(R::default())
    }
}

impl<T, R: Reclaimer> Queue<T, R> {
    /// An empty queue in a domain. Allocates nothing.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, Queue};
    ///
    /// let queue = Queue::with_reclaimer(Domain::<Epoch>::new());
    /// queue.push(1);
    /// ```
    #[must_use]
    pub fn with_reclaimer(reclaimer: R) -> Self {
        let link = || CachePadded::new(Link::null());
        Self { head: link(), tail: link(), reclaimer }
    }

    /// Opens a guard for many operations: they are those of the queue itself.
    ///
    /// ```
    /// let queue = sexton::Queue::<_>::new();
    /// let pinned = queue.pin();
    /// pinned.push(1);
    /// assert_eq!(pinned.pop(), Some(1));
    /// ```
    pub fn pin(&self) -> Pinned<'_, Self, Guard<'_, R::Scheme>> {
        Pinned::new(self, self.reclaimer.pin())
    }

    /// Uses a guard of the caller's for many operations.
    ///
    /// # Panics
    /// If the guard is of another domain.
    ///
    /// ```
    /// use sexton::{Epoch, Queue, Reclaimer};
    ///
    /// let (one, two) = (Queue::<_>::new(), Queue::<_>::new());
    /// let guard = Epoch.pin();
    /// one.with(&guard).push(1);
    /// two.with(&guard).push(2);
    /// ```
    pub fn with<'a>(
        &'a self,
        guard: &'a Guard<'a, R::Scheme>,
    ) -> Pinned<'a, Self, &'a Guard<'a, R::Scheme>> {
        Pinned::with(self, &self.reclaimer, guard)
    }

    /// The handle to the queue's domain.
    ///
    /// ```
    /// use sexton::{Queue, Reclaimer};
    ///
    /// let queue = Queue::<u8>::new();
    /// println!("{:?}", queue.reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        &self.reclaimer
    }

    /// Puts a value at the end.
    ///
    /// For a queue that is never [closed](Self::close) it never fails; see
    /// [`try_push`](Self::try_push).
    ///
    /// # Panics
    /// If the queue is closed: the value is dropped. Aborts as [`Box::new`] does when there is no
    /// memory.
    ///
    /// ```
    /// let queue = sexton::Queue::<_>::new();
    /// queue.push("last");
    /// ```
    #[inline]
    #[track_caller]
    pub fn push(&self, value: T) {
        pushed::<T, R>(self.try_push(value));
    }

    /// Puts a value at the end.
    ///
    /// # Errors
    /// Gives it back when the queue is closed, or when there is no memory for a segment.
    ///
    /// ```
    /// use sexton::{PushError, Queue};
    ///
    /// let queue = Queue::<_>::new();
    /// assert_eq!(queue.try_push(1), Ok(()));
    /// queue.close();
    /// assert_eq!(queue.try_push(2), Err(PushError::Closed(2)));
    /// ```
    #[inline]
    pub fn try_push(&self, value: T) -> Result<(), PushError<T>> {
        self.push_pinning(value)
    }

    /// Takes the first value.
    ///
    /// ```
    /// let queue = sexton::Queue::<_>::from([1, 2]);
    /// assert_eq!(queue.pop(), Some(1));
    /// ```
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.pop_pinning()
    }

    /// A copy of the first value.
    ///
    /// For `Copy` values only: another thread may pop the value and drop it at any time, so a
    /// reference to it could not be protected.
    ///
    /// ```
    /// let queue = sexton::Queue::<_>::from([1, 2]);
    /// assert_eq!(queue.peek(), Some(1));
    /// assert_eq!(queue.pop(), Some(1));
    /// ```
    pub fn peek(&self) -> Option<T>
    where
        T: Copy,
    {
        self.pin().peek()
    }

    /// Whether there was nothing in it at the moment of looking. A push that is under way does not
    /// count.
    ///
    /// ```
    /// assert!(sexton::Queue::<u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.pin().is_empty()
    }

    /// How many values there are. While others push and pop, a number that was true of each end at
    /// some moment, not of both at the same.
    ///
    /// Looks at the cells of the first and of the last segment: not for each operation.
    ///
    /// ```
    /// assert_eq!(sexton::Queue::<_>::from([1, 2]).len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.pin().len()
    }

    /// Closes the queue: nothing goes in any more, and what is in comes out. Says whether it was open.
    ///
    /// Once this has returned, or [`is_closed`](Self::is_closed), or [`try_push`](Self::try_push) with
    /// an error, no push succeeds, but for one that had found its place before, and is about to put
    /// its value there: that counts as before the closing. A `pop` that finds nothing is the last one
    /// that needs to look.
    ///
    /// Lock-free. It takes effect in one step; see `src/queue/list.rs`.
    ///
    /// ```
    /// let queue = sexton::Queue::<_>::from([1]);
    /// assert!(queue.close());
    /// assert!(!queue.close());
    /// assert!(queue.try_push(2).is_err());
    /// assert_eq!(queue.pop(), Some(1));
    /// assert_eq!(queue.pop(), None);
    /// ```
    pub fn close(&self) -> bool {
        self.pin().close()
    }

    /// Whether it was [closed](Self::close).
    ///
    /// ```
    /// let queue = sexton::Queue::<u8>::new();
    /// assert!(!queue.is_closed());
    /// queue.close();
    /// assert!(queue.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.pin().is_closed()
    }

    /// Takes all values out, first to last, without a guard. What is left when the iterator is
    /// dropped stays in the queue.
    ///
    /// ```
    /// let mut queue = sexton::Queue::<_>::from([1, 2]);
    /// assert_eq!(queue.drain().collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn drain(&mut self) -> Drain<'_, Self> {
        Drain::new(self)
    }
}

/// What `push` makes of what `try_push` says.
#[inline]
#[track_caller]
fn pushed<T, R: Reclaimer>(result: Result<(), PushError<T>>) {
    match result {
        Ok(()) => {}
        Err(PushError::Closed(_)) => panic!("push into a closed queue"),
        Err(PushError::NoMemory(_)) => std::alloc::handle_alloc_error(
            Vtable::of::<<R::Scheme as Scheme>::Header, Segment<T>>().layout(),
        ),
    }
}

impl<'a, T, R, G> Pinned<'a, Queue<T, R>, G>
where
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    /// See [`Queue::push`].
    ///
    /// # Panics
    /// If the queue is closed: the value is dropped. Aborts as [`Box::new`] does when there is no
    /// memory.
    ///
    /// ```
    /// sexton::Queue::<_>::new().pin().push(1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn push(&self, value: T) {
        pushed::<T, R>(self.try_push(value));
    }

    /// See [`Queue::try_push`].
    ///
    /// # Errors
    /// Gives the value back when the queue is closed, or when there is no memory for a segment.
    ///
    /// ```
    /// assert!(sexton::Queue::<_>::new().pin().try_push(1).is_ok());
    /// ```
    #[inline]
    pub fn try_push(&self, value: T) -> Result<(), PushError<T>> {
        self.structure().push_in(self.guard(), value)
    }

    /// See [`Queue::pop`].
    ///
    /// ```
    /// assert_eq!(sexton::Queue::<u8>::new().pin().pop(), None);
    /// ```
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.structure().pop_in(self.guard())
    }

    /// See [`Queue::peek`].
    ///
    /// ```
    /// assert_eq!(sexton::Queue::<u8>::new().pin().peek(), None);
    /// ```
    pub fn peek(&self) -> Option<T>
    where
        T: Copy,
    {
        self.structure().peek_in(self.guard())
    }

    /// See [`Queue::is_empty`].
    ///
    /// ```
    /// assert!(sexton::Queue::<u8>::new().pin().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.structure().is_empty_in(self.guard())
    }

    /// See [`Queue::len`].
    ///
    /// ```
    /// assert_eq!(sexton::Queue::<u8>::new().pin().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.structure().len_in(self.guard())
    }

    /// See [`Queue::close`].
    ///
    /// ```
    /// assert!(sexton::Queue::<u8>::new().pin().close());
    /// ```
    pub fn close(&self) -> bool {
        self.structure().close_in(self.guard())
    }

    /// See [`Queue::is_closed`].
    ///
    /// ```
    /// assert!(!sexton::Queue::<u8>::new().pin().is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.structure().is_closed_in(self.guard())
    }
}

impl<T, R: Reclaimer> Exclusive for Queue<T, R> {
    type Item = T;

    fn take_one(&mut self) -> Option<T> {
        self.take_first()
    }
}

impl<T, R: Reclaimer> Drop for Queue<T, R> {
    fn drop(&mut self) {
        /// Frees the last segment when all values are gone, or one of them panics.
        struct LastSegment<'a, T, R: Reclaimer>(&'a mut Queue<T, R>);

        impl<T, R: Reclaimer> Drop for LastSegment<'_, T, R> {
            fn drop(&mut self) {
                self.0.free_last();
            }
        }

        let last = LastSegment(self);
        drop_all(last.0);
    }
}

impl<T, R: Reclaimer + Default> Default for Queue<T, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, R: Reclaimer> fmt::Debug for Queue<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl<T, R: Reclaimer> Extend<T> for Queue<T, R> {
    /// # Panics
    /// If the queue is closed, and there is something to be pushed.
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        // A guard for each: who knows what the iterator waits for.
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl<T, R: Reclaimer + Default> FromIterator<T> for Queue<T, R> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut queue = Self::new();
        queue.extend(values);
        queue
    }
}

impl<T, R: Reclaimer + Default, const N: usize> From<[T; N]> for Queue<T, R> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<T, R: Reclaimer> IntoIterator for Queue<T, R> {
    type Item = T;
    type IntoIter = IntoIter<Self>;

    /// First to last.
    fn into_iter(self) -> IntoIter<Self> {
        IntoIter::new(self)
    }
}
