//! Backups: told, restored, pruned.

use std::ffi::OsString;
use std::time::Instant;

use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use super::arguments::{FilePath, age};
use super::gil::without_gil;
use super::interpreter::Interpreter;
use super::saving::{Outcome, options, saved};
use crate::documents::backups::{self, Examined};
use crate::engine::Engine;
use crate::settings;
use crate::statistics::{LATENCIES, Operation};

/// A backup as it is told to Python.
#[derive(Serialize)]
struct Record {
    time: String,
    size: u64,
    compressed: bool,
    /// Why it is no document; nothing if it is one.
    fault: Option<String>,
}

/// The backups of the file at `path`, newest first.
#[pyfunction]
pub(super) fn list_backups(
    py: Python<'_>,
    path: FilePath,
) -> PyResult<Vec<(OsString, Bound<'_, PyAny>)>> {
    let FilePath(path) = path;
    let examined = backups::examine(Interpreter(py), &path)
        .map_err(|failure| Interpreter(py).exception(Operation::Read, failure))?;
    let records = examined.into_iter().map(|Examined { backup, size, fault }| {
        let time = backup.stamp.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
        let record = Record { time, size, compressed: backup.compressed, fault };
        Ok((backup.name, pythonize(py, &record)?))
    });
    records.collect()
}

/// Makes a backup the file's content: the one called `name`, or the newest
/// that is a document. Returns its name, and what became of the save.
#[pyfunction]
#[pyo3(signature = (path, name, *, timeout, versioned))]
pub(super) fn restore_backup(
    py: Python<'_>,
    path: FilePath,
    name: Option<FilePath>,
    timeout: Option<f64>,
    versioned: bool,
) -> PyResult<(OsString, Outcome)> {
    let started = Instant::now();
    let FilePath(path) = path;
    let name = name.map(|FilePath(name)| name);
    let options = options(&settings::current(), None, timeout)?;
    let interpreter = Interpreter(py);
    let session = interpreter.wait(Operation::Write, &path, |signals| {
        Engine::of(&path).open(&path, &options, signals)
    })?;
    let chosen = backups::choose(interpreter, &path, &session, name.as_deref());
    let (backup, bytes) = match chosen {
        Ok(chosen) => chosen,
        Err(failure) => {
            // Letting a lock go may wait for a fork, which waits for the interpreter.
            without_gil(py, || drop(session));
            return Err(interpreter.exception(Operation::Write, failure));
        }
    };
    let written = interpreter.wait(Operation::Write, &path, |signals| {
        session.restore(&backup, &bytes, &options, signals)
    })?;
    LATENCIES.write.observe(started);
    Ok((backup.name, saved(py, &path, &bytes, written, versioned)))
}

/// Removes old backups. Returns the names of those removed.
#[pyfunction]
#[pyo3(signature = (path, *, keep, max_age, timeout))]
pub(super) fn prune_backups(
    py: Python<'_>,
    path: FilePath,
    keep: Option<usize>,
    max_age: Option<f64>,
    timeout: Option<f64>,
) -> PyResult<Vec<OsString>> {
    let FilePath(path) = path;
    let mut options = options(&settings::current(), None, timeout)?;
    if let Some(keep) = keep {
        options.backups_kept = keep;
    }
    if let Some(seconds) = max_age {
        options.backups_max_age = age("max_age", seconds)?;
    }
    Interpreter(py).wait(Operation::Delete, &path, |signals| {
        Engine::of(&path).open(&path, &options, signals)?.prune(&options, signals)
    })
}
