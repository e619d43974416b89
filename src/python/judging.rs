//! Rules: the Python object that is asked before each write, and what it answers with, which
//! judges the write.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::exceptions::{engine_error, refusal};
use super::gil::{run_python, with_gil};
use crate::engine::judge::Contents;
use crate::engine::{Judge, Refusal, State, group};
use crate::statistics::Operation;

/// Whether there are rules: all that a write asks where there are none.
static ANY: AtomicBool = AtomicBool::new(false);
/// Used with the interpreter's lock held, so that no fork finds it locked.
static RULES: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

/// Puts rules in force for every later write of this process, or none.
#[pyfunction]
#[pyo3(signature = (rules, /))]
pub(super) fn use_rules(rules: Option<Py<PyAny>>) {
    ANY.store(rules.is_some(), Ordering::Relaxed);
    let before =
        std::mem::replace(&mut *RULES.lock().unwrap_or_else(PoisonError::into_inner), rules);
    // Not under the mutex: its end may run Python code.
    drop(before);
}

/// Asks the rules about a write of the documents at `paths`, whose new contents are `texts`;
/// nothing deletes a document. Answers with the judge of the write, where the rules want to see
/// it under the locks.
///
/// # Errors
///
/// Whatever the rules raise, counted as a failure: the write is refused.
pub(super) fn judge<P: AsRef<Path>, T: AsRef<[u8]>>(
    py: Python<'_>,
    operation: Operation,
    paths: &[P],
    texts: &[Option<T>],
) -> PyResult<Option<Arc<dyn Judge>>> {
    if !ANY.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let judge = ask(py, paths, texts).map_err(|raised| refusal(py, operation, raised))?;
    if let (Some(judge), Some(first)) = (&judge, paths.first()) {
        group::require_one_store(first.as_ref(), &**judge)
            .map_err(|error| engine_error(py, operation, &error))?;
    }
    Ok(judge)
}

/// The same for a write that may be given up for another: nothing is counted, and where the
/// documents lie is not looked at.
///
/// # Errors
///
/// Whatever the rules raise.
pub(super) fn ask<P: AsRef<Path>, T: AsRef<[u8]>>(
    py: Python<'_>,
    paths: &[P],
    texts: &[Option<T>],
) -> PyResult<Option<Arc<dyn Judge>>> {
    let rules = {
        let rules = RULES.lock().unwrap_or_else(PoisonError::into_inner);
        rules.as_ref().map(|rules| rules.clone_ref(py))
    };
    let Some(rules) = rules else { return Ok(None) };
    run_python(py, || PythonJudge::ask(rules.bind(py), paths, texts))
}

/// A judgement of the rules.
#[derive(Debug)]
struct PythonJudge {
    judgement: Py<PyAny>,
    group: Option<PathBuf>,
    companions: Vec<PathBuf>,
    wants_before: bool,
}

impl PythonJudge {
    fn ask<P: AsRef<Path>, T: AsRef<[u8]>>(
        rules: &Bound<'_, PyAny>,
        paths: &[P],
        texts: &[Option<T>],
    ) -> PyResult<Option<Arc<dyn Judge>>> {
        let py = rules.py();
        let named = PyList::new(py, paths.iter().map(|path| path.as_ref().as_os_str()))?;
        let judgement = rules.call_method1("judgement", (named,))?;
        if judgement.is_none() {
            return Ok(None);
        }
        for (index, text) in texts.iter().enumerate() {
            if let Some(text) = text {
                judgement.call_method1("check", (index, bytes(py, text.as_ref())?))?;
            }
        }
        let group: Option<PathBuf> = judgement.getattr("group")?.extract()?;
        let wants_before: bool = judgement.getattr("wants_before")?.extract()?;
        if group.is_none() && !wants_before {
            return Ok(None);
        }
        let companions = judgement.getattr("companions")?.extract()?;
        let judgement = judgement.unbind();
        Ok(Some(Arc::new(Self { judgement, group, companions, wants_before })))
    }
}

impl Judge for PythonJudge {
    fn group(&self) -> Option<&Path> {
        self.group.as_deref()
    }

    fn companions(&self) -> &[PathBuf] {
        &self.companions
    }

    fn wants_before(&self) -> bool {
        self.wants_before
    }

    fn judge(&self, state: &State<'_>) -> Result<(), Refusal> {
        let judged = with_gil(|py| {
            let State { before, after, companions } = state;
            let state = (list(py, before)?, list(py, after)?, list(py, companions)?);
            self.judgement.call_method1(py, "judge", state).map(drop)
        });
        match judged {
            Some(judged) => judged.map_err(Refusal::from),
            // Nobody can judge it any more.
            None => Err(Refusal::from("the interpreter has ended; nothing was saved")),
        }
    }
}

fn list<'py>(py: Python<'py>, contents: &Contents<'_>) -> PyResult<Bound<'py, PyList>> {
    let each = contents.iter().map(|content| content.map(|text| bytes(py, text)).transpose());
    PyList::new(py, each.collect::<PyResult<Vec<_>>>()?)
}

/// An error, and no panic, where there is no memory.
fn bytes<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, text.len(), |room| {
        room.copy_from_slice(text);
        Ok(())
    })
}
