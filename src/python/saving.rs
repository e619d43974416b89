//! Saves and deletions.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use super::arguments::{FilePath, timeout};
use super::documents::forget;
use super::loading::{clear, out_of_descriptors};
use super::raise::{Operation, encode_error, storage_error};
use crate::codec::{self, EncodeOptions};
use crate::error::{Error, Result};
use crate::settings::{self, Settings};
use crate::statistics::COUNTERS;
use crate::storage::lock::Signals;
use crate::storage::store::{self, WriteOptions, Written};

/// Saves `data` as the JSON document at `path`. Returns remarks for the log.
#[pyfunction]
#[pyo3(signature = (path, data, *, indent, ensure_ascii, sort_keys, allow_nan, default, backup, if_version, timeout, make_parents, skip_unchanged))]
#[allow(
    clippy::too_many_arguments,
    clippy::fn_params_excessive_bools,
    reason = "one for each keyword of the Python function"
)]
pub(super) fn save<'py>(
    py: Python<'py>,
    path: FilePath,
    data: &Bound<'py, PyAny>,
    indent: Option<Bound<'py, PyAny>>,
    ensure_ascii: bool,
    sort_keys: bool,
    allow_nan: bool,
    default: Option<Bound<'py, PyAny>>,
    backup: Option<bool>,
    if_version: Option<String>,
    timeout: Option<f64>,
    make_parents: bool,
    skip_unchanged: bool,
) -> PyResult<Vec<String>> {
    let FilePath(path) = path;
    let write_options = WriteOptions {
        if_version,
        make_parents,
        skip_unchanged,
        ..options(&settings::current(), backup, timeout)?
    };
    let encode_options = EncodeOptions { indent, ensure_ascii, sort_keys, allow_nan, default };
    let text = codec::encode(data, &encode_options)
        .map_err(|error| encode_error(py, &path, error, encode_options.default.is_some()))?;
    let remarks = write(py, &path, Operation::Write, |signals| {
        store::save(&path, &text, &write_options, signals)
    })?;
    COUNTERS.saves.count();
    COUNTERS.bytes_written.add(text.len() as u64);
    Ok(remarks)
}

/// Deletes the file at `path`. Returns remarks for the log.
#[pyfunction]
#[pyo3(signature = (path, *, backup, if_version, timeout))]
pub(super) fn delete(
    py: Python<'_>,
    path: FilePath,
    backup: Option<bool>,
    if_version: Option<String>,
    timeout: Option<f64>,
) -> PyResult<Vec<String>> {
    let FilePath(path) = path;
    let options = WriteOptions { if_version, ..options(&settings::current(), backup, timeout)? };
    let remarks =
        write(py, &path, Operation::Delete, |signals| store::delete(&path, &options, signals))?;
    COUNTERS.deletes.count();
    Ok(remarks)
}

fn options(
    settings: &Settings,
    backup: Option<bool>,
    seconds: Option<f64>,
) -> PyResult<WriteOptions> {
    Ok(WriteOptions {
        timeout: timeout(seconds, settings.lock_timeout)?,
        backups_kept: if backup.unwrap_or(true) { settings.backups_kept } else { 0 },
        if_version: None,
        make_parents: false,
        skip_unchanged: true,
        durability: settings.durability,
    })
}

fn write(
    py: Python<'_>,
    path: &Path,
    operation: Operation,
    act: impl Fn(&dyn Signals) -> Result<Written> + Sync,
) -> PyResult<Vec<String>> {
    let interpreter = Interpreter::default();
    let outcome = match py.detach(|| act(&interpreter)) {
        // Every cached document holds a descriptor: let them go before giving
        // up. Nothing was written yet: a save opens all it needs before that.
        Err(error @ Error::Syscall { .. }) if out_of_descriptors(&error) => {
            clear();
            py.detach(|| act(&interpreter))
        }
        outcome => outcome,
    };
    match outcome {
        Ok(Written { replaced, remarks }) => {
            forget(path, replaced);
            Ok(remarks.iter().map(ToString::to_string).collect())
        }
        Err(error) => {
            forget(path, None);
            Err(interpreter.raised().unwrap_or_else(|| storage_error(py, operation, &error)))
        }
    }
}

/// Runs Python's signal handlers during a wait, and keeps what they raise.
#[derive(Default)]
struct Interpreter {
    raised: Mutex<Option<PyErr>>,
}

impl Interpreter {
    fn raised(&self) -> Option<PyErr> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Signals for Interpreter {
    fn pending(&self) -> bool {
        Python::attach(|py| match py.check_signals() {
            Ok(()) => false,
            Err(raised) => {
                *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(raised);
                true
            }
        })
    }
}
