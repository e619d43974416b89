//! Opening: folders, files to read, and files whose content nobody needs.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, Result, retry_on_intr};
use rustix::path::Arg;

/// Opens a folder, with `flags` beside those that every folder is opened with:
/// [`OFlags::PATH`] where the names in it are all that is needed, [`OFlags::NOFOLLOW`] for a
/// folder that must not be a symlink.
///
/// # Errors
///
/// When the open fails.
pub(crate) fn folder(at: impl AsFd, path: impl Arg, flags: OFlags) -> Result<OwnedFd> {
    fs::openat(at, path, flags | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a file to read it, without waiting for a file that is not regular (a pipe without a
/// writer). `follow` is [`OFlags::NOFOLLOW`] where the file must not be a symlink.
///
/// # Errors
///
/// When the open fails.
pub(crate) fn to_read(at: impl AsFd, name: impl Arg + Copy, follow: OFlags) -> Result<File> {
    let flags = follow | OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = |more| fs::openat(&at, name, flags | more, Mode::empty()).map(File::from);
    // Opening a pipe without a writer would wait for ever.
    match open(OFlags::NONBLOCK) {
        // Another program has a write lease on it (`fcntl(2)`; a file server does
        // for its clients), and has just been told to release it: the kernel sees to it.
        // safeguard: open-waits-for-lease
        Err(Errno::AGAIN) if is_regular(&at, name) => retry_on_intr(|| open(OFlags::empty())),
        opened => opened,
    }
}

fn is_regular(at: impl AsFd, name: impl Arg) -> bool {
    let stat = fs::statat(at, name, AtFlags::empty());
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Opens what is called `name`, to look at it: no right to read it is needed, and opening a
/// device does nothing to it.
///
/// # Errors
///
/// When the open fails.
pub(crate) fn to_look_at(at: impl AsFd, name: impl Arg, follow: OFlags) -> Result<OwnedFd> {
    fs::openat(at, name, follow | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Makes a file without a name in an open folder.
///
/// # Errors
///
/// When the open fails, as it does where the file system has no files without a name.
pub(crate) fn unnamed(folder: impl AsFd) -> Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    fs::openat(folder, ".", flags, Mode::from_raw_mode(0o666)).map(File::from)
}

/// The path in `/proc` that leads to an open file.
pub(crate) fn proc_link(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// The path of an open file, as the kernel knows it.
///
/// # Errors
///
/// Where there is no `/proc`.
pub(crate) fn path_of(file: impl AsFd) -> Result<CString> {
    fs::readlink(proc_link(file), Vec::new())
}
