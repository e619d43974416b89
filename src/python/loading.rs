//! Loads.

use std::path::PathBuf;

use pyo3::prelude::*;

use super::arguments::{self, FilePath};
use super::content::DOCUMENTS;
use super::interpreter::Interpreter;
use crate::documents::{load as coherent, load_many as consistent};
use crate::engine::Engine;
use crate::settings;
use crate::statistics::Operation;

/// The document in the file at `path`: a copy of the caller's own, or the cached object
/// itself.
#[pyfunction]
pub(super) fn load(py: Python<'_>, path: FilePath, copy: bool) -> PyResult<Bound<'_, PyAny>> {
    load_measured(py, path, copy).map(|(document, _)| document)
}

/// The document as [`load`] gives it, and the bytes of its text.
#[pyfunction]
#[inline]
pub(super) fn load_measured(
    py: Python<'_>,
    path: FilePath,
    copy: bool,
) -> PyResult<(Bound<'_, PyAny>, u64)> {
    let (FilePath(path), interpreter) = (path, Interpreter(py));
    coherent::load(interpreter, &path, copy)
        .map(|loaded| (loaded.document, loaded.stamp.size()))
        .map_err(|failure| interpreter.exception(Operation::Read, failure))
}

/// The document at `path`, the version of the bytes that it was decoded from, and how many
/// bytes these are. Never from the cache.
#[pyfunction]
pub(super) fn load_with_version(
    py: Python<'_>,
    path: FilePath,
) -> PyResult<(Bound<'_, PyAny>, String, usize)> {
    let (FilePath(path), interpreter) = (path, Interpreter(py));
    coherent::load_versioned(interpreter, &path)
        .map(|loaded| (loaded.document, loaded.version, loaded.size))
        .map_err(|failure| interpreter.exception(Operation::Read, failure))
}

/// The documents of all files, as they were at one moment as far as batches go. For a file
/// that is missing or corrupt, the exception that says so.
#[pyfunction]
#[pyo3(signature = (paths, *, copy, timeout))]
pub(super) fn load_many(
    py: Python<'_>,
    paths: Vec<FilePath>,
    copy: bool,
    timeout: Option<f64>,
) -> PyResult<Vec<Bound<'_, PyAny>>> {
    let interpreter = Interpreter(py);
    let paths: Vec<PathBuf> = paths.into_iter().map(|FilePath(path)| path).collect();
    let seconds = timeout.unwrap_or(settings::current().lock_timeout);
    let timeout = arguments::timeout("timeout", seconds)?;
    let exception = |failure| interpreter.exception(Operation::Read, failure);
    let answers = consistent::load_many(interpreter, &paths, copy, timeout).map_err(exception)?;
    let classes = py.import("oasis_data.error_handling")?;
    let classes = (classes.getattr("DataFileNotFoundError")?, classes.getattr("CorruptFileError")?);
    let told = |failure| {
        let error = exception(failure);
        // What a signal handler raises while the exception is made is no answer.
        // safeguard: signal-is-no-answer
        if error.matches(py, &classes)? {
            return Ok(error.into_value(py).into_bound(py).into_any());
        }
        Err(error)
    };
    answers.into_iter().map(|answer| answer.or_else(told)).collect()
}

/// Whether a load of `path` would be answered from the cache.
#[pyfunction]
pub(super) fn is_cached(py: Python<'_>, path: FilePath) -> bool {
    let FilePath(path) = path;
    coherent::is_kept(Interpreter(py), &path)
}

/// Drops the cached document of `path`.
#[pyfunction]
pub(super) fn invalidate(py: Python<'_>, path: FilePath) {
    let FilePath(path) = path;
    coherent::invalidate(Interpreter(py), &path);
}

/// Drops every cached document.
#[pyfunction]
pub(super) fn clear() {
    DOCUMENTS.clear();
}

/// Whether the document at `path` lies in a store.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(super) fn is_in_store(path: FilePath) -> bool {
    let FilePath(path) = path;
    Engine::of(&path).waits()
}

/// The size of the document at `path`, which lies in a store, and when it was saved: seconds
/// since 1970. Waits for the server as long as a load does, or for `timeout` seconds.
#[pyfunction]
#[pyo3(signature = (path, /, *, timeout=None))]
pub(super) fn stored_status(
    py: Python<'_>,
    path: FilePath,
    timeout: Option<f64>,
) -> PyResult<(u64, f64)> {
    let FilePath(path) = path;
    let timeout = timeout.map(|seconds| arguments::timeout("timeout", seconds)).transpose()?;
    let status = Interpreter(py).wait(Operation::Read, &path, |signals| {
        Engine::of(&path).stored_status(&path, timeout, signals)
    })?;
    Ok((status.size, seconds(status.saved_at)))
}

pub(super) fn seconds(micros: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "microseconds of this century are exact")]
    let micros = micros as f64;
    micros / 1e6
}
