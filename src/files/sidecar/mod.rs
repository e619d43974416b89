//! `.oasis_data/`: the hidden folder beside the data files.

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
    // Not beside a device: /dev needs no company.
    target.stat()?;
    require_no_symlink(target)?;
    create_folder(target, layout::FOLDER)?;
    // Before the folders by whose absence an unfinished sidecar is known: a
    // writer killed in here leaves the work to the next.
    ignore_in_git(target);
    create_folder(target, layout::LOCKS)?;
    create_folder(target, layout::TEMP)
}

/// A courtesy: no save fails for want of it.
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
        // Shared in either case: its maker may have been killed before that.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(target, "mkdir of .oasis_data", errno)),
    }
    match open_folder(&target.folder, path) {
        Ok(folder) => share(target, &folder),
        // Gone again: whoever needs it makes it. Another user's: what is done in it
        // tells whether it may be used.
        Err(Errno::NOENT | Errno::ACCESS) => Ok(()),
        Err(errno) => Err(target.failed("open of .oasis_data", errno)),
    }
}

/// Lets everyone who may write in the data folder use `made`, a file or folder
/// of its sidecar. Without it the first writer's umask would lock the others
/// out. By its descriptor: by its path, another user of the folder could have
/// root change a file of their choice. What belongs to another is left to them,
/// and what the kernel refuses is left as it is: to share is a courtesy.
///
/// # Errors
///
/// When it cannot be looked at.
pub fn share(target: &Target, made: impl AsFd) -> Result<()> {
    DataFolder::of(target)
        .and_then(|folder| folder.share(made))
        .map(drop)
        .map_err(|errno| target.failed("fstat in .oasis_data", errno))
}

/// Refuses a sidecar of which a folder is a symlink: whoever may write in the data folder
/// could have locks made, temporary files renamed and the content of a batch removed
/// wherever this user may.
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

/// Brings the sidecar in line with its folder, if whoever may use the folder has
/// changed since it was made: all of it where it is this user's, else the lock of
/// this file. A courtesy, too.
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
    // A change of the list alone may leave the mode as it is. A list that is gone
    // from a folder of the same mode is found out by the next new document.
    // safeguard: access-list-alone-followed
    if in_line && matches!(access_list::read(&target.folder, access_list::ACCESS), Ok(None)) {
        return Ok(());
    }
    let _ = DataFolder::of(target).and_then(|folder| {
        if own { folder.share_sidecar() } else { folder.share_file(&target.folder, &lock) }
    });
    Ok(())
}

/// Whether a new file among the temporary ones is made as a new file in the data
/// folder would be: of the same group, with the same mode and access list. Brings
/// the folder of temporary files in line first, where it is this user's.
#[must_use]
pub fn makes_files_of_its_folder(target: &Target) -> bool {
    let temp = match open_folder(&target.folder, layout::TEMP) {
        Ok(temp) => temp,
        // Whoever makes it has it in line.
        Err(Errno::NOENT) => return true,
        Err(_) => return false,
    };
    let passes_on = DataFolder::of(target).and_then(|folder| {
        // What it had to be told, the rest has not been told either.
        if folder.share(&temp)? {
            let _ = folder.share_sidecar();
        }
        folder.passes_on_to(&temp)
    });
    passes_on.unwrap_or(false)
}

/// The error of a `call` in the sidecar. Where this user is kept out by a part of it
/// that is another's, it names that part, and what to do.
pub fn failed(target: &Target, call: &'static str, errno: Errno) -> Error {
    let lock = layout::lock(&target.name);
    let parts = [layout::FOLDER, layout::LOCKS, layout::TEMP]
        .map(Path::new)
        .into_iter()
        .chain([lock.as_path()]);
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
