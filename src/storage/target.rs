//! Where a path leads: the folder, opened once, and the name in it.
//!
//! Everything a save does happens relative to that one descriptor, so that a
//! folder renamed or swapped meanwhile cannot split the save over two folders,
//! and the directory sync goes to the directory that was written.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, RawDir, SeekFrom, Stat};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;

use super::atomic;
use super::identity::{FileKey, Identity};
use super::sidecar;
use crate::error::{A_DIRECTORY, Error, OPEN_FOLDER, Result};

/// The `kind` of a path that leads into the sidecar.
const IN_SIDECAR: &str = "in the folder of locks and temporary files";

/// As many symlinks as the kernel follows (`path_resolution(7)`).
const MAX_SYMLINKS: usize = 40;

/// Bytes for names that a folder is asked for in one call.
const LISTED_AT_ONCE: usize = 60_000;

/// How often a folder is listed in which what is picked comes and goes all the time.
const MOST_LISTINGS: usize = 100;

/// A data file, by an open folder and a name.
#[derive(Debug)]
pub struct Target {
    /// The folder, open.
    pub folder: File,
    /// The file's name in it.
    pub name: OsString,
    /// The path as the caller spelt it, for errors.
    pub spelt: PathBuf,
}

impl Target {
    /// Follows `path` to the file that a write through it must replace: a
    /// symlink's target, not the link. With `make_parents`, creates the missing
    /// folders on the way.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened, or the path names a directory.
    pub fn resolve(path: &Path, make_parents: bool) -> Result<Self> {
        Self::resolve_by(path, make_parents, open_folder)
    }

    /// The same for a load, which only uses names in the folder: for that, the right to
    /// search it is enough.
    ///
    /// # Errors
    ///
    /// As for [`Self::resolve`].
    pub fn resolve_to_load(path: &Path) -> Result<Self> {
        Self::resolve_by(path, false, open_folder_to_search)
    }

    fn resolve_by(
        path: &Path,
        make_parents: bool,
        open_folder: fn(&Path) -> rustix::io::Result<OwnedFd>,
    ) -> Result<Self> {
        let mut current = path.to_path_buf();
        for _ in 0..=MAX_SYMLINKS {
            let (parent, name) = split(path, &current)?;
            // A save onto a lock would replace it under its holder.
            if parent.components().any(|part| part.as_os_str() == sidecar::FOLDER) {
                return Err(Error::NotAFile { path: path.to_path_buf(), kind: IN_SIDECAR });
            }
            let folder = match open_folder(parent) {
                Err(Errno::NOENT) if make_parents => {
                    create_folders(path, parent)?;
                    open_folder(parent)
                }
                opened => opened,
            }
            .map_err(|errno| Error::syscall(path, OPEN_FOLDER, errno))?;
            match fs::readlinkat(&folder, name, Vec::new()) {
                Ok(link) => current = parent.join(OsString::from_vec(link.into_bytes())),
                Err(Errno::INVAL | Errno::NOENT) => {
                    return Ok(Self {
                        folder: File::from(folder),
                        name: name.to_os_string(),
                        spelt: path.to_path_buf(),
                    });
                }
                Err(errno) => return Err(Error::syscall(path, "readlinkat", errno)),
            }
        }
        Err(Error::syscall(path, "readlinkat", Errno::LOOP))
    }

    /// The file's `stat`, or `None` where there is no file.
    ///
    /// # Errors
    ///
    /// When there is something that is not a regular file: renaming onto a
    /// device or a pipe would destroy it.
    pub fn stat(&self) -> Result<Option<Stat>> {
        match fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => require_regular(&self.spelt, &stat).map(|()| Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("fstatat", errno)),
        }
    }

    /// Which folder the file is in.
    ///
    /// # Errors
    ///
    /// When its `fstat` fails.
    pub fn folder_key(&self) -> Result<FileKey> {
        let stat =
            fs::fstat(&self.folder).map_err(|errno| self.failed("fstat of its folder", errno))?;
        Ok(Identity::of(&stat).key())
    }

    /// Opens what is called `name` in the file's folder, but not through a symlink.
    ///
    /// # Errors
    ///
    /// As for [`open_to_read`].
    pub fn open_to_read(&self, name: impl Arg + Copy) -> rustix::io::Result<File> {
        open_to_read(&self.folder, name, OFlags::NOFOLLOW)
    }

    /// What `pick` makes of the names in the folder called `name`, seen from the file's
    /// own, and of what each is, where the file system says so.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened or read.
    pub fn list<T: PartialEq>(
        &self,
        name: impl Arg + Copy,
        pick: impl Fn(&OsStr, FileType) -> Option<T>,
    ) -> rustix::io::Result<Vec<T>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |more| fs::openat(&self.folder, name, flags | more, Mode::empty());
        // A new access time would be one more thing for the save's syncs to write,
        // a tenth of its time on ext4. Only the folder's owner may forbid it.
        let folder = match open(OFlags::NOATIME) {
            Err(Errno::PERM) => open(OFlags::empty()),
            opened => opened,
        }?;
        // Most folders fit into that, and are seen as they are at one moment. Of another,
        // the next call may miss both names of what is renamed before it: it is listed
        // until two listings agree.
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(LISTED_AT_ONCE).map_err(|_| Errno::NOMEM)?;
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
                    Some(Err(Errno::INTR)) => calls -= 1,
                    // `getdents(2)` says of a folder that has been removed that it is not
                    // there.
                    None | Some(Err(Errno::NOENT)) => break,
                    Some(Err(errno)) => return Err(errno),
                }
            }
            listings += 1;
            // The last call finds nothing more.
            let at_once = calls <= 2;
            if at_once || listings == MOST_LISTINGS || earlier.as_ref() == Some(&picked) {
                return Ok(picked);
            }
            earlier = Some(picked);
            fs::seek(&folder, SeekFrom::Start(0))?;
        }
    }

    /// Another file in the same folder.
    #[must_use]
    pub fn called(self, name: &Path) -> Self {
        Self { name: name.into(), spelt: self.spelt.with_file_name(name), ..self }
    }

    /// A failed syscall on this file.
    pub fn failed(&self, call: &'static str, source: impl Into<std::io::Error>) -> Error {
        Error::syscall(&self.spelt, call, source)
    }
}

/// Opens what is called `name` in an open folder, without waiting for what is no
/// regular file.
///
/// # Errors
///
/// When the open fails.
pub fn open_to_read(
    folder: impl AsFd,
    name: impl Arg + Copy,
    follow: OFlags,
) -> rustix::io::Result<File> {
    let flags = follow | OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = |more| fs::openat(&folder, name, flags | more, Mode::empty()).map(File::from);
    // Opening a pipe without a writer would wait for ever.
    match open(OFlags::NONBLOCK) {
        // Another program has a write lease on it (`fcntl(2)`; a file server does
        // for its clients), and has just been told to let go: the kernel sees to it.
        Err(Errno::AGAIN) if is_regular(&folder, name) => retry_on_intr(|| open(OFlags::empty())),
        opened => opened,
    }
}

fn is_regular(folder: impl AsFd, name: impl Arg) -> bool {
    let stat = fs::statat(folder, name, AtFlags::empty());
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Refuses everything but a regular file.
///
/// # Errors
///
/// [`Error::NotAFile`], naming what `stat` shows instead.
pub fn require_regular(path: &Path, stat: &Stat) -> Result<()> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => A_DIRECTORY,
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    Err(Error::NotAFile { path: path.to_path_buf(), kind })
}

fn split<'a>(spelt: &Path, path: &'a Path) -> Result<(&'a Path, &'a OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err(Error::syscall(spelt, "open", Errno::NOENT));
    }
    let (parent, name) = match bytes.iter().rposition(|&byte| byte == b'/') {
        None => (&b"."[..], bytes),
        Some(0) => (&b"/"[..], &bytes[1..]),
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
    };
    if matches!(name, b"" | b"." | b"..") {
        return Err(Error::NotAFile { path: spelt.to_path_buf(), kind: A_DIRECTORY });
    }
    Ok((Path::new(OsStr::from_bytes(parent)), OsStr::from_bytes(name)))
}

fn open_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn open_folder_to_search(path: &Path) -> rustix::io::Result<OwnedFd> {
    fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// `mkdir -p`, each new folder's entry synced into the one above it: a save
/// that survives a power cut is no use in a folder that does not.
fn create_folders(spelt: &Path, folder: &Path) -> Result<()> {
    let failed = |call, errno| Error::syscall(spelt, call, errno);
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    for path in missing.into_iter().rev() {
        match fs::mkdirat(CWD, path, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed("mkdir", errno)),
        }
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = open_folder(above.unwrap_or_else(|| Path::new(".")))
            .map_err(|errno| failed(OPEN_FOLDER, errno))?;
        atomic::flush(above).map_err(|errno| failed("fsync of its folder", errno))?;
    }
    Ok(())
}
