//! A test in a process of its own: for what cannot be undone, and must not touch other tests.

use std::env;
use std::process::Command;

/// Names the test that is to do its work, and not to start a process for it.
const VARIABLE: &str = "SEXTON_TEST_IN_A_PROCESS_OF_ITS_OWN";

/// Seconds after which such a process is killed.
const PATIENCE: u32 = 60;

/// Runs `work` in a process of its own: this binary, again, with this one `test` (its full name). What
/// it prints is printed here.
///
/// # Panics
/// If it panics there, crashes, or hangs.
pub(crate) fn in_a_process_of_its_own(test: &str, work: impl FnOnce()) {
    if env::var_os(VARIABLE).is_some_and(|named| named == test) {
        // SAFETY: takes no pointers; the signal ends the process.
        unsafe { libc::alarm(PATIENCE) };
        return work();
    }
    let binary = env::current_exe().expect("it runs");
    let output = Command::new(binary)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, test)
        .output()
        .expect("a test can be run");
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    println!("{out}");
    assert!(output.status.success(), "{test} in a process of its own: {}\n{err}", output.status);
    assert!(out.contains("1 passed"), "there is no test of the name {test}");
}
