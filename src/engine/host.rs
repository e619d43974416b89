//! What an engine asks of the program around it.

use std::fmt::Debug;

use crate::engine::stamp::Key;

/// The program around the engines.
pub trait Host: Debug + Sync {
    /// Whether some content is a document. Engines know bytes only.
    fn parses(&self, bytes: &[u8]) -> bool;

    /// Whether a reader was told that this document is corrupt, and may have gone on with a
    /// default instead. Also of a document that has been changed since.
    fn found_corrupt(&self, document: Key) -> bool;
}
