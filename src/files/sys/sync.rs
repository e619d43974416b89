//! Waiting until something is on the disk.

use std::os::fd::AsFd;

use rustix::fs;

/// Waits until the names in an open folder are on the disk.
///
/// # Errors
///
/// When they may not be.
pub(crate) fn sync_folder(folder: impl AsFd) -> rustix::io::Result<()> {
    fs::fsync(&folder)?;
    // XFS answers the sync of a folder with success even when an error of the
    // disk has just shut it down and its journal is lost; a stat then fails.
    fs::fstat(&folder).map(drop)
}
