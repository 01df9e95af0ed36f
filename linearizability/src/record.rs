//! The recorder, and the check.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
// The machine's own under shuttle, too: taking the time is no step of a scenario.
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use todc_utils::{Action, History, Specification, WGLChecker};

/// A structure that operations are done on.
pub trait Subject: Send + Sync {
    /// What it is when one operation comes after the other. An operation has its result in it.
    type Specification: Specification<Operation: Send>;

    /// Does an operation at random. Says which, with what result, and on which of several independent
    /// parts: a key of a map, or 0.
    fn operate(&self, dice: &mut Dice) -> (u64, Operation<Self>);
}

/// An operation, with its result.
pub type Operation<S> = <<S as Subject>::Specification as Specification>::Operation;

/// What a thread chooses its operations by.
#[derive(Debug)]
pub struct Dice {
    random: fastrand::Rng,
    thread: usize,
    next: u64,
}

impl Dice {
    /// Those of a thread with this number.
    #[must_use]
    pub fn new(seed: u64, thread: usize) -> Self {
        let random =
            fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37).wrapping_add(thread as u64));
        Self { random, thread, next: 0 }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.random.u64(..end)
    }

    /// A value that comes up once: so it is known where it comes from. Not 0.
    pub fn fresh(&mut self) -> u64 {
        self.next += 1;
        ((self.thread as u64 + 1) << 32) | self.next
    }
}

/// Tells the time: each time once.
#[derive(Debug, Default)]
pub struct Recorder {
    now: AtomicU64,
}

/// What a thread has done.
#[derive(Clone, Debug)]
pub struct Done<O> {
    part: u64,
    operation: O,
    called: u64,
    returned: u64,
}

/// Does so many operations on the calling thread.
pub fn record<S: Subject>(
    recorder: &Recorder,
    subject: &S,
    dice: &mut Dice,
    operations: usize,
) -> Vec<Done<Operation<S>>> {
    // SeqCst: a full barrier, so that no effect of an operation is before its call, or after its return.
    let now = || recorder.now.fetch_add(1, SeqCst);
    let one = |_| {
        let called = now();
        let (part, operation) = subject.operate(dice);
        Done { part, operation, called, returned: now() }
    };
    (0..operations).map(one).collect()
}

/// Checks what threads have done on one subject, together.
///
/// # Errors
/// The history of a part that is not linearizable, in the order of its calls.
pub fn check<S: Subject>(threads: Vec<Vec<Done<Operation<S>>>>) -> Result<(), String> {
    let mut parts: BTreeMap<u64, Vec<(usize, Done<_>)>> = BTreeMap::new();
    for (thread, done) in threads.into_iter().enumerate() {
        for done in done {
            parts.entry(done.part).or_default().push((thread, done));
        }
    }
    for (part, mut done) in parts {
        let mut events: Vec<_> = done
            .iter()
            .flat_map(|(thread, done)| {
                let call = (done.called, (*thread, Action::Call(done.operation.clone())));
                let response = (done.returned, (*thread, Action::Response(done.operation.clone())));
                [call, response]
            })
            .collect();
        events.sort_by_key(|(time, _)| *time);
        let events = events.into_iter().map(|(_, event)| event).collect();
        if !WGLChecker::<S::Specification>::is_linearizable(History::from_actions(events)) {
            done.sort_by_key(|(_, done)| done.called);
            return Err(table(part, &done));
        }
    }
    Ok(())
}

fn table<O: Debug>(part: u64, done: &[(usize, Done<O>)]) -> String {
    let mut text = format!("not linearizable (part {part}):\n");
    for (thread, done) in done {
        let Done { operation, called, returned, .. } = done;
        writeln!(text, "  thread {thread}, {called:4} to {returned:4}: {operation:?}")
            .expect("a string takes all");
    }
    text
}
