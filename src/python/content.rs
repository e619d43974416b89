//! Documents as the cache keeps them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::prelude::*;

use super::gil::run_python;
use crate::codec::{self, CopyPlan, DecodeError};
use crate::documents::kept::Documents;

/// The documents that this process keeps.
pub(super) static DOCUMENTS: Documents<Content> = Documents::new();

/// A document as the cache keeps it.
pub(super) struct Content {
    state: Mutex<State>,
    // Not pyo3's: see `Imported`.
    copy_plan: OnceLock<CopyPlan>,
}

/// Text until the document is asked for again.
enum State {
    Text(Arc<Vec<u8>>),
    Document(Py<PyAny>),
}

impl Content {
    /// To be decoded when it is asked for.
    pub(super) fn text(text: Arc<Vec<u8>>) -> Self {
        Self { state: State::Text(text).into(), copy_plan: OnceLock::new() }
    }

    /// To be lent, and copied.
    pub(super) fn document(document: Py<PyAny>) -> Self {
        Self { state: State::Document(document).into(), copy_plan: OnceLock::new() }
    }

    /// The one object that every borrower gets.
    pub(super) fn borrow_shared<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<Bound<'py, PyAny>, DecodeError> {
        let state = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match &*state() {
            State::Document(document) => return Ok(document.bind(py).clone()),
            State::Text(text) => Arc::clone(text),
        };
        // Not under the lock: `json` may have to do it, which runs Python code.
        let decoded = run_python(py, || codec::decode(py, &text))?;
        let mut state = state();
        if let State::Document(first) = &*state {
            return Ok(first.bind(py).clone());
        }
        *state = State::Document(decoded.clone().unbind());
        Ok(decoded)
    }

    /// A copy of the caller's own; and bytes by which this has grown.
    pub(super) fn copy<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<(Bound<'py, PyAny>, usize), DecodeError> {
        let (plan, grown) = if let Some(plan) = self.copy_plan.get() {
            (plan, 0)
        } else {
            let plan = CopyPlan::of(&self.borrow_shared(py)?);
            let grown = plan.size();
            // safeguard: plan-set-once
            (self.copy_plan.get_or_init(|| plan), grown)
        };
        Ok((plan.copy(py).map_err(DecodeError::Other)?, grown))
    }

    /// Bytes that it takes beside the document.
    pub(super) fn extra_size(&self) -> usize {
        self.copy_plan.get().map_or(0, CopyPlan::size)
    }
}
