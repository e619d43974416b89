//! The codec without files: for benchmarks, and for tests with more inputs than a disk
//! could take.

use std::path::Path;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::encoding::encoded;
use super::exceptions::decode_error;
use super::gil::run_python;
use crate::codec::{self, CopyPlan, EncodeError, EncodeOptions};

/// The text that `save` writes. `bytes(text)` copies it.
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

/// Encodes as `save` does.
#[pyfunction]
#[pyo3(signature = (data, encode_options, /))]
pub(super) fn encode(data: &Bound<'_, PyAny>, encode_options: &EncodeOptions) -> PyResult<Text> {
    encoded(Path::new("encode"), data, encode_options).map(Text)
}

/// The place of the first value that has no JSON text; None if every value has one.
#[pyfunction]
#[pyo3(signature = (data, /, *, default=None))]
pub(super) fn place_of_no_json(
    data: &Bound<'_, PyAny>,
    default: Option<Py<PyAny>>,
) -> PyResult<Option<String>> {
    let options = EncodeOptions::for_any_json(default);
    match run_python(data.py(), || codec::encode(data, &options)) {
        Ok(_) => Ok(None),
        Err(EncodeError::Unserializable { place, .. }) => Ok(Some(place)),
        Err(EncodeError::Other(raised)) => Err(raised),
    }
}

/// A place as errors tell it: `$.vessels[3].cost`.
#[pyfunction]
#[pyo3(signature = (steps, /))]
pub(super) fn place(steps: &Bound<'_, PyAny>) -> PyResult<String> {
    codec::place_of(steps)
}

/// The document that `load` returns: decoded, or as the cache copies it.
#[pyfunction]
#[pyo3(signature = (text, /, *, copied=false))]
pub(super) fn decode<'py>(
    py: Python<'py>,
    text: &[u8],
    copied: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let document = codec::decode(py, text)
        .map_err(|error| decode_error(py, Path::new("decode"), error, text.is_empty()))?;
    if copied { CopyPlan::of(&document).copy(py) } else { Ok(document) }
}
