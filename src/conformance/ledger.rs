//! Births and deaths, told by the values themselves and written down outside of them.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A record of which [`Tracked`] values were born and which have died. Cheap to clone; all clones
/// are the same book.
///
/// What should not happen (a value that dies twice) is written down as a fault, not raised as a
/// panic: the one who drops may be the scheme, which swallows panics.
///
/// ```
/// use sexton::conformance::{Ledger, Tracked};
///
/// let ledger = Ledger::new();
/// let value = Tracked::new(&ledger, 7);
/// assert_eq!(ledger.living(), 1);
/// drop(value);
/// ledger.assert_all_dead();
/// ```
#[derive(Clone, Default)]
pub struct Ledger {
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    /// By id: whether it lives.
    lives: Vec<bool>,
    living: usize,
    faults: Vec<String>,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // A test that failed elsewhere does not make the numbers wrong.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn born(&self) -> usize {
        let mut book = self.book();
        book.lives.push(true);
        book.living += 1;
        book.lives.len() - 1
    }

    fn died(&self, id: usize) {
        let mut book = self.book();
        if std::mem::replace(&mut book.lives[id], false) {
            book.living -= 1;
        } else {
            book.faults.push(format!("value {id} was dropped twice"));
        }
    }

    fn fault(&self, fault: String) {
        self.book().faults.push(fault);
    }

    /// How many values were born so far.
    #[must_use]
    pub fn born_so_far(&self) -> usize {
        self.book().lives.len()
    }

    /// How many values live now.
    #[must_use]
    pub fn living(&self) -> usize {
        self.book().living
    }

    /// Whether the value with this [id](Tracked::id) lives.
    #[must_use]
    pub fn lives(&self, id: usize) -> bool {
        self.book().lives[id]
    }

    /// # Panics
    /// If the value with this id is dead: it was freed `too_early`, which says when that was.
    #[track_caller]
    pub fn assert_lives(&self, id: usize, too_early: &str) {
        assert!(self.lives(id), "value {id} was freed {too_early}");
    }

    /// # Panics
    /// If a value died twice, or was found overwritten.
    #[track_caller]
    pub fn assert_no_fault(&self) {
        let faults = self.book().faults.clone();
        assert!(faults.is_empty(), "{} faults, the first: {}", faults.len(), faults[0]);
    }

    /// # Panics
    /// If a value still lives, died twice, or was found overwritten.
    #[track_caller]
    pub fn assert_all_dead(&self) {
        self.assert_no_fault();
        let (living, born) = (self.living(), self.born_so_far());
        assert_eq!(living, 0, "{living} of {born} values were never freed");
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.book();
        f.debug_struct("Ledger")
            .field("born", &book.lives.len())
            .field("living", &book.living)
            .field("faults", &book.faults)
            .finish()
    }
}

/// What the word of a living value says, and what `Drop` makes of it.
const ALIVE: u64 = 0xA11F_E000_5EC5_7013;
const DEAD: u64 = 0xDEAD_DEAD_DEAD_DEAD;

/// A value that tells its [`Ledger`] of its birth and death, and that knows when it is read after
/// it.
///
/// A clone is a birth of its own.
///
/// ```
/// use sexton::conformance::{Ledger, Tracked};
///
/// let ledger = Ledger::new();
/// let value = Tracked::new(&ledger, 7);
/// assert_eq!(value.value(), 7);
/// ```
pub struct Tracked {
    /// `ALIVE` or `DEAD`. Not atomic, so that a reader who is not ordered before the `Drop` is a
    /// data race that tools see.
    word: u64,
    id: usize,
    value: u64,
    /// Not dropped by a second `Drop`: that one must be written down, not crash.
    ledger: ManuallyDrop<Ledger>,
}

impl Tracked {
    /// A new value.
    #[must_use]
    pub fn new(ledger: &Ledger, value: u64) -> Self {
        let id = ledger.born();
        Self { word: ALIVE, id, value, ledger: ManuallyDrop::new(ledger.clone()) }
    }

    /// Its number in its ledger: 0, 1, 2, ...
    #[must_use]
    pub fn id(&self) -> usize {
        self.look();
        self.id
    }

    /// What it was made with.
    ///
    /// # Panics
    /// If it is dead.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.look();
        self.value
    }

    /// Reads the word.
    ///
    /// # Panics
    /// If the value is dead: this is a use after free.
    pub fn look(&self) {
        // SAFETY: a reference. Volatile: a compiler may take it that what is borrowed is not
        // dropped, and that is in question here.
        let word = unsafe { ptr::read_volatile(&raw const self.word) };
        assert!(word == ALIVE, "a value was read after it was freed (its word is {word:#x})");
    }
}

impl Clone for Tracked {
    fn clone(&self) -> Self {
        self.look();
        Self::new(&self.ledger, self.value)
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        // SAFETY: a reference. Volatile: else the store is optimised away, as nobody reads a value
        // that is dropped.
        let word = unsafe {
            let word = &raw mut self.word;
            let found = ptr::read_volatile(word);
            ptr::write_volatile(word, DEAD);
            found
        };
        if word == ALIVE {
            self.ledger.died(self.id);
            // SAFETY: the word says that it is there, and is not `ALIVE` any more.
            unsafe { ManuallyDrop::drop(&mut self.ledger) };
        } else {
            // The ledger's own handles are still there: some test has one.
            self.ledger.fault(format!("a value was dropped when its word was {word:#x}"));
        }
    }
}

impl PartialEq for Tracked {
    /// By [value](Self::value).
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl Eq for Tracked {}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tracked({})", self.value())
    }
}
