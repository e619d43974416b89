//! What `files/` asks of the program around it.

use std::fmt::Debug;

use crate::files::identity::FileKey;

/// The program around `files/`.
pub trait Host: Debug + Sync {
    /// Whether some content is a document. `files/` knows bytes only.
    fn parses(&self, bytes: &[u8]) -> bool;

    /// Whether a reader was told that this file is no document, and may have gone on with a
    /// default instead. Also of a file that has been changed since.
    fn found_corrupt(&self, file: FileKey) -> bool;
}
