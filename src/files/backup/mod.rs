//! Backups: `<name>.backup.<YYYYmmdd_HHMMSS>_<microseconds>` beside the file,
//! and `.gz` behind that once compressed.

pub(crate) mod closing;
pub mod compression;
mod gzip;
pub(crate) mod index;
pub mod links;
pub mod retention;
pub(crate) mod source;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;

use chrono::{FixedOffset, NaiveDateTime, Utc};
use rustix::fs::{self, AtFlags, FileType, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::files::backup::gzip::gunzip;
use crate::files::identity::{FileKey, Identity};
use crate::files::layout;
use crate::files::read::read_whole;
use crate::files::sys::listing;
use crate::files::target::Target;

/// One backup of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backup {
    /// When the backup was made, by the local clock. Later than that where an earlier backup
    /// has this stamp or a later stamp, so that the names keep their order.
    pub stamp: NaiveDateTime,
    /// Its name, beside the file's.
    pub name: OsString,
    /// Whether it is compressed.
    pub compressed: bool,
    /// Whether the backup is there plain and compressed: its compression was interrupted
    /// before the plain form was removed. `name` is then that of the plain form.
    pub doubled: bool,
}

impl Backup {
    fn plain(target: &Target, stamp: NaiveDateTime) -> Self {
        let name = layout::backup(&target.name, stamp);
        Self { stamp, name, compressed: false, doubled: false }
    }

    /// The stamp, as text in the name.
    #[must_use]
    pub fn stamp_text(&self) -> String {
        layout::stamp_text(self.plain_name())
    }

    /// The name of the backup while it is not compressed.
    #[must_use]
    pub fn plain_name(&self) -> &OsStr {
        layout::plain_backup(&self.name)
    }

    /// The name of the backup once it is compressed.
    #[must_use]
    pub fn compressed_name(&self) -> OsString {
        layout::compressed_backup(self.plain_name())
    }

    /// Whether `name` is the name of this backup, plain or compressed: the backup may have
    /// been compressed since somebody was told its name.
    #[must_use]
    pub fn is_called(&self, name: &Path) -> bool {
        layout::plain_backup(name.as_os_str()) == self.plain_name()
    }
}

/// The backups of `target`, oldest first. Only names that [`layout::backup`] makes count.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn list(target: &Target) -> Result<Vec<Backup>> {
    let found = list_in_folder(target, &[target]).map_err(|errno| unlisted(target, errno))?;
    Ok(found.into_values().next().unwrap_or_default().backups)
}

/// The backups of each of many files, whose folders have these keys. Each folder is listed once.
pub(crate) fn list_each(files: &[(&Target, FileKey)]) -> Vec<Result<Listed>> {
    let mut folders: BTreeMap<FileKey, Vec<&Target>> = BTreeMap::new();
    for (target, key) in files {
        folders.entry(*key).or_default().push(target);
    }
    let listed = folders.into_iter().map(|(key, all)| (key, list_in_folder(all[0], &all)));
    let mut listed: BTreeMap<_, _> = listed.collect();
    let of_each = files.iter().map(|(target, key)| match listed.get_mut(key) {
        Some(Ok(found)) => Ok(found.remove(&*target.name).unwrap_or_default()),
        Some(Err(errno)) => Err(unlisted(target, *errno)),
        None => Ok(Listed::default()),
    });
    of_each.collect()
}

/// What a listing of a folder tells of a file's backups.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// The backups, oldest first.
    pub(crate) backups: Vec<Backup>,
    /// The newest stamp in the name of anything, be it a backup or not.
    newest: Option<NaiveDateTime>,
}

impl Listed {
    /// Which names of backups are taken.
    pub(crate) fn taken(&self) -> Taken {
        Taken::Until(self.newest)
    }
}

/// Which names of backups are taken, by whatever it may be.
#[derive(Clone, Copy, Debug, Default)]
pub enum Taken {
    /// The folder was not listed.
    #[default]
    Unknown,
    /// No name has a later stamp than this.
    Until(Option<NaiveDateTime>),
}

impl Taken {
    /// The newest stamp that is known to be taken.
    #[must_use]
    pub fn newest(self) -> Option<NaiveDateTime> {
        match self {
            Self::Unknown => None,
            Self::Until(newest) => newest,
        }
    }

    /// Whether nothing has a name with this stamp.
    #[must_use]
    pub fn is_free(self, stamp: NaiveDateTime) -> bool {
        matches!(self, Self::Until(newest) if newest.is_none_or(|newest| newest < stamp))
    }
}

fn unlisted(target: &Target, errno: Errno) -> Error {
    target.failed("getdents of its folder", errno)
}

/// The backups of the files in one folder, by their names.
fn list_in_folder<'a>(
    folder: &Target,
    files: &[&'a Target],
) -> rustix::io::Result<HashMap<&'a OsStr, Listed>> {
    let mut found: HashMap<&OsStr, Listed> =
        files.iter().map(|file| (&*file.name, Listed::default())).collect();
    let pick = |name: &OsStr, kind| {
        let plain = layout::plain_backup(name);
        let (of, stamp) = layout::split_backup(plain)?;
        let (of, _) = found.get_key_value(of)?;
        let stamp = layout::parse_stamp(stamp)?;
        let kind = listing::kind(&folder.folder, name, kind);
        let compressed = name != plain;
        let backup = Backup { stamp, name: name.into(), compressed, doubled: false };
        Some((*of, backup, kind == FileType::RegularFile))
    };
    for (of, backup, is_backup) in folder.list_itself(pick)? {
        let listed = found.entry(of).or_default();
        // safeguard: names-of-no-backup
        listed.newest = listed.newest.max(Some(backup.stamp));
        if is_backup {
            listed.backups.push(backup);
        }
    }
    for Listed { backups, .. } in found.values_mut() {
        // By stamp, then by name: the plain form comes before the compressed form, and stays.
        backups.sort_unstable();
        backups.dedup_by(|second, first| {
            let same = second.stamp == first.stamp;
            first.doubled |= same;
            same
        });
    }
    Ok(found)
}

/// The backup of `target` with this stamp, plain or compressed; nothing where it is gone.
///
/// # Errors
///
/// When it cannot be looked at.
pub fn find(target: &Target, stamp: &str) -> Result<Option<Backup>> {
    let Some(stamp) = layout::parse_stamp(stamp.as_bytes()) else {
        return Ok(None);
    };
    let plain = Backup::plain(target, stamp);
    let compressed_name = plain.compressed_name();
    match (is_file(target, &plain.name)?, is_file(target, &compressed_name)?) {
        (true, doubled) => Ok(Some(Backup { doubled, ..plain })),
        (false, true) => Ok(Some(Backup { name: compressed_name, compressed: true, ..plain })),
        // safeguard: indexed-backup-is-there
        (false, false) => Ok(None),
    }
}

/// Refuses a file whose name leaves no room for the name of a backup, before anything is
/// done: else the first save would succeed and the second fail.
///
/// # Errors
///
/// `ENAMETOOLONG`.
pub fn require_room(target: &Target) -> Result<()> {
    if !layout::has_room_for_backup(&target.name) {
        return Err(target.failed("link of a backup", Errno::NAMETOOLONG));
    }
    Ok(())
}

/// Whether `backup` is a second name of the live file, as a writer leaves it that is killed
/// between the link and the rename.
///
/// # Errors
///
/// When the backup cannot be looked at.
pub fn is_live(target: &Target, backup: &Backup, live: &Stat) -> Result<bool> {
    match fs::statat(&target.folder, &backup.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Identity::of(&stat).key() == Identity::of(live).key()),
        // Compressed since: only a backup is ever compressed.
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(target.failed("fstatat of a backup", errno)),
    }
}

/// The backups of `target` that an operator may count on, newest first: without a backup
/// that [`is_live`].
///
/// # Errors
///
/// When the folder or a backup cannot be looked at.
pub fn newest_first(target: &Target) -> Result<Vec<Backup>> {
    of_those(target, list(target)?)
}

/// The same from a listing, whose order is oldest first.
///
/// # Errors
///
/// When the newest or the live file cannot be looked at.
pub fn of_those(target: &Target, mut backups: Vec<Backup>) -> Result<Vec<Backup>> {
    if let (Some(newest), Some(live)) = (backups.last(), target.stat()?)
        && is_live(target, newest, &live)?
    {
        backups.pop();
    }
    backups.reverse();
    Ok(backups)
}

/// An open backup, which can be read even after it was removed or compressed.
#[derive(Debug)]
pub struct Opened<'a> {
    target: &'a Target,
    file: File,
    compressed: bool,
    /// Bytes of the file, compressed or not.
    pub size: u64,
}

impl<'a> Opened<'a> {
    /// Opens a backup, plain or compressed; finds nothing where it is gone.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(target: &'a Target, backup: &Backup) -> Result<Option<Self>> {
        // The plain form first: it is removed only once the compressed form is there.
        for compressed in [false, true] {
            let name = if compressed { &backup.compressed_name() } else { backup.plain_name() };
            let file = match target.open_to_read(name) {
                Ok(file) => file,
                Err(Errno::NOENT | Errno::NAMETOOLONG) => continue,
                Err(errno) => return Err(target.failed("open of a backup", errno)),
            };
            let size =
                file.metadata().map_err(|error| target.failed("fstat of a backup", error))?.len();
            return Ok(Some(Self { target, file, compressed, size }));
        }
        Ok(None)
    }

    /// The open file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The content that was backed up.
    ///
    /// # Errors
    ///
    /// When it cannot be read or decompressed, or is larger than the memory.
    pub fn read(&self) -> Result<Vec<u8>> {
        if self.compressed {
            gunzip(&self.file).map_err(|error| self.target.failed("gunzip of a backup", error))
        } else {
            read_whole(&self.file, self.size)
                .map_err(|error| self.target.failed("read of a backup", error))
        }
    }
}

/// The local time in the `zone`, which was found out beforehand: to find it out, the C
/// library reads the environment, which another thread may be changing.
pub(crate) fn now(zone: FixedOffset) -> NaiveDateTime {
    Utc::now().with_timezone(&zone).naive_local()
}

/// Whether there was something to unlink.
///
/// # Errors
///
/// When the unlink fails.
pub fn unlink(target: &Target, name: &OsStr) -> Result<bool> {
    match fs::unlinkat(&target.folder, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(false),
        Err(errno) => Err(target.failed("unlink of a backup", errno)),
    }
}

fn is_file(target: &Target, name: &OsStr) -> Result<bool> {
    Ok(kind_of(target, name)? == Some(FileType::RegularFile))
}

pub(crate) fn kind_of(target: &Target, name: &OsStr) -> Result<Option<FileType>> {
    match fs::statat(&target.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
        Err(errno) => Err(target.failed("fstatat of a backup", errno)),
    }
}
