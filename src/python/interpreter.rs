//! The Python interpreter, as `documents` asks for it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

use super::content::{Content, DOCUMENTS};
use super::exceptions::{decode_error, engine_error, require_stack};
use super::gil::{run_python, with_gil, without_gil};
use super::host;
use crate::codec::{self, DecodeError};
use crate::documents::kept::Documents;
use crate::documents::{self, Failure, Runtime};
use crate::engine::Signals;
use crate::error::{Error, Result};
use crate::statistics::Operation;

/// The interpreter, with its lock held.
#[derive(Clone, Copy)]
pub(super) struct Interpreter<'py>(pub(super) Python<'py>);

impl<'py> Runtime for Interpreter<'py> {
    type Document = Bound<'py, PyAny>;
    type Kept = Content;
    type DecodeError = DecodeError;
    type Raised = PyErr;

    fn documents() -> &'static Documents<Content> {
        &DOCUMENTS
    }

    fn without_lock<T: Send>(self, act: impl FnOnce() -> T + Send) -> T {
        without_gil(self.0, act)
    }

    fn run<T: Send>(
        self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce(&dyn Signals) -> T + Send,
    ) -> PyResult<T> {
        require_stack(self.0, operation, path)?;
        let handlers = Handlers::default();
        let outcome = host::run_core(self.0, || act(&handlers));
        match handlers.raised().or_else(host::raised) {
            Some(raised) => Err(raised),
            None => Ok(outcome),
        }
    }

    fn check_signals(self) -> PyResult<()> {
        self.0.check_signals()
    }

    fn decode(self, text: &[u8]) -> std::result::Result<Self::Document, DecodeError> {
        run_python(self.0, || codec::decode(self.0, text))
    }

    fn keep_text(text: Arc<Vec<u8>>) -> Content {
        Content::text(text)
    }

    fn keep_document(self, document: &Self::Document) -> Content {
        Content::document(document.clone().unbind())
    }

    fn extra_size(kept: &Content) -> usize {
        kept.extra_size()
    }

    fn copy(self, kept: &Content) -> std::result::Result<(Self::Document, usize), DecodeError> {
        kept.copy(self.0)
    }

    fn borrow_shared(self, kept: &Content) -> std::result::Result<Self::Document, DecodeError> {
        kept.borrow_shared(self.0)
    }
}

impl documents::DecodeError for DecodeError {
    fn corruption(&self) -> Option<String> {
        match self {
            Self::Corrupt { reason, position, .. } => {
                Some(format!("{reason}: line {} column {}", position.lineno, position.colno))
            }
            Self::Other(_) => None,
        }
    }
}

impl Interpreter<'_> {
    /// Acts without the interpreter's lock, and makes an exception of an error.
    pub(super) fn wait<T: Send>(
        self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce(&dyn Signals) -> Result<T> + Send,
    ) -> PyResult<T> {
        require_stack(self.0, operation, path)?;
        let handlers = Handlers::default();
        let outcome = host::run_core(self.0, || act(&handlers));
        match (handlers.raised().or_else(host::raised), outcome) {
            // What the handler wants is known; what became of the document has to be told.
            // safeguard: unknown-outcome-told
            (Some(raised), Err(error @ Error::OutcomeUnknown { .. })) => {
                let failed = self.failed(operation, path, &error);
                failed.value(self.0).setattr("__context__", raised.value(self.0))?;
                Err(failed)
            }
            (Some(raised), _) => {
                DOCUMENTS.forget(path, None);
                Err(raised)
            }
            (None, outcome) => outcome.map_err(|error| self.failed(operation, path, &error)),
        }
    }

    /// The exception for a failure of storage, after which nothing that was kept is trusted.
    pub(super) fn failed(self, operation: Operation, path: &Path, error: &Error) -> PyErr {
        DOCUMENTS.forget(path, None);
        engine_error(self.0, operation, error)
    }

    /// The exception for a failure in `documents`.
    pub(super) fn exception(self, operation: Operation, failure: Failure<Self>) -> PyErr {
        match failure {
            Failure::Engine(error) => engine_error(self.0, operation, &error),
            Failure::Decode { path, error, empty } => decode_error(self.0, &path, error, empty),
            Failure::Raised(raised) => raised,
        }
    }
}

/// Runs Python's signal handlers during a wait, and keeps what they raise.
#[derive(Default)]
struct Handlers {
    raised: Mutex<Option<PyErr>>,
}

impl Handlers {
    fn raised(&self) -> Option<PyErr> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Signals for Handlers {
    fn pending(&self) -> bool {
        let interrupted = with_gil(|py| match py.check_signals() {
            Ok(()) => false,
            Err(raised) => {
                *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = Some(raised);
                true
            }
        });
        // Where there is no interpreter any more, nobody waits for this.
        interrupted.unwrap_or(true)
    }
}
