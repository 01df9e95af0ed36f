//! Why a push did not succeed.

use core::fmt;
use std::error::Error;

/// A push did not succeed. The value comes back.
///
/// ```
/// use sexton::{PushError, Queue};
///
/// let queue = Queue::<_>::new();
/// queue.close();
/// assert_eq!(queue.try_push("late"), Err(PushError::Closed("late")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// The queue is [closed](crate::Queue::close).
    Closed(T),
    /// There was no memory for a segment.
    NoMemory(T),
}

impl<T> PushError<T> {
    /// The value that was not pushed.
    ///
    /// ```
    /// assert_eq!(sexton::PushError::Closed(1).into_inner(), 1);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Closed(value) | Self::NoMemory(value) => value,
        }
    }

    /// Whether it is because the queue is closed.
    ///
    /// ```
    /// assert!(sexton::PushError::Closed(1).is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "Closed(..)",
            Self::NoMemory(_) => "NoMemory(..)",
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "the queue is closed",
            Self::NoMemory(_) => "no memory for a segment of the queue",
        })
    }
}

impl<T> Error for PushError<T> {}
