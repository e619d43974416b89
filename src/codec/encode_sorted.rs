//! Dictionaries with their keys in order.

use std::cmp::Ordering;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::buffer::OutOfMemory;
use super::encode::{Ancestors, Writer};
use super::encode_error::EncodeStop;
use super::encode_other::items_of;
use super::no_mutation::{NoMutation, Pairs};
use super::objects::{self, Value};
use super::strings;

impl<'py> Writer<'_, 'py> {
    /// Writes a dictionary with its keys in order.
    pub(super) fn sorted(
        &mut self,
        dict: &Bound<'py, PyDict>,
        proof: &mut NoMutation,
        ancestors: Option<&Ancestors<'_, 'py>>,
    ) -> Result<(), EncodeStop> {
        let Some(ancestors) = self.descend(dict, ancestors, proof)? else {
            return self.by_json(dict, proof, ancestors);
        };
        self.enter(b'{')?;
        if !self.sorted_pairs(dict, dict, proof, &ancestors)? {
            let items = proof.interrupt(|| items_of(dict))?;
            self.pairs_by(&items, dict, proof, &ancestors)?;
        }
        self.leave(b'}')
    }

    /// Writes the pairs of `dict` as those of `container`, with their keys in order. `false`,
    /// and nothing is written, where a key is not of the type `str`: Python alone knows an
    /// order then.
    pub(super) fn sorted_pairs(
        &mut self,
        container: &Bound<'py, PyAny>,
        dict: &Bound<'py, PyDict>,
        proof: &mut NoMutation,
        ancestors: &Ancestors<'_, 'py>,
    ) -> Result<bool, EncodeStop> {
        let mut sorted = Vec::new();
        sorted.try_reserve_exact(dict.len()).map_err(|_| OutOfMemory)?;
        let mut pairs = Pairs::of(dict, proof);
        while let Ok(Some((key, value))) = pairs.next(dict, proof) {
            let Value::String(key) = Value::of(key) else { return Ok(false) };
            sorted.push((key.to_owned(), value.to_owned()));
        }
        // No two keys are equal: their values are never compared.
        sorted.sort_unstable_by(|(one, _), (other, _)| by_code_points(one, other));
        let mut width = 0;
        for (key, value) in &sorted {
            self.pair(container, key, value, width, proof, ancestors)?;
            width = self.layout.width();
        }
        // Meanwhile the dictionary may have lost them.
        proof.interrupt(|| drop(sorted));
        Ok(true)
    }
}

/// How Python compares two strings.
#[inline(always)]
fn by_code_points(one: &Bound<'_, PyString>, other: &Bound<'_, PyString>) -> Ordering {
    let ascii = |text| strings::ascii_of(text);
    match (ascii(one.as_borrowed()), ascii(other.as_borrowed())) {
        (Some(one), Some(other)) => one.cmp(other),
        _ => objects::compare(one, other),
    }
}
