//! Processes, and what a step of one may touch.

use crate::client::Lookup;
use crate::memory::{Address, Content, Entry, KEYS, Key, Memory, Pointer, Value, Word};
use crate::migration::Walk;
use crate::{LeftOut, Op, Protocol};

/// Where a process is in its present operation. What comes next is one access to shared memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum At {
    /// Protects the root's table, and allocates what is to be inserted.
    Root,
    /// On the way along a key's path.
    Find(Lookup),
    /// Protects an entry that may be the key's: reads its slot again.
    Validate(Lookup, Word),
    /// Exchanges the entry that was found.
    Exchange(Lookup, Word),
    /// Gives MORE to an entry of another key with the same mark, as there will be others behind it.
    GiveMore(Lookup, Word),
    /// Takes the empty slot at the path's end, or its mark's tombstone.
    Take(Lookup, Word),
    /// Reads whether a migration has begun, before it takes a slot.
    Reserve(Lookup),
    /// Protects the next table, to go on there.
    Next,
    /// Protects the next table, to migrate into it.
    Into {
        /// A key's path, or all.
        for_path: bool,
    },
    /// Migrates.
    Migrate(Walk),
    /// Begins a migration.
    Begin,
    /// Makes the next table the root's.
    Swing,
}

/// A process: where it is, and what it protects.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Process {
    /// The number of its present operation.
    pub op: u8,
    /// Where it is in it.
    pub at: At,
    /// The table it works in, which it protects.
    pub table: u8,
    /// The entry that it protects.
    pub held: Option<Address>,
    /// Another one that it protects: a mover on its way in the next table.
    pub passed: Option<Address>,
    /// The entry that it has made, and not put in yet.
    pub new: Option<Pointer>,
    /// The values that the present operation's key has had since the operation began, a bit each;
    /// the first bit is for having none. Kept for operations that may change nothing.
    pub seen: u8,
}

/// What a property forbids has happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// A key has two entries in the map.
    Twice(Key),
    /// A key's entry came, went or changed by other than an operation that says so.
    Changed(Key),
    /// An operation found what was never there while it ran.
    WrongAnswer(Key),
    /// An entry was followed that was retired: it may have been freed.
    DeadEntry(Address),
    /// An entry was retired for the second time, or is in the map.
    RetiredWrongly(Address),
    /// A table was used that was retired: it may have been freed.
    DeadTable(u8),
    /// There is no empty slot in a table.
    Full(u8),
}

/// Everything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    /// What is shared.
    pub memory: Memory,
    /// By number.
    pub processes: Vec<Process>,
    /// Whatever comes after one means nothing.
    pub fault: Option<Fault>,
}

/// What a step does to the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    None,
    /// This value comes in, and the other goes (0: there was none).
    Put {
        key: Key,
        new: Value,
        old: Value,
    },
    /// This value goes.
    Gone {
        key: Key,
        old: Value,
    },
}

/// One step of one process.
pub(crate) struct Turn<'a> {
    pub(crate) protocol: &'a Protocol,
    pub(crate) memory: &'a mut Memory,
    pub(crate) me: &'a mut Process,
    /// What others protect is not allocated.
    pub(crate) address: Option<Address>,
    pub(crate) op: Op,
    pub(crate) effect: Effect,
    pub(crate) fault: Option<Fault>,
}

impl Turn<'_> {
    pub(crate) fn omits(&self, step: LeftOut) -> bool {
        self.protocol.left_out == Some(step)
    }

    pub(crate) fn blame(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Protects a table that was found in a valid place just now.
    pub(crate) fn enter(&mut self, table: u8) {
        if self.memory.tables[usize::from(table)].retired {
            self.blame(Fault::DeadTable(table));
        }
        self.me.table = table;
    }

    /// Protects an entry, and follows the pointer to it. Its announcement is not modelled: what
    /// protects is that it was announced *and then* found in its place.
    pub(crate) fn follow(&mut self, pointer: Pointer) -> Entry {
        self.me.held = Some(pointer.address);
        self.look_at_entry(pointer)
    }

    /// As [`follow`](Self::follow), while another entry stays protected.
    pub(crate) fn follow_too(&mut self, pointer: Pointer) -> Entry {
        self.me.passed = Some(pointer.address);
        self.look_at_entry(pointer)
    }

    fn look_at_entry(&mut self, pointer: Pointer) -> Entry {
        let entry = self.memory.entry(pointer).copied();
        let entry = entry.expect("no word points to what was never allocated");
        if entry.retired {
            self.blame(Fault::DeadEntry(pointer.address));
        }
        entry
    }

    pub(crate) fn retire(&mut self, pointer: Pointer) {
        let entry = &mut self.memory.entries[usize::from(pointer.address)];
        let entry = entry.as_mut().expect("no word points to what was never allocated");
        if core::mem::replace(&mut entry.retired, true) {
            self.blame(Fault::RetiredWrongly(pointer.address));
        }
    }

    /// The operation is done.
    pub(crate) fn done(&mut self) {
        self.me.op += 1;
        self.me.at = At::Root;
        (self.me.held, self.me.passed) = (None, None);
        self.me.seen = 0;
        self.me.table = 0;
    }

    /// The operation has found that its key has this value (0: none), and is done.
    pub(crate) fn answer(&mut self, key: Key, value: Value) {
        if self.me.seen & (1 << value) == 0 {
            self.blame(Fault::WrongAnswer(key));
        }
        self.done();
    }

    fn run(&mut self) {
        match self.me.at {
            At::Root => self.root(),
            At::Find(lookup) => self.find(lookup),
            At::Validate(lookup, word) => self.validate(lookup, word),
            At::Exchange(lookup, word) => self.exchange(lookup, word),
            At::GiveMore(lookup, word) => self.give_more(lookup, word),
            At::Take(lookup, word) => self.take(lookup, word),
            At::Reserve(lookup) => self.reserve(lookup),
            At::Next => self.next(),
            At::Into { for_path } => self.migrate_next(for_path),
            At::Migrate(walk) => self.migrate(walk),
            At::Begin => self.begin(),
            At::Swing => self.swing(),
        }
    }

    fn root(&mut self) {
        self.enter(self.memory.root);
        match self.op {
            Op::Migrate { .. } => self.me.at = At::Begin,
            op @ (Op::Insert(..) | Op::Remove(_) | Op::Get(_)) => {
                if let (Op::Insert(key, value), None) = (op, self.me.new) {
                    let address = self.address.expect("an insertion comes with memory");
                    self.me.new = Some(self.memory.put(self.protocol, address, key, value));
                }
                self.me.at = At::Find(self.home());
            }
        }
    }
}

impl State {
    pub(crate) fn new(protocol: &Protocol) -> Self {
        let (held, passed) = (None, None);
        let process = Process { op: 0, at: At::Root, table: 0, held, passed, new: None, seen: 0 };
        let processes = vec![process; protocol.programs.len()];
        Self { memory: Memory::new(protocol), processes, fault: None }
    }

    /// What a process is doing; `None` if it has ended.
    pub(crate) fn op(&self, protocol: &Protocol, number: usize) -> Option<Op> {
        protocol.programs[number].get(usize::from(self.processes[number].op)).copied()
    }

    /// Whether this address may be allocated: nobody protects what was there.
    fn is_free(&self, address: usize) -> bool {
        self.memory.entries[address].is_some_and(|entry| entry.retired)
            && self.processes.iter().all(|process| {
                let mut protected = process.held.into_iter().chain(process.passed);
                protected.all(|held| usize::from(held) != address)
            })
    }

    /// The addresses that a process may be given in its next step; `None` if it allocates nothing.
    pub(crate) fn addresses(&self, protocol: &Protocol, number: usize) -> Option<Vec<Address>> {
        let process = &self.processes[number];
        let inserts = matches!(self.op(protocol, number), Some(Op::Insert(..)));
        if !inserts || process.at != At::Root || process.new.is_some() {
            return None;
        }
        let free = (0..self.memory.entries.len()).filter(|address| self.is_free(*address));
        let free = free.map(|address| address as Address);
        Some(self.memory.fresh().into_iter().chain(free).collect())
    }

    /// A step of a process that has not ended.
    pub(crate) fn step(&mut self, protocol: &Protocol, number: usize, address: Option<Address>) {
        let Some(op) = self.op(protocol, number) else { return };
        let before = self.memory.contents();
        let me = &mut self.processes[number];
        if let (At::Root, 0, Op::Get(key) | Op::Remove(key)) = (me.at, me.seen, op) {
            me.seen = 1 << before[usize::from(key)].value;
        }
        let (effect, fault) = (Effect::None, None);
        let memory = &mut self.memory;
        let mut turn = Turn { protocol, memory, me, address, op, effect, fault };
        turn.run();
        let (effect, fault) = (turn.effect, turn.fault);
        let after = self.memory.contents();
        self.fault = fault.or_else(|| unexpected(before, effect, after)).or_else(|| {
            let mut live = self.memory.all_live();
            let dead = live.find(|live| self.memory.entry(*live).is_some_and(|it| it.retired));
            dead.map(|pointer| Fault::RetiredWrongly(pointer.address))
        });
        for (process, program) in self.processes.iter_mut().zip(&protocol.programs) {
            let op = program.get(usize::from(process.op));
            if let (1.., Some(Op::Get(key) | Op::Remove(key))) = (process.seen, op) {
                process.seen |= 1 << after[usize::from(*key)].value;
            }
        }
    }
}

/// What is wrong with the change that a step made to the map.
fn unexpected(before: [Content; KEYS], effect: Effect, after: [Content; KEYS]) -> Option<Fault> {
    let mut expected = before;
    let (key, old, new) = match effect {
        Effect::None => (0, before[0].value, before[0]),
        Effect::Put { key, new, old } => (key, old, Content { count: 1, value: new }),
        Effect::Gone { key, old } => (key, old, Content::default()),
    };
    let content = &mut expected[usize::from(key)];
    if content.value != old {
        return Some(Fault::WrongAnswer(key));
    }
    *content = new;
    (0..KEYS as Key).find_map(|key| {
        let (expected, after) = (expected[usize::from(key)], after[usize::from(key)]);
        if after.count > 1 {
            return Some(Fault::Twice(key));
        }
        (expected != after).then_some(Fault::Changed(key))
    })
}
