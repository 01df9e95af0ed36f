//! Store buffering on the real machine: that [`light`] and [`heavy`] order what they are said to, and
//! that without them it is not ordered, so that these tests are known to see it.
//!
//! ```text
//! reader              reclaimer
//! X[i] = 1            Y[j..j + WINDOW] = 1
//! light               heavy
//! load Y[i]           load X[j..j + WINDOW]
//! ```
//!
//! Forbidden is that, for the same slot, both loads find 0.
//!
//! The reader runs over all slots without a pause. The reclaimer looks where the reader is, and does
//! its part some way ahead of it: one barrier for a window of slots, so that one of them is where the
//! reader happens to be when the barrier comes. Each slot is in a cache line of its own, which has
//! last been written by the other thread: so a store takes long, and a load does not.

use core::hint;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, compiler_fence, fence};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::{heavy, light};

/// Slots for each batch, which a reader passes without a pause.
const SLOTS: usize = if cfg!(miri) { 64 } else { 8192 };

/// Slots that the reclaimer covers with each heavy barrier.
const WINDOW: usize = 16;

/// The window begins less than 2 to this power of slots ahead of where the reader was last seen:
/// about so far it comes during a heavy barrier.
const FARTHEST: u32 = if cfg!(miri) { 4 } else { 10 };

/// How long a forbidden outcome is looked for where there should be none.
const LONG: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 1500 });

/// How long it is waited for where there should be one.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether on this platform only the heavy half is a fence, and it can be seen here that it is missed:
/// two threads run at a time, and the compiler leaves no more than a store and a load of what is
/// between them in the source (else the store is visible before the load begins).
fn can_be_seen() -> bool {
    let by_platform = cfg!(all(any(target_os = "linux", windows), not(miri)));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let can = by_platform && !cfg!(debug_assertions) && cores > 1 && heavy();
    if !can {
        println!("skipped: it takes two cores, a light half that is no fence, and --release");
    }
    can
}

type Line = CachePadded<AtomicU32>;

fn lines() -> Box<[Line]> {
    (0..SLOTS).map(|_| Line::default()).collect()
}

/// Where two threads meet, without going to sleep: so they leave at the same time.
#[derive(Default)]
struct Meeting {
    arrivals: CachePadded<AtomicUsize>,
}

impl Meeting {
    fn wait(&self) {
        // Two arrivals make a meeting.
        let meeting = self.arrivals.fetch_add(1, Ordering::AcqRel) / 2;
        spin_until(|| self.arrivals.load(Ordering::Acquire) / 2 > meeting);
    }
}

fn spin_until(done: impl Fn() -> bool) {
    let mut spins = 0_u32;
    while !done() {
        spins += 1;
        // The other thread may be waiting for this very processor.
        if cfg!(miri) || spins % 10_000 == 0 { thread::yield_now() } else { hint::spin_loop() }
    }
}

/// Has the calling thread run on the processor with this number among those it may run on, if that
/// can be had: two threads that share one see each other's stores in any case.
#[cfg(all(target_os = "linux", not(miri)))]
fn stay_on_processor(number: usize) {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a set of processors is plain bits; `size` is its size.
    unsafe {
        let mut allowed: libc::cpu_set_t = core::mem::zeroed();
        if libc::sched_getaffinity(0, size, &raw mut allowed) != 0 {
            return;
        }
        let bits = 0..8 * size;
        let Some(chosen) = bits.filter(|&cpu| libc::CPU_ISSET(cpu, &allowed)).nth(number) else {
            return;
        };
        let mut one: libc::cpu_set_t = core::mem::zeroed();
        libc::CPU_SET(chosen, &mut one);
        // If it is refused, the scheduler does what it likes.
        libc::sched_setaffinity(0, size, &raw const one);
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn stay_on_processor(_: usize) {}

/// What two threads have seen.
#[derive(Debug, Default)]
struct Seen {
    /// Slots at which both have been.
    rounds: u64,
    /// Slots at which neither has seen the other's store.
    forbidden: u64,
    /// Slots at which both have seen the other's store: there the reader was meanwhile.
    near: u64,
}

/// Runs batches for as long as `go_on` says so.
fn store_buffering(
    light: impl Fn() + Sync,
    heavy: impl Fn() + Sync,
    go_on: impl Fn(&Seen) -> bool + Sync,
) -> Seen {
    let (x, y, position) = (lines(), lines(), CachePadded::new(AtomicUsize::new(0)));
    // What the reader has loaded.
    let loaded: Box<[AtomicU32]> = (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
    let (meeting, stop) = (Meeting::default(), AtomicBool::new(false));
    let reader = || {
        stay_on_processor(0);
        loop {
            y.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
            position.store(0, Ordering::Relaxed);
            meeting.wait();
            if stop.load(Ordering::Relaxed) {
                break;
            }
            for slot in 0..SLOTS {
                x[slot].store(1, Ordering::Relaxed);
                light();
                let found = y[slot].load(Ordering::Relaxed);
                loaded[slot].store(found, Ordering::Relaxed);
                position.store(slot, Ordering::Relaxed);
            }
            meeting.wait();
        }
    };
    let reclaimer = || {
        stay_on_processor(1);
        let mut seen = Seen::default();
        // Marsaglia's xorshift.
        let mut random = 0x9E37_79B9_u32;
        // Where each window began, and what was loaded in it.
        let mut windows = Vec::new();
        loop {
            x.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
            stop.store(!go_on(&seen), Ordering::Relaxed);
            meeting.wait();
            if stop.load(Ordering::Relaxed) {
                return seen;
            }
            windows.clear();
            spin_until(|| position.load(Ordering::Relaxed) > 0);
            loop {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                // Small leads as often as large ones.
                let lead = (random >> 8) % (1 << (random % (FARTHEST + 1)));
                let begin = position.load(Ordering::Relaxed) + lead as usize;
                if begin + WINDOW > SLOTS {
                    break;
                }
                for slot in &y[begin..begin + WINDOW] {
                    slot.store(1, Ordering::Relaxed);
                }
                heavy();
                let found: [u32; WINDOW] =
                    core::array::from_fn(|slot| x[begin + slot].load(Ordering::Relaxed));
                windows.push((begin, found));
            }
            meeting.wait();
            for (begin, found) in &windows {
                for (slot, by_reclaimer) in found.iter().enumerate() {
                    let by_reader = loaded[begin + slot].load(Ordering::Relaxed);
                    seen.rounds += 1;
                    seen.forbidden += u64::from(by_reader + by_reclaimer == 0);
                    seen.near += u64::from(by_reader + by_reclaimer == 2);
                }
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(reader);
        scope.spawn(reclaimer).join().expect("the reclaimer is well")
    })
}

/// For so long; and on a busy machine until the two have met at all.
fn lasting(time: Duration) -> impl Fn(&Seen) -> bool + Sync {
    let begin = Instant::now();
    // Under Miri time is counted in instructions.
    move |seen| {
        let time = if seen.rounds == 0 { PATIENCE } else { time };
        begin.elapsed() < time && !(cfg!(miri) && seen.rounds > 500)
    }
}

/// Until it is seen, or patience is at its end.
fn until_seen() -> impl Fn(&Seen) -> bool + Sync {
    let begin = Instant::now();
    move |seen| seen.forbidden == 0 && begin.elapsed() < PATIENCE
}

fn assert_never(name: &str, seen: &Seen) {
    println!("{name}: {seen:?}");
    assert!(seen.rounds > 0, "the two threads have never met");
    assert_eq!(seen.forbidden, 0, "neither thread has seen the other's store");
}

#[test]
fn light_and_heavy_order_a_store_before_a_load() {
    if !heavy() {
        println!("skipped: heavy barriers are refused here");
        return;
    }
    let heavy = || assert!(heavy(), "a barrier that was to be had is refused");
    assert_never("light, heavy", &store_buffering(light, heavy, lasting(LONG)));
}

#[test]
fn two_full_fences_order_a_store_before_a_load() {
    let full = || fence(Ordering::SeqCst);
    assert_never("fence, fence", &store_buffering(full, full, lasting(LONG / 3)));
}

/// Only to see that the tests above can fail.
#[test]
fn without_the_heavy_half_it_is_seen() {
    if !can_be_seen() {
        return;
    }
    let seen = store_buffering(light, || (), until_seen());
    println!("light, nothing: {seen:?}");
    assert!(seen.forbidden > 0, "the test above is in vain");
}

/// As above, with something in the place of the heavy half that looks like it.
#[test]
fn with_compiler_fences_alone_it_is_seen() {
    if !can_be_seen() {
        return;
    }
    let compiler = || compiler_fence(Ordering::SeqCst);
    let seen = store_buffering(compiler, compiler, until_seen());
    println!("compiler fence, compiler fence: {seen:?}");
    assert!(seen.forbidden > 0, "the test above is in vain");
}

/// As above: the reader's full fence is not enough, if the reclaimer has none.
#[test]
fn with_the_readers_fence_alone_it_is_seen() {
    if !can_be_seen() {
        return;
    }
    let seen = store_buffering(|| fence(Ordering::SeqCst), || (), until_seen());
    println!("fence, nothing: {seen:?}");
    assert!(seen.forbidden > 0, "the test above is in vain");
}
