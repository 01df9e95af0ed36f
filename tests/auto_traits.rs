//! What may go to other threads, may move, and may cross a panic: for each public type, and for
//! values of each kind.

use std::cell::Cell;
use std::hash::RandomState;
use std::marker::{PhantomData, PhantomPinned};
use std::ops::RangeFull;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::sync::MutexGuard;

use sexton::conformance::{Ledger, Subject, Tracked};
use sexton::hash_map::{self, Compute, Entry, Operation, TryInsertError, TryReserveError};
use sexton::hash_set::PinnedSet;
use sexton::skip_map::{self, SetRange};
use sexton::{
    AllocError, Atomic, Barrier, Builder, Changed, CrossbeamEpoch, Domain, Drain, Epoch, Guard,
    Haphazard, HashMap, HashSet, Hazard, IntoIter, Leak, Owned, Pinned, PopAll, Protection, Ptr,
    PushError, Queue, RcuCell, RcuOption, Ref, Retired, Shield, SkipMap, SkipSet, Stack, Stats,
    Vtable,
};

/// Answers for a type: its own constant hides that of the trait, where there is one.
struct Has<T>(PhantomData<T>);

macro_rules! answers {
    ($($trait:ident $constant:ident $otherwise:ident;)*) => {$(
        trait $otherwise {
            const $constant: Option<&str> = None;
        }
        impl<T> $otherwise for Has<T> {}
        impl<T: $trait> Has<T> {
            const $constant: Option<&str> = Some(stringify!($trait));
        }
    )*};
}

answers! {
    Send SEND NotSend;
    Sync SYNC NotSync;
    Unpin UNPIN NotUnpin;
    UnwindSafe UNWIND_SAFE NotUnwindSafe;
    RefUnwindSafe REF_UNWIND_SAFE NotRefUnwindSafe;
}

/// That these types have exactly these of the traits.
macro_rules! exactly {
    ($([$($trait:ident)*] $($type:ty),+;)+) => {$(
        let expected: &[&str] = &[$(stringify!($trait)),*];
        $({
            type It = Has<$type>;
            let all = [It::SEND, It::SYNC, It::UNPIN, It::UNWIND_SAFE, It::REF_UNWIND_SAFE];
            let has: Vec<&str> = all.into_iter().flatten().collect();
            assert_eq!(has, expected, "{}", stringify!($type));
        })+
    )+};
}

/// Is `Send`, and not `Sync`, nor `RefUnwindSafe`.
type SendOnly = Cell<u8>;
/// Is `Sync`, and not `Send`.
type SyncOnly = MutexGuard<'static, u8>;
/// Is neither.
type Neither = Rc<u8>;
/// May not be seen by others once a panic has come from where it was.
type Half = &'static mut u8;
/// May not move.
type Fixed = PhantomPinned;
/// A hasher.
type H = RandomState;

macro_rules! each_scheme {
    ($($test:ident: $scheme:ident;)*) => {$(
        #[test]
        fn $test() {
            type S = $scheme;
            type D = Domain<S>;
            type G = Guard<'static, S>;

            exactly! {
                // What owns its values and passes them on lends none when it is shared, so it is
                // all that a value that may be sent can make it. What lends them needs more.
                [Send Sync Unpin UnwindSafe RefUnwindSafe]
                    S, D, Builder<S>, Owned<u8, S>,
                    Stack<u8, D>, Stack<SendOnly, D>, Stack<Half, D>, Stack<Fixed, D>,
                    PopAll<'static, u8, D>, PopAll<'static, SendOnly, D>,
                    PopAll<'static, Half, D>, PopAll<'static, Fixed, D>,
                    Queue<u8, D>, Queue<SendOnly, D>, Queue<Half, D>, Queue<Fixed, D>,
                    IntoIter<Stack<SendOnly, D>>, IntoIter<Queue<SendOnly, D>>,
                    RcuCell<u8, D>, RcuCell<Half, D>, RcuCell<Fixed, D>,
                    RcuOption<u8, D>, RcuOption<Half, D>, RcuOption<Fixed, D>,
                    HashMap<u8, u8, H, D>, HashMap<u8, Half, H, D>, HashMap<Fixed, Fixed, H, D>,
                    HashSet<u8, H, D>, HashSet<Fixed, H, D>,
                    SkipMap<u8, u8, D>, SkipMap<u8, Half, D>, SkipMap<Fixed, Fixed, D>,
                    SkipSet<u8, D>, SkipSet<Fixed, D>;
                [Send Unpin]
                    RcuCell<SendOnly, D>, RcuOption<SendOnly, D>,
                    HashMap<SendOnly, u8, H, D>, HashMap<u8, SendOnly, H, D>,
                    HashSet<SendOnly, H, D>,
                    SkipMap<SendOnly, u8, D>, SkipMap<u8, SendOnly, D>, SkipSet<SendOnly, D>,
                    IntoIter<HashMap<u8, SendOnly, H, D>>;
                [Unpin UnwindSafe RefUnwindSafe]
                    Stack<SyncOnly, D>, Stack<Neither, D>, Queue<SyncOnly, D>, Queue<Neither, D>,
                    PopAll<'static, SyncOnly, D>, PopAll<'static, Neither, D>,
                    IntoIter<Stack<SyncOnly, D>>, IntoIter<Queue<Neither, D>>,
                    RcuCell<SyncOnly, D>, RcuCell<Neither, D>,
                    RcuOption<SyncOnly, D>, RcuOption<Neither, D>,
                    HashMap<SyncOnly, u8, H, D>, HashMap<u8, SyncOnly, H, D>,
                    HashMap<Neither, u8, H, D>, HashMap<u8, Neither, H, D>,
                    HashMap<u8, u8, Neither, D>,
                    HashSet<SyncOnly, H, D>, HashSet<Neither, H, D>, HashSet<u8, Neither, D>,
                    SkipMap<SyncOnly, u8, D>, SkipMap<u8, SyncOnly, D>,
                    SkipMap<Neither, u8, D>, SkipMap<u8, Neither, D>,
                    SkipSet<SyncOnly, D>, SkipSet<Neither, D>, Owned<Neither, S>,
                    // A section belongs to its thread, and so does all that is in one.
                    G, Shield<'static, u8, S>, Ref<'static, u8, S>, Ref<'static, Half, S>,
                    Pinned<'static, Stack<u8, D>, G>, Pinned<'static, Stack<u8, D>, &'static G>,
                    PinnedSet<'static, u8, H, D, G>,
                    hash_map::Iter<'static, 'static, u8, u8, H, D, G>,
                    hash_map::Keys<'static, 'static, u8, u8, H, D, G>,
                    hash_map::Values<'static, 'static, u8, u8, H, D, G>,
                    skip_map::Iter<'static, u8, u8, D>, skip_map::Keys<'static, u8, u8, D>,
                    skip_map::Values<'static, u8, u8, D>,
                    skip_map::Range<'static, u8, u8, D, u8, RangeFull>,
                    SetRange<'static, u8, D, u8, RangeFull>,
                    Compute<'static, u8, u8, u8, S>, TryInsertError<'static, u8, u8, S>;
                [Unpin]
                    Shield<'static, SendOnly, S>, Ref<'static, SendOnly, S>,
                    Pinned<'static, HashMap<u8, SendOnly, H, D>, G>,
                    Compute<'static, u8, SendOnly, u8, S>, TryInsertError<'static, u8, SendOnly, S>,
                    skip_map::IterMut<'static, SendOnly, u8, D>;
                // The hasher is in the map itself, and so is a node's value in its owner's hands.
                [Send Unpin UnwindSafe]
                    HashMap<u8, u8, SendOnly, D>, Owned<SendOnly, S>;
                [Sync Unpin UnwindSafe RefUnwindSafe]
                    HashMap<u8, u8, SyncOnly, D>, Owned<SyncOnly, S>;
                [Send Sync UnwindSafe RefUnwindSafe]
                    Owned<Fixed, S>;
                // As an exclusive reference.
                [Send Sync Unpin RefUnwindSafe]
                    Owned<Half, S>, Drain<'static, Queue<u8, D>>, Drain<'static, Stack<SendOnly, D>>,
                    skip_map::IterMut<'static, u8, u8, D>,
                    skip_map::IterMut<'static, SyncOnly, u8, D>;
                [Send Unpin]
                    skip_map::IterMut<'static, u8, SendOnly, D>;
                [Sync Unpin RefUnwindSafe]
                    skip_map::IterMut<'static, u8, SyncOnly, D>;
                [Unpin RefUnwindSafe]
                    Drain<'static, Queue<SyncOnly, D>>, Drain<'static, Stack<Neither, D>>,
                    skip_map::IterMut<'static, u8, Neither, D>,
                    skip_map::IterMut<'static, Neither, u8, D>;
            }
        }
    )*};
}

each_scheme! {
    epoch: Epoch;
    hazard: Hazard;
    crossbeam_epoch: CrossbeamEpoch;
    haphazard: Haphazard;
    leak: Leak;
}

#[test]
fn without_a_scheme() {
    exactly! {
        [Send Sync Unpin UnwindSafe RefUnwindSafe]
            Atomic<u8>, Atomic<Half>, Atomic<Fixed>, AllocError<u8>, PushError<u8>, Changed<u8, u8>,
            Entry<u8, u8>, Operation<u8, u8>, TryReserveError,
            Vtable, Stats, Barrier, Protection, Ledger, Tracked, Subject<fn() -> Epoch>;
        // It is given from thread to thread with what it frees, and tells no two of it.
        [Send Unpin UnwindSafe RefUnwindSafe]
            Retired;
        [Send Unpin UnwindSafe]
            AllocError<SendOnly>, PushError<SendOnly>, Changed<SendOnly, u8>,
            Entry<u8, SendOnly>, Operation<SendOnly, u8>;
        [Sync Unpin UnwindSafe RefUnwindSafe]
            AllocError<SyncOnly>, PushError<SyncOnly>;
        [Unpin UnwindSafe RefUnwindSafe]
            Ptr<u8>, Atomic<SyncOnly>, Atomic<Neither>,
            AllocError<Neither>, PushError<Neither>, Changed<u8, Neither>,
            Entry<Neither, u8>, Operation<u8, Neither>;
        [Unpin]
            Ptr<SendOnly>, Atomic<SendOnly>, hash_map::IterMut<'static, SendOnly, u8>;
        [Send Sync UnwindSafe RefUnwindSafe]
            AllocError<Fixed>, PushError<Fixed>, Entry<Fixed, u8>;
        [Send Sync Unpin RefUnwindSafe]
            PushError<Half>,
            hash_map::IterMut<'static, u8, u8>, hash_map::IterMut<'static, SyncOnly, u8>;
        [Send Unpin]
            hash_map::IterMut<'static, u8, SendOnly>;
        [Unpin RefUnwindSafe]
            hash_map::IterMut<'static, u8, Neither>;
    }
}

/// What the traits promise: a structure that a panic came through is as it was.
#[test]
fn a_structure_may_be_used_again_after_a_panic_under_its_guard() {
    let (queue, stack) = (Queue::<_>::from([Cell::new(1)]), Stack::<_>::from([Cell::new(2)]));
    let pinned = queue.pin();
    let panics = catch_unwind(|| {
        stack.push_all((3..5).map(|it| if it == 4 { panic_any("a value") } else { Cell::new(it) }));
    });
    assert!(panics.is_err());
    let panics = catch_unwind(|| {
        let taken = pinned.pop();
        pinned.push(Cell::new(5));
        assert_eq!(taken, Some(Cell::new(1)));
        panic_any("a caller");
    });
    assert!(panics.is_err());
    assert_eq!(pinned.pop(), Some(Cell::new(5)));
    assert_eq!(stack.pop().map(Cell::into_inner), Some(2));
}
