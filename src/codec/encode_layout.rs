//! Separators, line breaks and indentation, as `json.dump` writes them.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::buffer::{Buffer, OutOfMemory, PREFIX};
use super::strings;

/// The most bytes of one level of indentation.
const MAX_INDENT: usize = 1024;

/// What stands between two values on one line, padded for [`Buffer::write_prefix`].
const ONE_LINE: &[u8] = &separator(*b", ", [b' '; 2 + PREFIX]);

/// What stands between two values on lines of their own, with indentation for the usual
/// depths.
const LINES: &[u8] = &separator(*b",\n", [b' '; 2 + 3 * PREFIX]);

const fn separator<const N: usize>(start: [u8; 2], mut padded: [u8; N]) -> [u8; N] {
    [padded[0], padded[1]] = start;
    padded
}

/// One level of indentation for the caller's `indent`; `None` leaves the document to
/// `json`.
pub(super) fn indentation<'a>(indent: &'a Bound<'_, PyAny>) -> Option<Cow<'a, str>> {
    if let Ok(text) = indent.cast_exact::<PyString>() {
        let text = str::from_utf8(strings::ascii_of(text.as_borrowed())?).ok()?;
        // What `json` writes is indented anew by its line breaks.
        return (text.len() <= MAX_INDENT && !text.contains('\n')).then(|| text.into());
    }
    match indent.extract::<i64>().map(|width| usize::try_from(width).unwrap_or(0)) {
        Ok(2) => Some("  ".into()),
        Ok(width @ ..=MAX_INDENT) => Some(" ".repeat(width).into()),
        _ => None,
    }
}

/// What stands between two values in the innermost container.
pub(super) struct Layout<'a> {
    /// A comma, and then either a space or a line break and indentation. It is long
    /// enough for the deepest container so far.
    separator: Cow<'static, [u8]>,
    /// The length of the separator in the innermost container.
    width: usize,
    /// One level of indentation; `None` writes everything on one line.
    indent: Option<Cow<'a, str>>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(indent: Option<Cow<'a, str>>) -> Self {
        let separator = match &indent {
            None => ONE_LINE,
            Some(indent) if indent.bytes().all(|byte| byte == b' ') => LINES,
            // Without indentation: `enter` appends the tabs.
            // safeguard: tabs-not-spaces
            Some(_) => &LINES[..2 + PREFIX],
        };
        Self { separator: separator.into(), width: 2, indent }
    }

    /// Enters a container.
    pub(super) fn enter(&mut self) {
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
    }

    /// Leaves a container.
    pub(super) fn leave(&mut self) {
        self.width -= self.indent.as_ref().map_or(0, |indent| indent.len());
    }

    /// Appends what stands before the bracket of a container that was left.
    pub(super) fn end(&self, out: &mut Buffer) -> Result<(), OutOfMemory> {
        if self.indent.is_some() {
            out.write_prefix(&self.separator[1..], self.width - 1)
        } else {
            Ok(())
        }
    }

    /// Appends the separator. Before the first value, the comma is left out, and on one
    /// line the space too.
    #[inline(always)]
    pub(super) fn separate(&self, first: &mut bool, out: &mut Buffer) -> Result<(), OutOfMemory> {
        let before_first = if self.indent.is_some() { 1 } else { 2 };
        let from = if std::mem::take(first) { before_first } else { 0 };
        out.write_prefix(&self.separator[from..], self.width - from)
    }

    /// A line break, and the indentation of the innermost container.
    pub(super) fn line_break(&self) -> &[u8] {
        &self.separator[1..self.width]
    }
}
