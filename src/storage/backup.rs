//! Backups: `<name>.backup.<YYYYmmdd_HHMMSS>_<microseconds>` beside the file.
//!
//! A backup is a hard link to the inode that a save is about to replace: no
//! copy, and no second sync.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use chrono::{FixedOffset, NaiveDateTime, TimeDelta, Utc};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::identity::Identity;
use super::target::Target;
use super::temporary::Temporary;
use crate::error::Result;

const MARK: &[u8] = b".backup.";
const FORMAT: &str = "%Y%m%d_%H%M%S_%6f";
/// `NAME_MAX` of every Linux file system with hard links.
const LONGEST_NAME: usize = 255;
const STAMP_LENGTH: usize = "YYYYmmdd_HHMMSS_ffffff".len();

/// One backup of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backup {
    /// When it was made, by the local clock, pushed forward where needed to
    /// keep the names in order.
    pub stamp: NaiveDateTime,
    /// Its name, beside the file's.
    pub name: OsString,
}

/// The backups of `target`, oldest first. Only names that this package makes
/// count: the file's own name, the mark, a real date and six digits.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn list(target: &Target) -> Result<Vec<Backup>> {
    let failed = |errno| target.failed("getdents of its folder", errno);
    let mut backups = Vec::new();
    for entry in Dir::read_from(&target.folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let Some(stamp) = stamp_of(name, &target.name) else { continue };
        let kind = match entry.file_type() {
            FileType::Unknown => fs::statat(&target.folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
            kind => kind,
        };
        if kind == FileType::RegularFile {
            backups.push(Backup { stamp, name: name.to_os_string() });
        }
    }
    backups.sort_unstable();
    Ok(backups)
}

/// Refuses a file whose name leaves no room for a backup's, before anything is
/// done: else its first save would succeed and its second fail.
///
/// # Errors
///
/// `ENAMETOOLONG`.
pub fn require_room(target: &Target) -> Result<()> {
    if target.name.len() + MARK.len() + STAMP_LENGTH > LONGEST_NAME {
        return Err(target.failed("link of a backup", Errno::NAMETOOLONG));
    }
    Ok(())
}

/// Whether `backup` is still the live file under a second name: what a writer
/// leaves that is killed between the link and the rename.
///
/// # Errors
///
/// When the backup cannot be looked at.
pub fn is_live(target: &Target, backup: &Backup, live: &Stat) -> Result<bool> {
    let stat = fs::statat(&target.folder, &backup.name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| target.failed("fstatat of a backup", errno))?;
    Ok(Identity::of(&stat).key() == Identity::of(live).key())
}

/// Backs up the file that `live` describes under a new name, later than every
/// name in `existing`. By a hard link; where the file system or its policy
/// refuses one, by a synced copy.
///
/// # Errors
///
/// When neither can be made.
pub fn take(
    target: &Target,
    live: &Stat,
    existing: &[Backup],
    zone: FixedOffset,
) -> Result<Backup> {
    let mut stamp = next_stamp(existing, zone);
    loop {
        let name = name_for(&target.name, stamp);
        // Under a second name the old content stays open to changes in place: a
        // link would let the backup change with it.
        let linked = if live.st_nlink > 1 {
            Err(Errno::MLINK)
        } else {
            fs::linkat(&target.folder, &target.name, &target.folder, &name, AtFlags::empty())
        };
        match linked {
            Ok(()) => return Ok(Backup { stamp, name }),
            Err(Errno::EXIST) => stamp += TimeDelta::microseconds(1),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK | Errno::NOSYS) => {
                copy(target, live, &name)?;
                return Ok(Backup { stamp, name });
            }
            Err(errno) => return Err(target.failed("link of a backup", errno)),
        }
    }
}

/// Turns the file itself into its newest backup: a deletion that keeps it.
///
/// # Errors
///
/// When the rename fails.
pub fn retire(target: &Target, existing: &[Backup], zone: FixedOffset) -> Result<Backup> {
    let mut stamp = next_stamp(existing, zone);
    loop {
        let name = name_for(&target.name, stamp);
        let flags = fs::RenameFlags::NOREPLACE;
        match fs::renameat_with(&target.folder, &target.name, &target.folder, &name, flags) {
            Ok(()) => return Ok(Backup { stamp, name }),
            Err(Errno::EXIST) => stamp += TimeDelta::microseconds(1),
            Err(errno) => return Err(target.failed("rename to a backup", errno)),
        }
    }
}

/// Takes back a backup whose save did not happen. Left in place it would share
/// its inode with the live file, and change with it.
///
/// # Errors
///
/// When the unlink fails.
pub fn discard(target: &Target, backup: &Backup) -> Result<()> {
    fs::unlinkat(&target.folder, &backup.name, AtFlags::empty())
        .map_err(|errno| target.failed("unlink of a backup", errno))
}

/// The backups of `target` that an operator may count on, newest first: not
/// what a writer left that was killed between its link and its rename, which
/// is the live file under a second name.
///
/// # Errors
///
/// When the folder or a backup cannot be looked at.
pub fn newest_first(target: &Target) -> Result<Vec<Backup>> {
    let mut backups = list(target)?;
    if let (Some(newest), Some(live)) = (backups.last(), target.stat()?)
        && is_live(target, newest, &live)?
    {
        backups.pop();
    }
    backups.reverse();
    Ok(backups)
}

/// The content of a backup.
///
/// # Errors
///
/// When it cannot be read.
pub fn read(target: &Target, backup: &Backup) -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::openat(&target.folder, &backup.name, flags, Mode::empty())
        .map_err(|errno| target.failed("open of a backup", errno))?;
    read_whole(&File::from(file)).map_err(|error| target.failed("read of a backup", error))
}

/// Those of `backups` (oldest first) that are to go: more than `kept`, or older
/// than `max_age`; never the newest for its age.
#[must_use]
pub fn surplus(
    backups: Vec<Backup>,
    kept: usize,
    max_age: Option<Duration>,
    zone: FixedOffset,
) -> Vec<Backup> {
    let count = backups.len();
    let oldest = max_age
        .and_then(|age| TimeDelta::from_std(age).ok())
        .and_then(|age| now(zone).checked_sub_signed(age));
    let goes = |(index, backup): &(usize, Backup)| {
        let too_many = index + kept < count;
        let too_old = oldest.is_some_and(|oldest| backup.stamp < oldest) && index + 1 < count;
        too_many || too_old
    };
    backups.into_iter().enumerate().filter(goes).map(|(_, backup)| backup).collect()
}

fn copy(target: &Target, live: &Stat, name: &OsStr) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(&target.folder, &target.name, flags, Mode::empty())
        .map_err(|errno| target.failed("open", errno))?;
    let bytes = read_whole(&File::from(file)).map_err(|error| target.failed("read", error))?;
    let mut temporary = Temporary::create(target, Some(live))?;
    temporary.fill(&bytes, true)?;
    temporary.rename(name)
}

/// Reads a file to its end, or fails with an error where memory runs out.
///
/// # Errors
///
/// When a read fails, or there is no memory for the content.
pub fn read_whole(mut file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = file.metadata()?.len();
    // One more than the size, so that the read that finds the end needs no room.
    let room = usize::try_from(size).ok().and_then(|size| size.checked_add(1));
    let room = room.ok_or(io::ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(room).map_err(|_| io::ErrorKind::OutOfMemory)?;
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(bytes)
}

fn next_stamp(existing: &[Backup], zone: FixedOffset) -> NaiveDateTime {
    let now = now(zone);
    match existing.last() {
        // Two saves in one microsecond, a clock set back, the end of summer time.
        Some(newest) => now.max(newest.stamp + TimeDelta::microseconds(1)),
        None => now,
    }
}

/// The local time, by an offset found beforehand: to find it the C library
/// reads the environment, which another thread may be changing.
fn now(zone: FixedOffset) -> NaiveDateTime {
    Utc::now().with_timezone(&zone).naive_local()
}

fn name_for(name: &OsStr, stamp: NaiveDateTime) -> OsString {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(stamp.format(FORMAT).to_string().as_bytes());
    OsString::from_vec(bytes)
}

fn stamp_of(name: &OsStr, of: &OsStr) -> Option<NaiveDateTime> {
    let stamp = name.as_bytes().strip_prefix(of.as_bytes())?.strip_prefix(MARK)?;
    if stamp.len() != STAMP_LENGTH {
        return None;
    }
    let stamp = std::str::from_utf8(stamp).ok()?;
    let parsed = NaiveDateTime::parse_from_str(stamp, FORMAT).ok()?;
    // The parser takes signs and spaces for digits; the writer never does.
    (parsed.format(FORMAT).to_string() == stamp).then_some(parsed)
}
