//! What may be in a structure, and what may go where: values that borrow, and `Send` and `Sync`.

mod common;

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::RandomState;
use std::rc::Rc;
use std::sync::MutexGuard;

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::hash_map::{Compute, Entry, IterMut, Operation, TryInsertError};
use sexton::{
    AllocError, Atomic, CrossbeamEpoch, Domain, Drain, Guard, Haphazard, HashMap, IntoIter, Leak,
    Owned, Pinned, Ptr, Queue, RcuCell, Ref, Retired, Shield, Stack, Stats,
};

for_each_scheme! {
    /// What is put off of a popped node is its memory: so the values may borrow from the stack
    /// frame, and the domain may outlive what they borrow from.
    fn stacks_and_queues_take_values_that_borrow(subject) {
        let domain = subject.domain();
        {
            let text = String::from("a stack and a queue take words that belong to another");
            let stack = Stack::<&str, R>::with_reclaimer(domain.clone());
            let queue = Queue::<&str, R>::with_reclaimer(domain.clone());
            let words: Vec<_> = text.split(' ').collect();
            for word in &words {
                stack.push(word);
                queue.push(word);
            }
            let longest = words.iter().max_by_key(|word| word.len()).copied();
            assert_eq!((stack.peek(), queue.peek()), (Some("another"), Some("a")));
            let popped: Vec<&str> = std::iter::from_fn(|| stack.pop()).collect();
            assert!(popped.iter().rev().eq(&words));
            assert_eq!(queue.into_iter().max_by_key(|word| word.len()), longest);
        }
        // The text is gone, and nobody looks for it.
        domain.collect();
    }

    /// Borrowed values between threads, and a borrow that is given back by the drop of its guard.
    fn borrowed_values_go_between_threads(subject) {
        const VALUES: usize = sized(500, 8);
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let owned: Vec<_> = (0..2 * VALUES).map(|at| Tracked::new(&ledger, at as u64)).collect();
        let queue = Queue::<&Tracked, R>::with_reclaimer(domain.clone());
        let taken = on_threads(2, |thread| {
            let mut mine = Vec::new();
            for value in &owned[thread * VALUES..][..VALUES] {
                queue.push(value);
                mine.extend(queue.pop().map(Tracked::value));
            }
            mine
        });
        assert_eq!(taken.into_iter().flatten().collect::<HashSet<_>>().len(), owned.len());
        drop(queue);

        let stack = Stack::<&mut u64, R>::with_reclaimer(domain.clone());
        let mut counts = [0; 3];
        counts.iter_mut().for_each(|count| stack.push(count));
        while let Some(count) = stack.pop() {
            *count += 1;
        }
        drop(stack);
        assert_eq!(counts, [1; 3]);
        drop(owned);
        subject.settle(domain, &ledger);
    }

    /// A structure of structures, all of one domain.
    fn structures_may_be_in_structures(subject) {
        let (domain, ledger) = (subject.domain(), Ledger::new());
        let outer = Stack::with_reclaimer(domain.clone());
        for _ in 0..3 {
            let inner = Queue::with_reclaimer(domain.clone());
            (0..3).for_each(|value| inner.push(Tracked::new(&ledger, value)));
            outer.push(inner);
        }
        drop(outer.pop().expect("there are three").pop());
        assert_eq!(ledger.living(), 6);
        drop(outer);
        ledger.assert_all_dead();
        subject.settle(domain, &ledger);
    }
}

const fn is_send<T: Send>() {}
const fn is_sync<T: Sync>() {}

/// Does not compile if the type has one of the traits: then it is not known which of two items is
/// meant.
macro_rules! is_not {
    ($($auto:ident: $($of:ty),+;)*) => {$($(
        const _: fn() = || {
            trait AmbiguousIfItHasIt<A> {
                fn item() {}
            }
            impl<T: ?Sized> AmbiguousIfItHasIt<()> for T {}
            #[allow(dead_code)]
            struct HasIt;
            impl<T: ?Sized + $auto> AmbiguousIfItHasIt<HasIt> for T {}
            let _ = <$of as AmbiguousIfItHasIt<_>>::item;
        };
    )+)*};
}

/// Is `Send`, and not `Sync`.
type SendOnly = Cell<u8>;
/// Is `Sync`, and not `Send`.
type SyncOnly = MutexGuard<'static, u8>;

macro_rules! of_each_scheme {
    ($($scheme:ident),*) => {$(
        const _: () = {
            type D = Domain<$scheme>;

            is_send::<D>();
            is_sync::<D>();
            is_send::<$scheme>();
            is_sync::<$scheme>();

            // They own their values and pass them on; a shared one lends none.
            is_send::<Stack<SendOnly, D>>();
            is_sync::<Stack<SendOnly, D>>();
            is_send::<Queue<SendOnly, D>>();
            is_sync::<Queue<SendOnly, D>>();
            is_send::<IntoIter<Stack<SendOnly, D>>>();
            is_send::<Drain<'_, Queue<SendOnly, D>>>();

            // These lend their values, too.
            is_send::<RcuCell<SendOnly, D>>();
            is_send::<RcuCell<String, D>>();
            is_sync::<RcuCell<String, D>>();
            is_send::<HashMap<String, SendOnly, RandomState, D>>();
            is_send::<HashMap<String, String, RandomState, D>>();
            is_sync::<HashMap<String, String, RandomState, D>>();

            is_send::<Owned<SendOnly, $scheme>>();
            is_send::<Owned<String, $scheme>>();
            is_sync::<Owned<String, $scheme>>();
            is_sync::<Owned<SyncOnly, $scheme>>();

            is_not! {
                Send:
                    Stack<Rc<u8>, D>, Stack<SyncOnly, D>, Queue<Rc<u8>, D>, Queue<SyncOnly, D>,
                    RcuCell<Rc<u8>, D>, RcuCell<SyncOnly, D>,
                    HashMap<Rc<u8>, u8, RandomState, D>, HashMap<u8, Rc<u8>, RandomState, D>,
                    HashMap<u8, u8, Rc<u8>, D>,
                    IntoIter<Stack<Rc<u8>, D>>, Drain<'static, Queue<Rc<u8>, D>>,
                    Owned<Rc<u8>, $scheme>, Owned<SyncOnly, $scheme>,
                    // A section belongs to its thread.
                    Guard<'static, $scheme>, Shield<'static, u8, $scheme>,
                    Ref<'static, u8, $scheme>,
                    Pinned<'static, Stack<u8, D>, Guard<'static, $scheme>>,
                    Pinned<'static, Stack<u8, D>, &'static Guard<'static, $scheme>>,
                    Compute<'static, u8, u8, u8, $scheme>, TryInsertError<'static, u8, u8, $scheme>;
                Sync:
                    Stack<Rc<u8>, D>, Stack<SyncOnly, D>, Queue<Rc<u8>, D>, Queue<SyncOnly, D>,
                    RcuCell<Rc<u8>, D>, RcuCell<SyncOnly, D>, RcuCell<SendOnly, D>,
                    HashMap<Rc<u8>, u8, RandomState, D>, HashMap<u8, Rc<u8>, RandomState, D>,
                    HashMap<SendOnly, u8, RandomState, D>, HashMap<u8, SendOnly, RandomState, D>,
                    HashMap<SyncOnly, u8, RandomState, D>, HashMap<u8, SyncOnly, RandomState, D>,
                    HashMap<u8, u8, SendOnly, D>,
                    Owned<SendOnly, $scheme>,
                    Guard<'static, $scheme>, Shield<'static, u8, $scheme>,
                    Ref<'static, u8, $scheme>,
                    Pinned<'static, Stack<u8, D>, Guard<'static, $scheme>>,
                    Pinned<'static, Stack<u8, D>, &'static Guard<'static, $scheme>>,
                    Compute<'static, u8, u8, u8, $scheme>, TryInsertError<'static, u8, u8, $scheme>;
            }
        };
    )*};
}

of_each_scheme!(CrossbeamEpoch, Haphazard, Leak);

const _: () = {
    is_send::<Atomic<String>>();
    is_sync::<Atomic<String>>();
    is_send::<Entry<String, String>>();
    is_sync::<Entry<String, String>>();
    is_send::<Operation<String, String>>();
    is_send::<IterMut<'_, String, SendOnly>>();
    is_sync::<IterMut<'_, String, String>>();
    is_send::<AllocError<String>>();
    is_send::<Stats>();
    is_send::<Retired>();
    is_not! {
        Send:
            Ptr<u8>, Atomic<SendOnly>, Atomic<SyncOnly>, Atomic<Rc<u8>>, Entry<Rc<u8>, u8>,
            IterMut<'static, SendOnly, u8>, IterMut<'static, u8, Rc<u8>>, AllocError<Rc<u8>>;
        Sync:
            Ptr<u8>, Atomic<SendOnly>, Atomic<SyncOnly>, Entry<u8, SendOnly>,
            IterMut<'static, u8, SendOnly>;
    }
};

/// Users' code that is generic over the value alone: the parameters of the types have defaults.
#[test]
fn the_defaults_are_the_global_domain_of_crossbeam() {
    fn both<T: Send + 'static>(values: [T; 2]) -> (Stack<T>, Queue<T>) {
        let (stack, queue) = (Stack::new(), Queue::new());
        let [first, second] = values;
        stack.push(first);
        queue.push(second);
        (stack, queue)
    }

    let (stack, queue) = both([1, 2]);
    assert_eq!((stack.pop(), queue.pop()), (Some(1), Some(2)));
    let cell: RcuCell<u8> = RcuCell::new(3);
    let map: HashMap<u8, u8> = HashMap::new();
    map.insert(cell.load(), 4);
    assert_eq!(map.get(&3), Some(4));
}
