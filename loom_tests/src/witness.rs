//! The values of the models: they notice when they are used at the wrong time.

use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use std::thread_local;

use loom::cell::UnsafeCell;

/// What stands in a value that was dropped.
const DEAD: u64 = u64::MAX;

/// How many values were made and dropped in this iteration. A model runs on one thread of the
/// machine, and loom is not to see the counting.
#[derive(Default)]
struct Register {
    births: Cell<usize>,
    deaths: Cell<usize>,
    /// Deaths that have begun and not ended well. A scheme lets no panic of a drop pass, loom's
    /// neither, so this is how the model learns of it.
    bad_deaths: Cell<usize>,
}

thread_local! {
    static REGISTER: Register = Register::default();
}

fn count(counter: fn(&Register) -> &Cell<usize>) {
    REGISTER.with(|register| counter(register).update(|count| count + 1));
}

/// Begins an iteration.
pub(crate) fn reset() {
    REGISTER.with(|register| {
        register.births.set(0);
        register.deaths.set(0);
        register.bad_deaths.set(0);
    });
}

/// What has gone wrong in the iteration that is over.
pub(crate) fn fault() -> Option<&'static str> {
    if REGISTER.with(|register| register.bad_deaths.get()) > 0 {
        return Some("a value was dropped at a wrong time");
    }
    REGISTER.with(|register| match register.births.get().cmp(&register.deaths.get()) {
        core::cmp::Ordering::Less => Some("a value was dropped twice"),
        core::cmp::Ordering::Equal => None,
        core::cmp::Ordering::Greater => Some("a value was leaked"),
    })
}

/// A value that is born, read and dropped, and fails the model when
/// - a read is not ordered after the birth, or the death not after every read (loom's cell);
/// - it is read or dropped after its death (the stamp, or the arena's poison);
/// - it never dies (the register, at the iteration's end).
///
/// Its alignment brings its node into the [arena](crate::arena).
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct Witness {
    number: UnsafeCell<u64>,
}

const _: () = assert!(align_of::<Witness>() == crate::arena::ALIGN);

impl Witness {
    pub(crate) fn new(number: u64) -> Self {
        count(|register| &register.births);
        // A step of this thread. Making an object is none: what is made right behind a fence would
        // count as made before it, and as published by it.
        UnsafeCell::new(()).with(|_| ());
        Self { number: UnsafeCell::new(number) }
    }

    /// The number that it was born with.
    pub(crate) fn read(&self) -> u64 {
        // SAFETY: loom panics if a write is under way or not ordered with this.
        let number = self.number.with(|number| unsafe { *number });
        assert_ne!(number, DEAD, "a value was read after its death");
        number
    }
}

impl Clone for Witness {
    fn clone(&self) -> Self {
        Self::new(self.read())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        count(|register| &register.deaths);
        count(|register| &register.bad_deaths);
        // SAFETY: loom panics if another access is under way or not ordered with this.
        let number = self.number.with_mut(|number| unsafe { number.replace(DEAD) });
        assert_ne!(number, DEAD, "a value was dropped after its death");
        REGISTER.with(|register| register.bad_deaths.update(|count| count - 1));
    }
}

/// A `Copy` value, for what takes no others: refers to a [`Witness`] that lives until the iteration
/// is over.
#[repr(align(64))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    witness: &'static Witness,
}

const _: () = assert!(align_of::<Token>() == crate::arena::ALIGN);

thread_local! {
    static TOKENS: RefCell<Vec<NonNull<Witness>>> = const { RefCell::new(Vec::new()) };
}

impl Token {
    pub(crate) fn new(number: u64) -> Self {
        let witness = NonNull::from(Box::leak(Box::new(Witness::new(number))));
        TOKENS.with_borrow_mut(|tokens| tokens.push(witness));
        // SAFETY: freed when the iteration is over.
        Self { witness: unsafe { witness.as_ref() } }
    }

    /// The number that it was made with. Fails the model if that is not ordered before.
    pub(crate) fn read(self) -> u64 {
        self.witness.read()
    }
}

/// Ends an iteration: all threads are done with their tokens.
pub(crate) fn bury_tokens() {
    for token in TOKENS.take() {
        // SAFETY: leaked when it was made, and nobody uses it any more.
        drop(unsafe { Box::from_raw(token.as_ptr()) });
    }
}
