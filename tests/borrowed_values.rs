//! What may be in a structure: values that borrow. (What may go where is in `auto_traits.rs`.)

mod common;

use std::collections::HashSet;

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::{HashMap, Queue, RcuCell, Stack};

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

/// Users' code that is generic over the value alone: the parameters of the types have defaults.
#[test]
fn the_defaults_are_the_global_domain_of_epochs() {
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
