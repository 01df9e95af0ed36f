//! A cell for one read-mostly value.
//!
//! One link to a node with the value. Readers protect the link's target; writers put another node
//! there and retire the old one. (The idea is that of read-copy-update: McKenney and Slingwine,
//! "Read-copy update", 1998.)
//!
//! # Invariants
//!
//! - **I1.** The link is never null, and a node is linked once.
//! - **I2.** A node's value is not changed while the cell is shared.
//! - **I3.** A node is retired by the thread that took it off the link, and by that one alone: so
//!   until it does, it may announce the node (S2 of [`scheme`](crate::scheme)) without looking.
//!
//! # Linearization
//!
//! `load` at its last load of the link, `store` and `swap` at their swap, `update` at its CAS.
//!
//! # Orderings
//!
//! What puts a node on the link is Release, and what follows the link has loaded it with Acquire.

use core::borrow::Borrow;
use core::fmt;

use crate::Epoch;
use crate::atomic::{AllocError, Atomic, Owned};
use crate::domain::Reclaimer;
use crate::guard::{Guard, Pinned, RECLAIM_BUDGET, Ref};
use crate::sync::{Backoff, Ordering};

/// One value that is read by many and replaced now and then: a configuration, a routing table.
///
/// ```
/// use sexton::RcuCell;
///
/// let limits = RcuCell::<_>::new(vec![10, 20]);
/// assert_eq!(limits.pin().load()[1], 20);
/// limits.update(|old| old.iter().map(|limit| limit * 2).collect());
/// assert_eq!(limits.load(), [20, 40]);
/// ```
///
/// # Progress
/// `store` and `swap` are wait-free but for what the scheme does; `load` is wait-free with epochs
/// and lock-free with hazard pointers, where it starts again when the value is replaced meanwhile;
/// `update` is lock-free. Readers write nothing that other readers read.
///
/// # Memory
/// One word, and one allocation for the value; replaced values wait for their last reader.
///
/// # Compared with `arc-swap`
/// `ArcSwap` hands out an `Arc`, which may be kept for ever, at the price of a count that all
/// readers of the value write (or a debt slot in its fast path). Here a reader holds a guard, and
/// should be done soon.
pub struct RcuCell<T, R: Reclaimer = Epoch> {
    value: Atomic<T>,
    reclaimer: R,
}

// SAFETY: the cell owns its value; retired values are dropped by other threads.
unsafe impl<T: Send, R: Reclaimer> Send for RcuCell<T, R> {}
// SAFETY: a shared cell hands out `&T` (Sync), and passes values between threads (Send).
unsafe impl<T: Send + Sync, R: Reclaimer> Sync for RcuCell<T, R> {}

impl<T: Send + 'static, R: Reclaimer + Default> RcuCell<T, R> {
    /// A cell with a value.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(1);
    /// assert_eq!(cell.load(), 1);
    /// ```
    #[must_use]
    pub fn new(value: T) -> Self {
        Self::with_reclaimer(value, R::default())
    }
}

impl<T: Send + 'static, R: Reclaimer> RcuCell<T, R> {
    /// A cell with a value, in a domain.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, RcuCell};
    ///
    /// let cell = RcuCell::with_reclaimer(1, Domain::<Epoch>::new());
    /// ```
    #[must_use]
    pub fn with_reclaimer(value: T, reclaimer: R) -> Self {
        let node = reclaimer.pin().owned(value).into_ptr();
        Self { value: Atomic::new(node), reclaimer }
    }

    /// Opens a guard for many operations, and for references to the value.
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(String::from("one"));
    /// let pinned = cell.pin();
    /// let value = pinned.load();
    /// pinned.store(String::from("two"));
    /// assert_eq!(*value, "one");
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
    /// use sexton::{Epoch, RcuCell, Reclaimer};
    ///
    /// let cell = RcuCell::<_>::new(1);
    /// let guard = Epoch.pin();
    /// assert_eq!(*cell.with(&guard).load(), 1);
    /// ```
    #[inline]
    pub fn with<'a>(
        &'a self,
        guard: &'a Guard<'a, R::Scheme>,
    ) -> Pinned<'a, Self, &'a Guard<'a, R::Scheme>> {
        Pinned::with(self, &self.reclaimer, guard)
    }

    /// The handle to the cell's domain.
    ///
    /// ```
    /// use sexton::{RcuCell, Reclaimer};
    ///
    /// println!("{:?}", RcuCell::<_>::new(1).reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        &self.reclaimer
    }

    /// A clone of the value. To borrow it instead, [`pin`](Self::pin) or [`read`](Self::read).
    ///
    /// ```
    /// assert_eq!(sexton::RcuCell::<_>::new(1).load(), 1);
    /// ```
    pub fn load(&self) -> T
    where
        T: Clone,
    {
        self.read(T::clone)
    }

    /// Runs `look` on the value, within a guard: do not wait in it.
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(vec![1, 2]);
    /// assert_eq!(cell.read(Vec::len), 2);
    /// ```
    pub fn read<X>(&self, look: impl FnOnce(&T) -> X) -> X {
        look(&self.pin().load())
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_store`](Self::try_store).
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(1);
    /// cell.store(2);
    /// assert_eq!(cell.load(), 2);
    /// ```
    pub fn store(&self, value: T) {
        self.pin().store(value);
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// Gives the new value back when there is no memory for it; the old one stays.
    ///
    /// ```
    /// assert!(sexton::RcuCell::<_>::new(1).try_store(2).is_ok());
    /// ```
    pub fn try_store(&self, value: T) -> Result<(), AllocError<T>> {
        self.pin().try_store(value)
    }

    /// Replaces the value and returns a clone of the old one. To borrow it instead,
    /// [`pin`](Self::pin).
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// assert_eq!(sexton::RcuCell::<_>::new(1).swap(2), 1);
    /// ```
    pub fn swap(&self, value: T) -> T
    where
        T: Clone,
    {
        self.pin().swap(value).clone()
    }

    /// Replaces the value by what `change` makes of it, in one atomic step. `change` runs again
    /// when another thread has replaced the value meanwhile.
    ///
    /// # Panics
    /// If `change` does (the value stays); aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(1);
    /// cell.update(|old| old + 1);
    /// assert_eq!(cell.load(), 2);
    /// ```
    pub fn update(&self, change: impl FnMut(&T) -> T) {
        self.pin().update(change);
    }

    /// The value, to change in place: nobody else has the cell.
    ///
    /// ```
    /// let mut cell = sexton::RcuCell::<_>::new(1);
    /// *cell.get_mut() += 1;
    /// assert_eq!(cell.load(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        // Relaxed: borrowed exclusively.
        let node = self.value.load(Ordering::Relaxed);
        // SAFETY: I1, and nobody else can reach a linked node.
        unsafe { &mut *node.as_raw() }
    }

    /// The value.
    ///
    /// ```
    /// assert_eq!(sexton::RcuCell::<_>::new(1).into_inner(), 1);
    /// ```
    #[must_use]
    pub fn into_inner(self) -> T {
        let mut cell = core::mem::ManuallyDrop::new(self);
        // SAFETY: the cell is not dropped, so both are taken once.
        unsafe {
            core::ptr::drop_in_place(&raw mut cell.reclaimer);
            cell.take_node().into_inner()
        }
    }
}

impl<T, R: Reclaimer> RcuCell<T, R> {
    /// # Safety
    /// The cell is not used any more.
    unsafe fn take_node(&mut self) -> Owned<T, R::Scheme> {
        // Relaxed: borrowed exclusively.
        let node = self.value.load(Ordering::Relaxed);
        // SAFETY: I1, nobody else can reach a linked node, and the caller does this once.
        unsafe { Owned::from_ptr(node) }
    }
}

impl<'a, T, R, G> Pinned<'a, RcuCell<T, R>, G>
where
    T: Send + 'static,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    /// The value. It is not dropped before the reference is, whatever others do.
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(1);
    /// assert_eq!(*cell.pin().load(), 1);
    /// ```
    #[inline]
    pub fn load(&self) -> Ref<'_, T, R::Scheme> {
        let mut shield = self.guard().shield();
        shield.protect(&self.structure().value);
        // SAFETY: nodes of this domain, retired below only; I2.
        let value = unsafe { shield.into_ref(|node| node) };
        value.expect("I1: the link is never null")
    }

    /// See [`RcuCell::store`].
    ///
    /// ```
    /// sexton::RcuCell::<_>::new(1).pin().store(2);
    /// ```
    pub fn store(&self, value: T) {
        self.store_node(self.guard().owned(value));
    }

    /// See [`RcuCell::try_store`].
    ///
    /// # Errors
    /// Gives the new value back when there is no memory for it; the old one stays.
    ///
    /// ```
    /// assert!(sexton::RcuCell::<_>::new(1).pin().try_store(2).is_ok());
    /// ```
    pub fn try_store(&self, value: T) -> Result<(), AllocError<T>> {
        self.store_node(self.guard().try_owned(value)?);
        Ok(())
    }

    /// Replaces the value and returns the old one, protected.
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(String::from("one"));
    /// assert_eq!(*cell.pin().swap(String::from("two")), "one");
    /// ```
    pub fn swap(&self, value: T) -> Ref<'_, T, R::Scheme> {
        let guard = self.guard();
        let new = guard.owned(value).into_ptr();
        let mut shield = guard.shield();
        // AcqRel: publishes the new node, and the old one's content is seen.
        let old = self.structure().value.swap(new, Ordering::AcqRel);
        // I3.
        shield.announce_if(old, || true);
        // SAFETY: I3: unlinked by us; nodes of this domain, with values that are `Send` and last.
        unsafe { guard.retire(old) };
        guard.reclaim(RECLAIM_BUDGET);
        // SAFETY: as in `load`.
        let old = unsafe { shield.into_ref(|node| node) };
        old.expect("I1: the link is never null")
    }

    /// Replaces the value by what `change` makes of it, and returns the new one. See
    /// [`RcuCell::update`].
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(1);
    /// assert_eq!(*cell.pin().update(|old| old + 1), 2);
    /// ```
    pub fn update(&self, mut change: impl FnMut(&T) -> T) -> Ref<'_, T, R::Scheme> {
        let guard = self.guard();
        let link = &self.structure().value;
        let backoff = Backoff::new();
        let mut shield = guard.shield();
        let mut ours = guard.shield();
        loop {
            let old = shield.protect(link);
            // SAFETY: nodes of this domain; I2.
            let value = unsafe { shield.as_ref() }.expect("I1: the link is never null");
            let new = guard.owned(change(value)).into_ptr();
            // It is ours to retire as long as it is not linked, so this covers it (I3).
            ours.announce_if(new, || true);
            // Release: publishes the new node.
            if link.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed).is_ok() {
                // SAFETY: I3.
                unsafe { guard.retire(old) };
                guard.reclaim(RECLAIM_BUDGET);
                // SAFETY: as in `load`; covered since before it was linked.
                let new = unsafe { ours.into_ref(|node| node) };
                return new.expect("not null");
            }
            // SAFETY: never linked.
            drop(unsafe { Owned::<T, R::Scheme>::from_ptr(new) });
            backoff.spin();
        }
    }

    fn store_node(&self, node: Owned<T, R::Scheme>) {
        let guard = self.guard();
        // AcqRel: publishes the new node; the old one is retired with its content seen.
        let old = self.structure().value.swap(node.into_ptr(), Ordering::AcqRel);
        // SAFETY: I3: unlinked by us; nodes of this domain, with values that are `Send` and last.
        unsafe { guard.retire(old) };
        guard.reclaim(RECLAIM_BUDGET);
    }
}

impl<T, R: Reclaimer> Drop for RcuCell<T, R> {
    fn drop(&mut self) {
        // SAFETY: the cell is going.
        drop(unsafe { self.take_node() });
    }
}

impl<T: Send + Default + 'static, R: Reclaimer + Default> Default for RcuCell<T, R> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Send + 'static, R: Reclaimer + Default> From<T> for RcuCell<T, R> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Send + fmt::Debug + 'static, R: Reclaimer> fmt::Debug for RcuCell<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RcuCell").field(&*self.pin().load()).finish()
    }
}
