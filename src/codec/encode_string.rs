//! Strings as `json` writes them with `ensure_ascii=False`: quotes, backslashes and
//! control characters become escapes, and every other character stays.

use super::buffer::{Buffer, OutOfMemory};
use super::escape;

/// Appends Latin-1 text as a JSON string.
#[inline(always)]
pub(super) fn latin1(text: &[u8], out: &mut Buffer) -> Result<(), OutOfMemory> {
    let plain = out.write_quoted::<false>(text)?;
    if plain == text.len() { Ok(()) } else { rest_of_latin1(&text[plain..], out) }
}

/// Appends the rest of a string, from a character on that is not plain.
#[inline(never)]
fn rest_of_latin1(text: &[u8], out: &mut Buffer) -> Result<(), OutOfMemory> {
    out.write_escaped::<true>(text)?;
    out.write(b"\"")
}

/// Appends UTF-8 as a JSON string.
#[inline(never)]
pub(super) fn utf8(text: &[u8], out: &mut Buffer) -> Result<(), OutOfMemory> {
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
pub(super) fn wide<T: Copy + Into<u32>>(text: &[T], out: &mut Buffer) -> Result<bool, OutOfMemory> {
    out.write(b"\"")?;
    let whole = out.write_points(text)?;
    out.write(b"\"")?;
    Ok(whole)
}

/// Appends code points as a JSON string of ASCII.
#[inline(never)]
pub(super) fn escaped<T: Copy + Into<u32>>(
    text: &[T],
    out: &mut Buffer,
) -> Result<(), OutOfMemory> {
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
