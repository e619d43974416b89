//! Searches in text, many bytes at a time, at any alignment.
//!
//! A byte is plain where it is printable ASCII and neither a quote nor a backslash:
//! inside a JSON string it stands for itself.

const LOW: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// The number of plain bytes at the start of `text`.
#[inline(always)]
pub(super) fn plain_prefix(text: &[u8]) -> usize {
    prefix::<true>(text)
}

/// The number of bytes that [`all_plain`] checks together.
pub(super) const STRIDE: usize = 32;

/// Whether all of these bytes are plain.
#[inline(always)]
pub(super) fn all_plain(bytes: &[u8; STRIDE]) -> bool {
    bytes.iter().fold(true, |plain, &byte| plain & is_plain(byte))
}

/// Whether none of these bytes is a quote, a backslash or a control character.
#[inline(always)]
pub(super) fn none_special(bytes: &[u8; STRIDE]) -> bool {
    bytes.iter().fold(true, |none, &byte| none & !is_special(byte))
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
    prefix::<false>(text)
}

/// The index of the first byte in a little-endian word that is a quote, a backslash or a
/// control character.
#[inline(always)]
pub(super) fn first_special(word: u64) -> Option<usize> {
    first_marked(mark_special(word) & !word)
}

/// The first bytes of a text, at most eight, as a little-endian word with zeros after them.
#[inline(always)]
pub(super) fn short_word(text: &[u8]) -> u64 {
    if let Some(word) = text.first_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    let length = text.len();
    // The ends overlap, which changes no bit.
    if let (Some(head), Some(tail)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        return u64::from(head) | u64::from(tail) << (8 * (length - 4));
    }
    text.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// The number of bytes before the first that [`marks`] marks.
#[inline(always)]
fn prefix<const BEYOND_ASCII: bool>(text: &[u8]) -> usize {
    let mut offset = 0;
    while let Some(block) = text[offset..].first_chunk::<BLOCK>() {
        let marks = marks::<BEYOND_ASCII>(block);
        if marks != 0 {
            return offset + marks.trailing_zeros() as usize;
        }
        offset += BLOCK;
    }
    let rest = &text[offset..];
    let is_sought = |&byte: &u8| is_special(byte) || BEYOND_ASCII && !byte.is_ascii();
    offset + rest.iter().position(is_sought).unwrap_or(rest.len())
}

/// The index of the first byte with its high bit set.
#[inline(always)]
fn first_marked(word: u64) -> Option<usize> {
    let marked = word & HIGH;
    (marked != 0).then(|| marked.trailing_zeros() as usize / 8)
}

/// Whether a byte is a quote, a backslash or a control character.
#[inline(always)]
#[allow(clippy::needless_bitwise_bool, reason = "many bytes at a time, without a jump for each")]
pub(super) fn is_special(byte: u8) -> bool {
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

/// The number of bytes that [`marks`] looks at together.
pub(super) const BLOCK: usize = 16;

/// A bit for each byte that is a quote, a backslash or a control character, and, if asked
/// for, for each byte beyond ASCII. The first byte has the lowest bit.
#[inline(always)]
pub(super) fn marks<const BEYOND_ASCII: bool>(bytes: &[u8; BLOCK]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "instructions that each processor of this kind has")]
    // SAFETY: the reference is to as many bytes as are loaded, at any alignment; SSE2 is a
    // part of x86_64.
    unsafe {
        use std::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
            _mm_set1_epi8,
        };
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
        let equal = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
        let last_control = _mm_set1_epi8(0x1F);
        let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        let mut marked = _mm_or_si128(_mm_or_si128(control, equal(b'"')), equal(b'\\'));
        if BEYOND_ASCII {
            marked = _mm_or_si128(marked, bytes);
        }
        _mm_movemask_epi8(marked).cast_unsigned()
    }
    #[cfg(not(target_arch = "x86_64"))]
    bytes.iter().rev().fold(0, |marks, &byte| {
        marks << 1 | u32::from(is_special(byte) | (BEYOND_ASCII && !byte.is_ascii()))
    })
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
