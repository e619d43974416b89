//! A private copy of a decoded document: its dictionaries and lists anew, the
//! strings and numbers in them shared, since nobody can change those.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Copies `document`, however deep, without recursion.
pub(crate) fn clone<'py>(document: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let Some(copy) = shallow(document)? else { return Ok(document.clone()) };
    let mut open = vec![copy.clone()];
    while let Some(container) = open.pop() {
        // Each container is a whole copy already; only the containers in it
        // are still shared and are replaced one by one.
        if let Ok(dict) = container.cast::<PyDict>() {
            // Setting the value of a key that is there leaves the iteration
            // whole, and nobody else has this dictionary yet.
            for (key, child) in dict.iter() {
                if let Some(child) = shallow(&child)? {
                    dict.set_item(key, &child)?;
                    open.push(child);
                }
            }
        } else if let Ok(list) = container.cast::<PyList>() {
            for index in 0..list.len() {
                if let Some(child) = shallow(&list.get_item(index)?)? {
                    list.set_item(index, &child)?;
                    open.push(child);
                }
            }
        }
    }
    Ok(copy)
}

/// One level of copy for what can be changed, or `None` for the rest.
fn shallow<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        Ok(Some(dict.copy()?.into_any()))
    } else if let Ok(list) = value.cast_exact::<PyList>() {
        Ok(Some(list.get_slice(0, list.len()).into_any()))
    } else {
        Ok(None)
    }
}
