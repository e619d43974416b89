//! Which value of a document `json` refuses.

use std::fmt::Write;

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

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
    let mut path = String::from("$");
    // Nested too deeply: every step down is as much at fault as the next.
    if cause.is_instance_of::<PyRecursionError>(value.py()) {
        return Ok(path);
    }
    let mut around = vec![value.clone()];
    while let Some(current) = around.last()
        && let Some((step, child)) = refused_child(current, options)?
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

/// The first child that `json` refuses, as a step of the path; without the
/// child where the key itself is at fault.
type Refused<'py> = Option<(String, Option<Bound<'py, PyAny>>)>;

fn refused_child<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions<'py>,
) -> PyResult<Refused<'py>> {
    let py = value.py();
    if let Ok(dict) = value.cast::<PyDict>() {
        // A list of the pairs, since `default` may change the dictionary.
        for pair in dict.call_method0("items")?.try_iter()?.collect::<PyResult<Vec<_>>>()? {
            let (key, child) = pair.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
            let alone = PyDict::new(py);
            alone.set_item(&key, py.None())?;
            if !can_dump(&alone, options)? {
                return Ok(Some((format!("[key {}]", key.repr()?.to_string_lossy()), None)));
            }
            if !can_dump(&child, options)? {
                return Ok(Some((step_to(&key)?, Some(child))));
            }
        }
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        for (index, child) in value.try_iter()?.enumerate() {
            let child = child?;
            if !can_dump(&child, options)? {
                return Ok(Some((format!("[{index}]"), Some(child))));
            }
        }
    }
    Ok(None)
}

fn step_to(key: &Bound<'_, PyAny>) -> PyResult<String> {
    let text = key.str()?;
    let text = text.to_string_lossy();
    let plain = key.is_instance_of::<PyString>()
        && text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
        && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    Ok(if plain { format!(".{text}") } else { format!("[{:?}]", &*text) })
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
