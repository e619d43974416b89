//! Where a path leads: the folder, opened once, and the name in it.
//!
//! Everything that a save does happens relative to that descriptor. So a folder that is
//! renamed or swapped during the save cannot split the save over two folders, and the
//! directory sync goes to the directory that was written.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::geteuid;

use crate::error::{self, A_DIRECTORY, Error, FOLLOW_LINK, OPEN_FOLDER, Result, is_without_sync};
use crate::files::fork::Descriptor;
use crate::files::identity::{FileKey, Identity};
use crate::files::layout;
use crate::files::sys::{listing, open, sync};

/// The `kind` of a path that leads into the sidecar.
pub(crate) const IN_SIDECAR: &str = "in the folder of locks and temporary files";

/// The `kind` of a path that leads through a link of `/proc` to what a process has open.
const A_DESCRIPTOR: &str = "an open descriptor";

/// Where the kernel says whether it protects symlinks (`proc_sys_fs(5)`).
const PROTECTED_SYMLINKS: &str = "/proc/sys/fs/protected_symlinks";

/// As many symlinks as the kernel follows (`path_resolution(7)`).
const MAX_SYMLINKS: usize = 40;

/// A data file, by an open folder and a name.
#[derive(Debug)]
pub struct Target {
    /// The folder, open.
    pub folder: Descriptor,
    /// The file's name in it.
    pub name: OsString,
    /// The path as the caller gave it, for errors.
    pub given_path: PathBuf,
}

impl Target {
    /// Follows `path` to the file that a write through it must replace: a
    /// symlink's target, not the link. With `make_parents`, creates the missing
    /// folders of the path.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened, or the path names a directory or an open
    /// descriptor, or goes through a symlink that the kernel would not follow.
    pub fn resolve(path: &Path, make_parents: bool) -> Result<Self> {
        Self::resolve_by(path, make_parents, open_folder)
    }

    /// The same for a load, which only uses names in the folder: the right to search the
    /// folder is enough.
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
            if parent.components().any(|part| part.as_os_str() == layout::FOLDER) {
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
                Ok(_) => {
                    if let Some(link) = read_link(path, &folder, name)? {
                        current = parent.join(link);
                    }
                }
                Err(Errno::INVAL | Errno::NOENT) => {
                    return Ok(Self {
                        folder: File::from(folder).into(),
                        name: name.to_os_string(),
                        given_path: path.to_path_buf(),
                    });
                }
                Err(errno) => return Err(Error::syscall(path, "readlinkat", errno)),
            }
        }
        Err(Error::syscall(path, "readlinkat", Errno::LOOP))
    }

    /// Whether `path` leads to an open descriptor, for which [`Self::resolve`] finds no name.
    #[must_use]
    pub fn is_descriptor(path: &Path) -> bool {
        matches!(Self::resolve(path, false), Err(Error::NotAFile { kind: A_DESCRIPTOR, .. }))
    }

    /// The file's `stat`, or `None` where there is no file.
    ///
    /// # Errors
    ///
    /// When there is something that is not a regular file: renaming onto a
    /// device or a pipe would destroy it.
    pub fn stat(&self) -> Result<Option<Stat>> {
        match fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => require_regular(&self.given_path, stat.st_mode).map(|()| Some(stat)),
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
        Ok(Identity::of(&self.folder_stat()?).key())
    }

    /// The `stat` of the folder.
    ///
    /// # Errors
    ///
    /// When its `fstat` fails.
    pub fn folder_stat(&self) -> Result<Stat> {
        fs::fstat(&self.folder).map_err(|errno| self.failed("fstat of its folder", errno))
    }

    /// Opens what is called `name` in the file's folder, but not through a symlink.
    ///
    /// # Errors
    ///
    /// When the open fails.
    pub fn open_to_read(&self, name: impl Arg + Copy) -> rustix::io::Result<File> {
        open::to_read(&self.folder, name, OFlags::NOFOLLOW)
    }

    /// What `pick` makes of the names in the folder called `name`, as seen from the file's
    /// folder, and of the kind of each, where the file system tells it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened or read.
    pub fn list<T: PartialEq>(
        &self,
        name: impl Arg + Copy,
        pick: impl Fn(&OsStr, FileType) -> Option<T>,
    ) -> rustix::io::Result<Vec<T>> {
        listing::list(&self.folder, name, pick)
    }

    /// The same of the folder itself.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn list_itself<T: PartialEq>(
        &self,
        pick: impl Fn(&OsStr, FileType) -> Option<T>,
    ) -> rustix::io::Result<Vec<T>> {
        listing::list_open(&self.folder, pick)
    }

    /// Syncs the folder, so that a rename or unlink in it survives power loss.
    ///
    /// # Errors
    ///
    /// [`Error::NotDurable`]: the change itself has already happened.
    pub fn sync_folder(&self) -> Result<()> {
        sync::sync_folder(&self.folder).map_err(|errno| Error::NotDurable {
            path: self.given_path.clone(),
            source: errno.into(),
        })
    }

    /// Another file in the same folder.
    #[must_use]
    pub fn called(self, name: &Path) -> Self {
        Self { name: name.into(), given_path: self.given_path.with_file_name(name), ..self }
    }

    /// A failed syscall on this file.
    pub fn failed(&self, call: &'static str, source: impl Into<std::io::Error>) -> Error {
        Error::syscall(&self.given_path, call, source)
    }
}

/// Refuses everything but a regular file.
///
/// # Errors
///
/// [`Error::NotAFile`], naming what the mode shows instead.
pub fn require_regular(path: &Path, mode: RawMode) -> Result<()> {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => A_DIRECTORY,
        FileType::Fifo => "a pipe",
        // safeguard: regular-file
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    };
    Err(Error::NotAFile { path: path.to_path_buf(), kind })
}

fn split<'a>(given_path: &Path, path: &'a Path) -> Result<(&'a Path, &'a OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err(Error::syscall(given_path, "open", Errno::NOENT));
    }
    let (parent, name) = match bytes.iter().rposition(|&byte| byte == b'/') {
        None => (&b"."[..], bytes),
        Some(0) => (&b"/"[..], &bytes[1..]),
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
    };
    if matches!(name, b"" | b"." | b"..") {
        return Err(Error::NotAFile { path: given_path.to_path_buf(), kind: A_DIRECTORY });
    }
    Ok((Path::new(OsStr::from_bytes(parent)), OsStr::from_bytes(name)))
}

fn open_folder(path: &Path) -> rustix::io::Result<OwnedFd> {
    open_folder_with(path, OFlags::empty())
}

fn open_folder_to_search(path: &Path) -> rustix::io::Result<OwnedFd> {
    // safeguard: folder-opened-without-listing
    open_folder_with(path, OFlags::PATH)
}

fn open_folder_with(path: &Path, how: OFlags) -> rustix::io::Result<OwnedFd> {
    let open = |path: &Path| open::folder(CWD, path, how);
    match open(path) {
        // A protected symlink, perhaps: the kernel does not follow it as the last part of a
        // path, but does on the route to a file in the folder.
        Err(Errno::ACCESS) => open(&path.join(".")),
        opened => opened,
    }
}

/// Where the symlink called `name` leads, if a write may follow it; nothing where `name` is
/// no symlink any more.
fn read_link(given: &Path, folder: &OwnedFd, name: &OsStr) -> Result<Option<OsString>> {
    let failed = |call, errno| Error::syscall(given, call, errno);
    let system = fs::fstatfs(folder).map_err(|errno| failed("fstatfs of its folder", errno))?;
    // A link of /proc leads to an open file, which may have no name.
    // safeguard: no-write-to-descriptor
    if system.f_type == fs::PROC_SUPER_MAGIC {
        return Err(Error::NotAFile { path: given.to_path_buf(), kind: A_DESCRIPTOR });
    }
    // By a descriptor, so that nobody swaps the link between its `stat` and its read.
    let link = match open::to_look_at(folder, name, OFlags::NOFOLLOW) {
        Ok(link) => link,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failed("open of its symlink", errno)),
    };
    let leads = match fs::readlinkat(&link, "", Vec::new()) {
        Ok(leads) => leads,
        Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
        Err(errno) => return Err(failed("readlinkat", errno)),
    };
    let stat =
        |file: &OwnedFd| fs::fstat(file).map_err(|errno| failed("fstat of its symlink", errno));
    let (above, link) = (stat(folder)?, stat(&link)?);
    // The kernel's own rule, which a link that is read by hand would evade: in a folder where
    // everyone may make links, a link of another user may lead to any file of this user.
    let shared = Mode::from_raw_mode(above.st_mode).contains(Mode::SVTX | Mode::WOTH);
    let trusted = [geteuid().as_raw(), above.st_uid].contains(&link.st_uid);
    let off = || std::fs::read(PROTECTED_SYMLINKS).is_ok_and(|set| set.trim_ascii() == b"0");
    // safeguard: protected-symlink
    if shared && !trusted && !off() {
        let hint = format!(
            "; the symlink {} is another user's (uid {}) and lies in a sticky folder that everyone \
             may write, where the kernel does not follow it (fs.protected_symlinks): name the \
             file that it leads to",
            error::name(Path::new(name)),
            link.st_uid
        );
        let source = Errno::ACCESS.into();
        return Err(Error::Syscall { path: given.to_path_buf(), call: FOLLOW_LINK, source, hint });
    }
    Ok(Some(OsString::from_vec(leads.into_bytes())))
}

/// `mkdir -p`, with a sync of the folder above each new folder: a durable save is no use in a
/// folder that a power cut takes away.
fn create_folders(given_path: &Path, folder: &Path) -> Result<()> {
    let failed = |call, errno| Error::syscall(given_path, call, errno);
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
        match sync::sync_folder(above) {
            // Where a sync is asked for, the save's own sync of its folder tells this.
            Err(errno) if is_without_sync(errno) => {}
            flushed => flushed.map_err(|errno| failed("fsync of its folder", errno))?,
        }
    }
    Ok(())
}
