//! A stack.
//!
//! Treiber's: a list, with a link to its first node. (R. K. Treiber, "Systems Programming: Coping
//! with Parallelism", IBM, 1986.)
//!
//! - *push*: protect the first node, link the new one to it, then CAS the head from that to the new
//!   node.
//! - *pop*: protect the first node, read its link, CAS the head from the node to that link. Whoever
//!   wins takes the value out and retires the node.
//! - *pop_all*: swap the head for null. The nodes are unlinked all at once; each is retired when its
//!   value is taken out.
//! - *push_all*: link nodes in private, and then the last of them to the first node, as *push* does.
//!
//! # Invariants
//!
//! - **I1.** A node's `next` does not change once the node is linked.
//! - **I2.** A node's value is read out by the one thread that unlinked it, or when the stack is
//!   borrowed exclusively. A retired node has no value, so what is put off is its memory only,
//!   and `T` need not be `'static`.
//! - **I3.** *No ABA.* While a thread covers a node it is not reclaimed, so no other node has its
//!   address. If the head was that node, and is it again at the CAS, it was there all the time, or
//!   was it pushed again? A node is pushed once, so it was there all the time, and by I1 its `next`
//!   is what was read.
//!
//! - **I4.** *No zombie.* What is written into `next` is covered until the CAS, though a push never
//!   follows it. Else the first node might be reclaimed meanwhile and another one come to its
//!   address: the CAS would succeed and the list be right, address by address, but the link would
//!   hold a pointer to the dead one (with its provenance), which nobody may follow. (Compare
//!   "pointer lifetime-end zap", WG21 P1726.)
//!
//! # Linearization
//!
//! `push`, `push_all` and a successful `pop` at their CAS, `pop_all` at its swap; an empty `pop`,
//! `is_empty` and `peek` at their (last) load of the head.
//!
//! # Orderings
//!
//! A push's CAS is Release and the load of a head that is followed is Acquire: who finds a node
//! finds it initialised. The nodes below it too: while the stack is shared, each change of the head
//! is a read-modify-write, so it continues the release sequence of every push before it, and one
//! Acquire load synchronises with them all. For the same reason a pop's CAS may be Relaxed: it
//! publishes nothing of its own.
//!
//! # Why there is no reference to the top
//!
//! A shield keeps a node's memory, not its value: whoever pops moves that out, and may change it or
//! drop it at once. So a `peek` with a closure or a [`Ref`](crate::Ref) would be a use after free for
//! any `T` that is not `Copy`; for those that are, the copy is as good.

use core::borrow::Borrow;
use core::fmt;
use core::iter::FusedIterator;
use core::mem::{self, MaybeUninit};
use core::panic::{RefUnwindSafe, UnwindSafe};

use crate::Epoch;
use crate::atomic::{AllocError, Atomic, Owned, Ptr};
use crate::domain::Reclaimer;
use crate::exclusive::{Drain, Exclusive, IntoIter, drop_all};
use crate::guard::{Guard, Pinned, RECLAIM_BUDGET};
use crate::sync::Ordering;
use crate::turn::Turn;

struct Node<T> {
    /// Uninitialised once it was popped (I2).
    value: MaybeUninit<T>,
    /// I1.
    next: Atomic<Node<T>>,
}

/// A lock-free stack: last in, first out, for any number of threads.
///
/// ```
/// let stack = sexton::Stack::<_>::new();
/// stack.push(1);
/// stack.push(2);
/// assert_eq!(stack.pop(), Some(2));
/// assert_eq!(stack.pop(), Some(1));
/// assert_eq!(stack.pop(), None);
/// ```
///
/// # Progress
/// Lock-free: if a push or pop has to start again, another one has succeeded. Threads that lose
/// step back for a moment.
///
/// # Linearization
/// `push`, `push_all` and a `pop` that finds something at their CAS of the head, `pop_all` at its swap;
/// `peek`, `is_empty` and a `pop` that finds nothing at their last load of the head.
///
/// # Memory
/// One node an element: the value and one word, and what the scheme adds. A popped node is retired,
/// and its block serves again where the scheme keeps blocks; the value is moved out, so `T` may
/// borrow. An empty stack has no memory of its own.
///
/// # Iteration
/// [`pop_all`](Self::pop_all) takes all that was in at one moment. [`drain`](Self::drain) and
/// `into_iter` have the stack for themselves. There is no iterator over a stack that is shared: values
/// are moved out under it.
///
/// # When to use a lock instead
/// A `Mutex<Vec<T>>` is faster when threads do little else: its owner runs in bursts. What this
/// stack gives is that a thread that sleeps in the middle stops nobody.
pub struct Stack<T, R: Reclaimer = Epoch> {
    head: Atomic<Node<T>>,
    reclaimer: R,
}

// SAFETY: the stack owns its values and passes them between threads, one owner at a time.
unsafe impl<T: Send, R: Reclaimer> Send for Stack<T, R> {}
// SAFETY: as above. A shared stack hands out values, and copies of `Copy` ones, never a `&T`.
unsafe impl<T: Send, R: Reclaimer> Sync for Stack<T, R> {}

// No user code runs while a value is on its way in or out, and nobody sees one that is in.
impl<T, R: Reclaimer> UnwindSafe for Stack<T, R> {}
impl<T, R: Reclaimer> RefUnwindSafe for Stack<T, R> {}

impl<T, R: Reclaimer + Default> Stack<T, R> {
    /// An empty stack.
    ///
    /// ```
    /// let stack = sexton::Stack::<u8>::new();
    /// assert!(stack.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_reclaimer(R::default())
    }
}

impl<T, R: Reclaimer> Stack<T, R> {
    /// An empty stack in a domain.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, Stack};
    ///
    /// let stack = Stack::with_reclaimer(Domain::<Epoch>::new());
    /// stack.push(1);
    /// ```
    #[must_use]
    pub fn with_reclaimer(reclaimer: R) -> Self {
        Self { head: Atomic::null(), reclaimer }
    }

    /// Opens a guard for many operations: they are those of the stack itself.
    ///
    /// ```
    /// let stack = sexton::Stack::<_>::new();
    /// let pinned = stack.pin();
    /// pinned.push(1);
    /// assert_eq!(pinned.pop(), Some(1));
    /// ```
    #[inline]
    pub fn pin(&self) -> Pinned<'_, Self, Guard<'_, R::Scheme>> {
        Pinned::new(self, self.reclaimer.pin())
    }

    /// Uses a guard of the caller's for many operations.
    ///
    /// # Panics
    /// If the guard is of another domain.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer, Stack};
    ///
    /// let (one, two) = (Stack::<_>::new(), Stack::<_>::new());
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

    /// The handle to the stack's domain.
    ///
    /// ```
    /// use sexton::{Reclaimer, Stack};
    ///
    /// let stack = Stack::<u8>::new();
    /// println!("{:?}", stack.reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        &self.reclaimer
    }

    /// Puts a value on top.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let stack = sexton::Stack::<_>::new();
    /// stack.push("top");
    /// ```
    #[inline]
    pub fn push(&self, value: T) {
        self.pin().push(value);
    }

    /// Puts a value on top.
    ///
    /// # Errors
    /// Gives it back when there is no memory for its node.
    ///
    /// ```
    /// let stack = sexton::Stack::<_>::new();
    /// assert!(stack.try_push(1).is_ok());
    /// ```
    pub fn try_push(&self, value: T) -> Result<(), AllocError<T>> {
        self.pin().try_push(value)
    }

    /// Takes the value on top.
    ///
    /// ```
    /// let stack = sexton::Stack::<_>::from([1, 2]);
    /// assert_eq!(stack.pop(), Some(2));
    /// ```
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.pin().pop()
    }

    /// Takes all values at once, in one atomic step; the iterator gives the last one that was pushed
    /// first. What is left when it is dropped is dropped with it.
    ///
    /// It holds no guard: take as long as you like.
    ///
    /// ```
    /// let stack = sexton::Stack::<_>::from([1, 2]);
    /// let all = stack.pop_all();
    /// assert!(stack.is_empty());
    /// stack.push(3);
    /// assert_eq!(all.collect::<Vec<_>>(), [2, 1]);
    /// ```
    pub fn pop_all(&self) -> PopAll<'_, T, R> {
        // Acquire: all nodes are seen, see the head of this file. Nobody else unlinks them, so they need
        // no protection.
        let first = self.head.swap(Ptr::null(), Ordering::Acquire);
        PopAll { first, stack: self }
    }

    /// Puts all values on top at once, in one atomic step, the last one on the very top: no other
    /// value comes between them.
    ///
    /// # Panics
    /// If the iterator does: then nothing was pushed, and what it gave is dropped. Aborts as
    /// [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let stack = sexton::Stack::<_>::new();
    /// stack.push_all([1, 2]);
    /// assert_eq!(stack.pop(), Some(2));
    /// ```
    pub fn push_all(&self, values: impl IntoIterator<Item = T>) {
        // Private, and dropped if the iterator panics.
        let mut chain = Self::with_reclaimer(self.reclaimer.clone());
        let mut bottom = Ptr::null();
        for value in values {
            // A guard for each: who knows what the iterator waits for.
            let node = self.reclaimer.pin().owned(Self::node(value));
            // Relaxed, here and below: published by the CAS.
            node.next.store(chain.head.load(Ordering::Relaxed), Ordering::Relaxed);
            let node = node.into_ptr();
            chain.head.store(node, Ordering::Relaxed);
            if bottom.is_null() {
                bottom = node;
            }
        }
        if bottom.is_null() {
            return;
        }
        let guard = self.reclaimer.pin();
        // The chain is taken out of its stack before others can see it.
        let top = mem::take(&mut chain.head).load(Ordering::Relaxed);
        // SAFETY: private nodes, and linked to one another.
        unsafe { self.link(&guard, top, bottom) };
    }

    /// A copy of the value on top.
    ///
    /// For `Copy` values only: another thread may pop the value and drop it at any time, so a
    /// reference to it could not be protected.
    ///
    /// ```
    /// let stack = sexton::Stack::<_>::from([1, 2]);
    /// assert_eq!(stack.peek(), Some(2));
    /// assert_eq!(stack.pop(), Some(2));
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
    /// assert!(sexton::Stack::<u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        // Relaxed: nothing is followed.
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Takes all values out, top first, without a guard. What is left when the iterator is dropped
    /// stays in the stack.
    ///
    /// ```
    /// let mut stack = sexton::Stack::<_>::from([1, 2]);
    /// assert_eq!(stack.drain().collect::<Vec<_>>(), [2, 1]);
    /// ```
    pub fn drain(&mut self) -> Drain<'_, Self> {
        Drain::new(self)
    }

    #[inline]
    fn push_node(&self, guard: &Guard<'_, R::Scheme>, node: Owned<Node<T>, R::Scheme>) {
        let node = node.into_ptr();
        // SAFETY: a chain of one.
        unsafe { self.link(guard, node, node) };
    }

    /// Puts a chain of nodes on top.
    ///
    /// # Safety
    /// They are nodes of this domain that only the caller has, and `bottom` is reached from `top`.
    #[inline]
    unsafe fn link(&self, guard: &Guard<'_, R::Scheme>, top: Ptr<Node<T>>, bottom: Ptr<Node<T>>) {
        let mut turn = Turn::new();
        let mut first = guard.shield();
        // SAFETY: the caller's; it is not looked at any more once it is linked.
        let last = unsafe { bottom.as_ref() }.expect("not null");
        loop {
            // I4.
            let head = first.protect(&self.head);
            // Relaxed: published by the CAS.
            last.next.store(head, Ordering::Relaxed);
            // Release: publishes the nodes.
            let pushed =
                self.head.compare_exchange(head, top, Ordering::Release, Ordering::Relaxed);
            if pushed.is_ok() {
                return;
            }
            // Relaxed: only looked at.
            turn.wait(|| self.head.load(Ordering::Relaxed));
        }
    }

    #[inline]
    fn pop_node(&self, guard: &Guard<'_, R::Scheme>) -> Option<T> {
        let mut turn = Turn::new();
        let mut first = guard.shield();
        loop {
            let node = first.protect(&self.head);
            // SAFETY: what is in `head` are nodes of this domain, retired below only.
            let reached = unsafe { first.as_ref() }?;
            // Relaxed: I1; the node was found by an Acquire load.
            let next = reached.next.load(Ordering::Relaxed);
            // I3. Relaxed: a read-modify-write continues the release sequences (see the head).
            let popped =
                self.head.compare_exchange(node, next, Ordering::Relaxed, Ordering::Relaxed);
            if popped.is_ok() {
                // SAFETY: I2: this thread unlinked it, and nobody else reads it.
                let value = unsafe { reached.value.assume_init_read() };
                // SAFETY: unlinked by this thread, and not linked again; `head`, the one source of
                // protection, does not lead to it any more. Its drop does nothing (I2).
                unsafe { guard.retire(node) };
                // It may be reclaimed by what comes next, as far as this thread is concerned.
                first.clear();
                return Some(value);
            }
            // Relaxed: only looked at.
            turn.wait(|| self.head.load(Ordering::Relaxed));
        }
    }

    fn node(value: T) -> Node<T> {
        Node { value: MaybeUninit::new(value), next: Atomic::null() }
    }
}

impl<'a, T, R, G> Pinned<'a, Stack<T, R>, G>
where
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    /// See [`Stack::push`].
    ///
    /// ```
    /// sexton::Stack::<_>::new().pin().push(1);
    /// ```
    #[inline]
    pub fn push(&self, value: T) {
        let node = self.guard().owned(Stack::<T, R>::node(value));
        self.structure().push_node(self.guard(), node);
    }

    /// See [`Stack::try_push`].
    ///
    /// # Errors
    /// Gives the value back when there is no memory for its node.
    ///
    /// ```
    /// assert!(sexton::Stack::<_>::new().pin().try_push(1).is_ok());
    /// ```
    pub fn try_push(&self, value: T) -> Result<(), AllocError<T>> {
        match self.guard().try_owned(Stack::<T, R>::node(value)) {
            Ok(node) => {
                self.structure().push_node(self.guard(), node);
                Ok(())
            }
            // SAFETY: `node` has put it there.
            Err(AllocError(node)) => Err(AllocError(unsafe { node.value.assume_init() })),
        }
    }

    /// See [`Stack::pop`].
    ///
    /// ```
    /// assert_eq!(sexton::Stack::<u8>::new().pin().pop(), None);
    /// ```
    #[inline]
    pub fn pop(&self) -> Option<T> {
        let value = self.structure().pop_node(self.guard())?;
        self.guard().reclaim(RECLAIM_BUDGET);
        Some(value)
    }

    /// See [`Stack::pop_all`].
    ///
    /// ```
    /// assert_eq!(sexton::Stack::<u8>::new().pin().pop_all().next(), None);
    /// ```
    pub fn pop_all(&self) -> PopAll<'a, T, R> {
        self.structure().pop_all()
    }

    /// See [`Stack::push_all`].
    ///
    /// ```
    /// sexton::Stack::<_>::new().pin().push_all([1, 2]);
    /// ```
    pub fn push_all(&self, values: impl IntoIterator<Item = T>) {
        self.structure().push_all(values);
    }

    /// See [`Stack::peek`].
    ///
    /// ```
    /// assert_eq!(sexton::Stack::<u8>::new().pin().peek(), None);
    /// ```
    pub fn peek(&self) -> Option<T>
    where
        T: Copy,
    {
        let mut first = self.guard().shield();
        first.protect(&self.structure().head);
        // SAFETY: what is in `head` are nodes of this domain. A popped node keeps the value's bytes
        // until it is reclaimed, and a `Copy` value may be read again.
        unsafe { Some(first.as_ref()?.value.assume_init()) }
    }

    /// See [`Stack::is_empty`].
    ///
    /// ```
    /// assert!(sexton::Stack::<u8>::new().pin().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.structure().is_empty()
    }
}

/// Values that were taken off a stack together, the last one that was pushed first.
///
/// Made by [`Stack::pop_all`].
///
/// ```
/// let stack = sexton::Stack::<_>::from([1, 2, 3]);
/// let all: sexton::PopAll<'_, _, _> = stack.pop_all();
/// assert_eq!(all.map(|value| value * 10).collect::<Vec<_>>(), [30, 20, 10]);
/// ```
#[must_use = "what is not taken out is dropped"]
pub struct PopAll<'a, T, R: Reclaimer = Epoch> {
    /// The first node that has its value. It and those below it are unlinked, and the iterator's to
    /// take out and to retire; others may still cover them, and read their links.
    first: Ptr<Node<T>>,
    stack: &'a Stack<T, R>,
}

// SAFETY: it owns its values; the stack is shared.
unsafe impl<T: Send, R: Reclaimer> Send for PopAll<'_, T, R> {}
// SAFETY: shared, it hands out nothing.
unsafe impl<T: Send, R: Reclaimer> Sync for PopAll<'_, T, R> {}

// As the stack, and its values are the iterator's alone.
impl<T, R: Reclaimer> UnwindSafe for PopAll<'_, T, R> {}
impl<T, R: Reclaimer> RefUnwindSafe for PopAll<'_, T, R> {}

impl<T, R: Reclaimer> Exclusive for PopAll<'_, T, R> {
    type Item = T;

    fn take_one(&mut self) -> Option<T> {
        let node = self.first;
        // SAFETY: ours: only we retire it.
        let reached = unsafe { node.as_ref() }?;
        // Relaxed: I1; all nodes were seen when they were detached.
        self.first = reached.next.load(Ordering::Relaxed);
        // SAFETY: I2.
        let value = unsafe { reached.value.assume_init_read() };
        let guard = self.stack.reclaimer.pin();
        // SAFETY: unlinked by the swap, and not linked again; `head` does not lead to it, and never will:
        // I3. Its drop does nothing (I2).
        unsafe { guard.retire(node) };
        guard.reclaim(RECLAIM_BUDGET);
        Some(value)
    }
}

impl<T, R: Reclaimer> Iterator for PopAll<'_, T, R> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.take_one()
    }
}

impl<T, R: Reclaimer> FusedIterator for PopAll<'_, T, R> {}

impl<T, R: Reclaimer> Drop for PopAll<'_, T, R> {
    fn drop(&mut self) {
        drop_all(self);
    }
}

impl<T, R: Reclaimer> fmt::Debug for PopAll<'_, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PopAll")
    }
}

impl<T, R: Reclaimer> Exclusive for Stack<T, R> {
    type Item = T;

    fn take_one(&mut self) -> Option<T> {
        // Relaxed, here and below: the stack is borrowed exclusively.
        let node = self.head.load(Ordering::Relaxed);
        if node.is_null() {
            return None;
        }
        // SAFETY: nobody else is in the stack, and linked nodes are not retired.
        let node = unsafe { Owned::<Node<T>, R::Scheme>::from_ptr(node) }.into_inner();
        self.head.store(node.next.load(Ordering::Relaxed), Ordering::Relaxed);
        // SAFETY: I2: a linked node has its value.
        Some(unsafe { node.value.assume_init() })
    }
}

impl<T, R: Reclaimer> Drop for Stack<T, R> {
    fn drop(&mut self) {
        drop_all(self);
    }
}

impl<T, R: Reclaimer + Default> Default for Stack<T, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, R: Reclaimer> fmt::Debug for Stack<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("is_empty", &self.is_empty()).finish_non_exhaustive()
    }
}

impl<T, R: Reclaimer> Extend<T> for Stack<T, R> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        // A guard for each: who knows what the iterator waits for.
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl<T, R: Reclaimer + Default> FromIterator<T> for Stack<T, R> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut stack = Self::new();
        stack.extend(values);
        stack
    }
}

impl<T, R: Reclaimer + Default, const N: usize> From<[T; N]> for Stack<T, R> {
    fn from(values: [T; N]) -> Self {
        values.into_iter().collect()
    }
}

impl<T, R: Reclaimer> IntoIterator for Stack<T, R> {
    type Item = T;
    type IntoIter = IntoIter<Self>;

    /// Top first.
    fn into_iter(self) -> IntoIter<Self> {
        IntoIter::new(self)
    }
}
