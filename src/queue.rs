//! A queue.
//!
//! Michael and Scott's: a list with links to its first and its last node. The first node is a dummy
//! whose value is gone; the values are in the nodes behind it. (Michael and Scott, "Simple, fast,
//! and practical non-blocking and blocking concurrent queue algorithms", PODC 1996.)
//!
//! - *push*: CAS the last node's `next` from null to the new node, then CAS the tail on to it. If
//!   the last node has a `next` already, another pusher is between the two: help it first.
//! - *pop*: CAS the head from the dummy on to its `next`, which is the new dummy. Take that one's
//!   value out, retire the old dummy.
//!
//! # Invariants
//!
//! - **I1.** A node's `next` changes once, from null.
//! - **I2.** The value of a node is read out by the one thread whose CAS made it the dummy, or when
//!   the queue is borrowed exclusively. A retired node has no value: what is put off is its memory
//!   only, and `T` need not be `'static`.
//! - **I3.** *The tail is never behind the head.* A pop that finds the tail on the dummy moves it on
//!   before it moves the head. So a retired node is not reachable from the tail either.
//! - **I4.** *A dummy's `next` proves nothing by itself*: it is frozen (I1), so it reads the same
//!   when both nodes are retired. A node found there is covered if, after it was announced, the
//!   head was still the dummy before it: it is retired only after the head has passed it.
//!
//! # Linearization
//!
//! `push` at its CAS of `next`; a successful `pop` at its CAS of the head; an empty `pop` or `peek`
//! and `is_empty` at their load of the null `next` (the dummy was protected, and what has no `next`
//! cannot have been passed by the head).
//!
//! # Orderings
//!
//! A node is published by the Release CAS of `next`, which is loaded with Acquire. The CASes of
//! head and tail pass that on: whoever moves one to a node has loaded the node with Acquire, and
//! moves with Release; the links are followed after Acquire loads only. Release at the head carries
//! one thing more: the mover has seen the tail beyond the old dummy, and whoever loads the new head
//! with Acquire will see it there or further on. Without it, I3 would hold in no thread's eyes but
//! the mover's.

use core::borrow::Borrow;
use core::fmt;
use core::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

use crate::Epoch;
use crate::atomic::{AllocError, Atomic, Owned, Ptr};
use crate::domain::Reclaimer;
use crate::exclusive::{Drain, Exclusive, IntoIter, drop_all};
use crate::guard::{Guard, Pinned, RECLAIM_BUDGET};
use crate::sync::{Backoff, Ordering};

struct Node<T> {
    /// Uninitialised in the dummy (I2).
    value: MaybeUninit<T>,
    /// I1.
    next: Atomic<Node<T>>,
}

impl<T> Node<T> {
    fn new(value: MaybeUninit<T>) -> Self {
        Self { value, next: Atomic::null() }
    }
}

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
/// Lock-free at both ends: a thread that stops in the middle of an operation stops nobody.
///
/// # Memory
/// One node an element: the value and one word, and what the scheme adds; one node more for the
/// queue. A popped value is moved out, so `T` may borrow.
///
/// # When to use a lock instead
/// A `Mutex<VecDeque<T>>` is faster when threads do little else: its owner runs in bursts. What this
/// queue gives is that a thread that sleeps in the middle stops nobody.
pub struct Queue<T, R: Reclaimer = Epoch> {
    /// The dummy.
    head: CachePadded<Atomic<Node<T>>>,
    /// The last node, or one before it.
    tail: CachePadded<Atomic<Node<T>>>,
    reclaimer: R,
}

// SAFETY: the queue owns its values and passes them between threads, one owner at a time.
unsafe impl<T: Send, R: Reclaimer> Send for Queue<T, R> {}
// SAFETY: as above. A shared queue hands out values, and copies of `Copy` ones, never a `&T`.
unsafe impl<T: Send, R: Reclaimer> Sync for Queue<T, R> {}

impl<T, R: Reclaimer + Default> Queue<T, R> {
    /// An empty queue.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory for its one node.
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
    /// An empty queue in a domain.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory for its one node.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, Queue};
    ///
    /// let queue = Queue::with_reclaimer(Domain::<Epoch>::new());
    /// queue.push(1);
    /// ```
    #[must_use]
    pub fn with_reclaimer(reclaimer: R) -> Self {
        let dummy = reclaimer.pin().owned(Node::new(MaybeUninit::uninit())).into_ptr();
        let link = || CachePadded::new(Atomic::new(dummy));
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
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let queue = sexton::Queue::<_>::new();
    /// queue.push("last");
    /// ```
    pub fn push(&self, value: T) {
        self.pin().push(value);
    }

    /// Puts a value at the end.
    ///
    /// # Errors
    /// Gives it back when there is no memory for its node.
    ///
    /// ```
    /// assert!(sexton::Queue::<_>::new().try_push(1).is_ok());
    /// ```
    pub fn try_push(&self, value: T) -> Result<(), AllocError<T>> {
        self.pin().try_push(value)
    }

    /// Takes the first value.
    ///
    /// ```
    /// let queue = sexton::Queue::<_>::from([1, 2]);
    /// assert_eq!(queue.pop(), Some(1));
    /// ```
    pub fn pop(&self) -> Option<T> {
        self.pin().pop()
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

    /// Whether there was nothing in it at the moment of looking.
    ///
    /// ```
    /// assert!(sexton::Queue::<u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.pin().is_empty()
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

    fn push_node(&self, guard: &Guard<'_, R::Scheme>, node: Owned<Node<T>, R::Scheme>) {
        let node = node.into_ptr();
        let backoff = Backoff::new();
        let mut last = guard.shield();
        loop {
            let tail = last.protect(&self.tail);
            // SAFETY: what is in `tail` are nodes of this domain, and I3: it was not retired when
            // the tail led to it.
            let reached = unsafe { last.as_ref() }.expect("the tail is never null");
            // Acquire: what it finds may become the tail.
            let next = reached.next.load(Ordering::Acquire);
            if !next.is_null() {
                self.move_tail(tail, next);
                continue;
            }
            // Release: publishes the node. Relaxed: what was found is loaded again.
            let linked =
                reached.next.compare_exchange(next, node, Ordering::Release, Ordering::Relaxed);
            if linked.is_ok() {
                self.move_tail(tail, node);
                return;
            }
            backoff.spin();
        }
    }

    /// Moves the tail from a node to its `next`, unless another thread has.
    fn move_tail(&self, tail: Ptr<Node<T>>, next: Ptr<Node<T>>) {
        // Release: passes on that `next` is initialised.
        let _ = self.tail.compare_exchange(tail, next, Ordering::Release, Ordering::Relaxed);
    }

    fn pop_node(&self, guard: &Guard<'_, R::Scheme>) -> Option<T> {
        let backoff = Backoff::new();
        let mut first = guard.shield();
        let mut second = guard.shield();
        loop {
            let dummy = first.protect(&self.head);
            // SAFETY: what is in `head` are nodes of this domain, retired below only.
            let reached = unsafe { first.as_ref() }.expect("the head is never null");
            // Acquire: the node is followed.
            let next = reached.next.load(Ordering::Acquire);
            if next.is_null() {
                return None;
            }
            // I3. Relaxed: only compared; coherence with what the head's mover saw is enough.
            if self.tail.load(Ordering::Relaxed) == dummy {
                self.move_tail(dummy, next);
            }
            // I4: the CAS itself is the proof. Release: see the head of this file.
            let popped = second.announce_if(next, || {
                self.head
                    .compare_exchange(dummy, next, Ordering::Release, Ordering::Relaxed)
                    .is_ok()
            });
            if popped {
                // SAFETY: covered, a node of this domain.
                let new_dummy = unsafe { second.as_ref() }.expect("it is not null");
                // SAFETY: I2: this thread's CAS made it the dummy, and nobody else reads it.
                let value = unsafe { new_dummy.value.assume_init_read() };
                // SAFETY: unlinked by this thread: the head has passed it, the tail too (I3), and
                // `next` links lead on only. Its drop does nothing (I2).
                unsafe { guard.retire(dummy) };
                return Some(value);
            }
            backoff.spin();
        }
    }
}

impl<'a, T, R, G> Pinned<'a, Queue<T, R>, G>
where
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    /// See [`Queue::push`].
    ///
    /// ```
    /// sexton::Queue::<_>::new().pin().push(1);
    /// ```
    pub fn push(&self, value: T) {
        let node = self.guard().owned(Node::new(MaybeUninit::new(value)));
        self.structure().push_node(self.guard(), node);
    }

    /// See [`Queue::try_push`].
    ///
    /// # Errors
    /// Gives the value back when there is no memory for its node.
    ///
    /// ```
    /// assert!(sexton::Queue::<_>::new().pin().try_push(1).is_ok());
    /// ```
    pub fn try_push(&self, value: T) -> Result<(), AllocError<T>> {
        match self.guard().try_owned(Node::new(MaybeUninit::new(value))) {
            Ok(node) => {
                self.structure().push_node(self.guard(), node);
                Ok(())
            }
            // SAFETY: it was put there a line above.
            Err(AllocError(node)) => Err(AllocError(unsafe { node.value.assume_init() })),
        }
    }

    /// See [`Queue::pop`].
    ///
    /// ```
    /// assert_eq!(sexton::Queue::<u8>::new().pin().pop(), None);
    /// ```
    pub fn pop(&self) -> Option<T> {
        let value = self.structure().pop_node(self.guard())?;
        self.guard().reclaim(RECLAIM_BUDGET);
        Some(value)
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
        let head = &self.structure().head;
        let mut first = self.guard().shield();
        let mut second = self.guard().shield();
        loop {
            let dummy = first.protect(head);
            // SAFETY: what is in `head` are nodes of this domain.
            let reached = unsafe { first.as_ref() }.expect("the head is never null");
            // Acquire: the node is followed.
            let next = reached.next.load(Ordering::Acquire);
            if next.is_null() {
                return None;
            }
            // I4. Relaxed: `next` was acquired; that the head is the same is all that is asked.
            if second.announce_if(next, || head.load(Ordering::Relaxed) == dummy) {
                // SAFETY: covered. A node behind the dummy has a value; should it be popped
                // meanwhile, its bytes stay, and a `Copy` value may be read again.
                return unsafe { second.as_ref() }.map(|node| unsafe { node.value.assume_init() });
            }
        }
    }

    /// See [`Queue::is_empty`].
    ///
    /// ```
    /// assert!(sexton::Queue::<u8>::new().pin().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        let mut first = self.guard().shield();
        first.protect(&self.structure().head);
        // SAFETY: what is in `head` are nodes of this domain.
        let dummy = unsafe { first.as_ref() }.expect("the head is never null");
        // Relaxed: nothing is followed.
        dummy.next.load(Ordering::Relaxed).is_null()
    }
}

impl<T, R: Reclaimer> Exclusive for Queue<T, R> {
    type Item = T;

    fn take_one(&mut self) -> Option<T> {
        // Relaxed, here and below: the queue is borrowed exclusively.
        let dummy = self.head.load(Ordering::Relaxed);
        // SAFETY: the head is alive.
        let next = unsafe { dummy.as_ref() }?.next.load(Ordering::Relaxed);
        // SAFETY: linked nodes are alive.
        let value = unsafe { next.as_ref() }?.value.as_ptr();
        if self.tail.load(Ordering::Relaxed) == dummy {
            self.tail.store(next, Ordering::Relaxed);
        }
        self.head.store(next, Ordering::Relaxed);
        // SAFETY: unlinked from both ends, and nobody else is in the queue.
        drop(unsafe { Owned::<Node<T>, R::Scheme>::from_ptr(dummy) });
        // SAFETY: I2: it has just become the dummy.
        Some(unsafe { value.read() })
    }
}

impl<T, R: Reclaimer> Drop for Queue<T, R> {
    fn drop(&mut self) {
        /// Frees the last dummy when all values are gone, or one of them panics.
        struct LastDummy<'a, T, R: Reclaimer>(&'a mut Queue<T, R>);

        impl<T, R: Reclaimer> Drop for LastDummy<'_, T, R> {
            fn drop(&mut self) {
                // Relaxed: borrowed exclusively.
                let dummy = self.0.head.load(Ordering::Relaxed);
                // SAFETY: the queue is going, and it is its last node.
                drop(unsafe { Owned::<Node<T>, R::Scheme>::from_ptr(dummy) });
            }
        }

        let last = LastDummy(self);
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
        f.debug_struct("Queue").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

impl<T, R: Reclaimer> Extend<T> for Queue<T, R> {
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
