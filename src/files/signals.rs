//! How a wait learns that it is to end.

/// Told while a wait goes on: whether a signal handler wants the wait to end.
pub trait Signals {
    /// True ends the wait with [`Error::Interrupted`].
    fn pending(&self) -> bool;
}
