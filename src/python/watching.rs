//! The states of `watch`.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;

use super::arguments::{self, FilePath};
use super::interpreter::Interpreter;
use crate::documents::watch::{self, Seen};
use crate::settings;
use crate::statistics::Operation;

/// The versions of several files at one moment.
#[pyclass(frozen, module = "oasis_data._native")]
pub(super) struct State {
    paths: Arc<[PathBuf]>,
    seen: Vec<Seen>,
}

#[pymethods]
impl State {
    /// The state of now.
    #[new]
    fn new(py: Python<'_>, paths: Vec<FilePath>) -> PyResult<Self> {
        let paths = paths.into_iter().map(|FilePath(path)| path).collect();
        Self { paths, seen: Vec::new() }.again(py)
    }

    /// The version of each file, in the order of the paths.
    #[getter]
    fn versions(&self) -> Vec<&str> {
        self.seen.iter().map(|seen| seen.version.as_str()).collect()
    }

    /// Whether [`Self::again`] may be another state. Reads no file.
    fn may_differ(&self, py: Python<'_>) -> bool {
        watch::may_differ(Interpreter(py), &self.paths, &self.seen)
    }

    /// Waits until [`Self::again`] may be another state, or the timeout is over.
    #[pyo3(signature = (interval, timeout, /))]
    fn wait(&self, py: Python<'_>, interval: f64, timeout: f64) -> PyResult<()> {
        let interval = arguments::timeout("interval", interval)?;
        let timeout = arguments::timeout("timeout", timeout)?;
        watch::wait(Interpreter(py), &self.paths, &self.seen, interval, timeout)
    }

    /// The state of now. Reads only files that may have changed.
    fn again(&self, py: Python<'_>) -> PyResult<Self> {
        let interpreter = Interpreter(py);
        let timeout = arguments::timeout("lock_timeout", settings::current().lock_timeout)?;
        let seen = watch::look(interpreter, &self.paths, &self.seen, timeout)
            .map_err(|failure| interpreter.exception(Operation::Read, failure))?;
        Ok(Self { paths: Arc::clone(&self.paths), seen })
    }
}
