//! Rules: the Python object that is asked before each write, and what it answers with, which
//! judges the write.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyList};

use super::encoding::encoded_noting;
use super::exceptions::{engine_error, refusal};
use super::gil::{run_python, with_gil};
use super::interpreter::Interpreter;
use crate::codec::EncodeOptions;
use crate::documents::load_many::read_many;
use crate::engine::judge::Contents;
use crate::engine::{Judge, Refusal, State, group};
use crate::error::Error;
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

/// The judge of a restore of `text` as the document at `path`, where rules concern it. As
/// another text may be restored in its place, nothing is refused before the judge has spoken,
/// nothing is counted, and where the documents lie is not looked at.
///
/// # Errors
///
/// Whatever the rules raise.
pub(super) fn judge_of_restore(
    py: Python<'_>,
    path: &Path,
    text: &[u8],
) -> PyResult<Option<Arc<dyn Judge>>> {
    let judge = run_python(py, || match judgement_of(py, Operation::Write, &[path])? {
        Some(judgement) => PythonJudge::of(&judgement, &[Some(text)], &[]),
        None => Ok(None),
    })?;
    Ok(judge.map(|judge| Arc::new(judge) as Arc<dyn Judge>))
}

/// The judgement of a write; `None` where no rule concerns it.
fn judgement_of<'py, P: AsRef<Path>>(
    py: Python<'py>,
    operation: Operation,
    paths: &[P],
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let rules = {
        let rules = RULES.lock().unwrap_or_else(PoisonError::into_inner);
        rules.as_ref().map(|rules| rules.clone_ref(py))
    };
    let Some(rules) = rules else { return Ok(None) };
    let named = PyList::new(py, paths.iter().map(|path| path.as_ref().as_os_str()))?;
    let deletes = operation == Operation::Delete;
    let judgement = rules.bind(py).call_method1("judgement", (named, deletes))?;
    Ok(Some(judgement).filter(|judgement| !judgement.is_none()))
}

/// What the rules say of a write, asked before its documents are encoded.
pub(super) struct Asked<'py> {
    py: Python<'py>,
    operation: Operation,
    first: PathBuf,
    judgement: Option<Bound<'py, PyAny>>,
    /// For each document that was encoded: whether it is known to obey its schema.
    obeys: Vec<bool>,
}

impl<'py> Asked<'py> {
    /// # Errors
    ///
    /// Whatever the rules raise, counted as a failure.
    pub(super) fn about<P: AsRef<Path>>(
        py: Python<'py>,
        operation: Operation,
        paths: &[P],
    ) -> PyResult<Self> {
        let (mut first, mut judgement) = (PathBuf::new(), None);
        if ANY.load(Ordering::Relaxed)
            && let Some(path) = paths.first()
        {
            first = path.as_ref().to_path_buf();
            judgement = run_python(py, || judgement_of(py, operation, paths))
                .map_err(|raised| refusal(py, operation, raised))?;
        }
        Ok(Self { py, operation, first, judgement, obeys: Vec::new() })
    }

    /// The text of the next document.
    ///
    /// # Errors
    ///
    /// It has no text.
    pub(super) fn encoded(
        &mut self,
        path: &Path,
        data: &Bound<'py, PyAny>,
        options: &EncodeOptions,
    ) -> PyResult<Vec<u8>> {
        let encoded = encoded_noting(path, data, options)?;
        if let Some(judgement) = &self.judgement {
            // Right after the encoding: no Python code has run, which could have changed it.
            let obeys = encoded.plain && obeys(judgement, self.obeys.len(), data)?;
            self.obeys.push(obeys);
        }
        Ok(encoded.text)
    }

    /// The judge of the write, whose new contents are `texts`, where the rules want to see it
    /// under the locks; nothing deletes a document. What others hold is waited for until the end
    /// of `timeout`.
    ///
    /// # Errors
    ///
    /// Whatever the rules raise, counted as a failure: the write is refused.
    pub(super) fn judge<T: AsRef<[u8]>>(
        self,
        texts: &[Option<T>],
        timeout: Duration,
    ) -> PyResult<Option<Arc<dyn Judge>>> {
        let Self { py, operation, first, judgement, obeys } = self;
        let Some(judgement) = judgement else { return Ok(None) };
        let judge = run_python(py, || PythonJudge::of(&judgement, texts, &obeys))
            .map_err(|raised| refusal(py, operation, raised))?;
        let Some(judge) = judge else { return Ok(None) };
        group::require_one_store(&first, &judge)
            .map_err(|error| engine_error(py, operation, &error))?;
        // Before any lock: a save that changes nothing is not judged under the locks. Nothing will
        // be written, so it is enough that what the others hold is of one moment.
        // safeguard: unchanged-save-obeys
        if judge.refuses_anyway() {
            let interpreter = Interpreter(py);
            let companions = read_many(interpreter, &judge.companions, timeout)
                .map_err(|failure| interpreter.exception(operation, failure))?;
            let state = State {
                before: Vec::new(),
                after: texts.iter().map(|text| text.as_ref().map(AsRef::as_ref)).collect(),
                companions: companions.iter().map(Option::as_deref).collect(),
            };
            judge.judge(&state).map_err(|reason| {
                engine_error(py, operation, &Error::Refused { path: first, reason })
            })?;
        }
        Ok(Some(Arc::new(judge)))
    }
}

/// Whether an object obeys its schema, as far as one call of a library tells, which runs no
/// Python code. `false` where that is to be asked of the text.
fn obeys(judgement: &Bound<'_, PyAny>, index: usize, data: &Bound<'_, PyAny>) -> PyResult<bool> {
    let Some(valid) = judgement.getattr_opt("valid")? else { return Ok(false) };
    let valid = valid.get_item(index)?;
    if valid.is_none() {
        return Ok(false);
    }
    match valid.call1((data,)) {
        Ok(answer) => Ok(answer.is(PyBool::new(data.py(), true))),
        Err(raised) if raised.is_instance_of::<PyException>(data.py()) => Ok(false),
        Err(raised) => Err(raised),
    }
}

/// A judgement of the rules.
#[derive(Debug)]
struct PythonJudge {
    judgement: Py<PyAny>,
    group: Option<PathBuf>,
    companions: Vec<PathBuf>,
    wants_before: bool,
    /// What the texts have against their schemas. Of one write, while the judgement may be
    /// that of writes in other threads too.
    faults: Vec<Py<PyAny>>,
}

impl PythonJudge {
    /// The judge of a write, once its texts are checked, but for those known to obey.
    fn of<T: AsRef<[u8]>>(
        judgement: &Bound<'_, PyAny>,
        texts: &[Option<T>],
        obeys: &[bool],
    ) -> PyResult<Option<Self>> {
        let py = judgement.py();
        let mut faults = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            if obeys.get(index) == Some(&true) {
                continue;
            }
            if let Some(text) = text {
                let found = judgement.call_method1("check", (index, bytes(py, text.as_ref())?))?;
                for fault in found.try_iter()? {
                    faults.push(fault?.unbind());
                }
            }
        }
        let group: Option<PathBuf> = judgement.getattr("group")?.extract()?;
        if group.is_none() && faults.is_empty() {
            return Ok(None);
        }
        let wants_before = judgement.getattr("wants_before")?.extract()?;
        let companions = judgement.getattr("companions")?.extract()?;
        let judgement = judgement.clone().unbind();
        Ok(Some(Self { judgement, group, companions, wants_before, faults }))
    }

    /// Whether the write is refused whatever the documents hold now.
    fn refuses_anyway(&self) -> bool {
        !self.faults.is_empty() && !self.wants_before
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
            // safeguard: faults-reach-the-judge
            let faults = PyList::new(py, &self.faults)?;
            let state = (list(py, before)?, list(py, after)?, list(py, companions)?, faults);
            self.judgement.call_method1(py, "judge", state).map(drop)
        });
        match judged {
            Some(judged) => judged.map_err(Refusal::from),
            // Nobody can judge it any more.
            None => Err(Refusal::from("the interpreter has ended; nothing was changed")),
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
