//! A cell for one read-mostly value.
//!
//! An [`RcuOption`] that is never empty: the algorithm, its proof and its orderings stand there.

use core::borrow::Borrow;
use core::fmt;

use crate::Epoch;
use crate::atomic::AllocError;
use crate::domain::Reclaimer;
use crate::guard::{Guard, Pinned, Ref};
use crate::rcu_option::{Changed, RcuOption};

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
/// A value that may be absent is better in an [`RcuOption`], which allocates nothing for `None`.
///
/// # Progress
/// `store` and `swap` are wait-free but for what the scheme does; `load` is wait-free with epochs
/// and lock-free with hazard pointers, where it starts again when the value is replaced meanwhile;
/// `update` is lock-free, `compare_exchange` as two `load`s and a `store`. Readers of a value that does
/// not change write nothing that anybody else reads, but for what their scheme has for each thread.
///
/// # Linearization
/// `load` at its last load of the link, `store` and `swap` at their swap, `update` and
/// `compare_exchange` at their CAS, or, if the latter fails, at the load that found what it reports.
///
/// # Memory
/// One word, and one allocation for the value; replaced values wait for their last reader.
///
/// # Compared with `arc-swap`
/// Both read without a lock. `ArcSwap::load` writes a debt slot of its thread, and where these run
/// out, or the value is to be kept (`load_full`), the reference count of the value, a word that all
/// its readers write. Here a `load` writes at most its thread's own record or slot. `ArcSwap` hands
/// out an `Arc`, which may be kept for ever and go anywhere; here a reader holds a guard, stays on its
/// thread, and should be done soon: what is to be kept is cloned, or is itself an `Arc`. And there a
/// `store` looks at the debts of all threads each time; here old values are freed by the batch, later.
///
/// # When to use a lock instead
/// When the value is written about as often as it is read, or is large and changed in small parts:
/// each change makes a whole new value. A `RwLock` changes it in place.
pub struct RcuCell<T, R: Reclaimer = Epoch> {
    /// Never empty.
    value: RcuOption<T, R>,
}

const NEVER_EMPTY: &str = "the cell is never empty";

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
        Self { value: RcuOption::with_reclaimer(Some(value), reclaimer) }
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
        Pinned::new(self, self.reclaimer().pin())
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
        Pinned::with(self, self.reclaimer(), guard)
    }

    /// The handle to the cell's domain.
    ///
    /// ```
    /// use sexton::{RcuCell, Reclaimer};
    ///
    /// println!("{:?}", RcuCell::<_>::new(1).reclaimer().stats());
    /// ```
    pub fn reclaimer(&self) -> &R {
        self.value.reclaimer()
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
    /// when the value was replaced meanwhile, by another thread or by itself (so if it does that each
    /// time, it never ends).
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
        self.value.get_mut().expect(NEVER_EMPTY)
    }

    /// The value.
    ///
    /// ```
    /// assert_eq!(sexton::RcuCell::<_>::new(1).into_inner(), 1);
    /// ```
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value.into_inner().expect(NEVER_EMPTY)
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
        self.structure().value.load_in(self.guard()).expect(NEVER_EMPTY)
    }

    /// See [`RcuCell::store`].
    ///
    /// ```
    /// sexton::RcuCell::<_>::new(1).pin().store(2);
    /// ```
    pub fn store(&self, value: T) {
        let node = self.guard().owned(value);
        self.structure().value.store_in(self.guard(), Some(node));
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
        let node = self.guard().try_owned(value)?;
        self.structure().value.store_in(self.guard(), Some(node));
        Ok(())
    }

    /// Replaces the value and returns the old one, protected.
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(String::from("one"));
    /// assert_eq!(*cell.pin().swap(String::from("two")), "one");
    /// ```
    pub fn swap(&self, value: T) -> Ref<'_, T, R::Scheme> {
        let node = self.guard().owned(value);
        self.structure().value.swap_in(self.guard(), Some(node)).expect(NEVER_EMPTY)
    }

    /// Replaces the value by what `change` makes of it, and returns the new one. See
    /// [`RcuCell::update`].
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(1);
    /// assert_eq!(*cell.pin().update(|old| old + 1), 2);
    /// ```
    pub fn update(&self, mut change: impl FnMut(&T) -> T) -> Ref<'_, T, R::Scheme> {
        let change = |old: Option<&T>| Some(change(old.expect(NEVER_EMPTY)));
        self.structure().value.update_in(self.guard(), change).expect(NEVER_EMPTY)
    }

    /// Replaces the value if it is the very one that `current` refers to (not one that is only equal),
    /// and returns the new one.
    ///
    /// # Errors
    /// What was there instead, and the new value back.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory.
    ///
    /// ```
    /// let cell = sexton::RcuCell::<_>::new(1);
    /// let cell = cell.pin();
    /// let one = cell.load();
    /// assert_eq!(*cell.compare_exchange(&one, 2).unwrap(), 2);
    /// assert_eq!(cell.compare_exchange(&one, 3).unwrap_err().new, 3);
    /// ```
    #[expect(clippy::type_complexity, reason = "what is there now, or what is and what is not")]
    pub fn compare_exchange(
        &self,
        current: &Ref<'_, T, R::Scheme>,
        new: T,
    ) -> Result<Ref<'_, T, R::Scheme>, Changed<Ref<'_, T, R::Scheme>, T>> {
        match self.structure().value.compare_exchange_in(self.guard(), Some(current), Some(new)) {
            Ok(new) => Ok(new.expect(NEVER_EMPTY)),
            Err(Changed { current, new }) => {
                Err(Changed { current: current.expect(NEVER_EMPTY), new: new.expect(NEVER_EMPTY) })
            }
        }
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
