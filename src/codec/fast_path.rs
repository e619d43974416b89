//! Where the encoder and the parser stop and leave a document to the standard
//! library's `json`.

use super::buffer::OutOfMemory;

/// The greatest depth of containers that the codec handles itself. Below it lies
/// whatever limit of recursion the interpreter has, which only `json` knows.
pub(super) const MAX_DEPTH: usize = 200;

/// Why the encoder stopped.
#[derive(Debug)]
pub(super) enum EncodeStop {
    /// The document has something that is left to `json`.
    Fallback,
    /// There is no more memory: `json` would need even more.
    OutOfMemory,
}

impl From<OutOfMemory> for EncodeStop {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}
