//! Objects to text: plain dictionaries, lists, tuples, strings, integers,
//! floats, booleans and None are written here; anything else sends the whole
//! document to `json`, which also makes the error if there is one to make.

use std::io::{self, Write};
use std::ops::Deref;

use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::fault;
use super::standard::{self, EncodeOptions};
use crate::statistics::COUNTERS;

/// Deeper documents are left to `json`, which knows the interpreter's limit.
const MAX_DEPTH: usize = 200;

/// JSON text, by whoever wrote it.
pub(crate) enum Text {
    Written(Vec<u8>),
    Standard(PyBackedBytes),
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Written(bytes) => bytes,
            Self::Standard(bytes) => bytes,
        }
    }
}

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
) -> Result<Text, EncodeError> {
    match write(value, options) {
        Ok(bytes) => return Ok(Text::Written(bytes)),
        Err(Stop::OutOfMemory) => return Err(EncodeError::Other(PyMemoryError::new_err(()))),
        Err(Stop::NotCovered) => COUNTERS.encode_fallbacks.count(),
    }
    standard::dump(value, options).map(Text::Standard).map_err(|cause| {
        let py = value.py();
        if cause.is_instance_of::<PyMemoryError>(py) || !cause.is_instance_of::<PyException>(py) {
            return EncodeError::Other(cause);
        }
        match fault::locate(value, options, &cause) {
            Ok(place) => EncodeError::Unserializable { place, cause },
            Err(signal) => EncodeError::Other(signal),
        }
    })
}

enum Stop {
    NotCovered,
    OutOfMemory,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        // The buffer below has no other error.
        Self::OutOfMemory
    }
}

/// Memory that says so when there is no more, where a `Vec` alone would end
/// the process.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_reserve(bytes.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer<'a, 'py> {
    out: Buffer,
    options: &'a EncodeOptions<'py>,
    /// One level of indentation; `None` writes everything on one line.
    indent: Option<String>,
    /// The containers around the value being written. A container inside
    /// itself is left to `json`, which reports it.
    around: Vec<*mut pyo3::ffi::PyObject>,
}

/// No Python code runs in here (only exact built-in types are touched), so the
/// containers cannot change while they are walked.
fn write<'py>(value: &Bound<'py, PyAny>, options: &EncodeOptions<'py>) -> Result<Vec<u8>, Stop> {
    // The standard library's escapes for ASCII are not worth a second copy here.
    if options.ensure_ascii {
        return Err(Stop::NotCovered);
    }
    let mut writer = Writer {
        out: Buffer::default(),
        options,
        indent: options.indent.as_ref().map(indentation).transpose()?,
        around: Vec::new(),
    };
    writer.value(value)?;
    Ok(writer.out.0)
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

impl<'py> Writer<'_, 'py> {
    fn value(&mut self, value: &Bound<'py, PyAny>) -> Result<(), Stop> {
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
            match value.extract::<i64>() {
                Ok(number) => {
                    Ok(serde_json::to_writer(&mut self.out, &number).map_err(io::Error::from)?)
                }
                Err(_) => self.representation(value),
            }
        } else {
            Err(Stop::NotCovered)
        }
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>) -> Result<(), Stop> {
        if dict.is_empty() {
            return self.raw(b"{}");
        }
        self.enter(dict)?;
        self.raw(b"{")?;
        let mut first = true;
        if self.options.sort_keys {
            let mut pairs = Vec::with_capacity(dict.len());
            for (key, value) in dict.iter() {
                let key = key.cast_into_exact::<PyString>().map_err(|_| Stop::NotCovered)?;
                pairs.push((key.to_str().map_err(|_| Stop::NotCovered)?.to_owned(), key, value));
            }
            // The order of UTF-8 bytes is that of code points, which is how
            // Python orders strings.
            pairs.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
            for (_, key, value) in &pairs {
                self.pair(key, value, &mut first)?;
            }
        } else {
            for (key, value) in dict.iter() {
                let key = key.cast_exact::<PyString>().map_err(|_| Stop::NotCovered)?;
                self.pair(key, &value, &mut first)?;
            }
        }
        self.leave()?;
        self.raw(b"}")
    }

    fn pair(
        &mut self,
        key: &Bound<'py, PyString>,
        value: &Bound<'py, PyAny>,
        first: &mut bool,
    ) -> Result<(), Stop> {
        self.separate(first)?;
        self.string(key)?;
        self.raw(b": ")?;
        self.value(value)
    }

    fn items(
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

    fn enter(&mut self, container: &Bound<'py, PyAny>) -> Result<(), Stop> {
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

    fn string(&mut self, text: &Bound<'py, PyString>) -> Result<(), Stop> {
        // Lone surrogates have no UTF-8.
        let text = text.to_str().map_err(|_| Stop::NotCovered)?;
        // serde_json escapes as json does with ensure_ascii=False: quotes,
        // backslashes and control characters, the rest as it is.
        Ok(serde_json::to_writer(&mut self.out, text).map_err(io::Error::from)?)
    }

    /// Python's own text of a number: the shortest digits for a float, in the
    /// notation that only Python chooses.
    fn representation(&mut self, number: &Bound<'py, PyAny>) -> Result<(), Stop> {
        // An integer with too many digits has none (sys.set_int_max_str_digits).
        let text = number.repr().map_err(|_| Stop::NotCovered)?;
        self.raw(text.to_str().map_err(|_| Stop::NotCovered)?.as_bytes())
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        Ok(self.out.write_all(bytes)?)
    }
}
