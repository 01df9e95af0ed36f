//! The structures, with the system's allocator.

fn main() {
    sexton_benches::main::<sexton_benches::structure::Row>("the system's");
}
