//! Misuse of sexton that does not compile: each case is a program in `cases/`.
//!
//! ```text
//! cargo test -p sexton-compile-fail
//! ```
