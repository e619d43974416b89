//! Copies of text, many bytes at once, that end or change where an escape does.
#![allow(unsafe_code, reason = "unchecked writes into memory that the caller has reserved")]

use super::scan::BLOCK;
use super::{escape, scan};

/// Copies text with escapes in place of what is not plain. Returns the length of the copy.
///
/// # Safety
///
/// `to` has room for [`escape::MAX`] bytes for each of `text`, and for [`BLOCK`] more.
#[inline(always)]
pub(super) unsafe fn copy_escaped<const LATIN1: bool>(text: &[u8], to: *mut u8) -> usize {
    let (mut rest, mut end) = (text, to);
    // SAFETY: for each byte of the text, no more than an escape is written, and after the
    // last at most a block.
    unsafe {
        while !rest.is_empty() {
            let length = rest.len().min(BLOCK);
            let block = rest
                .first_chunk::<BLOCK>()
                .map_or_else(|| last_bytes(text, length), |block| u128::from_le_bytes(*block));
            rest = &rest[length..];
            end.cast::<[u8; BLOCK]>().write_unaligned(block.to_le_bytes());
            let mut marks = scan::marks::<LATIN1>(&block.to_le_bytes()) & ((1 << length) - 1);
            let mut done = 0;
            while marks != 0 {
                let at = marks.trailing_zeros() as usize;
                marks &= marks - 1;
                end = end.add(at - done);
                let byte = block.to_le_bytes()[at];
                if LATIN1 && byte >= 0x80 {
                    end.cast::<[u8; 2]>().write_unaligned([0xC0 | byte >> 6, 0x80 | byte & 0x3F]);
                    end = end.add(2);
                } else {
                    let (word, length) = escape::of(byte);
                    end.cast::<[u8; 8]>().write_unaligned(word.to_le_bytes());
                    end = end.add(length);
                }
                done = at + 1;
                // What the block has after the escape, once more.
                let after = block >> (8 * at) >> 8;
                end.cast::<[u8; BLOCK]>().write_unaligned(after.to_le_bytes());
            }
            end = end.add(length - done);
        }
        end.offset_from_unsigned(to)
    }
}

/// The last bytes of a text, fewer than a block but one at least, with zeros after them.
#[inline(always)]
fn last_bytes(text: &[u8], length: usize) -> u128 {
    if let Some(block) = text.last_chunk::<BLOCK>() {
        return u128::from_le_bytes(*block) >> (8 * (BLOCK - length));
    }
    let last = &text[text.len() - length..];
    let (low, high) = (scan::short_word(last), scan::short_word(last.get(8..).unwrap_or_default()));
    u128::from(low) | u128::from(high) << 64
}

/// Copies the text of a JSON string, escapes of two characters replaced, up to a quote, a
/// control character or any other escape; or to about `enough`, or to the last block.
/// Returns the lengths of what was read and written.
///
/// # Safety
///
/// `to` has room for `enough` bytes and two blocks.
#[inline(always)]
pub(super) unsafe fn copy_unescaped(text: &[u8], enough: usize, to: *mut u8) -> (usize, usize) {
    let (mut read, mut end) = (0, to);
    // SAFETY: what is written is no longer than what was read, and shorter by a byte after
    // an escape. Reading ends less than a block after `enough`, or two bytes later with an
    // escape; and a block after it has room.
    unsafe {
        while read < enough
            && let Some(block) = text[read..].first_chunk::<BLOCK>()
        {
            end.cast::<[u8; BLOCK]>().write_unaligned(*block);
            let marks = scan::marks::<false>(block);
            let mut from = 0;
            loop {
                let left = marks & (u32::MAX << from);
                if left == 0 {
                    break;
                }
                let at = left.trailing_zeros() as usize;
                end = end.add(at - from);
                let Some((character, after)) = escape::plain(&text[read + at..]) else {
                    return (read + at, end.offset_from_unsigned(to));
                };
                end.write(character);
                (from, end) = (at + 2, end.add(1));
                // What follows the escape, once more.
                let Some(after) = after.first_chunk::<BLOCK>() else {
                    return (read + from, end.offset_from_unsigned(to));
                };
                end.cast::<[u8; BLOCK]>().write_unaligned(*after);
            }
            let whole = from.max(BLOCK);
            (read, end) = (read + whole, end.add(whole - from));
        }
        (read, end.offset_from_unsigned(to))
    }
}

/// Writes points as UTF-8 and escapes. Returns the length, or `None` at half of a surrogate
/// pair, which has no UTF-8.
///
/// # Safety
///
/// `to` has room for [`escape::MAX`] bytes for each point, and for a block more.
#[inline(always)]
pub(super) unsafe fn copy_points<T: Copy + Into<u32>>(points: &[T], to: *mut u8) -> Option<usize> {
    let (mut rest, mut end) = (points, to);
    // SAFETY: for each point, no more than an escape is written, and after the last less than
    // a block. Four points of which some were written already are as long as they were.
    unsafe {
        while !rest.is_empty() {
            // Most texts stay in one script: four points at once.
            let four = rest.first_chunk::<4>().or_else(|| points.last_chunk::<4>());
            let size = four.map_or(0, |four| size_of_each(four.map(Into::into)));
            if let Some(four) = four
                && size > 0
            {
                let count = rest.len().min(4);
                write_four(four.map(Into::into), size, end.sub((4 - count) * size));
                (rest, end) = (&rest[count..], end.add(count * size));
                continue;
            }
            let (some, after) = rest.split_at(rest.len().min(4));
            for &point in some {
                let (word, length) = utf8_or_escape(point.into())?;
                end.cast::<[u8; 8]>().write_unaligned(word.to_le_bytes());
                end = end.add(length);
            }
            rest = after;
        }
        Some(end.offset_from_unsigned(to))
    }
}

/// The length that the UTF-8 of each of four points beyond ASCII has; 0 where they differ.
#[inline(always)]
fn size_of_each(points: [u32; 4]) -> usize {
    let all = |first: u32, end: u32| {
        points.iter().fold(true, |all, point| all & (point.wrapping_sub(first) < end - first))
    };
    match points[0] {
        0x80..0x800 if all(0x80, 0x800) => 2,
        0x800..0xD800 if all(0x800, 0xD800) => 3,
        0x1_0000.. if all(0x1_0000, 0x11_0000) => 4,
        _ => 0,
    }
}

/// Writes four points whose UTF-8 has `size` bytes each, and possibly some bytes after them.
///
/// # Safety
///
/// `to` has room for a block.
#[inline(always)]
unsafe fn write_four(points: [u32; 4], size: usize, to: *mut u8) {
    // SAFETY: no more than a block is written.
    unsafe {
        match size {
            2 => {
                let [a, b, c, d] = points.map(|point| u64::from(utf8_of_two(point)));
                let word = a | b << 16 | c << 32 | d << 48;
                to.cast::<[u8; 8]>().write_unaligned(word.to_le_bytes());
            }
            3 => {
                for (index, point) in points.into_iter().enumerate() {
                    let word = utf8_of_three(point).to_le_bytes();
                    to.add(3 * index).cast::<[u8; 4]>().write_unaligned(word);
                }
            }
            _ => {
                let words = points.map(|point| utf8_of_four(point).to_le_bytes());
                to.cast::<[[u8; 4]; 4]>().write_unaligned(words);
            }
        }
    }
}

/// The UTF-8 or the escape of a point in the low bytes of a word, and the number of these.
#[inline(always)]
fn utf8_or_escape(point: u32) -> Option<(u64, usize)> {
    Some(match point {
        0..0x80 => escape::of((point & 0x7F) as u8),
        0x80..0x800 => (utf8_of_two(point).into(), 2),
        // safeguard: half-surrogate-pair
        0xD800..0xE000 => return None,
        0x800..0x1_0000 => (utf8_of_three(point).into(), 3),
        0x1_0000.. => (utf8_of_four(point).into(), 4),
    })
}

const fn utf8_of_two(point: u32) -> u32 {
    0x80C0 | point >> 6 | (point & 0x3F) << 8
}

const fn utf8_of_three(point: u32) -> u32 {
    0x80_80E0 | point >> 12 | (point & 0xFC0) << 2 | (point & 0x3F) << 16
}

const fn utf8_of_four(point: u32) -> u32 {
    0x8080_80F0
        | point >> 18
        | (point & 0x3_F000) >> 4
        | (point & 0xFC0) << 10
        | (point & 0x3F) << 24
}

/// Copies the plain bytes that `text` begins with, and possibly some bytes after
/// them. Returns the number of plain bytes. With `UTF8`, bytes beyond ASCII are plain too.
///
/// # Safety
///
/// `to` has room for all of `text`.
#[inline(always)]
pub(super) unsafe fn copy_plain<const UTF8: bool>(text: &[u8], to: *mut u8) -> usize {
    let length = text.len();
    // SAFETY: each read lies within the text, and each write at the same offset in
    // the room that the caller vouches for.
    unsafe {
        let word = |from: usize| {
            let word = text.as_ptr().add(from).cast::<[u8; 8]>().read_unaligned();
            to.add(from).cast::<[u8; 8]>().write_unaligned(word);
            first_marked::<UTF8>(u64::from_le_bytes(word))
        };
        if length >= 8 {
            let mut from = 0;
            // Long texts in strides, up to the stride that reaches the end.
            if length >= scan::STRIDE {
                let stride = |from: usize| {
                    let bytes =
                        text.as_ptr().add(from).cast::<[u8; scan::STRIDE]>().read_unaligned();
                    to.add(from).cast::<[u8; scan::STRIDE]>().write_unaligned(bytes);
                    if UTF8 { scan::none_special(&bytes) } else { scan::all_plain(&bytes) }
                };
                let last = length - scan::STRIDE;
                while from < last && stride(from) {
                    from += scan::STRIDE;
                }
                // The last stride overlaps the one before it.
                // safeguard: no-escape-passed-over
                if from >= last && stride(last) {
                    return length;
                }
            }
            while from + 8 <= length {
                if let Some(found) = word(from) {
                    return from + found;
                }
                from += 8;
            }
            return word(length - 8).map_or(length, |found| length - 8 + found);
        }
        if length >= 4 {
            let half = |from: usize| {
                let half = text.as_ptr().add(from).cast::<[u8; 4]>().read_unaligned();
                to.add(from).cast::<[u8; 4]>().write_unaligned(half);
                u64::from(u32::from_le_bytes(half))
            };
            let (head, tail) = (half(0), half(length - 4));
            return match first_marked::<UTF8>(head | tail << 32) {
                None => length,
                Some(found @ 0..4) => found,
                Some(found) => length + found - 8,
            };
        }
        for (index, &byte) in text.iter().enumerate() {
            if scan::is_special(byte) || !(UTF8 || byte.is_ascii()) {
                return index;
            }
            to.add(index).write(byte);
        }
        length
    }
}

/// Copies `from`. Usually it is too short for a call of `memcpy` to pay.
///
/// # Safety
///
/// `to` has room for all of `from`.
#[inline(always)]
pub(super) unsafe fn copy_short(from: &[u8], to: *mut u8) {
    /// Copies the first and the last `N` bytes, which may overlap.
    ///
    /// # Safety
    ///
    /// `from` has at least `N` bytes, and `to` has room for all of it.
    #[inline(always)]
    unsafe fn ends<const N: usize>(from: &[u8], to: *mut u8) {
        let last = from.len() - N;
        // SAFETY: both ends lie within what the caller vouches for.
        unsafe {
            let (head, tail) = (from.as_ptr(), from.as_ptr().add(last));
            to.cast::<[u8; N]>().write_unaligned(head.cast::<[u8; N]>().read_unaligned());
            to.add(last).cast::<[u8; N]>().write_unaligned(tail.cast::<[u8; N]>().read_unaligned());
        }
    }
    // SAFETY: each arm copies all of `from` and nothing else, into the caller's room.
    unsafe {
        match from.len() {
            0 => {}
            1 => to.write(from[0]),
            2..4 => ends::<2>(from, to),
            4..8 => ends::<4>(from, to),
            8..16 => ends::<8>(from, to),
            16..=32 => ends::<16>(from, to),
            length => to.copy_from_nonoverlapping(from.as_ptr(), length),
        }
    }
}

/// The index of the first byte in a little-endian word at which [`copy_plain`] ends.
#[inline(always)]
fn first_marked<const UTF8: bool>(word: u64) -> Option<usize> {
    if UTF8 { scan::first_special(word) } else { scan::first_not_plain(word) }
}
