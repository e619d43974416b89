//! Text to objects.

use std::sync::MutexGuard;

use pyo3::prelude::*;
use pyo3::types::PyInt;

use super::collector;
use super::corrupt::{DecodeError, explain};
use super::names::{Names, names};
use super::parse::{Builder, Characters, parse};
use super::recursion::Limited;
use super::{objects, standard};
use crate::statistics::COUNTERS;

/// The document that `json.load` makes of a file with these bytes.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyAny>, DecodeError> {
    if let Some(document) = build(py, bytes) {
        return Ok(document);
    }
    COUNTERS.decode_fallbacks.count();
    let limited = Limited::of(py, bytes);
    standard::load(py, bytes).map_err(|cause| {
        let small_stack = limited.has_fewer_levels();
        drop(limited);
        explain(py, bytes, cause, small_stack)
    })
}

/// No Python code runs in here.
fn build<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    let _held = collector::Held::new(py);
    parse(bytes, &mut Objects { py, names: names() })
}

struct Objects<'py> {
    py: Python<'py>,
    names: Option<MutexGuard<'static, Names>>,
}

impl<'py> Builder for Objects<'py> {
    type Value = Bound<'py, PyAny>;

    #[inline(always)]
    fn null(&mut self) -> Self::Value {
        self.py.None().into_bound(self.py)
    }

    #[inline(always)]
    fn truth(&mut self, truth: bool) -> Self::Value {
        pyo3::types::PyBool::new(self.py, truth).to_owned().into_any()
    }

    #[inline(always)]
    fn integer(&mut self, number: i64) -> Option<Self::Value> {
        objects::integer(self.py, number)
    }

    #[cold]
    fn large_integer(&mut self, digits: &str) -> Option<Self::Value> {
        let digits = self.string(Characters::Ascii(digits.as_bytes()))?;
        self.py.get_type::<PyInt>().call1((digits,)).ok()
    }

    #[inline(always)]
    fn float(&mut self, number: f64) -> Option<Self::Value> {
        objects::float(self.py, number)
    }

    #[inline(always)]
    fn string(&mut self, characters: Characters<'_>) -> Option<Self::Value> {
        match characters {
            Characters::Ascii(text) => objects::ascii(self.py, text),
            Characters::Encoded(text) => objects::encoded(self.py, text),
        }
    }

    #[inline(always)]
    fn name(&mut self, text: &[u8], length: usize, ascii: bool) -> Option<Self::Value> {
        let py = self.py;
        let make = |name: &[u8]| {
            if ascii { objects::ascii(py, name) } else { objects::encoded(py, name) }
        };
        match &mut self.names {
            Some(names) => names.get(py, text, length, make),
            None => make(&text[..length]),
        }
    }

    #[inline(always)]
    fn list(&mut self, values: &mut Vec<Self::Value>, from: usize) -> Option<Self::Value> {
        objects::list(self.py, values, from)
    }

    #[inline(always)]
    fn dict(&mut self) -> Option<Self::Value> {
        objects::dict(self.py)
    }

    #[inline(always)]
    fn insert(
        &mut self,
        dict: &mut Self::Value,
        name: Self::Value,
        value: Self::Value,
    ) -> Option<()> {
        objects::insert(dict, &name, &value)
    }
}
