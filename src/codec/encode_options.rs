//! The options of `json.dump` that a save takes.

use pyo3::prelude::*;

/// The options, as the caller gave them.
pub(crate) struct EncodeOptions<'py> {
    pub(crate) indent: Option<Bound<'py, PyAny>>,
    pub(crate) ensure_ascii: bool,
    pub(crate) sort_keys: bool,
    pub(crate) allow_nan: bool,
    pub(crate) default: Option<Bound<'py, PyAny>>,
}
