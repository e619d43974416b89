//! Backups: told, restored, pruned.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use super::arguments::{FilePath, age};
use super::exceptions::{is_of_rules, refusal};
use super::gil::without_gil;
use super::interpreter::Interpreter;
use super::judging::judge_of_restore;
use super::saving::{Outcome, options, saved};
use crate::documents::backups::{self, Examined};
use crate::documents::{Failure, Runtime};
use crate::engine::{Engine, Judge, Session, WriteOptions, group};
use crate::error::Error;
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
    let trial = Trial { interpreter, path: &path, session: &session, options: &options };
    #[allow(clippy::result_large_err, reason = "the error of `choose`, once for a restore")]
    let chosen = backups::choose(interpreter, &path, &session, name.as_deref(), |text| {
        trial.judge(text, name.is_none())
    });
    let (backup, bytes, judge) = match chosen {
        Ok(chosen) => chosen,
        Err(failure) => {
            // Letting a lock go may wait for a fork, which waits for the interpreter.
            without_gil(py, || drop(session));
            return Err(interpreter.exception(Operation::Write, failure));
        }
    };
    let options = WriteOptions { judge, ..options };
    let written = interpreter.wait(Operation::Write, &path, |signals| {
        session.restore(&backup, &bytes, &options, signals)
    })?;
    LATENCIES.write.observe(started);
    Ok((backup.name, saved(py, &path, &bytes, written, versioned)))
}

/// What may become a restore, under the lock of its document.
struct Trial<'a, 'py> {
    interpreter: Interpreter<'py>,
    path: &'a Path,
    session: &'a Session,
    options: &'a WriteOptions,
}

type Tried<'py, T> = std::result::Result<T, Failure<Interpreter<'py>>>;

#[allow(clippy::result_large_err, reason = "the error of `choose`, once for a restore")]
impl<'py> Trial<'_, 'py> {
    /// The judge of a restore of `text`. Where the text does not obey the rules, says why if
    /// another may be restored in its place.
    fn judge(
        &self,
        text: &[u8],
        another: bool,
    ) -> Tried<'py, std::result::Result<Option<Arc<dyn Judge>>, String>> {
        let py = self.interpreter.0;
        match self.obeys(text)? {
            Ok(judge) => Ok(Ok(judge)),
            // safeguard: restored-obeys
            Err(raised) if another && is_of_rules(py, &raised) => {
                Ok(Err(raised.value(py).to_string()))
            }
            Err(raised) => Err(Failure::Raised(refusal(py, Operation::Write, raised))),
        }
    }

    /// The judge of a restore of `text`, or what the rules raise.
    fn obeys(&self, text: &[u8]) -> Tried<'py, PyResult<Option<Arc<dyn Judge>>>> {
        let Self { interpreter, path, session, options } = *self;
        let judge = match judge_of_restore(interpreter.0, path, text) {
            Ok(Some(judge)) => judge,
            outcome => return Ok(outcome),
        };
        group::require_one_store(path, &*judge)?;
        let trial = WriteOptions { judge: Some(Arc::clone(&judge)), ..options.clone() };
        let judged =
            interpreter.run(Operation::Write, path, |signals| session.judge(text, &trial, signals));
        match judged.map_err(Failure::Raised)? {
            Ok(()) => Ok(Ok(Some(judge))),
            Err(Error::Refused { reason, path }) => match reason.downcast::<PyErr>() {
                Ok(raised) => Ok(Err(*raised)),
                Err(reason) => Err(Error::Refused { reason, path }.into()),
            },
            Err(error) => Err(error.into()),
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
    Interpreter(py).wait(Operation::Delete, &path, |signals| {
        Engine::of(&path).open(&path, &options, signals)?.prune(&options, signals)
    })
}
