//! Python objects to JSON text.
//!
//! Written here are dictionaries, lists, tuples, strings, integers, floats, booleans
//! and None, each of its exact type. Anything else sends the whole document to `json`,
//! which also makes the error if there is an error to make.

use std::borrow::Cow;

use pyo3::exceptions::{PyException, PyMemoryError, PyRecursionError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyStringData, PyTuple};

use super::buffer::{Buffer, PREFIX};
use super::encode_error::{EncodeError, find_refused};
use super::encode_options::EncodeOptions;
use super::fast_path::{EncodeStop, MAX_DEPTH};
use super::objects::{self, NoMutation, Value};
use super::recursion::RecursionLimit;
use super::{encode_number, encode_string, stdlib};
use crate::stack;
use crate::statistics::COUNTERS;

/// The bytes of stack that one level of nesting takes, and some to spare.
const FRAME: usize = if cfg!(debug_assertions) { 16 << 10 } else { 320 };

/// The most bytes of one level of indentation.
const MAX_INDENT: usize = 1024;

/// The most bits of an integer that is written here.
const MAX_INTEGER_BITS: u32 = 2048;

/// What stands between two values on one line, padded for [`Buffer::write_prefix`].
const ONE_LINE: &[u8] = &separator(*b", ", [b' '; 2 + PREFIX]);

/// What stands between two values on lines of their own, with indentation for the usual
/// depths.
const LINES: &[u8] = &separator(*b",\n", [b' '; 2 + 3 * PREFIX]);

const fn separator<const N: usize>(start: [u8; 2], mut padded: [u8; N]) -> [u8; N] {
    [padded[0], padded[1]] = start;
    padded
}

/// The text of `value`, whole: nothing is written to a file before it is complete.
pub(crate) fn encode(
    value: &Bound<'_, PyAny>,
    options: &EncodeOptions,
) -> Result<Vec<u8>, EncodeError> {
    match write(value, options) {
        Ok(bytes) => return Ok(bytes),
        Err(EncodeStop::OutOfMemory) => return Err(EncodeError::Other(PyMemoryError::new_err(()))),
        Err(EncodeStop::Fallback) => COUNTERS.encode_fallbacks.count(),
    }
    let limit = RecursionLimit::new(value.py());
    let mut out = Buffer::default();
    stdlib::dump(value, options, &mut out).map_err(|cause| {
        let py = value.py();
        // A thread with a larger stack could write the document.
        let stack_is_small = limit.is_lower() && cause.is_instance_of::<PyRecursionError>(py);
        if stack_is_small
            || cause.is_instance_of::<PyMemoryError>(py)
            || !cause.is_instance_of::<PyException>(py)
        {
            return EncodeError::Other(cause);
        }
        match find_refused(value, options, &cause) {
            Ok(place) => EncodeError::Unserializable { place, cause },
            Err(signal) => EncodeError::Other(signal),
        }
    })?;
    Ok(out.into_bytes())
}

struct Writer<'a> {
    no_mutation: NoMutation<'a>,
    out: Buffer,
    /// What stands between two values: a comma, and then either a space or a line break
    /// and indentation. It is long enough for the deepest container so far.
    separator: Cow<'static, [u8]>,
    /// The length of the separator in the innermost container.
    width: usize,
    /// One level of indentation; `None` writes everything on one line.
    indent: Option<Cow<'a, str>>,
    max_depth: usize,
}

/// The containers that a value is in, innermost first. A container inside itself is
/// left to `json`, which makes the error.
struct Ancestors<'a> {
    container: &'a Bound<'a, PyAny>,
    outer: Option<&'a Ancestors<'a>>,
    depth: usize,
}

impl<'a> Ancestors<'a> {
    fn enter(
        container: &'a Bound<'a, PyAny>,
        outer: Option<&'a Self>,
        max_depth: usize,
    ) -> Result<Self, EncodeStop> {
        let depth = outer.map_or(1, |outer| outer.depth + 1);
        let mut ancestor = outer;
        while let Some(each) = ancestor {
            if each.container.is(container) {
                return Err(EncodeStop::Fallback);
            }
            ancestor = each.outer;
        }
        if depth > max_depth {
            Err(EncodeStop::Fallback)
        } else {
            Ok(Self { container, outer, depth })
        }
    }
}

fn write(value: &Bound<'_, PyAny>, options: &EncodeOptions) -> Result<Vec<u8>, EncodeStop> {
    // Few callers use these two: not worth a second way of writing.
    if options.ensure_ascii || options.sort_keys {
        return Err(EncodeStop::Fallback);
    }
    let indent = options.indent.as_ref().map(|indent| indent.bind(value.py()));
    let indent = indent.map(indentation).transpose()?;
    let separator = match &indent {
        None => ONE_LINE,
        Some(indent) if indent.bytes().all(|byte| byte == b' ') => LINES,
        // Without indentation: `enter` appends the tabs.
        // safeguard: tabs-not-spaces
        Some(_) => &LINES[..2 + PREFIX],
    };
    let mut writer = Writer {
        // SAFETY: the interpreter's lock is held throughout. The writer touches only
        // exact built-in types, and makes no object that the garbage collector tracks
        // and that could start a collection (an exception, for example).
        #[allow(unsafe_code, reason = "a promise about all that the writer does")]
        no_mutation: unsafe { NoMutation::promise() },
        out: Buffer::default(),
        separator: separator.into(),
        width: 2,
        indent,
        max_depth: stack::levels(FRAME).min(MAX_DEPTH),
    };
    writer.value(value.as_borrowed(), None)?;
    Ok(writer.out.into_bytes())
}

/// One level of indentation for the caller's `indent`.
fn indentation<'a>(indent: &'a Bound<'_, PyAny>) -> Result<Cow<'a, str>, EncodeStop> {
    if let Ok(text) = indent.cast_exact::<PyString>() {
        // Other indentation than ASCII is left to `json`.
        let ascii = objects::ascii_of(text.as_borrowed()).ok_or(EncodeStop::Fallback)?;
        let text = str::from_utf8(ascii).map_err(|_| EncodeStop::Fallback)?;
        return if text.len() <= MAX_INDENT { Ok(text.into()) } else { Err(EncodeStop::Fallback) };
    }
    match indent.extract::<i64>().map(|width| usize::try_from(width).unwrap_or(0)) {
        Ok(2) => Ok("  ".into()),
        Ok(width @ ..=MAX_INDENT) => Ok(" ".repeat(width).into()),
        _ => Err(EncodeStop::Fallback),
    }
}

impl<'a> Writer<'a> {
    #[inline(always)]
    fn value(
        &mut self,
        value: Borrowed<'a, '_, PyAny>,
        ancestors: Option<&Ancestors<'_>>,
    ) -> Result<(), EncodeStop> {
        match Value::of(value) {
            Value::String(text) => self.string(text),
            Value::Float(number) if number.is_finite() => {
                Ok(encode_number::float(number, &mut self.out)?)
            }
            Value::Integer(integer) => match objects::small_integer(integer) {
                Some(number) => Ok(encode_number::integer(number, &mut self.out)?),
                None => self.large_integer(integer),
            },
            Value::Dict(dict) => self.dict(dict, ancestors),
            Value::List(list) => self.list(list, ancestors),
            Value::Null => Ok(self.out.write(b"null")?),
            Value::Boolean(true) => Ok(self.out.write(b"true")?),
            Value::Boolean(false) => Ok(self.out.write(b"false")?),
            Value::Tuple(tuple) => self.tuple(tuple, ancestors),
            Value::Float(_) | Value::Other => Err(EncodeStop::Fallback),
        }
    }

    fn dict(
        &mut self,
        dict: Borrowed<'a, '_, PyDict>,
        ancestors: Option<&Ancestors<'_>>,
    ) -> Result<(), EncodeStop> {
        if dict.is_empty() {
            return Ok(self.out.write(b"{}")?);
        }
        let ancestors = Ancestors::enter(&dict, ancestors, self.max_depth)?;
        self.enter(b'{')?;
        let mut first = true;
        for (key, value) in self.no_mutation.pairs(dict) {
            let Value::String(key) = Value::of(key) else { return Err(EncodeStop::Fallback) };
            self.separate(&mut first)?;
            self.string(key)?;
            self.out.write(b": ")?;
            self.value(value, Some(&ancestors))?;
        }
        self.leave(b'}')
    }

    fn list(
        &mut self,
        list: Borrowed<'a, '_, PyList>,
        ancestors: Option<&Ancestors<'_>>,
    ) -> Result<(), EncodeStop> {
        self.array(&list, self.no_mutation.list_items(list), ancestors)
    }

    fn tuple(
        &mut self,
        tuple: Borrowed<'a, '_, PyTuple>,
        ancestors: Option<&Ancestors<'_>>,
    ) -> Result<(), EncodeStop> {
        self.array(&tuple, self.no_mutation.tuple_items(tuple), ancestors)
    }

    #[inline(always)]
    fn array<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        items: impl ExactSizeIterator<Item = Borrowed<'a, 'py, PyAny>>,
        ancestors: Option<&Ancestors<'_>>,
    ) -> Result<(), EncodeStop> {
        if items.len() == 0 {
            return Ok(self.out.write(b"[]")?);
        }
        let ancestors = Ancestors::enter(container, ancestors, self.max_depth)?;
        self.enter(b'[')?;
        let mut first = true;
        for item in items {
            self.separate(&mut first)?;
            self.value(item, Some(&ancestors))?;
        }
        self.leave(b']')
    }

    fn enter(&mut self, bracket: u8) -> Result<(), EncodeStop> {
        if let Some(indent) = &self.indent {
            let width = self.width + indent.len();
            if self.separator.len() < width + PREFIX {
                let separator = self.separator.to_mut();
                separator.truncate(self.width);
                separator.extend_from_slice(indent.as_bytes());
                separator.resize(width + PREFIX, b' ');
            }
            self.width = width;
        }
        Ok(self.out.write(&[bracket])?)
    }

    fn leave(&mut self, bracket: u8) -> Result<(), EncodeStop> {
        if let Some(indent) = &self.indent {
            self.width -= indent.len();
            self.out.write_prefix(&self.separator[1..], self.width - 1)?;
        }
        Ok(self.out.write(&[bracket])?)
    }

    /// Appends the separator. Before the first value, the comma is left out, and on one
    /// line the space too.
    #[inline(always)]
    fn separate(&mut self, first: &mut bool) -> Result<(), EncodeStop> {
        let before_first = if self.indent.is_some() { 1 } else { 2 };
        let from = if std::mem::take(first) { before_first } else { 0 };
        Ok(self.out.write_prefix(&self.separator[from..], self.width - from)?)
    }

    #[inline(always)]
    fn string(&mut self, text: Borrowed<'a, '_, PyString>) -> Result<(), EncodeStop> {
        if let Some(text) = objects::ascii_of(text) {
            return encode_string::latin1(text, &mut self.out);
        }
        match objects::characters_of(text).ok_or(EncodeStop::Fallback)? {
            PyStringData::Ucs1(text) => encode_string::latin1(text, &mut self.out),
            PyStringData::Ucs2(text) => encode_string::wide(text, &mut self.out),
            PyStringData::Ucs4(text) => encode_string::wide(text, &mut self.out),
        }
    }

    /// Appends Python's own text of an integer of more than 64 bits. The integer must be
    /// short: the text of a long one can be refused (`sys.set_int_max_str_digits`), and
    /// some versions of Python run Python code to make it.
    #[cold]
    fn large_integer(&mut self, integer: Borrowed<'a, '_, PyInt>) -> Result<(), EncodeStop> {
        let beyond = integer.rshift(MAX_INTEGER_BITS).map_err(|_| EncodeStop::Fallback)?;
        let Value::Integer(beyond) = Value::of(beyond.as_borrowed()) else {
            return Err(EncodeStop::Fallback);
        };
        if !matches!(objects::small_integer(beyond), Some(-1 | 0)) {
            return Err(EncodeStop::Fallback);
        }
        let text = integer.repr().map_err(|_| EncodeStop::Fallback)?;
        Ok(self.out.write(text.to_str().map_err(|_| EncodeStop::Fallback)?.as_bytes())?)
    }
}
