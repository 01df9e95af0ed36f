//! The rows, with the system's allocator.

fn main() {
    sexton_benches::main("the system's");
}
