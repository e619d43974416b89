//! What lies in a folder of data files: the data files, their backups, temporary files. A
//! look changes nothing: it waits for no lock, and recovers no batch.
//!
//! Every path begins with the folder as the caller gave it.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;
use rustix::fs::{self, AtFlags, CWD, FileType, OFlags, Stat};
use rustix::io::Errno;
use serde::{Serialize, Serializer};

use crate::error::{Error, OPEN_FOLDER, Result};
use crate::files::backup;
use crate::files::layout;
use crate::files::lock;
use crate::files::sys::{self, listing};
use crate::files::target::Target;

/// A path or a name on disk, serialized as its bytes: not every name is text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskPath(pub PathBuf);

impl Serialize for DiskPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_os_str().as_bytes())
    }
}

/// What lies in a folder.
#[derive(Debug, Default, Serialize)]
pub struct Folder {
    /// The folders in it, but for the sidecar; sorted.
    pub folders: Vec<DiskPath>,
    /// The data files: called `*.json`, or saved by this package, or with a backup; sorted.
    pub files: Vec<DataFile>,
    /// The backups: those of one file together, newest first.
    pub backups: Vec<BackupFile>,
    /// Unfinished writes of other programs, by their names: empty where the folder has no
    /// data files.
    pub foreign: Vec<DiskPath>,
    /// The sidecar, if the folder has one.
    pub sidecar: Option<DiskPath>,
    /// What lies in the folder of temporary files.
    pub temporaries: Vec<TemporaryFile>,
    /// What could not be listed, with the errno.
    pub unreadable: Vec<(DiskPath, i32)>,
}

/// A data file.
#[derive(Debug, Serialize)]
pub struct DataFile {
    /// The file.
    pub path: DiskPath,
    /// Whether it is a symlink.
    pub is_link: bool,
    /// What `stat` tells, through a symlink; nothing for a symlink to nothing.
    pub status: Option<Status>,
}

/// A backup.
#[derive(Debug, Serialize)]
pub struct BackupFile {
    /// The backup.
    pub path: DiskPath,
    /// The data file, which may be gone.
    pub of: DiskPath,
    /// When the backup was made, by its name: local time in ISO 8601.
    #[serde(serialize_with = "as_iso")]
    pub time: NaiveDateTime,
    /// What `stat` tells.
    pub status: Status,
}

/// A file among the temporary files.
#[derive(Debug, Serialize)]
pub struct TemporaryFile {
    /// The file.
    pub path: DiskPath,
    /// Whether a save of this package made it, by its name and kind.
    pub is_own: bool,
    /// The data file; nothing where only a digest of a long name is known.
    pub owner: Option<DiskPath>,
    /// The path to which a save copies the file, if the save may not move it out of its folder.
    pub copy: DiskPath,
}

/// What `stat` tells of a file.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Status {
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes on the disk.
    pub blocks: u64,
    /// When the content was written, in nanoseconds since 1970.
    pub modified: i64,
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// The name of a backup, taken apart.
#[derive(Debug, Serialize)]
pub struct BackupName {
    /// The name.
    pub name: DiskPath,
    /// The name of the data file.
    pub of: DiskPath,
    /// The stamp as it stands in the name, with the suffix of a compressed backup.
    pub stamp: String,
    /// The stamp as a time: local time in ISO 8601.
    #[serde(serialize_with = "as_iso")]
    pub time: NaiveDateTime,
    /// Whether it is the name of a compressed backup.
    pub compressed: bool,
    /// What an operator may call the backup: its name and its stamp, each with and without
    /// the suffix of a compressed backup. A save may have compressed the backup since the
    /// operator read its name.
    pub known_as: Vec<DiskPath>,
}

/// Tells what lies in the folder at `path`: nothing, where there is no such folder.
#[must_use]
pub fn folder(path: &Path) -> Folder {
    let mut found = Folder::default();
    let target = match open(path, path) {
        Ok(target) => target,
        Err(errno) => {
            found.unreadable(path.to_path_buf(), errno);
            return found;
        }
    };
    let mut saved = HashSet::new();
    let mut others = Vec::new();
    for (name, kind) in found.list(&target, path, ".") {
        if kind == FileType::Directory && name == layout::FOLDER {
            found.sidecar = Some(DiskPath(path.join(name)));
            saved = found.look_into_sidecar(&target, path);
        } else if kind == FileType::Directory {
            found.folders.push(DiskPath(path.join(name)));
        } else if let Some((of, time)) = split_backup(&name) {
            if kind == FileType::RegularFile
                && let Ok(stat) = fs::statat(&target.folder, &name, AtFlags::SYMLINK_NOFOLLOW)
            {
                found.backups.push(BackupFile {
                    path: DiskPath(path.join(&name)),
                    of: DiskPath(path.join(of)),
                    time,
                    status: Status::of(&stat),
                });
            }
        } else {
            others.push((name, kind));
        }
    }
    let backed_up: HashSet<PathBuf> =
        found.backups.iter().map(|backup| backup.of.0.clone()).collect();
    for (name, kind) in others {
        let file = path.join(&name);
        let is_saved = saved.contains(&layout::stem(&name)) || backed_up.contains(&file);
        if is_saved || ends_with(&name, &[".json"]) {
            found.files.extend(data_file(&target, &name, kind, file));
        } else if is_foreign(&name) {
            found.foreign.push(DiskPath(file));
        }
    }
    if found.files.is_empty() && found.backups.is_empty() && saved.is_empty() {
        found.foreign.clear();
    }
    found.folders.sort_unstable();
    found.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    found.drop_links_of_live_files();
    found
}

impl Folder {
    /// Notes the temporary files. Returns the stems of the data files that have a lock.
    fn look_into_sidecar(&mut self, target: &Target, path: &Path) -> HashSet<PathBuf> {
        for (name, kind) in self.list(target, path, layout::TEMP) {
            let stem = layout::stem_of_temporary(&name).filter(|_| kind == FileType::RegularFile);
            let owner = stem.filter(|stem| !layout::is_digest(stem));
            let temporary = layout::in_temp(Path::new(&name));
            self.temporaries.push(TemporaryFile {
                is_own: stem.is_some(),
                owner: owner.map(|owner| DiskPath(path.join(owner))),
                copy: DiskPath(path.join(layout::copy_beside_data(&temporary))),
                path: DiskPath(path.join(temporary)),
            });
        }
        let locks = self.list(target, path, layout::LOCKS);
        let stem = |(name, _): &(OsString, _)| layout::stem_of_lock(name).map(PathBuf::from);
        locks.iter().filter_map(stem).collect()
    }

    /// The names in a folder, seen from the target's, with the kind of each. Nothing where
    /// the folder is not there, or cannot be listed.
    fn list(&mut self, target: &Target, path: &Path, name: &str) -> Vec<(OsString, FileType)> {
        let seen = Path::new(name);
        let pick = |entry: &OsStr, kind| {
            let dots = [".", ".."].contains(&entry.to_str().unwrap_or_default());
            (!dots)
                .then(|| (entry.to_owned(), listing::kind(&target.folder, seen.join(entry), kind)))
        };
        target.list(name, pick).unwrap_or_else(|errno| {
            let folder = if name == "." { path.to_path_buf() } else { path.join(name) };
            self.unreadable(folder, errno);
            Vec::new()
        })
    }

    fn unreadable(&mut self, path: PathBuf, errno: Errno) {
        // Removed meanwhile, or never needed.
        if errno != Errno::NOENT {
            self.unreadable.push((DiskPath(path), errno.raw_os_error()));
        }
    }

    /// Sorts the backups, and drops what a writer left that was killed after linking a
    /// backup: the live file under a second name. The next save makes it a backup.
    fn drop_links_of_live_files(&mut self) {
        self.backups.sort_unstable_by(|one, other| {
            (&other.of, other.time, &other.path).cmp(&(&one.of, one.time, &one.path))
        });
        let live: HashMap<&DiskPath, (u64, u64)> =
            self.files.iter().filter_map(|file| Some((&file.path, file.status?.key()))).collect();
        self.backups.retain(|backup| live.get(&backup.of) != Some(&backup.status.key()));
    }
}

impl Status {
    fn of(stat: &Stat) -> Self {
        let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
        Self {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            blocks: u64::try_from(stat.st_blocks).unwrap_or_default(),
            modified: stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanoseconds),
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }

    fn key(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

fn data_file(target: &Target, name: &OsStr, kind: FileType, path: PathBuf) -> Option<DataFile> {
    let is_link = kind == FileType::Symlink;
    let status = match fs::statat(&target.folder, name, AtFlags::empty()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            Some(Status::of(&stat))
        }
        Ok(_) => return None,
        Err(_) => None,
    };
    // What is gone by now was no symlink to nothing.
    (is_link || status.is_some()).then_some(DataFile { path: DiskPath(path), is_link, status })
}

/// Whether editors and bare writers leave files of this name: `x.json.tmp`, `x.json~`,
/// `.x.json.swp`.
fn is_foreign(name: &OsStr) -> bool {
    let swap = name.as_bytes().split_last_chunk::<4>().is_some_and(|(_, end)| {
        let [start @ .., letter] = end.map(|byte| byte.to_ascii_lowercase());
        start == *b".sw" && (b'a'..=b'p').contains(&letter)
    });
    swap || ends_with(name, &[".tmp", "~"])
}

fn ends_with(name: &OsStr, ends: &[&str]) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    ends.iter().any(|end| name.ends_with(end.as_bytes()))
}

/// Takes the name of a backup apart; nothing for the name of another file.
#[must_use]
pub fn backup_name(name: &OsStr) -> Option<BackupName> {
    let (of, time) = split_backup(name)?;
    let plain = layout::plain_backup(name);
    let compressed = plain != name;
    let stamp = OsString::from(layout::stamp_text(plain));
    let compressed_stamp = layout::compressed_backup(&stamp);
    let shown = if compressed { &compressed_stamp } else { &stamp };
    Some(BackupName {
        name: disk_path(name),
        of: disk_path(of),
        stamp: shown.to_string_lossy().into_owned(),
        time,
        compressed,
        known_as: [plain, &layout::compressed_backup(plain), &stamp, &compressed_stamp]
            .map(disk_path)
            .into(),
    })
}

/// The data file of a backup, and when the backup was made.
fn split_backup(name: &OsStr) -> Option<(&OsStr, NaiveDateTime)> {
    let (of, stamp) = layout::split_backup(layout::plain_backup(name))?;
    Some((of, layout::parse_stamp(stamp)?)).filter(|_| !of.is_empty())
}

fn disk_path(name: &OsStr) -> DiskPath {
    DiskPath(name.into())
}

/// The names of a file's backups, newest first, read from the folder alone. Nothing for a
/// file that is not there and has no backup, or for a folder in its place.
///
/// # Errors
///
/// When the folder cannot be listed.
pub fn backup_names(path: &Path) -> Result<Vec<BackupName>> {
    let found = Target::resolve_to_load(path).and_then(|target| backup::newest_first(&target));
    match found {
        Err(Error::NotAFile { .. }) => Ok(Vec::new()),
        Err(error) if error.errno() == Some(Errno::NOENT.raw_os_error()) => Ok(Vec::new()),
        found => Ok(found?.iter().filter_map(|backup| backup_name(&backup.name)).collect()),
    }
}

/// Whether a process holds the lock (`flock`) of the file at `path`; false for no file. A
/// lock that is held is not disturbed.
///
/// # Errors
///
/// When the file cannot be opened.
pub fn is_held(path: &Path) -> Result<bool> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let target = match open(folder.unwrap_or(Path::new(".")), path) {
        Err(Errno::NOENT) => return Ok(false),
        target => target.map_err(|errno| Error::syscall(path, OPEN_FOLDER, errno))?,
    };
    held(&target, Path::new(path.file_name().unwrap_or_default()), path)
}

/// Whether a process holds the lock called `name`. Errors name the `given_path`.
pub(crate) fn held(target: &Target, name: &Path, given_path: &Path) -> Result<bool> {
    match lock::is_held(target, name) {
        Err(Errno::NOENT) => Ok(false),
        // safeguard: verify-spares-live-writers
        held => held.map_err(|errno| Error::syscall(given_path, "open of a lock", errno)),
    }
}

/// Opens a folder. Errors name the `given_path`.
pub(crate) fn open(folder: &Path, given_path: &Path) -> rustix::io::Result<Target> {
    let opened = sys::open::folder(CWD, folder, OFlags::empty())?;
    let name = layout::FOLDER.into();
    Ok(Target { folder: File::from(opened).into(), name, given_path: given_path.into() })
}

fn as_iso<S: Serializer>(
    time: &NaiveDateTime,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format("%Y-%m-%dT%H:%M:%S%.6f"))
}
