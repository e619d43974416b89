//! Python's strings: their characters, and new ones out of UTF-8.
#![allow(unsafe_code, reason = "the inside of strings, behind a safe face")]

use std::slice;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyStringData};

use super::copy::copy_short;
use super::objects::owned;
use super::scan::{self, HIGH};

/// The bits `compact` and `ascii` of a string's state. They follow two bits of
/// `interned` and three of `kind`, from Python 3.10 on; pyo3 reads them up to 3.13 only.
/// A free-threaded interpreter has nothing but `interned` there, and sets neither bit:
/// its strings are read by pyo3.
const COMPACT: u32 = bits(0b010_0000);
const COMPACT_ASCII: u32 = bits(0b110_0000);
/// The bits of `kind`, which is the width of a character.
const KIND: u32 = bits(0b1_1100);
const KINDS: [u32; 3] = [bits(0b0_0100), bits(0b0_1000), bits(0b1_0000)];

const fn bits(bits: u32) -> u32 {
    if cfg!(target_endian = "little") { bits } else { bits.reverse_bits() }
}

/// The characters of an ASCII string.
#[inline(always)]
pub(crate) fn ascii_of<'a>(text: Borrowed<'a, '_, PyString>) -> Option<&'a [u8]> {
    let object = text.as_ptr();
    // SAFETY: the object is a string, and lives for 'a. The bit field is read as every
    // C compiler for Linux and macOS lays it out; the parity tests read strings of each
    // kind. A compact ASCII string has its characters, one byte each, right after the
    // header.
    unsafe {
        let header = object.cast::<ffi::PyASCIIObject>();
        if (*header).state & COMPACT_ASCII != COMPACT_ASCII {
            return None;
        }
        Some(slice::from_raw_parts(header.add(1).cast(), (*header).length.cast_unsigned()))
    }
}

/// The UTF-8 of a string that is not ASCII, if other code had the string keep it.
#[inline(always)]
pub(super) fn utf8_of<'a>(text: Borrowed<'a, '_, PyString>) -> Option<&'a [u8]> {
    let object = text.as_ptr();
    // SAFETY: the object is a string, and lives for 'a. A compact string that is not ASCII
    // has this header. Once there, its UTF-8 never changes.
    unsafe {
        let header = object.cast::<ffi::PyCompactUnicodeObject>();
        if (*header)._base.state & COMPACT_ASCII != COMPACT || (*header).utf8.is_null() {
            return None;
        }
        let length = (*header).utf8_length.cast_unsigned();
        Some(slice::from_raw_parts((*header).utf8.cast(), length))
    }
}

/// The characters of any string, in the width in which the string holds them.
#[inline(always)]
pub(super) fn characters_of<'a>(text: Borrowed<'a, '_, PyString>) -> Option<PyStringData<'a>> {
    // SAFETY: a string that was made has its characters, which never change. They live
    // as long as the string, which is for 'a: longer than the variable `text`. Those of a
    // compact string that is not ASCII follow this header, in the width of its kind.
    unsafe {
        let header = text.as_ptr().cast::<ffi::PyCompactUnicodeObject>();
        let state = (*header)._base.state;
        if state & COMPACT_ASCII == COMPACT {
            let (data, length) = (header.add(1), (*header)._base.length.cast_unsigned());
            let kind = KINDS.iter().position(|kind| state & KIND == *kind)?;
            return Some(match kind {
                0 => PyStringData::Ucs1(slice::from_raw_parts(data.cast(), length)),
                1 => PyStringData::Ucs2(slice::from_raw_parts(data.cast(), length)),
                _ => PyStringData::Ucs4(slice::from_raw_parts(data.cast(), length)),
            });
        }
        Some(match text.data().ok()? {
            PyStringData::Ucs1(data) => PyStringData::Ucs1(&*std::ptr::from_ref(data)),
            PyStringData::Ucs2(data) => PyStringData::Ucs2(&*std::ptr::from_ref(data)),
            PyStringData::Ucs4(data) => PyStringData::Ucs4(&*std::ptr::from_ref(data)),
        })
    }
}

/// A new string of ASCII text.
#[inline(always)]
pub(super) fn ascii_string<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    // The interpreter keeps the strings of one character.
    if text.len() < 2 {
        return decoded_string(py, text);
    }
    // SAFETY: attached; the reference is new, nobody else has seen the string, and it
    // has room for as many characters of one byte as are written.
    unsafe {
        let string = owned(py, ffi::PyUnicode_New(text.len().cast_signed(), 127))?;
        let data = string.as_ptr().cast::<ffi::PyASCIIObject>().add(1).cast::<u8>();
        copy_short(text, data);
        Some(string)
    }
}

/// A new string.
#[inline(never)]
pub(super) fn utf8_string<'py>(py: Python<'py>, text: &str) -> Option<Bound<'py, PyAny>> {
    let Shape { length, widest } = Shape::of(text.as_bytes());
    // The interpreter keeps the strings of one character of eight bits.
    if length < 2 {
        return decoded_string(py, text.as_bytes());
    }
    let text = text.as_bytes();
    // SAFETY: attached; the reference is new, and nobody else has seen the string. It has
    // room for `length` characters of the kind that `widest` needs, right after the header
    // of a compact string: for ASCII a shorter one. `text` is UTF-8.
    unsafe {
        let string = owned(py, ffi::PyUnicode_New(length.cast_signed(), widest))?;
        let object = string.as_ptr();
        let data = object.cast::<ffi::PyCompactUnicodeObject>().add(1);
        match widest {
            0x7F => copy_short(text, object.cast::<ffi::PyASCIIObject>().add(1).cast()),
            0xFF => fill(text, data.cast::<u8>(), |point| (point & 0xFF) as u8),
            0xFFFF => fill(text, data.cast::<u16>(), |point| (point & 0xFFFF) as u16),
            _ => fill(text, data.cast::<u32>(), |point| point),
        }
        Some(string)
    }
}

/// How many characters a text has, and in what width a string holds them.
struct Shape {
    length: usize,
    /// The last character of the narrowest kind of string that has room for the text.
    widest: u32,
}

impl Shape {
    /// The shape of UTF-8.
    #[inline(always)]
    fn of(text: &[u8]) -> Self {
        let (mut continuations, mut other, mut wide, mut widest) = (0, 0, 0, 0);
        let mut add = |word: u64| {
            // Bit 7 of each byte: what the byte begins with. No bit of a neighbour gets there.
            let begins_11 = word & (word << 1);
            continuations += (word & !begins_11 & HIGH).count_ones() as usize;
            other |= word;
            // From U+0100 on the first byte is more than 0xC3.
            wide |= begins_11 & ((word << 2) | (word << 3) | (word << 4) | (word << 5));
            // From U+10000 on it is at least 0xF0.
            widest |= begins_11 & (word << 2) & (word << 3);
        };
        let (words, rest) = text.as_chunks::<8>();
        for word in words {
            add(u64::from_le_bytes(*word));
        }
        add(scan::short_word(rest));
        let widest = match () {
            () if widest & HIGH != 0 => 0x10_FFFF,
            () if wide & HIGH != 0 => 0xFFFF,
            () if other & HIGH != 0 => 0xFF,
            () => 0x7F,
        };
        Self { length: text.len() - continuations, widest }
    }
}

/// Writes the characters of a text.
///
/// # Safety
///
/// `text` is UTF-8, and `to` has room for each of its characters, which `narrow` keeps.
#[inline(always)]
unsafe fn fill<T>(text: &[u8], to: *mut T, narrow: impl Fn(u32) -> T) {
    let (mut at, mut to) = (0, to);
    // SAFETY: UTF-8 has as many bytes as the first byte of a character says.
    unsafe {
        let tail = |at: usize| u32::from(*text.get_unchecked(at) & 0x3F);
        while at < text.len() {
            let first = u32::from(*text.get_unchecked(at));
            let (point, size) = match first {
                0..0x80 => {
                    // Other scripts are mixed with words and markup in ASCII.
                    while let Some(eight) = text[at..].first_chunk::<8>()
                        && u64::from_ne_bytes(*eight) & HIGH == 0
                    {
                        for (index, &byte) in eight.iter().enumerate() {
                            to.add(index).write(narrow(byte.into()));
                        }
                        (at, to) = (at + 8, to.add(8));
                    }
                    if at == text.len() {
                        return;
                    }
                    let next = u32::from(*text.get_unchecked(at));
                    if next >= 0x80 {
                        continue;
                    }
                    (next, 1)
                }
                0x80..0xE0 => ((first & 0x1F) << 6 | tail(at + 1), 2),
                0xE0..0xF0 => ((first & 0xF) << 12 | tail(at + 1) << 6 | tail(at + 2), 3),
                _ => ((first & 7) << 18 | tail(at + 1) << 12 | tail(at + 2) << 6 | tail(at + 3), 4),
            };
            to.write(narrow(point));
            (at, to) = (at + size, to.add(1));
        }
    }
}

/// A new string, if the text is UTF-8, made by the interpreter's decoder.
fn decoded_string<'py>(py: Python<'py>, text: &[u8]) -> Option<Bound<'py, PyAny>> {
    let (data, length) = (text.as_ptr().cast(), text.len().cast_signed());
    // SAFETY: attached; `data` has `length` bytes; the reference is new.
    unsafe { owned(py, ffi::PyUnicode_DecodeUTF8(data, length, std::ptr::null())) }
}
