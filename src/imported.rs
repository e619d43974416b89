//! Objects imported from Python, each once.

use std::sync::OnceLock;

use pyo3::prelude::*;

/// An attribute of a Python module.
///
/// Not pyo3's `PyOnceLock`, which stays locked while its thread waits for the
/// interpreter's lock: a child forked at that moment would wait for that thread
/// for ever, and does not have it.
pub(crate) struct Imported {
    module: &'static str,
    name: &'static str,
    object: OnceLock<Py<PyAny>>,
}

impl Imported {
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, object: OnceLock::new() }
    }

    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        if let Some(object) = self.object.get() {
            return Ok(object.bind(py));
        }
        let object = py.import(self.module)?.getattr(self.name)?.unbind();
        Ok(self.object.get_or_init(|| object).bind(py))
    }
}
