//! Whether a small file is still what was read of it, for rules.

use std::path::PathBuf;

use pyo3::prelude::*;

use super::arguments::FilePath;
use super::gil::without_gil;
use crate::engine::Identity;

/// What identified the content of a file when it was looked at, without reading it.
#[pyclass(frozen, module = "oasis_data._native")]
pub(super) struct FileStamp {
    path: PathBuf,
    /// None where there was no file that can be looked at.
    identity: Option<Identity>,
}

#[pymethods]
impl FileStamp {
    #[new]
    #[pyo3(signature = (path, /))]
    fn new(py: Python<'_>, path: FilePath) -> Self {
        let FilePath(path) = path;
        let identity = without_gil(py, || Identity::of_file(&path));
        Self { path, identity }
    }

    /// Whether the file bears the same stamp now.
    fn is_current(&self, py: Python<'_>) -> bool {
        without_gil(py, || Identity::of_file(&self.path)) == self.identity
    }
}
