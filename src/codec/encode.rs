//! Objects to text: plain dictionaries, lists, tuples, strings, integers,
//! floats, booleans and None are written here; anything else sends the whole
//! document to `json`, which also makes the error if there is one to make.

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyStringData, PyTuple};

use super::buffer::{Buffer, OutOfMemory};
use super::standard::{self, EncodeOptions};
use super::{escape, fault, number, objects};
use crate::statistics::COUNTERS;

/// Deeper documents are left to `json`, which knows the interpreter's limit.
const MAX_DEPTH: usize = 200;

/// Bytes of one level of indentation up to which it is written here.
const MAX_INDENT: usize = 1024;

/// Bits of an integer up to which Python is asked for its text here.
const LARGEST_BITS: u32 = 2048;

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

/// Why the writer here gives up.
pub(super) enum Stop {
    /// Something that is left to `json`.
    NotCovered,
    OutOfMemory,
}

impl From<OutOfMemory> for Stop {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

struct Writer {
    out: Buffer,
    /// What stands between two values: a comma, and then either a space or a
    /// line break and the indentation of the innermost container.
    separator: Vec<u8>,
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
    let indent = options.indent.as_ref().map(indentation).transpose()?;
    let separator = if indent.is_some() { b",\n" } else { b", " };
    let mut writer = Writer {
        out: Buffer::default(),
        separator: separator.to_vec(),
        indent,
        around: Vec::new(),
    };
    writer.value(value)?;
    Ok(writer.out.into_bytes())
}

fn indentation(indent: &Bound<'_, PyAny>) -> Result<String, Stop> {
    if let Ok(text) = indent.cast_exact::<PyString>() {
        let text = text.to_str().map_err(|_| Stop::NotCovered)?;
        return if text.len() <= MAX_INDENT { Ok(text.to_owned()) } else { Err(Stop::NotCovered) };
    }
    match indent.extract::<i64>().map(|width| usize::try_from(width).unwrap_or(0)) {
        Ok(width @ ..=MAX_INDENT) => Ok(" ".repeat(width)),
        _ => Err(Stop::NotCovered),
    }
}

impl Writer {
    fn value(&mut self, value: &Bound<'_, PyAny>) -> Result<(), Stop> {
        if let Ok(text) = value.cast_exact::<PyString>() {
            self.string(text)
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            match float.value() {
                number if number.is_finite() => Ok(number::float(number, &mut self.out)?),
                _ => Err(Stop::NotCovered),
            }
        } else if let Ok(integer) = value.cast_exact::<PyInt>() {
            match objects::small_integer(integer) {
                Some(number) => Ok(number::integer(number, &mut self.out)?),
                None => self.large_integer(integer),
            }
        } else if let Ok(dict) = value.cast_exact::<PyDict>() {
            self.dict(dict)
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            self.items(value, list.iter())
        } else if value.is_none() {
            Ok(self.out.raw(b"null")?)
        } else if let Ok(truth) = value.cast_exact::<PyBool>() {
            Ok(self.out.raw(if truth.is_true() { b"true" } else { b"false" })?)
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            self.items(value, tuple.iter())
        } else {
            Err(Stop::NotCovered)
        }
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>) -> Result<(), Stop> {
        if dict.is_empty() {
            return Ok(self.out.raw(b"{}")?);
        }
        self.enter(dict, b"{")?;
        let mut first = true;
        for (key, value) in dict.iter() {
            let key = key.cast_exact::<PyString>().map_err(|_| Stop::NotCovered)?;
            self.separate(&mut first)?;
            self.string(key)?;
            self.out.raw(b": ")?;
            self.value(&value)?;
        }
        self.leave(b"}")
    }

    fn items<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
    ) -> Result<(), Stop> {
        if items.len() == 0 {
            return Ok(self.out.raw(b"[]")?);
        }
        self.enter(container, b"[")?;
        let mut first = true;
        for item in items {
            self.separate(&mut first)?;
            self.value(&item)?;
        }
        self.leave(b"]")
    }

    fn enter(&mut self, container: &Bound<'_, PyAny>, bracket: &[u8]) -> Result<(), Stop> {
        if self.around.len() == MAX_DEPTH || self.around.contains(&container.as_ptr()) {
            return Err(Stop::NotCovered);
        }
        self.around.push(container.as_ptr());
        if let Some(indent) = &self.indent {
            self.separator.extend_from_slice(indent.as_bytes());
        }
        Ok(self.out.raw(bracket)?)
    }

    fn leave(&mut self, bracket: &[u8]) -> Result<(), Stop> {
        self.around.pop();
        if let Some(indent) = &self.indent {
            self.separator.truncate(self.separator.len() - indent.len());
            self.out.raw(&self.separator[1..])?;
        }
        Ok(self.out.raw(bracket)?)
    }

    /// Between two values; in front of the first there is no comma.
    #[inline]
    fn separate(&mut self, first: &mut bool) -> Result<(), Stop> {
        let before_first = if self.indent.is_some() { 1 } else { 2 };
        let from = if std::mem::take(first) { before_first } else { 0 };
        Ok(self.out.raw(&self.separator[from..])?)
    }

    #[inline]
    fn string(&mut self, text: &Bound<'_, PyString>) -> Result<(), Stop> {
        match objects::characters(text)? {
            PyStringData::Ucs1(text) => escape::latin1(text, &mut self.out),
            PyStringData::Ucs2(text) => escape::wide(text, &mut self.out),
            PyStringData::Ucs4(text) => escape::wide(text, &mut self.out),
        }
    }

    /// Python's own text of an integer beyond 64 bits, if it is short enough
    /// that making it neither fails (`sys.set_int_max_str_digits`) nor runs
    /// Python code, as some versions do.
    #[cold]
    fn large_integer(&mut self, integer: &Bound<'_, PyInt>) -> Result<(), Stop> {
        let beyond = integer.rshift(LARGEST_BITS).map_err(|_| Stop::NotCovered)?;
        if !matches!(objects::small_integer(beyond.cast().map_err(|_| Stop::NotCovered)?), Some(-1 | 0)) {
            return Err(Stop::NotCovered);
        }
        let text = integer.repr().map_err(|_| Stop::NotCovered)?;
        Ok(self.out.raw(text.to_str().map_err(|_| Stop::NotCovered)?.as_bytes())?)
    }
}
