//! Journals: what a batch of saves writes down before it renames anything.
//!
//! A batch over several folders has a journal in each folder. The journal in the first
//! folder, the coordinator, is the decision: once it is on the disk the batch has happened,
//! and a process that meets any journal of the batch rolls the batch forward. The other
//! journals only lead to the coordinator. A batch without a decision is rolled back.
//!
//! The lock of the journals is held by a batch, and by a process that recovers a batch. It
//! comes after all locks of data files: nobody who holds it waits for a lock of a data file.
//!
//! The journal of a batch that cannot be recovered (another user's batch, say) stays. The
//! next batch in that folder takes the next [`Slot`].

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::batch::folders;
use crate::files::batch::name::Name;
use crate::files::layout;
use crate::files::sidecar;
use crate::files::sys::sync;
use crate::files::target::Target;

const FORMAT: u32 = 1;
/// How many journals a folder may have. Interrupted batches alone do not make more.
const MOST_SLOTS: u32 = 100;

/// Which of a folder's journals: `journal`, `journal.1`, `journal.2` and so on. A journal is
/// there only while all journals before it are. So a look for the first journal tells
/// whether there is any, and a search for all ends at the first missing journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// All slots, the first one first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..MOST_SLOTS).map(Self)
    }

    /// The journal, seen from its folder.
    pub(crate) fn path(self) -> String {
        layout::journal(self.0)
    }
}

/// What [`Change::replaces`] says where there was no file.
pub const NO_FILE: &str = "nothing";

/// A journal, as it is on the disk in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    format: u32,
    /// The name of the batch: the same in all its folders, and in no other batch.
    pub batch: String,
    /// The route from this folder to the coordinator; none in the coordinator itself.
    #[serde(rename = "decided_in")]
    pub coordinator: Option<Name>,
    /// Seconds east of Greenwich, for the names of backups; none where no backups are made.
    pub backups: Option<i32>,
    /// The folders to which this journal leads, and how to know them.
    pub places: Vec<Place>,
    /// The files to be renamed: in the decision all files, else the files in this folder.
    pub changes: Vec<Change>,
}

/// A folder of a batch, as seen from another folder of the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The route to the folder.
    pub folder: Name,
    /// The `folder_id` of the folder.
    #[serde(rename = "mark")]
    pub folder_id: String,
}

/// A file that a batch changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The route from the journal's folder to the file's.
    pub folder: Name,
    /// The name of the file.
    pub name: Name,
    /// The name of the new content, in the folder of temporary files.
    pub temporary: Name,
    /// The content that the file had, as [`Identity::content`] tells it, or [`NO_FILE`].
    /// Earlier releases did not write this.
    #[serde(default)]
    pub replaces: Option<String>,
    /// The backup that the batch has made of that content.
    #[serde(default)]
    pub backup: Option<Name>,
}

impl Change {
    /// The new content, as seen from the file's folder.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        layout::in_temp(&self.temporary.to_path())
    }
}

impl Journal {
    /// A journal that is not on the disk yet.
    #[must_use]
    pub fn new(
        batch: &str,
        coordinator: Option<Name>,
        backups: Option<i32>,
        places: Vec<Place>,
        changes: Vec<Change>,
    ) -> Self {
        Self { format: FORMAT, batch: batch.to_owned(), coordinator, backups, places, changes }
    }

    /// Whether `folder`, found by the `route`, is the folder that the batch was in, and not
    /// another folder at the same place: the mount point of a disk that is not mounted, say.
    /// To take that for the right folder would lose half of the batch.
    ///
    /// # Errors
    ///
    /// When the `folder_id` of the folder cannot be read.
    pub fn knows(&self, route: &Path, folder: &Target) -> Result<bool> {
        let Some(place) = self.places.iter().find(|place| place.folder.to_path() == route) else {
            return Ok(false);
        };
        Ok(folders::folder_id_of(folder)?.as_ref() == Some(&place.folder_id))
    }

    /// Whether each name in the journal is a name without a path. No batch writes a path:
    /// somebody has planted it, to have files elsewhere replaced or removed with the rights of
    /// the user who recovers the batch.
    fn stays_in_its_folders(&self) -> bool {
        let is_name = |name: &Name| {
            let path = name.to_path();
            path.file_name().is_some_and(|file| file == path.as_os_str())
        };
        self.changes.iter().all(|change| is_name(&change.name) && is_name(&change.temporary))
    }

    /// The change that the batch makes to the file called `name` in the journal's folder.
    #[must_use]
    pub fn change_of(&self, name: &OsStr) -> Option<&Change> {
        self.changes.iter().find(|change| {
            change.folder.to_path() == Path::new(".") && change.name.to_path() == Path::new(name)
        })
    }
}

/// What a look for a journal finds.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// No journal.
    Nothing,
    /// A journal that is being written, or whose writer died while writing: it decides
    /// nothing.
    Torn,
    /// A whole journal.
    Whole(Journal),
}

/// Whether there is a journal in the data folder: by one lookup, which loads can afford.
#[must_use]
pub fn exists(folder: impl AsFd) -> bool {
    fs::accessat(folder, layout::JOURNAL, Access::EXISTS, AtFlags::empty()).is_ok()
}

/// Whether there is a journal in the folder of `path`, by that path alone.
#[must_use]
pub fn exists_beside(path: &Path) -> bool {
    let journal = path.parent().unwrap_or_else(|| Path::new("")).join(layout::JOURNAL);
    fs::accessat(CWD, journal, Access::EXISTS, AtFlags::empty()).is_ok()
}

/// Reads all journals of the target's folder, the last slot first: journals that are removed
/// in this order leave no gap.
///
/// # Errors
///
/// When a journal cannot be read, or is of a later format.
pub fn read_all(target: &Target) -> Result<Vec<(Slot, Found)>> {
    let mut all = Vec::new();
    for slot in Slot::all() {
        match read(target, slot)? {
            Found::Nothing => break,
            found => all.push((slot, found)),
        }
    }
    all.reverse();
    Ok(all)
}

/// The journal of a batch in the target's folder.
///
/// # Errors
///
/// As for [`read_all`].
pub fn find(target: &Target, batch: &str) -> Result<Option<(Slot, Journal)>> {
    let of_batch = |(slot, found)| match found {
        Found::Whole(journal) if journal.batch == batch => Some((slot, journal)),
        _ => None,
    };
    Ok(read_all(target)?.into_iter().find_map(of_batch))
}

/// The first free slot of the target's folder; none where all are taken.
#[must_use]
pub fn free_slot(target: &Target) -> Option<Slot> {
    // safeguard: journal-slots
    Slot::all().find(|slot| !is_there(target, *slot))
}

fn is_there(target: &Target, slot: Slot) -> bool {
    fs::accessat(&target.folder, slot.path(), Access::EXISTS, AtFlags::empty()).is_ok()
}

/// The user whose journal is in the slot, where that can be told.
#[must_use]
pub fn owner(target: &Target, slot: Slot) -> Option<u32> {
    let stat = fs::statat(&target.folder, slot.path(), AtFlags::SYMLINK_NOFOLLOW);
    stat.ok().map(|stat| stat.st_uid)
}

/// Reads one journal of the target's folder.
///
/// # Errors
///
/// When the journal cannot be read, or is of a later format.
pub fn read(target: &Target, slot: Slot) -> Result<Found> {
    let mut file = match target.open_to_read(slot.path().as_str()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        Err(errno) => return Err(target.failed("open of .oasis_data/journal", errno)),
    };
    let failed = |error| target.failed("read of .oasis_data/journal", error);
    // safeguard: journal-is-a-file
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(damaged(target));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed)?;
    // The text of a torn journal is no JSON: an object ends with its last byte.
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&text) else {
        return Ok(Found::Torn);
    };
    match serde_json::from_value::<Journal>(value) {
        // safeguard: journal-stays-in-its-folders
        Ok(journal) if journal.format == FORMAT && journal.stays_in_its_folders() => {
            Ok(Found::Whole(journal))
        }
        _ => Err(damaged(target)),
    }
}

fn damaged(target: &Target) -> Error {
    let reason = "its .oasis_data/journal is damaged, or of another release of this package: \
                  complete it with that one, or give it up by removing the journal";
    Error::Unrecovered { path: target.given_path.clone(), reason: reason.to_owned() }
}

/// Makes an empty journal in the target's folder. It decides nothing, but tells readers of
/// files there that a batch is at work.
///
/// # Errors
///
/// When a syscall fails; the caller then has to remove the journal.
pub fn begin(target: &Target, slot: Slot) -> Result<File> {
    let failed = |call, errno: Errno| target.failed(call, errno);
    // O_EXCL: under the lock of the journals, the slot is free.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(&target.folder, slot.path(), flags, Mode::from_raw_mode(0o666))
        .map(File::from)
        .map_err(|errno| failed("open of .oasis_data/journal", errno))?;
    sidecar::share(target, &file)?;
    Ok(file)
}

/// Writes a journal that was begun and, with `sync`, waits until its text and its name are on
/// the disk.
///
/// # Errors
///
/// When a syscall fails; the caller then has to remove the journal.
pub fn write(target: &Target, mut file: &File, journal: &Journal, sync: bool) -> Result<()> {
    let failed = |call, errno: Errno| target.failed(call, errno);
    let text = serde_json::to_vec_pretty(journal)
        .map_err(|error| target.failed("write of .oasis_data/journal", error))?;
    file.write_all(&text).map_err(|error| target.failed("write of .oasis_data/journal", error))?;
    if sync {
        // safeguard: journal-sync
        fs::fsync(file).map_err(|errno| failed("fsync of .oasis_data/journal", errno))?;
        // safeguard: journal-name-sync
        sync_sidecar(target)?;
    }
    Ok(())
}

/// Removes a journal, if it is there. To be called by its batch, which still holds the lock
/// under which it took the first free slot: so there is no journal in a later slot.
///
/// # Errors
///
/// When the unlink fails.
pub fn remove(target: &Target, slot: Slot) -> Result<()> {
    match fs::unlinkat(&target.folder, slot.path(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(target.failed("unlink of .oasis_data/journal", errno)),
    }
}

/// Removes a journal that is not needed any more, unless there is a journal in the next slot,
/// which nobody would find without this journal. Then this journal is removed when it is met
/// again after that journal is gone.
///
/// # Errors
///
/// When the unlink fails.
pub fn retire(target: &Target, slot: Slot) -> Result<()> {
    // safeguard: journal-kept-before-others
    if is_there(target, Slot(slot.0 + 1)) { Ok(()) } else { remove(target, slot) }
}

/// Waits until the names in the sidecar are on the disk.
///
/// # Errors
///
/// When they may not be.
pub fn sync_sidecar(target: &Target) -> Result<()> {
    sync::sync_folder_at(&target.folder, layout::FOLDER)
        .map_err(|errno| target.failed("fsync of .oasis_data", errno))
}
