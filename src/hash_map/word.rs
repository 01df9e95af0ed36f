//! What stands in a slot: one word, with the states of a slot and the ways between them.
//!
//! ```text
//!  63      48 47                            3   2    1      0
//! +----------+-------------------------------+----+----+--------+
//! | hash     | address of the entry's node   |GONE|WIDE| FROZEN |
//! +----------+-------------------------------+----+----+--------+
//! | hash     | more of the hash              |  1 |  0 |    0   |  a tombstone
//! +----------+-------------------------------+----+----+--------+
//!
//!          put in            removed, and put in again
//!  EMPTY ----------> entry <---------------------------> TOMB
//!    |                |  ^---' replaced                   |
//!    |                |                                   |
//!    |                | there is MORE                     |
//!    |                v                 removed           |
//!    |              entry, MORE ----------------> SPENT   |
//!    |                |  ^---' replaced                   |
//!    | freeze         | freeze (with MORE or without)     | freeze
//!    v                v                 moved             v
//!  EMPTY, FROZEN    entry, FROZEN ----------------------> MOVED
//! ```
//!
//! - **W1.** These are all transitions. So a slot that is not empty never becomes so; SPENT, MOVED and
//!   a frozen EMPTY are *final*; a frozen entry becomes MOVED or stays.
//! - **W2.** *A slot's mark does not change.* A *mark* is what a tombstone keeps of a hash: all but
//!   four bits (of the top 32, where words are that short). All entries that ever stand in a slot
//!   have the same one; and as long as it is no tombstone in between, equal keys (equal as the
//!   user's `Eq` says of the one that replaces).
//! - **W3.** *MORE stays*, and so does SPENT: a slot that has once been one of them never takes an
//!   entry of another key.
//!
//! So a removed key's slot is used again by keys of the same mark, which is to say, by that key: a key
//! that comes and goes needs one slot, however often it does. What becomes of two keys with the same
//! mark, T3 of `table` says: it is rare (of 60 bits), so it may be slow.
//!
//! # Bits of the hash
//!
//! Where addresses have unused bits at the top, 16 bits of the hash stand there, so that a search
//! follows the pointers to other keys once in 65 536 times. Which targets have them is decided when
//! the crate is compiled ([`HASH_BITS`]), and checked for each node: one whose address does use a top
//! bit (wider page tables, tagged pointers) stands in its slot without bits of the hash, marked WIDE.
//! Searches follow it always, and compare the hash that is in the node. It is slower, and nothing
//! worse. (MORE is WIDE and GONE together: what has it does without the bits, too.)
//!
//! # Orderings
//!
//! A word that leads to a node is stored with Release by who made the node; every later change of
//! the slot is a read-modify-write, so it continues that release sequence. Who loads it with Acquire
//! sees the node. The changes are Release for a second reason: a frozen word tells that there is a
//! next table, and MOVED that the entry is there (see `migrate`).
//!
//! Both are SeqCst, so that the map is one object also where its keys are in different slots: of two threads
//! that put in a key each, and then look for the other's, one finds it. (With Release and Acquire alone each
//! of the changes could become visible after its thread's next load, on machines where a locked instruction
//! is no fence.) It costs nothing on x86, and on ARM no more than Acquire does without `rcpc`.
//!
//! A search to which no slot gives the answer has it from a link: there is no table, or the search went once
//! around, and there is no next one. (It need not have met anything frozen: SPENT is final as it is.) So these
//! loads are SeqCst, too, and the CAS that hangs a table (`start`). A key that is new takes a slot of that table
//! after a full fence, which comes after the link was seen (T4). So in the one order of all these the table is
//! hung first, then comes the fence, and then the key: who comes after the key finds the link. A tombstone is
//! taken by a key of a mark of which one was new there before; or was moved there, but then a frozen slot tells.

use core::ptr;

use crate::atomic::{Atomic, Ptr};
use crate::guard::Shield;
use crate::scheme::{Protection, Scheme};
use crate::sync::Ordering;

/// Nobody changes the slot any more, but for moving the entry.
const FROZEN: usize = 1;
/// The address uses the top bits itself.
const WIDE: usize = 2;
/// There is no entry any more.
const GONE: usize = 4;
/// There is an entry, and others of the same mark have slots behind it.
const MORE: usize = WIDE | GONE;
const STATE: usize = FROZEN | WIDE | GONE;

/// The bits of a word that a mark leaves to the state; above these one that is always set, to tell
/// tombstones from SPENT and MOVED.
const BELOW_MARK: usize = 0b1111;
const MARKED: usize = 0b1000;

/// How many bits of the hash stand in a word.
///
/// These targets give a process addresses of 47 or 48 bits unless it asks for more. Android tags
/// the addresses of its allocator, as its hardware allows.
const HASH_BITS: u32 = if cfg!(all(
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"),
    target_pointer_width = "64",
    not(target_os = "android"),
)) {
    16
} else {
    0
};

/// Where they stand.
const HASH_MASK: usize =
    if HASH_BITS == 0 { 0 } else { usize::MAX << ((usize::BITS - HASH_BITS) % usize::BITS) };

/// What a tombstone keeps of a hash (W2).
///
/// The low bits of the hash, which stand in the words of nodes as well, are at the top; a table goes
/// by the top bits of the hash, and these are all there: keys of one mark have one path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(usize);

impl Mark {
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the top bits of what is rotated are meant"
    )]
    pub(super) fn of(hash: u64) -> Self {
        let bits = hash.rotate_right(HASH_BITS) >> (u64::BITS - usize::BITS);
        Self(bits as usize & !BELOW_MARK | MARKED)
    }

    /// The bits that stand in the words of nodes, too.
    #[inline]
    fn hash_bits(self) -> usize {
        self.0 & HASH_MASK
    }
}

/// A slot of a table: one of the words below, or a node's.
pub(super) type Slot<N> = Atomic<N>;

/// A slot's content, as it was loaded: nothing is protected by having it.
pub(super) struct Word<N>(Ptr<N>);

/// What there is to a word, for who looks a mark up.
pub(super) enum Glance<N> {
    /// Never used, and not frozen.
    Empty,
    /// An entry with these bits of the hash, not frozen, without WIDE and MORE.
    Node(Ptr<N>),
    /// The tombstone of this very mark, not frozen.
    Tomb,
    /// An entry with other bits, another tombstone, or SPENT; not frozen.
    Other,
    /// One has to look closer.
    Unclear,
}

impl<N> Clone for Word<N> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<N> Copy for Word<N> {}

impl<N> PartialEq for Word<N> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<N> Word<N> {
    /// Never used.
    pub(super) const EMPTY: Self = Self::state(0);
    /// Never used, and never will be.
    const FROZEN_EMPTY: Self = Self::state(FROZEN);
    /// The entry was removed, and there are others of its mark behind it: never used again.
    pub(super) const SPENT: Self = Self::state(GONE);
    /// The entry is in the next table, or has been, or there was none.
    const MOVED: Self = Self::state(GONE | FROZEN);

    const fn state(state: usize) -> Self {
        Self(Ptr::from_raw(ptr::without_provenance_mut(state)))
    }

    /// The word of a node.
    #[inline]
    pub(super) fn of(node: Ptr<N>, mark: Mark) -> Self {
        let state = |address: usize| {
            if address & HASH_MASK == 0 { address | mark.hash_bits() } else { address | WIDE }
        };
        Self(Ptr::from_raw(node.as_raw().map_addr(state)))
    }

    /// The tombstone of an entry: keys of the same mark may be put in here.
    #[inline]
    pub(super) const fn tomb(mark: Mark) -> Self {
        Self::state(mark.0 | GONE)
    }

    /// What an entry becomes when it is replaced by this node, which has the same mark.
    #[inline]
    pub(super) fn replaced(self, node: Ptr<N>, mark: Mark) -> Self {
        let new = Self::of(node, mark);
        if self.has_more() { new.with_more() } else { new }
    }

    /// What an entry becomes when it is removed.
    #[inline]
    pub(super) fn removed(self, mark: Mark) -> Self {
        if self.has_more() { Self::SPENT } else { Self::tomb(mark) }
    }

    /// The same entry, and there are others of its mark behind it.
    pub(super) fn with_more(self) -> Self {
        let state = self.bits() & FROZEN | MORE;
        Self(Ptr::from_raw(self.node().as_raw().map_addr(|address| address | state)))
    }

    #[inline]
    fn bits(self) -> usize {
        self.0.into_raw().addr()
    }

    #[inline]
    pub(super) fn load(slot: &Slot<N>) -> Self {
        // SeqCst: see the module's head.
        Self(slot.load(Ordering::SeqCst))
    }

    /// The content, for whoever has the table to himself.
    pub(super) fn load_exclusive(slot: &Slot<N>) -> Self {
        // Relaxed: nobody else has it.
        Self(slot.load(Ordering::Relaxed))
    }

    /// Sets the content, for whoever has the table to himself.
    pub(super) fn store_exclusive(self, slot: &Slot<N>) {
        // Relaxed: nobody else has it.
        slot.store(self.0, Ordering::Relaxed);
    }

    /// Never used, frozen or not: the end of each search.
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.bits() <= FROZEN
    }

    #[inline]
    pub(super) fn is_frozen(self) -> bool {
        self.bits() & FROZEN != 0
    }

    /// W1.
    pub(super) fn is_final(self) -> bool {
        self == Self::SPENT || self == Self::MOVED || self == Self::FROZEN_EMPTY
    }

    /// Whether this is an entry with others of its mark behind it.
    #[inline]
    pub(super) fn has_more(self) -> bool {
        self.bits() & MORE == MORE
    }

    /// Whether this may be an entry or a tombstone with this mark.
    #[inline]
    pub(super) fn may_have(self, mark: Mark) -> bool {
        (self.bits() ^ mark.0) & HASH_MASK == 0 || self.bits() & WIDE != 0
    }

    /// The entry's node; null if there is none.
    #[inline]
    pub(super) fn node(self) -> Ptr<N> {
        let strip = |bits: usize| {
            if bits & MORE == 0 {
                bits & !(HASH_MASK | STATE)
            } else if bits & WIDE != 0 {
                bits & !STATE
            } else {
                0
            }
        };
        Ptr::from_raw(self.0.into_raw().map_addr(strip))
    }

    /// What a lookup of this mark makes of it, as far as that is plain.
    #[inline]
    pub(super) fn at_a_glance(self, mark: Mark) -> Glance<N> {
        let node = self.0.into_raw().map_addr(|bits| bits ^ mark.hash_bits());
        if self == Self::EMPTY {
            Glance::Empty
        } else if node.addr() & (HASH_MASK | STATE) == 0 {
            Glance::Node(Ptr::from_raw(node))
        } else if self == Self::tomb(mark) {
            Glance::Tomb
        } else if node.addr() & (WIDE | FROZEN) == 0 {
            Glance::Other
        } else {
            Glance::Unclear
        }
    }

    #[inline]
    pub(super) fn has_node(self) -> bool {
        !self.is_empty() && self.bits() & MORE != GONE
    }

    /// Covers the entry's node, if the slot still holds this word; else returns what it holds now.
    ///
    /// What comes back is to be used from now on: with an equal address, it may be another node.
    #[inline]
    pub(super) fn cover<S: Scheme>(
        self,
        slot: &Slot<N>,
        shield: &mut Shield<'_, N, S>,
    ) -> Result<Self, Self> {
        self.cover_node(self.node(), slot, shield)
    }

    /// The same for who knows the node.
    #[inline]
    pub(super) fn cover_node<S: Scheme>(
        self,
        node: Ptr<N>,
        slot: &Slot<N>,
        shield: &mut Shield<'_, N, S>,
    ) -> Result<Self, Self> {
        if S::PROTECTION == Protection::Region {
            // The guard covers it: this word was loaded under it, with SeqCst, so the node was not
            // retired before, and no other one gets its address until the guard ends (M1, M6).
            shield.announce_if(node, || true);
            return Ok(self);
        }
        let mut now = self;
        let covered = shield.announce_as(node, || {
            now = Self::load(slot);
            // By the provenance of what was found again.
            (now == self).then(|| Ptr::from_raw(now.0.into_raw().with_addr(node.as_raw().addr())))
        });
        if covered { Ok(now) } else { Err(now) }
    }

    /// CASes the slot from this word to another one. False if it held something else.
    ///
    /// A node that leads the word is covered, so what the slot holds is this very node (no ABA).
    #[inline]
    pub(super) fn change(self, slot: &Slot<N>, to: Self) -> bool {
        // SeqCst: see the module's head. Relaxed: who fails looks again.
        slot.compare_exchange(self.0, to.0, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// Freezes a slot that is not final; true if that was done here.
    pub(super) fn freeze(self, slot: &Slot<N>) -> bool {
        self.change(slot, self.frozen())
    }

    /// The same word, frozen; for a tombstone that is MOVED.
    pub(super) fn frozen(self) -> Self {
        if self.bits() & MORE == GONE {
            return Self::MOVED;
        }
        Self(Ptr::from_raw(self.0.into_raw().map_addr(|bits| bits | FROZEN)))
    }

    /// Says of a frozen entry that it is in the next table.
    pub(super) fn commit(self, slot: &Slot<N>) -> bool {
        self.change(slot, Self::MOVED)
    }
}

#[cfg(all(test, not(any(loom, crossbeam_loom))))]
mod tests {
    use super::*;

    const HASH: u64 = 0xabcd_0000_0000_1234;

    fn mark() -> Mark {
        Mark::of(HASH)
    }

    fn node(address: usize) -> Ptr<u64> {
        Ptr::from_raw(ptr::without_provenance_mut(address))
    }

    #[test]
    fn a_word_gives_its_node_back() {
        for address in [16, usize::MAX >> 17 & !STATE, usize::MAX & !STATE] {
            let word = Word::of(node(address), mark());
            let more = word.with_more();
            assert!(!word.has_more() && more.has_more());
            assert!(more == more.with_more() && more == more.replaced(node(address), mark()));
            if let Glance::Node(found) = word.at_a_glance(mark()) {
                assert_eq!(found, node(address));
            }
            for word in [word.frozen(), more, more.frozen()] {
                assert!(matches!(word.at_a_glance(mark()), Glance::Unclear));
            }
            for word in [word, word.frozen(), more, more.frozen()] {
                assert_eq!(word.node(), node(address));
                assert!(word.has_node() && word.may_have(mark()));
                assert!(!word.is_empty() && !word.is_final());
            }
            assert!(word.frozen().is_frozen() && word.frozen().with_more() == more.frozen());
            assert!(word.removed(mark()) == Word::tomb(mark()));
            assert!(more.removed(mark()) == Word::SPENT);
        }
    }

    #[test]
    fn an_address_that_uses_the_top_bits_is_followed_always() {
        let other = Mark::of(HASH + 1);
        let plain = Word::of(node(64), mark());
        assert!(matches!(plain.at_a_glance(mark()), Glance::Node(_)));
        if HASH_BITS > 0 {
            assert!(matches!(plain.at_a_glance(other), Glance::Other));
            let wide = Word::of(node(HASH_MASK | 64), mark());
            assert!(matches!(wide.at_a_glance(mark()), Glance::Unclear));
            assert!(!Word::of(node(64), mark()).may_have(other));
            assert!(Word::of(node(HASH_MASK | 64), mark()).may_have(other));
            assert!(Word::of(node(64), mark()).with_more().may_have(other));
        }
    }

    #[test]
    fn states_have_no_node() {
        let finals = [Word::<u64>::SPENT, Word::MOVED, Word::FROZEN_EMPTY];
        for word in finals {
            assert!(word.is_final());
        }
        let tombs = [0, HASH, u64::MAX].map(|hash| Word::tomb(Mark::of(hash)));
        for word in finals.into_iter().chain(tombs).chain([Word::EMPTY]) {
            assert!(!word.has_node() && !word.has_more());
            for mark in [0, HASH, u64::MAX].map(Mark::of) {
                let is_frozen = word.is_frozen();
                match word.at_a_glance(mark) {
                    Glance::Empty => assert!(word == Word::EMPTY),
                    Glance::Tomb => assert!(word == Word::tomb(mark)),
                    Glance::Other => assert!(!is_frozen && word != Word::EMPTY),
                    Glance::Unclear => assert!(is_frozen),
                    Glance::Node(_) => panic!("there is no node"),
                }
            }
        }
        assert!(Word::<u64>::EMPTY.is_empty() && Word::<u64>::FROZEN_EMPTY.is_empty());
        for word in [Word::<u64>::SPENT, Word::MOVED].into_iter().chain(tombs) {
            assert!(!word.is_empty());
        }
    }

    #[test]
    fn a_tombstone_is_of_its_mark_alone() {
        let tomb = Word::<u64>::tomb(mark());
        assert!(tomb.may_have(mark()) && !tomb.is_final() && !tomb.is_frozen());
        assert!(tomb.frozen() == Word::MOVED);
        // The bits that a table goes by, and those that stand in words, are in the mark.
        for bit in (0..16).chain(u64::BITS - 16..u64::BITS) {
            if bit >= 16 || HASH_BITS > 0 {
                assert!(tomb != Word::tomb(Mark::of(HASH ^ 1 << bit)), "{bit}");
            }
        }
    }
}
