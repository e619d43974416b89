//! Why an object has no JSON text, and which value in it `json` refuses.

use std::fmt::Write;

use pyo3::exceptions::{PyException, PyRecursionError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySlice, PyString, PyTuple};

use super::encode_options::EncodeOptions;
use super::stdlib::can_dump;

/// The most characters of a place. A longer place is cut in the middle.
const MAX_PLACE: usize = 160;

/// Why an object has no JSON text.
pub(crate) enum EncodeError {
    /// `json` refuses the value at `place` (`$.vessels[3].cost`).
    Unserializable { place: String, cause: PyErr },
    /// The value is not the reason: memory ran out, or a signal arrived.
    Other(PyErr),
}

/// The place (`$.vessels[3].cost`) of the value for which `json` raised `cause`.
///
/// The search goes down from the top, each time into the first child that `json`
/// refuses by itself. So the search needs no rules of its own about what is refused.
pub(super) fn find_refused(
    value: &Bound<'_, PyAny>,
    options: &EncodeOptions,
    cause: &PyErr,
) -> PyResult<String> {
    let py = value.py();
    let mut place = String::from("$");
    // The nesting is too deep: no step down is more at fault than the next.
    if cause.is_instance_of::<PyRecursionError>(py) {
        return Ok(place);
    }
    let mut ancestors = vec![value.clone()];
    while let Some(current) = ancestors.last()
        && let Some((step, child)) = unless_signal(refused_child(current, options), py)?
    {
        place.push_str(&step);
        // The search ends at a key, and at a container inside itself.
        let Some(child) = child.filter(|child| !ancestors.iter().any(|outer| outer.is(child)))
        else {
            break;
        };
        ancestors.push(child);
    }
    Ok(shortened(place))
}

/// The default where the caller's own classes raised an `Exception`: the search ends
/// there. Anything else (Ctrl-C) goes on to the caller.
fn unless_signal<T: Default>(found: PyResult<T>, py: Python<'_>) -> PyResult<T> {
    match found {
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(T::default()),
        outcome => outcome,
    }
}

/// The first child that `json` refuses, with the step to it (`.cost`, `[3]`). The child
/// is missing where its key is at fault.
type Refused<'py> = Option<(String, Option<Bound<'py, PyAny>>)>;

fn refused_child<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions,
) -> PyResult<Refused<'py>> {
    let py = value.py();
    // The questions that `json` asks, in its order: a proxy answers for its object.
    if value.is_instance(&py.get_type::<PyList>())?
        || value.is_instance(&py.get_type::<PyTuple>())?
    {
        for (index, child) in value.try_iter()?.enumerate().take(value.len()?) {
            let child = child?;
            if !can_dump(&child, options)? {
                return Ok(Some((format!("[{index}]"), Some(child))));
            }
        }
    } else if is_mapping(value)? {
        // No more pairs than there are now: `default` could add pairs for ever.
        let count = unless_signal(value.len().map(Some), py)?.unwrap_or(usize::MAX);
        let pairs = value.call_method0("items")?.try_iter()?.take(count);
        for pair in pairs.collect::<PyResult<Vec<_>>>()? {
            let (key, child) = pair.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
            let key_alone = PyDict::new(py);
            key_alone.set_item(&key, py.None())?;
            if !can_dump(&key_alone, options)? {
                let text = unless_signal(key.repr().and_then(|text| beginning(&text)), py)?;
                return Ok(Some((format!("[key {text}]"), None)));
            }
            if !can_dump(&child, options)? {
                return Ok(Some((step_to(&key)?, Some(child))));
            }
        }
    }
    Ok(None)
}

/// Whether a value is a dictionary, or a `frozendict` (Python 3.15).
fn is_mapping(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    if value.is_instance(&py.get_type::<PyDict>())? {
        return Ok(true);
    }
    let frozen = py.import("builtins")?.getattr_opt("frozendict")?;
    frozen.map_or(Ok(false), |frozen| value.is_instance(&frozen))
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
