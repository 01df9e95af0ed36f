//! When there is no memory: what would have gone in comes back, and nothing else has changed.
//!
//! The allocator of this binary fails on demand, by thread, and after so many allocations as one
//! likes: so each allocation of an operation is made to fail in its turn.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::TypeId;
use std::cell::Cell;
use std::ptr;
use std::thread;

use common::{Alike, Epoch, Hazard, Ledger, Reclaimer, Subject, Tracked, for_each_scheme, sized};
use sexton::hash_map::{TryInsertError, TryReserveError};
use sexton::{
    AllocError, Domain, HashMap, HashSet, PushError, Queue, RcuCell, Scheme, SkipMap, Stack,
};

struct OnDemand;

thread_local! {
    /// How many allocations succeed before all fail.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    /// How many succeed before one fails.
    static ONE: Cell<Option<u32>> = const { Cell::new(None) };
    /// How many blocks this thread has allocated, less those that it has freed.
    static BLOCKS: Cell<isize> = const { Cell::new(0) };
}

impl OnDemand {
    /// Whether the next allocation fails.
    fn fails() -> bool {
        if let Some(left) = ONE.get() {
            ONE.set(left.checked_sub(1));
            return left == 0;
        }
        match LEFT.get() {
            None => false,
            Some(0) => true,
            Some(left) => {
                LEFT.set(Some(left - 1));
                false
            }
        }
    }
}

// SAFETY: as `System`, which may fail, too.
unsafe impl GlobalAlloc for OnDemand {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::fails() {
            return ptr::null_mut();
        }
        BLOCKS.set(BLOCKS.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Self::fails() {
            return ptr::null_mut();
        }
        BLOCKS.set(BLOCKS.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::fails() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BLOCKS.set(BLOCKS.get() - 1);
        // SAFETY: the caller's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ON_DEMAND: OnDemand = OnDemand;

/// Runs `work` so that its first allocations succeed, and then none. It must not panic.
fn with_memory_for<T>(allocations: u32, work: impl FnOnce() -> T) -> T {
    LEFT.set(Some(allocations));
    let result = work();
    LEFT.set(None);
    result
}

/// For operations that should need no memory.
fn without_memory<T>(work: impl FnOnce() -> T) -> T {
    with_memory_for(0, work)
}

/// A session in which one allocation fails, and memory is there again.
struct OneFails {
    /// How many succeed before, of those that are still to come.
    left: Cell<Option<u32>>,
}

impl OneFails {
    fn after(allocations: u32) -> Self {
        Self { left: Cell::new(Some(allocations)) }
    }

    /// Runs a part of the session; allocations beside it, by the test itself, do not count.
    fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        ONE.set(self.left.get());
        let result = work();
        self.left.set(ONE.take());
        result
    }

    fn has_failed(&self) -> bool {
        self.left.get().is_none()
    }
}

/// Does a session again and again, with another allocation that fails, until there are no more. The
/// session is given a domain, and returns how many values it was given back.
fn each_allocation_fails<S: Scheme>(session: impl Fn(&Domain<S>, &Ledger, &OneFails) -> usize) {
    let mut refused = 0;
    // Under Miri one of seven: it does that many sessions.
    for allocations in (0..).step_by(sized(1, 7)) {
        let (domain, ledger) = (Domain::<S>::new(), Ledger::new());
        warm_up(&domain);
        let memory = OneFails::after(allocations);
        refused += session(&domain, &ledger, &memory);
        domain.collect();
        ledger.assert_all_dead();
        let stats = domain.stats();
        assert_eq!((stats.pending, stats.leaked), (0, 0), "after {allocations} allocations");
        if !memory.has_failed() {
            assert!(allocations > 20, "only {allocations} to fail: the test is in vain");
            break;
        }
    }
    assert!(refused > 0, "no operation was refused: the test is in vain");
}

/// Pins once with memory, as a thread's first pin may need some for its record, and a domain's
/// first shields for their slots. (A hazard record has eight.)
fn warm_up<R: Reclaimer>(domain: &R) {
    let guard = domain.pin();
    let shields: Vec<sexton::Shield<'_, u8, _>> = (0..8).map(|_| guard.shield()).collect();
    drop(shields);
}

/// Whether threads of this domain may have blocks of nodes from earlier tests, so that there is
/// memory when there is none: those of our own process-wide domains.
fn keeps_blocks<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) -> bool {
    !subject.is_isolated() && is_ours::<R>()
}

/// Whether it is a domain of its own of one of our schemes.
fn is_owned_and_ours<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) -> bool {
    subject.is_isolated() && is_ours::<R>()
}

fn is_ours<R: Reclaimer>() -> bool {
    [TypeId::of::<Epoch>(), TypeId::of::<Hazard>()].contains(&TypeId::of::<R::Scheme>())
}

/// Whether retiring may need memory, and abort without: an insertion that ends a migration retires
/// the old table. (crossbeam-epoch needs some for every 64 objects, more than are retired here, but under
/// Miri for every four.)
fn allocates_to_retire<R: Reclaimer>(_: &Subject<impl Fn() -> R>) -> bool {
    let scheme = TypeId::of::<R::Scheme>();
    let none_needed = [TypeId::of::<Epoch>(), TypeId::of::<Hazard>(), TypeId::of::<sexton::Leak>()];
    !none_needed.contains(&scheme) && (cfg!(miri) || !is_crossbeams::<R>())
}

fn is_crossbeams<R: Reclaimer>() -> bool {
    TypeId::of::<R::Scheme>() == TypeId::of::<sexton::CrossbeamEpoch>()
}

for_each_scheme! {
    fn a_stack_gives_the_value_back(subject) {
        if keeps_blocks(subject) {
            return;
        }
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stack = Stack::with_reclaimer(domain.clone());
        stack.push(Tracked::new(&ledger, 1));
        warm_up(&domain);
        let two = Tracked::new(&ledger, 2);
        let pinned = stack.pin();
        let AllocError(two) = without_memory(|| pinned.try_push(two)).unwrap_err();
        assert_eq!(two.value(), 2);
        drop(pinned);
        stack.try_push(two).expect("there is memory again");
        assert!(stack.into_iter().map(|value| value.value()).eq([2, 1]));
        ledger.assert_all_dead();
        subject.settle(domain, &ledger);
    }

    /// The first value needs a segment, and so does the one after the last cell.
    fn a_queue_gives_the_value_back(subject) {
        if keeps_blocks(subject) {
            return;
        }
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let queue = Queue::with_reclaimer(domain.clone());
        warm_up(&domain);
        let pinned = queue.pin();
        let (mut refused, mut pushed) = (0, 0);
        while refused < 3 {
            let value = Tracked::new(&ledger, pushed);
            let value = match without_memory(|| pinned.try_push(value)) {
                Ok(()) => {
                    pushed += 1;
                    continue;
                }
                Err(PushError::NoMemory(value)) => value,
                Err(error) => panic!("{error}"),
            };
            assert_eq!((value.value(), pinned.len() as u64), (pushed, pushed));
            refused += 1;
            pinned.try_push(value).expect("there is memory again");
            pushed += 1;
        }
        drop(pinned);
        assert!(queue.into_iter().map(|value| value.value()).eq(0..pushed));
        ledger.assert_all_dead();
        subject.settle(domain, &ledger);
    }

    fn a_cell_keeps_its_value_and_gives_the_new_one_back(subject) {
        if keeps_blocks(subject) {
            return;
        }
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 1), domain.clone());
        warm_up(&domain);
        let two = Tracked::new(&ledger, 2);
        let pinned = cell.pin();
        let AllocError(two) = without_memory(|| pinned.try_store(two)).unwrap_err();
        assert_eq!((two.value(), pinned.load().value()), (2, 1));
        drop(pinned);
        assert_eq!(ledger.living(), 2);
        cell.try_store(two).expect("there is memory again");
        assert_eq!(cell.into_inner().value(), 2);
        subject.settle(domain, &ledger);
    }

    /// Entries of many leaves; what needs no new run goes on without memory.
    ///
    /// Each insertion retires a run. So of those objects that crossbeam-epoch can retire without memory
    /// none would be left when there is none.
    fn a_skip_map_gives_the_entry_back(subject) {
        if keeps_blocks(subject) || allocates_to_retire(subject) || is_crossbeams::<R>() {
            return;
        }
        const ENTRIES: u64 = sized(200, 70) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::<u64, Tracked, R>::with_reclaimer(domain.clone());
        warm_up(&domain);
        for number in 0..ENTRIES {
            let value = Tracked::new(&ledger, number);
            let pinned = map.pin();
            let refused = without_memory(|| pinned.try_insert(number, value));
            let Err(TryInsertError::NoMemory { key, value }) = refused else {
                panic!("there was no memory for {number}")
            };
            assert_eq!((key, value.value()), (number, number));
            assert!(without_memory(|| pinned.get(&number).is_none()));
            assert_eq!(pinned.len() as u64, number);
            assert!(pinned.try_insert(key, value).is_ok(), "there is memory again");
        }
        let seen = without_memory(|| map.pin().iter().filter(|entry| entry.key() % 2 == 0).count());
        assert_eq!(seen as u64, ENTRIES / 2);
        for number in 0..ENTRIES / 2 {
            let pinned = map.pin();
            let value = without_memory(|| pinned.remove(&number));
            assert_eq!(value.map(|value| value.value()), Some(number));
        }
        let from_both_ends = || {
            let pinned = map.pin();
            let (mut entries, mut seen) = (pinned.iter(), 0);
            while entries.next().is_some() {
                seen += 1 + u64::from(entries.next_back().is_some());
            }
            assert_eq!(pinned.iter().rev().count() as u64, seen);
            seen
        };
        // With memory first: a thread of hazard pointers needs more slots than the first eight, once.
        assert_eq!(from_both_ends(), ENTRIES - ENTRIES / 2);
        assert_eq!(without_memory(from_both_ends), ENTRIES - ENTRIES / 2);
        // Leaves die without memory, too. They are in the way of nobody, and are not lost.
        let (mut from, mut to) = (ENTRIES / 2, ENTRIES);
        while from < to {
            // So that retiring needs no memory.
            domain.collect();
            let pinned = map.pin();
            without_memory(|| {
                let keys = [pinned.pop_first(), pinned.pop_last()];
                let keys = keys.map(|entry| entry.map(|entry| *entry.key()));
                assert_eq!(keys, [Some(from), Some(to - 1)]);
                (from, to) = (from + 1, to - 1);
                let part = from..to.min(from + 6);
                assert_eq!(pinned.remove_range(part.clone()) as u64, part.end - part.start);
                from = part.end;
                assert_eq!(pinned.iter().count() as u64, to - from);
            });
        }
        assert!(without_memory(|| map.pin().first().is_none() && map.pin().last().is_none()));
        let pinned = map.pin();
        for number in 0..ENTRIES {
            let (key, value) = (number * 59 % ENTRIES, Tracked::new(&ledger, number));
            assert!(pinned.try_insert(key, value).is_ok(), "there is memory again");
            assert!(without_memory(|| pinned.get(&key).is_some_and(|value| value.value() == number)));
        }
        assert!(pinned.keys().map(|key| *key).eq(0..ENTRIES));
        drop(pinned);
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// Searches of many levels, where each comparison needs covers of its own: a thread of hazard pointers has
    /// enough slots from the beginning.
    fn a_skip_map_of_unknown_keys_needs_no_memory_but_for_entries(subject) {
        if keeps_blocks(subject) || allocates_to_retire(subject) || is_crossbeams::<R>() {
            return;
        }
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        struct Unknown(u64);

        const ENTRIES: u64 = sized(20_000, 100) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = SkipMap::<Unknown, Tracked, R>::with_reclaimer(domain.clone());
        (0..ENTRIES).for_each(|number| drop(map.insert(Unknown(number), Tracked::new(&ledger, number))));
        thread::scope(|scope| {
            scope.spawn(|| {
                drop(domain.pin());
                for number in (0..ENTRIES).step_by(sized(7, 2)) {
                    let key = Unknown(number);
                    let pinned = map.pin();
                    let found = without_memory(|| pinned.get(&key).map(|value| value.value()));
                    assert_eq!(found, Some(number));
                    let next = without_memory(|| pinned.range(key..).nth(1).map(|entry| *entry.key()));
                    assert_eq!(next, (number + 1 < ENTRIES).then_some(Unknown(number + 1)));
                }
                for number in (ENTRIES / 4..ENTRIES / 2).rev() {
                    // So that retiring needs no memory.
                    domain.collect();
                    let pinned = map.pin();
                    let removed = without_memory(|| pinned.remove(&Unknown(number)));
                    assert_eq!(removed.map(|value| value.value()), Some(number));
                }
            });
        });
        drop(map);
        subject.settle(domain, &ledger);
    }

    fn a_node_gives_its_value_back(subject) {
        if keeps_blocks(subject) {
            return;
        }
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let value = Tracked::new(&ledger, 1);
        let guard = domain.pin();
        let AllocError(value) = without_memory(|| guard.try_owned(value)).unwrap_err();
        assert_eq!((value.value(), ledger.living()), (1, 1));
        let node = guard.try_owned(value).expect("there is memory again");
        assert_eq!(node.value(), 1);
        drop((node, guard));
        ledger.assert_all_dead();
        subject.settle(domain, &ledger);
    }

    /// Each allocation of an insertion fails in its turn: the node's, those of the first table, those of
    /// a next one (without which the map goes on with the one it has).
    fn a_map_gives_the_entry_back_and_works_on(subject) {
        if keeps_blocks(subject) || allocates_to_retire(subject) {
            return;
        }
        const ENTRIES: u64 = sized(200, 20) as u64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::<u64, Tracked, _, R>::with_reclaimer(domain.clone());
        warm_up(&domain);
        let (mut refused, mut inserted) = (0, 0);
        for number in 0..ENTRIES {
            // So that there are tables of several sizes.
            if number % 50 == 9 {
                map.reserve(sized(1000, 100));
            }
            let mut value = Tracked::new(&ledger, number);
            for allocations in 0.. {
                let pinned = map.pin();
                let outcome = with_memory_for(allocations, || pinned.try_insert(number, value));
                match outcome {
                    Ok(new) => {
                        assert_eq!(new.value(), number);
                        inserted += 1;
                        break;
                    }
                    Err(TryInsertError::NoMemory { key, value: back }) => {
                        assert_eq!((key, back.value()), (number, number));
                        refused += 1;
                        value = back;
                    }
                    Err(error) => panic!("{error}"),
                }
                assert!(without_memory(|| pinned.get(&number).is_none()));
                assert_eq!(pinned.len() as u64, number);
            }
            assert_eq!(ledger.living() as u64, number + 1);
        }
        assert_eq!(inserted, ENTRIES);
        assert!(refused >= inserted, "no allocation failed: the test is in vain");
        // All of it can be read without memory, in the middle of a migration, too.
        map.reserve(sized(10_000, 100));
        let pinned = map.pin();
        without_memory(|| {
            for number in 0..ENTRIES {
                assert!(pinned.get(&number).is_some_and(|value| value.value() == number));
            }
            assert!(!pinned.contains_key(&ENTRIES));
        });
        assert_eq!(pinned.iter().count() as u64, ENTRIES);
        drop(pinned);
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// A path that goes once around a table, as there was no memory for a larger one, and all of its
    /// slots were used up for good by keys with one hash: the next key is in the next table, and is found.
    fn a_map_without_an_empty_slot_finds_what_is_in_its_next_table(subject) {
        if !is_owned_and_ours(subject) {
            return;
        }
        const SLOTS: u64 = 64;
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let map = HashMap::with_capacity_and_hasher_and_reclaimer(
            48,
            Alike::default(),
            domain.clone(),
        );
        warm_up(&domain);
        let new = |number| Tracked::new(&ledger, number);
        for key in 0..SLOTS {
            let (pinned, value) = (map.pin(), new(key));
            // For the entry alone.
            assert!(with_memory_for(1, || pinned.insert(key, value)).is_none());
        }
        let gone = |key| {
            // So that retiring needs no memory.
            if key % 16 == 0 {
                domain.collect();
            }
            let pinned = map.pin();
            without_memory(|| pinned.remove(&key).is_some())
        };
        // It passes the last slot, which is not used again then.
        assert!(!gone(SLOTS));
        assert!((0..SLOTS).all(gone));
        let pinned = map.pin();
        assert!(pinned.insert(7, new(70)).is_none());
        assert!(pinned.get(&7).is_some_and(|value| value.value() == 70));
        assert!(pinned.contains_key(&7) && !pinned.contains_key(&8));
        assert_eq!(pinned.keys().map(|key| *key).collect::<Vec<_>>(), [7]);
        assert!(pinned.try_insert(7, new(71)).is_err());
        assert!(pinned.remove(&7).is_some_and(|value| value.value() == 70));
        drop(pinned);
        drop(map);
        subject.settle(domain, &ledger);
    }

    /// What is read needs no memory.
    fn reading_needs_no_memory(subject) {
        if keeps_blocks(subject) {
            return;
        }
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let stack = Stack::with_reclaimer(domain.clone());
        let queue = Queue::with_reclaimer(domain.clone());
        let cell = RcuCell::with_reclaimer(Tracked::new(&ledger, 3), domain.clone());
        let map = HashMap::<_, _, _, R>::with_reclaimer(domain.clone());
        stack.push(1);
        queue.push(2);
        map.insert(4, Tracked::new(&ledger, 4));
        warm_up(&domain);
        let guard = domain.pin();
        let (stack, queue) = (stack.with(&guard), queue.with(&guard));
        let (cell, map) = (cell.with(&guard), map.with(&guard));
        assert!(map.get(&5).is_none());
        let another = Tracked::new(&ledger, 0);
        without_memory(|| {
            assert_eq!((stack.peek(), stack.is_empty()), (Some(1), false));
            assert_eq!((queue.peek(), queue.is_empty()), (Some(2), false));
            assert_eq!(cell.load().value(), 3);
            assert!(map.get(&4).is_some_and(|value| value.value() == 4));
            assert!(map.get(&5).is_none());
            assert!(map.try_insert(4, another).is_err());
            assert_eq!(map.iter().map(|entry| *entry.key()).sum::<i32>(), 4);
            assert_eq!(domain.stats().drop_panics, 0);
        });
        drop(guard);
        assert_eq!(ledger.living(), 2);
    }
}

const VALUES: u64 = sized(150, 24) as u64;

fn stack_session<S: Scheme>(domain: &Domain<S>, ledger: &Ledger, memory: &OneFails) -> usize {
    let stack = Stack::with_reclaimer(domain.clone());
    let (mut refused, mut popped) = (0, 0);
    for number in 0..VALUES {
        let value = Tracked::new(ledger, number);
        if let Err(AllocError(back)) = memory.during(|| stack.try_push(value)) {
            assert_eq!(back.value(), number);
            refused += 1;
        }
        if number % 3 == 0 {
            popped += usize::from(memory.during(|| stack.pop()).is_some());
        }
    }
    memory.during(|| {
        while stack.pop().is_some() {
            popped += 1;
        }
    });
    assert_eq!(popped + refused, VALUES as usize);
    memory.during(|| domain.collect());
    refused
}

fn queue_session<S: Scheme>(domain: &Domain<S>, ledger: &Ledger, memory: &OneFails) -> usize {
    /// Enough for several segments under Miri, too.
    const VALUES: u64 = sized(300, 128) as u64;
    // So large that there are few in a segment.
    let large = |value| (value, [0_u64; 64]);
    let queue = Queue::with_reclaimer(domain.clone());
    let (mut refused, mut popped, mut next) = (0, 0, 0);
    let mut pop = |popped: Option<(Tracked, _)>| {
        let Some((value, _)) = popped else { return false };
        assert!(value.value() >= next, "{} before {next}", value.value());
        next = value.value() + 1;
        true
    };
    for number in 0..VALUES {
        let value = large(Tracked::new(ledger, number));
        if let Some(error) = memory.during(|| queue.try_push(value).err()) {
            let (back, _) = error.into_inner();
            assert_eq!(back.value(), number);
            refused += 1;
        }
        if number % 3 == 0 {
            popped += usize::from(pop(memory.during(|| queue.pop())));
        }
    }
    while pop(memory.during(|| queue.pop())) {
        popped += 1;
    }
    assert_eq!(popped + refused, VALUES as usize);
    memory.during(|| domain.collect());
    refused
}

fn cell_session<S: Scheme>(domain: &Domain<S>, ledger: &Ledger, memory: &OneFails) -> usize {
    let cell = RcuCell::with_reclaimer(Tracked::new(ledger, 0), domain.clone());
    let (mut refused, mut current) = (0, 0);
    for number in 1..VALUES {
        let value = Tracked::new(ledger, number);
        match memory.during(|| cell.try_store(value)) {
            Ok(()) => current = number,
            Err(AllocError(back)) => {
                assert_eq!(back.value(), number);
                refused += 1;
            }
        }
        assert_eq!(memory.during(|| cell.read(Tracked::value)), current);
    }
    memory.during(|| domain.collect());
    refused
}

/// Neither a larger table nor a smaller one: the map goes on with the one that it has.
#[test]
fn a_map_stays_as_large_as_it_is() {
    let (map, mut set) = (HashMap::<_, _>::from([(1, 1)]), HashSet::<_>::with_capacity(1000));
    set.insert(1);
    let before = (map.capacity(), set.capacity());
    let tried = without_memory(|| {
        set.shrink_to_fit();
        (map.try_reserve(1000), set.try_reserve(10_000))
    });
    assert_eq!(tried, (Err(TryReserveError::NoMemory), Err(TryReserveError::NoMemory)));
    assert_eq!((map.capacity(), set.capacity()), before);
    assert!(map.contains_key(&1) && set.contains(&1));
    assert!(map.try_reserve(1000).is_ok() && set.try_reserve(10_000).is_ok());
    set.shrink_to_fit();
    assert!(map.capacity() > 1000 && set.capacity() < 1000);
}

/// The maps have the same operations. Keys come in no order, and are taken out in another one: of those in
/// skip maps whole leaves.
macro_rules! map_sessions {
    ($($name:ident: $map:ty, $values:expr;)*) => { $(
        fn $name<S: Scheme>(domain: &Domain<S>, ledger: &Ledger, memory: &OneFails) -> usize {
            const VALUES: u64 = $values as u64;
            let key_of = |number| number * 89 % VALUES;
            let map = <$map>::with_reclaimer(domain.clone());
            let mut refused = Vec::with_capacity(VALUES as usize);
            for number in 0..VALUES {
                let (key, value) = (key_of(number), Tracked::new(ledger, number));
                memory.during(|| match map.pin().try_insert(key, value) {
                    Ok(_) => {}
                    Err(TryInsertError::NoMemory { key: back, value }) => {
                        assert_eq!((back, value.value()), (key, number));
                        refused.push(number);
                    }
                    Err(error) => panic!("{error}"),
                });
                if number % 3 == 0 && !refused.contains(&number) {
                    let removed = memory.during(|| map.pin().remove(&key).map(|old| old.value()));
                    assert_eq!(removed, Some(number));
                }
            }
            let is_there = |number: &u64| number % 3 != 0 && !refused.contains(number);
            for number in 0..VALUES {
                let found = memory
                    .during(|| map.pin().get(&key_of(number)).map(|value| value.value()));
                assert_eq!(found, Some(number).filter(is_there));
            }
            // The lower half.
            let mut numbers: Vec<_> = (0..VALUES).collect();
            numbers.sort_by_key(|number| key_of(*number));
            for number in &numbers[..numbers.len() / 2] {
                let removed = memory
                    .during(|| map.pin().remove(&key_of(*number)).map(|old| old.value()));
                assert_eq!(removed, Some(*number).filter(is_there));
            }
            let left = numbers.split_off(numbers.len() / 2).into_iter().filter(is_there).count();
            assert_eq!(memory.during(|| map.pin().iter().count()), left);
            memory.during(|| domain.collect());
            refused.len()
        }
    )* };
}

map_sessions! {
    map_session: HashMap<u64, Tracked, std::hash::RandomState, Domain<S>>, sized(150, 24);
    // Of those that stay, more than there is room for in a leaf.
    skip_map_session: SkipMap<u64, Tracked, Domain<S>>, sized(250, 60);
}

/// Each allocation of a session of pushes, removals, retirements and collections fails in its turn:
/// what was to go in comes back, what was in stays, and what was retired is freed in the end.
macro_rules! each_allocation_of {
    ($($session:ident)*) => { $(
        mod $session {
            #[test]
            fn epoch() {
                super::each_allocation_fails(super::$session::<super::Epoch>);
            }

            #[test]
            fn hazard() {
                super::each_allocation_fails(super::$session::<super::Hazard>);
            }
        }
    )* };
}

each_allocation_of! { stack_session queue_session cell_session map_session skip_map_session }

/// Leaves and their runs are freed, also those that have died: none of them has a `Drop` that would tell.
#[test]
fn a_skip_map_loses_no_block() {
    fn check<S: Scheme>(domain: &Domain<S>) {
        const ENTRIES: u64 = sized(2_000, 70) as u64;
        let rounds = (0..12).map(|_| {
            let map = SkipMap::<u64, u64, _>::with_reclaimer(domain.clone());
            let insert = |number: u64| drop(map.pin().insert(number * 89 % ENTRIES, number));
            (0..ENTRIES).for_each(insert);
            (0..ENTRIES).for_each(|number| drop(map.pin().remove(&(number * 7 % ENTRIES))));
            (0..ENTRIES).for_each(insert);
            assert_eq!(map.pin().remove_range(0..ENTRIES / 2) as u64, ENTRIES / 2);
            drop(map);
            domain.collect();
            assert_eq!(domain.stats().pending, 0);
            BLOCKS.get()
        });
        let blocks: Vec<_> = rounds.collect();
        // The domain may keep some for itself, but not more in each round.
        assert!(blocks[11] <= blocks[2] + 8, "{blocks:?}");
    }

    check(&sexton::epoch::Builder::new().recycle(0).build());
    check(&sexton::hazard::Builder::new().recycle(0).build());
}

/// Only to see that the tests above can fail.
#[test]
fn the_allocator_fails_on_demand() {
    let try_box = || Vec::<u8>::new().try_reserve_exact(100).is_ok();
    assert!(try_box());
    assert!(!without_memory(try_box));
    assert!(with_memory_for(1, try_box));
    assert!(!with_memory_for(1, || try_box() && try_box()));
    let one = OneFails::after(1);
    let boxes = one.during(|| [try_box(), try_box(), try_box()]);
    assert_eq!((boxes, one.has_failed()), ([true, false, true], true));
    assert!(try_box());
}
