//! Documents that refer to each other, and where they lie.

use std::path::Path;

use crate::engine::Engine;
use crate::engine::judge::Judge;
use crate::error::{Error, Result};

/// Refuses a judge whose documents do not lie in one store with the document at `path`: no lock
/// keeps writers of two stores apart.
///
/// # Errors
///
/// [`Error::ReferenceToOtherStore`].
pub fn require_one_store(path: &Path, judge: &dyn Judge) -> Result<()> {
    let engine = Engine::of(path);
    let mut others = judge.group().into_iter().chain(judge.companions().iter().map(Path::new));
    // safeguard: group-in-one-store
    match others.find(|other| !engine.shares_store(&Engine::of(other))) {
        None => Ok(()),
        Some(other) => Err(Error::ReferenceToOtherStore {
            path: path.to_path_buf(),
            other: other.to_path_buf(),
        }),
    }
}
