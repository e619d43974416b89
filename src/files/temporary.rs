//! Temporary files: new content is written into a temporary file, then renamed to its place.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{self, Access, AtFlags, CWD, Mode, OFlags, Stat};
use rustix::io::Errno;
use tempfile::Builder;

use crate::engine::warning::Warning;
use crate::error::{RENAME, Result};
use crate::files::attributes::{self, Adopted};
use crate::files::identity::Identity;
use crate::files::layout;
use crate::files::live::Live;
use crate::files::sidecar;
use crate::files::sys::{lock, open, sync};
use crate::files::target::Target;
use crate::settings::Durability;

/// Bytes after which the disk begins to write.
const PIECE: usize = 4 << 20;

/// How a new file is opened.
// safeguard: new-file-flags
const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A temporary file, removed when dropped unpublished.
#[derive(Debug)]
pub struct Temporary<'a> {
    target: &'a Target,
    file: File,
    name: PathBuf,
    adopted: Adopted,
    published: bool,
}

impl<'a> Temporary<'a> {
    /// Creates a temporary file for `target`: where it is to [resemble](Self::resemble) another
    /// file, with a mode that keeps all others out until then; else with what a new file in the
    /// data folder would get.
    ///
    /// # Errors
    ///
    /// When a syscall fails.
    pub fn create(target: &'a Target, resembles: bool) -> Result<Self> {
        // safeguard: sidecar-follows-folder
        sidecar::follow(target)?;
        if resembles { Self::with_mode(target, 0o600) } else { Self::of_folder(target) }
    }

    /// Creates a temporary file with what a new file in the data folder would get.
    fn of_folder(target: &'a Target) -> Result<Self> {
        // safeguard: default-list-of-the-folder
        if sidecar::makes_files_of_its_folder(target) {
            return Self::with_mode(target, 0o666);
        }
        match open::unnamed(&target.folder) {
            Ok(unnamed) => Self::named(target, &unnamed),
            Err(errno) => {
                let mut temporary = Self::with_mode(target, 0o600)?;
                let cause = target.failed("open of a file without a name", errno);
                temporary.adopted.warnings.push(Warning::NotOfItsFolder { cause: Box::new(cause) });
                Ok(temporary)
            }
        }
    }

    /// Gives a file without a name a name among the temporary files.
    fn named(target: &'a Target, unnamed: &File) -> Result<Self> {
        let descriptor = open::proc_link(unnamed);
        let linked = open_anew(target, |name| {
            fs::linkat(CWD, &descriptor, &target.folder, name, AtFlags::SYMLINK_FOLLOW)?;
            unnamed.try_clone()
        });
        if let Ok((file, name)) = linked {
            return Self::locked(target, file, name);
        }
        // Without /proc it cannot be given a name: a second file gets what it has.
        let like = fs::fstat(unnamed).map_err(|errno| target.failed("fstat", errno))?;
        Self::resembling(target, &like, unnamed)
    }

    /// Gives the file the owner, mode and extended attributes of the `live` file, which it is to
    /// replace.
    ///
    /// # Errors
    ///
    /// As for [`Self::resemble`], and where this user gains rights by the owner's loss.
    pub fn resemble_live(&mut self, live: &Live) -> Result<()> {
        let target = self.target;
        live.with(target, |old| self.resemble(&live.stat, old))??;
        // A user who may not write into another user's file must not become its owner, as the
        // rename would have it.
        let writable = || {
            fs::accessat(&target.folder, &target.name, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
        };
        match self.adopted.owner {
            // safeguard: no-takeover-by-save
            Some(errno) if !writable() => Err(attributes::owner_is_lost(target, &live.stat, errno)),
            _ => Ok(()),
        }
    }

    /// Gives the file the owner, mode and extended attributes of `old`, whose `stat` is `like`.
    ///
    /// # Errors
    ///
    /// When a syscall fails, and where the owner cannot be kept and would lose by that.
    pub fn resemble(&mut self, like: &Stat, old: &File) -> Result<()> {
        self.adopted = attributes::adopt(self.target, &self.file, like, old)?;
        Ok(())
    }

    /// What the temporary file could not be given of the file that it is to replace.
    pub fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.adopted.warnings)
    }

    /// Creates a temporary file with the owner, mode and extended attributes of `old`, whose
    /// `stat` is `like`.
    ///
    /// # Errors
    ///
    /// When a syscall fails, and where the owner cannot be kept and would lose by that.
    pub fn resembling(target: &'a Target, like: &Stat, old: &File) -> Result<Self> {
        let mut temporary = Self::with_mode(target, 0o600)?;
        temporary.resemble(like, old)?;
        Ok(temporary)
    }

    fn with_mode(target: &'a Target, mode: u32) -> Result<Self> {
        let mode = Mode::from_raw_mode(mode);
        let open = |name: &Path| Ok(File::from(fs::openat(&target.folder, name, NEW_FILE, mode)?));
        let (file, name) = match open_anew(target, open) {
            // Somebody removed the folder of temporary files.
            Err(error) if error.errno() == Some(Errno::NOENT.raw_os_error()) => {
                sidecar::create(target)?;
                open_anew(target, open)?
            }
            opened => opened?,
        };
        Self::locked(target, file, name)
    }

    fn locked(target: &'a Target, file: File, name: PathBuf) -> Result<Self> {
        let adopted = Adopted::default();
        let temporary = Self { target, name, file, adopted, published: false };
        // While the lock is held, no writer takes the file for a dead writer's.
        lock::try_exclusive(&temporary.file)
            .map_err(|error| target.failed("flock of a temporary file", error))?;
        Ok(temporary)
    }

    /// Writes `bytes`. Where a sync is to follow, the disk begins with each piece at once: it is
    /// at work while later pieces are written, and while the save does what comes before the sync.
    ///
    /// # Errors
    ///
    /// When a write fails.
    pub fn fill(&mut self, bytes: &[u8], durability: Durability) -> Result<()> {
        self.fill_with(|mut file| {
            let mut written = 0;
            for piece in bytes.chunks(PIECE) {
                // safeguard: whole-write
                file.write_all(piece)?;
                if durability == Durability::Full {
                    sync::begin_writing(file, written, piece.len());
                }
                written += piece.len();
            }
            Ok(())
        })
    }

    /// Has `write` fill the file.
    ///
    /// # Errors
    ///
    /// When a syscall fails.
    pub fn fill_with(&mut self, write: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
        write(&self.file).map_err(|error| self.target.failed("write", error))
    }

    /// Waits until the content is on the disk, and returns its identity.
    ///
    /// # Errors
    ///
    /// When the sync fails. There is no second try: the kernel may have dropped the pages
    /// that it could not write, and a second sync of this descriptor would then succeed over
    /// lost data.
    pub fn sync(&self) -> Result<Identity> {
        let failed = |call, errno| self.target.failed(call, errno);
        let stat = fs::fstat(&self.file).map_err(|errno| failed("fstat", errno))?;
        // safeguard: data-sync
        fs::fsync(&self.file).map_err(|errno| failed("fsync", errno))?;
        Ok(Identity::of(&stat))
    }

    /// The name of the temporary file, as seen from the target's folder.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Leaves the file in its place, for the process that completes the batch whose journal
    /// names it.
    pub fn leave(mut self) {
        self.published = true;
    }

    /// Renames the file to `name` in the target's folder.
    ///
    /// # Errors
    ///
    /// When the rename fails; the temporary file is then removed.
    pub fn rename(mut self, name: &OsStr) -> Result<()> {
        publish(self.target, &self.name, name, RENAME)?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // safeguard: temporary-removed-on-failure
        if !self.published {
            // Where this fails, the next save sweeps the file.
            let _ = fs::unlinkat(&self.target.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Renames `temporary` to `name`, both as seen from the target's folder. Where the kernel
/// refuses to move a file from folder to folder (Landlock, the quota of another project), a
/// synced copy in the data folder is renamed, and `temporary` is removed.
///
/// # Errors
///
/// When neither can be renamed; the error is that of `call`. `temporary` is then as it was.
pub fn publish(target: &Target, temporary: &Path, name: &OsStr, call: &'static str) -> Result<()> {
    let folder = &target.folder;
    let Err(refused) = fs::renameat(folder, temporary, folder, name) else { return Ok(()) };
    let refusal = target.failed(call, refused);
    // safeguard: refused-move-copies
    if ![Errno::XDEV, Errno::ACCESS].contains(&refused) {
        return Err(refusal);
    }
    match publish_copy(target, temporary, name, call) {
        // No file may be made in the data folder either: the first refusal tells more.
        Err(error) if error.errno() == Some(Errno::ACCESS.raw_os_error()) => Err(refusal),
        outcome => outcome,
    }
}

fn publish_copy(target: &Target, temporary: &Path, name: &OsStr, call: &'static str) -> Result<()> {
    let failed = |call, errno: Errno| target.failed(call, errno);
    let folder = &target.folder;
    let content = target
        .open_to_read(temporary)
        .map_err(|errno| failed("open of a temporary file", errno))?;
    let stat = fs::fstat(&content).map_err(|errno| failed("fstat", errno))?;
    let beside = layout::copy_beside_data(temporary);
    let open = || fs::openat(folder, &beside, NEW_FILE, Mode::from_raw_mode(0o600));
    let file = match open() {
        // A process that was killed here has left a copy of the same `temporary`.
        Err(Errno::EXIST) => fs::unlinkat(folder, &beside, AtFlags::empty()).and_then(|()| open()),
        opened => opened,
    };
    let file = file.map_err(|errno| failed("open of a temporary file beside it", errno))?;
    let adopted = Adopted::default();
    let (file, name_beside) = (file.into(), beside.clone());
    let mut copy = Temporary { target, file, name: name_beside, adopted, published: false };
    attributes::adopt(target, &copy.file, &stat, &content)?;
    copy.fill_with(|mut file| io::copy(&mut &content, &mut file).map(drop))?;
    // safeguard: copy-beside-sync
    copy.sync()?;
    fs::renameat(folder, &beside, folder, name).map_err(|errno| failed(call, errno))?;
    copy.published = true;
    // Where this fails, the next save sweeps the file.
    let _ = fs::unlinkat(folder, temporary, AtFlags::empty());
    Ok(())
}

/// Opens a new file under a random name among the temporary files.
fn open_anew(
    target: &Target,
    mut open: impl FnMut(&Path) -> io::Result<File>,
) -> Result<(File, PathBuf)> {
    let (file, path) = Builder::new()
        .prefix(&layout::temporary_prefix(&target.name))
        .rand_bytes(layout::RANDOM_LETTERS)
        // `Drop` of `Temporary` removes the file, from the open folder: the folder's path may
        // lead elsewhere by then, or nowhere.
        .disable_cleanup(true)
        // Only the name counts: `open` opens it in the open folder.
        .make_in("/", |path| open(&layout::in_temp(path)))
        .map_err(|error| {
            // make_in adds a path to its errors and wraps them.
            let errno = Errno::from_io_error(&error).or_else(|| {
                let cause = error.get_ref().and_then(std::error::Error::source)?;
                Errno::from_io_error(cause.downcast_ref()?)
            });
            let call = "open of a temporary file";
            match errno {
                Some(errno) => sidecar::failed(target, call, errno),
                None => target.failed(call, error),
            }
        })?
        .into_parts();
    Ok((file, layout::in_temp(&path)))
}
