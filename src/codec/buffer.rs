//! A growing buffer of bytes. It reports a lack of memory, where a `Vec` alone ends
//! the process, and writes short pieces without a call for each.
#![allow(unsafe_code, reason = "unchecked writes into reserved memory, behind a safe face")]

use super::scan;

/// There is no more memory.
#[derive(Debug)]
pub(crate) struct OutOfMemory;

/// The number of bytes that [`Buffer::write_prefix`] copies at once: enough for most
/// line breaks with their indentation.
pub(super) const PREFIX: usize = 32;

/// The capacity to begin with: a small document is written without a reallocation.
const MIN_CAPACITY: usize = 1000;

/// Bytes, written one after the other.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// The bytes, and the end of the buffer.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes written so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of bytes written so far.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Removes all bytes but the first `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Removes all bytes, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends `bytes`.
    #[inline(always)]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.reserve(bytes.len())?;
        // SAFETY: that many bytes are reserved, and all of them are written.
        unsafe {
            copy_short(bytes, self.end());
            self.0.set_len(self.0.len() + bytes.len());
        }
        Ok(())
    }

    /// Appends the first `length` bytes of `bytes`. Up to [`PREFIX`] bytes are copied
    /// at once, whatever the length, if `bytes` has as many.
    #[inline(always)]
    pub(super) fn write_prefix(&mut self, bytes: &[u8], length: usize) -> Result<(), OutOfMemory> {
        let Some(start) = bytes.first_chunk::<PREFIX>().filter(|_| length <= PREFIX) else {
            return self.write(&bytes[..length]);
        };
        self.reserve(PREFIX)?;
        // SAFETY: `PREFIX` bytes are reserved and written; no more than these count.
        unsafe {
            self.end().cast::<[u8; PREFIX]>().write_unaligned(*start);
            self.0.set_len(self.0.len() + length);
        }
        Ok(())
    }

    /// Appends the first `length` of eight bytes.
    #[inline(always)]
    pub(super) fn write_word(&mut self, word: [u8; 8], length: usize) -> Result<(), OutOfMemory> {
        self.reserve(8)?;
        // SAFETY: eight bytes are reserved and written; no more than these count.
        unsafe {
            self.end().cast::<[u8; 8]>().write_unaligned(word);
            self.0.set_len(self.0.len() + length.min(8));
        }
        Ok(())
    }

    /// Appends a quote and the plain bytes that `text` begins with, and returns their
    /// number. If all of `text` is plain, appends the closing quote too.
    #[inline(always)]
    pub(super) fn write_quoted(&mut self, text: &[u8]) -> Result<usize, OutOfMemory> {
        // SAFETY: the whole text and two quotes are reserved. Only what was written
        // counts.
        unsafe {
            self.reserve(text.len().checked_add(2).ok_or(OutOfMemory)?)?;
            let end = self.end();
            end.write(b'"');
            let plain = copy_plain(text, end.add(1));
            let whole = plain == text.len();
            if whole {
                end.add(1 + plain).write(b'"');
            }
            self.0.set_len(self.0.len() + 1 + plain + usize::from(whole));
            Ok(plain)
        }
    }

    /// Appends the plain bytes that `text` begins with, and returns their number.
    #[inline(always)]
    pub(super) fn write_plain(&mut self, text: &[u8]) -> Result<usize, OutOfMemory> {
        self.reserve(text.len())?;
        // SAFETY: the whole text is reserved. Only what was written counts.
        unsafe {
            let plain = copy_plain(text, self.end());
            self.0.set_len(self.0.len() + plain);
            Ok(plain)
        }
    }

    /// Makes room for `more` bytes.
    #[inline(always)]
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), OutOfMemory> {
        if self.0.capacity() - self.0.len() < more { self.grow(more) } else { Ok(()) }
    }

    #[cold]
    fn grow(&mut self, more: usize) -> Result<(), OutOfMemory> {
        self.0.try_reserve(more.max(MIN_CAPACITY)).map_err(|_| OutOfMemory)
    }

    fn end(&mut self) -> *mut u8 {
        self.0.spare_capacity_mut().as_mut_ptr().cast()
    }
}

/// Copies the plain bytes that `text` begins with, and possibly some bytes after
/// them. Returns the number of plain bytes.
///
/// # Safety
///
/// `to` has room for all of `text`.
#[inline(always)]
unsafe fn copy_plain(text: &[u8], to: *mut u8) -> usize {
    let length = text.len();
    // SAFETY: each read lies within the text, and each write at the same offset in
    // the room that the caller vouches for.
    unsafe {
        let word = |from: usize| {
            let word = text.as_ptr().add(from).cast::<[u8; 8]>().read_unaligned();
            to.add(from).cast::<[u8; 8]>().write_unaligned(word);
            scan::first_not_plain(u64::from_le_bytes(word))
        };
        if length >= 8 {
            let mut from = 0;
            // Long texts in strides, up to the stride that reaches the end.
            if length >= scan::STRIDE {
                let stride = |from: usize| {
                    let bytes =
                        text.as_ptr().add(from).cast::<[u8; scan::STRIDE]>().read_unaligned();
                    to.add(from).cast::<[u8; scan::STRIDE]>().write_unaligned(bytes);
                    scan::all_plain(&bytes)
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
            return match scan::first_not_plain(head | tail << 32) {
                None => length,
                Some(found @ 0..4) => found,
                Some(found) => length + found - 8,
            };
        }
        for (index, &byte) in text.iter().enumerate() {
            if !scan::is_plain(byte) {
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
