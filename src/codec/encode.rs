//! Python objects to JSON text.
//!
//! The writer takes the steps of `json.dump` one by one, in its order. Values of exact
//! built-in types are written here, and all others in `encode_other.rs`.

use std::borrow::Cow;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::buffer::Buffer;
use super::encode_error::{EncodeError, EncodeStop};
use super::encode_layout::{Layout, indentation};
use super::encode_options::EncodeOptions;
use super::kind::LastType;
use super::no_mutation::{Array, NoMutation, Pairs};
use super::objects::{self, Value};
use super::parse::MAX_DEPTH;
use super::{encode_number, stdlib};
use crate::stack;
use crate::statistics::COUNTERS;

/// The bytes of stack that one level of nesting takes, and some to spare.
// Python 3.13 takes more than 1 KiB where each level runs code of a class of its own.
const FRAME: usize = if cfg!(debug_assertions) { 32 << 10 } else { 2048 };

/// The levels of recursion that `json` takes below the innermost container, and some to
/// spare.
const SPARE_LEVELS: usize = 20;

/// The text of a value.
pub(crate) struct Encoded {
    pub(crate) text: Vec<u8>,
    /// Every value is of an exact built-in type, every key a string, and none is nested deep:
    /// whoever reads the object finds what the text says.
    pub(crate) plain: bool,
}

/// The text of `value`, whole: nothing is written to a file before it is complete.
pub(crate) fn encode(
    value: &Bound<'_, PyAny>,
    options: &EncodeOptions,
) -> Result<Vec<u8>, EncodeError> {
    encode_noting(value, options).map(|encoded| encoded.text)
}

/// The same, with a note whether the object says the same as its text.
pub(crate) fn encode_noting(
    value: &Bound<'_, PyAny>,
    options: &EncodeOptions,
) -> Result<Encoded, EncodeError> {
    let py = value.py();
    let indent = options.indent.as_ref().map(|indent| indentation(indent.bind(py)));
    let written = match indent {
        None => write(value, options, None),
        Some(Some(indent)) => write(value, options, Some(indent)),
        Some(None) => by_json(value, options).map_err(|stop| {
            // The same on one line finds the place, unless the indentation is at fault.
            stop.at_the_place(py, || write(value, options, None).err())
        }),
    };
    written.map_err(|stop| stop.into_error(py))
}

fn write(
    value: &Bound<'_, PyAny>,
    options: &EncodeOptions,
    indent: Option<Cow<'_, str>>,
) -> Result<Encoded, EncodeStop> {
    let most_levels = stack::levels(FRAME);
    let mut writer = Writer {
        py: value.py(),
        options,
        ensure_ascii: options.ensure_ascii,
        out: Buffer::default(),
        layout: Layout::new(indent),
        default: None,
        last_type: LastType::default(),
        most_levels,
        max_depth: most_levels.min(MAX_DEPTH),
        // Sorted pairs are written by a way of their own.
        plain: !options.sort_keys,
    };
    // SAFETY: the interpreter's lock is held. The writer makes no object that the garbage
    // collector tracks (an exception, for example), and runs no Python code, but for what
    // goes through `interrupt`.
    #[allow(unsafe_code, reason = "a promise about all that the writer does")]
    let mut proof = unsafe { NoMutation::promise() };
    writer.value(value, &mut proof, None)?;
    Ok(Encoded { text: writer.out.into_bytes(), plain: writer.plain })
}

/// The text that `json` itself makes.
fn by_json(value: &Bound<'_, PyAny>, options: &EncodeOptions) -> Result<Encoded, EncodeStop> {
    COUNTERS.encode_fallbacks.count();
    let mut out = Buffer::default();
    stdlib::dump(value, options, 0, &mut out)?;
    Ok(Encoded { text: out.into_bytes(), plain: false })
}

pub(super) struct Writer<'a, 'py> {
    pub(super) py: Python<'py>,
    pub(super) options: &'a EncodeOptions,
    pub(super) out: Buffer,
    pub(super) ensure_ascii: bool,
    pub(super) layout: Layout<'a>,
    /// The `default` of `json`'s encoder, once it was needed.
    pub(super) default: Option<Bound<'py, PyAny>>,
    pub(super) last_type: LastType<'py>,
    /// The levels that this thread's stack has room for.
    most_levels: usize,
    /// The depth that `json` would reach, as far as is known.
    max_depth: usize,
    /// See [`Encoded`].
    plain: bool,
}

/// The containers that a value is in, innermost first.
pub(super) struct Ancestors<'a, 'py> {
    container: &'a Bound<'py, PyAny>,
    outer: Option<&'a Ancestors<'a, 'py>>,
    depth: usize,
}

/// A value that has other values in it, or that is not written by the plain way.
pub(super) enum Inner<'py> {
    Dict(Bound<'py, PyDict>),
    List(Bound<'py, PyList>),
    Tuple(Bound<'py, PyTuple>),
    Other(Bound<'py, PyAny>),
}

impl<'py> Writer<'_, 'py> {
    pub(super) fn value(
        &mut self,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        match self.leaf(value.as_borrowed(), proof)? {
            None => Ok(()),
            Some(inner) => self.inner(&inner, proof, ancestors),
        }
    }

    /// Writes a value, or returns it.
    #[inline(always)]
    pub(super) fn leaf(
        &mut self,
        value: Borrowed<'_, 'py, PyAny>,
        proof: &NoMutation,
    ) -> Result<Option<Inner<'py>>, EncodeStop> {
        match Value::of(value) {
            Value::String(text) => {
                let start = self.out.len();
                if !self.string(text, start)? {
                    return Ok(Some(Inner::Other(value.to_owned())));
                }
            }
            Value::Float(number) if number.is_finite() => {
                encode_number::float(number, &mut self.out)?;
            }
            Value::Integer(integer) => match objects::small_integer(integer) {
                Some(number) => encode_number::integer(number, &mut self.out)?,
                None => return Ok(Some(Inner::Other(value.to_owned()))),
            },
            Value::Dict(dict) => return Ok(Some(Inner::Dict(dict.to_owned()))),
            Value::List(list) => return Ok(Some(Inner::List(list.to_owned()))),
            Value::Null => self.out.write(b"null")?,
            Value::Boolean(true) => self.out.write(b"true")?,
            Value::Boolean(false) => self.out.write(b"false")?,
            Value::Tuple(tuple) => return Ok(Some(Inner::Tuple(tuple.to_owned()))),
            Value::Float(_) | Value::Other => {
                self.plain = false;
                if !self.scalar_like_last(value, proof)? {
                    return Ok(Some(Inner::Other(value.to_owned())));
                }
            }
        }
        Ok(None)
    }

    #[inline(always)]
    pub(super) fn inner(
        &mut self,
        inner: &Inner<'py>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        match inner {
            Inner::Dict(dict) if dict.is_empty() => Ok(self.out.write(b"{}")?),
            Inner::Dict(dict) if self.options.sort_keys => self.sorted(dict, proof, ancestors),
            Inner::Dict(dict) => self.dict(dict, proof, ancestors),
            Inner::List(list) if list.is_empty() => Ok(self.out.write(b"[]")?),
            Inner::List(list) => self.array(list, proof, ancestors),
            Inner::Tuple(tuple) if tuple.is_empty() => Ok(self.out.write(b"[]")?),
            Inner::Tuple(tuple) => self.array(tuple, proof, ancestors),
            Inner::Other(value) => {
                // safeguard: only-plain-objects-say-what-is-written
                self.plain = false;
                self.other(value, proof, ancestors)
            }
        }
    }

    fn dict(
        &mut self,
        dict: &Bound<'py, PyDict>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        let Some(ancestors) = self.descend(dict, ancestors, proof)? else {
            return self.by_json(dict, proof, ancestors);
        };
        self.enter(b'{')?;
        self.pairs(dict, dict, proof, &ancestors)?;
        self.leave(b'}')
    }

    /// Writes the pairs of `dict` as those of `container`, mostly the same object.
    #[inline(always)]
    pub(super) fn pairs(
        &mut self,
        container: &Bound<'py, PyAny>,
        dict: &Bound<'py, PyDict>,
        proof: &mut NoMutation,
        ancestors: &Ancestors<'_, 'py>,
    ) -> Result<(), EncodeStop> {
        let mut width = 0;
        let mut pairs = Pairs::of(dict, proof);
        loop {
            let (key, inner) = match pairs.next(dict, proof) {
                Ok(None) => break,
                Err(message) => return Err(PyRuntimeError::new_err(message).into()),
                Ok(Some((key, value))) => {
                    let width = std::mem::replace(&mut width, self.layout.width());
                    if self.name(key, width)? {
                        let Some(inner) = self.leaf(value, proof)? else { continue };
                        (key.to_owned(), inner)
                    } else {
                        let (key, value) = (key.to_owned(), value.to_owned());
                        self.plain = false;
                        self.odd_pair(container, &key, &value, width, proof, ancestors)?;
                        continue;
                    }
                }
            };
            self.inner(&inner, proof, Some(ancestors)).map_err(|stop| {
                let text = || key.repr();
                proof.interrupt(|| stop.in_dict(container, &key, text))
            })?;
        }
        Ok(())
    }

    pub(super) fn array<T: Array>(
        &mut self,
        array: &Bound<'py, T>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        let Some(ancestors) = self.descend(array.as_any(), ancestors, proof)? else {
            return self.by_json(array.as_any(), proof, ancestors);
        };
        self.enter(b'[')?;
        let (mut width, mut index) = (0, 0);
        // The length is asked for anew each time, as Python's own iterator does it.
        while let Some(item) = T::item(array, index, proof) {
            self.layout
                .separate(std::mem::replace(&mut width, self.layout.width()), &mut self.out)?;
            if let Some(inner) = self.leaf(item, proof)? {
                self.inner(&inner, proof, Some(&ancestors))
                    .map_err(|stop| proof.interrupt(|| stop.in_array(array.as_any(), index)))?;
            }
            index += 1;
        }
        self.leave(b']')
    }

    /// Goes into a container; `None` where it is as deep as only `json` knows to go.
    #[inline(always)]
    pub(super) fn descend<'a>(
        &mut self,
        container: &'a Bound<'py, PyAny>,
        outer: Option<&'a Ancestors<'a, 'py>>,
        proof: &mut NoMutation,
    ) -> Result<Option<Ancestors<'a, 'py>>, EncodeStop> {
        let depth = outer.map_or(1, |outer| outer.depth + 1);
        let mut ancestor = outer;
        while let Some(each) = ancestor {
            if each.container.is(container) {
                return Err(PyValueError::new_err("Circular reference detected").into());
            }
            ancestor = each.outer;
        }
        if depth > self.max_depth && !self.deepen(proof)? {
            return Ok(None);
        }
        Ok(Some(Ancestors { container, outer, depth }))
    }

    /// Whether `json` would go twice as deep as is known so far, and this thread's stack
    /// has room for it here too.
    #[cold]
    fn deepen(&mut self, proof: &mut NoMutation) -> Result<bool, EncodeStop> {
        self.plain = false;
        let deeper = self.most_levels.min(self.max_depth * 2);
        // safeguard: encode-depth
        let fits = deeper > self.max_depth
            && proof.interrupt(|| stdlib::has_levels(self.py, deeper + SPARE_LEVELS))?;
        if fits {
            self.max_depth = deeper;
        }
        Ok(fits)
    }

    /// Writes a value as `json` writes it.
    #[cold]
    pub(super) fn by_json(
        &mut self,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        COUNTERS.encode_fallbacks.count();
        // A value that is not deep has levels enough.
        let depth = ancestors.map_or(0, |outer| outer.depth);
        let levels = if depth < MAX_DEPTH { 0 } else { depth };
        let mut text = Buffer::default();
        proof.interrupt(|| stdlib::dump(value, self.options, levels, &mut text))?;
        for (number, line) in text.bytes().split(|&byte| byte == b'\n').enumerate() {
            if number > 0 {
                self.out.write(self.layout.line_break())?;
            }
            self.out.write(line)?;
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn enter(&mut self, bracket: u8) -> Result<(), EncodeStop> {
        Ok(self.layout.enter(bracket, &mut self.out)?)
    }

    #[inline(always)]
    pub(super) fn leave(&mut self, bracket: u8) -> Result<(), EncodeStop> {
        Ok(self.layout.leave(bracket, &mut self.out)?)
    }
}
