//! Objects of Python modules, each imported once.

use std::sync::OnceLock;

use pyo3::prelude::*;

/// An attribute of a Python module, imported on its first use.
///
/// Not pyo3's `PyOnceLock`, which stays locked while its thread waits for the
/// interpreter's lock. A child forked at that moment does not have that thread, and
/// would wait for it for ever.
pub(crate) struct Imported {
    module: &'static str,
    name: &'static str,
    object: OnceLock<Py<PyAny>>,
}

impl Imported {
    /// The attribute `name` of `module`. Imports nothing yet.
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, object: OnceLock::new() }
    }

    /// The object.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        if let Some(object) = self.object.get() {
            return Ok(object.bind(py));
        }
        let object = py.import(self.module)?.getattr(self.name)?.unbind();
        Ok(self.object.get_or_init(|| object).bind(py))
    }
}
