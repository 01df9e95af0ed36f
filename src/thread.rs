//! Who a thread is: its number, its name, what it has in the domains, and what happens when it exits.
//!
//! - **I1.** *The number* is small: numbers are handed out densely, at first use, and go to other
//!   threads after an exit. A domain finds a thread's record by it.
//! - **I2.** *The identity* is never used again. That a record is a thread's own is told by it, and
//!   not by the number, which may have had another owner.
//! - **I3.** The state of a thread, [`This`], has no destructor, so it is there in the destructors of
//!   other thread-locals too, and reading it is one load. What must happen at an exit is the affair
//!   of another thread-local, [`EXIT`]. After that the thread has no number any more ([`GONE`]), and
//!   [leases](crate::record) a record for each section that it opens.
//! - **I4.** Numbers are claimed and given back without a lock: a child of `fork` may be born in the
//!   middle.
//! - **I5.** *The name* is never used again, either. There is room below it for something else, so names
//!   may run out, and a thread may have none. It takes no record, and stays in the destructors of other
//!   thread-locals.

use core::cell::{Cell, RefCell};
use core::ptr;
use std::sync::Arc;

use crate::sync::constant_thread_local;
use crate::sync::counter::{self, Relaxed};

/// The process-wide domains, whose record is kept at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProcessWide {
    Epoch,
    Hazard,
}

struct This {
    number: Cell<usize>,
    identity: Cell<usize>,
    /// See [`name`].
    name: Cell<usize>,
    /// The thread's records in the process-wide domains.
    at_hand: [Cell<*const ()>; 2],
    /// How many calls of [`Freeing::alone`] it is in.
    freeing: Cell<u8>,
}

/// The number of a thread that has none yet.
pub(crate) const NONE: usize = usize::MAX;

/// The number of a thread that is exiting.
const GONE: usize = usize::MAX - 1;

constant_thread_local! {
    static THIS: This = This {
        number: Cell::new(NONE),
        identity: Cell::new(0),
        name: Cell::new(0),
        at_hand: [Cell::new(ptr::null()), Cell::new(ptr::null())],
        freeing: Cell::new(0),
    };

    static EXIT: Exit =
        Exit { number: Cell::new(NONE), identity: Cell::new(0), kept: RefCell::new(Vec::new()) };
}

/// Reads the thread's state. In a model it goes when the thread exits: then `otherwise`.
#[inline(always)]
fn this<T>(read: impl FnOnce(&This) -> T, otherwise: T) -> T {
    THIS.try_with(read).unwrap_or(otherwise)
}

/// The calling thread's number: the place of its records. Beyond every table if it has none.
#[inline]
pub(crate) fn number() -> usize {
    this(|this| this.number.get(), GONE)
}

/// The calling thread's identity: not 0, and no other thread's, ever.
#[inline]
pub(crate) fn identity() -> usize {
    static NEXT: counter::AtomicUsize = counter::AtomicUsize::new(1);

    match this(|this| this.identity.get(), 0) {
        0 => {
            let new = NEXT.fetch_add(1, Relaxed);
            this(|this| this.identity.set(new), ());
            new
        }
        identity => identity,
    }
}

/// So many low bits of a name are 0: there is room for something else.
pub(crate) const NAMELESS_BITS: u32 = 24;

/// The calling thread's name (I5); 0 if it has none.
#[inline(always)]
pub(crate) fn name() -> usize {
    this(|this| this.name.get(), 0)
}

/// Gives the calling thread a name, unless it has one, or there are none left: where words have 32 bits
/// there are 255.
pub(crate) fn claim_name() -> usize {
    static NAMES: Names = Names::new();

    if name() == 0 {
        this(|this| this.name.set(NAMES.next()), ());
    }
    name()
}

/// The names that are left.
struct Names(counter::AtomicUsize);

impl Names {
    const LAST: usize = usize::MAX >> NAMELESS_BITS;

    const fn new() -> Self {
        Self(counter::AtomicUsize::new(1))
    }

    /// The next one; 0 if there is none.
    fn next(&self) -> usize {
        // Looked at first, so that it never comes round.
        if self.0.load(Relaxed) > Self::LAST {
            return 0;
        }
        match self.0.fetch_add(1, Relaxed) {
            next if next > Self::LAST => 0,
            next => next << NAMELESS_BITS,
        }
    }
}

/// The thread's record in a process-wide domain; null if it has none.
#[inline(always)]
pub(crate) fn at_hand(domain: ProcessWide) -> *const () {
    this(|this| this.at_hand[domain as usize].get(), ptr::null())
}

/// Remembers the thread's record in a process-wide domain, until it exits.
pub(crate) fn keep_at_hand(domain: ProcessWide, record: *const ()) {
    this(|this| this.at_hand[domain as usize].set(record), ());
}

/// The calling thread's number, claimed if need be; `None` if the thread is exiting.
pub(crate) fn claim_number() -> Option<usize> {
    match number() {
        GONE => None,
        NONE => {
            let claim = |exit: &Exit| {
                let number = numbers(Numbers::claim);
                exit.number.set(number);
                exit.identity.set(identity());
                claim_name();
                number
            };
            let number = EXIT.try_with(claim).ok()?;
            this(|this| this.number.set(number), ());
            Some(number)
        }
        number => Some(number),
    }
}

/// The number of a thread that is exiting; it goes back when nobody has it any more.
#[derive(Debug)]
pub(crate) struct Number(usize);

impl Drop for Number {
    fn drop(&mut self) {
        numbers(|numbers| numbers.give_back(self.0));
    }
}

/// A record that a thread has taken for as long as it runs.
pub(crate) trait Kept {
    /// The thread of this identity exits. False if the record stays its own for a while.
    fn thread_exits(&self, identity: usize) -> bool;

    /// Has the record keep the number of its thread, which is exiting, as long as it stays that one's.
    fn keep_number(&self, number: Arc<Number>);

    /// Whether its domain is gone.
    fn is_useless(&self) -> bool;

    /// A share of it is about to be dropped. Orders for a model, which sees nothing of an `Arc`'s
    /// counts, what these order.
    #[cfg(any(loom, crossbeam_loom))]
    fn share_ends(&self);
}

/// Has `record` told when the calling thread exits; false if it is exiting.
pub(crate) fn keep(record: Arc<dyn Kept>) -> bool {
    EXIT.try_with(|exit| exit.keep(record)).is_ok() && number() != GONE
}

/// What a thread leaves to do when it exits.
struct Exit {
    /// The thread's, here too: in a model [`THIS`] may have gone first.
    number: Cell<usize>,
    identity: Cell<usize>,
    kept: RefCell<Vec<Arc<dyn Kept>>>,
}

impl Exit {
    fn keep(&self, record: Arc<dyn Kept>) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() == kept.capacity() {
            // Before the list grows: so a thread that has met many domains remembers few.
            Self::let_go(&mut kept, |record| record.is_useless());
        }
        kept.push(record);
    }

    /// Drops the shares of those that are `done`.
    fn let_go(kept: &mut Vec<Arc<dyn Kept>>, done: impl Fn(&dyn Kept) -> bool) {
        kept.retain(|record| {
            let is_done = done(&**record);
            #[cfg(any(loom, crossbeam_loom))]
            if is_done {
                record.share_ends();
            }
            !is_done
        });
    }
}

impl Drop for Exit {
    fn drop(&mut self) {
        let forget = |this: &This| {
            this.at_hand.iter().for_each(|record| record.set(ptr::null()));
            this.number.set(GONE);
        };
        this(forget, ());
        if self.number.get() == NONE {
            return;
        }
        let number = Number(self.number.get());
        let (kept, identity) = (self.kept.get_mut(), self.identity.get());
        Self::let_go(kept, |record| record.thread_exits(identity));
        if kept.is_empty() {
            return;
        }
        // A successor would find the places taken.
        let number = Arc::new(number);
        kept.iter().for_each(|record| record.keep_number(Arc::clone(&number)));
        Self::let_go(kept, |_| true);
    }
}

/// How many records a thread frees from at a time, one within a drop of the other.
const DEPTH: u8 = 4;

/// What a record frees is freed by one call at a time.
#[derive(Debug, Default)]
pub(crate) struct Freeing(Cell<bool>);

impl Freeing {
    /// Who was at it does not exist here: a child of `fork`.
    pub(crate) fn after_fork_in_child(&self) {
        self.0.set(false);
    }

    /// Whether [`alone`](Self::alone) would do nothing.
    pub(crate) fn is_under_way(&self) -> bool {
        self.0.get() || this(|this| this.freeing.get(), 0) >= DEPTH
    }

    /// Runs `work`, unless the calling thread is in such work already, for this record or for several others.
    /// So freeing an object, whose drop may retire others and leave a section, needs no more stack for a
    /// long chain of them; and what is retired into other domains is freed all the same. `work` does not
    /// panic.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        if self.is_under_way() {
            return None;
        }
        self.0.set(true);
        this(|this| this.freeing.set(this.freeing.get() + 1), ());
        let result = work();
        this(|this| this.freeing.set(this.freeing.get() - 1), ());
        self.0.set(false);
        Some(result)
    }
}

/// The numbers in use: a bit each, in chunks that form a list.
///
/// Their atomics are the machine's in a model, too: what one owner of a number has done is passed on
/// to the next by the records, not by the number.
struct Numbers {
    in_use: [counter::AtomicU64; 64],
    more: counter::AtomicPtr<Self>,
}

impl Numbers {
    const CHUNK: usize = 64 * 64;

    const fn new() -> Self {
        Self {
            in_use: [const { counter::AtomicU64::new(0) }; 64],
            more: counter::AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The smallest number that is not in use, more or less.
    fn claim(&self) -> usize {
        for (index, word) in self.in_use.iter().enumerate() {
            let mut bits = word.load(Relaxed);
            while bits != u64::MAX {
                let free = bits.trailing_ones();
                bits = word.fetch_or(1 << free, Relaxed);
                if bits & (1 << free) == 0 {
                    return index * 64 + free as usize;
                }
            }
        }
        Self::CHUNK + self.more().claim()
    }

    fn give_back(&self, number: usize) {
        if number < Self::CHUNK {
            self.in_use[number / 64].fetch_and(!(1 << (number % 64)), Relaxed);
        } else {
            self.more().give_back(number - Self::CHUNK);
        }
    }

    /// The next chunk; it stays for as long as this one.
    fn more(&self) -> &Self {
        let mut more = self.more.load(counter::Acquire);
        if more.is_null() {
            let new = Box::into_raw(Box::new(Self::new()));
            match self.more.compare_exchange(more, new, counter::AcqRel, counter::Acquire) {
                Ok(_) => more = new,
                Err(found) => {
                    // SAFETY: from a box, and nobody else knows it.
                    drop(unsafe { Box::from_raw(new) });
                    more = found;
                }
            }
        }
        // SAFETY: from a box that is freed with this chunk.
        unsafe { &*more }
    }
}

impl Drop for Numbers {
    /// Of the process's numbers there is no end.
    fn drop(&mut self) {
        let more = *self.more.get_mut();
        if !more.is_null() {
            // SAFETY: from a box, and nobody else knows it any more.
            drop(unsafe { Box::from_raw(more) });
        }
    }
}

/// The process's numbers; a model's, whose threads all run on one of the machine's.
fn numbers<T>(of: impl FnOnce(&Numbers) -> T) -> T {
    #[cfg(not(any(loom, crossbeam_loom, shuttle)))]
    {
        static NUMBERS: Numbers = Numbers::new();
        of(&NUMBERS)
    }
    #[cfg(any(loom, crossbeam_loom, shuttle))]
    {
        std::thread_local! {
            static NUMBERS: Numbers = const { Numbers::new() };
        }
        NUMBERS.with(of)
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_used_again() {
        let numbers = Numbers::new();
        let many = if cfg!(miri) { 100 } else { 2 * Numbers::CHUNK };
        assert!((0..many).all(|expected| numbers.claim() == expected));
        for number in [7, 65, many - 1] {
            numbers.give_back(number);
            assert_eq!(numbers.claim(), number);
        }
        assert_eq!(numbers.claim(), many);
    }

    #[test]
    fn a_thread_keeps_its_number_and_gives_it_back() {
        let numbers: Vec<_> = (0..50)
            .map(|_| {
                let thread = std::thread::spawn(|| {
                    let first = claim_number();
                    assert_eq!(claim_number(), first);
                    first.unwrap()
                });
                thread.join().unwrap()
            })
            .collect();
        // Other tests' threads have some, too; but none of these is in use any more.
        assert!(numbers.iter().max().unwrap() < &1000);
    }

    /// Threads forget guards, in domains that go later.
    #[test]
    #[cfg(not(shuttle))]
    fn a_number_goes_back_at_the_latest_with_the_domain() {
        use crate::{Domain, Epoch, Hazard, Reclaimer};

        let threads = if cfg!(miri) { 10 } else { 1000 };
        let kept: Vec<_> = (0..threads)
            .map(|_| {
                let (epoch, hazard) = (Domain::<Epoch>::new(), Domain::<Hazard>::new());
                let thread = std::thread::spawn(move || {
                    core::mem::forget(epoch.pin());
                    core::mem::forget(hazard.pin());
                    // They have kept the number of this thread.
                    (epoch, hazard)
                });
                thread.join().unwrap()
            })
            .collect();
        let claim = || std::thread::spawn(|| claim_number().unwrap()).join().unwrap();
        let while_they_live = claim();
        assert!(while_they_live >= threads, "{while_they_live} of {threads} is in use");
        drop(kept);
        assert!(claim() < while_they_live);
    }

    #[test]
    fn identities_differ() {
        let mine = identity();
        assert_eq!(identity(), mine);
        assert_ne!(std::thread::spawn(identity).join().unwrap(), mine);
    }

    #[test]
    fn a_name_is_one_threads() {
        let claim = || (name(), claim_name(), claim_name(), name());
        let (none, claimed, again, kept) = std::thread::spawn(claim).join().unwrap();
        assert_eq!((none, again, kept), (0, claimed, claimed));
        assert_ne!(claimed, claim_name());
    }

    #[test]
    fn names_end() {
        let names = Names::new();
        assert_eq!(names.next(), 1 << NAMELESS_BITS);
        names.0.store(Names::LAST, Relaxed);
        assert_eq!(names.next(), usize::MAX << NAMELESS_BITS);
        assert_eq!((names.next(), names.next()), (0, 0));
        // Others had looked before.
        names.0.store(Names::LAST + 5, Relaxed);
        assert_eq!((names.next(), names.0.load(Relaxed)), (0, Names::LAST + 5));
    }

    #[test]
    fn work_is_not_done_within_itself() {
        let freeing = Freeing::default();
        assert_eq!(freeing.alone(|| freeing.alone(|| ())), Some(None));
        assert_eq!(freeing.alone(|| ()), Some(()));
    }

    #[test]
    fn work_is_done_within_that_for_a_few_others() {
        fn depth() -> u8 {
            1 + Freeing::default().alone(depth).unwrap_or(0)
        }
        assert_eq!((depth(), depth()), (1 + DEPTH, 1 + DEPTH));
    }
}
