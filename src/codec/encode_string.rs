//! Strings and names as `json` writes them: quotes, backslashes and control characters
//! become escapes, with `ensure_ascii` all that is not ASCII too.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyStringData};

use super::buffer::{Buffer, OutOfMemory};
use super::encode::Writer;
use super::objects::Value;
use super::{escape, strings};

impl<'py> Writer<'_, 'py> {
    /// Appends what stands before a pair, the key and the colon. `false`, and nothing is
    /// written, where the key is no string or has no UTF-8.
    #[inline(always)]
    pub(super) fn name(
        &mut self,
        key: Borrowed<'_, 'py, PyAny>,
        width: usize,
    ) -> Result<bool, OutOfMemory> {
        let Value::String(text) = Value::of(key) else { return Ok(false) };
        if !self.ensure_ascii
            && let Some(text) = strings::ascii_of(text)
            && self.out.write_name(self.layout.start(), width, text)?
        {
            return Ok(true);
        }
        self.other_name(text, width)
    }

    #[inline(never)]
    fn other_name(
        &mut self,
        text: Borrowed<'_, 'py, PyString>,
        width: usize,
    ) -> Result<bool, OutOfMemory> {
        let end = self.out.len();
        self.layout.separate(width, &mut self.out)?;
        let start = self.out.len();
        if self.string(text, start)? {
            self.out.write(b": ")?;
            return Ok(true);
        }
        self.out.truncate(end);
        Ok(false)
    }

    /// Appends a string at `start`. `false`, and nothing is written, where it has no UTF-8.
    #[inline(always)]
    pub(super) fn string(
        &mut self,
        text: Borrowed<'_, 'py, PyString>,
        start: usize,
    ) -> Result<bool, OutOfMemory> {
        if !self.ensure_ascii
            && let Some(text) = strings::ascii_of(text)
        {
            latin1(text, &mut self.out)?;
            return Ok(true);
        }
        let whole = self.other_string(text)?;
        if !whole {
            self.out.truncate(start);
        }
        Ok(whole)
    }

    #[inline(never)]
    fn other_string(&mut self, text: Borrowed<'_, 'py, PyString>) -> Result<bool, OutOfMemory> {
        if self.ensure_ascii {
            match strings::characters_of(text) {
                Some(PyStringData::Ucs1(text)) => escaped(text, &mut self.out)?,
                Some(PyStringData::Ucs2(text)) => escaped(text, &mut self.out)?,
                Some(PyStringData::Ucs4(text)) => escaped(text, &mut self.out)?,
                None => return Ok(false),
            }
            return Ok(true);
        }
        if let Some(text) = strings::utf8_of(text) {
            utf8(text, &mut self.out)?;
            return Ok(true);
        }
        match strings::characters_of(text) {
            Some(PyStringData::Ucs1(text)) => {
                latin1(text, &mut self.out)?;
                Ok(true)
            }
            Some(PyStringData::Ucs2(text)) => wide(text, &mut self.out),
            Some(PyStringData::Ucs4(text)) => wide(text, &mut self.out),
            None => Ok(false),
        }
    }
}

/// Appends Latin-1 text as a JSON string.
#[inline(always)]
fn latin1(text: &[u8], out: &mut Buffer) -> Result<(), OutOfMemory> {
    let plain = out.write_quoted::<false>(text)?;
    if plain == text.len() { Ok(()) } else { rest_of_latin1(&text[plain..], out) }
}

/// Appends the rest of a string, from a character on that is not plain.
#[inline(never)]
fn rest_of_latin1(text: &[u8], out: &mut Buffer) -> Result<(), OutOfMemory> {
    match text {
        // Mostly a line break, at the end of a line.
        &[last @ ..0x80] => {
            let (word, length) = escape::of(last);
            let word = word | u64::from(b'"') << (8 * length);
            return out.write_word(word.to_le_bytes(), length + 1);
        }
        // More than a letter with an accent here and there.
        [0x80..=0xFF, 0x80..=0xFF, 0x80..=0xFF, ..] => {
            out.write_points(text)?;
        }
        _ => out.write_escaped::<true>(text)?,
    }
    out.write(b"\"")
}

/// Appends UTF-8 as a JSON string.
#[inline(never)]
fn utf8(text: &[u8], out: &mut Buffer) -> Result<(), OutOfMemory> {
    let plain = out.write_quoted::<true>(text)?;
    if plain < text.len() {
        out.write_escaped::<false>(&text[plain..])?;
        out.write(b"\"")?;
    }
    Ok(())
}

/// Appends code points of two or four bytes as a JSON string. `false` where they have no
/// UTF-8.
#[inline(never)]
fn wide<T: Copy + Into<u32>>(text: &[T], out: &mut Buffer) -> Result<bool, OutOfMemory> {
    out.write(b"\"")?;
    let whole = out.write_points(text)?;
    out.write(b"\"")?;
    Ok(whole)
}

/// Appends code points as a JSON string of ASCII.
#[inline(never)]
fn escaped<T: Copy + Into<u32>>(text: &[T], out: &mut Buffer) -> Result<(), OutOfMemory> {
    out.write(b"\"")?;
    for &point in text {
        match point.into() {
            // The last character of ASCII is escaped here, and only here.
            point @ 0x7F.. => {
                let mut units = [0; 2];
                // Half of a surrogate pair is a unit by itself.
                let units = if let Some(character) = char::from_u32(point) {
                    character.encode_utf16(&mut units)
                } else {
                    units[0] = (point & 0xFFFF) as u16;
                    &mut units[..1]
                };
                for &unit in &*units {
                    unicode_escape(unit.into(), out)?;
                }
            }
            point => {
                let (word, length) = escape::of((point & 0x7F) as u8);
                out.write_word(word.to_le_bytes(), length)?;
            }
        }
    }
    out.write(b"\"")
}

/// Appends `\u` and four hexadecimal digits.
fn unicode_escape(unit: u32, out: &mut Buffer) -> Result<(), OutOfMemory> {
    let digit =
        |shift: u32| char::from_digit(unit >> shift & 15, 16).map_or(b'0', |digit| digit as u8);
    out.write_word([b'\\', b'u', digit(12), digit(8), digit(4), digit(0), 0, 0], 6)
}
