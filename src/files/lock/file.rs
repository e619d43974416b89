//! Lock files: opening, replacing and removing them.
//!
//! Only the holder of its lock replaces or removes a lock file. Whoever gets a lock then
//! looks whether its file is still the file at the path. So a process that waited for the
//! old file does not go on with it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::engine::signals::Signals;
use crate::error::{Error, OPEN_LOCK, Result};
use crate::files::fork::CloseOnFork;
use crate::files::identity::{FileKey, Identity};
use crate::files::layout;
use crate::files::sidecar;
use crate::files::sys::{lock, open};
use crate::files::target::Target;

/// How often the opening of a lock file starts over: at the same moment another writer may
/// make the file, or an operator remove it.
pub const OPEN_ATTEMPTS: usize = 100;

/// Bytes that may stand in a lock file: the sync stamp and the index of backups.
const MOST_BYTES: usize = 4096;

/// How many lock files a collection looks at before it asks for signals.
const COLLECTED_AT_ONCE: usize = 256;

/// Opens a lock file, and makes it where there is none.
///
/// # Errors
///
/// When it can be neither opened nor made.
pub fn open(target: &Target, path: &Path) -> Result<File> {
    // safeguard: lock-file-nofollow
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..OPEN_ATTEMPTS {
        // Not O_CREAT at once: in a sticky, world-writable folder the kernel
        // (fs.protected_regular) refuses it for a file of another owner.
        match fs::openat(&target.folder, path, flags, Mode::empty()) {
            Ok(file) => return Ok(File::from(file)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(sidecar::failed(target, OPEN_LOCK, errno)),
        }
        // safeguard: no-lock-through-symlink
        sidecar::require_no_symlink(target)?;
        match create(target, path) {
            Ok(file) => {
                sidecar::share(target, &file)?;
                return Ok(file);
            }
            Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => sidecar::create(target)?,
            Err(errno) => return Err(sidecar::failed(target, OPEN_LOCK, errno)),
        }
    }
    // Each open found no file, and each creation found a name: a dangling symlink, say.
    Err(target.failed(OPEN_LOCK, Errno::LOOP))
}

fn create(target: &Target, path: &Path) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
    fs::openat(&target.folder, path, flags, Mode::from_raw_mode(0o666)).map(File::from)
}

/// Whether the locked file is still the file at its path, which others would lock. Since it
/// was opened, an operator may have removed `.oasis_data`, or a collection the file.
///
/// # Errors
///
/// When its `fstatat` fails.
pub fn is_current(target: &Target, path: &Path, held: FileKey) -> Result<bool> {
    match fs::statat(&target.folder, path, AtFlags::SYMLINK_NOFOLLOW) {
        // safeguard: lock-file-recheck
        Ok(named) => Ok(Identity::of(&named).key() == held),
        // safeguard: removed-lock-file-recheck
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(target.failed("fstatat of its lock", errno)),
    }
}

/// Replaces a lock file that is a hard link to another folder's lock file, as `cp -al` makes
/// them, by a file of this folder's own. Called with the shared lock held, which stays with
/// the other folder.
///
/// # Errors
///
/// When a syscall fails; the file at the path is then as it was.
pub fn renew(target: &Target, path: &Path, shared: &File) -> Result<()> {
    let failed = |errno: Errno| target.failed("making its lock anew", errno);
    let new = layout::new_lock(path);
    let made = match create(target, &new) {
        // Only the holder of the lock makes this file, so its maker is dead.
        Err(Errno::EXIST) => {
            // safeguard: leftover-new-lock
            fs::unlinkat(&target.folder, &new, AtFlags::empty()).and_then(|()| create(target, &new))
        }
        made => made,
    }
    .map_err(failed)?;
    let renewed = (|| {
        sidecar::share(target, &made)?;
        // With its content: the lock file of a journal has the folder_id.
        let mut content = [0; MOST_BYTES];
        let io = |error| target.failed("making its lock anew", error);
        let length = shared.read_at(&mut content, 0).map_err(io)?;
        // safeguard: renewed-lock-keeps-content
        made.write_all_at(&content[..length], 0).map_err(io)?;
        if length > 0 {
            fs::fsync(&made).map_err(failed)?;
        }
        fs::renameat(&target.folder, &new, &target.folder, path).map_err(failed)
    })();
    if renewed.is_err() {
        // Where this fails, the next writer that replaces the lock file removes it.
        let _ = fs::unlinkat(&target.folder, &new, AtFlags::empty());
    }
    renewed
}

/// The result of a collection of lock files.
#[derive(Debug, Default)]
pub struct Collected {
    /// How many were removed.
    pub removed: usize,
    /// What went wrong with others.
    pub failures: Vec<Error>,
}

/// Removes the lock files of documents that are not in the folder any more, except lock
/// files that somebody holds. Safe beside writers: see the top of this file.
///
/// # Errors
///
/// When the folder cannot be read, and for a signal.
pub fn collect(folder: &Path, signals: &dyn Signals) -> Result<Collected> {
    let opened = open::folder(CWD, folder, OFlags::empty())
        .map_err(|errno| Error::syscall(folder, "open", errno))?;
    let target = Target {
        folder: File::from(opened).into(),
        name: layout::FOLDER.into(),
        given_path: folder.into(),
    };
    let listed = |errno| target.failed("listing it", errno);
    let locks = match target
        .list(layout::LOCKS, |name, _| layout::stem_of_lock(name).map(|_| name.to_owned()))
    {
        Err(Errno::NOENT) => return Ok(Collected::default()),
        locks => locks.map_err(listed)?,
    };
    let there = target.list(".", |name, _| Some(layout::stem(name))).map_err(listed)?;
    let there: HashSet<PathBuf> = there.into_iter().collect();
    let mut collected = Collected::default();
    for (index, lock) in locks.into_iter().enumerate() {
        if index % COLLECTED_AT_ONCE == 0 && signals.pending() {
            return Err(Error::Interrupted { path: folder.into() });
        }
        let Some(stem) = layout::stem_of_lock(&lock) else { continue };
        // safeguard: used-lock-not-collected
        if there.contains(Path::new(stem)) {
            continue;
        }
        match collect_one(&target, &layout::in_locks(&lock), stem) {
            Ok(removed) => collected.removed += usize::from(removed),
            Err(error) => collected.failures.push(error),
        }
    }
    Ok(collected)
}

/// Removes a lock file if nobody holds its lock and its document is still missing.
fn collect_one(target: &Target, path: &Path, document: &OsStr) -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = CloseOnFork::open(|| {
        fs::openat(&target.folder, path, flags, Mode::empty()).map(File::from)
    });
    let file = match opened {
        // Another collection has removed it, or it is a symlink.
        Err(Errno::NOENT | Errno::LOOP) => return Ok(false),
        opened => opened.map_err(|errno| target.failed("open of a lock", errno))?,
    };
    let collected = file.with(|file| {
        let stat = fs::fstat(file).map_err(|errno| target.failed("fstat of a lock", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        match lock::try_exclusive(file) {
            // safeguard: held-lock-not-collected
            Err(error) if lock::is_contended(&error) => return Ok(false),
            tried => tried.map_err(|error| target.failed("flock of a lock", error))?,
        }
        let removed = remove_if_unneeded(target, path, document, Identity::of(&stat).key());
        // Closing alone would not release it: a child forked past the handlers may share it.
        let _ = lock::unlock(file);
        removed
    });
    // In a forked child there is no file: the parent removes the lock.
    collected.unwrap_or(Ok(false))
}

/// Called with the lock held.
fn remove_if_unneeded(
    target: &Target,
    path: &Path,
    document: &OsStr,
    held: FileKey,
) -> Result<bool> {
    let failed = |call| move |errno: Errno| target.failed(call, errno);
    match fs::statat(&target.folder, document, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => return Ok(false),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed("fstatat of a lock's document")(errno)),
    }
    if !is_current(target, path, held)? {
        return Ok(false);
    }
    // A writer that was killed while it replaced the lock file has left this.
    let new = layout::new_lock(path);
    match fs::unlinkat(&target.folder, new, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed("unlink of a lock")(errno)),
    }
    fs::unlinkat(&target.folder, path, AtFlags::empty()).map_err(failed("unlink of a lock"))?;
    Ok(true)
}
