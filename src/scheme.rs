//! The raw trait: what the author of a reclamation scheme implements.
//!
//! There are two layers. [`Scheme`] is raw, unsafe and has no lifetimes: its author proves one
//! thing, that what was protected is not freed. The wrappers ([`Domain`](crate::Domain),
//! [`Guard`](crate::Guard), [`Shield`](crate::Shield), [`Ref`](crate::Ref)) are concrete, written
//! once, and carry the lifetimes for all schemes.
//!
//! # Three families
//!
//! | [`Protection`] | what is protected | for how long | `Slot` | `Header` |
//! | --- | --- | --- | --- | --- |
//! | [`Region`](Protection::Region): epochs | whatever is loaded under a guard | until the guard ends | `()` | `()` |
//! | [`Pointer`](Protection::Pointer): hazard pointers | the one pointer in a slot | until the slot changes | a hazard slot | `()` |
//! | [`Era`](Protection::Era): intervals | whatever was loaded by `protect` | until the guard ends | `()` | the birth era |
//!
//! # What a structure may rely on, whatever the scheme
//!
//! - **S1.** A pointer that [`protect`](Scheme::protect) returned is not reclaimed while it is
//!   covered, provided it is retired only by the rule of [`Guard::retire`](crate::Guard::retire).
//! - **S2.** The same for a pointer that was [announced](Scheme::announce), if at some moment
//!   *after* the announcement it was not retired yet. To know that is the algorithm's business: a
//!   link that `protect` could have used still led to it, or it is the caller's own to retire.
//! - **S3.** `protect` loads with Acquire: what was written before the pointer was published with
//!   Release is seen.
//! - **S4.** [`retire`](Scheme::retire) runs no user code: a structure may retire in the middle of
//!   an operation. User code (a value's `Drop`) runs in [`enter`](Scheme::enter),
//!   [`reclaim`](Scheme::reclaim), [`leave`](Scheme::leave), [`collect`](Scheme::collect) and
//!   [`drain`](Scheme::drain) only, and may itself enter, retire, and use the same structure again.
//! - **S5.** No panic of a retired value's `Drop` leaves any of these functions.

use core::fmt::Debug;
use core::ptr::NonNull;

use crate::retired::{Retired, Vtable};
use crate::sync::AtomicPtr;

/// What a scheme protects, and for how long. See the [module](self).
///
/// ```
/// use sexton::{Epoch, Protection, Scheme};
///
/// assert_eq!(Epoch::PROTECTION, Protection::Region);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// A guard protects every pointer that is loaded (Acquire) while it lives.
    Region,
    /// A guard protects every pointer that [`Scheme::protect`] returned, or that was
    /// [announced](Scheme::announce) and found valid, until the guard ends.
    ///
    /// Not a pointer found in an unlinked node: that one may be younger than the guard's interval
    /// and freed already, and re-reading the frozen link proves nothing.
    Era,
    /// Each slot protects the one pointer that it holds, until it holds another.
    Pointer,
}

/// A safe-memory-reclamation scheme, raw. See the [module](self) for the families.
///
/// Users meet it as a type parameter: [`Domain<S>`](crate::Domain) is a domain of scheme `S`.
/// Implement it to bring a scheme of your own, and call the macro `conformance!` (feature
/// `conformance`) to test it.
///
/// All functions that take a [`Section`](Self::Section) are called on the thread that entered it.
///
/// # Safety
///
/// The implementor promises S1 to S5 of the [module](self), and:
///
/// - A `Section` that is never [left](Self::leave), or a `Slot` that is never
///   [freed](Self::free_slot) (both can be forgotten by safe code), keeps memory at worst.
///   [`leave`](Self::leave) gives back the slots of its section that were forgotten.
/// - `Section` and `Slot` values may be moved. They are not used after their domain is gone.
/// - Every [`Retired`] is reclaimed at most once; [`drain`](Self::drain) reclaims all that are left.
/// - No state is borrowed, and none is half changed, while user code runs: a value's `Drop` may use
///   the very section in which it is reclaimed (a guard can be kept where it is reached from there).
///
/// It may rely on this: a `Domain` is not moved after it was first used, until it is drained; it is
/// drained once, and dropped after that. What headers or records point to must not lie inside the
/// `Domain` value itself, though: `drain` and its drop have it as `&mut`.
/// - Any function that is not marked `unsafe` is sound whatever its caller does.
///
/// # Example
///
/// No example here: the smallest useful one is a page long. `tests/outside_scheme.rs` of this
/// crate has one, an interval scheme with birth eras, that passes the conformance suite.
pub unsafe trait Scheme: Sized + Send + Sync + 'static {
    /// What a guard or a slot protects.
    const PROTECTION: Protection;

    /// Whether pending memory stays bounded while a thread sleeps in a critical section.
    const BOUNDED: bool;

    /// Precedes each node's value; made by [`header`](Self::header). `()` where a scheme needs
    /// nothing of its nodes, the birth era for intervals.
    type Header;

    /// The state that all threads of a domain share. Must not be zero-sized: its address is the
    /// domain's identity.
    type Domain: Send + Sync + 'static;

    /// What one guard carries: the thread's record, the mask of its free slots.
    type Section;

    /// What one shield carries: a hazard slot; `()` unless protection is
    /// [`Pointer`](Protection::Pointer).
    type Slot;

    /// A new domain, isolated from all others.
    fn new_domain() -> Self::Domain;

    /// Opens a critical section for the calling thread. Sections nest, and end in any order.
    ///
    /// Must work at any time, in the destructor of a thread-local too.
    fn enter(domain: &Self::Domain) -> Self::Section;

    /// Ends a critical section. May reclaim a few objects.
    ///
    /// # Safety
    /// - `section` was entered in this domain, by this thread;
    /// - its slots were freed or forgotten.
    unsafe fn leave(domain: &Self::Domain, section: Self::Section);

    /// The header of a node that is about to be allocated in this section. It is never dropped.
    ///
    /// # Safety
    /// `section` was entered in this domain, by this thread.
    unsafe fn header(
        domain: &Self::Domain,
        section: &Self::Section,
        vtable: &'static Vtable,
    ) -> Self::Header;

    /// A node's block, from the global allocator, or one that was in use before and that came
    /// from there with the same layout. `None` when there is no memory.
    ///
    /// # Safety
    /// `section` was entered in this domain, by this thread.
    #[inline]
    unsafe fn allocate(
        domain: &Self::Domain,
        section: &Self::Section,
        vtable: &'static Vtable,
    ) -> Option<NonNull<u8>> {
        let _ = (domain, section);
        // SAFETY: the size of a node is never 0 (I1 of `retired`).
        NonNull::new(unsafe { std::alloc::alloc(vtable.layout()) })
    }

    /// A slot that protects nothing yet. Without limit: there is always one more.
    ///
    /// # Safety
    /// `section` was entered in this domain, by this thread.
    unsafe fn slot(domain: &Self::Domain, section: &Self::Section) -> Self::Slot;

    /// Gives a slot back. Its protection ends.
    ///
    /// # Safety
    /// `section` was entered in this domain, by this thread, and `slot` came from it.
    unsafe fn free_slot(domain: &Self::Domain, section: &Self::Section, slot: Self::Slot);

    /// Loads a pointer from `source` (Acquire) so that its target is protected by `slot`; what
    /// `slot` protected before is not any more ([`Pointer`](Protection::Pointer)).
    ///
    /// The bits of `tag_mask` are no part of the address, and are returned as they were.
    /// Lock-free: it repeats only when `source` has changed meanwhile.
    ///
    /// # Safety
    /// `section` was entered in this domain, by this thread, and `slot` came from it.
    unsafe fn protect<T>(
        domain: &Self::Domain,
        section: &Self::Section,
        slot: &mut Self::Slot,
        source: &AtomicPtr<T>,
        tag_mask: usize,
    ) -> *mut T;

    /// Makes `slot` cover `address` (no tag), *if* it turns out afterwards that it was not retired
    /// before: see S2 of the [module](self). What the thread loads after this call is loaded after
    /// the announcement became visible to all who reclaim. The address was loaded with Acquire, or
    /// is the thread's own: so an era that is read here is not older than the node's birth.
    ///
    /// # Safety
    /// `section` was entered in this domain, by this thread, and `slot` came from it.
    unsafe fn announce(
        domain: &Self::Domain,
        section: &Self::Section,
        slot: &mut Self::Slot,
        address: *mut u8,
    );

    /// Ends the protection of `slot`, which stays leased.
    ///
    /// # Safety
    /// `section` was entered in this domain, by this thread, and `slot` came from it.
    unsafe fn clear(domain: &Self::Domain, section: &Self::Section, slot: &mut Self::Slot);

    /// Takes over an unlinked object, to reclaim it when nobody can protect it any more.
    ///
    /// Runs no user code, and loses nothing when memory is short.
    ///
    /// # Safety
    /// - `section` was entered in this domain, by this thread;
    /// - what [`Guard::retire`](crate::Guard::retire) asks of its caller holds.
    unsafe fn retire(domain: &Self::Domain, section: &Self::Section, retired: Retired);

    /// A good moment to reclaim up to about `budget` of the objects that this thread has retired
    /// and nobody protects any more; says how many it reclaimed.
    ///
    /// Structures call it at the end of an operation that retired, so that a guard that lives long
    /// does not put off what could be freed. Cheap when there is nothing to do, and allowed to do
    /// nothing where [`enter`](Self::enter) or [`leave`](Self::leave) do the work.
    ///
    /// # Safety
    /// `section` was entered in this domain, by this thread.
    unsafe fn reclaim(domain: &Self::Domain, section: &Self::Section, budget: usize) -> usize;

    /// Reclaims all objects that were retired before, by whomever, and that nobody can protect any
    /// more; says how many objects were reclaimed meanwhile. It ends, however busy others are.
    ///
    /// On a quiet domain (no section open, no thread at work) nothing is left pending, unless the
    /// scheme's documentation says what is and why; or drops retire objects whose drops retire others, and
    /// so on, for more than a hundred generations. The calling thread may have sections open: then what they
    /// hold is left.
    fn collect(domain: &Self::Domain) -> usize;

    /// Reclaims everything: the domain is about to go, and no section of it is open (those that
    /// were forgotten do not count: nobody can use them any more). A scheme that cannot reach all
    /// of it says so in its documentation, and what it leaves must be sound to reclaim later.
    fn drain(domain: &mut Self::Domain);

    /// What the domain has done so far.
    fn stats(domain: &Self::Domain) -> Stats;

    /// Forgets the threads that do not exist in this process: see
    /// [`Reclaimer::after_fork_in_child`](crate::Reclaimer::after_fork_in_child). Does nothing where
    /// the scheme has no means to.
    ///
    /// # Safety
    /// The process is a child of `fork`, and has no other thread than the calling one yet.
    unsafe fn after_fork_in_child(domain: &Self::Domain) {
        let _ = domain;
    }
}

/// A scheme with a process-wide domain: its marker type is then itself a
/// [`Reclaimer`](crate::Reclaimer), of no size.
///
/// # Safety
/// [`global`](Self::global) returns the same domain at each call.
///
/// No example: users write `Stack<T, Epoch>`; `tests/outside_scheme.rs` implements it.
pub unsafe trait GlobalScheme: Scheme + Copy + Default + Debug {
    /// The process-wide domain.
    fn global() -> &'static Self::Domain;
}

/// A scheme where what was protected stays so until the guard ends, so that a
/// [`Ref`](crate::Ref) can be turned [into a plain reference](crate::Ref::into_ref).
///
/// # Safety
/// [`PROTECTION`](Scheme::PROTECTION) is [`Region`](Protection::Region) or
/// [`Era`](Protection::Era), and freeing a slot, clearing it or protecting anew ends no protection.
///
/// ```
/// fn lasting<'g, V, S: sexton::GuardScoped>(value: sexton::Ref<'g, V, S>) -> &'g V {
///     value.into_ref()
/// }
/// ```
pub unsafe trait GuardScoped: Scheme {}

/// What a domain has done so far, summed over its threads when asked.
///
/// The counts are exact on a quiet domain. On a busy one each is a little behind or ahead of the
/// others, as the threads are not stopped to be counted.
///
/// ```
/// use sexton::{Domain, Epoch, Stack, Reclaimer};
///
/// let domain = Domain::<Epoch>::new();
/// let stack = Stack::with_reclaimer(domain.clone());
/// stack.push(1);
/// stack.pop();
/// assert_eq!(domain.stats().retired, 1);
/// domain.collect();
/// assert_eq!(domain.stats().pending, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Objects retired since the domain began.
    pub retired: u64,
    /// Objects reclaimed since the domain began.
    pub reclaimed: u64,
    /// Objects retired and not reclaimed yet.
    pub pending: u64,
    /// The memory of the pending objects' own blocks, in bytes; and of hash maps' old tables, all of it.
    /// (Not what keys and values own beyond.)
    pub pending_bytes: u64,
    /// Reclaimed objects whose `Drop` panicked.
    pub drop_panics: u64,
    /// Objects that were given up, and are never reclaimed, because there was no memory to remember
    /// them; they count as pending.
    pub leaked: u64,
    /// Threads with a record in the domain; 0 where the scheme does not know them.
    pub threads: u64,
    /// Rounds of reclamation; 0 where the scheme does not count them.
    pub collections: u64,
    /// Heavy barriers issued; 0 where the scheme has none.
    pub heavy_barriers: u64,
}
