//! The schemes, with the system's allocator.

fn main() {
    sexton_benches::main::<sexton_benches::row::Row>("the system's");
}
