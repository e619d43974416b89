//! Saves and deletions.

use std::ffi::OsString;
use std::path::Path;
use std::time::Instant;

use chrono::Local;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use super::arguments::{FilePath, age, size, timeout};
use super::content::DOCUMENTS;
use super::gil::{run_python, without_gil};
use super::host::PythonHost;
use super::interpreter::Interpreter;
use super::judging::Asked;
use crate::codec::{self, DecodeError, EncodeError, EncodeOptions};
use crate::documents::in_place;
use crate::engine::{Engine, WriteOptions, Written, version_of};
use crate::settings::{self, Settings};
use crate::statistics::{COUNTERS, LATENCIES, Operation};

/// What became of a write: warnings for the log, the bytes saved, the name of the
/// backup, and the version, which takes time to make, if it was asked for.
pub(super) type Outcome = (Vec<String>, usize, Option<OsString>, Option<String>);

/// Saves `data` as the JSON document at `path`.
#[pyfunction]
#[pyo3(signature = (path, data, encode_options, *, backup, if_version, timeout, make_parents, skip_unchanged, keep_layout=false, versioned))]
#[allow(
    clippy::too_many_arguments,
    clippy::fn_params_excessive_bools,
    reason = "one for each keyword of the Python function"
)]
pub(super) fn save(
    py: Python<'_>,
    path: FilePath,
    data: &Bound<'_, PyAny>,
    encode_options: &EncodeOptions,
    backup: Option<bool>,
    if_version: Option<String>,
    timeout: Option<f64>,
    make_parents: bool,
    skip_unchanged: bool,
    keep_layout: bool,
    versioned: bool,
) -> PyResult<Outcome> {
    let FilePath(path) = path;
    let started = Instant::now();
    let mut write_options = WriteOptions {
        if_version,
        make_parents,
        skip_unchanged,
        ..options(&settings::current(), backup, timeout)?
    };
    let mut asked = Asked::about(py, Operation::Write, &[&path])?;
    let mut text = asked.encoded(&path, data, encode_options)?;
    if keep_layout && let Some(same) = text_in_place(py, &path, &text, encode_options)? {
        text = same;
    }
    write_options.judge = asked.judge(&[Some(&text)], write_options.timeout)?;
    let written = Interpreter(py).wait(Operation::Write, &path, |signals| {
        Engine::of(&path).save(&path, &text, &write_options, signals)
    })?;
    LATENCIES.write.observe(started);
    Ok(saved(py, &path, &text, written, versioned))
}

/// Deletes the file at `path`.
#[pyfunction]
#[pyo3(signature = (path, *, backup, if_version, timeout))]
pub(super) fn delete(
    py: Python<'_>,
    path: FilePath,
    backup: Option<bool>,
    if_version: Option<String>,
    timeout: Option<f64>,
) -> PyResult<Outcome> {
    let FilePath(path) = path;
    let started = Instant::now();
    let mut options =
        WriteOptions { if_version, ..options(&settings::current(), backup, timeout)? };
    let asked = Asked::about(py, Operation::Delete, &[&path])?;
    options.judge = asked.judge(&[None::<&[u8]>], options.timeout)?;
    let written = Interpreter(py).wait(Operation::Delete, &path, |signals| {
        Engine::of(&path).delete(&path, &options, signals)
    })?;
    LATENCIES.delete.observe(started);
    COUNTERS.deletes.count();
    DOCUMENTS.replace(&path, written.replaced);
    Ok((warnings(&written), 0, written.backup, None))
}

/// The text at `path`, where it is the document of `text` in another layout.
pub(super) fn text_in_place(
    py: Python<'_>,
    path: &Path,
    text: &[u8],
    options: &EncodeOptions,
) -> PyResult<Option<Vec<u8>>> {
    // What a signal handler raises is not about the document.
    let relevant = |raised: PyErr| {
        if raised.is_instance_of::<PyException>(py) { Ok(None) } else { Err(raised) }
    };
    in_place::text_in_place(Interpreter(py), path, text, |found| {
        let document = match run_python(py, || codec::decode(py, found)) {
            Ok(document) => document,
            Err(DecodeError::Corrupt { .. }) => return Ok(None),
            Err(DecodeError::Other(raised)) => return relevant(raised),
        };
        match run_python(py, || codec::encode(&document, options)) {
            Ok(own) => Ok(Some(own)),
            Err(EncodeError::Unserializable { .. }) => Ok(None),
            Err(EncodeError::Other(raised)) => relevant(raised),
        }
    })
}

/// Counts a save, lets the cached document go, and tells what became of it.
pub(super) fn saved(
    py: Python<'_>,
    path: &Path,
    text: &[u8],
    written: Written,
    versioned: bool,
) -> Outcome {
    COUNTERS.saves.count();
    COUNTERS.bytes_written.add(text.len() as u64);
    DOCUMENTS.replace(path, written.replaced);
    let version = versioned.then(|| without_gil(py, || version_of(text)));
    (warnings(&written), text.len(), written.backup, version)
}

fn warnings(written: &Written) -> Vec<String> {
    written.warnings.iter().map(ToString::to_string).collect()
}

/// How a write is done unless its caller says otherwise.
pub(super) fn options(
    settings: &Settings,
    backup: Option<bool>,
    seconds: Option<f64>,
) -> PyResult<WriteOptions> {
    Ok(WriteOptions {
        timeout: timeout("timeout", seconds.unwrap_or(settings.lock_timeout))?,
        backups_kept: if backup.unwrap_or(true) { settings.backups_kept } else { 0 },
        backups_max_age: age("backups_max_age", settings.backups_max_age)?,
        compressed_above: size("backups_compressed_above", settings.backups_compressed_above)?,
        if_version: None,
        make_parents: false,
        skip_unchanged: true,
        durability: settings.durability,
        // With the interpreter's lock held, under which Python changes TZ.
        zone: *Local::now().offset(),
        host: &PythonHost,
        judge: None,
    })
}
