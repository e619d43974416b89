//! Calls of the standard library's `json`, the model of all results, which handles
//! every value that the codec does not.
//!
//! They go to the package's own copy of `json` (`_standard.py`): other code may wrap or
//! replace the functions in `json` itself.

use pyo3::exceptions::{PyMemoryError, PyRecursionError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use super::buffer::Buffer;
use super::encode_error::EncodeStop;
use super::encode_options::EncodeOptions;
use super::recursion::RecursionLimit;
use crate::imported::Imported;

/// Appends the text that `json.dump` writes, in UTF-8, where so many levels of recursion
/// are in use already.
///
/// Like `json.dump`, this takes the pieces of `iterencode` one by one. `json.dumps` has
/// a second, faster way, which treats some subclasses differently, and in a document
/// with two faults may find the other fault first.
pub(super) fn dump(
    value: &Bound<'_, PyAny>,
    options: &EncodeOptions,
    levels: usize,
    out: &mut Buffer,
) -> Result<(), EncodeStop> {
    static PIECES_BELOW: Imported = Imported::new("oasis_data._standard", "pieces_below");
    let py = value.py();
    let limit = RecursionLimit::new(py);
    let dumped = (|| {
        let encoder = encoder(py, options, options.indent.as_ref())?;
        let pieces = if levels == 0 {
            encoder.call_method1("iterencode", (value,))?
        } else {
            PIECES_BELOW.get(py)?.call1((levels, encoder, value))?
        };
        for piece in pieces.try_iter()? {
            let piece = piece?.cast_into::<PyString>()?;
            // Half of a surrogate pair has no UTF-8, and raises the error that says so.
            out.write(piece.to_str()?.as_bytes()).map_err(|_| PyMemoryError::new_err(()))?;
        }
        Ok(())
    })();
    dumped.map_err(|cause: PyErr| {
        if limit.is_lower() && cause.is_instance_of::<PyRecursionError>(py) {
            EncodeStop::small_stack(cause)
        } else {
            cause.into()
        }
    })
}

/// Appends the text that `json` writes for a key.
pub(super) fn dump_key(
    key: &Bound<'_, PyAny>,
    options: &EncodeOptions,
    out: &mut Buffer,
) -> Result<(), EncodeStop> {
    static KEY_TEXT: Imported = Imported::new("oasis_data._standard", "key_text");
    let encoder = encoder(key.py(), options, None)?;
    let text = KEY_TEXT.get(key.py())?.call1((encoder, key))?.cast_into::<PyString>();
    Ok(out.write(text.map_err(PyErr::from)?.to_str()?.as_bytes())?)
}

/// Whether so many levels of recursion are left for `json`.
pub(super) fn has_levels(py: Python<'_>, levels: usize) -> PyResult<bool> {
    static HAS_LEVELS: Imported = Imported::new("oasis_data._standard", "has_levels");
    let _limit = RecursionLimit::new(py);
    match HAS_LEVELS.get(py)?.call1((levels,)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_instance_of::<PyRecursionError>(py) => Ok(false),
        Err(signal) => Err(signal),
    }
}

/// What `json` calls for a value that it does not write by itself.
pub(super) fn default<'py>(
    py: Python<'py>,
    options: &EncodeOptions,
) -> PyResult<Bound<'py, PyAny>> {
    encoder(py, options, None)?.getattr("default")
}

/// The items in the order in which `json` writes them with `sort_keys`.
pub(super) fn sorted<'py>(items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static SORTED: Imported = Imported::new("builtins", "sorted");
    SORTED.get(items.py())?.call1((items,))
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
