//! Calls of the standard library's `json`, the model of all results, which handles
//! every document that the codec does not.
//!
//! They go to the package's own copy of `json` (`_standard.py`): other code may wrap or
//! replace the functions in `json` itself.

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::buffer::Buffer;
use super::encode_options::EncodeOptions;
use crate::imported::Imported;

/// Appends the text that `json.dump` writes, in UTF-8.
///
/// Like `json.dump`, this takes the pieces of `iterencode` one by one. `json.dumps` has
/// a second, faster way, which treats some subclasses differently, and in a document
/// with two faults may find the other fault first.
pub(super) fn dump(
    value: &Bound<'_, PyAny>,
    options: &EncodeOptions,
    out: &mut Buffer,
) -> PyResult<()> {
    let encoder = encoder(value.py(), options, options.indent.as_ref())?;
    for piece in encoder.call_method1("iterencode", (value,))?.try_iter()? {
        let piece = piece?.cast_into::<PyString>()?;
        // Half of a surrogate pair has no UTF-8, and raises the error that says so.
        out.write(piece.to_str()?.as_bytes()).map_err(|_| PyMemoryError::new_err(()))?;
    }
    Ok(())
}

/// Whether `json` can write `value`. Tries the faster way of `json.dumps` first, and
/// then `dump`: the faster way refuses a proxy, which only claims to be a dictionary.
pub(super) fn can_dump(value: &Bound<'_, PyAny>, options: &EncodeOptions) -> PyResult<bool> {
    let py = value.py();
    let attempt = encoder(py, options, None)?
        .call_method1("encode", (value,))
        .and_then(|text| text.call_method1("encode", ("utf-8",)).map(drop))
        .or_else(|error| {
            let refused = error.is_instance_of::<PyException>(py);
            // safeguard: proxy-asked-again
            if refused { dump(value, options, &mut Buffer::default()) } else { Err(error) }
        });
    match attempt {
        Ok(()) => Ok(true),
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(false),
        Err(signal) => Err(signal),
    }
}

/// The document that `json.load` makes of these bytes.
pub(super) fn load<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    // safeguard: unpatched-json-reads
    static LOADS: Imported = Imported::new("oasis_data._standard", "loads");
    // Not `PyBytes::new`, which panics when memory runs out.
    let copy = PyBytes::new_with(py, bytes.len(), |copy| {
        copy.copy_from_slice(bytes);
        Ok(())
    })?;
    LOADS.get(py)?.call1((copy,))
}

/// A `json.JSONEncoder` with the caller's options, but for `indent`.
fn encoder<'py>(
    py: Python<'py>,
    options: &EncodeOptions,
    indent: Option<&Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    // safeguard: unpatched-json-writes
    static ENCODER: Imported = Imported::new("oasis_data._standard", "encoder");
    let arguments = PyDict::new(py);
    arguments.set_item("indent", indent)?;
    arguments.set_item("ensure_ascii", options.ensure_ascii)?;
    arguments.set_item("sort_keys", options.sort_keys)?;
    arguments.set_item("allow_nan", options.allow_nan)?;
    arguments.set_item("default", options.default.as_ref())?;
    ENCODER.get(py)?.call((), Some(&arguments))
}
