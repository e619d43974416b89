//! Backups: told, restored, pruned.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use super::arguments::{FilePath, age};
use super::exceptions::{Operation, storage_error};
use super::gil::{run_python, without_gil};
use super::saving::{Outcome, closed, options, saved, waiting};
use crate::codec::{self, DecodeError};
use crate::error::Error;
use crate::files::backup::{Backup, Opened};
use crate::files::session::{self, Session};
use crate::settings;
use crate::statistics::LATENCIES;

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
    let (target, backups) = waiting(py, &path, Operation::Read, |_| session::backups(&path))?;
    let mut records = Vec::with_capacity(backups.len());
    // One after the other, so that only one at a time is in memory.
    for backup in backups {
        let (size, content) = match without_gil(py, || Opened::open(&target, &backup)) {
            Ok(Some(opened)) => (opened.size, without_gil(py, || opened.read())),
            // Pruned meanwhile.
            Ok(None) => continue,
            Err(error) => (0, Err(error)),
        };
        let fault = match content {
            Ok(bytes) => fault(py, &bytes)?,
            Err(error) => Some(error.to_string()),
        };
        let record = Record {
            time: backup.stamp.format("%Y-%m-%dT%H:%M:%S%.6f").to_string(),
            size,
            compressed: backup.compressed,
            fault,
        };
        records.push((backup.name, pythonize(py, &record)?));
    }
    Ok(records)
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
    let locked =
        waiting(py, &path, Operation::Write, |signals| Session::open(&path, &options, signals))?;
    let outcome = (|| {
        let backups = waiting(py, &path, Operation::Write, |_| locked.backups())?;
        let (backup, bytes) = choose(py, &path, &locked, backups, name.as_deref())?;
        let written =
            waiting(py, &path, Operation::Write, |_| locked.restore(&backup, &bytes, &options))?;
        LATENCIES.write.observe(started);
        Ok((backup.name, saved(py, &path, &bytes, written, versioned)))
    })();
    match outcome {
        Ok((name, mut saved)) => {
            saved.0.extend(closed(py, locked, &options));
            Ok((name, saved))
        }
        Err(error) => {
            // Letting a lock go may wait for a fork, which waits for the interpreter.
            without_gil(py, || drop(locked));
            Err(error)
        }
    }
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
    waiting(py, &path, Operation::Delete, |signals| {
        Session::open(&path, &options, signals)?.prune(&options)
    })
}

/// The named backup, or the newest that is a document.
fn choose(
    py: Python<'_>,
    path: &Path,
    locked: &Session,
    backups: Vec<Backup>,
    name: Option<&Path>,
) -> PyResult<(Backup, Vec<u8>)> {
    let mut faults = Vec::new();
    for backup in backups {
        if name.is_some_and(|name| !backup.is_called(name)) {
            continue;
        }
        let content = match without_gil(py, || locked.open_backup(&backup)) {
            Ok(Some(opened)) => without_gil(py, || opened.read()),
            // Pruned meanwhile.
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        let fault = match content {
            Ok(bytes) => match fault(py, &bytes)? {
                None => return Ok((backup, bytes)),
                Some(fault) => fault,
            },
            // One that cannot be read just now may be whole: an older one in
            // its place would quietly lose what it holds.
            Err(error) if !error.is_of_content() => {
                return Err(storage_error(py, Operation::Write, &error));
            }
            // No whole gzip file.
            Err(error) => error.to_string(),
        };
        faults.push(format!("{}: {fault}", backup.name.display()));
    }
    if let (Some(name), true) = (name, faults.is_empty()) {
        faults.push(format!("{}: there is no such backup (see list_backups)", name.display()));
    }
    let error = Error::NoBackup { path: path.to_path_buf(), tried: faults };
    Err(storage_error(py, Operation::Write, &error))
}

/// Why a backup's content is no document, or nothing if it is one.
fn fault(py: Python<'_>, bytes: &[u8]) -> PyResult<Option<String>> {
    match run_python(py, || codec::decode(py, bytes)) {
        Ok(_) => Ok(None),
        Err(DecodeError::Corrupt { reason, position, .. }) => {
            Ok(Some(format!("{reason}: line {} column {}", position.lineno, position.colno)))
        }
        Err(DecodeError::Other(error)) => Err(error),
    }
}
