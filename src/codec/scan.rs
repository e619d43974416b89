//! How far a text goes on plainly: eight bytes at a time, however a string is
//! aligned.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes stand in front of the first that is no ASCII, a quote, a
/// backslash or a control character.
#[inline]
pub(super) fn plain(text: &[u8]) -> usize {
    first(text, |word| marks(word) | word, |byte| special(byte) || !byte.is_ascii())
}

/// How many bytes stand in front of the first quote, backslash or control
/// character.
#[inline]
#[allow(dead_code)]
pub(super) fn unescaped(text: &[u8]) -> usize {
    first(text, |word| marks(word) & !word, special)
}

#[inline]
fn first(text: &[u8], marks: impl Fn(u64) -> u64, special: impl Fn(u8) -> bool) -> usize {
    let mut offset = 0;
    while let Some(word) = text[offset..].first_chunk::<8>() {
        let found = marks(u64::from_le_bytes(*word)) & HIGH;
        if found != 0 {
            return offset + found.trailing_zeros() as usize / 8;
        }
        offset += 8;
    }
    let rest = &text[offset..];
    offset + rest.iter().position(|&byte| special(byte)).unwrap_or(rest.len())
}

fn special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Sets the high bit of each byte up to the first that is special, in which it
/// is right for ASCII; a borrow may set it in later ones.
#[inline]
fn marks(word: u64) -> u64 {
    let control = word.wrapping_sub(LOW * 0x20);
    let quote = (word ^ (LOW * u64::from(b'"'))).wrapping_sub(LOW);
    let backslash = (word ^ (LOW * u64::from(b'\\'))).wrapping_sub(LOW);
    control | quote | backslash
}
