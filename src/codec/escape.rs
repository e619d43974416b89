//! Strings as `json` writes them with `ensure_ascii=False`: quotes, backslashes
//! and control characters as escapes, the rest as it is.

use super::buffer::Buffer;
use super::encode::Stop;
use super::scan;

/// So many characters are written at a time.
const STRIDE: usize = 64;

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
    for stride in text.chunks(STRIDE) {
        let (mut written, mut length) = ([0; STRIDE * char::MAX.len_utf8()], 0);
        for &point in stride {
            match u8::try_from(point.into()) {
                Ok(byte) if !scan::is_odd(byte) => {
                    written[length] = byte;
                    length += 1;
                }
                Ok(..0x80) => {
                    out.raw(&written[..std::mem::take(&mut length)])?;
                    character(point.into(), out)?;
                }
                // Lone surrogates have no UTF-8.
                _ => match char::from_u32(point.into()) {
                    Some(letter) => length += letter.encode_utf8(&mut written[length..]).len(),
                    None => return Err(Stop::NotCovered),
                },
            }
        }
        out.raw(&written[..length])?;
    }
    Ok(out.raw(b"\"")?)
}

/// Appends what is no plain ASCII.
#[inline]
fn character(point: u32, out: &mut Buffer) -> Result<(), Stop> {
    // Latin-1 at most: a character in any case.
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
