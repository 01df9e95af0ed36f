//! The schemes, with mimalloc.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    sexton_benches::main::<sexton_benches::row::Row>("mimalloc");
}
