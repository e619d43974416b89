//! What the storage core asks of the program around it.

use std::fmt::Debug;

use crate::files::identity::FileKey;

/// The program around the storage core.
pub trait Host: Debug + Sync {
    /// Whether some content is a document. The core itself knows only bytes.
    fn parses(&self, bytes: &[u8]) -> bool;

    /// Whether a reader was told that this file is no document, and may have gone on with
    /// something else in its place. Of a file that has been changed since, too.
    fn found_corrupt(&self, file: FileKey) -> bool;
}
