//! Stores: whether a document lies in one, their tables, and what moves documents there and back.

use std::path::Path;

use chrono::{DateTime, NaiveDateTime};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arguments::FilePath;
use super::interpreter::Interpreter;
use crate::documents::Runtime;
#[cfg(feature = "postgres")]
use crate::engine::{self, History, StoreError};
use crate::engine::{Engine, Signals};
use crate::statistics::Operation;

/// Whether the document at `path` lies in a store.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(super) fn is_in_store(path: FilePath) -> bool {
    let FilePath(path) = path;
    Engine::of(&path).waits()
}

/// When the document at `path`, which lies in a store, was saved: seconds since 1970.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(super) fn modified(py: Python<'_>, path: FilePath) -> PyResult<Option<f64>> {
    let FilePath(path) = path;
    let micros = Interpreter(py)
        .wait(Operation::Read, &path, |signals| Engine::of(&path).modified(&path, signals))?;
    Ok(micros.map(seconds))
}

fn seconds(micros: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "microseconds of this century are exact")]
    let micros = micros as f64;
    micros / 1e6
}

/// Makes the tables of the store at `url`, unless they are there. Whether they were made.
#[cfg(feature = "postgres")]
#[pyfunction]
#[pyo3(signature = (url, /))]
pub(super) fn init_store(py: Python<'_>, url: &str) -> PyResult<bool> {
    run(py, Operation::Write, |signals| engine::init(url, signals))
}

/// The names of all documents in the store at `url`, and of those that have backups only.
#[cfg(feature = "postgres")]
#[pyfunction]
#[pyo3(signature = (url, /))]
pub(super) fn store_documents(py: Python<'_>, url: &str) -> PyResult<Vec<String>> {
    run(py, Operation::Read, |signals| engine::documents(url, signals))
}

/// A document's backups, oldest first, each with the stamp in its name; and what is there now,
/// with the time of its save.
#[cfg(feature = "postgres")]
type Told<'py> = (Vec<(String, Bound<'py, PyBytes>)>, Option<(Bound<'py, PyBytes>, f64)>);

/// The history of the document `name` in the store at `url`.
#[cfg(feature = "postgres")]
#[pyfunction]
#[pyo3(signature = (url, name, /))]
pub(super) fn store_history<'py>(py: Python<'py>, url: &str, name: &str) -> PyResult<Told<'py>> {
    let found = run(py, Operation::Read, |signals| engine::history(url, name, signals))?;
    let stamp = |stamp: NaiveDateTime| stamp.format(STAMP).to_string();
    let told = |(time, content): &(_, Vec<u8>)| (stamp(*time), PyBytes::new(py, content));
    let backups = found.backups.iter().map(told).collect();
    let now = found.current.map(|(content, saved_at)| {
        (PyBytes::new(py, &content), seconds(saved_at.timestamp_micros()))
    });
    Ok((backups, now))
}

/// Puts the document `name` with its history into the store at `url`. False where all of it
/// is there already. Another document in its place is refused, unless it is to be replaced.
#[cfg(feature = "postgres")]
#[pyfunction]
#[pyo3(signature = (url, name, backups, current, /, *, replace))]
pub(super) fn store_put(
    py: Python<'_>,
    url: &str,
    name: &str,
    backups: Vec<(String, Vec<u8>)>,
    current: Option<(Vec<u8>, f64)>,
    replace: bool,
) -> PyResult<bool> {
    let parsed = |(stamp, content): (String, Vec<u8>)| {
        let wrong = |_| PyValueError::new_err(format!("{stamp}: is no stamp of a backup"));
        Ok((NaiveDateTime::parse_from_str(&stamp, STAMP).map_err(wrong)?, content))
    };
    let backups = backups.into_iter().map(parsed).collect::<PyResult<Vec<_>>>()?;
    let wrong = || PyValueError::new_err("the time of the document is no time");
    #[allow(clippy::cast_possible_truncation, reason = "what is out of range is refused")]
    let saved = |(content, seconds): (Vec<u8>, f64)| {
        let time = DateTime::from_timestamp_micros((seconds * 1e6).round() as i64);
        Ok::<_, PyErr>((content, time.ok_or_else(wrong)?))
    };
    let history = History { backups, current: current.map(saved).transpose()? };
    run(py, Operation::Write, |signals| engine::put(url, name, &history, replace, signals))
}

/// How a stamp stands in the name of a backup.
#[cfg(feature = "postgres")]
const STAMP: &str = "%Y%m%d_%H%M%S_%6f";

#[cfg(feature = "postgres")]
fn run<T: Send>(
    py: Python<'_>,
    operation: Operation,
    act: impl Fn(&dyn Signals) -> Result<T, StoreError> + Sync,
) -> PyResult<T> {
    let interpreter = Interpreter(py);
    interpreter.run(operation, Path::new("the store"), act)?.map_err(|error| match error {
        StoreError::Url(reason) => PyValueError::new_err(format!("the URL of the store {reason}")),
        StoreError::Failed(error) => interpreter.failed(operation, Path::new(""), &error),
    })
}
