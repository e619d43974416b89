//! Values and keys that are not of an exact built-in type: subclasses, enumerations,
//! named tuples, ordered dictionaries, and what only `default` makes a value of.
//!
//! Each is asked what `json.dump` asks it, in the same order. A value whose text is not
//! certain goes to `json` alone.

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString, PyTuple};

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
                if self.scalar(kind, value, proof)? {
                    Ok(())
                } else {
                    self.by_json(value, proof, ancestors)
                }
            }
        }
    }

    /// Writes a string or a number, without quotes around a number. `false`, and nothing
    /// is written, where that is left to `json`.
    fn scalar(
        &mut self,
        kind: Kind,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
    ) -> Result<bool, EncodeStop> {
        match kind {
            Kind::Text => {
                let Ok(text) = value.cast::<PyString>() else { return Ok(false) };
                let start = self.out.len();
                Ok(self.string(text.as_borrowed(), start)?)
            }
            Kind::Integer => {
                let Ok(integer) = value.cast::<PyInt>() else { return Ok(false) };
                match objects::small_integer(integer.as_borrowed()) {
                    Some(number) => encode_number::integer(number, &mut self.out)?,
                    None => self.large_integer(integer, proof)?,
                }
                Ok(true)
            }
            Kind::Float => {
                // Other comparisons than a float's own decide what `json` takes for NaN.
                // safeguard: float-compares-itself
                let Some(number) = objects::plain_float(value) else { return Ok(false) };
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
    /// Python code to make it.
    #[cold]
    fn large_integer(
        &mut self,
        integer: &Bound<'py, PyInt>,
        proof: &mut NoMutation,
    ) -> Result<(), EncodeStop> {
        let text = proof.interrupt(|| objects::repr_of_integer(integer))?;
        Ok(self.out.write(strings::ascii_of(text.as_borrowed()).unwrap_or_default())?)
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
        let (mut first, mut index) = (true, 0);
        while let Some(item) = proof.interrupt(|| items.next()) {
            let item = item?;
            self.layout.separate(&mut first, &mut self.out)?;
            self.value(&item, proof, Some(&descended))
                .map_err(|stop| proof.interrupt(|| stop.in_array(value, index)))?;
            index += 1;
        }
        if first {
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
        static ITEMS: Imported = Imported::new("oasis_data._standard", "ITEMS");
        if !proof.interrupt(|| value.is_truthy())? {
            return Ok(self.out.write(b"{}")?);
        }
        let Some(descended) = self.descend(value, ancestors, proof)? else {
            return self.by_json(value, proof, ancestors);
        };
        let start = self.out.len();
        self.enter(b'{')?;
        let name = ITEMS.get(self.py)?.cast::<PyString>().map_err(PyErr::from)?;
        let items = proof.interrupt(|| value.getattr(name))?;
        // safeguard: own-items
        if !self.options.sort_keys
            && let Some(dict) = proof.interrupt(|| objects::dict_of_items(&items))
            && !dict.is_empty()
        {
            self.pairs(value, &dict, proof, &descended)?;
            return self.leave(b'}');
        }
        let sorted = self.options.sort_keys;
        let mut items = proof.interrupt(|| {
            let items = items.call0()?;
            if sorted { stdlib::sorted(&items)?.try_iter() } else { items.try_iter() }
        })?;
        let mut first = true;
        while let Some(item) = proof.interrupt(|| items.next()) {
            let (key, child) = proof.interrupt(|| unpacked(item?))?;
            self.layout.separate(&mut first, &mut self.out)?;
            self.pair(value, &key, &child, proof, &descended)?;
        }
        if first {
            static NO_PAIRS: Imported = Imported::new("oasis_data._standard", "NO_PAIRS");
            return self.without_content(&NO_PAIRS, start, proof, ancestors);
        }
        self.leave(b'}')
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
        self.layout.leave();
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

    /// Writes a key of any kind and its value.
    #[cold]
    #[inline(never)]
    pub(super) fn pair(
        &mut self,
        container: &Bound<'py, PyAny>,
        key: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        proof: &mut NoMutation,
        ancestors: &Ancestors<'_, 'py>,
    ) -> Result<(), EncodeStop> {
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
        if self.scalar(kind, key, proof)? {
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

/// The key and the value of what `items` yields: any two things, as Python unpacks them.
fn unpacked(item: Bound<'_, PyAny>) -> PyResult<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    static UNPACKED: Imported = Imported::new("oasis_data._standard", "unpacked");
    if let Some(pair) = item.cast_exact::<PyTuple>().ok().and_then(objects::pair) {
        return Ok(pair);
    }
    UNPACKED.get(item.py())?.call1((item,))?.extract()
}
