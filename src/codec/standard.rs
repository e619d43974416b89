//! The standard library's `json`: what parity is measured by, and what does
//! the work wherever the codec does not. In a copy of the package's own
//! (`_standard.py`): others may have wrapped or replaced what is in `json`.

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBytes, PyString};

use super::buffer::Buffer;
use crate::imported::Imported;

/// The options of `json.dump`, as the caller gave them.
pub(crate) struct EncodeOptions<'py> {
    pub(crate) indent: Option<Bound<'py, PyAny>>,
    pub(crate) ensure_ascii: bool,
    pub(crate) sort_keys: bool,
    pub(crate) allow_nan: bool,
    pub(crate) default: Option<Bound<'py, PyAny>>,
}

/// Appends the text that `json.dump` would write, in UTF-8.
///
/// Like `json.dump`, it takes the pieces of `iterencode` one by one:
/// `json.dumps` has a second, faster way that treats some subclasses
/// differently, and would find another one of two faults first.
pub(crate) fn dump<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions<'py>,
    out: &mut Buffer,
) -> PyResult<()> {
    let encoder = encoder(value.py(), options, options.indent.as_ref())?;
    for piece in encoder.call_method1("iterencode", (value,))?.try_iter()? {
        let piece = piece?.cast_into::<PyString>()?;
        // Lone surrogates have no UTF-8: the error that says so.
        out.raw(piece.to_str()?.as_bytes()).map_err(|_| PyMemoryError::new_err(()))?;
    }
    Ok(())
}

/// Whether `json` can write `value` at all: by the quicker way, or else as `dump` does,
/// since the quicker way refuses what only says that it is a dictionary (a proxy).
pub(crate) fn can_dump<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions<'py>,
) -> PyResult<bool> {
    let py = value.py();
    let attempt = encoder(py, options, None)?
        .call_method1("encode", (value,))
        .and_then(|text| text.call_method1("encode", ("utf-8",)).map(drop))
        .or_else(|error| {
            let refused = error.is_instance_of::<PyException>(py);
            if refused { dump(value, options, &mut Buffer::default()) } else { Err(error) }
        });
    match attempt {
        Ok(()) => Ok(true),
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(false),
        Err(signal) => Err(signal),
    }
}

/// The document that `json.load` would make of these bytes.
pub(crate) fn load<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: Imported = Imported::new("oasis_data._standard", "loads");
    LOADS.get(py)?.call1((copied(py, bytes)?,))
}

/// A `bytes` object, or the `MemoryError` that `PyBytes::new` would panic with.
pub(crate) fn copied<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, bytes.len(), |copy| {
        copy.copy_from_slice(bytes);
        Ok(())
    })
}

fn encoder<'py>(
    py: Python<'py>,
    options: &EncodeOptions<'py>,
    indent: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    static ENCODER: Imported = Imported::new("oasis_data._standard", "encoder");
    let arguments = [
        ("indent", indent.cloned().unwrap_or_else(|| py.None().into_bound(py))),
        ("ensure_ascii", options.ensure_ascii.into_pyobject(py)?.to_owned().into_any()),
        ("sort_keys", options.sort_keys.into_pyobject(py)?.to_owned().into_any()),
        ("allow_nan", options.allow_nan.into_pyobject(py)?.to_owned().into_any()),
        ("default", options.default.clone().unwrap_or_else(|| py.None().into_bound(py))),
    ];
    ENCODER.get(py)?.call((), Some(&arguments.into_py_dict(py)?))
}
