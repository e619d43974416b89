//! A growing buffer of bytes. It reports a lack of memory, where a `Vec` alone ends
//! the process, and writes short pieces without a call for each.
#![allow(unsafe_code, reason = "unchecked writes into reserved memory, behind a safe face")]

use super::copy::{copy_escaped, copy_plain, copy_points, copy_short, copy_unescaped};
use super::scan::BLOCK;
use super::{escape, scan};

/// There is no more memory.
#[derive(Debug)]
pub(crate) struct OutOfMemory;

/// The number of bytes that [`Buffer::write_prefix`] copies at once: enough for most
/// line breaks with their indentation.
pub(super) const PREFIX: usize = 32;

/// The number of characters for which there is made room at once.
const CHUNK: usize = 512;

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

    /// Appends the first `length` of [`PREFIX`] bytes.
    #[inline(always)]
    pub(super) fn write_start(
        &mut self,
        bytes: &[u8; PREFIX],
        length: usize,
    ) -> Result<(), OutOfMemory> {
        self.reserve(PREFIX)?;
        // SAFETY: `PREFIX` bytes are reserved and written; no more than these count.
        unsafe {
            self.end().cast::<[u8; PREFIX]>().write_unaligned(*bytes);
            self.0.set_len(self.0.len() + length.min(PREFIX));
        }
        Ok(())
    }

    /// Appends the first `length` of [`PREFIX`] bytes, with another byte at an index.
    #[inline(always)]
    pub(super) fn write_start_with(
        &mut self,
        bytes: &[u8; PREFIX],
        length: usize,
        (index, byte): (usize, u8),
    ) -> Result<(), OutOfMemory> {
        self.reserve(PREFIX)?;
        // SAFETY: `PREFIX` bytes are reserved and written; no more than these count.
        unsafe {
            let end = self.end();
            end.cast::<[u8; PREFIX]>().write_unaligned(*bytes);
            end.add(index.min(PREFIX - 1)).write(byte);
            self.0.set_len(self.0.len() + length.min(PREFIX));
        }
        Ok(())
    }

    /// Appends the first `length` of [`PREFIX`] bytes, and then a JSON string with a colon
    /// after it. `false`, and nothing is appended, where there are not as many bytes, or the
    /// text is not plain.
    #[inline(always)]
    pub(super) fn write_name(
        &mut self,
        before: &[u8; PREFIX],
        length: usize,
        text: &[u8],
    ) -> Result<bool, OutOfMemory> {
        if length > PREFIX {
            return Ok(false);
        }
        self.reserve(PREFIX + text.len() + 8)?;
        // SAFETY: `before`, the text, a quote before it and a word after it are reserved.
        // Only what was written counts.
        unsafe {
            self.end().cast::<[u8; PREFIX]>().write_unaligned(*before);
            let quote = self.end().add(length);
            quote.write(b'"');
            if copy_plain::<false>(text, quote.add(1)) < text.len() {
                return Ok(false);
            }
            quote.add(1 + text.len()).cast::<[u8; 4]>().write_unaligned(*b"\": \0");
            self.0.set_len(self.0.len() + length + text.len() + 4);
        }
        Ok(true)
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
    /// number. If all of `text` is plain, appends the closing quote too. With `UTF8`, bytes
    /// beyond ASCII are plain too.
    #[inline(always)]
    pub(super) fn write_quoted<const UTF8: bool>(
        &mut self,
        text: &[u8],
    ) -> Result<usize, OutOfMemory> {
        // SAFETY: the whole text and two quotes are reserved. Only what was written
        // counts.
        unsafe {
            self.reserve(text.len().checked_add(2).ok_or(OutOfMemory)?)?;
            let end = self.end();
            end.write(b'"');
            let plain = copy_plain::<UTF8>(text, end.add(1));
            let whole = plain == text.len();
            if whole {
                end.add(1 + plain).write(b'"');
            }
            self.0.set_len(self.0.len() + 1 + plain + usize::from(whole));
            Ok(plain)
        }
    }

    /// Appends text within a JSON string: what is not plain becomes an escape. With
    /// `LATIN1`, a byte beyond ASCII becomes two bytes of UTF-8; without, it stays.
    pub(super) fn write_escaped<const LATIN1: bool>(
        &mut self,
        text: &[u8],
    ) -> Result<(), OutOfMemory> {
        for chunk in text.chunks(CHUNK) {
            self.reserve(chunk.len() * escape::MAX + BLOCK)?;
            // SAFETY: there is room for as many escapes as bytes, and for a block after them.
            unsafe {
                let length = copy_escaped::<LATIN1>(chunk, self.end());
                self.0.set_len(self.0.len() + length);
            }
        }
        Ok(())
    }

    /// Appends code points within a JSON string, as UTF-8 and escapes. `false` at half of a
    /// surrogate pair, which has no UTF-8.
    pub(super) fn write_points<T: Copy + Into<u32>>(
        &mut self,
        points: &[T],
    ) -> Result<bool, OutOfMemory> {
        for chunk in points.chunks(CHUNK) {
            self.reserve(chunk.len() * escape::MAX + BLOCK)?;
            // SAFETY: there is room for as many escapes as points, and for a block after them.
            unsafe {
                let Some(length) = copy_points(chunk, self.end()) else { return Ok(false) };
                self.0.set_len(self.0.len() + length);
            }
        }
        Ok(true)
    }

    /// Appends the text of a JSON string, escapes of two characters replaced, up to a quote, a
    /// control character or any other escape. Returns how much of `text` that was.
    pub(super) fn write_unescaped(&mut self, text: &[u8]) -> Result<usize, OutOfMemory> {
        let mut rest = text;
        loop {
            self.reserve(CHUNK + 2 * BLOCK)?;
            // SAFETY: that much is reserved; as many bytes were written as count.
            let read = unsafe {
                let (read, written) = copy_unescaped(rest, CHUNK, self.end());
                self.0.set_len(self.0.len() + written);
                read
            };
            rest = &rest[read..];
            if read < CHUNK {
                break;
            }
        }
        // Near the end of the text.
        while let Some(&byte) = rest.first() {
            if let Some((character, after)) = escape::plain(rest) {
                self.write(&[character])?;
                rest = after;
            } else if scan::is_special(byte) {
                break;
            } else {
                self.write(&[byte])?;
                rest = &rest[1..];
            }
        }
        Ok(text.len() - rest.len())
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
