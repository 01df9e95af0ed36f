// E0502: cannot borrow `queue` as mutable because it is also borrowed as immutable

fn main() {
    let mut queue = sexton::Queue::<_>::from([1, 2]);
    let pinned = queue.pin();
    pinned.push(3);
    queue.drain().for_each(drop); // WRONG
    assert_eq!(pinned.pop(), Some(1));
    drop(pinned);
    assert_eq!(queue.drain().count(), 2);
}
