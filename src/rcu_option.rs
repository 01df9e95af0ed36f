//! A cell for one read-mostly value, or none.
//!
//! One link, to a node with the value, or null. Readers protect the link's target; writers put
//! another node there, or null, and retire the old one. (The idea is that of read-copy-update:
//! McKenney and Slingwine, "Read-copy update", 1998.) [`RcuCell`](crate::RcuCell) is one of these that
//! is never null.
//!
//! # Invariants
//!
//! - **I1.** A node is linked once.
//! - **I2.** A node's value is not changed while the cell is shared.
//! - **I3.** A node is retired by the thread that took it off the link, and by that one alone: so
//!   until it does, it may announce the node (S2 of [`scheme`](crate::scheme)) without looking.
//! - **I4.** *No ABA.* What a CAS expects is null, or covered, so no other node has its address.
//!
//! # Linearization
//!
//! `load` at its last load of the link, `store`, `swap` and `take` at their swap, `update` and
//! `compare_exchange` at their CAS; a `compare_exchange` that fails at its last load of the link, which
//! found what is reported, and that is not what was expected. So a failed CAS is no answer yet: what
//! stood there may have gone again, and none is not another than none. It starts again then, and
//! somebody has put a value where there was none, so it is lock-free. (Where a value was expected, that
//! does not come back, I1 and I4: the second look is the last one.)
//!
//! # Orderings
//!
//! What puts a node on the link is Release, and what follows the link has loaded it with Acquire.

use core::borrow::Borrow;
use core::fmt;

use crate::Epoch;
use crate::atomic::{AllocError, Atomic, Owned, Ptr};
use crate::domain::Reclaimer;
use crate::guard::{Guard, Pinned, RECLAIM_BUDGET, Ref, Shield};
use crate::sync::Ordering;
use crate::turn::Turn;

/// One value, or none, that is read by many and replaced now and then.
///
/// As [`RcuCell`](crate::RcuCell), which says more about progress and cost; but it may be empty, and
/// that takes no memory: unlike an `RcuCell<Option<T>>` it allocates nothing for `None`.
///
/// ```
/// use sexton::RcuOption;
///
/// let leader = RcuOption::<String>::default();
/// assert!(leader.is_none());
/// leader.store(Some("alice".to_owned()));
/// assert_eq!(leader.pin().load().as_deref().map(String::as_str), Some("alice"));
/// leader.update(|old| old.map(|name| name.to_uppercase()));
/// assert_eq!(leader.take().as_deref(), Some("ALICE"));
/// ```
///
/// # Progress
/// As that of [`RcuCell`](crate::RcuCell), but that a `compare_exchange` which expects `None` is lock-free
/// only: it starts again when another thread has put a value in, and it is gone before this one sees it.
///
/// # Linearization
/// `load` at its last load of the link, `is_none` at its only one; `store`, `swap` and `take` at their
/// swap; `update` and `compare_exchange` at their CAS, or, if the latter fails, at the load that found
/// what it reports.
pub struct RcuOption<T, R: Reclaimer = Epoch> {
    link: Atomic<T>,
    reclaimer: R,
}

// SAFETY: the cell owns its value; retired values are dropped by other threads.
unsafe impl<T: Send, R: Reclaimer> Send for RcuOption<T, R> {}
// SAFETY: a shared cell hands out `&T` (Sync), and passes values between threads (Send).
unsafe impl<T: Send + Sync, R: Reclaimer> Sync for RcuOption<T, R> {}

/// A `compare_exchange` found another value than was expected.
///
/// ```
/// use sexton::{Changed, RcuCell};
///
/// let cell = RcuCell::<_>::new(1);
/// let cell = cell.pin();
/// let old = cell.load();
/// cell.store(2);
/// let Err(Changed { current, new }) = cell.compare_exchange(&old, 3) else { panic!() };
/// assert_eq!((*current, new), (2, 3));
/// ```
#[derive(Debug)]
pub struct Changed<C, N> {
    /// What was there instead: never what was expected, also if that was none.
    pub current: C,
    /// What should have been put there.
    pub new: N,
}

impl<C, N> fmt::Display for Changed<C, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value has changed")
    }
}

impl<C: fmt::Debug, N: fmt::Debug> std::error::Error for Changed<C, N> {}

/// A node, protected.
type Found<'g, T, R> = Option<Ref<'g, T, <R as Reclaimer>::Scheme>>;
/// A node that is not linked yet.
type Node<T, R> = Option<Owned<T, <R as Reclaimer>::Scheme>>;

impl<T: Send + 'static, R: Reclaimer + Default> RcuOption<T, R> {
    /// A cell with a value, or none.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory for the value.
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(Some(1));
    /// assert_eq!(cell.load(), Some(1));
    /// ```
    #[must_use]
    pub fn new(value: Option<T>) -> Self {
        Self::with_reclaimer(value, R::default())
    }
}

impl<T: Send + 'static, R: Reclaimer> RcuOption<T, R> {
    /// A cell with a value, or none, in a domain.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory for the value.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, RcuOption};
    ///
    /// let cell = RcuOption::with_reclaimer(Some(1), Domain::<Epoch>::new());
    /// ```
    #[must_use]
    pub fn with_reclaimer(value: Option<T>, reclaimer: R) -> Self {
        let link = value.map_or_else(Ptr::null, |value| reclaimer.pin().owned(value).into_ptr());
        Self { link: Atomic::new(link), reclaimer }
    }

    /// Opens a guard for many operations, and for references to the value.
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(Some(String::from("one")));
    /// let pinned = cell.pin();
    /// let value = pinned.load().unwrap();
    /// pinned.store(None);
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
    /// use sexton::{Epoch, RcuOption, Reclaimer};
    ///
    /// let cell = RcuOption::<_>::new(Some(1));
    /// let guard = Epoch.pin();
    /// assert_eq!(cell.with(&guard).load().as_deref(), Some(&1));
    /// ```
    #[inline]
    pub fn with<'a>(
        &'a self,
        guard: &'a Guard<'a, R::Scheme>,
    ) -> Pinned<'a, Self, &'a Guard<'a, R::Scheme>> {
        Pinned::with(self, &self.reclaimer, guard)
    }

    /// A clone of the value. To borrow it instead, [`pin`](Self::pin) or [`read`](Self::read).
    ///
    /// ```
    /// assert_eq!(sexton::RcuOption::<u8>::default().load(), None);
    /// ```
    pub fn load(&self) -> Option<T>
    where
        T: Clone,
    {
        self.read(|value| value.cloned())
    }

    /// Runs `look` on the value, within a guard: do not wait in it.
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(Some(vec![1, 2]));
    /// assert_eq!(cell.read(|value| value.map_or(0, Vec::len)), 2);
    /// ```
    pub fn read<X>(&self, look: impl FnOnce(Option<&T>) -> X) -> X {
        look(self.pin().load().as_deref())
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_store`](Self::try_store).
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(Some(1));
    /// cell.store(None);
    /// assert!(cell.is_none());
    /// ```
    pub fn store(&self, value: Option<T>) {
        self.pin().store(value);
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// Gives the new value back when there is no memory for it; the old one stays.
    ///
    /// ```
    /// assert!(sexton::RcuOption::<_>::default().try_store(Some(2)).is_ok());
    /// # let _: sexton::RcuOption<i32>;
    /// ```
    pub fn try_store(&self, value: Option<T>) -> Result<(), AllocError<T>> {
        self.pin().try_store(value)
    }

    /// Replaces the value and returns a clone of the old one. To borrow it instead,
    /// [`pin`](Self::pin).
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// assert_eq!(sexton::RcuOption::<_>::new(Some(1)).swap(Some(2)), Some(1));
    /// ```
    pub fn swap(&self, value: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        self.pin().swap(value).as_deref().cloned()
    }

    /// Empties the cell and returns a clone of the old value. To borrow it instead,
    /// [`pin`](Self::pin).
    ///
    /// ```
    /// assert_eq!(sexton::RcuOption::<_>::new(Some(1)).take(), Some(1));
    /// ```
    pub fn take(&self) -> Option<T>
    where
        T: Clone,
    {
        self.swap(None)
    }

    /// Replaces the value by what `change` makes of it, in one atomic step. `change` runs again
    /// when the value was replaced meanwhile, by another thread or by itself (so if it does that each
    /// time, it never ends).
    ///
    /// # Panics
    /// If `change` does (the value stays); aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(None);
    /// cell.update(|old| Some(old.unwrap_or(&0) + 1));
    /// assert_eq!(cell.load(), Some(1));
    /// ```
    pub fn update(&self, change: impl FnMut(Option<&T>) -> Option<T>) {
        self.pin().update(change);
    }
}

impl<T, R: Reclaimer> RcuOption<T, R> {
    /// The handle to the cell's domain.
    ///
    /// ```
    /// use sexton::{RcuOption, Reclaimer};
    ///
    /// println!("{:?}", RcuOption::<_>::new(Some(1)).reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        &self.reclaimer
    }

    /// Whether there is no value at the moment.
    ///
    /// ```
    /// assert!(sexton::RcuOption::<u8>::default().is_none());
    /// ```
    pub fn is_none(&self) -> bool {
        // Relaxed: nothing is followed.
        self.link.load(Ordering::Relaxed).is_null()
    }

    /// The value, to change in place: nobody else has the cell.
    ///
    /// ```
    /// let mut cell = sexton::RcuOption::<_>::new(Some(1));
    /// *cell.get_mut().unwrap() += 1;
    /// assert_eq!(cell.load(), Some(2));
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // Relaxed: borrowed exclusively.
        let node = self.link.load(Ordering::Relaxed);
        // SAFETY: nobody else can reach a linked node.
        unsafe { node.as_raw().as_mut() }
    }

    /// The value.
    ///
    /// ```
    /// assert_eq!(sexton::RcuOption::<_>::new(Some(1)).into_inner(), Some(1));
    /// ```
    #[must_use]
    pub fn into_inner(mut self) -> Option<T> {
        self.take_node().map(Owned::into_inner)
    }

    fn take_node(&mut self) -> Node<T, R> {
        // Relaxed, here and below: borrowed exclusively.
        let node = self.link.load(Ordering::Relaxed);
        self.link.store(Ptr::null(), Ordering::Relaxed);
        // SAFETY: not null, unlinked, and nobody else can reach it.
        (!node.is_null()).then(|| unsafe { Owned::from_ptr(node) })
    }

    #[inline]
    pub(crate) fn load_in<'g>(&self, guard: &'g Guard<'_, R::Scheme>) -> Found<'g, T, R> {
        let mut shield = guard.shield();
        shield.protect(&self.link);
        Self::found(shield)
    }

    fn found<'g>(shield: Shield<'g, T, R::Scheme>) -> Found<'g, T, R> {
        // SAFETY: nodes of this domain, retired by `retire` only; I2.
        unsafe { shield.into_ref(|node| node) }
    }

    /// Puts a node on the link, and returns what was there. It is the caller's to retire (I3).
    fn replace(&self, node: Node<T, R>) -> Ptr<T> {
        let new = node.map_or_else(Ptr::null, Owned::into_ptr);
        // AcqRel: publishes the new node, and the old one's content is seen.
        self.link.swap(new, Ordering::AcqRel)
    }

    /// # Safety
    /// I3: the calling thread has taken it off the link. (Or it is null.)
    unsafe fn retire(guard: &Guard<'_, R::Scheme>, old: Ptr<T>)
    where
        T: Send + 'static,
    {
        if !old.is_null() {
            // SAFETY: the caller's; nodes of this domain, with values that are `Send` and last.
            unsafe { guard.retire(old) };
            guard.reclaim(RECLAIM_BUDGET);
        }
    }

    pub(crate) fn store_in(&self, guard: &Guard<'_, R::Scheme>, node: Node<T, R>)
    where
        T: Send + 'static,
    {
        let old = self.replace(node);
        // SAFETY: I3.
        unsafe { Self::retire(guard, old) };
    }

    pub(crate) fn swap_in<'g>(
        &self,
        guard: &'g Guard<'_, R::Scheme>,
        node: Node<T, R>,
    ) -> Found<'g, T, R>
    where
        T: Send + 'static,
    {
        let mut shield = guard.shield();
        let old = self.replace(node);
        // I3.
        shield.announce_if(old, || true);
        // SAFETY: I3.
        unsafe { Self::retire(guard, old) };
        Self::found(shield)
    }

    /// Puts `new` where `current` is; gives it back if that is not there any more. Returned is the new
    /// one, protected.
    fn exchange<'g>(
        &self,
        guard: &'g Guard<'_, R::Scheme>,
        current: Ptr<T>,
        node: Node<T, R>,
    ) -> Result<Found<'g, T, R>, Node<T, R>>
    where
        T: Send + 'static,
    {
        let mut shield = guard.shield();
        let new = node.map_or_else(Ptr::null, Owned::into_ptr);
        // It is ours to retire as long as it is not linked, so this covers it (I3).
        shield.announce_if(new, || true);
        // I4. Release: publishes the new node. Relaxed: the old one was loaded with Acquire before,
        // and what is found instead is loaded again.
        if self.link.compare_exchange(current, new, Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: never linked.
            return Err((!new.is_null()).then(|| unsafe { Owned::from_ptr(new) }));
        }
        // SAFETY: I3.
        unsafe { Self::retire(guard, current) };
        Ok(Self::found(shield))
    }

    pub(crate) fn update_in<'g>(
        &self,
        guard: &'g Guard<'_, R::Scheme>,
        mut change: impl FnMut(Option<&T>) -> Option<T>,
    ) -> Found<'g, T, R>
    where
        T: Send + 'static,
    {
        let mut turn = Turn::new();
        let mut shield = guard.shield();
        loop {
            let old = shield.protect(&self.link);
            // SAFETY: nodes of this domain; I2.
            let new = change(unsafe { shield.as_ref() }).map(|value| guard.owned(value));
            if let Ok(new) = self.exchange(guard, old, new) {
                return new;
            }
            // Relaxed: only looked at.
            turn.wait(|| self.link.load(Ordering::Relaxed));
        }
    }

    #[expect(clippy::type_complexity, reason = "what is there now, or what is and what is not")]
    pub(crate) fn compare_exchange_in<'g>(
        &self,
        guard: &'g Guard<'_, R::Scheme>,
        current: Option<&Ref<'_, T, R::Scheme>>,
        new: Option<T>,
    ) -> Result<Found<'g, T, R>, Changed<Found<'g, T, R>, Option<T>>>
    where
        T: Send + 'static,
    {
        let expected = current.map_or_else(core::ptr::null_mut, Ref::as_raw);
        let mut new = new.map(|value| guard.owned(value));
        let mut shield = guard.shield();
        loop {
            // I4. What is exchanged, and retired, is what the link itself leads to: a reference may have
            // been mapped, and its pointer is then good for reading a part of the node.
            let found = shield.protect(&self.link);
            if !core::ptr::eq(found.as_raw(), expected) {
                let new = new.map(Owned::into_inner);
                return Err(Changed { current: Self::found(shield), new });
            }
            match self.exchange(guard, found, new) {
                Ok(new) => return Ok(new),
                // It was another one at the CAS. Which, the next look says: if what was expected is
                // there again, that was no failure.
                Err(node) => new = node,
            }
        }
    }
}

impl<'a, T, R, G> Pinned<'a, RcuOption<T, R>, G>
where
    T: Send + 'static,
    R: Reclaimer,
    G: Borrow<Guard<'a, R::Scheme>>,
{
    /// The value. It is not dropped before the reference is, whatever others do.
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(Some(1));
    /// assert_eq!(cell.pin().load().as_deref(), Some(&1));
    /// ```
    #[inline]
    pub fn load(&self) -> Option<Ref<'_, T, R::Scheme>> {
        self.structure().load_in(self.guard())
    }

    /// See [`RcuOption::store`].
    ///
    /// ```
    /// sexton::RcuOption::<_>::new(Some(1)).pin().store(None);
    /// ```
    pub fn store(&self, value: Option<T>) {
        let node = value.map(|value| self.guard().owned(value));
        self.structure().store_in(self.guard(), node);
    }

    /// See [`RcuOption::try_store`].
    ///
    /// # Errors
    /// Gives the new value back when there is no memory for it; the old one stays.
    ///
    /// ```
    /// assert!(sexton::RcuOption::<_>::new(Some(1)).pin().try_store(Some(2)).is_ok());
    /// ```
    pub fn try_store(&self, value: Option<T>) -> Result<(), AllocError<T>> {
        let node = value.map(|value| self.guard().try_owned(value)).transpose()?;
        self.structure().store_in(self.guard(), node);
        Ok(())
    }

    /// Replaces the value and returns the old one, protected.
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(Some(1));
    /// assert_eq!(cell.pin().swap(None).as_deref(), Some(&1));
    /// ```
    pub fn swap(&self, value: Option<T>) -> Option<Ref<'_, T, R::Scheme>> {
        let node = value.map(|value| self.guard().owned(value));
        self.structure().swap_in(self.guard(), node)
    }

    /// Empties the cell and returns the old value, protected.
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(Some(1));
    /// assert_eq!(cell.pin().take().as_deref(), Some(&1));
    /// assert!(cell.is_none());
    /// ```
    pub fn take(&self) -> Option<Ref<'_, T, R::Scheme>> {
        self.swap(None)
    }

    /// Replaces the value by what `change` makes of it, and returns the new one. See
    /// [`RcuOption::update`].
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(Some(1));
    /// assert_eq!(cell.pin().update(|old| Some(old? + 1)).as_deref(), Some(&2));
    /// ```
    pub fn update(
        &self,
        change: impl FnMut(Option<&T>) -> Option<T>,
    ) -> Option<Ref<'_, T, R::Scheme>> {
        self.structure().update_in(self.guard(), change)
    }

    /// Replaces the value if it is the very one that `current` refers to (not one that is only equal),
    /// or if there is none and `current` is `None`; returns the new one.
    ///
    /// Lock-free: who expects `None` starts again when another thread has put a value in, and it is gone
    /// before this one sees it.
    ///
    /// # Errors
    /// What was there instead, and the new value back. Who expected none is shown a value.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let cell = sexton::RcuOption::<_>::new(None);
    /// let cell = cell.pin();
    /// let one = cell.compare_exchange(None, Some(1)).unwrap();
    /// assert!(cell.compare_exchange(None, Some(2)).is_err());
    /// assert!(cell.compare_exchange(one.as_ref(), None).unwrap().is_none());
    /// ```
    #[expect(clippy::type_complexity, reason = "the same references that went in")]
    pub fn compare_exchange(
        &self,
        current: Option<&Ref<'_, T, R::Scheme>>,
        new: Option<T>,
    ) -> Result<Option<Ref<'_, T, R::Scheme>>, Changed<Option<Ref<'_, T, R::Scheme>>, Option<T>>>
    {
        self.structure().compare_exchange_in(self.guard(), current, new)
    }
}

impl<T, R: Reclaimer> Drop for RcuOption<T, R> {
    fn drop(&mut self) {
        drop(self.take_node());
    }
}

impl<T: Send + 'static, R: Reclaimer + Default> Default for RcuOption<T, R> {
    fn default() -> Self {
        Self::new(None)
    }
}

impl<T: Send + 'static, R: Reclaimer + Default> From<Option<T>> for RcuOption<T, R> {
    fn from(value: Option<T>) -> Self {
        Self::new(value)
    }
}

impl<T: Send + fmt::Debug + 'static, R: Reclaimer> fmt::Debug for RcuOption<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RcuOption").field(&self.pin().load()).finish()
    }
}
