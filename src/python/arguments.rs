//! Python arguments in Rust's terms.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::gil::run_python;
use crate::codec::ascii_of;
use crate::imported::Imported;

/// A path given as `str`, `bytes` or `os.PathLike`.
pub(super) struct FilePath(pub(super) PathBuf);

impl<'py> FromPyObject<'_, 'py> for FilePath {
    type Error = PyErr;

    fn extract(path: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        static FSPATH: Imported = Imported::new("os", "fspath");
        // The same bytes in every encoding of file names.
        // safeguard: no-utf8-in-path
        if let Ok(text) = path.cast::<PyString>()
            && let Some(ascii) = ascii_of(text)
        {
            return Ok(Self(OsStr::from_bytes(ascii).into()));
        }
        let given_path = if path.is_instance_of::<PyString>() || path.is_instance_of::<PyBytes>() {
            path.to_owned()
        } else {
            // `__fspath__` may be Python code, as that of pathlib is.
            // safeguard: path-asked-before-the-end
            run_python(path.py(), || FSPATH.get(path.py())?.call1((path,)))?
        };
        if let Ok(bytes) = given_path.cast::<PyBytes>() {
            return Ok(Self(OsStr::from_bytes(bytes.as_bytes()).into()));
        }
        Ok(Self(given_path.extract::<OsString>()?.into()))
    }
}

/// Seconds to wait, given by the argument `name`.
pub(super) fn timeout(name: &str, seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!(
            "{name}={seconds}: must be a number of seconds, 0 or more"
        )));
    }
    // Infinity, and whatever is too long for a clock, waits as long as can be.
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// An age in seconds, given by the argument `name`; infinite for no limit.
pub(super) fn age(name: &str, seconds: f64) -> PyResult<Option<Duration>> {
    let age = timeout(name, seconds)?;
    Ok((age != Duration::MAX).then_some(age))
}

/// A number of bytes, given by the argument `name`; infinite for no limit.
pub(super) fn size(name: &str, bytes: f64) -> PyResult<Option<u64>> {
    if bytes.is_nan() || bytes < 0.0 {
        return Err(PyValueError::new_err(format!(
            "{name}={bytes}: must be a number of bytes, 0 or more"
        )));
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is larger than any file becomes the largest number"
    )]
    Ok(bytes.is_finite().then_some(bytes as u64))
}
