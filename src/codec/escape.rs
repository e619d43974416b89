//! Strings as `json` writes them with `ensure_ascii=False`: quotes, backslashes
//! and control characters as escapes, the rest as it is.

use super::buffer::Buffer;
use super::encode::Stop;
use super::scan;

/// Appends Latin-1 as a JSON string.
#[inline(always)]
pub(super) fn latin1(text: &[u8], out: &mut Buffer) -> Result<(), Stop> {
    let plain = out.quoted(text)?;
    if plain == text.len() { Ok(()) } else { odd_latin1(&text[plain..], out) }
}

/// The rest of a string, from a character on that is not written as it lies
/// there.
#[inline(never)]
fn odd_latin1(text: &[u8], out: &mut Buffer) -> Result<(), Stop> {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        character(byte.into(), out)?;
        rest = &after[out.plain(after)?..];
    }
    Ok(out.raw(b"\"")?)
}

/// Appends code points as a JSON string.
#[inline(never)]
pub(super) fn wide<T: Copy + Into<u32>>(text: &[T], out: &mut Buffer) -> Result<(), Stop> {
    out.raw(b"\"")?;
    for &point in text {
        let point = point.into();
        match point {
            0x80..0x800 => {
                let bytes = 0x80C0 | point >> 6 | (point & 0x3F) << 8;
                out.word(u64::from(bytes).to_le_bytes(), 2)?;
            }
            // Lone surrogates have no UTF-8.
            0xD800..0xE000 => return Err(Stop::NotCovered),
            0x800..0x1_0000 => {
                let bytes = 0x80_80E0 | point >> 12 | (point & 0xFC0) << 2 | (point & 0x3F) << 16;
                out.word(u64::from(bytes).to_le_bytes(), 3)?;
            }
            _ => match u8::try_from(point) {
                Ok(byte) if !scan::is_odd(byte) => out.word(u64::from(byte).to_le_bytes(), 1)?,
                _ => character(point, out)?,
            },
        }
    }
    Ok(out.raw(b"\"")?)
}

/// Appends what is no plain ASCII.
#[inline]
fn character(point: u32, out: &mut Buffer) -> Result<(), Stop> {
    // Not a lone surrogate: a character in any case.
    let character = char::from_u32(point).ok_or(Stop::NotCovered)?;
    let letter = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\x08' => b'b',
        '\x0C' => b'f',
        '\0'..' ' => {
            let digit = |value: u32| char::from_digit(value, 16).map_or(b'0', |digit| digit as u8);
            let (high, low) = (digit(point >> 4), digit(point & 15));
            return Ok(out.word([b'\\', b'u', b'0', b'0', high, low, 0, 0], 6)?);
        }
        _ => {
            let mut encoded = [0; 8];
            let length = character.encode_utf8(&mut encoded).len();
            return Ok(out.word(encoded, length)?);
        }
    };
    Ok(out.word([b'\\', letter, 0, 0, 0, 0, 0, 0], 2)?)
}
