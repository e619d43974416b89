//! `.oasis_data/`: the hidden folder beside the data files.
//!
//! ```text
//! .oasis_data/
//!     .gitignore          `*`: the folder ignores itself
//!     locks/<name>.lock   one per data file; never unlinked, truncated or replaced
//!     temp/<name>.<random>   content on its way; held locked by its writer
//! ```

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::target::Target;
use crate::error::Result;

const FOLDER: &str = ".oasis_data";
/// Where locks live, seen from the data file's folder.
pub const LOCKS: &str = ".oasis_data/locks";
/// Where temporary files live, seen from the data file's folder. A folder of
/// their own, so that finding the leftovers does not mean reading every lock's
/// name.
pub const TEMP: &str = ".oasis_data/temp";

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
/// When a folder or the `.gitignore` cannot be made.
pub fn create(target: &Target) -> Result<()> {
    let folder =
        fs::fstat(&target.folder).map_err(|errno| target.failed("fstat of its folder", errno))?;
    create_folder(target, FOLDER, &folder)?;
    // Before the folders by whose absence an unfinished sidecar is known: a
    // writer killed in here leaves the work to the next.
    let path = Path::new(FOLDER).join(".gitignore");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(&target.folder, &path, flags, Mode::from_raw_mode(0o666))
        .map_err(|errno| target.failed("open of .oasis_data/.gitignore", errno))?;
    std::fs::File::from(file)
        .write_all(b"*\n")
        .map_err(|error| target.failed("write of .oasis_data/.gitignore", error))?;
    create_folder(target, LOCKS, &folder)?;
    create_folder(target, TEMP, &folder)
}

fn create_folder(target: &Target, path: &str, like: &Stat) -> Result<()> {
    match fs::mkdirat(&target.folder, path, Mode::from_raw_mode(0o777)) {
        Ok(()) => share(target, Path::new(path), like),
        Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(target.failed("mkdir of .oasis_data", errno)),
    }
}

/// Lets everyone who may write in the data folder use `path` too. Without it
/// the first writer's umask would lock the others out.
///
/// # Errors
///
/// When the mode or owner cannot be set.
pub fn share(target: &Target, path: &Path, folder: &Stat) -> Result<()> {
    let failed = |call, errno| target.failed(call, errno);
    let made = fs::statat(&target.folder, path, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| failed("fstatat in .oasis_data", errno))?;
    if made.st_uid == 0 && (made.st_uid, made.st_gid) != (folder.st_uid, folder.st_gid) {
        let (owner, group) = (Uid::from_raw(folder.st_uid), Gid::from_raw(folder.st_gid));
        fs::chownat(&target.folder, path, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed("chown in .oasis_data", errno))?;
    }
    let is_folder = FileType::from_raw_mode(made.st_mode) == FileType::Directory;
    let shared = folder.st_mode & if is_folder { 0o7777 } else { 0o666 };
    if made.st_mode & 0o7777 != shared {
        fs::chmodat(&target.folder, path, Mode::from_raw_mode(shared), AtFlags::empty())
            .map_err(|errno| failed("chmod in .oasis_data", errno))?;
    }
    Ok(())
}
