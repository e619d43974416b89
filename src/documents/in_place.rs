//! A save of the document that is there already, in another layout.

use std::path::Path;

use super::Runtime;
use crate::engine::Engine;
use crate::statistics::Operation;

/// The text at `path`, where `encode` makes `text` of its document: the same document in
/// another layout. Whatever another writer does meanwhile, a save of the answer saves the
/// same document. What cannot be read, or is no document, is not the same: the save tells
/// of that.
///
/// # Errors
///
/// What a signal handler raised, and what `encode` raises.
pub fn text_in_place<R: Runtime>(
    runtime: R,
    path: &Path,
    text: &[u8],
    encode: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>, R::Raised>,
) -> Result<Option<Vec<u8>>, R::Raised> {
    let engine = Engine::of(path);
    // What can be read only once is left to whoever loads it.
    if !engine.waits() && runtime.without_lock(|| engine.stamp(path)).is_err() {
        return Ok(None);
    }
    let read = runtime.run(Operation::Write, path, |signals| engine.read(path, signals))?;
    let Ok(found) = read else { return Ok(None) };
    if found.bytes == text {
        return Ok(None);
    }
    let same = encode(&found.bytes)?;
    // safeguard: same-text-keeps-layout
    Ok((same.as_deref() == Some(text)).then_some(found.bytes))
}
