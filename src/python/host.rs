//! What the storage core asks of Python.

use std::cell::RefCell;
use std::os::fd::RawFd;

use nix::libc;
use pyo3::exceptions::{PyMemoryError, PyOSError, PyRecursionError};
use pyo3::prelude::*;

use super::gil::{run_python, with_gil, without_gil};
use super::interpreter::Interpreter;
use crate::codec::{self, DecodeError};
use crate::documents::Runtime;
use crate::engine::{self, Host, Key, Notice};
use crate::imported::Imported;

/// Which signal tells of somebody who waits for a lease (`fcntl(2)`).
const F_SETSIG: i32 = 10;

static FCNTL: Imported = Imported::new("fcntl", "fcntl");

thread_local! {
    /// What a signal handler raised while the core was asking.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// The interpreter that the core runs in. Asked without its lock.
#[derive(Debug)]
pub(super) struct PythonHost;

impl Host for PythonHost {
    fn found_corrupt(&self, file: Key) -> bool {
        Interpreter::documents().with(|cache| cache.was_corrupt(file))
    }

    fn lease(&self, descriptor: RawFd) -> bool {
        // Not in an interpreter that is shutting down.
        with_gil(|py| {
            // Told by SIGIO that somebody waits, the process would die of it.
            fcntl(py, descriptor, F_SETSIG, libc::SIGURG)?;
            fcntl(py, descriptor, libc::F_SETLEASE, libc::F_RDLCK)
        })
        .flatten()
        .is_some()
    }

    fn release_unless_awaited(&self, descriptor: RawFd) -> bool {
        with_gil(|py| {
            // While somebody waits, it answers with what the lease is to become.
            let lease = fcntl(py, descriptor, libc::F_GETLEASE, 0)?;
            if lease != libc::F_RDLCK {
                return None;
            }
            fcntl(py, descriptor, libc::F_SETLEASE, libc::F_UNLCK)
        })
        .flatten()
        .is_some()
    }

    fn release(&self, descriptor: RawFd) {
        // Where even this fails, the close that follows releases it too.
        with_gil(|py| fcntl(py, descriptor, libc::F_SETLEASE, libc::F_UNLCK));
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
    FCNTL.get(py)?;
    py.import("oasis_data._standard").map(drop)
}

/// `fcntl.fcntl`: what it answers, or nothing where it fails.
fn fcntl(py: Python<'_>, descriptor: RawFd, command: i32, argument: i32) -> Option<i32> {
    let answer = || FCNTL.get(py)?.call1((descriptor, command, argument))?.extract();
    answer().map_err(|error| keep_if_raised(py, error)).ok()
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
