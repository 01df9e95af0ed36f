//! A list without protection, nor a look at marks: the floor under a walk, not a contender.

use super::{List, nodes};

pub(super) struct PlainList {
    head: Option<Box<Node>>,
}

struct Node {
    next: Option<Box<Node>>,
    value: u64,
}

impl List for PlainList {
    const NAME: &'static str = "(plain pointers)";

    fn new(order: &[usize]) -> Self {
        let mut head = None;
        for mut node in nodes(order, |value| Box::new(Node { next: None, value })).into_iter().rev()
        {
            node.next = head;
            head = Some(node);
        }
        Self { head }
    }

    #[inline(never)]
    fn walk(&self) -> u64 {
        let mut sum = 0;
        let mut at = &self.head;
        while let Some(node) = at {
            sum += node.value;
            at = &node.next;
        }
        sum
    }
}
