//! `edit_json`: a file locked from its reading to its saving.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pyo3::prelude::*;

use super::arguments::FilePath;
use super::exit::detached;
use super::loading::document_in;
use super::owner::Block;
use super::raise::Operation;
use super::saving::{Outcome, closed, encoded, options, saved, waiting};
use crate::codec::EncodeOptions;
use crate::error::{Error, Result};
use crate::settings;
use crate::statistics::LATENCIES;
use crate::storage::lock::Owner;
use crate::storage::store::{Locked, WriteOptions};

/// A file that is being edited; holds its lock until it is closed.
#[pyclass(frozen, module = "oasis_data._native")]
pub(super) struct Edit {
    path: PathBuf,
    options: WriteOptions,
    locked: Mutex<Option<Locked>>,
}

#[pymethods]
impl Edit {
    #[new]
    #[pyo3(signature = (path, timeout, /))]
    fn new(py: Python<'_>, path: FilePath, timeout: Option<f64>) -> PyResult<Self> {
        let FilePath(path) = path;
        let options = options(&settings::current(), None, timeout)?;
        let owner = Arc::new(Block::entered(py));
        let locked = waiting(py, &path, Operation::Write, |signals| {
            let locked = Locked::open(&path, &options, signals)?;
            locked.hand_over(Arc::clone(&owner) as Arc<dyn Owner>)?;
            Ok(locked)
        })?;
        Ok(Self { path, options, locked: Mutex::new(Some(locked)) })
    }

    /// Whether there is a document, and the document as it is now.
    fn load<'py>(&self, py: Python<'py>) -> PyResult<(bool, Option<Bound<'py, PyAny>>)> {
        let found = waiting(py, &self.path, Operation::Read, |_| self.with(Locked::read))?;
        let Some(snapshot) = found else { return Ok((false, None)) };
        Ok((true, Some(document_in(py, &self.path, &snapshot)?)))
    }

    /// Saves the edited document and lets the lock go.
    #[pyo3(signature = (data, /, *, indent, ensure_ascii, sort_keys, versioned))]
    fn save<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        indent: Option<Bound<'py, PyAny>>,
        ensure_ascii: bool,
        sort_keys: bool,
        versioned: bool,
    ) -> PyResult<Outcome> {
        let started = Instant::now();
        let format =
            EncodeOptions { indent, ensure_ascii, sort_keys, allow_nan: false, default: None };
        let text = encoded(&self.path, data, &format)?;
        let written = waiting(py, &self.path, Operation::Write, |_| {
            self.with(|locked| locked.save(&text, &self.options))
        })?;
        LATENCIES.write.observe(started);
        let mut outcome = saved(py, &self.path, &text, written, versioned);
        // Not under the mutex: a second call must not wait for a compression.
        if let Some(locked) = detached(py, || self.take()) {
            outcome.0.extend(closed(py, locked, &self.options));
        }
        Ok(outcome)
    }

    /// Lets the lock go.
    fn close(&self, py: Python<'_>) {
        detached(py, || drop(self.take()));
    }
}

impl Edit {
    fn with<T>(&self, act: impl FnOnce(&Locked) -> Result<T>) -> Result<T> {
        match &*self.locked.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(locked) => act(locked),
            None => Err(Error::LockGone { path: self.path.clone() }),
        }
    }

    fn take(&self) -> Option<Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Edit {
    fn drop(&mut self) {
        // Letting a lock go may wait for a fork in another thread, which waits
        // for the interpreter.
        let mut locked = self.locked.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if locked.is_none() {
            return;
        }
        // It is held already. An interpreter that is shutting down cannot be attached
        // to, nor forked.
        let _ = Python::try_attach(|py| {
            let locked = locked.take();
            detached(py, || drop(locked));
        });
    }
}
