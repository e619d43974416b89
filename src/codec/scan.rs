//! How far a text goes on plainly: eight bytes at a time, however a string is
//! aligned.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes stand in front of the first that is no ASCII, a quote, a
/// backslash or a control character.
#[inline(always)]
pub(super) fn plain(text: &[u8]) -> usize {
    first(text, first_odd, is_odd)
}

/// Bytes that the processor looks at together.
pub(super) const STRIDE: usize = 32;

/// Whether [`plain`] stops at one of these bytes.
#[inline(always)]
pub(super) fn any_odd(bytes: &[u8; STRIDE]) -> bool {
    bytes.iter().fold(false, |odd, &byte| odd | is_odd(byte))
}

/// Where in a word the first byte is that [`plain`] stops at.
#[inline(always)]
pub(super) fn first_odd(word: u64) -> Option<usize> {
    marked(marks(word) | word)
}

/// Whether [`plain`] stops at a byte.
#[inline(always)]
pub(super) fn is_odd(byte: u8) -> bool {
    special(byte) | !byte.is_ascii()
}

/// How many bytes stand in front of the first quote, backslash or control
/// character.
#[inline(always)]
pub(super) fn unescaped(text: &[u8]) -> usize {
    first(text, |word| marked(marks(word) & !word), special)
}

#[inline(always)]
fn first(
    text: &[u8],
    in_word: impl Fn(u64) -> Option<usize>,
    special: impl Fn(u8) -> bool,
) -> usize {
    let mut offset = 0;
    while let Some(bytes) = text[offset..].first_chunk::<8>() {
        if let Some(found) = in_word(u64::from_le_bytes(*bytes)) {
            return offset + found;
        }
        offset += 8;
    }
    let rest = &text[offset..];
    offset + rest.iter().position(|&byte| special(byte)).unwrap_or(rest.len())
}

/// The first byte with its high bit set.
#[inline(always)]
fn marked(word: u64) -> Option<usize> {
    let found = word & HIGH;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[allow(clippy::needless_bitwise_bool, reason = "many bytes at a time, without a jump for each")]
fn special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Sets the high bit of each byte up to the first that is special, in which it
/// is right for ASCII; a borrow may set it in later ones.
#[inline(always)]
fn marks(word: u64) -> u64 {
    let control = word.wrapping_sub(LOW * 0x20);
    let quote = (word ^ (LOW * u64::from(b'"'))).wrapping_sub(LOW);
    let backslash = (word ^ (LOW * u64::from(b'\\'))).wrapping_sub(LOW);
    control | quote | backslash
}

/// How many blanks a text begins with.
#[inline(always)]
pub(super) fn blanks(text: &[u8]) -> usize {
    let mut offset = 0;
    loop {
        match text.get(offset) {
            Some(b'\n') => offset += 1,
            Some(b' ' | b'\t' | b'\r') => {
                offset += 1;
                continue;
            }
            _ => return offset,
        }
        // Indentation, and mostly nothing else behind it.
        while let Some(bytes) = text[offset..].first_chunk::<16>() {
            let others = u128::from_le_bytes(*bytes) ^ u128::from_ne_bytes([b' '; 16]);
            offset += others.trailing_zeros() as usize / 8;
            if others != 0 {
                if text[offset] > b' ' {
                    return offset;
                }
                break;
            }
        }
    }
}

/// How many of eight bytes, from the first on, are digits, and the number that
/// these make.
#[inline(always)]
pub(super) fn digits(text: [u8; 8]) -> (usize, u64) {
    let digits = u64::from_le_bytes(text) ^ (LOW * u64::from(b'0'));
    // Above nine, adding 0x76 sets the high bit, if it was not set before; a
    // carry goes to later bytes only.
    let others = (digits.wrapping_add(LOW * 0x76) | digits) & HIGH;
    let count = others.trailing_zeros() as usize / 8;
    if count == 0 {
        return (0, 0);
    }
    // Zeros in front, in place of what is behind.
    let digits = digits << (64 - 8 * count);
    // Neighbours joined into pairs, pairs into fours, and those into one.
    let pairs = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    (count, (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}
