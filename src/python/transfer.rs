//! The tables of stores, and what moves documents with their histories there and back.

use std::path::Path;

use chrono::{DateTime, NaiveDateTime};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::interpreter::Interpreter;
use super::loading::seconds;
use crate::documents::Runtime;
use crate::engine::Signals;
use crate::engine::stores::{self, History, StoreError};
use crate::statistics::Operation;

/// Makes the tables of the store at `url`, unless they are there. Whether they were made.
#[pyfunction]
#[pyo3(signature = (url, /))]
pub(super) fn init_store(py: Python<'_>, url: &str) -> PyResult<bool> {
    run(py, Operation::Write, |signals| stores::init(url, signals))
}

/// The names of all documents in the store at `url`, and of those that have backups only.
#[pyfunction]
#[pyo3(signature = (url, /))]
pub(super) fn store_documents(py: Python<'_>, url: &str) -> PyResult<Vec<String>> {
    run(py, Operation::Read, |signals| stores::documents(url, signals))
}

/// A document's backups, oldest first, each with the stamp in its name; what is there now, with
/// the time of its save; and which of them are damaged, and left out: by their stamps, None for
/// what is there now.
type Told<'py> =
    (Vec<(String, Bound<'py, PyBytes>)>, Option<(Bound<'py, PyBytes>, f64)>, Vec<Option<String>>);

/// The history of the document `name` in the store at `url`.
#[pyfunction]
#[pyo3(signature = (url, name, /))]
pub(super) fn store_history<'py>(py: Python<'py>, url: &str, name: &str) -> PyResult<Told<'py>> {
    let found = run(py, Operation::Read, |signals| stores::history(url, name, signals))?;
    let stamp = |stamp: NaiveDateTime| stamp.format(STAMP).to_string();
    let told = |(time, content): &(_, Vec<u8>)| (stamp(*time), PyBytes::new(py, content));
    let backups = found.backups.iter().map(told).collect();
    let now = found.current.map(|(content, saved_at)| {
        (PyBytes::new(py, &content), seconds(saved_at.timestamp_micros()))
    });
    let damaged = found.damaged.into_iter().map(|time| time.map(stamp)).collect();
    Ok((backups, now, damaged))
}

/// Puts the document `name` with its history into the store at `url`. False where all of it
/// is there already. Another document in its place is refused, unless it is to be replaced.
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
    let history =
        History { backups, current: current.map(saved).transpose()?, damaged: Vec::new() };
    run(py, Operation::Write, |signals| stores::put(url, name, &history, replace, signals))
}

/// How a stamp stands in the name of a backup.
const STAMP: &str = "%Y%m%d_%H%M%S_%6f";

fn run<T: Send>(
    py: Python<'_>,
    operation: Operation,
    act: impl FnOnce(&dyn Signals) -> Result<T, StoreError> + Send,
) -> PyResult<T> {
    let interpreter = Interpreter(py);
    interpreter.run(operation, Path::new("the store"), act)?.map_err(|error| match error {
        StoreError::Url(reason) => PyValueError::new_err(format!("the URL of the store {reason}")),
        StoreError::Failed(error) => interpreter.failed(operation, Path::new(""), &error),
    })
}
