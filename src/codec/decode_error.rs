//! Why bytes are not a document, and where in them `json` stopped.

use pyo3::exceptions::{PyRecursionError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;

/// A text that is nested deeper than this is corrupt, whatever the interpreter's limit
/// of recursion: no usual stack has room for it.
const MAX_NESTING: usize = 100_000;

/// Why bytes are not a document.
pub(crate) enum DecodeError {
    /// `json` cannot read them.
    Corrupt { reason: String, position: Position, cause: PyErr },
    /// The bytes are not the reason: memory ran out, or a signal arrived.
    Other(PyErr),
}

/// A position in a text, in the terms of `json.JSONDecodeError`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// The number of characters before the position.
    pub(crate) pos: usize,
    /// The line, from 1.
    pub(crate) lineno: usize,
    /// The character in its line, from 1.
    pub(crate) colno: usize,
}

/// The error for what `json` raised about these bytes. `limited` tells that `json` had
/// fewer levels of recursion than the interpreter allows.
pub(super) fn explain(py: Python<'_>, bytes: &[u8], cause: PyErr, limited: bool) -> DecodeError {
    match corruption(py, bytes, &cause, limited) {
        Ok(Some((reason, position))) => DecodeError::Corrupt { reason, position, cause },
        Ok(None) => DecodeError::Other(cause),
        Err(error) => DecodeError::Other(error),
    }
}

/// What is wrong with the bytes, and where; `None` if the exception is not about them.
///
/// Only what `json` itself raises about the text makes a file corrupt. An exception of
/// a signal handler or of a deep stack must not: the caller could answer with a default
/// in place of a healthy document.
fn corruption(
    py: Python<'_>,
    bytes: &[u8],
    cause: &PyErr,
    limited: bool,
) -> PyResult<Option<(String, Position)>> {
    // safeguard: only-json-errors-are-corruption
    if !is_of_json(py, cause)? {
        return Ok(None);
    }
    let value = cause.value(py);
    // `json` counts from the end of a byte order mark.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if cause.is_instance_of::<PyUnicodeDecodeError>(py) {
        let start: usize = value.getattr("start")?.extract()?;
        let encoding: String = value.getattr("encoding")?.extract()?;
        let reason = format!("not {encoding} text ({})", value.getattr("reason")?.str()?);
        let before = bytes.get(..start).unwrap_or(bytes);
        let position = match encoding.as_bytes() {
            [.., b'-', b'1', b'6', _, _, _] => Position::in_units(start / 2),
            [.., b'-', b'3', b'2', _, _, _] => Position::in_units(start / 4),
            _ => Position::after(before),
        };
        return Ok(Some((reason, position)));
    }
    // By its attributes, not by its class: `json` raises what other code may have put
    // in the place of `json.JSONDecodeError`.
    if cause.is_instance_of::<PyValueError>(py) && value.hasattr("pos")? {
        let number = |name| value.getattr(name)?.extract::<usize>();
        let position =
            Position { pos: number("pos")?, lineno: number("lineno")?, colno: number("colno")? };
        return Ok(Some((value.getattr("msg")?.extract()?, position)));
    }
    // The text is well-formed so far, but more than this interpreter reads: a number is
    // too long (sys.set_int_max_str_digits), or the nesting too deep.
    let at = |offset| Position::after(bytes.get(..offset).unwrap_or(bytes));
    if cause.get_type(py).is(py.get_type::<PyValueError>()) {
        let extremes = Extremes::of(bytes);
        return Ok(Some((value.str()?.to_string(), at(extremes.longest_digits))));
    }
    if cause.is_instance_of::<PyRecursionError>(py) {
        let extremes = Extremes::of(bytes);
        let limit: usize = py.import("sys")?.call_method0("getrecursionlimit")?.extract()?;
        // A text with less nesting is not at fault. Either the caller's recursion was
        // deep already, or this thread's stack is small, and a larger one is enough.
        let allowed = if limited { limit } else { limit / 2 };
        if extremes.depth > allowed.min(MAX_NESTING) {
            let reason = format!("nested {} deep", extremes.depth);
            return Ok(Some((reason, at(extremes.deepest))));
        }
    }
    Ok(None)
}

/// Whether every frame between the call of `json` and the raise belongs to `json`. A
/// signal handler in between may raise an exception of the same class.
fn is_of_json(py: Python<'_>, cause: &PyErr) -> PyResult<bool> {
    let mut rest = cause.traceback(py).map(Bound::into_any);
    while let Some(traceback) = rest {
        let module = traceback.getattr("tb_frame")?.getattr("f_globals")?.get_item("__name__")?;
        let module: String = module.extract()?;
        // Some text encodings are written in Python too.
        if !matches!(module.split('.').next(), Some("json" | "encodings")) {
            return Ok(false);
        }
        rest = Some(traceback.getattr("tb_next")?).filter(|next| !next.is_none());
    }
    Ok(true)
}

impl Position {
    /// The position after some UTF-8, found without a copy: memory may be short.
    fn after(text: &[u8]) -> Self {
        let characters = |text: &[u8]| text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        let line = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        Self {
            pos: characters(text),
            lineno: text.split(|&byte| byte == b'\n').count(),
            colno: characters(&text[line..]) + 1,
        }
    }

    /// A position in UTF-16 or UTF-32, where lines are not counted.
    fn in_units(units: usize) -> Self {
        Self { pos: units, lineno: 1, colno: units + 1 }
    }
}

/// The offsets of the deepest bracket and of the longest run of digits in a text.
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
