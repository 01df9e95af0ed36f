//! A side's counter: how many cells are claimed, who has claimed the last one, and whether others may.
//!
//! ```text
//! word = name | OWNED | ENDED | number      name: of the thread that has claimed last
//! ```
//!
//! The name is there to be seen *without a failed CAS* that others are at it. Two threads that push
//! and pop in turn may get into step: one is at this end while the other is at that, so no CAS ever
//! fails, nobody steps back, and each operation has to fetch its lines from the other core. Where one
//! of them finds another name than its own, it steps back before its first attempt; the other one finds
//! its own, and runs on in its own cache.
//!
//! Only pushers leave their names. Who stands back at one end is not at the other one, so that is
//! enough; and poppers have one step less to go between a number and its cell.
//!
//! Where a segment is one pusher's own ([`segment`](super::segment)), the name says whose.
//!
//! # Invariants
//!
//! - **N1.** The numbers are right, whatever the names are: a claim adds 1 to the number, and to the
//!   name a difference, from what was found to the own. If others have claimed between the look and a
//!   fetch-and-add, the name is nobody's then, and the next one sets it right.
//! - **N2.** Where no pusher is the owner, nothing but waiting depends on a name. Threads that have none
//!   leave 0, and own nothing: those that never had a record (only domains of `Leak`, or of other crates) and
//!   made no segment of their own, and, where a word has 32 bits, all but the first 255. Such threads learn
//!   of one another from failed CASes.
//! - **N3.** Numbers do not run into what is above them: there are fewer cells, and each thread is beyond
//!   the last one by 1 at most.
//! - **N4.** *The owner is one thread.* `OWNED` is there from the beginning or never, and with it the name
//!   of the thread that makes the counter, which is not 0, and so no other thread's, ever. It stays: only
//!   that thread adds to the number, 1 each time, by a CAS, and only while `ENDED` is not set; others set
//!   `ENDED`, which stays.

use crate::sync::{AtomicUsize, Ordering};
use crate::thread;
use crate::turn::Turn;

/// Above the numbers, and below the names.
const ENDED: usize = 1 << (thread::NAMELESS_BITS - 2);
const OWNED: usize = 1 << (thread::NAMELESS_BITS - 1);

/// N3.
pub(super) const NUMBERS: usize = ENDED - 1;

/// A counter; with names or without.
pub(super) struct Counter<const NAMED: bool>(AtomicUsize);

/// What was found in a counter, and so the claim that may be made.
#[derive(Clone, Copy)]
pub(super) struct Next {
    pub(super) number: usize,
    word: usize,
    /// N1.
    step: usize,
}

impl Next {
    /// Whether another thread has claimed last.
    pub(super) fn is_behind_another(&self) -> bool {
        self.step != 1
    }

    /// Whether one thread alone may claim: N4.
    pub(super) fn is_owned(&self) -> bool {
        self.word & OWNED != 0
    }

    /// Whether the owner may not any more.
    pub(super) fn is_ended(&self) -> bool {
        self.word & ENDED != 0
    }

    /// The same, as the owner sees it: for all others, and when it is ended, the number is beyond all
    /// numbers.
    #[inline(always)]
    pub(super) fn of_owner(self) -> Self {
        Self { number: self.word ^ (thread::name() | OWNED), ..self }
    }
}

impl<const NAMED: bool> Counter<NAMED> {
    /// So many cells are claimed, by the calling thread.
    pub(super) fn new(claimed: usize) -> Self {
        Self(AtomicUsize::new(claimed | Self::name()))
    }

    /// The calling thread's name. (In loom nobody has one but an owner: then each claim may be by CAS first,
    /// and by fetch-and-add if that fails, which is all that there is to explore.)
    #[inline(always)]
    fn name() -> usize {
        let named = NAMED && !cfg!(any(loom, crossbeam_loom));
        if named { thread::name() } else { 0 }
    }

    /// What is next, if the calling thread has claimed last, and nobody is the owner. If not, the number is
    /// beyond all numbers.
    #[inline(always)]
    pub(super) fn next_own(&self, ordering: Ordering) -> Next {
        let word = self.0.load(ordering);
        Next { number: word ^ Self::name(), word, step: 1 }
    }

    /// What is next.
    #[inline]
    pub(super) fn next(&self, ordering: Ordering) -> Next {
        Self::next_in(self.0.load(ordering))
    }

    fn next_in(word: usize) -> Next {
        let number = word & NUMBERS;
        let mine = if word & OWNED == 0 { Self::name() } else { thread::name() };
        let name = word & !(NUMBERS | ENDED | OWNED);
        let step = if NAMED { mine.wrapping_sub(name).wrapping_add(1) } else { 1 };
        Next { number, word, step }
    }

    /// Claims what is next, unless somebody was faster.
    #[inline(always)]
    pub(super) fn claims(&self, next: Next, ordering: Ordering) -> bool {
        let claimed = next.word.wrapping_add(next.step);
        self.0.compare_exchange(next.word, claimed, ordering, Ordering::Relaxed).is_ok()
    }

    /// Claims whatever is next by now, and says what that was.
    pub(super) fn claim(&self, found: Next, ordering: Ordering) -> usize {
        self.0.fetch_add(found.step, ordering) & NUMBERS
    }

    /// A number, for who has lost, or found another thread's name: what is next, unless it is overdue;
    /// `None` if somebody was faster.
    pub(super) fn claim_in_turn(
        &self,
        turn: &mut Turn,
        next: Next,
        ordering: Ordering,
    ) -> Option<usize> {
        if turn.is_overdue() {
            return Some(self.claim(next, ordering));
        }
        if !self.is_still(next, turn) {
            return None;
        }
        if !self.claims(next, ordering) {
            turn.lose();
            return None;
        }
        Some(next.number)
    }

    /// Steps back; whether nobody has claimed meanwhile.
    fn is_still(&self, next: Next, turn: &mut Turn) -> bool {
        // Relaxed: only to leave the line to others.
        turn.step_back(|| self.0.load(Ordering::Relaxed) == next.word)
    }

    /// Gives a number back that is beyond the last cell.
    pub(super) fn give_back(&self) {
        // Relaxed: it is worth nothing.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counter<true> {
    /// As [`new`](Self::new), and no other thread claims any: N4. `None` if there is no name for the calling
    /// thread.
    pub(super) fn owned(claimed: usize) -> Option<Self> {
        let name = thread::claim_name();
        (name != 0).then(|| Self(AtomicUsize::new(claimed | name | OWNED)))
    }

    /// Ends the owner's claiming, and says what would have been next.
    pub(super) fn end(&self, ordering: Ordering) -> Next {
        Self::next_in(self.0.fetch_or(ENDED, ordering))
    }

    /// As [`end`](Self::end), but for what the owner claims first; false if it did.
    pub(super) fn end_in_turn(&self, turn: &mut Turn, next: Next, ordering: Ordering) -> bool {
        let ends = turn.is_overdue() || self.is_still(next, turn);
        if ends {
            self.end(ordering);
        }
        ends
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use std::thread::scope;

    use super::*;

    const AT_ALL: Ordering = Ordering::Relaxed;

    /// Does it on another thread, which has a name.
    fn elsewhere<X: Send>(work: impl FnOnce() -> X + Send) -> X {
        let named = || {
            assert_ne!(thread::claim_name(), 0);
            work()
        };
        scope(|scope| scope.spawn(named).join().unwrap())
    }

    /// Its number as the owner sees it.
    fn owners(counter: &Counter<true>) -> usize {
        counter.next_own(AT_ALL).of_owner().number
    }

    fn is_own(counter: &Counter<true>) -> bool {
        let (own, next) = (counter.next_own(AT_ALL), counter.next(AT_ALL));
        assert_eq!(own.number <= NUMBERS, !next.is_behind_another());
        own.number == next.number
    }

    #[test]
    fn who_claims_leaves_its_name() {
        thread::claim_name();
        let counter = Counter::<true>::new(1);
        assert!(is_own(&counter));
        assert!(counter.claims(counter.next_own(AT_ALL), AT_ALL));
        assert!(is_own(&counter));
        elsewhere(|| {
            assert!(!is_own(&counter));
            assert!(counter.claims(counter.next(AT_ALL), AT_ALL));
            assert!(is_own(&counter));
            assert_eq!(counter.claim(counter.next(AT_ALL), AT_ALL), 3);
            assert!(is_own(&counter));
        });
        assert!(!is_own(&counter));
        assert_eq!(counter.claim(counter.next(AT_ALL), AT_ALL), 4);
        assert!(is_own(&counter));
        counter.give_back();
        assert!(is_own(&counter));
        assert_eq!(counter.next(AT_ALL).number, 4);
    }

    #[test]
    fn numbers_are_right_though_names_are_old() {
        thread::claim_name();
        let counter = Counter::<true>::new(0);
        let found = elsewhere(|| counter.next(AT_ALL));
        let mine = counter.next(AT_ALL);
        elsewhere(|| assert_eq!(counter.claim(counter.next(AT_ALL), AT_ALL), 0));
        assert!(!counter.claims(mine, AT_ALL));
        for number in 1..100 {
            assert_eq!(counter.claim(if number % 3 == 0 { found } else { mine }, AT_ALL), number);
        }
        assert!(counter.claims(counter.next(AT_ALL), AT_ALL));
        assert!(is_own(&counter));
        assert_eq!(counter.next(AT_ALL).number, 101);
    }

    #[test]
    fn without_names_nobody_is_another() {
        let counter = Counter::<false>::new(0);
        elsewhere(|| assert!(counter.claims(counter.next_own(AT_ALL), AT_ALL)));
        assert!(!counter.next(AT_ALL).is_behind_another());
        assert_eq!(counter.next_own(AT_ALL).number, 1);
    }

    #[test]
    fn one_is_the_owner_until_it_is_ended() {
        thread::claim_name();
        let counter = Counter::owned(1).expect("it has a name");
        assert_eq!(owners(&counter), 1);
        assert!(counter.next_own(AT_ALL).number > NUMBERS, "all may claim");
        assert!(counter.claims(counter.next_own(AT_ALL), AT_ALL));
        elsewhere(|| {
            let next = counter.next(AT_ALL);
            assert!(next.is_owned() && next.is_behind_another() && !next.is_ended());
            assert_eq!(next.number, 2);
            assert!(owners(&counter) > NUMBERS);
        });
        let next = counter.next(AT_ALL);
        assert!(next.is_owned() && !next.is_behind_another());
        assert_eq!(owners(&counter), 2);
        for _ in 0..2 {
            assert_eq!(elsewhere(|| counter.end(AT_ALL)).number, 2);
        }
        assert!(!counter.claims(next, AT_ALL));
        assert!(owners(&counter) > NUMBERS && counter.next(AT_ALL).is_ended());
        assert_eq!(counter.next(AT_ALL).number, 2);
    }

    /// Who has no name is not taken for another one that has none.
    #[test]
    fn who_has_no_name_is_not_the_owner() {
        let counter = Counter::owned(1).expect("it has a name");
        scope(|scope| {
            scope.spawn(|| assert!(thread::name() == 0 && owners(&counter) > NUMBERS));
        });
    }
}
