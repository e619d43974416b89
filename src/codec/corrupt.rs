//! Where in a text `json` gave up, and whether the text is to blame.

use pyo3::exceptions::{PyRecursionError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;

/// A text nested deeper than this is corrupt whatever the interpreter's limit of
/// recursion: no usual stack has room for it.
const BOMB: usize = 100_000;

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

/// What it means that `json` raised `cause` about these bytes.
pub(super) fn explain(
    py: Python<'_>,
    bytes: &[u8],
    cause: PyErr,
    small_stack: bool,
) -> DecodeError {
    match place(py, bytes, &cause, small_stack) {
        Ok(Some((reason, place))) => DecodeError::Corrupt { reason, place, cause },
        Ok(None) => DecodeError::Other(cause),
        Err(error) => DecodeError::Other(error),
    }
}

/// Only what `json` itself raises about the text makes a file corrupt. Anything
/// else came from elsewhere (a signal handler, a deep stack), and must not be
/// answered with a default in place of a healthy document.
fn place(
    py: Python<'_>,
    bytes: &[u8],
    cause: &PyErr,
    small_stack: bool,
) -> PyResult<Option<(String, Place)>> {
    if !is_of_json(py, cause)? {
        return Ok(None);
    }
    let value = cause.value(py);
    // json counts from behind a byte order mark.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if cause.is_instance_of::<PyUnicodeDecodeError>(py) {
        let start: usize = value.getattr("start")?.extract()?;
        let encoding: String = value.getattr("encoding")?.extract()?;
        let reason = format!("not {encoding} text ({})", value.getattr("reason")?.str()?);
        let before = bytes.get(..start).unwrap_or(bytes);
        let place = match encoding.as_bytes() {
            [.., b'-', b'1', b'6', _, _, _] => Place::in_units(start / 2),
            [.., b'-', b'3', b'2', _, _, _] => Place::in_units(start / 4),
            _ => Place::after(before),
        };
        return Ok(Some((reason, place)));
    }
    // Told by what it says, since somebody may have put a class of his own in the place
    // of `json.JSONDecodeError`, which is raised by name.
    if cause.is_instance_of::<PyValueError>(py) && value.hasattr("pos")? {
        let number = |name| value.getattr(name)?.extract::<usize>();
        let place =
            Place { pos: number("pos")?, lineno: number("lineno")?, colno: number("colno")? };
        return Ok(Some((value.getattr("msg")?.extract()?, place)));
    }
    // Well-formed as far as it goes, but more than this interpreter reads: too
    // deep, or a number too long (sys.set_int_max_str_digits).
    let before = |offset| Place::after(bytes.get(..offset).unwrap_or(bytes));
    if cause.get_type(py).is(py.get_type::<PyValueError>()) {
        let extremes = Extremes::of(bytes);
        return Ok(Some((value.str()?.to_string(), before(extremes.longest_digits))));
    }
    if cause.is_instance_of::<PyRecursionError>(py) {
        let extremes = Extremes::of(bytes);
        let limit: usize = py.import("sys")?.call_method0("getrecursionlimit")?.extract()?;
        // Else the stack was deep before the document came; or it is a small one, and a
        // thread with a larger one reads the document.
        let most = if small_stack { limit } else { limit / 2 };
        if extremes.depth > most.min(BOMB) {
            let reason = format!("nested {} deep", extremes.depth);
            return Ok(Some((reason, before(extremes.deepest))));
        }
    }
    Ok(None)
}

/// Whether the exception came through `json`'s own functions alone, from where they
/// were called to where it was raised: not through a signal handler, whose exception
/// may be of the same class.
fn is_of_json(py: Python<'_>, cause: &PyErr) -> PyResult<bool> {
    let mut rest = cause.traceback(py).map(Bound::into_any);
    while let Some(traceback) = rest {
        let module = traceback.getattr("tb_frame")?.getattr("f_globals")?.get_item("__name__")?;
        let module: String = module.extract()?;
        // Some codecs, too, are in Python.
        if !matches!(module.split('.').next(), Some("json" | "encodings")) {
            return Ok(false);
        }
        rest = Some(traceback.getattr("tb_next")?).filter(|next| !next.is_none());
    }
    Ok(true)
}

impl Place {
    /// The place after some UTF-8, found without a copy: memory may be what is
    /// short.
    fn after(text: &[u8]) -> Self {
        let characters = |text: &[u8]| text.iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        let line = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        Self {
            pos: characters(text),
            lineno: text.split(|&byte| byte == b'\n').count(),
            colno: characters(&text[line..]) + 1,
        }
    }

    /// A place in UTF-16 or UTF-32, which is not worth counting lines in.
    fn in_units(units: usize) -> Self {
        Self { pos: units, lineno: 1, colno: units + 1 }
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
