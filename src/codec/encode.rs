//! Objects to text: plain dictionaries, lists, tuples, strings, integers,
//! floats, booleans and None are written here; anything else sends the whole
//! document to `json`, which also makes the error if there is one to make.

use std::io::{self, Write};

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::buffer::Buffer;
use super::fault;
use super::standard::{self, EncodeOptions};
use crate::statistics::COUNTERS;

/// Deeper documents are left to `json`, which knows the interpreter's limit.
const MAX_DEPTH: usize = 200;

/// Why an object has no JSON text.
pub(crate) enum EncodeError {
    /// `json` refuses the value at `place` (`$.vessels[3].cost`).
    Unserializable { place: String, cause: PyErr },
    /// Not about the value: memory ran out, or a signal arrived.
    Other(PyErr),
}

/// The text of `value`, encoded whole before anything is written anywhere.
pub(crate) fn encode<'py>(
    value: &Bound<'py, PyAny>,
    options: &EncodeOptions<'py>,
) -> Result<Vec<u8>, EncodeError> {
    match write(value, options) {
        Ok(bytes) => return Ok(bytes),
        Err(Stop::OutOfMemory) => return Err(EncodeError::Other(PyMemoryError::new_err(()))),
        Err(Stop::NotCovered) => COUNTERS.encode_fallbacks.count(),
    }
    let mut out = Buffer::default();
    standard::dump(value, options, &mut out).map_err(|cause| {
        let py = value.py();
        if cause.is_instance_of::<PyMemoryError>(py) || !cause.is_instance_of::<PyException>(py) {
            return EncodeError::Other(cause);
        }
        match fault::locate(value, options, &cause) {
            Ok(place) => EncodeError::Unserializable { place, cause },
            Err(signal) => EncodeError::Other(signal),
        }
    })?;
    Ok(out.into_bytes())
}

enum Stop {
    NotCovered,
    OutOfMemory,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        // A buffer has no other error.
        Self::OutOfMemory
    }
}

struct Writer {
    out: Buffer,
    /// One level of indentation; `None` writes everything on one line.
    indent: Option<String>,
    /// The containers around the value being written. A container inside
    /// itself is left to `json`, which reports it.
    around: Vec<*mut pyo3::ffi::PyObject>,
}

/// No Python code runs in here, so the containers cannot change while they are
/// walked: only exact built-in types are touched, and nothing is made that the
/// garbage collector tracks and could start it (an exception, say).
fn write<'py>(value: &Bound<'py, PyAny>, options: &EncodeOptions<'py>) -> Result<Vec<u8>, Stop> {
    // Neither is worth a second way of its own here.
    if options.ensure_ascii || options.sort_keys {
        return Err(Stop::NotCovered);
    }
    let mut writer = Writer {
        out: Buffer::default(),
        indent: options.indent.as_ref().map(indentation).transpose()?,
        around: Vec::new(),
    };
    writer.value(value)?;
    Ok(writer.out.into_bytes())
}

fn indentation(indent: &Bound<'_, PyAny>) -> Result<String, Stop> {
    if let Ok(text) = indent.cast_exact::<PyString>() {
        return text.to_str().map(str::to_owned).map_err(|_| Stop::NotCovered);
    }
    match indent.extract::<i64>() {
        Ok(width @ ..=1024) => Ok(" ".repeat(usize::try_from(width).unwrap_or(0))),
        _ => Err(Stop::NotCovered),
    }
}

impl Writer {
    fn value(&mut self, value: &Bound<'_, PyAny>) -> Result<(), Stop> {
        if let Ok(text) = value.cast_exact::<PyString>() {
            self.string(text)
        } else if let Ok(dict) = value.cast_exact::<PyDict>() {
            self.dict(dict)
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            self.items(value, list.iter())
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            self.items(value, tuple.iter())
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            if !float.value().is_finite() {
                return Err(Stop::NotCovered);
            }
            self.representation(value)
        } else if value.is_none() {
            self.raw(b"null")
        } else if let Ok(truth) = value.cast_exact::<PyBool>() {
            self.raw(if truth.is_true() { b"true" } else { b"false" })
        } else if value.is_exact_instance_of::<PyInt>() {
            self.representation(value)
        } else {
            Err(Stop::NotCovered)
        }
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>) -> Result<(), Stop> {
        if dict.is_empty() {
            return self.raw(b"{}");
        }
        self.enter(dict)?;
        self.raw(b"{")?;
        let mut first = true;
        for (key, value) in dict.iter() {
            let key = key.cast_exact::<PyString>().map_err(|_| Stop::NotCovered)?;
            self.separate(&mut first)?;
            self.string(key)?;
            self.raw(b": ")?;
            self.value(&value)?;
        }
        self.leave()?;
        self.raw(b"}")
    }

    fn items<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
    ) -> Result<(), Stop> {
        if items.len() == 0 {
            return self.raw(b"[]");
        }
        self.enter(container)?;
        self.raw(b"[")?;
        let mut first = true;
        for item in items {
            self.separate(&mut first)?;
            self.value(&item)?;
        }
        self.leave()?;
        self.raw(b"]")
    }

    fn enter(&mut self, container: &Bound<'_, PyAny>) -> Result<(), Stop> {
        if self.around.len() == MAX_DEPTH || self.around.contains(&container.as_ptr()) {
            return Err(Stop::NotCovered);
        }
        self.around.push(container.as_ptr());
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Stop> {
        self.around.pop();
        self.new_line()
    }

    fn separate(&mut self, first: &mut bool) -> Result<(), Stop> {
        if !std::mem::take(first) {
            self.raw(if self.indent.is_some() { b"," } else { b", " })?;
        }
        self.new_line()
    }

    fn new_line(&mut self) -> Result<(), Stop> {
        let Some(indent) = &self.indent else { return Ok(()) };
        self.out.write_all(b"\n")?;
        for _ in &self.around {
            self.out.write_all(indent.as_bytes())?;
        }
        Ok(())
    }

    fn string(&mut self, text: &Bound<'_, PyString>) -> Result<(), Stop> {
        // Lone surrogates have no UTF-8.
        let text = text.to_str().map_err(|_| Stop::NotCovered)?;
        // serde_json escapes as json does with ensure_ascii=False: quotes,
        // backslashes and control characters, the rest as it is.
        Ok(serde_json::to_writer(&mut self.out, text).map_err(io::Error::from)?)
    }

    /// Python's own text of a number: the shortest digits for a float, in the
    /// notation that only Python chooses.
    fn representation(&mut self, number: &Bound<'_, PyAny>) -> Result<(), Stop> {
        // An integer with too many digits has none (sys.set_int_max_str_digits).
        let text = number.repr().map_err(|_| Stop::NotCovered)?;
        self.raw(text.to_str().map_err(|_| Stop::NotCovered)?.as_bytes())
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        Ok(self.out.write_all(bytes)?)
    }
}
