//! When a wait ends.

use std::time::{Duration, Instant};

/// When waiting ends: one deadline for all the locks that a call needs.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    timeout: Duration,
    /// `None` is a time later than the clock can show.
    end: Option<Instant>,
}

impl Deadline {
    /// The deadline that far from now.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self { timeout, end: Instant::now().checked_add(timeout) }
    }

    /// A deadline that is reached already: a lock is taken only if it is free.
    #[must_use]
    pub fn now() -> Self {
        Self::after(Duration::ZERO)
    }

    /// How long the caller is willing to wait in all.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long is left; nothing where the deadline is reached.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
    }
}
