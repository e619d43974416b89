//! Strings as `json` writes them with `ensure_ascii=False`: quotes, backslashes and
//! control characters become escapes, and every other character stays.

use super::buffer::Buffer;
use super::encode_error::EncodeStop;
use super::scan;

/// Appends Latin-1 text as a JSON string.
#[inline(always)]
pub(super) fn latin1(text: &[u8], out: &mut Buffer) -> Result<(), EncodeStop> {
    let plain = out.write_quoted(text)?;
    if plain == text.len() { Ok(()) } else { rest_of_latin1(&text[plain..], out) }
}

/// Appends the rest of a string, from a character on that is not plain.
#[inline(never)]
fn rest_of_latin1(text: &[u8], out: &mut Buffer) -> Result<(), EncodeStop> {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        not_plain(byte.into(), out)?;
        rest = &after[out.write_plain(after)?..];
    }
    Ok(out.write(b"\"")?)
}

/// Appends code points of two or four bytes as a JSON string.
#[inline(never)]
pub(super) fn wide<T: Copy + Into<u32>>(text: &[T], out: &mut Buffer) -> Result<(), EncodeStop> {
    out.write(b"\"")?;
    for &point in text {
        let point = point.into();
        match point {
            0x80..0x800 => {
                let bytes = 0x80C0 | point >> 6 | (point & 0x3F) << 8;
                out.write_word(u64::from(bytes).to_le_bytes(), 2)?;
            }
            // Half of a surrogate pair has no UTF-8.
            // safeguard: half-surrogate-pair
            0xD800..0xE000 => return Err(EncodeStop::NotPlain),
            0x800..0x1_0000 => {
                let bytes = 0x80_80E0 | point >> 12 | (point & 0xFC0) << 2 | (point & 0x3F) << 16;
                out.write_word(u64::from(bytes).to_le_bytes(), 3)?;
            }
            _ => match u8::try_from(point) {
                Ok(byte) if scan::is_plain(byte) => {
                    out.write_word(u64::from(byte).to_le_bytes(), 1)?;
                }
                _ => not_plain(point, out)?,
            },
        }
    }
    Ok(out.write(b"\"")?)
}

/// Appends code points as a JSON string of ASCII.
#[inline(never)]
pub(super) fn escaped<T: Copy + Into<u32>>(text: &[T], out: &mut Buffer) -> Result<(), EncodeStop> {
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
            point => match u8::try_from(point) {
                Ok(byte) if scan::is_plain(byte) => out.write(&[byte])?,
                _ => not_plain(point, out)?,
            },
        }
    }
    Ok(out.write(b"\"")?)
}

/// Appends `\u` and four hexadecimal digits.
fn unicode_escape(unit: u32, out: &mut Buffer) -> Result<(), EncodeStop> {
    let digit =
        |shift: u32| char::from_digit(unit >> shift & 15, 16).map_or(b'0', |digit| digit as u8);
    Ok(out.write_word([b'\\', b'u', digit(12), digit(8), digit(4), digit(0), 0, 0], 6)?)
}

/// Appends a code point that is not plain, as an escape or as UTF-8.
#[inline]
fn not_plain(point: u32, out: &mut Buffer) -> Result<(), EncodeStop> {
    // The callers exclude the halves of surrogate pairs: this never fails.
    let character = char::from_u32(point).ok_or(EncodeStop::NotPlain)?;
    let letter = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\x08' => b'b',
        '\x0C' => b'f',
        '\0'..' ' => {
            return unicode_escape(point, out);
        }
        _ => {
            let mut encoded = [0; 8];
            let length = character.encode_utf8(&mut encoded).len();
            return Ok(out.write_word(encoded, length)?);
        }
    };
    Ok(out.write_word([b'\\', letter, 0, 0, 0, 0, 0, 0], 2)?)
}
