//! Memory that says so when there is no more, where a `Vec` alone would end the
//! process; and that takes short pieces without a call for each.
#![allow(unsafe_code, reason = "unchecked writes into room that was made, behind a safe face")]

use super::scan;

/// There is no more memory.
#[derive(Debug)]
pub(crate) struct OutOfMemory;

/// Bytes of a line break and indentation that are usually enough.
pub(super) const LINE: usize = 32;

/// Bytes to begin with: a small document is written without moving.
const SMALLEST: usize = 1000;

/// Bytes written one after the other.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What was written so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Forgets what was written, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends `bytes`.
    #[inline(always)]
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.reserve(bytes.len())?;
        // SAFETY: there is room for that many bytes, and all are written.
        unsafe {
            copy(bytes, self.end());
            self.0.set_len(self.0.len() + bytes.len());
        }
        Ok(())
    }

    /// Appends the first `length` bytes of a line: the usual ones in one go,
    /// whatever their length.
    #[inline(always)]
    pub(super) fn line(&mut self, line: &[u8], length: usize) -> Result<(), OutOfMemory> {
        let Some(start) = line.first_chunk::<LINE>().filter(|_| length <= LINE) else {
            return self.raw(&line[..length]);
        };
        self.reserve(LINE)?;
        // SAFETY: there is room for a whole line, and as much of it is counted
        // as was written.
        unsafe {
            self.end().cast::<[u8; LINE]>().write_unaligned(*start);
            self.0.set_len(self.0.len() + length);
        }
        Ok(())
    }

    /// Appends the first `length` of eight bytes.
    #[inline(always)]
    pub(super) fn word(&mut self, word: [u8; 8], length: usize) -> Result<(), OutOfMemory> {
        self.reserve(8)?;
        // SAFETY: there is room for a word, and no more than that is counted.
        unsafe {
            self.end().cast::<[u8; 8]>().write_unaligned(word);
            self.0.set_len(self.0.len() + length.min(8));
        }
        Ok(())
    }

    /// Appends a quote and the first bytes of `text`, up to one that is no
    /// ASCII, a quote, a backslash or a control character, and tells how many;
    /// behind all of them, a quote again.
    #[inline(always)]
    pub(super) fn quoted(&mut self, text: &[u8]) -> Result<usize, OutOfMemory> {
        // SAFETY: there is room for the whole text and two quotes. Only what
        // was written is counted.
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

    /// Appends the first bytes of `text`, up to one of those that `quoted` stops
    /// at, and tells how many.
    #[inline(always)]
    pub(super) fn plain(&mut self, text: &[u8]) -> Result<usize, OutOfMemory> {
        self.reserve(text.len())?;
        // SAFETY: there is room for the whole text. Only what was written is
        // counted.
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
        self.0.try_reserve(more.max(SMALLEST)).map_err(|_| OutOfMemory)
    }

    fn end(&mut self) -> *mut u8 {
        self.0.spare_capacity_mut().as_mut_ptr().cast()
    }
}

/// Copies `text` up to the first byte that [`scan::plain`] stops at, and perhaps
/// some behind it; tells how many come before it.
///
/// # Safety
///
/// `to` has room for all of it.
#[inline(always)]
unsafe fn copy_plain(text: &[u8], to: *mut u8) -> usize {
    let length = text.len();
    // SAFETY: each word lies within the text, and goes where it lies there.
    unsafe {
        let word = |from: usize| {
            let word = text.as_ptr().add(from).cast::<[u8; 8]>().read_unaligned();
            to.add(from).cast::<[u8; 8]>().write_unaligned(word);
            scan::first_odd(u64::from_le_bytes(word))
        };
        if length >= 8 {
            let mut from = 0;
            // Long ones in large steps, up to the one in which the end is.
            if length >= scan::STRIDE {
                let stride = |from: usize| {
                    let bytes =
                        text.as_ptr().add(from).cast::<[u8; scan::STRIDE]>().read_unaligned();
                    to.add(from).cast::<[u8; scan::STRIDE]>().write_unaligned(bytes);
                    !scan::any_odd(&bytes)
                };
                let last = length - scan::STRIDE;
                while from < last && stride(from) {
                    from += scan::STRIDE;
                }
                // Again what is plain, and then the rest.
                if from >= last && stride(last) {
                    return length;
                }
            }
            while from + 8 <= length {
                if let Some(odd) = word(from) {
                    return from + odd;
                }
                from += 8;
            }
            return word(length - 8).map_or(length, |odd| length - 8 + odd);
        }
        if length >= 4 {
            let half = |from: usize| {
                let half = text.as_ptr().add(from).cast::<[u8; 4]>().read_unaligned();
                to.add(from).cast::<[u8; 4]>().write_unaligned(half);
                u64::from(u32::from_le_bytes(half))
            };
            let (head, tail) = (half(0), half(length - 4));
            return match scan::first_odd(head | tail << 32) {
                None => length,
                Some(odd @ 0..4) => odd,
                Some(odd) => length + odd - 8,
            };
        }
        for (index, &byte) in text.iter().enumerate() {
            if scan::is_odd(byte) {
                return index;
            }
            to.add(index).write(byte);
        }
        length
    }
}

/// Copies `from`, which is usually too short to be worth a call.
///
/// # Safety
///
/// `to` has room for it.
#[inline(always)]
pub(super) unsafe fn copy(from: &[u8], to: *mut u8) {
    /// The first and the last `N` bytes, which may overlap.
    ///
    /// # Safety
    ///
    /// There are at least `N` bytes, and room for them.
    #[inline(always)]
    unsafe fn ends<const N: usize>(from: &[u8], to: *mut u8) {
        let last = from.len() - N;
        // SAFETY: both lie within what the caller vouches for.
        unsafe {
            let (head, tail) = (from.as_ptr(), from.as_ptr().add(last));
            to.cast::<[u8; N]>().write_unaligned(head.cast::<[u8; N]>().read_unaligned());
            to.add(last).cast::<[u8; N]>().write_unaligned(tail.cast::<[u8; N]>().read_unaligned());
        }
    }
    // SAFETY: as the caller's; each arm copies all of `from` and nothing else.
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
