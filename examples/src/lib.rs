//! The parts the caching examples are made of, each one idea in a file of its own.
//!
//! | module | what |
//! | --- | --- |
//! | [`row`] | a row: key, version, payload, and a checksum over all of it |
//! | [`database`] | what a cache needs of a database, as a small trait |
//! | [`cache`] | the read-through cache: its protocol, why it never serves a stale row, CLOCK |
//! | [`check`] | what a read may see, and the check that it saw nothing else |
//! | [`store`] | rows in a `redb` file: created whole or not at all, never overwritten |
//! | [`prepare`] | the database of a run: found, or created |
//! | [`trace`] | real traces, told apart by their content |
//! | [`workload`] | which rows are read and updated: Zipf-distributed, or a trace |
//! | [`drive`] | the threads that read and update, and what they measure |
//! | [`report`] | the table at the end |
//! | [`progress`] | progress bars, silent where there is no terminal |
//! | [`options`] | the command line |
//! | [`scheme`] | reclamation schemes by name |
//! | [`error`] | one line that says what, where and why |

#![forbid(unsafe_code)]

pub mod cache;
pub mod check;
pub mod database;
pub mod drive;
pub mod error;
pub mod options;
pub mod prepare;
pub mod progress;
pub mod report;
pub mod row;
pub mod scheme;
pub mod store;
pub mod trace;
pub mod workload;
