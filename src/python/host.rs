//! What the storage core asks of Python.

use std::cell::RefCell;

use pyo3::exceptions::{PyMemoryError, PyOSError, PyRecursionError};
use pyo3::prelude::*;

use super::content::DOCUMENTS;
use super::gil::{run_python, with_gil, without_gil};
use crate::codec::{self, DecodeError};
use crate::engine::{self, Host, Key, Notice};

thread_local! {
    /// What a signal handler raised while the core was asking.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// The interpreter that the core runs in. Asked without its lock.
#[derive(Debug)]
pub(super) struct PythonHost;

impl Host for PythonHost {
    fn found_corrupt(&self, file: Key) -> bool {
        DOCUMENTS.with(|cache| cache.was_corrupt(file))
    }

    fn parses(&self, bytes: &[u8]) -> bool {
        with_gil(|py| match codec::decode(py, bytes) {
            Ok(_) => true,
            Err(DecodeError::Corrupt { .. }) => false,
            Err(DecodeError::Other(error)) => {
                keep_if_raised(py, error);
                false
            }
        })
        // An interpreter that has ended cannot tell, and what cannot be told may be precious.
        .unwrap_or(false)
    }
}

/// Imports what is called without the caller's knowledge: a process that has given up
/// its privileges by then may not come at it any more.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    py.import("oasis_data._standard").map(drop)
}

/// Keeps what a signal handler (or an audit hook) raised. What the interpreter raises
/// itself only says that it could not do what it was asked.
fn keep_if_raised(py: Python<'_>, error: PyErr) {
    let own = error.is_instance_of::<PyMemoryError>(py)
        || error.is_instance_of::<PyRecursionError>(py)
        || error.is_instance_of::<PyOSError>(py);
    if !own {
        RAISED.set(Some(error));
    }
}

/// What a signal handler raised in this thread since this was last asked: to be
/// raised once the core is done.
pub(super) fn raised() -> Option<PyErr> {
    RAISED.take()
}

/// Runs the core without the interpreter's lock, and then logs what a recovery in it had
/// to say.
pub(super) fn run_core<T: Send>(py: Python<'_>, act: impl FnOnce() -> T + Send) -> T {
    let outcome = without_gil(py, act);
    tell(py);
    outcome
}

/// Logs what recoveries in this thread had to say, in whatever call met them.
pub(super) fn tell(py: Python<'_>) {
    for Notice { path, text } in engine::take_notices() {
        let told = run_python(py, || {
            let log = py.import("oasis_data._logging")?.getattr("log_recovery")?;
            log.call1((path.as_os_str(), text))
        });
        if let Err(error) = told {
            // Of the file itself all is well. A signal handler's exception comes later.
            keep_if_raised(py, error);
        }
    }
}
