//! Memory that says so when there is no more, where a `Vec` alone would end the
//! process; and that takes short pieces without a call for each.
#![allow(unsafe_code, reason = "unchecked writes into room that was made, behind a safe face")]

use super::scan;

/// There is no more memory.
#[derive(Debug)]
pub(crate) struct OutOfMemory;

/// Bytes to begin with: a small document is written without moving.
const SMALLEST: usize = 1 << 10;

/// Bytes written one after the other.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
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

    /// Appends the first bytes of `text`, up to one that [`scan::plain`] stops
    /// at, and tells how many.
    #[inline(always)]
    pub(super) fn plain(&mut self, text: &[u8]) -> Result<usize, OutOfMemory> {
        self.reserve(text.len())?;
        // SAFETY: there is room for the whole text, so for each word of it that
        // is written; only what was written is counted.
        unsafe {
            let mut end = self.end();
            let plain = scan::plain_words(text, |word| {
                end.cast::<[u8; 8]>().write_unaligned(word);
                end = end.add(8);
            });
            let words = plain - plain % 8;
            copy(&text[words..plain], self.end().add(words));
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
