//! How a wait learns that it is to end.

/// Told while a wait goes on: whether a signal handler wants the wait to end.
pub trait Signals {
    /// True ends the wait with [`crate::error::Error::Interrupted`].
    fn pending(&self) -> bool;
}

/// For what does not wait: there is no signal.
#[derive(Clone, Copy, Debug)]
pub struct NoSignals;

impl Signals for NoSignals {
    fn pending(&self) -> bool {
        false
    }
}
