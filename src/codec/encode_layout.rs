//! Separators, line breaks and indentation, as `json.dump` writes them.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::buffer::{Buffer, OutOfMemory, PREFIX};
use super::strings;

/// The most bytes of one level of indentation.
const MAX_INDENT: usize = 1024;

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

/// What stands between two values in the innermost container: a comma, and then either a
/// space or a line break and indentation.
pub(super) struct Layout<'a> {
    /// The start of the separator, padded; of a longer indentation its start.
    start: [u8; PADDED],
    /// All of it, for the deepest container in which it is longer than that.
    long: Vec<u8>,
    /// The length of the separator.
    width: usize,
    /// The length of what stands between two values, and not before the first.
    comma: usize,
    /// One level of indentation; without it everything is on one line.
    indent: Cow<'a, str>,
}

/// The comma, a line break and [`PREFIX`] bytes of indentation.
const PADDED: usize = 2 + PREFIX;

impl<'a> Layout<'a> {
    pub(super) fn new(indent: Option<Cow<'a, str>>) -> Self {
        let (between, comma) = if indent.is_some() { (b'\n', 1) } else { (b' ', 2) };
        let indent = indent.unwrap_or_default();
        let mut start = [b' '; PADDED];
        let mut indentation = indent.bytes().cycle();
        // safeguard: tabs-not-spaces
        start.fill_with(|| indentation.next().unwrap_or(b' '));
        start.rotate_right(2);
        [start[0], start[1]] = [b',', between];
        Self { start, long: Vec::new(), width: 2, comma, indent }
    }

    /// Enters a container.
    #[inline(always)]
    pub(super) fn enter(&mut self, bracket: u8, out: &mut Buffer) -> Result<(), OutOfMemory> {
        self.width += self.indent.len();
        if self.width > PREFIX {
            return self.enter_deep(bracket, out);
        }
        out.write_start_with(self.start(), self.width + 1 - self.comma, (0, bracket))
    }

    #[inline(never)]
    fn enter_deep(&mut self, bracket: u8, out: &mut Buffer) -> Result<(), OutOfMemory> {
        if self.long.is_empty() {
            self.long.extend_from_slice(&self.start[..2]);
        }
        while self.long.len() < self.width {
            self.long.extend_from_slice(self.indent.as_bytes());
        }
        out.write(&[bracket])?;
        out.write(&self.long[1..self.width])
    }

    /// Leaves a container.
    #[inline(always)]
    pub(super) fn leave(&mut self, bracket: u8, out: &mut Buffer) -> Result<(), OutOfMemory> {
        self.forget();
        let before = self.width - self.comma;
        match self.start[1..].first_chunk() {
            Some(start) if before < PREFIX => {
                out.write_start_with(start, before + 1, (before, bracket))
            }
            _ => {
                out.write(self.line_break())?;
                out.write(&[bracket])
            }
        }
    }

    /// Leaves a container that is not to be written.
    pub(super) fn forget(&mut self) {
        self.width -= self.indent.len();
    }

    /// The length of what stands before a value, but for the first.
    #[inline(always)]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The start of the separator.
    #[inline(always)]
    pub(super) fn start(&self) -> &[u8; PREFIX] {
        self.start.first_chunk().unwrap_or(&[0; PREFIX])
    }

    /// Appends so much of the separator.
    #[inline(always)]
    pub(super) fn separate(&self, width: usize, out: &mut Buffer) -> Result<(), OutOfMemory> {
        if width <= PREFIX {
            out.write_start(self.start(), width)
        } else {
            out.write(&self.long[..width])
        }
    }

    /// A line break, and the indentation of the innermost container.
    pub(super) fn line_break(&self) -> &[u8] {
        let separator = if self.width <= PREFIX { &self.start[..] } else { &self.long };
        &separator[1..self.width]
    }
}
