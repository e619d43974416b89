//! Waiting on a word of a file, and waking who waits there (`futex(2)`), from process to
//! process.
//!
//! The kernel knows a word by its file and its place in the file. This process only passes
//! addresses of the words on: it reads them by `pread` and writes them by `pwrite`, which see
//! the same pages as a mapping. So where somebody truncates the file, the kernel answers
//! `EFAULT`; a read through the mapping would end the process by SIGBUS.

use std::fs::File;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::io::{Errno, Result};
use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use rustix::thread::futex::{self, Flags, Timespec};

use crate::files::layout;

/// Bytes of a file that are mapped: its words are among them. The kernel maps a whole page.
const LENGTH: usize = layout::INDEX_PLACE;

/// The beginning of a file, mapped. A forked child does not have the mapping, which would
/// keep the file system busy as long as the child lives.
#[derive(Debug)]
pub(crate) struct MappedWords {
    start: NonNull<u8>,
}

impl MappedWords {
    /// Maps the beginning of a file.
    ///
    /// # Errors
    ///
    /// When the file system or a policy does not allow it.
    #[allow(unsafe_code, reason = "rustix leaves it to the caller what a mapping is used for")]
    pub(crate) fn of(file: &File) -> Result<Self> {
        // Only to be read: a mapping that can be written makes the kernel stamp the file.
        let (protection, flags) = (ProtFlags::READ, MapFlags::SHARED);
        // SAFETY: the kernel chooses the address, so no memory of this process is replaced.
        // Nothing in this process reads or writes the mapping.
        let start = unsafe { mm::mmap(ptr::null_mut(), LENGTH, protection, flags, file, 0)? };
        let words = Self { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)? };
        // SAFETY: the address and the length are those of the mapping. The advice changes
        // nothing in this process.
        // safeguard: mapping-not-inherited
        unsafe { mm::madvise(words.start.as_ptr().cast(), LENGTH, Advice::LinuxDontFork)? };
        Ok(words)
    }

    /// Waits until somebody wakes the waiters of the word at `place`, or until `longest` has
    /// passed, unless the word is not `expected` any more.
    ///
    /// # Errors
    ///
    /// `EAGAIN` where the word is another, `ETIMEDOUT`, `EINTR` for a signal, `EFAULT` where
    /// the file ends before the word.
    pub(crate) fn wait(&self, place: usize, expected: u32, longest: Duration) -> Result<()> {
        let timeout = Timespec {
            tv_sec: longest.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: longest.subsec_nanos().into(),
        };
        futex::wait(self.word(place), Flags::empty(), expected, Some(&timeout))
    }

    /// Wakes the process that has waited longest for the word at `place`. Whether there was
    /// such a process.
    pub(crate) fn wake_one(&self, place: usize) -> bool {
        futex::wake(self.word(place), Flags::empty(), 1).is_ok_and(|woken| woken > 0)
    }

    #[allow(unsafe_code, reason = "the kernel takes the word's address as a reference")]
    fn word(&self, place: usize) -> &AtomicU32 {
        // SAFETY: the places of the words (`layout.rs`) lie within the mapping, which lives as
        // long as `self`, and are aligned, since a mapping begins with a page. An atomic may change at any time. The
        // reference is only passed on to the kernel: see the top of this file.
        unsafe { self.start.add(place).cast().as_ref() }
    }
}

impl Drop for MappedWords {
    #[allow(unsafe_code, reason = "rustix leaves it to the caller what a mapping is used for")]
    fn drop(&mut self) {
        // SAFETY: the address and the length are those of the mapping, and no reference into
        // it outlives `self`.
        let _ = unsafe { mm::munmap(self.start.as_ptr().cast(), LENGTH) };
    }
}
