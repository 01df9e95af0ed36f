//! Promises about what users do to a scheme: with the `Drop` of their values, and with
//! [`mem::forget`].

use core::any::{Any, TypeId};
use core::cell::Cell;
use core::marker::PhantomData;
use core::mem;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::tools::{
    Of, elsewhere, linked, look, press, press_everywhere, retire_new, sized, unlink,
};
use super::{Ledger, Subject, Tracked};
use crate::{Atomic, Guard, Protection, Reclaimer, Scheme, Stack};

thread_local! {
    /// Whether this thread is in `retire` just now.
    static RETIRING: Cell<bool> = const { Cell::new(false) };
}

/// `retire` only queues: no `Drop` of any value runs inside it, so a structure may retire in the
/// middle of an operation (S4 of [`scheme`](crate::scheme)).
///
/// A scheme that fails reclaims when a bag is full, at once.
pub fn retiring_runs_no_user_code<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    struct Witness(Tracked, Arc<Mutex<usize>>);

    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.look();
            if RETIRING.with(Cell::get) {
                *self.1.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
        }
    }

    let (domain, ledger) = subject.begin();
    let broken = Arc::new(Mutex::new(0));
    let retire = |guard: &Guard<'_, Of<R>>| {
        let node = guard.owned(Witness(Tracked::new(&ledger, 0), Arc::clone(&broken)));
        RETIRING.with(|retiring| retiring.set(true));
        // SAFETY: never linked.
        unsafe { guard.retire(node.into_ptr()) };
        RETIRING.with(|retiring| retiring.set(false));
        assert_eq!(*broken.lock().unwrap(), 0, "a value was dropped inside `retire`");
    };
    let guard = domain.pin();
    (0..sized(3000, 20)).for_each(|_| retire(&guard));
    drop(guard);
    (0..sized(3000, 20)).for_each(|_| retire(&domain.pin()));
    subject.settle(domain, &ledger);
}

/// Where a value lives whose `Drop` does things.
struct World<R: Reclaimer> {
    domain: R,
    ledger: Ledger,
    stack: Stack<Tracked, R>,
    too_deep: Mutex<bool>,
}

impl<R: Reclaimer> World<R> {
    fn new(domain: &R, ledger: &Ledger) -> Self {
        let stack = Stack::with_reclaimer(domain.clone());
        let (domain, ledger) = (domain.clone(), ledger.clone());
        Self { domain, ledger, stack, too_deep: Mutex::new(false) }
    }
}

/// A value whose `Drop` does whatever a thread can do with a domain.
struct Restless<R: Reclaimer> {
    own: Tracked,
    /// How often it is born again.
    again: usize,
    /// Weak: what is pending in a domain should not keep it alive.
    world: Weak<World<R>>,
}

impl<R: Reclaimer> Drop for Restless<R> {
    fn drop(&mut self) {
        self.own.look();
        // The domain itself is going: there is nothing left to be used.
        let Some(world) = self.world.upgrade() else { return };
        let guard = world.domain.pin();
        world.stack.with(&guard).push(Tracked::new(&world.ledger, 1));
        let link = linked(&world.domain, &world.ledger).0;
        let mut shield = guard.shield();
        shield.protect(&link);
        unlink(&guard, &link);
        drop(world.stack.pop());
        if self.again > 0 {
            let own = Tracked::new(&world.ledger, 0);
            let world = Weak::clone(&self.world);
            retire_new(&guard, Self { own, again: self.again - 1, world });
        }
        drop(shield);
        drop(guard);
        world.domain.collect();
        // It counts what it likes; it only must not hang.
        let _ = world.domain.stats();
    }
}

/// A value's `Drop` may do what any code may: pin, protect, use the structure that it came from,
/// retire more (which is freed, too), and collect.
///
/// A scheme that fails runs user code while it holds a lock, or a borrow of the thread's record, or
/// while a list is half changed.
pub fn a_drop_may_pin_retire_and_collect<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    let panics = domain.stats().drop_panics;
    let world = Arc::new(World::new(&domain, &ledger));
    let restless =
        |again| Restless { own: Tracked::new(&ledger, 0), again, world: Arc::downgrade(&world) };
    for again in 0..sized(8, 4) {
        let guard = domain.pin();
        (0..3).for_each(|_| retire_new(&guard, restless(again)));
        guard.reclaim(1);
        drop(guard);
        drop(domain.pin());
        elsewhere(|| {
            retire_new(&domain.pin(), restless(again));
            domain.collect();
        });
        domain.collect();
    }
    subject.collect_all(&domain, &ledger);
    if subject.is_isolated() {
        assert_eq!(domain.stats().drop_panics, panics, "a scheme's panic was swallowed");
    }
    // What is pending still has the `Drop` run when the domain goes, and the world before.
    (0..3).for_each(|_| retire_new(&domain.pin(), restless(1)));
    if subject.collects() {
        subject.collect_all(&domain, &ledger);
    }
    drop(world);
    subject.settle(domain, &ledger);
}

/// A link of a chain: its `Drop` retires the next.
struct Chain<R: Reclaimer> {
    own: Tracked,
    left: usize,
    world: Weak<World<R>>,
}

thread_local! {
    /// How many [`Chain`]s are being dropped within each other just now.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// How deep drops may be nested, whatever the length of a chain.
const MAX_DEPTH: usize = 40;

impl<R: Reclaimer> Drop for Chain<R> {
    fn drop(&mut self) {
        self.own.look();
        let Some(world) = self.world.upgrade() else { return };
        if self.left == 0 {
            return;
        }
        let depth = DEPTH.with(|depth| depth.replace(depth.get() + 1)) + 1;
        // No deeper, so that a scheme that fails is told so, and not out of stack.
        if depth > MAX_DEPTH {
            let mut too_deep = world.too_deep.lock().unwrap_or_else(PoisonError::into_inner);
            *too_deep = true;
        } else {
            let own = Tracked::new(&world.ledger, 0);
            let next = Self { own, left: self.left - 1, world: Weak::clone(&self.world) };
            let guard = world.domain.pin();
            retire_new(&guard, next);
            guard.reclaim(8);
        }
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Values whose `Drop` retires others, which retire others, and so on, are freed one after another
/// and not one within another: however long such a chain, it needs little stack. So it is in a
/// thread's operations, in [`collect`](Reclaimer::collect), and when a thread exits.
///
/// A scheme that fails reclaims whenever it can, also in the middle of reclaiming.
pub fn drops_do_not_nest_without_end<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    const CHAINS: usize = sized(500, 20);
    const LENGTH: usize = sized(60, 4);
    let (domain, ledger) = subject.begin();
    let world = Arc::new(World::new(&domain, &ledger));
    let begin = || {
        for _ in 0..CHAINS {
            let (own, world) = (Tracked::new(&ledger, 0), Arc::downgrade(&world));
            let guard = domain.pin();
            retire_new(&guard, Chain { own, left: LENGTH, world });
            guard.reclaim(8);
        }
    };
    begin();
    elsewhere(begin);
    subject.collect_all(&domain, &ledger);
    assert!(!*world.too_deep.lock().unwrap(), "drops nest more than {MAX_DEPTH} deep");
    drop(world);
    subject.settle(domain, &ledger);
}

thread_local! {
    /// A guard of this thread, and the type of its reclaimer.
    static GUARD: Cell<Option<(TypeId, *const ())>> = const { Cell::new(None) };
}

/// A value whose `Drop` uses a guard that it finds: maybe the one in which it is being reclaimed.
struct Guest<R: Reclaimer> {
    own: Tracked,
    left: usize,
    ledger: Ledger,
    reclaimer: PhantomData<fn() -> R>,
}

impl<R: Reclaimer> Guest<R> {
    fn new(ledger: &Ledger, left: usize) -> Self {
        let own = Tracked::new(ledger, 0);
        Self { own, left, ledger: ledger.clone(), reclaimer: PhantomData }
    }
}

impl<R: Reclaimer> Drop for Guest<R> {
    fn drop(&mut self) {
        self.own.look();
        let Some((reclaimer, guard)) = GUARD.with(Cell::get) else { return };
        if reclaimer != TypeId::of::<R>() || self.left == 0 {
            return;
        }
        // SAFETY: it is of this type, as its reclaimer is, and there while the thread-local is set.
        // The value is dropped by its thread.
        let guard = unsafe { &*guard.cast::<Guard<'_, Of<R>>>() };
        let link = Atomic::new(guard.owned(Tracked::new(&self.ledger, 0)).into_ptr());
        let mut shield = guard.shield();
        shield.protect(&link);
        retire_new(guard, Self::new(&self.ledger, self.left - 1));
        unlink(guard, &link);
        guard.reclaim(8);
        // SAFETY: the suite's links; see `tools::look`.
        unsafe { shield.as_ref() }.expect("covered").look();
    }
}

/// A value's `Drop` may use the very guard in which it is reclaimed: one that is kept where the
/// `Drop` can reach it.
///
/// A scheme that fails has a section borrowed, or half changed, while user code runs.
pub fn a_drop_may_use_the_guard_it_is_reclaimed_in<R: Reclaimer>(
    subject: &Subject<impl Fn() -> R>,
) {
    let (domain, ledger) = subject.begin();
    let panics = domain.stats().drop_panics;
    let guard = domain.pin();
    GUARD.with(|local| local.set(Some((TypeId::of::<R>(), (&raw const guard).cast()))));
    for left in 0..sized(1500, 30) {
        retire_new(&guard, Guest::<R>::new(&ledger, left % 4));
        guard.reclaim(8);
        if left % 500 == 29 {
            domain.collect();
        }
    }
    domain.collect();
    GUARD.with(|local| local.set(None));
    drop(guard);
    if subject.is_isolated() {
        assert_eq!(domain.stats().drop_panics, panics, "a scheme's panic was swallowed");
    }
    subject.settle(domain, &ledger);
}

/// A value may have the last handle to another domain of the scheme, and a structure in it with it:
/// when it is reclaimed, that domain goes, with all that is pending there.
///
/// A scheme that fails puts the objects of the one among those of the other, which are reclaimed
/// later than their own domain is.
pub fn a_domain_may_go_in_a_drop<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let (domain, ledger) = subject.begin();
    for _ in 0..sized(8, 3) {
        let other = subject.domain();
        let stack = Stack::with_reclaimer(other.clone());
        for value in 0..sized(1500, 20) {
            stack.push(Tracked::new(&ledger, value as u64));
            retire_new(&other.pin(), Tracked::new(&ledger, 0));
        }
        (0..10).for_each(|_| drop(stack.pop()));
        retire_new(&domain.pin(), (stack, other, Tracked::new(&ledger, 0)));
    }
    press(&domain, &ledger);
    subject.settle(domain, &ledger);
}

/// A panic in a value's `Drop` stays inside: it reaches neither who retires nor who collects; the
/// other values are freed, each once; the domain works on; and
/// [`drop_panics`](crate::Stats::drop_panics) counts it.
///
/// A scheme that fails calls the destructor without a net of its own, or drops the rest of a bag
/// unseen.
pub fn a_panic_in_a_drop_stops_nothing<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    struct Explosive(Tracked, bool);

    impl Drop for Explosive {
        fn drop(&mut self) {
            self.0.look();
            if self.1 {
                // A panic like any other, but that the hook does not print it.
                resume_unwind(Box::new("the value's drop panics, as it should in this test"));
            }
        }
    }

    const VALUES: usize = sized(300, 24);
    let (domain, ledger) = subject.begin();
    let before = domain.stats().drop_panics;
    for at in 0..VALUES {
        retire_new(&domain.pin(), Explosive(Tracked::new(&ledger, 0), at % 3 == 1));
    }
    elsewhere(|| retire_new(&domain.pin(), Explosive(Tracked::new(&ledger, 0), true)));
    subject.collect_all(&domain, &ledger);
    if subject.collects() {
        let panics = || domain.stats().drop_panics - before;
        let expected = VALUES as u64 / 3 + 1;
        if subject.is_isolated() {
            assert_eq!(panics(), expected, "panics are miscounted");
        } else {
            // Another thread may have dropped one, and not counted it yet.
            let begin = Instant::now();
            while panics() < expected && begin.elapsed() < Duration::from_secs(60) {
                thread::yield_now();
            }
            assert!(panics() >= expected, "panics are not counted");
        }
    }
    press_everywhere(&domain, &ledger);
    // And when the domain itself goes.
    if subject.is_isolated() {
        retire_new(&domain.pin(), Explosive(Tracked::new(&ledger, 0), true));
        retire_new(&domain.pin(), Explosive(Tracked::new(&ledger, 0), false));
        drop(domain);
        ledger.assert_all_dead();
    } else {
        subject.settle(domain, &ledger);
    }
}

/// Domains that a forgotten guard has stalled for ever. They are kept in a static, so that what is
/// pending in them can be reached, and leak checkers do not call it leaked.
static STALLED: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

/// A guard that is forgotten (which is safe code) keeps memory at worst: nothing is freed twice or
/// too early, and the domain, the thread, and its other guards work on.
///
/// On an owned domain only: the process-wide one may be stalled for ever by this. Where a guard
/// does not protect the region, the end of the domain frees all the same.
///
/// A scheme that fails keeps state in the guard that others rely on.
pub fn a_forgotten_guard_keeps_memory_at_worst<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    if !subject.is_isolated() {
        return;
    }
    let (domain, ledger) = subject.begin();
    let (link, _) = linked(&domain, &ledger);
    let guard = domain.pin();
    let mut shield = guard.shield();
    shield.protect(&link);
    unlink(&guard, &link);
    retire_new(&guard, Tracked::new(&ledger, 0));
    mem::forget(shield);
    mem::forget(guard);
    // A thread that exits without its guard.
    elsewhere(|| {
        let guard = domain.pin();
        retire_new(&guard, Tracked::new(&ledger, 0));
        mem::forget(guard);
    });

    let (link, id) = linked(&domain, &ledger);
    let guard = domain.pin();
    let mut shield = guard.shield();
    shield.protect(&link);
    unlink(&guard, &link);
    press_everywhere(&domain, &ledger);
    look(&shield, id, &ledger, "while a shield covered it, after another guard was forgotten");
    drop(shield);
    drop(guard);
    let stack = Stack::with_reclaimer(domain.clone());
    stack.push(Tracked::new(&ledger, 7));
    assert_eq!(stack.pop().map(|value| value.value()), Some(7));
    drop(stack);
    domain.collect();
    if Of::<R>::PROTECTION == Protection::Region {
        STALLED.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(domain));
        ledger.assert_no_fault();
    } else {
        drop(domain);
        ledger.assert_all_dead();
    }
}

/// A shield or a [`Ref`](crate::Ref) that is forgotten keeps what it covers at worst, until the
/// domain goes.
///
/// A scheme that fails has slots that must come back, or clears at a guard's end what is not its
/// own.
pub fn a_forgotten_shield_keeps_memory_at_worst<R: Reclaimer>(subject: &Subject<impl Fn() -> R>) {
    let by_slot = Of::<R>::PROTECTION == Protection::Pointer;
    if by_slot && !subject.is_isolated() {
        // It would keep slots and objects of the process-wide domain for ever.
        return;
    }
    let (domain, ledger) = subject.begin();
    let kept = Ledger::new();
    for _ in 0..sized(20, 4) {
        let (link, _) = linked(&domain, &kept);
        let guard = domain.pin();
        let mut shield = guard.shield();
        shield.protect(&link);
        mem::forget(shield);
        let mut shield = guard.shield();
        shield.protect(&link);
        // SAFETY: the suite's links; see `tools::look`.
        mem::forget(unsafe { shield.into_ref(|value| value) });

        let (other, id) = linked(&domain, &ledger);
        let mut shield = guard.shield();
        shield.protect(&other);
        unlink(&guard, &link);
        unlink(&guard, &other);
        press(&domain, &ledger);
        look(&shield, id, &ledger, "while a shield covered it, after another was forgotten");
    }
    if !by_slot {
        subject.collect_all(&domain, &kept);
    }
    subject.settle(domain, &ledger);
    if subject.is_isolated() {
        kept.assert_all_dead();
    }
    kept.assert_no_fault();
}
