//! The text of a document, or the exception that says why it has none.

use std::path::Path;

use pyo3::prelude::*;

use super::exceptions::encode_error;
use super::gil::run_python;
use crate::codec::{self, EncodeOptions, Encoded};

/// The JSON text of `data`, for the file at `path`.
pub(super) fn encoded(
    path: &Path,
    data: &Bound<'_, PyAny>,
    options: &EncodeOptions,
) -> PyResult<Vec<u8>> {
    encoded_noting(path, data, options).map(|encoded| encoded.text)
}

/// The same, with a note whether the object says the same as its text.
pub(super) fn encoded_noting(
    path: &Path,
    data: &Bound<'_, PyAny>,
    options: &EncodeOptions,
) -> PyResult<Encoded> {
    run_python(data.py(), || codec::encode_noting(data, options))
        .map_err(|error| encode_error(data.py(), path, error, options.has_default()))
}
