//! The sidecar: `.oasis_data/`, the hidden folder beside the data files. Its names are in
//! [`layout`].

mod sharing;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{self, Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::files::layout;
use crate::files::sidecar::sharing::{DataFolder, is_alike, is_own, is_symlink, open_folder};
use crate::files::sys::access_list;
use crate::files::target::Target;

/// Creates the sidecar of the target's folder, or what is missing of it.
///
/// # Errors
///
/// When a folder cannot be made or opened.
pub fn create(target: &Target) -> Result<()> {
    // No sidecar beside a device, in /dev.
    target.stat()?;
    require_no_symlink(target)?;
    create_folder(target, layout::FOLDER)?;
    // Before the folders, whose absence tells that a sidecar is unfinished: the next writer
    // completes a sidecar whose maker was killed here.
    ignore_in_git(target);
    create_folder(target, layout::LOCKS)?;
    create_folder(target, layout::TEMP)
}

/// A courtesy: where it fails, no save fails.
fn ignore_in_git(target: &Target) {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(file) =
        fs::openat(&target.folder, layout::GITIGNORE, flags, Mode::from_raw_mode(0o666))
    {
        let _ = File::from(file).write_all(b"*\n");
    }
}

fn create_folder(target: &Target, path: &str) -> Result<()> {
    match fs::mkdirat(&target.folder, path, Mode::from_raw_mode(0o777)) {
        // Shared in either case: the maker of the folder may have been killed before that.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(target, "mkdir of .oasis_data", errno)),
    }
    match open_folder(&target.folder, path) {
        Ok(folder) => share(target, &folder),
        // Gone again: the next call that needs the folder makes it. Another user's: the next
        // call in the folder tells whether this user may use it.
        Err(Errno::NOENT | Errno::ACCESS) => Ok(()),
        Err(errno) => Err(target.failed("open of .oasis_data", errno)),
    }
}

/// Lets everyone who may write in the data folder use `made`, a file or folder of the
/// sidecar: the first writer's umask would keep the others out. By the descriptor of `made`:
/// by a path, another user of the folder could have root change a file of their choice. A
/// courtesy: a file of another user stays as it is, and so does what the kernel refuses.
///
/// # Errors
///
/// When the `stat` of `made` or of the folder fails.
pub fn share(target: &Target, made: impl AsFd) -> Result<()> {
    DataFolder::of(target)
        .and_then(|folder| folder.share(made))
        .map(drop)
        .map_err(|errno| target.failed("fstat in .oasis_data", errno))
}

/// Refuses a sidecar with a symlink for a folder. Through such a link, anybody who may write
/// in the data folder could have locks made, temporary files renamed and the content of a
/// batch removed in any folder of this user.
///
/// # Errors
///
/// `ELOOP`.
pub fn require_no_symlink(target: &Target) -> Result<()> {
    [layout::FOLDER, layout::LOCKS, layout::TEMP].into_iter().try_for_each(|part| match fs::statat(
        &target.folder,
        part,
        AtFlags::SYMLINK_NOFOLLOW,
    ) {
        Ok(stat) if is_symlink(&stat) => Err(a_symlink(target, part)),
        _ => Ok(()),
    })
}

fn a_symlink(target: &Target, part: &str) -> Error {
    let hint = format!("; {part} is a symlink: remove it, the next save makes a folder");
    let source = Errno::LOOP.into();
    Error::Syscall { path: target.given_path.clone(), call: "open of .oasis_data", source, hint }
}

/// Shares the sidecar anew if others may use the data folder than when it was shared: the
/// whole sidecar where it is this user's, else the lock of this file. A courtesy, as
/// [`share`].
///
/// # Errors
///
/// When the sidecar is a symlink.
pub fn follow(target: &Target) -> Result<()> {
    let Ok(stat) = fs::fstat(&target.folder) else { return Ok(()) };
    let stat_of = |name: &Path| fs::statat(&target.folder, name, AtFlags::SYMLINK_NOFOLLOW);
    let Ok(sidecar) = stat_of(Path::new(layout::FOLDER)) else { return Ok(()) };
    // safeguard: no-sharing-through-symlink
    if is_symlink(&sidecar) {
        return Err(a_symlink(target, layout::FOLDER));
    }
    let lock = layout::lock(&target.name);
    let own = is_own(&sidecar);
    let in_line = is_alike(&stat, &sidecar)
        && (own || stat_of(&lock).is_ok_and(|lock| !is_own(&lock) || is_alike(&stat, &lock)));
    // A change of the access list alone may leave the mode as it is. Where a list was taken
    // from a folder and the mode is the same, the next new document finds that out.
    // safeguard: access-list-alone-followed
    if in_line && matches!(access_list::read(&target.folder, access_list::ACCESS), Ok(None)) {
        return Ok(());
    }
    let _ = DataFolder::of(target).and_then(|folder| {
        if own {
            return folder.share_sidecar();
        }
        folder.share_file(&target.folder, &lock)?;
        folder.share_file(&target.folder, &layout::group_lock(&target.name))
    });
    Ok(())
}

/// Whether a new file among the temporary files gets the group, mode and access list of a
/// new file in the data folder. Shares the folder of temporary files first, where it is this
/// user's.
#[must_use]
pub fn makes_files_of_its_folder(target: &Target) -> bool {
    let temp = match open_folder(&target.folder, layout::TEMP) {
        Ok(temp) => temp,
        // The next call that makes the folder shares it.
        Err(Errno::NOENT) => return true,
        Err(_) => return false,
    };
    let passes_on = DataFolder::of(target).and_then(|folder| {
        // If this folder had to be changed, the rest of the sidecar has to be changed too.
        if folder.share(&temp)? {
            let _ = folder.share_sidecar();
        }
        folder.passes_on_to(&temp)
    });
    passes_on.unwrap_or(false)
}

/// The error of a `call` in the sidecar. Where another user's part of the sidecar keeps this
/// user out, the error names that part, and what to do.
pub fn failed(target: &Target, call: &'static str, errno: Errno) -> Error {
    let (lock, group) = (layout::lock(&target.name), layout::group_lock(&target.name));
    let parts = [layout::FOLDER, layout::LOCKS, layout::TEMP]
        .map(Path::new)
        .into_iter()
        .chain([lock.as_path(), group.as_path()]);
    let closed = |part: &Path| {
        let stat = fs::statat(&target.folder, part, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let use_it = if is_folder { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
        let may = fs::accessat(&target.folder, part, use_it, AtFlags::EACCESS);
        (may == Err(Errno::ACCESS) && !is_own(&stat)).then_some((part.display().to_string(), stat))
    };
    let found =
        [Errno::ACCESS, Errno::PERM].contains(&errno).then(|| parts.into_iter().find_map(closed));
    let Some((part, stat)) = found.flatten() else { return target.failed(call, errno) };
    let hint = format!(
        "; {part} beside it belongs to uid {} and gid {} and has mode {:04o}, which keeps this user \
         out: a save in this folder by that user or by root shares it with all who may write in \
         the folder; where neither saves there, chown -R --reference=. .oasis_data gives it to the \
         folder's owner",
        stat.st_uid,
        stat.st_gid,
        stat.st_mode & 0o7777
    );
    Error::Syscall { path: target.given_path.clone(), call, source: errno.into(), hint }
}
