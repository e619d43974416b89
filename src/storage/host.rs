//! What the storage core asks of the program around it.

use std::fmt::Debug;

/// The program around the storage core.
pub trait Host: Debug + Sync {
    /// Whether some content is a document. The core itself knows only bytes.
    fn parses(&self, bytes: &[u8]) -> bool;
}
