//! Memory that says so when there is no more, where a `Vec` alone would end the
//! process.

/// There is no more memory.
#[derive(Debug)]
pub(crate) struct OutOfMemory;

/// Bytes written one after the other.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Appends `bytes`.
    #[inline]
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.reserve(bytes.len())?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// Makes room for `more` bytes.
    #[inline]
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), OutOfMemory> {
        if self.0.capacity() - self.0.len() < more { self.grow(more) } else { Ok(()) }
    }

    #[cold]
    fn grow(&mut self, more: usize) -> Result<(), OutOfMemory> {
        self.0.try_reserve(more).map_err(|_| OutOfMemory)
    }
}
