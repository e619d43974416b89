//! What the storage core asks of the program around it.

use std::fmt::Debug;

use super::identity::Identity;

/// The program around the storage core.
pub trait Host: Debug + Sync {
    /// Whether some content is a document. The core itself knows only bytes.
    fn parses(&self, bytes: &[u8]) -> bool;

    /// Whether a reader was told that the file with this identity is no
    /// document, and may have gone on with something else in its place.
    fn found_corrupt(&self, identity: &Identity) -> bool;
}
