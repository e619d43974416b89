//! The codec alone, without files: for measurements and for the tests that give
//! it more inputs than a disk would take.

use std::path::Path;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::raise::decode_error;
use super::saving::encoded;
use crate::codec::{self, EncodeOptions, Plan};

/// What `save` would write.
#[pyfunction]
#[pyo3(signature = (data, indent=None, *, allow_nan=false, default=None))]
pub(super) fn encode<'py>(
    data: &Bound<'py, PyAny>,
    indent: Option<Bound<'py, PyAny>>,
    allow_nan: bool,
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyBytes>> {
    let options =
        EncodeOptions { indent, ensure_ascii: false, sort_keys: false, allow_nan, default };
    let text = encoded(Path::new("encode"), data, &options)?;
    Ok(PyBytes::new(data.py(), &text))
}

/// What `load` would answer: as it is decoded, or as the cache copies it.
#[pyfunction]
#[pyo3(signature = (text, /, *, copied=false))]
pub(super) fn decode<'py>(
    py: Python<'py>,
    text: &[u8],
    copied: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let document = codec::decode(py, text)
        .map_err(|error| decode_error(py, Path::new("decode"), error, text.is_empty()))?;
    if copied { Plan::of(&document).copy(py) } else { Ok(document) }
}
