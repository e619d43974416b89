//! JSON text to Python objects.

use std::sync::MutexGuard;

use pyo3::prelude::*;
use pyo3::types::PyInt;

use super::decode_error::{DecodeError, explain};
use super::gc_pause::GcPause;
use super::key_cache::{KeyCache, key_cache};
use super::parse::{Builder, StringText, parse};
use super::recursion::RecursionLimit;
use super::{objects, stdlib, strings};
use crate::statistics::COUNTERS;

/// The document that `json.load` makes of a file with these bytes.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyAny>, DecodeError> {
    if let Some(document) = build(py, bytes) {
        return Ok(document);
    }
    COUNTERS.decode_fallbacks.count();
    let limit = RecursionLimit::for_text(py, bytes);
    stdlib::load(py, bytes).map_err(|cause| {
        let limited = limit.is_lower();
        drop(limit);
        explain(py, bytes, cause, limited)
    })
}

/// The document, or `None` where it is left to `json`. Runs no Python code.
fn build<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    // safeguard: no-collection-while-decoding
    let _pause = GcPause::start(py);
    parse(bytes, &mut ObjectBuilder { py, keys: key_cache() })
}

/// Makes Python's objects out of what the parser finds.
struct ObjectBuilder<'py> {
    py: Python<'py>,
    keys: Option<MutexGuard<'static, KeyCache>>,
}

impl<'py> Builder for ObjectBuilder<'py> {
    type Value = Bound<'py, PyAny>;

    #[inline(always)]
    fn null(&mut self) -> Self::Value {
        self.py.None().into_bound(self.py)
    }

    #[inline(always)]
    fn boolean(&mut self, value: bool) -> Self::Value {
        pyo3::types::PyBool::new(self.py, value).to_owned().into_any()
    }

    #[inline(always)]
    fn integer(&mut self, number: i64) -> Option<Self::Value> {
        objects::integer(self.py, number)
    }

    #[cold]
    fn large_integer(&mut self, digits: &str) -> Option<Self::Value> {
        let digits = self.string(StringText::Ascii(digits.as_bytes()))?;
        self.py.get_type::<PyInt>().call1((digits,)).ok()
    }

    #[inline(always)]
    fn float(&mut self, number: f64) -> Option<Self::Value> {
        objects::float(self.py, number)
    }

    #[inline(always)]
    fn string(&mut self, text: StringText<'_>) -> Option<Self::Value> {
        match text {
            StringText::Ascii(text) => strings::ascii_string(self.py, text),
            StringText::Utf8(text) => strings::utf8_string(self.py, text),
        }
    }

    #[inline(always)]
    fn key(&mut self, text: &[u8], length: usize, is_ascii: bool) -> Option<Self::Value> {
        let py = self.py;
        let make = |key: &[u8]| {
            if is_ascii {
                strings::ascii_string(py, key)
            } else {
                strings::utf8_string(py, str::from_utf8(key).ok()?)
            }
        };
        match &mut self.keys {
            Some(keys) => keys.get(py, text, length, make),
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
        key: Self::Value,
        value: Self::Value,
    ) -> Option<()> {
        objects::insert(dict, &key, &value)
    }
}
