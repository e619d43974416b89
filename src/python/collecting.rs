//! The removal of lock files that nobody needs.

use pyo3::prelude::*;

use super::arguments::FilePath;
use super::exceptions::Operation;
use super::saving::waiting;
use crate::files::lock::file;

/// Removes the lock files in `folder` of documents that are gone, unless somebody holds
/// them. Returns how many, and what went wrong with others.
#[pyfunction]
#[pyo3(signature = (folder, /))]
pub(super) fn collect_locks(py: Python<'_>, folder: FilePath) -> PyResult<(usize, Vec<String>)> {
    let FilePath(folder) = folder;
    let collected =
        waiting(py, &folder, Operation::Delete, |signals| file::collect(&folder, signals))?;
    Ok((collected.removed, collected.failures.iter().map(ToString::to_string).collect()))
}
