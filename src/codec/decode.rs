//! Text to objects, by the standard library; and where in the text it gave up.

use pyo3::exceptions::{PyException, PyMemoryError, PyRecursionError, PyUnicodeDecodeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::standard;

/// Why some bytes are not a document.
pub(crate) enum DecodeError {
    /// `json` cannot read them.
    Corrupt { reason: String, place: Place, cause: PyErr },
    /// Not about the bytes: memory ran out, or a signal arrived.
    Other(PyErr),
}

/// A place in a text, counted as `json.JSONDecodeError` counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Characters before it.
    pub(crate) pos: usize,
    /// Lines, from 1.
    pub(crate) lineno: usize,
    /// Characters in its line, from 1.
    pub(crate) colno: usize,
}

/// The document that `json.load` makes of a file with these bytes.
pub(crate) fn decode<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyAny>, DecodeError> {
    standard::load(py, bytes).map_err(|cause| {
        explain(py, bytes, &cause).map_or_else(DecodeError::Other, |explained| match explained {
            Some((reason, place)) => DecodeError::Corrupt { reason, place, cause },
            None => DecodeError::Other(cause),
        })
    })
}

fn explain(py: Python<'_>, bytes: &[u8], cause: &PyErr) -> PyResult<Option<(String, Place)>> {
    let value = cause.value(py);
    if cause.is_instance_of::<PyMemoryError>(py) || !cause.is_instance_of::<PyException>(py) {
        return Ok(None);
    }
    if cause.is_instance_of::<PyUnicodeDecodeError>(py) {
        let start: usize = value.getattr("start")?.extract()?;
        let encoding = value.getattr("encoding")?;
        let before = PyBytes::new(py, bytes.get(..start).unwrap_or(bytes));
        let text: String =
            before.call_method1("decode", (encoding.clone(), "replace"))?.extract()?;
        let reason = format!("not {encoding} text ({})", value.getattr("reason")?);
        return Ok(Some((reason, Place::after(&text))));
    }
    if let Ok(message) = value.getattr("msg") {
        let number = |name| value.getattr(name)?.extract::<usize>();
        let place =
            Place { pos: number("pos")?, lineno: number("lineno")?, colno: number("colno")? };
        return Ok(Some((message.extract()?, place)));
    }
    // Well-formed as far as it goes, but more than this interpreter reads: too
    // deep, or a number too long (sys.set_int_max_str_digits).
    let extremes = Extremes::of(bytes);
    let (reason, offset) = if cause.is_instance_of::<PyRecursionError>(py) {
        (format!("nested {} deep", extremes.depth), extremes.deepest)
    } else {
        (value.str()?.to_string_lossy().into_owned(), extremes.longest_digits)
    };
    Ok(Some((reason, Place::after(&String::from_utf8_lossy(bytes.get(..offset).unwrap_or(bytes))))))
}

impl Place {
    fn after(text: &str) -> Self {
        let line = text.rsplit('\n').next().unwrap_or_default();
        Self {
            pos: text.chars().count(),
            lineno: text.matches('\n').count() + 1,
            colno: line.chars().count() + 1,
        }
    }
}

/// Where a text is nested deepest, and where its longest run of digits starts.
#[derive(Default)]
struct Extremes {
    depth: usize,
    deepest: usize,
    longest_digits: usize,
}

impl Extremes {
    fn of(bytes: &[u8]) -> Self {
        let mut extremes = Self::default();
        let (mut depth, mut digits, mut most_digits) = (0_usize, 0_usize, 0_usize);
        let (mut in_string, mut escaped) = (false, false);
        for (offset, &byte) in bytes.iter().enumerate() {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = byte == b'\\' && !escaped;
                continue;
            }
            digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
            if digits > most_digits {
                most_digits = digits;
                extremes.longest_digits = offset + 1 - digits;
            }
            match byte {
                b'"' => in_string = true,
                b'[' | b'{' => {
                    depth += 1;
                    if depth > extremes.depth {
                        (extremes.depth, extremes.deepest) = (depth, offset);
                    }
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        extremes
    }
}
