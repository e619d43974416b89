//! Waiting until something is on the disk.

use std::os::fd::AsFd;

use rustix::fs::{self, OFlags};

use crate::files::sys::open;

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
