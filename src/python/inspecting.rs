//! What lies in a folder, told without changing anything.

use std::path::Path;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use pythonize::pythonize;
use serde::Serialize;

use super::arguments::FilePath;
use super::gil::run_python;
use super::interpreter::Interpreter;
use crate::engine::{self, Engine, Signals};
use crate::error::Result;
use crate::imported::Imported;
use crate::statistics::Operation;

/// Tells what lies in `folder`. What cannot be listed is in the answer.
#[pyfunction]
#[pyo3(signature = (folder, /))]
pub(super) fn inspect(py: Python<'_>, folder: FilePath) -> PyResult<Bound<'_, PyAny>> {
    let FilePath(folder) = folder;
    told(py, &folder, |engine, signals| engine.inspect(&folder, signals))
}

/// The batches in `folder` that were interrupted, and that no process carries out.
#[pyfunction]
#[pyo3(signature = (folder, /))]
pub(super) fn interrupted_batches(py: Python<'_>, folder: FilePath) -> PyResult<Bound<'_, PyAny>> {
    let FilePath(folder) = folder;
    told(py, &folder, |engine, _| engine.interrupted_batches(&folder))
}

/// The names of the backups of the file at `path`, newest first. No backup is read.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(super) fn backup_names(py: Python<'_>, path: FilePath) -> PyResult<Bound<'_, PyAny>> {
    let FilePath(path) = path;
    told(py, &path, |engine, signals| engine.backup_names(&path, signals))
}

/// Takes the name of a backup apart; None for the name of another file.
#[pyfunction]
#[pyo3(signature = (name, /))]
pub(super) fn parse_backup_name(py: Python<'_>, name: FilePath) -> PyResult<Bound<'_, PyAny>> {
    let FilePath(name) = name;
    with_names(&pythonize(py, &engine::backup_name(name.as_os_str()))?)
}

/// Whether a process holds the lock of the file at `path`; False for no file.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(super) fn is_held(py: Python<'_>, path: FilePath) -> PyResult<bool> {
    let FilePath(path) = path;
    Interpreter(py).wait(Operation::Read, &path, |_| Engine::of(&path).is_held(&path))
}

fn told<'py, T: Serialize + Send>(
    py: Python<'py>,
    path: &Path,
    look: impl Fn(&Engine, &dyn Signals) -> Result<T> + Sync,
) -> PyResult<Bound<'py, PyAny>> {
    let found =
        Interpreter(py).wait(Operation::Read, path, |signals| look(&Engine::of(path), signals))?;
    with_names(&pythonize(py, &found)?)
}

/// The same with a `str` for each name on disk, as `os.fsdecode` makes it.
fn with_names<'py>(found: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // safeguard: names-decoded-before-the-end
    run_python(found.py(), || decoded(found))
}

fn decoded<'py>(found: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static FSDECODE: Imported = Imported::new("os", "fsdecode");
    let py = found.py();
    if found.is_instance_of::<PyBytes>() {
        return FSDECODE.get(py)?.call1((found,));
    }
    if let Ok(record) = found.cast::<PyDict>() {
        for (key, value) in record.iter() {
            record.set_item(key, decoded(&value)?)?;
        }
    } else if let Ok(list) = found.cast::<PyList>() {
        for (index, each) in list.iter().enumerate() {
            list.set_item(index, decoded(&each)?)?;
        }
    } else if let Ok(tuple) = found.cast::<PyTuple>() {
        let each: Vec<_> = tuple.iter().map(|each| decoded(&each)).collect::<PyResult<_>>()?;
        return Ok(PyTuple::new(py, each)?.into_any());
    }
    Ok(found.clone())
}
