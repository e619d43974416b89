//! The options of `json.dump` that a save takes.

use pyo3::prelude::*;

/// The options, as the caller gave them. `file_operations.py` makes this object for each
/// save and passes it on whole: only `encode.rs` and `stdlib.rs` read the fields.
#[pyclass(frozen, module = "oasis_data._native")]
pub(crate) struct EncodeOptions {
    pub(super) indent: Option<Py<PyAny>>,
    pub(super) ensure_ascii: bool,
    pub(super) sort_keys: bool,
    pub(super) allow_nan: bool,
    pub(super) default: Option<Py<PyAny>>,
}

#[pymethods]
impl EncodeOptions {
    #[new]
    #[pyo3(signature = (*, indent=None, ensure_ascii=false, sort_keys=false, allow_nan=false, default=None))]
    fn new(
        indent: Option<Py<PyAny>>,
        ensure_ascii: bool,
        sort_keys: bool,
        allow_nan: bool,
        default: Option<Py<PyAny>>,
    ) -> Self {
        Self { indent, ensure_ascii, sort_keys, allow_nan, default }
    }
}

impl EncodeOptions {
    /// The options under which every value that JSON can express has text.
    pub(crate) fn for_any_json(default: Option<Py<PyAny>>) -> Self {
        // Half of a surrogate pair has JSON text only as an escape.
        Self { indent: None, ensure_ascii: true, sort_keys: false, allow_nan: false, default }
    }

    /// Whether the caller's own code makes part of the text.
    pub(crate) fn has_default(&self) -> bool {
        self.default.is_some()
    }
}
