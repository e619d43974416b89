//! What concerns the whole process: settings, counters, forks.

use std::sync::OnceLock;

use pyo3::exceptions::{PyImportError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};
use pythonize::{depythonize, pythonize};

use super::arguments::{FilePath, age, size, timeout};
use super::content::DOCUMENTS;
use super::exceptions::CLASSES;
use super::gil;
use crate::engine::process as engine;
use crate::settings;
use crate::statistics::{self, COUNTERS};

/// Changes the settings named in `changes`, and the stores; returns all settings but the
/// stores.
#[pyfunction]
#[pyo3(signature = (changes, stores=None))]
pub(super) fn configure<'py>(
    py: Python<'py>,
    changes: &Bound<'py, PyDict>,
    stores: Option<Vec<(FilePath, String)>>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut settings = (*settings::current()).clone();
    let merged = pythonize(py, &settings)?.cast_into::<PyDict>()?;
    // One by one, so that a refusal names the setting.
    for (name, value) in changes.iter() {
        merged.set_item(&name, &value)?;
        settings = depythonize(&merged).map_err(|_| {
            let name = name.to_string();
            let must = match name.as_str() {
                "durability" => "\"full\" or \"process\"",
                "cache_bytes" | "cache_entries" | "backups_kept" => "a whole number, 0 or more",
                _ => "a number, 0 or more",
            };
            PyValueError::new_err(format!("{name}={value}: must be {must}"))
        })?;
    }
    timeout("lock_timeout", settings.lock_timeout)?;
    age("backups_max_age", settings.backups_max_age)?;
    size("backups_compressed_above", settings.backups_compressed_above)?;
    timeout("max_staleness", settings.max_staleness)?;
    if timeout("edit_timeout", settings.edit_timeout)?.is_zero() {
        return Err(PyValueError::new_err("edit_timeout=0: must be more than 0 seconds"));
    }
    if let Some(stores) = stores {
        let stores = stores.into_iter().map(|(FilePath(folder), url)| (folder, url)).collect();
        engine::configure_stores(stores).map_err(|(folder, reason)| {
            let folder = folder.display();
            PyValueError::new_err(format!("stores: the URL of {folder} {reason}"))
        })?;
    }
    let evicted =
        DOCUMENTS.with(|cache| cache.shrink(settings.cache_entries, settings.cache_bytes));
    settings::replace(settings);
    drop(evicted);
    Ok(pythonize(py, &*settings::current())?)
}

/// The counters of this process.
#[pyfunction]
pub(super) fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let (entries, bytes) = DOCUMENTS.with(|cache| (cache.len(), cache.bytes()));
    Ok(pythonize(py, &COUNTERS.snapshot(&CLASSES, entries, bytes))?)
}

#[pyfunction]
fn before_fork(py: Python<'_>) {
    // The end of the interpreter waits for this thread: a thread that never gets the
    // interpreter's lock back would keep the gate of forks shut.
    // safeguard: gate-not-kept-at-the-end
    gil::run_python(py, || gil::without_gil(py, engine::before_fork));
}

#[pyfunction]
fn after_fork_in_parent() {
    engine::after_fork_in_parent();
}

#[pyfunction]
fn after_fork_in_child() {
    engine::after_fork_in_child();
    DOCUMENTS.after_fork_in_child();
    // safeguard: child-counts-from-nothing
    statistics::after_fork_in_child();
    gil::after_fork_in_child();
}

/// Refuses every interpreter but the one that imported the package first: the
/// cache holds objects, which one interpreter must not hand to another.
pub(super) fn require_first_interpreter(py: Python<'_>) -> PyResult<()> {
    static FIRST: OnceLock<usize> = OnceLock::new();
    // Each interpreter has a `sys.modules` of its own.
    let modules = py.import("sys")?.getattr("modules")?.as_ptr() as usize;
    // safeguard: no-second-interpreter
    if *FIRST.get_or_init(|| modules) == modules {
        return Ok(());
    }
    Err(PyImportError::new_err("oasis_data works in one interpreter of a process, not in a second"))
}

/// Has Python call the handlers around `os.fork`.
pub(super) fn register_fork_handlers(py: Python<'_>) -> PyResult<()> {
    DOCUMENTS.prepare();
    let handlers = [
        ("before", wrap_pyfunction!(before_fork, py)?),
        ("after_in_parent", wrap_pyfunction!(after_fork_in_parent, py)?),
        ("after_in_child", wrap_pyfunction!(after_fork_in_child, py)?),
    ];
    py.import("os")?.call_method("register_at_fork", (), Some(&handlers.into_py_dict(py)?))?;
    Ok(())
}
