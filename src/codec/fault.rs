//! Which value of a document `json` refuses.

use std::fmt::Write;

use pyo3::exceptions::{PyException, PyRecursionError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySlice, PyString, PyTuple};

use super::standard::{EncodeOptions, can_dump};

/// A longer path is cut in the middle: nobody reads past it.
const MAX_PATH: usize = 160;

/// The path (`$.vessels[3].cost`) of the value for which `json` raised `cause`:
/// down from the top, always into the first child that `json` refuses by
/// itself. So the reason never has to be known here.
pub(crate) fn locate<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions<'py>,
    cause: &PyErr,
) -> PyResult<String> {
    let py = value.py();
    let mut path = String::from("$");
    // Nested too deeply: every step down is as much at fault as the next.
    if cause.is_instance_of::<PyRecursionError>(py) {
        return Ok(path);
    }
    let mut around = vec![value.clone()];
    while let Some(current) = around.last()
        && let Some((step, child)) = unless_signal(refused_child(current, options), py)?
    {
        path.push_str(&step);
        // A key, or a container inside itself: there is nothing further down.
        let Some(child) = child.filter(|child| !around.iter().any(|outer| outer.is(child))) else {
            break;
        };
        around.push(child);
    }
    Ok(shortened(path))
}

/// What foreign methods raise while they are asked about their children ends
/// the search there; only what is no `Exception` (Ctrl-C) goes on.
fn unless_signal<T: Default>(found: PyResult<T>, py: Python<'_>) -> PyResult<T> {
    match found {
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(T::default()),
        outcome => outcome,
    }
}

/// The first child that `json` refuses, as a step of the path; without the
/// child where the key itself is at fault.
type Refused<'py> = Option<(String, Option<Bound<'py, PyAny>>)>;

fn refused_child<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions<'py>,
) -> PyResult<Refused<'py>> {
    let py = value.py();
    // As `json` asks, and in its order: a proxy says that it is what stands behind it.
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
        // No more pairs than there are now: `default` may add some for ever.
        let most = unless_signal(value.len().map(Some), py)?.unwrap_or(usize::MAX);
        let pairs = value.call_method0("items")?.try_iter()?.take(most);
        for pair in pairs.collect::<PyResult<Vec<_>>>()? {
            let (key, child) = pair.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
            let alone = PyDict::new(py);
            alone.set_item(&key, py.None())?;
            if !can_dump(&alone, options)? {
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

/// Whether it is a dictionary, or from Python 3.15 on a frozen one.
fn is_mapping(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    if value.is_instance(&py.get_type::<PyDict>())? {
        return Ok(true);
    }
    let frozen = py.import("builtins")?.getattr_opt("frozendict")?;
    frozen.map_or(Ok(false), |frozen| value.is_instance(&frozen))
}

fn step_to(key: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = beginning(&key.str()?)?;
    let plain = key.is_instance_of::<PyString>()
        && text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
        && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    Ok(if plain { format!(".{text}") } else { format!("[{text:?}]") })
}

/// As much of a text as may be shown: the whole could be larger than the memory
/// that is left.
fn beginning(text: &Bound<'_, PyString>) -> PyResult<String> {
    // Not as a `PySequence`: to tell one, pyo3 imports something, under a lock that a
    // child forked meanwhile would wait for.
    let start = text
        .get_item(PySlice::new(text.py(), 0, MAX_PATH.cast_signed(), 1))?
        .cast_into::<PyString>()?;
    // Not as UTF-8 that the string then keeps: it may be the caller's own.
    let encoded = start.call_method1("encode", ("utf-8", "surrogatepass"))?;
    Ok(String::from_utf8_lossy(encoded.cast::<PyBytes>()?.as_bytes()).into_owned())
}

fn shortened(path: String) -> String {
    let length = path.chars().count();
    if length <= MAX_PATH {
        return path;
    }
    let half = MAX_PATH / 2;
    let mut short: String = path.chars().take(half).collect();
    // Infallible: a String takes everything.
    let _ = write!(short, "…{}", path.chars().skip(length - half).collect::<String>());
    short
}
