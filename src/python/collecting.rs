//! The removal of lock files that nobody needs.

use pyo3::prelude::*;

use super::arguments::FilePath;
use super::interpreter::Interpreter;
use crate::engine::Engine;
use crate::statistics::Operation;

/// Removes the lock files in `folder` of documents that are gone, unless somebody holds
/// them. Returns how many, and what went wrong with others.
#[pyfunction]
#[pyo3(signature = (folder, /))]
pub(super) fn collect_locks(py: Python<'_>, folder: FilePath) -> PyResult<(usize, Vec<String>)> {
    let FilePath(folder) = folder;
    let collected = Interpreter(py).wait(Operation::Delete, &folder, |signals| {
        Engine::of(&folder).collect_locks(&folder, signals)
    })?;
    Ok((collected.removed, collected.failures.iter().map(ToString::to_string).collect()))
}
