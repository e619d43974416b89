//! The last steps of a save: the rename that readers see, and the sync that
//! makes it last.

use std::os::fd::AsFd;

use rustix::fs;

use super::target::Target;
use super::temporary::Temporary;
use crate::error::{Error, Result};

/// Puts `temporary` in the place of `target`: readers see the old content or
/// the new, nothing else.
///
/// # Errors
///
/// When the rename fails; the old content is then untouched.
pub fn replace(target: &Target, temporary: Temporary<'_>) -> Result<()> {
    temporary.rename(&target.name)
}

/// Syncs the folder, so that a rename or unlink in it survives power loss.
///
/// # Errors
///
/// [`Error::NotDurable`]: the change itself has already happened.
pub fn sync_folder(target: &Target) -> Result<()> {
    flush(&target.folder)
        .map_err(|errno| Error::NotDurable { path: target.spelt.clone(), source: errno.into() })
}

/// Waits until the names in an open folder are on the disk.
///
/// # Errors
///
/// When they may not be.
pub fn flush(folder: impl AsFd) -> rustix::io::Result<()> {
    fs::fsync(&folder)?;
    // XFS answers the sync of a folder with success even when an error of the
    // disk has just shut it down and its journal is lost; a stat then fails.
    fs::fstat(&folder).map(drop)
}
