//! Guards, shields and references: the safe wrappers that carry a scheme's lifetimes.
//!
//! ```text
//! Domain ── pin ──> Guard<'d> ── shield ──> Shield<'g, T> ── into_ref ──> Ref<'g, V>
//!           a critical section          a slot and the one           a protected
//!                                       pointer it covers            borrow
//! ```
//!
//! - **I1.** A guard is never moved to another thread, and lives within its domain.
//! - **I2.** A shield lives within its guard, and is never copied: a protection that is copied from
//!   one slot to another can be missed by a scan that has passed the one and not yet reached the
//!   other. Shields are moved and swapped; the slot goes with the pointer.
//! - **I3.** A shield dereferences through `&self` and protects anew through `&mut self`: no
//!   reference outlives its protection.

use core::borrow::Borrow;
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::{self, NonNull};

use crate::atomic::{AllocError, Atomic, Owned, Ptr, TAG_MASK};
use crate::domain::Reclaimer;
use crate::retired::{Owner, Retired, Vtable, header};
use crate::scheme::{GuardScoped, Scheme};

/// How many objects an operation of a structure reclaims at most, at its end: enough to keep up
/// with what it retires, and few enough to go unnoticed.
pub(crate) const RECLAIM_BUDGET: usize = 8;

/// A critical section of a domain: what is protected in it is not freed.
///
/// Opened by [`Reclaimer::pin`]. Guards nest, and may end in any order. A guard stays on its
/// thread.
///
/// **Do not hold a guard while you wait** (for I/O, a lock, another thread): with epochs, nothing
/// that anybody retires meanwhile can be freed.
///
/// ```
/// use sexton::{Epoch, Reclaimer};
///
/// let guard = Epoch.pin();
/// drop(guard);
/// ```
///
/// # Progress
/// Opening and dropping a guard is as the scheme says; both also reclaim a few objects now and
/// then, and so may run the `Drop` of values that were retired.
#[must_use = "the critical section ends when the guard is dropped"]
pub struct Guard<'d, S: Scheme> {
    domain: &'d S::Domain,
    section: ManuallyDrop<S::Section>,
    /// I1.
    not_send: PhantomData<*mut ()>,
}

// It opens and ends a section, and no user code runs while it is half in one. With it, what has a
// guard in it is as safe as its values are.
impl<S: Scheme> UnwindSafe for Guard<'_, S> {}
impl<S: Scheme> RefUnwindSafe for Guard<'_, S> {}

impl<'d, S: Scheme> Guard<'d, S> {
    #[inline]
    pub(crate) fn enter(domain: &'d S::Domain) -> Self {
        const { assert!(size_of::<S::Domain>() > 0, "a domain needs an address of its own") }
        let section = ManuallyDrop::new(S::enter(domain));
        Self { domain, section, not_send: PhantomData }
    }

    /// Whether this is a guard of `reclaimer`'s domain.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, Reclaimer};
    ///
    /// let domain = Domain::<Epoch>::new();
    /// assert!(domain.pin().is_of(&domain));
    /// assert!(!domain.pin().is_of(&Epoch));
    /// ```
    #[inline]
    pub fn is_of<R: Reclaimer<Scheme = S>>(&self, reclaimer: &R) -> bool {
        ptr::eq(self.domain, reclaimer.domain())
    }

    /// A shield that covers nothing yet.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer, Shield};
    ///
    /// let guard = Epoch.pin();
    /// let shield: Shield<'_, u32, _> = guard.shield();
    /// assert!(shield.ptr().is_null());
    /// ```
    #[inline]
    pub fn shield<T>(&self) -> Shield<'_, T, S> {
        // SAFETY: I1.
        let slot = unsafe { S::slot(self.domain, &self.section) };
        Shield { guard: self, slot: ManuallyDrop::new(slot), ptr: Ptr::null() }
    }

    /// A node with `value` in it, for a structure of this domain.
    ///
    /// # Panics
    /// Aborts as [`Box::new`] does when there is no memory; see [`try_owned`](Self::try_owned).
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer};
    ///
    /// assert_eq!(*Epoch.pin().owned(1), 1);
    /// ```
    #[inline]
    pub fn owned<T>(&self, value: T) -> Owned<T, S> {
        match self.try_owned(value) {
            Ok(node) => node,
            Err(_) => std::alloc::handle_alloc_error(Vtable::of::<S::Header, T>().layout()),
        }
    }

    /// A node with `value` in it, for a structure of this domain.
    ///
    /// # Errors
    /// Gives the value back when there is no memory.
    ///
    /// ```
    /// use sexton::{AllocError, Epoch, Reclaimer};
    ///
    /// match Epoch.pin().try_owned("value") {
    ///     Ok(node) => assert_eq!(*node, "value"),
    ///     Err(AllocError(value)) => println!("{value} is still here"),
    /// }
    /// ```
    #[inline]
    pub fn try_owned<T>(&self, value: T) -> Result<Owned<T, S>, AllocError<T>> {
        // SAFETY: a vtable for headers of this scheme, and this value.
        unsafe { self.try_owned_with(value, Vtable::of::<S::Header, T>()) }
    }

    /// The same for a value that owns more than its node. It is to be retired by
    /// [`retire_owner`](Self::retire_owner).
    pub(crate) fn try_owner<T: Owner>(&self, value: T) -> Result<Owned<T, S>, AllocError<T>> {
        // SAFETY: a vtable for headers of this scheme, and this value.
        unsafe { self.try_owned_with(value, Vtable::of_owner::<S::Header, T>()) }
    }

    /// # Safety
    /// The vtable was made for headers of this scheme, and `T`.
    #[inline]
    unsafe fn try_owned_with<T>(
        &self,
        value: T,
        vtable: &'static Vtable,
    ) -> Result<Owned<T, S>, AllocError<T>> {
        // SAFETY: the caller's.
        let place = unsafe { self.try_place(vtable) };
        let Some(place) = place else { return Err(AllocError(value)) };
        // SAFETY: a place for a `T` (`retired`: I1), which nobody else knows.
        unsafe {
            let place = place.cast::<T>();
            place.write(value);
            Ok(Owned::from_raw(place))
        }
    }

    /// The place for the value in a new block, with a header before it; `None` if there is no memory.
    ///
    /// The value, and a front, are not there yet.
    ///
    /// # Safety
    /// The vtable was made for headers of this scheme.
    #[inline]
    pub(crate) unsafe fn try_place(&self, vtable: &'static Vtable) -> Option<NonNull<u8>> {
        // SAFETY: I1.
        let block = unsafe { S::allocate(self.domain, &self.section, vtable) }?;
        // SAFETY: the block has the vtable's layout, so the header, which is of the type that the
        // vtable was made for (the caller's), has its place in it, aligned (`retired`: I1, I2), and
        // nobody else knows it.
        unsafe {
            let place = block.add(vtable.value_offset());
            header(place).write(S::header(self.domain, &self.section, vtable));
            Some(place)
        }
    }

    /// Hands over an unlinked node, to be reclaimed when nobody can protect it any more.
    ///
    /// Never runs user code and never fails; the node is dropped by some thread, some time later.
    ///
    /// # Safety
    /// - `node` is not null, was made by [`owned`](Self::owned) of a guard of this domain with this
    ///   very `T`, and is retired once, by one thread;
    /// - it is **unlinked for every scheme**: from now on no [`Shield::protect`] can find it in a
    ///   source whose re-reading proves that it is still linked, and no
    ///   [`Shield::announce_if`] can hold it valid. (Links out of nodes that were themselves
    ///   unlinked do not count as sources, which is why such a node's links must be marked, or the
    ///   walk must validate elsewhere.)
    /// - whoever may still read it does so under a guard (and shield) of this domain;
    /// - `T` may be dropped on any thread, and at any later time: it is `Send`, and what it borrows
    ///   lasts, or nothing of it is dropped (`MaybeUninit`).
    ///
    /// # Example
    /// See [`Atomic`].
    #[inline]
    pub unsafe fn retire<T>(&self, node: Ptr<T>) {
        // SAFETY: the caller's: a node of these types.
        unsafe { self.retire_with(node, Vtable::of::<S::Header, T>()) }
    }

    /// As [`retire`](Self::retire), for a node that was made by [`try_owner`](Self::try_owner).
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn retire_owner<T: Owner>(&self, node: Ptr<T>) {
        // SAFETY: the caller's: a node of these types.
        unsafe { self.retire_with(node, Vtable::of_owner::<S::Header, T>()) }
    }

    /// As [`retire`](Self::retire), for a node that has a vtable of its own.
    ///
    /// # Safety
    /// As there, but for this: the node was made by [`try_place`](Self::try_place) with `vtable`.
    #[inline]
    pub(crate) unsafe fn retire_with<T>(&self, node: Ptr<T>, vtable: &'static Vtable) {
        // SAFETY: the caller's: not null, and a node with this vtable.
        let retired = unsafe {
            let value = NonNull::new_unchecked(node.as_raw().cast::<u8>());
            Retired::new(value, vtable)
        };
        // SAFETY: I1; the rest is the caller's.
        unsafe { S::retire(self.domain, &self.section, retired) }
    }

    /// Reclaims about `budget` of the objects that this thread has retired and nobody protects any
    /// more, as far as the scheme reclaims within a guard; says how many they were.
    ///
    /// Structures do this by themselves. It may run the `Drop` of values that were retired.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer};
    ///
    /// let reclaimed = Epoch.pin().reclaim(8);
    /// assert!(reclaimed <= 8);
    /// ```
    #[inline]
    pub fn reclaim(&self, budget: usize) -> usize {
        // SAFETY: I1.
        unsafe { S::reclaim(self.domain, &self.section, budget) }
    }
}

impl<S: Scheme> Drop for Guard<'_, S> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: entered here, by this thread (I1), taken once; all shields have ended or were
        // forgotten (I2).
        unsafe { S::leave(self.domain, ManuallyDrop::take(&mut self.section)) }
    }
}

impl<S: Scheme> fmt::Debug for Guard<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("protection", &S::PROTECTION).finish_non_exhaustive()
    }
}

/// A slot of a guard, and the one pointer that it covers.
///
/// Where a guard protects everything, a shield is the pointer alone and its drop is nothing; with
/// hazard pointers it leases a slot.
///
/// A reference lasts until the shield protects anew:
///
/// ```compile_fail,E0502
/// use sexton::{Atomic, Epoch, Reclaimer, Shield};
///
/// fn stale(link: &Atomic<u32>) {
///     let guard = Epoch.pin();
///     let mut shield = guard.shield();
///     shield.protect(link);
///     let first = unsafe { shield.as_ref() };
///     shield.protect(link);
///     println!("{first:?}");
/// }
/// ```
///
/// To walk, shields are swapped. See [`Atomic`] for a short example.
#[must_use = "the protection ends when the shield is dropped"]
pub struct Shield<'g, T, S: Scheme> {
    guard: &'g Guard<'g, S>,
    slot: ManuallyDrop<S::Slot>,
    ptr: Ptr<T>,
}

impl<'g, T, S: Scheme> Shield<'g, T, S> {
    /// Loads `source` (Acquire), so that what it points to is not freed while this shield covers
    /// it; what it covered before is not protected any more.
    ///
    /// The tag is returned, and is no part of what is protected. Lock-free: it repeats only when
    /// `source` has changed meanwhile.
    ///
    /// A source in a node that may have been unlinked proves nothing unless its mark says so; see
    /// [`announce_if`](Self::announce_if).
    ///
    /// # Example
    /// See [`Atomic`].
    #[inline]
    pub fn protect(&mut self, source: &Atomic<T>) -> Ptr<T> {
        let guard = self.guard;
        // SAFETY: the guard's I1; the slot came from this section.
        let raw = unsafe {
            S::protect(guard.domain, &guard.section, &mut self.slot, source.link(), TAG_MASK)
        };
        self.ptr = Ptr::from_raw(raw);
        self.ptr
    }

    /// Covers `ptr`, provided that `valid` finds, after the announcement is visible, that it was
    /// not retired before: typically that some link still leads to it. If not, the shield covers
    /// nothing.
    ///
    /// `ptr` was loaded with Acquire, or is the thread's own; else the loads in `valid` need Acquire.
    ///
    /// ```
    /// use sexton::{Atomic, Epoch, Reclaimer, sync::Ordering};
    ///
    /// let link = Atomic::<u32>::null();
    /// let guard = Epoch.pin();
    /// let mut shield = guard.shield();
    /// let seen = link.load(Ordering::Acquire);
    /// assert!(shield.announce_if(seen, || link.load(Ordering::Acquire) == seen));
    /// ```
    #[inline]
    pub fn announce_if(&mut self, ptr: Ptr<T>, valid: impl FnOnce() -> bool) -> bool {
        self.announce_as(ptr, || valid().then_some(ptr))
    }

    /// As [`announce_if`](Self::announce_if), with the same pointer as it was found again: equal
    /// addresses may be of two nodes, one of which is gone, and only the other one may be followed.
    #[inline]
    pub(crate) fn announce_as(
        &mut self,
        ptr: Ptr<T>,
        again: impl FnOnce() -> Option<Ptr<T>>,
    ) -> bool {
        let guard = self.guard;
        // What it covered is over, whatever `again` does: a panic included.
        self.ptr = Ptr::null();
        // SAFETY: the guard's I1; the slot came from this section.
        unsafe {
            let address = ptr.as_raw().cast::<u8>();
            S::announce(guard.domain, &guard.section, &mut self.slot, address);
        }
        let again = again();
        if let Some(ptr) = again {
            self.ptr = ptr;
        }
        again.is_some()
    }

    /// What it covers, with the tag it was loaded with.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer, Shield};
    ///
    /// let guard = Epoch.pin();
    /// let shield: Shield<'_, u32, _> = guard.shield();
    /// assert!(shield.ptr().is_null());
    /// ```
    #[inline]
    pub fn ptr(&self) -> Ptr<T> {
        self.ptr
    }

    /// The protected value; `None` if the shield covers nothing.
    ///
    /// # Safety
    /// - The pointer came from where only live nodes of this `T` stand, which are retired in this
    ///   shield's domain only, by the rule of [`Guard::retire`];
    /// - nobody has, or gets, a `&mut` to the value.
    ///
    /// # Example
    /// See [`Atomic`].
    #[inline]
    pub unsafe fn as_ref(&self) -> Option<&T> {
        // SAFETY: protected (S1, S2 of `scheme`) while `self` is borrowed (I3); the rest is the
        // caller's.
        unsafe { self.ptr.as_ref() }
    }

    /// Ends the protection; the shield covers nothing, and can be used again.
    ///
    /// ```
    /// use sexton::{Epoch, Reclaimer, Shield};
    ///
    /// let guard = Epoch.pin();
    /// let mut shield: Shield<'_, u32, _> = guard.shield();
    /// shield.clear();
    /// ```
    #[inline]
    pub fn clear(&mut self) {
        let guard = self.guard;
        // SAFETY: the guard's I1; the slot came from this section.
        unsafe { S::clear(guard.domain, &guard.section, &mut self.slot) };
        self.ptr = Ptr::null();
    }

    /// Turns the shield into a reference to its value, or to a part of it; `None` if it covers
    /// nothing.
    ///
    /// # Safety
    /// As [`as_ref`](Self::as_ref), for as long as the result lives; `part` returns a pointer to
    /// something initialised in the node that it is given.
    ///
    /// # Example
    /// No example: it is how a structure's `get` ends; see `src/rcu_cell.rs` of this crate.
    #[inline]
    pub unsafe fn into_ref<V>(
        self,
        part: impl FnOnce(NonNull<T>) -> NonNull<V>,
    ) -> Option<Ref<'g, V, S>> {
        let value = part(NonNull::new(self.ptr.as_raw())?);
        let (guard, slot) = self.into_parts();
        Some(Ref { guard, slot, value })
    }

    /// The guard and the slot, still leased and announcing.
    #[inline]
    fn into_parts(self) -> (&'g Guard<'g, S>, ManuallyDrop<S::Slot>) {
        let mut shield = ManuallyDrop::new(self);
        // SAFETY: taken once: the shield is not dropped.
        let slot = unsafe { ManuallyDrop::take(&mut shield.slot) };
        (shield.guard, ManuallyDrop::new(slot))
    }
}

impl<T, S: Scheme> Drop for Shield<'_, T, S> {
    #[inline]
    fn drop(&mut self) {
        let guard = self.guard;
        // SAFETY: the guard's I1; the slot came from this section and is taken once.
        unsafe {
            S::free_slot(guard.domain, &guard.section, ManuallyDrop::take(&mut self.slot));
        }
    }
}

impl<T, S: Scheme> fmt::Debug for Shield<'_, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shield").field(&self.ptr).finish()
    }
}

/// A protected reference into a structure: what a `get` returns.
///
/// It dereferences to the value, which may have been removed from the structure meanwhile, but is
/// not dropped before the `Ref` is.
///
/// ```
/// let map = sexton::HashMap::<_, _>::new();
/// let map = map.pin();
/// map.insert("a", String::from("one"));
/// let one = map.get("a").unwrap();
/// map.remove("a");
/// assert_eq!(*one, "one");
/// ```
///
/// What a reference is mapped to lives as long as the value itself, not just as long as the closure:
///
/// ```compile_fail,E0597
/// use sexton::{RcuCell, Ref};
///
/// let cell = RcuCell::<&'static str>::new("lasting");
/// let pinned = cell.pin();
/// let dangling: Ref<'_, String, _> = {
///     let local = String::from("not lasting");
///     let local = &local;
///     let value: Ref<'_, &str, _> = pinned.load();
///     Ref::map(value, |_| local)
/// };
/// println!("{}", *dangling);
/// ```
pub struct Ref<'g, V: 'g, S: Scheme> {
    guard: &'g Guard<'g, S>,
    slot: ManuallyDrop<S::Slot>,
    /// Points into the node that `slot` protects.
    value: NonNull<V>,
}

impl<'g, V: 'g, S: Scheme> Ref<'g, V, S> {
    /// A reference to a part of the value, under the same protection.
    ///
    /// ```
    /// use sexton::Ref;
    ///
    /// let cell = sexton::RcuCell::<_>::new((1, "one"));
    /// let cell = cell.pin();
    /// let name = Ref::map(cell.load(), |pair| &pair.1);
    /// assert_eq!(*name, "one");
    /// ```
    #[inline]
    pub fn map<U>(self, part: impl FnOnce(&V) -> &U) -> Ref<'g, U, S> {
        let value = NonNull::from(part(&self));
        let mut whole = ManuallyDrop::new(self);
        // SAFETY: taken once: the whole is not dropped.
        let slot = unsafe { ManuallyDrop::take(&mut whole.slot) };
        Ref { guard: whole.guard, slot: ManuallyDrop::new(slot), value }
    }

    /// Where the value is.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut V {
        self.value.as_ptr()
    }

    /// A plain reference, good for as long as the guard: for schemes that protect until then.
    ///
    /// ```
    /// use sexton::{Epoch, HashMap};
    ///
    /// let map = HashMap::<_, _>::from([("a", 1)]);
    /// let map = map.pin();
    /// let one: &i32 = map.get("a").unwrap().into_ref();
    /// map.remove("a");
    /// assert_eq!(*one, 1);
    /// ```
    #[inline]
    pub fn into_ref(self) -> &'g V
    where
        S: GuardScoped,
    {
        // SAFETY: `GuardScoped`: the protection lasts until the guard ends, which outlives `'g`.
        unsafe { self.value.as_ref() }
    }
}

impl<V, S: Scheme> Deref for Ref<'_, V, S> {
    type Target = V;

    #[inline]
    fn deref(&self) -> &V {
        // SAFETY: protected by the slot, which is ours until we are dropped.
        unsafe { self.value.as_ref() }
    }
}

impl<V, S: Scheme> AsRef<V> for Ref<'_, V, S> {
    fn as_ref(&self) -> &V {
        self
    }
}

impl<V, S: Scheme> Drop for Ref<'_, V, S> {
    #[inline]
    fn drop(&mut self) {
        let guard = self.guard;
        // SAFETY: the guard's I1; the slot came from this section and is taken once.
        unsafe {
            S::free_slot(guard.domain, &guard.section, ManuallyDrop::take(&mut self.slot));
        }
    }
}

impl<V: fmt::Debug, S: Scheme> fmt::Debug for Ref<'_, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<V: fmt::Display, S: Scheme> fmt::Display for Ref<'_, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<V: PartialEq, S: Scheme> PartialEq for Ref<'_, V, S> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<V: Eq, S: Scheme> Eq for Ref<'_, V, S> {}

/// A structure together with a guard of its domain: many operations, one critical section.
///
/// Returned by each structure's `pin` (with a guard of its own) and `with` (with one of the
/// caller's). The operations are documented with the structure that they belong to.
///
/// ```
/// let stack = sexton::Stack::<_>::new();
/// let pinned = stack.pin();
/// pinned.push(1);
/// pinned.push(2);
/// assert_eq!(pinned.pop(), Some(2));
/// ```
#[must_use = "the critical section ends when this is dropped"]
pub struct Pinned<'a, C, G> {
    structure: &'a C,
    guard: G,
}

impl<'a, C, G> Pinned<'a, C, G> {
    #[inline]
    pub(crate) fn new(structure: &'a C, guard: G) -> Self {
        Self { structure, guard }
    }

    #[inline]
    pub(crate) fn structure(&self) -> &'a C {
        self.structure
    }

    /// The guard.
    ///
    /// ```
    /// let stack = sexton::Stack::<u8>::new();
    /// let pinned = stack.pin();
    /// pinned.guard().reclaim(1);
    /// ```
    #[inline]
    pub fn guard<'g, S: Scheme>(&'g self) -> &'g Guard<'g, S>
    where
        G: Borrow<Guard<'a, S>>,
    {
        self.guard.borrow()
    }
}

impl<'a, C, S: Scheme> Pinned<'a, C, &'a Guard<'a, S>> {
    /// With a guard of the caller's.
    ///
    /// # Panics
    /// If the guard is of another domain than `reclaimer`, the structure's own.
    #[inline]
    pub(crate) fn with<R: Reclaimer<Scheme = S>>(
        structure: &'a C,
        reclaimer: &R,
        guard: &'a Guard<'a, S>,
    ) -> Self {
        assert!(guard.is_of(reclaimer), "the guard is of another domain than the structure");
        Self { structure, guard }
    }
}

impl<C: fmt::Debug, G> fmt::Debug for Pinned<'_, C, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pinned").field(&self.structure).finish()
    }
}
