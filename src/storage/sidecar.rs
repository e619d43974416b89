//! `.oasis_data/`: the hidden folder beside the data files.
//!
//! ```text
//! .oasis_data/
//!     .gitignore          `*`: the folder ignores itself
//!     locks/<name>.lock   one per data file; never truncated, replaced only under its lock
//!     temp/<name>.<random>   content on its way; held locked by its writer
//!     journal             what a batch of saves is about to rename
//!     journal.lock        held by that batch, and by whoever recovers it
//! ```

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::geteuid;
use xattr::FileExt;

use super::target::Target;
use crate::error::Result;

/// The folder, seen from the data file's.
pub const FOLDER: &str = ".oasis_data";
/// Where locks live, seen from the data file's folder.
pub const LOCKS: &str = ".oasis_data/locks";
/// Where temporary files live, seen from the data file's folder. A folder of
/// their own, so that finding the leftovers does not mean reading every lock's
/// name.
pub const TEMP: &str = ".oasis_data/temp";

const DEFAULT_ACCESS_LIST: &str = "system.posix_acl_default";

/// The longest name that still leaves room for a suffix within `NAME_MAX`.
const LONGEST_STEM: usize = 200;

/// What the sidecar calls a data file: its name, or a digest of a long one.
#[must_use]
pub fn stem(name: &OsStr) -> PathBuf {
    if name.len() <= LONGEST_STEM {
        PathBuf::from(name)
    } else {
        PathBuf::from(blake3::hash(name.as_bytes()).to_hex().as_str())
    }
}

/// Creates the sidecar of the target's folder, or what is missing of it.
///
/// # Errors
///
/// When a folder cannot be made or opened.
pub fn create(target: &Target) -> Result<()> {
    // Not beside a device: /dev needs no company.
    target.stat()?;
    create_folder(target, FOLDER)?;
    // Before the folders by whose absence an unfinished sidecar is known: a
    // writer killed in here leaves the work to the next.
    ignore_in_git(target);
    create_folder(target, LOCKS)?;
    create_folder(target, TEMP)
}

/// A courtesy: no save fails for want of it.
fn ignore_in_git(target: &Target) {
    let path = Path::new(FOLDER).join(".gitignore");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(file) = fs::openat(&target.folder, &path, flags, Mode::from_raw_mode(0o666)) {
        let _ = File::from(file).write_all(b"*\n");
    }
}

fn create_folder(target: &Target, path: &str) -> Result<()> {
    match fs::mkdirat(&target.folder, path, Mode::from_raw_mode(0o777)) {
        // Shared in either case: its maker may have been killed before that.
        Ok(()) | Err(Errno::EXIST) => share_folder(target, path),
        Err(errno) => Err(target.failed("mkdir of .oasis_data", errno)),
    }
}

/// Gives the folder of temporary files what a new file inherits from the data
/// folder: group, mode and default access list, as they are now.
///
/// # Errors
///
/// When the folder cannot be opened or changed.
pub fn follow_folder(target: &Target) -> Result<()> {
    share_folder(target, TEMP)
}

fn share_folder(target: &Target, path: &str) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match fs::openat(&target.folder, path, flags, Mode::empty()) {
        Ok(folder) => folder,
        // Gone again, or not made yet: whoever needs it makes it.
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(target.failed("open of .oasis_data", errno)),
    };
    share(target, &folder)?;
    let folder = File::from(folder);
    let list = |file: &File| file.get_xattr(DEFAULT_ACCESS_LIST).ok().flatten();
    match (list(&target.folder), list(&folder)) {
        (Some(wanted), there) if there.as_ref() != Some(&wanted) && is_own(target, &folder)? => {
            folder
                .set_xattr(DEFAULT_ACCESS_LIST, &wanted)
                .map_err(|error| target.failed("setxattr in .oasis_data", error))
        }
        _ => Ok(()),
    }
}

/// Lets everyone who may write in the data folder use `made`, a file or folder
/// of its sidecar. Without it the first writer's umask would lock the others
/// out. By its descriptor: by its path, another user of the folder could have
/// root change a file of their choice. What belongs to another is left to them.
///
/// # Errors
///
/// When the mode or owner cannot be set.
pub fn share(target: &Target, made: impl AsFd) -> Result<()> {
    let failed = |call, errno| target.failed(call, errno);
    let folder = fs::fstat(&target.folder).map_err(|errno| failed("fstat of its folder", errno))?;
    let stat = fs::fstat(&made).map_err(|errno| failed("fstat in .oasis_data", errno))?;
    if !is_own(target, &made)? {
        return Ok(());
    }
    if geteuid().is_root() && (stat.st_uid, stat.st_gid) != (folder.st_uid, folder.st_gid) {
        let (owner, group) = (Uid::from_raw(folder.st_uid), Gid::from_raw(folder.st_gid));
        fs::fchown(&made, Some(owner), Some(group))
            .map_err(|errno| failed("fchown in .oasis_data", errno))?;
    }
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let shared = folder.st_mode & if is_folder { 0o7777 } else { 0o666 };
    if stat.st_mode & 0o7777 != shared {
        fs::fchmod(&made, Mode::from_raw_mode(shared))
            .map_err(|errno| failed("fchmod in .oasis_data", errno))?;
    }
    Ok(())
}

fn is_own(target: &Target, made: impl AsFd) -> Result<bool> {
    let stat = fs::fstat(made).map_err(|errno| target.failed("fstat in .oasis_data", errno))?;
    Ok(geteuid().is_root() || stat.st_uid == geteuid().as_raw())
}
