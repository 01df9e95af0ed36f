//! Threads that come, work on the same keys, sleep wherever they are, and are killed in the middle
//! of a call or under a guard; others take their place. At the end all accounts are exact.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use common::{Ledger, Reclaimer, Subject, Tracked, for_each_scheme, on_threads, sized};
use sexton::HashMap;
use sexton::hash_map::{Compute, Operation};

/// So few that they meet; so many that the table grows and shrinks.
const KEYS: u64 = sized(300, 12) as u64;
const THREADS: usize = 4;

/// xorshift: the same numbers for the same thread in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// What all threads share.
struct Ground<R: Reclaimer> {
    map: HashMap<u64, Tracked, std::hash::RandomState, R>,
    ledger: Ledger,
    /// By key: how often it came in, less how often it went out.
    balance: Vec<AtomicIsize>,
}

impl<R: Reclaimer> Ground<R> {
    /// A value that says whose it is.
    fn value(&self, key: u64) -> Tracked {
        Tracked::new(&self.ledger, key)
    }

    fn count(&self, key: u64, change: isize) {
        self.balance[key as usize].fetch_add(change, Relaxed);
    }

    /// A moment in which a thread may sleep, or die.
    fn moment(&self, dice: &mut Dice) {
        match dice.roll(4000) {
            // Without the hook's message.
            0..3 => resume_unwind(Box::new("killed")),
            3..40 => thread::sleep(Duration::from_micros(dice.roll(200))),
            40..120 => thread::yield_now(),
            _ => {}
        }
    }

    /// A call, under a guard of its own or of many calls.
    fn work(&self, dice: &mut Dice) {
        let map = self.map.pin();
        for _ in 0..=dice.roll(8) {
            let key = dice.roll(KEYS);
            self.moment(dice);
            match dice.roll(12) {
                0..3 => {
                    let old = map.insert(key, self.value(key));
                    self.count(key, isize::from(old.is_none()));
                    self.moment(dice);
                    assert!(old.is_none_or(|old| old.value() == key));
                }
                3..6 => {
                    let old = map.remove(&key);
                    self.count(key, -isize::from(old.is_some()));
                    self.moment(dice);
                    assert!(old.is_none_or(|old| old.value() == key));
                }
                6 => {
                    // Dies in the closure, too: then the entry stays.
                    map.update(key, |old| {
                        assert_eq!(old.value(), key);
                        self.moment(dice);
                        self.value(key)
                    });
                }
                7 => {
                    let done = map.compute(key, |present| {
                        self.moment(dice);
                        match present {
                            Some(_) => Operation::<_, ()>::Remove,
                            None => Operation::Insert(self.value(key)),
                        }
                    });
                    match done {
                        Compute::Inserted(_) => self.count(key, 1),
                        Compute::Removed(_) => self.count(key, -1),
                        done => panic!("{done:?}"),
                    }
                }
                8 => self.count(key, isize::from(map.try_insert(key, self.value(key)).is_ok())),
                9 if dice.roll(40) == 0 => self.map.reserve(dice.roll(4 * KEYS) as usize),
                9 => assert!(map.iter().take(20).all(|it| it.value().value() == *it.key())),
                _ => {
                    let found = map.get(&key);
                    self.moment(dice);
                    assert!(found.is_none_or(|found| found.value() == key));
                }
            }
        }
    }
}

for_each_scheme! {
    fn the_accounts_are_exact_at_the_end(subject) {
        let domain = subject.domain();
        let ground = Ground {
            map: HashMap::with_reclaimer(domain.clone()),
            ledger: Ledger::new(),
            balance: (0..KEYS).map(|_| AtomicIsize::new(0)).collect(),
        };
        let begun = Instant::now();
        // A few seconds for all schemes together.
        let lasts = Duration::from_millis(350);
        let mut wave = 0;
        let mut killed = 0;
        while if cfg!(miri) { wave < 2 } else { begun.elapsed() < lasts } {
            wave += 1;
            let ends = on_threads(THREADS, |thread| {
                let mut dice = Dice(wave * 100 + thread as u64 + 1);
                catch_unwind(AssertUnwindSafe(|| {
                    (0..sized(500, 6)).for_each(|_| ground.work(&mut dice));
                }))
            });
            for end in ends.into_iter().filter_map(Result::err) {
                // What is not a killing is a failure.
                assert!(end.downcast_ref::<&str>() == Some(&"killed"), "a thread has failed");
                killed += 1;
            }
            // And down again, so that the next wave finds another table.
            if wave % 3 == 0 {
                ground.map.retain(|key, _| {
                    let keep = key % 8 == 0;
                    // Nobody else is there.
                    if !keep {
                        ground.count(*key, -1);
                    }
                    keep
                });
            }
        }
        assert!(cfg!(miri) || killed > 0, "{wave} waves, and nobody was killed");

        let Ground { map, ledger, balance } = ground;
        let mut living = 0;
        for (key, balance) in (0..).zip(&balance) {
            let present = isize::from(map.contains_key(&key));
            assert_eq!(balance.load(Relaxed), present, "the account of key {key}");
            living += present as usize;
        }
        assert_eq!((map.len(), map.pin().iter().count()), (living, living));
        drop(map);
        subject.settle(domain, &ledger);
    }
}
