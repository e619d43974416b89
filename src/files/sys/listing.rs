//! The names in a folder (`getdents64`).

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{self, AtFlags, FileType, OFlags, RawDir, SeekFrom};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

use crate::files::sys::open;

/// Bytes for names that the kernel fills in one call. Most folders fit, and are seen as they
/// are at one moment.
const PIECE: usize = 60_000;

/// Bytes for a few names.
const SMALL_PIECE: usize = 4096;

/// How often a folder is listed whose picked names change all the time.
const MOST_LISTINGS: usize = 100;

/// What `pick` makes of the names in the folder called `name`, as seen from an open folder,
/// and of the kind of each, where the file system tells it.
///
/// # Errors
///
/// When the folder cannot be opened or read.
pub(crate) fn list<T: PartialEq>(
    at: impl AsFd,
    name: impl Arg + Copy,
    pick: impl Fn(&OsStr, FileType) -> Option<T>,
) -> Result<Vec<T>> {
    let open = |more| open::folder(&at, name, OFlags::NOFOLLOW | more);
    // Without a new access time of the folder, which the save's syncs would have to write: a
    // tenth of a save's time on ext4. Only the folder's owner may ask for that.
    let folder = match open(OFlags::NOATIME) {
        // safeguard: listing-without-noatime
        Err(Errno::PERM) => open(OFlags::empty()),
        opened => opened,
    }?;
    list_opened(folder, pick)
}

/// The same for an open folder. Not for two threads at once: they would share a position.
///
/// # Errors
///
/// When it cannot be read.
pub(crate) fn list_open<T: PartialEq>(
    folder: impl AsFd,
    pick: impl Fn(&OsStr, FileType) -> Option<T>,
) -> Result<Vec<T>> {
    match fs::seek(&folder, SeekFrom::Start(0)) {
        // Opened with the right to search it only.
        Err(Errno::BADF) => return list(folder, ".", pick),
        sought => sought?,
    };
    // As above.
    let _ = fs::fcntl_setfl(&folder, OFlags::NOATIME);
    list_opened(folder, pick)
}

fn list_opened<T: PartialEq>(
    folder: impl AsFd,
    pick: impl Fn(&OsStr, FileType) -> Option<T>,
) -> Result<Vec<T>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(PIECE).map_err(|_| Errno::NOMEM)?;
    let (mut listings, mut earlier) = (0, None);
    loop {
        let mut entries = RawDir::new(&folder, buffer.spare_capacity_mut());
        let mut picked = Vec::new();
        let mut calls = 0;
        loop {
            calls += usize::from(entries.is_buffer_empty());
            match entries.next() {
                Some(Ok(entry)) => {
                    let name = OsStr::from_bytes(entry.file_name().to_bytes());
                    picked.extend(pick(name, entry.file_type()));
                }
                // safeguard: interrupted-listing
                Some(Err(Errno::INTR)) => calls -= 1,
                // `getdents(2)` says of a folder that has been removed that it is not
                // there.
                None | Some(Err(Errno::NOENT)) => break,
                // safeguard: failed-listing-told
                Some(Err(errno)) => return Err(errno),
            }
        }
        listings += 1;
        // The last call finds nothing more.
        let at_once = calls <= 2;
        // Between two calls a rename can hide both names of a file. A folder that takes
        // several calls is listed until two listings agree.
        // safeguard: listing-of-one-moment
        if at_once || listings == MOST_LISTINGS || earlier.as_ref() == Some(&picked) {
            return Ok(picked);
        }
        earlier = Some(picked);
        fs::seek(&folder, SeekFrom::Start(0))?;
    }
}

/// The kind of a listed name: asked for where the file system's listing does not tell it.
pub(crate) fn kind(folder: impl AsFd, name: impl Arg, listed: FileType) -> FileType {
    if listed != FileType::Unknown {
        return listed;
    }
    fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
}

/// Whether the first `most` names in an open folder pass the `test`. The folder is read by
/// its descriptor: the right to search it is not needed.
///
/// # Errors
///
/// When the folder cannot be read.
pub(crate) fn all_first(
    folder: impl AsFd,
    most: usize,
    test: impl Fn(&[u8]) -> bool,
) -> Result<bool> {
    let mut buffer = Vec::with_capacity(SMALL_PIECE);
    let mut entries = RawDir::new(&folder, buffer.spare_capacity_mut());
    for _ in 0..most {
        let Some(entry) = entries.next() else { break };
        if !test(entry?.file_name().to_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}
