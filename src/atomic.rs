//! Pointers to nodes: shared ([`Atomic`]), loose ([`Ptr`]) and owned ([`Owned`]).
//!
//! None of them protects anything: a [`Ptr`] is a number that may be compared and tagged. To
//! follow it, cover it with a [`Shield`](crate::Shield).

use core::fmt;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::ops::{Deref, DerefMut};
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::{self, NonNull};
use std::error::Error;

use crate::retired::{NODE_ALIGN, Vtable, deallocate};
use crate::scheme::Scheme;
use crate::sync::{AtomicPtr, Ordering};

/// The bits of a pointer that are free for tags: the low three.
pub(crate) const TAG_MASK: usize = NODE_ALIGN - 1;

/// A pointer to a node, with a tag in its low three bits. Unprotected, and free to copy.
///
/// ```
/// use sexton::Ptr;
///
/// let null = Ptr::<u8>::null();
/// let marked = null.with_tag(1);
/// assert!(marked.is_null());
/// assert_eq!(marked.tag(), 1);
/// assert_ne!(null, marked);
/// ```
pub struct Ptr<T> {
    raw: *mut T,
}

impl<T> Ptr<T> {
    /// The null pointer, with tag 0.
    ///
    /// ```
    /// assert!(sexton::Ptr::<String>::null().is_null());
    /// ```
    #[inline]
    #[must_use]
    pub const fn null() -> Self {
        Self { raw: ptr::null_mut() }
    }

    #[inline]
    pub(crate) const fn from_raw(raw: *mut T) -> Self {
        Self { raw }
    }

    /// The pointer with its tag, as it stands in an [`Atomic`].
    #[inline]
    pub(crate) fn into_raw(self) -> *mut T {
        self.raw
    }

    /// The pointer without its tag.
    ///
    /// ```
    /// assert!(sexton::Ptr::<u8>::null().with_tag(3).as_raw().is_null());
    /// ```
    #[inline]
    #[must_use]
    pub fn as_raw(self) -> *mut T {
        self.raw.map_addr(|address| address & !TAG_MASK)
    }

    /// Whether it points nowhere, whatever its tag.
    ///
    /// ```
    /// assert!(sexton::Ptr::<u8>::null().with_tag(1).is_null());
    /// ```
    #[inline]
    #[must_use]
    pub fn is_null(self) -> bool {
        self.as_raw().is_null()
    }

    /// The tag: 0 to 7.
    ///
    /// ```
    /// assert_eq!(sexton::Ptr::<u8>::null().with_tag(5).tag(), 5);
    /// ```
    #[inline]
    #[must_use]
    pub fn tag(self) -> usize {
        self.raw.addr() & TAG_MASK
    }

    /// The same pointer with another tag. Only the low three bits of `tag` count.
    ///
    /// ```
    /// assert_eq!(sexton::Ptr::<u8>::null().with_tag(9).tag(), 1);
    /// ```
    #[inline]
    #[must_use]
    pub fn with_tag(self, tag: usize) -> Self {
        Self { raw: self.raw.map_addr(|address| (address & !TAG_MASK) | (tag & TAG_MASK)) }
    }

    /// The same pointer, tag included, to something else.
    ///
    /// Useful where nodes of several types begin with the same fields (`#[repr(C)]`).
    ///
    /// ```
    /// let tagged = sexton::Ptr::<u64>::null().with_tag(2).cast::<u8>();
    /// assert_eq!(tagged.tag(), 2);
    /// ```
    #[inline]
    #[must_use]
    pub fn cast<U>(self) -> Ptr<U> {
        Ptr { raw: self.raw.cast() }
    }

    /// # Safety
    /// If not null, the node is alive, and stays so for as long as the reference is used.
    #[inline]
    pub(crate) unsafe fn as_ref<'a>(self) -> Option<&'a T> {
        // SAFETY: the caller's; nodes are aligned for `T`, and a node that is shared is only
        // borrowed shared.
        unsafe { self.as_raw().as_ref() }
    }
}

impl<T> Clone for Ptr<T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

impl<T> PartialEq for Ptr<T> {
    /// Equal when both address and tag are.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.raw, other.raw)
    }
}

impl<T> Eq for Ptr<T> {}

impl<T> Default for Ptr<T> {
    fn default() -> Self {
        Self::null()
    }
}

impl<T> fmt::Debug for Ptr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}+{}", self.as_raw(), self.tag())
    }
}

/// An atomic, nullable, taggable pointer to a node: a link of a lock-free structure.
///
/// The operations are those of [`core::sync::atomic::AtomicPtr`], with the same orderings. Dropping
/// it frees nothing.
///
/// ```
/// use sexton::{Atomic, Domain, Epoch, Owned, Ptr, Reclaimer};
/// use sexton::sync::Ordering;
///
/// let domain = Domain::<Epoch>::new();
/// let link = Atomic::null();
/// let guard = domain.pin();
/// link.store(guard.owned(7).into_ptr(), Ordering::Release);
///
/// let mut shield = guard.shield();
/// shield.protect(&link);
/// // SAFETY: what is in `link` is retired in this domain only.
/// assert_eq!(unsafe { shield.as_ref() }, Some(&7));
///
/// let node = link.swap(Ptr::null(), Ordering::AcqRel);
/// // SAFETY: just unlinked, by us, from the one place where it stood.
/// unsafe { guard.retire(node) };
/// ```
#[repr(transparent)]
pub struct Atomic<T> {
    link: AtomicPtr<T>,
    /// `Send` and `Sync` are decided below, not by `AtomicPtr`, which always is both.
    target: PhantomData<*mut T>,
}

// SAFETY: it hands out `&T` and, by retiring, `T` to other threads.
unsafe impl<T: Send + Sync> Send for Atomic<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Atomic<T> {}

impl<T> Atomic<T> {
    /// A null link.
    ///
    /// ```
    /// use sexton::{Atomic, sync::Ordering};
    ///
    /// assert!(Atomic::<u8>::null().load(Ordering::Relaxed).is_null());
    /// ```
    #[inline]
    #[must_use]
    pub fn null() -> Self {
        Self::new(Ptr::null())
    }

    /// A link to `target`.
    ///
    /// ```
    /// use sexton::{Atomic, Ptr, sync::Ordering};
    ///
    /// let link = Atomic::<u8>::new(Ptr::null().with_tag(1));
    /// assert_eq!(link.load(Ordering::Relaxed).tag(), 1);
    /// ```
    #[inline]
    #[must_use]
    pub fn new(target: Ptr<T>) -> Self {
        Self { link: AtomicPtr::new(target.into_raw()), target: PhantomData }
    }

    /// What a scheme protects from.
    #[inline]
    pub(crate) fn link(&self) -> &AtomicPtr<T> {
        &self.link
    }

    /// Loads the pointer, unprotected.
    ///
    /// ```
    /// use sexton::{Atomic, sync::Ordering};
    ///
    /// assert_eq!(Atomic::<u8>::null().load(Ordering::Acquire).tag(), 0);
    /// ```
    #[inline]
    pub fn load(&self, ordering: Ordering) -> Ptr<T> {
        Ptr::from_raw(self.link.load(ordering))
    }

    /// Stores a pointer. What stood there is forgotten: neither freed nor retired.
    ///
    /// ```
    /// use sexton::{Atomic, Ptr, sync::Ordering};
    ///
    /// let link = Atomic::<u8>::null();
    /// link.store(Ptr::null().with_tag(1), Ordering::Release);
    /// assert_eq!(link.load(Ordering::Relaxed).tag(), 1);
    /// ```
    #[inline]
    pub fn store(&self, target: Ptr<T>, ordering: Ordering) {
        self.link.store(target.into_raw(), ordering);
    }

    /// Stores a pointer and returns what stood there.
    ///
    /// ```
    /// use sexton::{Atomic, Ptr, sync::Ordering};
    ///
    /// let link = Atomic::<u8>::new(Ptr::null().with_tag(2));
    /// assert_eq!(link.swap(Ptr::null(), Ordering::AcqRel).tag(), 2);
    /// ```
    #[inline]
    pub fn swap(&self, target: Ptr<T>, ordering: Ordering) -> Ptr<T> {
        Ptr::from_raw(self.link.swap(target.into_raw(), ordering))
    }

    /// Stores `new` if the link is `current`, tag included.
    ///
    /// # Errors
    /// What stood there instead.
    ///
    /// ```
    /// use sexton::{Atomic, Ptr, sync::Ordering::{AcqRel, Acquire}};
    ///
    /// let (null, marked) = (Ptr::<u8>::null(), Ptr::null().with_tag(1));
    /// let link = Atomic::new(null);
    /// assert_eq!(link.compare_exchange(marked, null, AcqRel, Acquire), Err(null));
    /// assert_eq!(link.compare_exchange(null, marked, AcqRel, Acquire), Ok(null));
    /// ```
    #[inline]
    pub fn compare_exchange(
        &self,
        current: Ptr<T>,
        new: Ptr<T>,
        success: Ordering,
        failure: Ordering,
    ) -> Result<Ptr<T>, Ptr<T>> {
        self.link
            .compare_exchange(current.into_raw(), new.into_raw(), success, failure)
            .map(Ptr::from_raw)
            .map_err(Ptr::from_raw)
    }

    /// As [`compare_exchange`](Self::compare_exchange), but may fail for no reason: for loops.
    ///
    /// # Errors
    /// What stood there.
    ///
    /// ```
    /// use sexton::{Atomic, Ptr, sync::Ordering::{AcqRel, Acquire}};
    ///
    /// let (null, marked) = (Ptr::<u8>::null(), Ptr::null().with_tag(1));
    /// let link = Atomic::new(null);
    /// while link.compare_exchange_weak(null, marked, AcqRel, Acquire).is_err() {}
    /// assert_eq!(link.load(Acquire), marked);
    /// ```
    #[inline]
    pub fn compare_exchange_weak(
        &self,
        current: Ptr<T>,
        new: Ptr<T>,
        success: Ordering,
        failure: Ordering,
    ) -> Result<Ptr<T>, Ptr<T>> {
        self.link
            .compare_exchange_weak(current.into_raw(), new.into_raw(), success, failure)
            .map(Ptr::from_raw)
            .map_err(Ptr::from_raw)
    }
}

impl<T> Default for Atomic<T> {
    fn default() -> Self {
        Self::null()
    }
}

impl<T> fmt::Debug for Atomic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load(Ordering::Relaxed).fmt(f)
    }
}

/// A node that nobody else can reach: not shared yet, or not any more.
///
/// Made by [`Guard::owned`](crate::Guard::owned). Dropping it drops the value and frees the node
/// at once.
///
/// ```
/// use sexton::{Domain, Epoch, Reclaimer};
///
/// let domain = Domain::<Epoch>::new();
/// let mut node = domain.pin().owned(vec![1]);
/// node.push(2);
/// assert_eq!(*node, [1, 2]);
/// assert_eq!(node.into_inner(), [1, 2]);
/// ```
pub struct Owned<T, S: Scheme> {
    value: NonNull<T>,
    owner: PhantomData<(T, S::Header)>,
}

// SAFETY: it owns a `T`, and its header is not touched through it.
unsafe impl<T: Send, S: Scheme> Send for Owned<T, S> {}
// SAFETY: sharing it shares a `&T` only.
unsafe impl<T: Sync, S: Scheme> Sync for Owned<T, S> {}

// As a `Box`: what may be seen half changed is the value, and nothing else.
impl<T: UnwindSafe, S: Scheme> UnwindSafe for Owned<T, S> {}
impl<T: RefUnwindSafe, S: Scheme> RefUnwindSafe for Owned<T, S> {}

impl<T, S: Scheme> Owned<T, S> {
    /// # Safety
    /// `value` is the initialised value of a node with this header and value type, which nobody
    /// else can reach.
    #[inline]
    pub(crate) unsafe fn from_raw(value: NonNull<T>) -> Self {
        Self { value, owner: PhantomData }
    }

    fn vtable() -> &'static Vtable {
        Vtable::of::<S::Header, T>()
    }

    /// Lets go of the node, to be put into an [`Atomic`]. If that fails, take it
    /// [back](Self::from_ptr), or it is leaked.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, Owned, Reclaimer};
    ///
    /// let domain = Domain::<Epoch>::new();
    /// let node = domain.pin().owned(1).into_ptr();
    /// // SAFETY: it was shared with nobody.
    /// drop(unsafe { Owned::<i32, Epoch>::from_ptr(node) });
    /// ```
    #[inline]
    #[must_use = "the node is leaked unless it is linked or taken back"]
    pub fn into_ptr(self) -> Ptr<T> {
        Ptr::from_raw(ManuallyDrop::new(self).value.as_ptr())
    }

    /// The node's pointer. The node stays owned.
    #[inline]
    pub(crate) fn as_ptr(&self) -> Ptr<T> {
        Ptr::from_raw(self.value.as_ptr())
    }

    /// Takes a node back; its tag is dropped. See [`into_ptr`](Self::into_ptr).
    ///
    /// # Safety
    /// - `node` is not null, and came from [`into_ptr`](Self::into_ptr) of the same types;
    /// - nobody else can reach it, now or later: it was never shared, or the structure it was in is
    ///   borrowed exclusively and the node was not retired.
    #[inline]
    pub unsafe fn from_ptr(node: Ptr<T>) -> Self {
        // SAFETY: the caller's.
        unsafe { Self::from_raw(NonNull::new_unchecked(node.as_raw())) }
    }

    /// Frees the node and returns its value.
    ///
    /// ```
    /// use sexton::{Domain, Epoch, Reclaimer};
    ///
    /// assert_eq!(Domain::<Epoch>::new().pin().owned(1).into_inner(), 1);
    /// ```
    #[inline]
    #[must_use]
    pub fn into_inner(self) -> T {
        let node = ManuallyDrop::new(self);
        // SAFETY: the value is ours, and read once: the node is freed without dropping it.
        unsafe {
            let value = node.value.read();
            deallocate(node.value.cast(), Self::vtable());
            value
        }
    }
}

impl<T, S: Scheme> Deref for Owned<T, S> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value is ours and initialised.
        unsafe { self.value.as_ref() }
    }
}

impl<T, S: Scheme> DerefMut for Owned<T, S> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the value is ours alone and initialised.
        unsafe { self.value.as_mut() }
    }
}

impl<T, S: Scheme> Drop for Owned<T, S> {
    fn drop(&mut self) {
        /// Frees the block when the value's `Drop` is done, or panics.
        struct Block(NonNull<u8>, &'static Vtable);

        impl Drop for Block {
            fn drop(&mut self) {
                // SAFETY: the value in it is gone, and nobody else knows the block.
                unsafe { deallocate(self.0, self.1) };
            }
        }

        let _block = Block(self.value.cast(), Self::vtable());
        if mem::needs_drop::<T>() {
            // SAFETY: the value is ours alone, initialised, and dropped once.
            unsafe { self.value.drop_in_place() };
        }
    }
}

impl<T: fmt::Debug, S: Scheme> fmt::Debug for Owned<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// There was no memory for a node. The value that should have gone into it comes back.
///
/// ```
/// use sexton::{Stack, AllocError};
///
/// let stack = Stack::<_>::new();
/// if let Err(AllocError(value)) = stack.try_push("precious") {
///     eprintln!("no memory, but {value} is not lost");
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AllocError<T>(pub T);

impl<T> fmt::Debug for AllocError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AllocError(..)")
    }
}

impl<T> fmt::Display for AllocError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no memory for a node with a value of {} bytes", size_of::<T>())
    }
}

impl<T> Error for AllocError<T> {}
