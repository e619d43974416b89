//! Making and removing a backup: by a hard link to the inode that a save is about to
//! replace, without a copy and without a second sync. Where somebody may still write into
//! that inode, the backup is a synced copy.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta};
use rustix::fs::{self, AtFlags};
use rustix::io::Errno;

use crate::error::Result;
use crate::files::backup::{Backup, Taken, kind_of, now, require_room, unlink};
use crate::files::layout;
use crate::files::lease::Lease;
use crate::files::target::Target;
use crate::files::temporary::{self, Temporary};

/// The errors of a refused link after which a copy may still succeed: a file system without
/// links, too many links, a policy (`EACCES`), a project quota or a file that is mounted by
/// itself (`EXDEV`).
// safeguard: refused-links
const LINKS_REFUSED: [Errno; 6] =
    [Errno::PERM, Errno::OPNOTSUPP, Errno::MLINK, Errno::NOSYS, Errno::ACCESS, Errno::XDEV];

/// Backs up the live file under a new name, later than every name in `existing` and every name
/// that is `taken`: by a hard link where there is a `lease`, else by a synced copy. The copy is
/// also made where links are refused.
///
/// # Errors
///
/// When neither can be made.
pub fn make(
    target: &Target,
    lease: Option<&Lease>,
    existing: &[Backup],
    taken: Taken,
    zone: FixedOffset,
) -> Result<Backup> {
    let mut stamp = next_stamp(existing, taken, zone);
    loop {
        let backup = Backup::plain(target, stamp);
        let name = &backup.name;
        // safeguard: compressed-names-taken
        let linked = if !taken.is_free(stamp) && is_taken(target, &backup.compressed_name())? {
            Err(Errno::EXIST)
        } else if lease.is_some() {
            fs::linkat(&target.folder, &target.name, &target.folder, name, AtFlags::empty())
        } else {
            // Somebody may still write into the old content, and would write into a link.
            Err(Errno::MLINK)
        };
        match linked {
            Ok(()) => return Ok(backup),
            Err(Errno::EXIST) => stamp += TimeDelta::microseconds(1),
            Err(errno) if LINKS_REFUSED.contains(&errno) => {
                // The rename of the copy, unlike a link, would replace a file of that name.
                if is_taken(target, name)? {
                    stamp += TimeDelta::microseconds(1);
                    continue;
                }
                copy(target, &target.name, name)?;
                return Ok(backup);
            }
            Err(errno) => return Err(target.failed("link of a backup", errno)),
        }
    }
}

/// Makes `from`, a file of the sidecar, a backup of `target`. Its stamp is the time of its
/// content, but comes after the stamp of the backup `after`. Returns the backup's name.
///
/// # Errors
///
/// `ENAMETOOLONG` for a name that leaves no room, or a failing syscall.
pub fn make_from(
    target: &Target,
    from: &Path,
    after: Option<&Backup>,
    zone: FixedOffset,
) -> Result<OsString> {
    require_room(target)?;
    let written = written_at(target, from, zone)?;
    let next = after.and_then(|after| layout::next_stamp(after.stamp));
    let mut stamp = next.map_or(written, |next| written.max(next));
    loop {
        let backup = Backup::plain(target, stamp);
        if is_taken(target, &backup.name)? || is_taken(target, &backup.compressed_name())? {
            stamp += TimeDelta::microseconds(1);
            continue;
        }
        // safeguard: adopted-backup
        return temporary::publish(target, from, &backup.name, "rename of a backup")
            .map(|()| backup.name);
    }
}

fn written_at(target: &Target, name: &Path, zone: FixedOffset) -> Result<NaiveDateTime> {
    let stat = fs::statat(&target.folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| target.failed("fstatat of what is to be a backup", errno))?;
    let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
    let written = DateTime::from_timestamp(stat.st_mtime, nanoseconds)
        .map(|written| written.with_timezone(&zone).naive_local())
        .filter(layout::is_stamp);
    Ok(written.unwrap_or_else(|| now(zone)))
}

/// Gives a backup that is a link an inode of its own.
///
/// # Errors
///
/// When the copy cannot be made; the backup is then as it was.
pub fn separate(target: &Target, backup: &Backup) -> Result<()> {
    copy(target, &backup.name, &backup.name)
}

/// Removes a backup, plain and compressed. A backup that is gone already is no error.
///
/// # Errors
///
/// When an unlink fails.
pub fn remove(target: &Target, backup: &Backup) -> Result<()> {
    // In this order: a process that is compressing the backup finds the plain form gone, and
    // removes the compressed form.
    let plain = unlink(target, backup.plain_name())?;
    if backup.doubled || !plain {
        unlink(target, &backup.compressed_name())?;
    }
    Ok(())
}

/// Copies a file in the target's folder to the name `to`, synced, with its
/// owner, mode and extended attributes.
fn copy(target: &Target, from: &OsStr, to: &OsStr) -> Result<()> {
    let file = target.open_to_read(from).map_err(|errno| target.failed("open", errno))?;
    let stat = fs::fstat(&file).map_err(|errno| target.failed("fstat", errno))?;
    let mut temporary = Temporary::resembling(target, &stat, &file)?;
    temporary.fill_with(|mut copy| io::copy(&mut &file, &mut copy).map(drop))?;
    temporary.sync()?;
    temporary.rename(to)
}

fn next_stamp(existing: &[Backup], taken: Taken, zone: FixedOffset) -> NaiveDateTime {
    let now = now(zone);
    let newest = existing.last().map(|backup| backup.stamp).max(taken.newest());
    // Two saves in one microsecond, a clock set back, the end of summer time.
    // safeguard: backup-names-grow
    newest.and_then(layout::next_stamp).map_or(now, |next| now.max(next))
}

/// Whether there is something of this name: a file, or anything else.
fn is_taken(target: &Target, name: &OsStr) -> Result<bool> {
    Ok(kind_of(target, name)?.is_some())
}
