//! Strings as `json` writes them with `ensure_ascii=False`: quotes, backslashes
//! and control characters as escapes, the rest as it is.

use super::buffer::Buffer;
use super::encode::Stop;
use super::scan;

/// Room is made for so many characters at a time.
const STRIDE: usize = 256;

/// Appends Latin-1 as a JSON string.
#[inline(always)]
pub(super) fn latin1(text: &[u8], out: &mut Buffer) -> Result<(), Stop> {
    let plain = out.quoted(text)?;
    if plain == text.len() { Ok(()) } else { odd_latin1(&text[plain..], out) }
}

/// The rest of a string, from a character on that is not written as it lies
/// there.
#[cold]
fn odd_latin1(text: &[u8], out: &mut Buffer) -> Result<(), Stop> {
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        character(byte.into(), out)?;
        let (plain, odd) = after.split_at(scan::plain(after));
        out.raw(plain)?;
        rest = odd;
    }
    Ok(out.raw(b"\"")?)
}

/// Appends code points as a JSON string.
#[cold]
pub(super) fn wide<T: Copy + Into<u32>>(text: &[T], out: &mut Buffer) -> Result<(), Stop> {
    out.raw(b"\"")?;
    for stride in text.chunks(STRIDE) {
        out.reserve(stride.len() * char::MAX.len_utf8())?;
        for &point in stride {
            // Lone surrogates have no UTF-8.
            character(char::from_u32(point.into()).ok_or(Stop::NotCovered)?, out)?;
        }
    }
    Ok(out.raw(b"\"")?)
}

#[inline]
fn character(character: char, out: &mut Buffer) -> Result<(), Stop> {
    let short = match character {
        '"' => br#"\""#,
        '\\' => br"\\",
        '\n' => br"\n",
        '\r' => br"\r",
        '\t' => br"\t",
        '\x08' => br"\b",
        '\x0C' => br"\f",
        '\0'..' ' => {
            let digit = |value: u32| char::from_digit(value, 16).map_or(b'0', |digit| digit as u8);
            let point = u32::from(character);
            return Ok(out.raw(&[b'\\', b'u', b'0', b'0', digit(point >> 4), digit(point & 15)])?);
        }
        _ => return Ok(out.raw(character.encode_utf8(&mut [0; 4]).as_bytes())?),
    };
    Ok(out.raw(short)?)
}
