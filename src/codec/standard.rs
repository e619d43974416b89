//! The standard library's `json`: what parity is measured by, and what does
//! the work wherever the codec does not.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::PyOnceLock;
use pyo3::types::{IntoPyDict, PyBytes, PyString};

/// The options of `json.dump`, as the caller gave them.
pub(crate) struct EncodeOptions<'py> {
    pub(crate) indent: Option<Bound<'py, PyAny>>,
    pub(crate) ensure_ascii: bool,
    pub(crate) sort_keys: bool,
    pub(crate) allow_nan: bool,
    pub(crate) default: Option<Bound<'py, PyAny>>,
}

/// The text that `json.dump` would write, in UTF-8.
///
/// `json.dump` takes the pieces of `iterencode`, and so does this: `json.dumps`
/// has a second, faster way that treats some subclasses differently.
pub(crate) fn dump<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions<'py>,
) -> PyResult<PyBackedBytes> {
    let py = value.py();
    let pieces =
        encoder(py, options, options.indent.as_ref())?.call_method1("iterencode", (value,))?;
    let text = PyString::new(py, "").call_method1("join", (pieces,))?;
    text.call_method1("encode", ("utf-8",))?.extract().map_err(PyErr::from)
}

/// Whether `json` can write `value` at all, by the quicker way.
pub(crate) fn can_dump<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions<'py>,
) -> PyResult<bool> {
    let py = value.py();
    let attempt = encoder(py, options, None)?
        .call_method1("encode", (value,))
        .and_then(|text| text.call_method1("encode", ("utf-8",)));
    match attempt {
        Ok(_) => Ok(true),
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyException>(py) => Ok(false),
        Err(signal) => Err(signal),
    }
}

/// The document that `json.load` would make of these bytes.
pub(crate) fn load<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOADS.import(py, "json", "loads")?.call1((PyBytes::new(py, bytes),))
}

fn encoder<'py>(
    py: Python<'py>,
    options: &EncodeOptions<'py>,
    indent: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    static ENCODER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let arguments = [
        ("indent", indent.cloned().unwrap_or_else(|| py.None().into_bound(py))),
        ("ensure_ascii", options.ensure_ascii.into_pyobject(py)?.to_owned().into_any()),
        ("sort_keys", options.sort_keys.into_pyobject(py)?.to_owned().into_any()),
        ("allow_nan", options.allow_nan.into_pyobject(py)?.to_owned().into_any()),
        ("default", options.default.clone().unwrap_or_else(|| py.None().into_bound(py))),
    ];
    ENCODER.import(py, "json", "JSONEncoder")?.call((), Some(&arguments.into_py_dict(py)?))
}
