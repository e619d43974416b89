//! The one place where an error becomes a Python exception.

use std::path::Path;

use pyo3::exceptions::{PyMemoryError, PyOSError, PyRecursionError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use rustix::io::Errno;

use super::advice::message;
use super::gil::run_python;
use crate::codec::{DecodeError, EncodeError};
use crate::engine::MISSING;
use crate::error::{Error, name};
use crate::stack;
use crate::statistics::{COUNTERS, FAILURE_KINDS, FAILURES, Operation};

/// The module of the exceptions.
const ERRORS: &str = "oasis_data.error_handling";

/// Bytes of stack that a load or a save takes at most.
const STACK: usize = if cfg!(debug_assertions) { 96 << 10 } else { 32 << 10 };

/// The classes that are counted apart. Any other counts as the last, their base.
pub(super) const CLASSES: [&str; FAILURE_KINDS] = [
    "AlreadyLockedError",
    "BrokenRulesError",
    "CorruptFileError",
    "DataFileNotFoundError",
    "FolderNotFoundError",
    "InvalidDocumentError",
    "JSONReadError",
    "JSONWriteError",
    "LockTimeoutError",
    "NamedTwiceError",
    "NoBackupError",
    "NotDurableError",
    "OutcomeUnknownError",
    "ReadPermissionError",
    "StorageReadError",
    "StorageWriteError",
    "UnserializableError",
    "VersionConflictError",
    "WritePermissionError",
    "DataOperationError",
];

/// The exception for a failure of storage.
pub(super) fn engine_error(py: Python<'_>, operation: Operation, error: &Error) -> PyErr {
    if let Error::Refused { reason, .. } = error
        && let Some(raised) = reason.downcast_ref::<PyErr>()
    {
        return refusal(py, operation, raised.clone_ref(py));
    }
    let extra = PyDict::new(py);
    let reads = operation == Operation::Read;
    let denied = matches!(
        error.errno().map(Errno::from_raw_os_error),
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS)
    );
    let class = match error {
        Error::NotFound { .. } => "DataFileNotFoundError",
        Error::NoBackup { .. } => "NoBackupError",
        Error::LockTimeout { .. } => "LockTimeoutError",
        Error::VersionConflict { .. } => "VersionConflictError",
        Error::NotDurable { .. } | Error::Unfinished { .. } | Error::NotReplicated { .. } => {
            "NotDurableError"
        }
        Error::OutcomeUnknown { .. } => "OutcomeUnknownError",
        Error::SeveralStores { .. } | Error::ReferenceToOtherStore { .. } => "StorageWriteError",
        Error::NamedTwice { .. } => "NamedTwiceError",
        Error::Unrecovered { .. } | Error::Interrupted { .. } if reads => "JSONReadError",
        Error::AlreadyLocked { .. } => "AlreadyLockedError",
        Error::Interrupted { .. }
        | Error::LockGone { .. }
        | Error::Unrecovered { .. }
        | Error::EditExpired { .. }
        | Error::Refused { .. } => "JSONWriteError",
        Error::Syscall { .. } | Error::NotAFile { .. } => match (reads, denied) {
            (true, true) => "ReadPermissionError",
            (true, false) => "StorageReadError",
            (false, true) => "WritePermissionError",
            (false, false) if error.errno() == Some(Errno::NOENT.raw_os_error()) => {
                "FolderNotFoundError"
            }
            (false, false) => "StorageWriteError",
        },
    };
    let filled = match error {
        Error::LockTimeout { holder, holder_host, .. } => extra
            .set_item("holder", holder)
            .and_then(|()| extra.set_item("holder_host", holder_host)),
        Error::VersionConflict { expected, found, .. } => extra
            .set_item("expected", expected.as_deref().unwrap_or(MISSING))
            .and_then(|()| extra.set_item("found", found.as_deref().unwrap_or(MISSING))),
        _ => Ok(()),
    };
    let cause = error.errno().map(|errno| os_error(py, errno, error.path()));
    match filled {
        Ok(()) => build(py, class, operation, error.path(), &message(error), cause, &extra),
        Err(failure) => failure,
    }
}

/// What rules raised against a write, as it is, and counted where it is a failure of ours.
pub(super) fn refusal(py: Python<'_>, operation: Operation, raised: PyErr) -> PyErr {
    let class_of = || -> PyResult<Option<String>> {
        for class in raised.get_type(py).mro() {
            let class = class.cast_into::<PyType>()?;
            let name = class.name()?.to_string();
            if class.module()?.to_cow()? == ERRORS && CLASSES.contains(&&*name) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    };
    // A class that cannot tell its name is nobody's that is counted.
    if let Ok(Some(class)) = class_of() {
        count(operation, &class);
    }
    raised
}

/// Whether an exception says that a document does not obey the rules.
pub(super) fn is_of_rules(py: Python<'_>, raised: &PyErr) -> bool {
    let class = py.import(ERRORS).and_then(|errors| errors.getattr("InvalidDocumentError"));
    class.is_ok_and(|class| raised.is_instance(py, &class))
}

/// The exception for a document that cannot be encoded.
pub(super) fn encode_error(
    py: Python<'_>,
    path: &Path,
    error: EncodeError,
    has_default: bool,
) -> PyErr {
    let name = name(path);
    match error {
        EncodeError::Unserializable { place, cause } => {
            // With default= the text may be the caller's own, and say anything.
            let reason = if has_default {
                kind_of(py, &cause)
            } else {
                let text = cause.value(py).str();
                text.map_or_else(
                    |_| kind_of(py, &cause),
                    |text| text.to_string_lossy().into_owned(),
                )
            };
            let remedy = if reason.starts_with("Out of range float") {
                " (allow_nan=True writes it, as json.dump does)"
            } else {
                ""
            };
            let message = format!(
                "{name}: cannot be written as JSON at {place}: {reason}{remedy}; nothing was saved"
            );
            let extra = PyDict::new(py);
            match extra.set_item("place", place) {
                Ok(()) => build(
                    py,
                    "UnserializableError",
                    Operation::Write,
                    path,
                    &message,
                    Some(cause),
                    &extra,
                ),
                Err(failure) => failure,
            }
        }
        EncodeError::Other(cause) => other(py, Operation::Write, path, "encoding it", cause),
    }
}

/// The exception for a file that is not a document.
pub(super) fn decode_error(py: Python<'_>, path: &Path, error: DecodeError, empty: bool) -> PyErr {
    match error {
        DecodeError::Corrupt { reason, position, cause } => {
            let what = if empty { "the file is empty" } else { &reason };
            let message = format!(
                "{}: not a JSON document: {what}: line {} column {} (char {}); mend that place or restore a backup",
                name(path),
                position.lineno,
                position.colno,
                position.pos
            );
            let extra = PyDict::new(py);
            let filled = extra
                .set_item("reason", reason)
                .and_then(|()| extra.set_item("pos", position.pos))
                .and_then(|()| extra.set_item("lineno", position.lineno))
                .and_then(|()| extra.set_item("colno", position.colno));
            match filled {
                Ok(()) => build(
                    py,
                    "CorruptFileError",
                    Operation::Read,
                    path,
                    &message,
                    Some(cause),
                    &extra,
                ),
                Err(failure) => failure,
            }
        }
        DecodeError::Other(cause) => other(py, Operation::Read, path, "decoding it", cause),
    }
}

/// Refuses what would need more of the thread's stack than is left: an overflow ends the
/// process.
pub(super) fn require_stack(py: Python<'_>, operation: Operation, path: &Path) -> PyResult<()> {
    let left = stack::remaining();
    if left >= STACK {
        return Ok(());
    }
    let reason = format!(
        "this thread has {} KiB of its stack left, and {} KiB may be needed; give it more (threading.stack_size), or call this less deep",
        left >> 10,
        STACK >> 10,
    );
    let message = format!("{}: {reason}; the file is as it was", name(path));
    let class = if operation == Operation::Read { "JSONReadError" } else { "JSONWriteError" };
    let cause = PyRecursionError::new_err(reason);
    Err(build(py, class, operation, path, &message, Some(cause), &PyDict::new(py)))
}

/// A failure that is not about the document. What the interpreter ran out of is
/// told as one of ours; an exception of anybody else's is passed on as it is.
fn other(py: Python<'_>, operation: Operation, path: &Path, doing: &str, cause: PyErr) -> PyErr {
    if !cause.is_instance_of::<PyMemoryError>(py) && !cause.is_instance_of::<PyRecursionError>(py) {
        return cause;
    }
    let class = if operation == Operation::Read { "JSONReadError" } else { "JSONWriteError" };
    let kind = kind_of(py, &cause);
    let advice = if cause.is_instance_of::<PyRecursionError>(py) {
        ": this thread's stack is too small for it; give it more (threading.stack_size), call \
         this less deep, or nest the document less"
    } else {
        ""
    };
    let message = format!("{}: {doing} failed: {kind}{advice}; the file is as it was", name(path));
    build(py, class, operation, path, &message, Some(cause), &PyDict::new(py))
}

fn kind_of(py: Python<'_>, error: &PyErr) -> String {
    let name = error.get_type(py).name();
    name.map_or_else(|_| "an exception".to_owned(), |name| name.to_string())
}

fn os_error(py: Python<'_>, errno: i32, path: &Path) -> PyErr {
    let text = py
        .import("os")
        .and_then(|os| os.call_method1("strerror", (errno,)))
        .and_then(|text| text.extract::<String>())
        .unwrap_or_default();
    PyOSError::new_err((errno, text, path.as_os_str().to_os_string()))
}

/// Counts the failure, and calls the exception's class in
/// `oasis_data.error_handling`.
fn build(
    py: Python<'_>,
    class: &str,
    operation: Operation,
    path: &Path,
    message: &str,
    cause: Option<PyErr>,
    extra: &Bound<'_, PyDict>,
) -> PyErr {
    count(operation, class);
    let built = || -> PyResult<PyErr> {
        let module = py.import(ERRORS)?;
        let operation = module.getattr("OperationType")?.call1((operation.name(),))?;
        let original = cause.as_ref().map(|cause| cause.value(py).clone());
        let arguments = (operation, path.as_os_str(), message, original);
        Ok(PyErr::from_value(module.getattr(class)?.call(arguments, Some(extra))?))
    };
    match run_python(py, built) {
        Ok(error) => {
            error.set_cause(py, cause);
            error
        }
        // No room to say it better.
        Err(failure)
            if failure.is_instance_of::<PyMemoryError>(py)
                || failure.is_instance_of::<PyRecursionError>(py) =>
        {
            cause.unwrap_or(failure)
        }
        // A signal handler's.
        // safeguard: signal-while-telling-failure
        Err(failure) => failure,
    }
}

/// Counts a failure of this class.
fn count(operation: Operation, class: &str) {
    match operation {
        Operation::Read => COUNTERS.read_failures.count(),
        Operation::Write | Operation::Delete => COUNTERS.write_failures.count(),
    }
    let kind = CLASSES.iter().position(|kind| *kind == class).unwrap_or(CLASSES.len());
    // safeguard: failures-counted
    FAILURES.count(operation, kind);
}
