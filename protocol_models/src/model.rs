//! The model as stateright sees it.

use stateright::{Model, Property};

use crate::memory::{Address, Pointer, Word};
use crate::migration::{Slot, Walk};
use crate::process::{At, Process, State};
use crate::{Op, Protocol};

/// The name of the property that nothing forbidden happens.
pub const SOUND: &str = "no key lost, doubled or revived, no wrong answer, nothing dead followed";

/// The name of the property that nobody waits for anybody.
pub const ENDS_ALONE: &str = "from any state, whoever runs alone ends";

/// More steps than any process takes alone, to its end.
const MANY_STEPS: usize = 500;

/// A process takes a step, and is given an address if it allocates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Action {
    /// Who.
    pub process: usize,
    /// Where its new entry is.
    pub address: Option<Address>,
}

/// Whether a process, if it runs alone from here, ends.
fn ends_alone(protocol: &Protocol, state: &State, number: usize) -> bool {
    let mut state = state.clone();
    for _ in 0..MANY_STEPS {
        if state.op(protocol, number).is_none() || state.fault.is_some() {
            return true;
        }
        let address = state.addresses(protocol, number).and_then(|free| free.first().copied());
        state.step(protocol, number, address);
    }
    false
}

fn all_ended(protocol: &Protocol, state: &State) -> bool {
    (0..state.processes.len()).all(|number| state.op(protocol, number).is_none())
}

/// Whether, when all have ended, what is not retired is in the map.
fn nothing_leaks(protocol: &Protocol, state: &State) -> bool {
    let kept = state.memory.entries.iter().flatten().filter(|entry| !entry.retired).count();
    state.fault.is_some() || !all_ended(protocol, state) || kept == state.memory.all_live().count()
}

/// What a mover copies that gives MORE in its next step.
fn gives_more(state: &State, process: &Process) -> Option<Pointer> {
    match process.at {
        At::Migrate(Walk { with: Slot::GiveMore(pointer, to, word), .. }) => {
            (state.memory.word(process.table + 1, to) == word).then_some(pointer)
        }
        _ => None,
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.fault.is_some() {
            return;
        }
        for process in 0..state.processes.len() {
            if state.op(self, process).is_none() {
                continue;
            }
            match state.addresses(self, process) {
                None => actions.push(Action { process, address: None }),
                Some(addresses) => actions
                    .extend(addresses.into_iter().map(|it| Action { process, address: Some(it) })),
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        state.step(self, action.process, action.address);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SOUND, |_, state: &State| state.fault.is_none()),
            Property::always("what is not in the map is retired", nothing_leaks),
            Property::always(
                "of a mark's slots all but the last have MORE",
                // Without a step, what is asked is what comes of it.
                |protocol: &Self, state: &State| {
                    protocol.left_out.is_some() || state.memory.all_but_the_last_have_more(protocol)
                },
            ),
            Property::always(ENDS_ALONE, |protocol, state: &State| {
                (0..state.processes.len()).all(|number| ends_alone(protocol, state, number))
            }),
            Property::sometimes("all end", all_ended),
            Property::sometimes("a mover finds another's copy", |_, state: &State| {
                let at = |it: &Process| match it.at {
                    At::Migrate(Walk { with: Slot::LookAt(pointer, to), .. }) => {
                        state.memory.word(it.table + 1, to).leads_to(pointer.address)
                    }
                    _ => false,
                };
                state.processes.iter().any(at)
            }),
            Property::sometimes(
                "a mover finds that it is moved, before he copies",
                |_, state: &State| {
                    let at = |it: &Process| match it.at {
                        At::Migrate(walk @ Walk { with: Slot::LookAgain(..), path: None, .. }) => {
                            !walk.descending
                                && state.memory.word(it.table, walk.done) == Word::Moved
                        }
                        _ => false,
                    };
                    state.processes.iter().any(at)
                },
            ),
            Property::sometimes("a writer migrates its path", |protocol, state: &State| {
                let mut numbers = 0..state.processes.len();
                numbers.any(|number| {
                    let migrates = matches!(state.processes[number].at, At::Migrate(_));
                    migrates && !matches!(state.op(protocol, number), Some(Op::Migrate { .. }))
                })
            }),
            Property::sometimes("a reader goes on in the next table", |_, state: &State| {
                state.processes.iter().any(|it| matches!(it.at, At::Next))
            }),
            Property::sometimes("a tombstone takes its key in again", |_, state: &State| {
                state.processes.iter().any(|it| match it.at {
                    At::Take(lookup, word @ Word::Tomb(_)) => {
                        state.memory.word(it.table, lookup.slot) == word
                    }
                    _ => false,
                })
            }),
            Property::sometimes("a writer gives MORE", |_, state: &State| {
                state.processes.iter().any(|it| match it.at {
                    At::GiveMore(lookup, word) => state.memory.word(it.table, lookup.slot) == word,
                    _ => false,
                })
            }),
            Property::sometimes("a mover gives MORE", |_, state: &State| {
                state.processes.iter().any(|it| gives_more(state, it).is_some())
            }),
            Property::sometimes("a mover gives MORE in vain", |_, state: &State| {
                let in_vain = |it: &Process| {
                    let pointer = gives_more(state, it)?;
                    let moved = state.memory.tables[usize::from(it.table)].slots;
                    Some(!moved.iter().any(|word| word.leads_to(pointer.address)))
                };
                state.processes.iter().any(|it| in_vain(it) == Some(true))
            }),
            Property::sometimes("an address is used again", |_, state: &State| {
                state.memory.entries.iter().flatten().any(|entry| entry.reused)
            }),
            Property::sometimes("the map is in the third table", |_, state: &State| {
                state.memory.root == 2
            }),
        ]
    }
}
