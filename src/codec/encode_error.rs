//! Why an object has no JSON text, and which value in it is at fault.

use std::fmt::Write;

use pyo3::exceptions::{
    PyException, PyMemoryError, PyRecursionError, PyRuntimeError, PyStopIteration,
    PyUnicodeEncodeError,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySlice, PyString, PyType};

use super::buffer::OutOfMemory;
use super::recursion::RecursionLimit;

/// The most characters of a place. A longer place is cut in the middle.
const MAX_PLACE: usize = 160;

/// Why an object has no JSON text.
pub(crate) enum EncodeError {
    /// `json` refuses the value at `place` (`$.vessels[3].cost`).
    Unserializable { place: String, cause: PyErr },
    /// The value is not the reason: memory ran out, or a signal arrived.
    Other(PyErr),
}

/// Why the encoder stopped.
#[derive(Debug)]
pub(super) enum EncodeStop {
    /// There is no more memory.
    OutOfMemory,
    /// Something was raised.
    Raised(Box<Raised>),
}

/// An exception, and where it was raised.
#[derive(Debug)]
pub(super) struct Raised {
    cause: PyErr,
    /// The steps down to the value (`.cost`, `[3]`), innermost first.
    steps: Vec<String>,
    /// A thread with a larger stack could write the value.
    stack_is_small: bool,
}

impl From<OutOfMemory> for EncodeStop {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<PyErr> for EncodeStop {
    #[cold]
    fn from(cause: PyErr) -> Self {
        Self::Raised(Box::new(Raised { cause, steps: Vec::new(), stack_is_small: false }))
    }
}

impl EncodeStop {
    /// What was raised for lack of stack.
    #[cold]
    pub(super) fn small_stack(cause: PyErr) -> Self {
        Self::Raised(Box::new(Raised { cause, steps: Vec::new(), stack_is_small: true }))
    }

    /// The stop, seen from the container of the item at `index`.
    #[cold]
    pub(super) fn in_array(self, container: &Bound<'_, PyAny>, index: usize) -> Self {
        self.map(container.py(), |raised| {
            raised.steps.push(format!("[{index}]"));
            let note = |kind: &str| format!("when serializing {kind} item {index}");
            raised.note(container, |kind| Ok(PyString::new(container.py(), &note(kind)).into_any()))
        })
    }

    /// The stop, seen from the dictionary that has the value under `key`. `json` notes the
    /// text that it has made of the key.
    #[cold]
    pub(super) fn in_dict<'py>(
        self,
        container: &Bound<'py, PyAny>,
        key: &Bound<'py, PyAny>,
        text: impl FnOnce() -> PyResult<Bound<'py, PyString>>,
    ) -> Self {
        self.map(key.py(), |raised| {
            raised.steps.push(unless_signal(step_to(key), key.py())?);
            raised.note(container, |kind| {
                let note = PyString::new(key.py(), &format!("when serializing {kind} item "));
                // By the interpreter, which can be out of memory: the text may be long.
                note.add(text()?)
            })
        })
    }

    /// The stop, where the key itself is at fault.
    #[cold]
    pub(super) fn at_key(self, key: &Bound<'_, PyAny>) -> Self {
        self.map(key.py(), |raised| {
            // The key can be nested deep, and so its text.
            // safeguard: step-fits-the-stack
            let _limit = RecursionLimit::new(key.py());
            let text = key.repr().and_then(|text| beginning(&text));
            raised.steps.push(format!("[key {}]", unless_signal(text, key.py())?));
            Ok(())
        })
    }

    /// The stop in what `default` has made of `value`: at fault is the value itself.
    #[cold]
    pub(super) fn in_answer_for(self, value: &Bound<'_, PyAny>) -> Self {
        self.map(value.py(), |raised| {
            raised.steps.clear();
            let note = |kind: &str| format!("when serializing {kind} object");
            raised.note(value, |kind| Ok(PyString::new(value.py(), &note(kind)).into_any()))
        })
    }

    /// The stop, with the place where another attempt stops, if it is about the value.
    #[cold]
    pub(super) fn at_the_place(
        self,
        py: Python<'_>,
        attempt: impl FnOnce() -> Option<Self>,
    ) -> Self {
        match self {
            Self::Raised(mut raised) if raised.is_about_the_value(py) => {
                if let Some(Self::Raised(found)) = attempt() {
                    if !found.is_about_the_value(py) {
                        return Self::Raised(found);
                    }
                    raised.steps = found.steps;
                }
                Self::Raised(raised)
            }
            stop => stop,
        }
    }

    /// Adds to what was raised, or replaces it by what adding raises.
    fn map(self, py: Python<'_>, add: impl FnOnce(&mut Raised) -> PyResult<()>) -> Self {
        let Self::Raised(raised) = self else { return self };
        let mut raised = *raised;
        raised.cause = as_of_a_generator(py, raised.cause);
        if let Err(error) = add(&mut raised) {
            raised.cause = error;
        }
        Self::Raised(Box::new(raised))
    }

    /// The error of the whole encoding.
    pub(super) fn into_error(self, py: Python<'_>) -> EncodeError {
        match self {
            Self::OutOfMemory => EncodeError::Other(PyMemoryError::new_err(())),
            Self::Raised(raised) => raised.into_error(py),
        }
    }
}

impl Raised {
    /// Adds the note that `json` adds from Python 3.14 on. `json` adds no note where the text
    /// has no UTF-8, which its caller finds.
    fn note<'py>(
        &self,
        container: &Bound<'py, PyAny>,
        text: impl FnOnce(&str) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = container.py();
        let by_caller = self.cause.is_instance_of::<PyUnicodeEncodeError>(py)
            && self.cause.traceback(py).is_none();
        if py.version_info() < (3, 14) || by_caller {
            return Ok(());
        }
        let kind: Bound<'_, PyType> = container.get_type();
        let note = text(&kind.name()?.to_string_lossy())?;
        self.cause.value(py).call_method1("add_note", (note,)).map(drop)
    }

    /// Not a small stack, no lack of memory and no signal.
    fn is_about_the_value(&self, py: Python<'_>) -> bool {
        !self.stack_is_small
            && !self.cause.is_instance_of::<PyMemoryError>(py)
            && self.cause.is_instance_of::<PyException>(py)
    }

    fn into_error(self, py: Python<'_>) -> EncodeError {
        if !self.is_about_the_value(py) {
            return EncodeError::Other(self.cause);
        }
        let Self { cause, steps, .. } = self;
        let cause = as_of_a_generator(py, cause);
        let mut place = String::from("$");
        // Of what is nested too deep, no step down is more at fault than the next.
        if !cause.is_instance_of::<PyRecursionError>(py) {
            place.extend(steps.iter().rev().map(String::as_str));
        }
        EncodeError::Unserializable { place: shortened(place), cause }
    }
}

/// What Python makes of an exception that leaves a generator, as `json` writes by one.
fn as_of_a_generator(py: Python<'_>, cause: PyErr) -> PyErr {
    if !cause.is_instance_of::<PyStopIteration>(py) {
        return cause;
    }
    let error = PyRuntimeError::new_err("generator raised StopIteration");
    error.set_cause(py, Some(cause));
    error
}

/// The default where the caller's own classes raised an `Exception`: the step has no
/// text then. Anything else (Ctrl-C) goes on to the caller.
fn unless_signal<T: Default>(found: PyResult<T>, py: Python<'_>) -> PyResult<T> {
    match found {
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(T::default()),
        outcome => outcome,
    }
}

/// The place of a value, from the keys and indices down to it.
pub(crate) fn place_of(steps: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut place = String::from("$");
    for step in steps.try_iter()? {
        let step = step?;
        match step.extract::<usize>() {
            // Never fails: a String takes everything.
            Ok(index) => drop(write!(place, "[{index}]")),
            Err(_) => place += &step_to(&step)?,
        }
    }
    Ok(shortened(place))
}

/// The step to the child with this key: `.cost`, or `["the cost"]`.
fn step_to(key: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = beginning(&key.str()?)?;
    let plain = key.is_instance_of::<PyString>()
        && text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
        && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    Ok(if plain { format!(".{text}") } else { format!("[{text:?}]") })
}

/// The first characters of a text. The whole could be larger than the memory left.
fn beginning(text: &Bound<'_, PyString>) -> PyResult<String> {
    // Not through `PySequence`, whose check imports a class under a lock of pyo3: a
    // child forked at that moment would wait for the lock for ever.
    let start = text
        .get_item(PySlice::new(text.py(), 0, MAX_PLACE.cast_signed(), 1))?
        .cast_into::<PyString>()?;
    // Not `to_str`, after which the string, which may be the caller's, keeps its UTF-8.
    let encoded = start.call_method1("encode", ("utf-8", "surrogatepass"))?;
    Ok(String::from_utf8_lossy(encoded.cast::<PyBytes>()?.as_bytes()).into_owned())
}

/// A place without its middle, if it is long.
fn shortened(place: String) -> String {
    let length = place.chars().count();
    if length <= MAX_PLACE {
        return place;
    }
    let half = MAX_PLACE / 2;
    let mut short: String = place.chars().take(half).collect();
    // Never fails: a String takes everything.
    let _ = write!(short, "…{}", place.chars().skip(length - half).collect::<String>());
    short
}
