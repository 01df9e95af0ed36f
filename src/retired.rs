//! A node's memory: how it is laid out, and what is needed to free it later, from anywhere.
//!
//! A node is one allocation:
//!
//! ```text
//! block                         value                 (all pointers in the crate point here)
//! v                             v
//! +---------+-------+-----------+-----------------+
//! | padding | front | header: H | value: T        |
//! +---------+-------+-----------+-----------------+
//! ```
//!
//! The front is what a structure keeps of a size that differs from node to node (a skip list's
//! towers); most have none.
//!
//! - **I1.** The value's address is a multiple of [`NODE_ALIGN`], so that its low bits are free for
//!   [tags](crate::Ptr::tag), whatever `T` is; a zero-sized `T` has an address of its own as well.
//! - **I2.** The header ends where the value begins. It is found without knowing `T`. The front ends
//!   at the last multiple of [`NODE_ALIGN`] before the header.
//! - **I3.** Every block comes from the global allocator with the layout of its [`Vtable`], so
//!   whoever is its last owner may give it back there.

use core::alloc::Layout;
use core::any::Any;
use core::fmt;
use core::ptr::NonNull;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::recycler::Class;

/// The alignment of every node's value, at least: three low bits of its address are zero.
///
/// ```
/// use sexton::{Epoch, NODE_ALIGN, Reclaimer};
///
/// let node = Epoch.pin().owned(());
/// assert_eq!((&raw const *node).addr() % NODE_ALIGN, 0);
/// ```
pub const NODE_ALIGN: usize = 8;

/// What all nodes of one type have in common: how to drop the value, and the block's layout.
///
/// One static of it exists for each pair of header and value type (and another one where what values
/// own is counted). A scheme meets it in [`Retired`] and in
/// [`Scheme::header`](crate::Scheme::header).
///
/// No example: it is made by [`Guard::owned`](crate::Guard::owned) and used by schemes only.
pub struct Vtable {
    /// `None` where dropping does nothing.
    drop_value: Option<unsafe fn(NonNull<u8>)>,
    layout: Layout,
    value_offset: usize,
    /// To which blocks it belongs that are used again.
    class: Option<Class>,
    /// How much memory a value owns beside the block, where that is counted.
    owned_bytes: Option<unsafe fn(NonNull<u8>) -> usize>,
}

/// A value that owns so much memory beside its node that it must be counted as pending, too: as long
/// as the value lives, the same number of bytes.
pub(crate) trait Owner {
    fn owned_bytes(&self) -> usize;
}

impl Vtable {
    /// The vtable of nodes with header `H` and value `T`.
    pub(crate) const fn of<H, T>() -> &'static Self {
        <NodeOf<H, T> as HasVtable>::VTABLE
    }

    /// The vtable of nodes with header `H` and value `T`, which owns more than its node.
    pub(crate) const fn of_owner<H, T: Owner>() -> &'static Self {
        <NodeOf<H, T> as HasOwnersVtable>::VTABLE
    }

    /// One for nodes with so many bytes, a multiple of [`NODE_ALIGN`], in front.
    pub(crate) const fn with_front<H, T>(front: usize) -> Self {
        let (layout, value_offset) = node_layout::<H, T>(front);
        Self {
            drop_value: if core::mem::needs_drop::<T>() { Some(drop_value::<T>) } else { None },
            layout,
            value_offset,
            class: Class::of(layout),
            owned_bytes: None,
        }
    }

    /// The layout of the whole block.
    #[inline]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// To which blocks it belongs that are used again; `None` if such are not.
    #[inline]
    pub(crate) fn class(&self) -> Option<Class> {
        self.class
    }

    /// Whether its objects own nothing beside their blocks that would have to be dropped or counted.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.drop_value.is_none() && self.owned_bytes.is_none()
    }

    /// Where the value begins, in bytes from the block's start.
    #[inline]
    pub(crate) fn value_offset(&self) -> usize {
        self.value_offset
    }
}

impl fmt::Debug for Vtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vtable")
            .field("layout", &self.layout)
            .field("needs_drop", &self.drop_value.is_some())
            .finish()
    }
}

/// Carries the two types to where a constant can be made of them.
struct NodeOf<H, T>(core::marker::PhantomData<(H, T)>);

trait HasVtable {
    const VTABLE: &'static Vtable;
}

impl<H, T> HasVtable for NodeOf<H, T> {
    const VTABLE: &'static Vtable = &Vtable::with_front::<H, T>(0);
}

trait HasOwnersVtable {
    const VTABLE: &'static Vtable;
}

impl<H, T: Owner> HasOwnersVtable for NodeOf<H, T> {
    const VTABLE: &'static Vtable =
        &Vtable { owned_bytes: Some(owned_bytes::<T>), ..Vtable::with_front::<H, T>(0) };
}

/// # Safety
/// `value` is a valid `T`.
unsafe fn owned_bytes<T: Owner>(value: NonNull<u8>) -> usize {
    // SAFETY: the caller's.
    unsafe { value.cast::<T>().as_ref() }.owned_bytes()
}

/// How many bytes there are between the end of a node's front and its value (I2).
pub(crate) const fn front_distance<H>() -> usize {
    size_of::<H>().next_multiple_of(NODE_ALIGN)
}

/// The block's layout and the value's offset in it.
const fn node_layout<H, T>(front: usize) -> (Layout, usize) {
    assert!(front % NODE_ALIGN == 0, "the front is a multiple of `NODE_ALIGN`");
    let mut align = NODE_ALIGN;
    if align_of::<H>() > align {
        align = align_of::<H>();
    }
    if align_of::<T>() > align {
        align = align_of::<T>();
    }
    // I2: rounding the header's size up to the common alignment leaves the padding before it.
    let offset = (front + front_distance::<H>()).next_multiple_of(align);
    // I1: a block of at least one byte has an address of its own. The block's size is a multiple
    // of its alignment, which costs nothing, as allocators round up too.
    let size = match offset + size_of::<T>() {
        0 => align,
        size => size.next_multiple_of(align),
    };
    match Layout::from_size_align(size, align) {
        Ok(layout) => (layout, offset),
        Err(_) => panic!("a node of this type is larger than memory"),
    }
}

/// # Safety
/// `value` is a valid `T` that nobody else uses, now or later.
unsafe fn drop_value<T>(value: NonNull<u8>) {
    // SAFETY: the caller's.
    unsafe { value.cast::<T>().drop_in_place() }
}

/// Gives a node's memory back; its value is not dropped.
///
/// # Safety
/// `value` points to the value of a block that was allocated with `vtable`'s layout, and nobody
/// uses the block any more.
pub(crate) unsafe fn deallocate(value: NonNull<u8>, vtable: &Vtable) {
    // SAFETY: I2 and I3; the caller owns the block.
    unsafe {
        let block = value.as_ptr().sub(vtable.value_offset);
        std::alloc::dealloc(block, vtable.layout);
    }
}

/// One retired object: unlinked, waiting for its last reader.
///
/// A scheme gets it in [`Scheme::retire`](crate::Scheme::retire) and owes it exactly one
/// [`reclaim`](Self::reclaim), or none for ever. Two words, and no trait object: a bag of them is
/// a plain array, and a scan that looks for protected ones touches no dead node.
///
/// No example: only [`Guard::retire`](crate::Guard::retire) makes one, and only schemes get one.
/// `tests/outside_scheme.rs` of this crate is a scheme written from outside.
#[derive(Debug)]
#[must_use = "what is neither kept nor reclaimed is leaked"]
pub struct Retired {
    value: NonNull<u8>,
    vtable: &'static Vtable,
}

// SAFETY: whoever retires promises that the value may be dropped by any thread (`Guard::retire`).
unsafe impl Send for Retired {}

impl Retired {
    /// # Safety
    /// `value` points to the value of a node that was allocated with `vtable`, and what
    /// [`Guard::retire`](crate::Guard::retire) asks for holds.
    #[inline]
    pub(crate) unsafe fn new(value: NonNull<u8>, vtable: &'static Vtable) -> Self {
        Self { value, vtable }
    }

    /// The retired object again, from the parts of one that was taken apart.
    ///
    /// # Safety
    /// `value` and `vtable` are the [`address`](Self::address) and the [`vtable`](Self::vtable) of
    /// one `Retired` that was forgotten, and this is done once.
    #[inline]
    pub unsafe fn from_parts(value: NonNull<u8>, vtable: &'static Vtable) -> Self {
        Self { value, vtable }
    }

    /// The address that a scheme's slots announce: the value's, without tag.
    #[inline]
    pub fn address(&self) -> NonNull<u8> {
        self.value
    }

    /// What is known of the node's type.
    #[inline]
    pub fn vtable(&self) -> &'static Vtable {
        self.vtable
    }

    /// Whether reclaiming it runs the `Drop` of some type.
    #[inline]
    pub fn runs_user_code(&self) -> bool {
        self.vtable.drop_value.is_some()
    }

    /// The size of the node's block in bytes, header included; and of what the value owns beside, if
    /// that is one of this crate's own tables. Always the same for one object.
    #[inline]
    pub fn bytes(&self) -> usize {
        let block = self.vtable.layout.size();
        match self.vtable.owned_bytes {
            None => block,
            // SAFETY: the value is there until it is reclaimed, and nobody has it exclusively.
            Some(owned_bytes) => block + unsafe { owned_bytes(self.value) },
        }
    }

    /// The node's header, as [`Scheme::header`](crate::Scheme::header) made it.
    ///
    /// The pointer is good until the object is reclaimed.
    ///
    /// # Safety
    /// `H` is the `Header` of the scheme whose guard made the node.
    #[inline]
    pub unsafe fn header<H>(&self) -> NonNull<H> {
        // SAFETY: the caller's.
        unsafe { header(self.value) }
    }

    /// Drops the value and frees the block. True unless the value's `Drop` panicked.
    ///
    /// A panic does not pass: the thread that happens to reclaim is not the one to blame, and the
    /// rest of its work must go on. The panic hook has reported it, the block is freed all the
    /// same, and the scheme counts it in [`Stats::drop_panics`](crate::Stats::drop_panics).
    ///
    /// # Safety
    /// Nobody protects the object, and no protection of it can begin any more.
    #[inline]
    pub unsafe fn reclaim(self) -> bool {
        // SAFETY: the caller's; the block came from the global allocator with this layout (I3).
        unsafe {
            let dropped = self.drop_value();
            std::alloc::dealloc(self.block().as_ptr(), self.vtable.layout);
            dropped
        }
    }

    /// The first half of [`reclaim`](Self::reclaim): after it, the block is the caller's.
    ///
    /// # Safety
    /// As there; and once.
    #[inline]
    pub(crate) unsafe fn drop_value(&self) -> bool {
        match self.vtable.drop_value {
            None => true,
            // SAFETY: the caller's: nobody else uses the value. It is not used after a panic,
            // so nobody observes it half dropped.
            Some(drop_value) => swallow_panic(|| unsafe { drop_value(self.value) }),
        }
    }

    /// Where the node's block begins.
    #[inline]
    pub(crate) fn block(&self) -> NonNull<u8> {
        // SAFETY: I2: it begins there.
        unsafe { self.value.sub(self.vtable.value_offset) }
    }
}

/// The header of the node whose value is at `value` (I2).
///
/// # Safety
/// `value` is the place of a value in a block with a header of type `H`.
#[inline]
pub(crate) unsafe fn header<H>(value: NonNull<u8>) -> NonNull<H> {
    // SAFETY: I2: the header's bytes are in the same block, right before the value.
    unsafe { value.cast::<H>().sub(1) }
}

/// Runs `work`; false if it panicked.
pub(crate) fn swallow_panic(work: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => true,
        Err(payload) => {
            drop_payload(payload);
            false
        }
    }
}

/// Drops what a panic has carried. That is a user's value, too, and its drop may panic again, and so
/// on. Nobody means that; after so many it is leaked.
#[cold]
fn drop_payload(mut payload: Box<dyn Any + Send>) {
    const PATIENCE: usize = 8;

    for _ in 0..PATIENCE {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    core::mem::forget(payload);
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;

    #[repr(align(128))]
    struct Wide(#[expect(dead_code, reason = "gives it a size")] u8);

    #[test]
    fn values_are_aligned_for_tags_and_headers_end_where_they_begin() {
        fn check<H, T>(offset: usize, size: usize, align: usize) {
            let vtable = Vtable::of::<H, T>();
            assert_eq!(vtable.value_offset, offset);
            assert_eq!(vtable.layout, Layout::from_size_align(size, align).unwrap());
            assert_eq!(offset % NODE_ALIGN, 0);
        }
        check::<(), ()>(0, 8, 8);
        check::<(), u8>(0, 8, 8);
        check::<u64, ()>(8, 8, 8);
        check::<u64, [u8; 9]>(8, 24, 8);
        check::<u32, u64>(8, 16, 8);
        check::<u64, Wide>(128, 256, 128);
        check::<(), Wide>(0, 128, 128);
        check::<Wide, u8>(128, 256, 128);
    }

    #[test]
    fn a_front_ends_before_the_header() {
        fn check<H, T>(front: usize, offset: usize, size: usize) {
            let vtable = Vtable::with_front::<H, T>(front);
            assert_eq!((vtable.value_offset, vtable.layout.size()), (offset, size));
            assert!(vtable.value_offset >= front + front_distance::<H>());
        }
        check::<(), u64>(8, 8, 16);
        check::<(), u64>(24, 24, 32);
        check::<u64, u8>(16, 24, 32);
        check::<u8, u8>(8, 16, 24);
        check::<u64, Wide>(8, 128, 256);
        check::<u64, Wide>(128, 256, 384);
    }

    #[test]
    fn a_vtable_knows_whether_dropping_does_anything() {
        assert!(Vtable::of::<(), u64>().drop_value.is_none());
        assert!(Vtable::of::<(), String>().drop_value.is_some());
    }
}
