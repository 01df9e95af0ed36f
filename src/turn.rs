//! Whose turn it is, where many want to change the same word.
//!
//! Who has lost steps back, longer each time, and tries again with what it has found *before*: so it
//! gets on only where nobody else has got on meanwhile, and the winner runs in bursts, in its own cache.
//! (Who tries again at once, or with what it finds afterwards, mostly wins, as it has just fetched the
//! line; and then the line goes back and forth at each operation, which takes several times as long.)
//! The first of these steps is long enough for a burst already: within a pause or two the winner, who
//! has to fetch the line again, may have done nothing. But not for ever: after so many attempts it tries
//! at once.
//!
//! A failed attempt is one sign that there are others. Where a structure sees another one, as
//! [the queue](crate::Queue) does by a name, one steps back before the first attempt. That one may be
//! long gone, so this step is as short as can be, and only if the other one has got on meanwhile, a
//! longer one follows.
//!
//! Maps look anew before each attempt anyway, and [rest](Turn::rest) before that.
//!
//! A step is bounded. So is what an operation of a stack, of a queue or of a cell steps back in all, for
//! however many reasons: there is one turn in it. A map rests as often as another thread has changed what it
//! was about to change, and an ordered map has a turn in each level of its index.
//!
//! Nothing depends on it. Each attempt that fails does so because another thread's has succeeded.

use crate::sync::{Backoff, MODEL};

/// How often who has lost steps back. A backoff's steps are 1, 2, 4, .. 64 pauses of the processor, and
/// [`BURST`] of them, together 31 to 62, are the first step of who has lost. All together that is less than
/// 2600: where a pause takes 40 ns, 2.5 microseconds a step and 0.1 milliseconds in all. Under Miri, where
/// they would be seconds, a few times will do.
const TRIES: u32 = if MODEL {
    0
} else if cfg!(miri) {
    4
} else {
    40
};

/// How many steps of a backoff the first one of who has lost is.
const BURST: u32 = if cfg!(miri) { 1 } else { 5 };

/// An operation's turn.
pub(crate) struct Turn {
    stepped_back: u32,
    loss: Loss,
    backoff: Backoff,
}

/// Whether another thread has got on instead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    None,
    /// And has been given no time for a burst yet.
    New,
    Old,
}

impl Turn {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { stepped_back: 0, loss: Loss::None, backoff: Backoff::new() }
    }

    /// Whether it has stepped back often enough.
    #[inline]
    pub(crate) fn is_overdue(&self) -> bool {
        // (Not `>=`: in a model there are none.)
        self.stepped_back == TRIES
    }

    /// Another thread has got on instead: the next step back leaves it time for a burst.
    pub(crate) fn lose(&mut self) {
        if self.loss == Loss::None {
            self.loss = Loss::New;
        }
    }

    /// Steps back once. `is_current` says whether what was found before still stands there; if not,
    /// others have got on, and an attempt with it would fail: so the line is left to them.
    pub(crate) fn step_back(&mut self, is_current: impl FnOnce() -> bool) -> bool {
        self.stepped_back = self.stepped_back.saturating_add(1);
        if self.loss == Loss::New {
            self.loss = Loss::Old;
            // (After some steps the next is as long anyway.)
            let steps = if self.stepped_back <= 2 { BURST } else { 1 };
            (1..steps).for_each(|_| self.backoff.spin());
        }
        self.backoff.spin();
        let current = is_current();
        if !current {
            self.lose();
        }
        current
    }

    /// Steps back once, where the next attempt begins with a new look. There is no end to attempts: whose turn
    /// rests does not ask whether it [is overdue](Self::is_overdue).
    #[cold]
    pub(crate) fn rest(&mut self) {
        self.lose();
        self.step_back(|| true);
    }

    /// As [`wait`](Self::wait), where it has met others already.
    #[inline]
    pub(crate) fn wait_again<X: PartialEq>(&mut self, look: impl Fn() -> X) {
        if self.stepped_back > 0 {
            self.wait(look);
        }
    }

    /// Steps back until others have not got on meanwhile, or for long enough. `look` says what stands
    /// there.
    #[cold]
    pub(crate) fn wait<X: PartialEq>(&mut self, look: impl Fn() -> X) {
        self.lose();
        while !self.is_overdue() {
            let before = look();
            if self.step_back(|| look() == before) {
                return;
            }
        }
    }
}
