//! How a wait learns that it is to end.

use std::cell::Cell;

/// Told while a wait goes on: whether a signal handler wants the wait to end.
pub trait Signals {
    /// True ends the wait with [`crate::error::Error::Interrupted`].
    fn pending(&self) -> bool;
}

/// Signals for several waits, of which each has to end once a handler wants one to end.
pub struct Lasting<'a> {
    signals: &'a dyn Signals,
    pending: Cell<bool>,
}

impl<'a> Lasting<'a> {
    /// The same signals.
    #[must_use]
    pub fn new(signals: &'a dyn Signals) -> Self {
        Self { signals, pending: Cell::new(false) }
    }
}

impl Signals for Lasting<'_> {
    fn pending(&self) -> bool {
        if !self.pending.get() {
            self.pending.set(self.signals.pending());
        }
        self.pending.get()
    }
}

/// For what does not wait: there is no signal.
#[derive(Clone, Copy, Debug)]
pub struct NoSignals;

impl Signals for NoSignals {
    fn pending(&self) -> bool {
        false
    }
}
