//! The last steps of a save: the rename that readers see, and the sync that
//! makes it last.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use rustix::fs::{self, Access, AtFlags, Mode, Statx, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

use super::target::Target;
use super::temporary::Temporary;
use crate::error::{Error, RENAME, Result};

/// Puts `temporary` in the place of `target`: readers see the old content or
/// the new, nothing else.
///
/// # Errors
///
/// When the rename fails; the old content is then untouched.
pub fn replace(target: &Target, temporary: Temporary<'_>) -> Result<()> {
    temporary.rename(&target.name)
}

/// Refuses a file of which it shows beforehand that nothing can be renamed onto it: for a
/// batch, which must know before it is decided. What shows only then (a policy) is left
/// to the rename.
///
/// # Errors
///
/// As the rename would fail.
pub fn require_replaceable(target: &Target) -> Result<()> {
    let refused = |errno| Err(target.failed(RENAME, errno));
    let folder = &target.folder;
    let fields = StatxFlags::MODE | StatxFlags::UID;
    let told = |name: &OsStr, flags| fs::statx(folder, name, flags, fields).ok();
    let above = told(OsStr::new(""), AtFlags::EMPTY_PATH);
    let live = told(&target.name, AtFlags::SYMLINK_NOFOLLOW);
    let is = |stat: Option<Statx>, attributes: StatxAttributes| {
        stat.is_some_and(|stat| stat.stx_attributes.intersects(attributes))
    };
    if is(live, StatxAttributes::MOUNT_ROOT) {
        return refused(Errno::BUSY);
    }
    let marked = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let closed = if live.is_some() { marked } else { StatxAttributes::IMMUTABLE };
    if is(live, marked) || is(above, closed) {
        return refused(Errno::PERM);
    }
    if let (Some(above), Some(live)) = (above, live)
        && u32::from(above.stx_mode) & Mode::SVTX.as_raw_mode() != 0
        && ![above.stx_uid, live.stx_uid].contains(&geteuid().as_raw())
        && capabilities(None).is_ok_and(|own| !own.effective.contains(CapabilitySet::FOWNER))
    {
        return refused(Errno::PERM);
    }
    match fs::accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Err(errno @ (Errno::ACCESS | Errno::ROFS)) => refused(errno),
        // An old kernel cannot be asked for the effective user.
        _ => Ok(()),
    }
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
