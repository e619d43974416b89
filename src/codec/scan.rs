//! Searches in text, many bytes at a time, at any alignment.
//!
//! A byte is plain where it is printable ASCII and neither a quote nor a backslash:
//! inside a JSON string it stands for itself.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The number of plain bytes at the start of `text`.
#[inline(always)]
pub(super) fn plain_prefix(text: &[u8]) -> usize {
    prefix(text, first_not_plain, |byte| !is_plain(byte))
}

/// The number of bytes that [`all_plain`] checks together.
pub(super) const STRIDE: usize = 32;

/// Whether all of these bytes are plain.
#[inline(always)]
pub(super) fn all_plain(bytes: &[u8; STRIDE]) -> bool {
    bytes.iter().fold(true, |plain, &byte| plain & is_plain(byte))
}

/// The index of the first byte in a little-endian word that is not plain.
#[inline(always)]
pub(super) fn first_not_plain(word: u64) -> Option<usize> {
    first_marked(mark_special(word) | word)
}

/// Whether a byte is plain.
#[inline(always)]
pub(super) fn is_plain(byte: u8) -> bool {
    !(is_special(byte) | !byte.is_ascii())
}

/// The number of bytes before the first quote, backslash or control character.
#[inline(always)]
pub(super) fn unescaped_prefix(text: &[u8]) -> usize {
    prefix(text, |word| first_marked(mark_special(word) & !word), is_special)
}

/// The number of bytes before the first that is sought: `in_word` finds it in a
/// word, `is_sought` tells it in the last few bytes.
#[inline(always)]
fn prefix(
    text: &[u8],
    in_word: impl Fn(u64) -> Option<usize>,
    is_sought: impl Fn(u8) -> bool,
) -> usize {
    let mut offset = 0;
    while let Some(bytes) = text[offset..].first_chunk::<8>() {
        if let Some(found) = in_word(u64::from_le_bytes(*bytes)) {
            return offset + found;
        }
        offset += 8;
    }
    let rest = &text[offset..];
    offset + rest.iter().position(|&byte| is_sought(byte)).unwrap_or(rest.len())
}

/// The index of the first byte with its high bit set.
#[inline(always)]
fn first_marked(word: u64) -> Option<usize> {
    let marked = word & HIGH;
    (marked != 0).then(|| marked.trailing_zeros() as usize / 8)
}

/// Whether a byte is a quote, a backslash or a control character.
#[allow(clippy::needless_bitwise_bool, reason = "many bytes at a time, without a jump for each")]
fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Sets the high bit of each ASCII byte that is special. Only the first mark counts:
/// the borrow of a subtraction may mark bytes after it.
#[inline(always)]
fn mark_special(word: u64) -> u64 {
    let control = word.wrapping_sub(LOW * 0x20);
    let quote = (word ^ (LOW * u64::from(b'"'))).wrapping_sub(LOW);
    let backslash = (word ^ (LOW * u64::from(b'\\'))).wrapping_sub(LOW);
    control | quote | backslash
}

/// The number of whitespace bytes at the start of `text`.
#[inline(always)]
pub(super) fn whitespace_prefix(text: &[u8]) -> usize {
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
        // A line break is usually followed by spaces and then by a value.
        while let Some(bytes) = text[offset..].first_chunk::<16>() {
            let not_spaces = u128::from_le_bytes(*bytes) ^ u128::from_ne_bytes([b' '; 16]);
            offset += not_spaces.trailing_zeros() as usize / 8;
            if not_spaces != 0 {
                if text[offset] > b' ' {
                    return offset;
                }
                break;
            }
        }
    }
}

/// The number of digits at the start of eight bytes, and the value of these digits.
#[inline(always)]
pub(super) fn digits(text: [u8; 8]) -> (usize, u64) {
    let digits = u64::from_le_bytes(text) ^ (LOW * u64::from(b'0'));
    // Adding 0x76 sets the high bit of every byte above nine. A carry goes to later
    // bytes only.
    let not_digits = (digits.wrapping_add(LOW * 0x76) | digits) & HIGH;
    let count = not_digits.trailing_zeros() as usize / 8;
    if count == 0 {
        return (0, 0);
    }
    // Shifts out what follows the digits, and zeros in before them.
    let digits = digits << (64 - 8 * count);
    // Joins neighbours into pairs, pairs into fours, and fours into the number.
    let pairs = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    (count, (fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}
