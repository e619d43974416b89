//! The content of a compressed backup.

use std::fs::File;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::stack;

/// The content of a gzip file, or an error where memory runs out.
///
/// # Errors
///
/// When a read fails, the file is no whole gzip file, or there is no memory for
/// its content.
pub(super) fn gunzip(file: &File) -> io::Result<Vec<u8>> {
    // The decoder alone takes 40 KiB of the stack.
    stack::with_large_stack(|| {
        let mut bytes = Vec::new();
        // Grows by `try_reserve`, whatever the file says of its size.
        MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}
