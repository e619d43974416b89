//! Waiting until something is on the disk.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{self, OFlags};

use crate::files::sys::open;

/// Has the disk begin to write `length` bytes of a file from `offset` on, and does not wait for
/// it. The sync that follows has less to wait for, and tells of errors. Nothing where the platform
/// has no such call.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no safe crate has sync_file_range")]
pub(crate) fn begin_writing(file: &File, offset: usize, length: usize) {
    use std::os::fd::AsRawFd;

    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else { return };
    // SAFETY: the descriptor is open as long as `file` is borrowed. The call touches no memory of
    // this process.
    unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}

/// The same.
#[cfg(not(target_os = "linux"))]
pub(crate) fn begin_writing(_file: &File, _offset: usize, _length: usize) {}

/// Waits until the names in an open folder are on the disk.
///
/// # Errors
///
/// When they may not be.
pub(crate) fn sync_folder(folder: impl AsFd) -> rustix::io::Result<()> {
    fs::fsync(&folder)?;
    // XFS answers the sync of a folder with success even when an error of the
    // disk has just shut it down and its journal is lost; a stat then fails.
    // safeguard: stat-after-directory-sync
    fs::fstat(&folder).map(drop)
}

/// The same for the folder called `path`, which must not be a symlink, as seen from an open
/// folder.
///
/// # Errors
///
/// When it cannot be opened, and as for [`sync_folder`].
pub(crate) fn sync_folder_at(at: impl AsFd, path: &str) -> rustix::io::Result<()> {
    open::folder(at, path, OFlags::NOFOLLOW).and_then(sync_folder)
}
