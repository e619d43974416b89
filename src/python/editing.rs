//! `edit_json`: a file locked from its reading to its saving.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pyo3::prelude::*;

use super::arguments::FilePath;
use super::exceptions::engine_error;
use super::gil::without_gil;
use super::interpreter::Interpreter;
use super::judging::Asked;
use super::owner::Block;
use super::saving::{Outcome, options, saved, text_in_place};
use crate::codec::EncodeOptions;
use crate::documents::load::document_in;
use crate::engine::{Engine, Owner, Session, WriteOptions, require_version};
use crate::error::{Error, Result};
use crate::settings;
use crate::statistics::{LATENCIES, Operation};

/// A file that is being edited; holds its lock until it is closed.
#[pyclass(frozen, module = "oasis_data._native")]
pub(super) struct Edit {
    path: PathBuf,
    options: WriteOptions,
    locked: Mutex<Option<Session>>,
}

#[pymethods]
impl Edit {
    #[new]
    #[pyo3(signature = (path, timeout, /, *, backup=None, if_version=None, make_parents=false, skip_unchanged=true))]
    fn new(
        py: Python<'_>,
        path: FilePath,
        timeout: Option<f64>,
        backup: Option<bool>,
        if_version: Option<String>,
        make_parents: bool,
        skip_unchanged: bool,
    ) -> PyResult<Self> {
        let FilePath(path) = path;
        let options = WriteOptions {
            if_version,
            make_parents,
            skip_unchanged,
            ..options(&settings::current(), backup, timeout)?
        };
        let owner = Arc::new(Block::entered(py));
        let locked = Interpreter(py).wait(Operation::Write, &path, |signals| {
            let locked = Engine::of(&path).open(&path, &options, signals)?;
            locked.hand_over(Arc::clone(&owner) as Arc<dyn Owner>).map(|()| locked)
        })?;
        Ok(Self { path, options, locked: Mutex::new(Some(locked)) })
    }

    /// Whether there is a document, and the document as it is now.
    fn load<'py>(&self, py: Python<'py>) -> PyResult<(bool, Option<Bound<'py, PyAny>>)> {
        let found =
            Interpreter(py).wait(Operation::Read, &self.path, |_| self.with(Session::read))?;
        // Before the block, which would otherwise do its work for nothing.
        // safeguard: edit-of-this-version-only
        if let Some(expected) = &self.options.if_version {
            let content = found.as_ref().map(|found| &*found.bytes);
            without_gil(py, || require_version(&self.path, content, expected))
                .map_err(|conflict| engine_error(py, Operation::Write, &conflict))?;
        }
        let Some(snapshot) = found else { return Ok((false, None)) };
        let document = document_in(Interpreter(py), &self.path, &snapshot)
            .map_err(|failure| Interpreter(py).exception(Operation::Read, failure))?;
        Ok((true, Some(document)))
    }

    /// Saves the edited document and lets the lock go.
    #[pyo3(signature = (data, encode_options, /, *, keep_layout=false, versioned))]
    fn save(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        encode_options: &EncodeOptions,
        keep_layout: bool,
        versioned: bool,
    ) -> PyResult<Outcome> {
        let started = Instant::now();
        let mut asked = Asked::about(py, Operation::Write, &[&self.path])?;
        let mut text = asked.encoded(&self.path, data, encode_options)?;
        if keep_layout && let Some(same) = text_in_place(py, &self.path, &text, encode_options)? {
            text = same;
        }
        let judge = asked.judge(&[Some(&text)], self.options.timeout)?;
        let options = WriteOptions { judge, ..self.options.clone() };
        let written = Interpreter(py).wait(Operation::Write, &self.path, |signals| {
            // Out of the mutex: a second call must not wait for the disk.
            let locked = self.take().ok_or_else(|| self.closed())?;
            // safeguard: edit-lock-still-current
            locked.require_current()?;
            locked.save(&text, &options, signals)
        })?;
        LATENCIES.write.observe(started);
        Ok(saved(py, &self.path, &text, written, versioned))
    }

    /// Lets the lock go.
    fn close(&self, py: Python<'_>) {
        without_gil(py, || drop(self.take()));
    }
}

impl Edit {
    fn with<T>(&self, act: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        match &*self.locked.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(locked) => act(locked),
            None => Err(self.closed()),
        }
    }

    fn closed(&self) -> Error {
        Error::LockGone { path: self.path.clone() }
    }

    fn take(&self) -> Option<Session> {
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
        // It is held already. An interpreter that is shutting down cannot be
        // attached to, nor forked.
        let _ = Python::try_attach(|py| {
            let locked = locked.take();
            without_gil(py, || drop(locked));
        });
    }
}
