//! Objects to text: plain dictionaries, lists, tuples, strings, integers,
//! floats, booleans and None are written here; anything else sends the whole
//! document to `json`, which also makes the error if there is one to make.

use std::borrow::Cow;

use pyo3::exceptions::{PyException, PyMemoryError, PyRecursionError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyStringData, PyTuple};

use super::buffer::{Buffer, LINE, OutOfMemory};
use super::objects::{self, Still, Value};
use super::recursion::Limited;
use super::standard::{self, EncodeOptions};
use super::{escape, fault, number};
use crate::stack;
use crate::statistics::COUNTERS;

/// Deeper documents are left to `json`, which knows the interpreter's limit.
const MAX_DEPTH: usize = 200;

/// Bytes of stack for each level, and some to spare.
const FRAME: usize = if cfg!(debug_assertions) { 16 << 10 } else { 320 };

/// Bytes of one level of indentation up to which it is written here.
const MAX_INDENT: usize = 1024;

/// Bits of an integer up to which Python is asked for its text here.
const LARGEST_BITS: u32 = 2048;

/// What stands between two values on one line, and what `Buffer::line` copies
/// with it.
const ONE_LINE: &[u8] = &between(*b", ", [b' '; 2 + LINE]);

/// The same on lines of their own, down to the usual depths.
const LINES: &[u8] = &between(*b",\n", [b' '; 2 + 3 * LINE]);

const fn between<const N: usize>(start: [u8; 2], mut padded: [u8; N]) -> [u8; N] {
    [padded[0], padded[1]] = start;
    padded
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
) -> Result<Vec<u8>, EncodeError> {
    match write(value, options) {
        Ok(bytes) => return Ok(bytes),
        Err(Stop::OutOfMemory) => return Err(EncodeError::Other(PyMemoryError::new_err(()))),
        Err(Stop::NotCovered) => COUNTERS.encode_fallbacks.count(),
    }
    let limited = Limited::new(value.py());
    let mut out = Buffer::default();
    standard::dump(value, options, &mut out).map_err(|cause| {
        let py = value.py();
        // With a larger stack it might be written.
        let small_stack =
            limited.has_fewer_levels() && cause.is_instance_of::<PyRecursionError>(py);
        if small_stack
            || cause.is_instance_of::<PyMemoryError>(py)
            || !cause.is_instance_of::<PyException>(py)
        {
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

struct Writer<'a> {
    still: Still<'a>,
    out: Buffer,
    /// What stands between two values: a comma, and then either a space or a
    /// line break and indentation, for deeper containers than the innermost.
    separator: Cow<'static, [u8]>,
    /// Bytes of it for the innermost container.
    width: usize,
    /// One level of indentation; `None` writes everything on one line.
    indent: Option<Cow<'a, str>>,
    /// The depth that is gone down to.
    deepest: usize,
}

/// The containers around a value, innermost first. A container inside itself is
/// left to `json`, which reports it.
struct Around<'a> {
    container: &'a Bound<'a, PyAny>,
    outer: Option<&'a Around<'a>>,
    depth: usize,
}

impl<'a> Around<'a> {
    fn enter(
        container: &'a Bound<'a, PyAny>,
        outer: Option<&'a Self>,
        deepest: usize,
    ) -> Result<Self, Stop> {
        let depth = outer.map_or(1, |outer| outer.depth + 1);
        let mut around = outer;
        while let Some(each) = around {
            if each.container.is(container) {
                return Err(Stop::NotCovered);
            }
            around = each.outer;
        }
        if depth > deepest { Err(Stop::NotCovered) } else { Ok(Self { container, outer, depth }) }
    }
}

fn write(value: &Bound<'_, PyAny>, options: &EncodeOptions<'_>) -> Result<Vec<u8>, Stop> {
    // Neither is worth a second way of its own here.
    if options.ensure_ascii || options.sort_keys {
        return Err(Stop::NotCovered);
    }
    let indent = options.indent.as_ref().map(indentation).transpose()?;
    let separator = match &indent {
        None => ONE_LINE,
        Some(indent) if indent.bytes().all(|byte| byte == b' ') => LINES,
        // To be indented by something else from there on.
        Some(_) => &LINES[..2 + LINE],
    };
    let mut writer = Writer {
        // SAFETY: the lock is held throughout. Only exact built-in types are
        // touched, and nothing is made that the garbage collector tracks and
        // could start it (an exception, say).
        #[allow(unsafe_code, reason = "a promise about all that the writer does")]
        still: unsafe { Still::promised() },
        out: Buffer::default(),
        separator: separator.into(),
        width: 2,
        indent,
        deepest: stack::levels(FRAME).min(MAX_DEPTH),
    };
    writer.value(value.as_borrowed(), None)?;
    Ok(writer.out.into_bytes())
}

fn indentation<'a>(indent: &'a Bound<'_, PyAny>) -> Result<Cow<'a, str>, Stop> {
    if let Ok(text) = indent.cast_exact::<PyString>() {
        // Another indentation than blanks and tabs is left to `json`.
        let ascii = objects::ascii_of(text.as_borrowed()).ok_or(Stop::NotCovered)?;
        let text = str::from_utf8(ascii).map_err(|_| Stop::NotCovered)?;
        return if text.len() <= MAX_INDENT { Ok(text.into()) } else { Err(Stop::NotCovered) };
    }
    match indent.extract::<i64>().map(|width| usize::try_from(width).unwrap_or(0)) {
        Ok(2) => Ok("  ".into()),
        Ok(width @ ..=MAX_INDENT) => Ok(" ".repeat(width).into()),
        _ => Err(Stop::NotCovered),
    }
}

impl<'a> Writer<'a> {
    #[inline(always)]
    fn value(
        &mut self,
        value: Borrowed<'a, '_, PyAny>,
        around: Option<&Around<'_>>,
    ) -> Result<(), Stop> {
        match Value::of(value) {
            Value::Text(text) => self.string(text),
            Value::Float(number) if number.is_finite() => Ok(number::float(number, &mut self.out)?),
            Value::Integer(integer) => match objects::small_integer(integer) {
                Some(number) => Ok(number::integer(number, &mut self.out)?),
                None => self.large_integer(integer),
            },
            Value::Dict(dict) => self.dict(dict, around),
            Value::List(list) => self.list(list, around),
            Value::Null => Ok(self.out.raw(b"null")?),
            Value::Truth(true) => Ok(self.out.raw(b"true")?),
            Value::Truth(false) => Ok(self.out.raw(b"false")?),
            Value::Tuple(tuple) => self.tuple(tuple, around),
            Value::Float(_) | Value::Other => Err(Stop::NotCovered),
        }
    }

    fn dict(
        &mut self,
        dict: Borrowed<'a, '_, PyDict>,
        around: Option<&Around<'_>>,
    ) -> Result<(), Stop> {
        if dict.is_empty() {
            return Ok(self.out.raw(b"{}")?);
        }
        let around = Around::enter(&dict, around, self.deepest)?;
        self.enter(b'{')?;
        let mut first = true;
        for (key, value) in self.still.pairs(dict) {
            let Value::Text(key) = Value::of(key) else { return Err(Stop::NotCovered) };
            self.separate(&mut first)?;
            self.string(key)?;
            self.out.raw(b": ")?;
            self.value(value, Some(&around))?;
        }
        self.leave(b'}')
    }

    fn list(
        &mut self,
        list: Borrowed<'a, '_, PyList>,
        around: Option<&Around<'_>>,
    ) -> Result<(), Stop> {
        self.items(&list, self.still.items(list), around)
    }

    fn tuple(
        &mut self,
        tuple: Borrowed<'a, '_, PyTuple>,
        around: Option<&Around<'_>>,
    ) -> Result<(), Stop> {
        self.items(&tuple, self.still.parts(tuple), around)
    }

    #[inline(always)]
    fn items<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        items: impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>>,
        around: Option<&Around<'_>>,
    ) -> Result<(), Stop> {
        if items.len() == 0 {
            return Ok(self.out.raw(b"[]")?);
        }
        let around = Around::enter(container, around, self.deepest)?;
        self.enter(b'[')?;
        let mut first = true;
        for item in items {
            self.separate(&mut first)?;
            self.value(item, Some(&around))?;
        }
        self.leave(b']')
    }

    fn enter(&mut self, bracket: u8) -> Result<(), Stop> {
        if let Some(indent) = &self.indent {
            let width = self.width + indent.len();
            if self.separator.len() < width + LINE {
                let separator = self.separator.to_mut();
                separator.truncate(self.width);
                separator.extend_from_slice(indent.as_bytes());
                separator.resize(width + LINE, b' ');
            }
            self.width = width;
        }
        Ok(self.out.raw(&[bracket])?)
    }

    fn leave(&mut self, bracket: u8) -> Result<(), Stop> {
        if let Some(indent) = &self.indent {
            self.width -= indent.len();
            self.out.line(&self.separator[1..], self.width - 1)?;
        }
        Ok(self.out.raw(&[bracket])?)
    }

    /// Between two values; in front of the first there is no comma.
    #[inline(always)]
    fn separate(&mut self, first: &mut bool) -> Result<(), Stop> {
        let before_first = if self.indent.is_some() { 1 } else { 2 };
        let from = if std::mem::take(first) { before_first } else { 0 };
        Ok(self.out.line(&self.separator[from..], self.width - from)?)
    }

    #[inline(always)]
    fn string(&mut self, text: Borrowed<'a, '_, PyString>) -> Result<(), Stop> {
        if let Some(text) = objects::ascii_of(text) {
            return escape::latin1(text, &mut self.out);
        }
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
    fn large_integer(&mut self, integer: Borrowed<'a, '_, PyInt>) -> Result<(), Stop> {
        let beyond = integer.rshift(LARGEST_BITS).map_err(|_| Stop::NotCovered)?;
        let Value::Integer(beyond) = Value::of(beyond.as_borrowed()) else {
            return Err(Stop::NotCovered);
        };
        if !matches!(objects::small_integer(beyond), Some(-1 | 0)) {
            return Err(Stop::NotCovered);
        }
        let text = integer.repr().map_err(|_| Stop::NotCovered)?;
        Ok(self.out.raw(text.to_str().map_err(|_| Stop::NotCovered)?.as_bytes())?)
    }
}
