//! The codec alone, without files: for measurements and for the tests that give
//! it more inputs than a disk would take.

use std::path::Path;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::exceptions::decode_error;
use super::gil::run_python;
use super::saving::encoded;
use crate::codec::{self, EncodeError, EncodeOptions, Plan};

/// What `save` would write; `bytes()` makes a copy.
#[pyclass(frozen, module = "oasis_data._native")]
pub(super) struct Text(Vec<u8>);

#[pymethods]
impl Text {
    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

/// Encodes as `save` would.
#[pyfunction]
#[pyo3(signature = (data, indent=None, *, allow_nan=false, default=None))]
pub(super) fn encode<'py>(
    data: &Bound<'py, PyAny>,
    indent: Option<Bound<'py, PyAny>>,
    allow_nan: bool,
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Text> {
    let options =
        EncodeOptions { indent, ensure_ascii: false, sort_keys: false, allow_nan, default };
    encoded(Path::new("encode"), data, &options).map(Text)
}

/// The place of the first value that JSON has no text for; None if there is no such value.
#[pyfunction]
#[pyo3(signature = (data, /, *, default=None))]
pub(super) fn place_of_no_json<'py>(
    data: &Bound<'py, PyAny>,
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<String>> {
    let options = EncodeOptions {
        indent: None,
        // Half a surrogate pair has a text as an escape.
        ensure_ascii: true,
        sort_keys: false,
        allow_nan: false,
        default,
    };
    match run_python(data.py(), || codec::encode(data, &options)) {
        Ok(_) => Ok(None),
        Err(EncodeError::Unserializable { place, .. }) => Ok(Some(place)),
        Err(EncodeError::Other(raised)) => Err(raised),
    }
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
