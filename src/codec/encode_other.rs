//! Values and keys that are not of an exact built-in type: subclasses, enumerations,
//! named tuples, ordered dictionaries, and what only `default` makes a value of.
//!
//! Each is asked what `json.dump` asks it, in the same order. A value whose text is not
//! certain goes to `json` alone.

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString, PyTuple};

use super::buffer::OutOfMemory;
use super::encode::{Ancestors, Writer};
use super::encode_error::EncodeStop;
use super::kind::Kind;
use super::no_mutation::NoMutation;
use super::objects::{self, Value};
use super::{encode_number, stdlib, strings};
use crate::imported::Imported;

impl<'py> Writer<'_, 'py> {
    /// Writes a value that the plain way does not.
    #[cold]
    #[inline(never)]
    pub(super) fn other(
        &mut self,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        match self.last_type.kind_of(value, proof)? {
            Kind::Array => self.any_array(value, proof, ancestors),
            Kind::Mapping => self.mapping(value, proof, ancestors),
            Kind::Foreign => self.foreign(value, proof, ancestors),
            kind => {
                if self.scalar(kind, value.as_borrowed())?
                    || self.large_integer(kind, value, proof)?
                {
                    Ok(())
                } else {
                    self.by_json(value, proof, ancestors)
                }
            }
        }
    }

    /// Writes a string or a number whose type is the last that was asked what it is.
    /// `false`, and nothing is written, for any other value.
    #[inline(never)]
    pub(super) fn scalar_like_last(
        &mut self,
        value: Borrowed<'_, 'py, PyAny>,
        proof: &NoMutation,
    ) -> Result<bool, OutOfMemory> {
        match self.last_type.known(value, proof) {
            Some(kind) => self.scalar(kind, value),
            None => Ok(false),
        }
    }

    /// Writes a string or a number, without quotes around a number. `false`, and nothing
    /// is written, where that is left to `json` or to `large_integer`.
    #[inline(always)]
    fn scalar(&mut self, kind: Kind, value: Borrowed<'_, 'py, PyAny>) -> Result<bool, OutOfMemory> {
        match kind {
            Kind::Text => {
                let Ok(text) = value.cast::<PyString>() else { return Ok(false) };
                let start = self.out.len();
                self.string(text.as_borrowed(), start)
            }
            Kind::Integer => {
                let Ok(integer) = value.cast::<PyInt>() else { return Ok(false) };
                let Some(number) = objects::small_integer(integer.as_borrowed()) else {
                    return Ok(false);
                };
                encode_number::integer(number, &mut self.out)?;
                Ok(true)
            }
            Kind::Float => {
                // Other comparisons than a float's own decide what `json` takes for NaN.
                // safeguard: float-compares-itself
                let Some(number) = objects::plain_float(&value) else { return Ok(false) };
                if number.is_finite() {
                    encode_number::float(number, &mut self.out)?;
                } else if self.options.allow_nan {
                    self.out.write(not_finite(number))?;
                } else {
                    return Ok(false);
                }
                Ok(true)
            }
            Kind::Array | Kind::Mapping | Kind::Foreign => Ok(false),
        }
    }

    /// Appends Python's own text of an integer of more than 64 bits. The text of a long
    /// one can be refused (`sys.set_int_max_str_digits`), and some versions of Python run
    /// Python code to make it. `false`, and nothing is written, for any other value.
    #[cold]
    fn large_integer(
        &mut self,
        kind: Kind,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
    ) -> Result<bool, EncodeStop> {
        let Kind::Integer = kind else { return Ok(false) };
        let Ok(integer) = value.cast::<PyInt>() else { return Ok(false) };
        let text = proof.interrupt(|| objects::repr_of_integer(integer))?;
        self.out.write(strings::ascii_of(text.as_borrowed()).unwrap_or_default())?;
        Ok(true)
    }

    /// Writes a subclass of list or tuple, or what claims to be one.
    fn any_array(
        &mut self,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        if !proof.interrupt(|| value.is_truthy())? {
            return Ok(self.out.write(b"[]")?);
        }
        if let Some(list) = objects::iterates_as::<PyList>(value).filter(|list| !list.is_empty()) {
            return self.array(list, proof, ancestors);
        }
        if let Some(tuple) =
            objects::iterates_as::<PyTuple>(value).filter(|tuple| !tuple.is_empty())
        {
            return self.array(tuple, proof, ancestors);
        }
        let Some(descended) = self.descend(value, ancestors, proof)? else {
            return self.by_json(value, proof, ancestors);
        };
        let start = self.out.len();
        self.enter(b'[')?;
        let mut items = proof.interrupt(|| value.try_iter())?;
        let (mut width, mut index) = (0, 0);
        while let Some(item) = proof.interrupt(|| items.next()) {
            let item = item?;
            self.layout.separate(width, &mut self.out)?;
            width = self.layout.width();
            self.value(&item, proof, Some(&descended))
                .map_err(|stop| proof.interrupt(|| stop.in_array(value, index)))?;
            index += 1;
        }
        if index == 0 {
            static NO_ITEMS: Imported = Imported::new("oasis_data._standard", "NO_ITEMS");
            return self.without_content(&NO_ITEMS, start, proof, ancestors);
        }
        self.leave(b']')
    }

    /// Writes a dictionary by its `items`.
    pub(super) fn mapping(
        &mut self,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        if !proof.interrupt(|| value.is_truthy())? {
            return Ok(self.out.write(b"{}")?);
        }
        let Some(descended) = self.descend(value, ancestors, proof)? else {
            return self.by_json(value, proof, ancestors);
        };
        let start = self.out.len();
        self.enter(b'{')?;
        let items = proof.interrupt(|| items_of(value))?;
        // safeguard: own-items
        if let Some(dict) = proof.interrupt(|| objects::dict_of_items(&items))
            && !dict.is_empty()
        {
            if !self.options.sort_keys {
                self.pairs(value, &dict, proof, &descended)?;
                return self.leave(b'}');
            }
            if self.sorted_pairs(value, &dict, proof, &descended)? {
                return self.leave(b'}');
            }
        }
        let ordered = if self.options.sort_keys {
            None
        } else {
            proof.interrupt(|| objects::ordered_of_items(&items))
        };
        let written = match ordered {
            Some(ordered) => self.pairs_by_keys(&ordered, value, proof, &descended)?,
            None => self.pairs_by(&items, value, proof, &descended)?,
        };
        if !written {
            static NO_PAIRS: Imported = Imported::new("oasis_data._standard", "NO_PAIRS");
            return self.without_content(&NO_PAIRS, start, proof, ancestors);
        }
        self.leave(b'}')
    }

    /// Writes the pairs that a container's method `items` yields; `false` if there are none.
    pub(super) fn pairs_by(
        &mut self,
        items: &Bound<'py, PyAny>,
        container: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: &Ancestors<'_, 'py>,
    ) -> Result<bool, EncodeStop> {
        let sorted = self.options.sort_keys;
        let mut items = proof.interrupt(|| {
            let items = items.call0()?;
            if sorted { stdlib::sorted(&items)?.try_iter() } else { items.try_iter() }
        })?;
        let mut width = 0;
        while let Some(item) = proof.interrupt(|| items.next()) {
            let (key, value) = proof.interrupt(|| unpacked(item?))?;
            self.pair(container, &key, &value, width, proof, ancestors)?;
            width = self.layout.width();
        }
        Ok(width > 0)
    }

    /// Writes the pairs of an `OrderedDict`; `false` if there are none. Its iterator over pairs
    /// takes twice as long as that over keys with a look at each value.
    fn pairs_by_keys(
        &mut self,
        ordered: &Bound<'py, PyAny>,
        container: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: &Ancestors<'_, 'py>,
    ) -> Result<bool, EncodeStop> {
        let mut keys = proof.interrupt(|| ordered.try_iter())?;
        let mut width = 0;
        while let Some(key) = proof.interrupt(|| keys.next()) {
            let key = key?;
            let value = proof.interrupt(|| objects::value_in_ordered(ordered, &key))?;
            self.pair(container, &key, &value, width, proof, ancestors)?;
            width = self.layout.width();
        }
        Ok(width > 0)
    }

    /// Writes what is true, and yet has no content, as this version of `json` does:
    /// versions differ. The container was entered at `start`.
    #[cold]
    fn without_content(
        &mut self,
        model: &Imported,
        start: usize,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        self.out.truncate(start);
        self.layout.forget();
        let model = proof.interrupt(|| model.get(self.py).cloned())?;
        self.by_json(&model, proof, ancestors)
    }

    /// Writes what `default` makes of a value.
    fn foreign(
        &mut self,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        let Some(descended) = self.descend(value, ancestors, proof)? else {
            return self.by_json(value, proof, ancestors);
        };
        let default = match &self.default {
            Some(default) => default,
            None => {
                self.default.insert(proof.interrupt(|| stdlib::default(self.py, self.options))?)
            }
        };
        let answer = proof.interrupt(|| default.call1((value,)))?;
        self.value(&answer, proof, Some(&descended))
            .map_err(|stop| proof.interrupt(|| stop.in_answer_for(value)))
    }

    /// Writes a key and its value.
    pub(super) fn pair(
        &mut self,
        container: &Bound<'py, PyAny>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        width: usize,
        proof: &mut NoMutation,
        ancestors: &Ancestors<'_, 'py>,
    ) -> Result<(), EncodeStop> {
        if !self.name(key.as_borrowed(), width)? {
            return self.odd_pair(container, key, value, width, proof, ancestors);
        }
        let Some(inner) = self.leaf(value.as_borrowed(), proof)? else { return Ok(()) };
        self.inner(&inner, proof, Some(ancestors))
            .map_err(|stop| proof.interrupt(|| stop.in_dict(container, key, || key.repr())))
    }

    /// Writes a key that is not plain and its value.
    #[cold]
    #[inline(never)]
    pub(super) fn odd_pair(
        &mut self,
        container: &Bound<'py, PyAny>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        width: usize,
        proof: &mut NoMutation,
        ancestors: &Ancestors<'_, 'py>,
    ) -> Result<(), EncodeStop> {
        self.layout.separate(width, &mut self.out)?;
        let start = self.out.len();
        self.key(key, proof).map_err(|stop| proof.interrupt(|| stop.at_key(key)))?;
        let text = start..self.out.len();
        self.out.write(b": ")?;
        self.value(value, proof, Some(ancestors)).map_err(|stop| {
            // The text of a key that is no string has no quotes and no escapes in it.
            let text = self.out.bytes().get(text).map(String::from_utf8_lossy);
            let text = || {
                if let Ok(key) = key.cast::<PyString>() {
                    return key.repr();
                }
                let text = text.unwrap_or_default().replace('"', "'");
                Ok(PyString::new(key.py(), &text))
            };
            proof.interrupt(|| stop.in_dict(container, key, text))
        })
    }

    fn key(&mut self, key: &Bound<'py, PyAny>, proof: &mut NoMutation) -> Result<(), EncodeStop> {
        let start = self.out.len();
        match Value::of(key.as_borrowed()) {
            Value::String(text) if self.string(text, start)? => return Ok(()),
            Value::Null => return Ok(self.out.write(b"\"null\"")?),
            Value::Boolean(true) => return Ok(self.out.write(b"\"true\"")?),
            Value::Boolean(false) => return Ok(self.out.write(b"\"false\"")?),
            _ => {}
        }
        let kind = self.last_type.kind_of(key, proof)?;
        let quote: &[u8] = if matches!(kind, Kind::Text) { b"" } else { b"\"" };
        self.out.write(quote)?;
        if self.scalar(kind, key.as_borrowed())? || self.large_integer(kind, key, proof)? {
            return Ok(self.out.write(quote)?);
        }
        self.out.truncate(start);
        proof.interrupt(|| stdlib::dump_key(key, self.options, &mut self.out))
    }
}

/// How `json` writes a float that is no number or infinite, where it may.
fn not_finite(number: f64) -> &'static [u8] {
    if number.is_nan() {
        b"NaN"
    } else if number > 0.0 {
        b"Infinity"
    } else {
        b"-Infinity"
    }
}

/// The method `items` of a dictionary.
pub(super) fn items_of<'py>(container: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static ITEMS: Imported = Imported::new("oasis_data._standard", "ITEMS");
    container.getattr(ITEMS.get(container.py())?.cast::<PyString>()?)
}

/// The key and the value of what `items` yields: any two things, as Python unpacks them.
fn unpacked(item: Bound<'_, PyAny>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    static UNPACKED: Imported = Imported::new("oasis_data._standard", "unpacked");
    if let Some(pair) = item.cast_exact::<PyTuple>().ok().and_then(objects::pair) {
        return Ok(pair);
    }
    UNPACKED.get(item.py())?.call1((item,))?.extract()
}
