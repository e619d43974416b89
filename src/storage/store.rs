//! Saves and deletions of whole files, composed of the other rooms.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use chrono::FixedOffset;
use rustix::fs::{self, AtFlags, Stat};

use super::atomic;
use super::backup::{self, Backup};
use super::identity::{FileKey, Identity};
use super::lock::{Deadline, Lock, Signals};
use super::recovery;
use super::snapshot::{MISSING, Snapshot, read_at, version_of};
use super::target::Target;
use super::temporary::{self, Temporary};
use crate::error::{Error, Result};
use crate::settings::Durability;
use crate::statistics::COUNTERS;

/// How a write is to be done.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// How long to wait for another writer.
    pub timeout: Duration,
    /// Backups kept; 0 makes none.
    pub backups_kept: usize,
    /// How old a backup may become; the newest is kept however old.
    pub backups_max_age: Option<Duration>,
    /// What the file's version must be, if that matters.
    pub if_version: Option<String>,
    /// Whether missing folders on the way are made.
    pub make_parents: bool,
    /// Whether content that is in place already is only made durable, with no
    /// new inode and no backup: an editor that saves everything twice would
    /// otherwise push the last good version out of the backups.
    pub skip_unchanged: bool,
    /// What happens before the write returns.
    pub durability: Durability,
    /// The local time zone, for the names of backups.
    pub zone: FixedOffset,
}

/// A write that happened.
#[derive(Debug, Default)]
pub struct Written {
    /// The file that was replaced or removed.
    pub replaced: Option<FileKey>,
    /// What went wrong beside it (a backup that could not be pruned): for the
    /// log, since the write itself stands.
    pub remarks: Vec<Error>,
}

/// A data file that nobody else may write, until dropped.
#[derive(Debug)]
pub struct Locked {
    target: Target,
    lock: Lock,
}

impl Locked {
    /// Takes the lock of the file that `path` leads to.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened or the lock cannot be had.
    pub fn open(path: &Path, options: &WriteOptions, signals: &dyn Signals) -> Result<Self> {
        let target = Target::resolve(path, options.make_parents)?;
        Self::acquire(target, &Deadline::after(options.timeout), signals)
    }

    /// Takes the lock of `target`, and puts it in order if a batch that
    /// changes it was interrupted.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had, or the batch not be recovered.
    pub(super) fn acquire(
        target: Target,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Self> {
        let lock = Lock::of_file(&target, deadline, signals)?;
        recovery::recover(&target, deadline, signals)?;
        Ok(Self { target, lock })
    }

    /// The file.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Reads the file, or finds none.
    ///
    /// # Errors
    ///
    /// As for [`super::snapshot::read`], but for a missing file.
    pub fn read(&self) -> Result<Option<Snapshot>> {
        self.require_own()?;
        match read_at(&self.target.folder, Path::new(&self.target.name), &self.target.spelt) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file's content with `bytes`, or creates it.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; but for [`Error::NotDurable`] the file is as it was.
    pub fn save(&self, bytes: &[u8], options: &WriteOptions) -> Result<Written> {
        let Prepared { temporary, live, mut remarks } = match self.prepare(bytes, options)? {
            Preparation::InPlace(same) => {
                if options.durability == Durability::Full {
                    self.settle(&same)?;
                }
                COUNTERS.unchanged_saves.count();
                return Ok(Written::default());
            }
            Preparation::Change(prepared) => prepared,
        };
        if options.durability == Durability::Full {
            temporary.sync()?;
        }
        let backups = self.back_up(live.as_ref(), options)?;
        if let Err(error) = atomic::replace(&self.target, temporary) {
            return Err(backups.take_back(error, &self.target));
        }
        self.sync_folder(options)?;
        self.prune_surplus(&backups.all, options, &mut remarks);
        Ok(Written { replaced: live.map(|live| Identity::of(&live).key()), remarks })
    }

    /// Writes `bytes` beside the file, but not to the disk, if there is
    /// anything to change.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; the file is as it was.
    pub(super) fn prepare(&self, bytes: &[u8], options: &WriteOptions) -> Result<Preparation<'_>> {
        self.require_own()?;
        let target = &self.target;
        if options.backups_kept > 0 {
            backup::require_room(target)?;
        }
        let live = target.stat()?;
        self.check_version(live.as_ref(), options)?;
        if options.skip_unchanged
            && let Some(live) = &live
            && let Some(same) = self.read_if_same(live, bytes)?
        {
            return Ok(Preparation::InPlace(same));
        }
        let remarks = temporary::sweep(target);
        let mut temporary = Temporary::create(target, live.as_ref())?;
        temporary.fill(bytes, false)?;
        Ok(Preparation::Change(Prepared { temporary, live, remarks }))
    }

    /// Removes the file, keeping its content as the newest backup.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; but for [`Error::NotDurable`] the file is as it was.
    pub fn delete(&self, options: &WriteOptions) -> Result<Written> {
        self.require_own()?;
        let target = &self.target;
        let live = target.stat()?.ok_or_else(|| missing(target))?;
        self.check_version(Some(&live), options)?;
        let mut remarks = temporary::sweep(target);
        let mut backups = Vec::new();
        if options.backups_kept > 0 {
            backups = backup::list(target)?;
            backups.push(backup::retire(target, &backups, options.zone)?);
        } else {
            fs::unlinkat(&target.folder, &target.name, AtFlags::empty())
                .map_err(|errno| target.failed("unlink", errno))?;
        }
        self.sync_folder(options)?;
        self.prune_surplus(&backups, options, &mut remarks);
        Ok(Written { replaced: Some(Identity::of(&live).key()), remarks })
    }

    /// The file's backups, newest first.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn backups(&self) -> Result<Vec<Backup>> {
        backup::newest_first(&self.target)
    }

    /// The content of a backup.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read_backup(&self, backup: &Backup) -> Result<Vec<u8>> {
        backup::read(&self.target, backup)
    }

    /// Removes the backups that are too many or too old. Returns their names.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read, or a backup cannot be removed.
    pub fn prune(&self, options: &WriteOptions) -> Result<Vec<OsString>> {
        let WriteOptions { backups_kept: kept, backups_max_age: max_age, zone, .. } = *options;
        self.require_own()?;
        let surplus = backup::surplus(backup::list(&self.target)?, kept, max_age, zone);
        for backup in &surplus {
            backup::discard(&self.target, backup)?;
        }
        Ok(surplus.into_iter().map(|backup| backup.name).collect())
    }

    /// In a child forked since, the lock is still the parent's.
    fn require_own(&self) -> Result<()> {
        if self.lock.is_own() {
            return Ok(());
        }
        Err(Error::LockGone { path: self.target.spelt.clone() })
    }

    fn check_version(&self, live: Option<&Stat>, options: &WriteOptions) -> Result<()> {
        let Some(expected) = &options.if_version else { return Ok(()) };
        let content = if live.is_some() { self.read()? } else { None };
        let found = content.map_or_else(|| MISSING.to_owned(), |found| version_of(&found.bytes));
        if found == *expected {
            return Ok(());
        }
        let some_file = |version: String| (version != MISSING).then_some(version);
        Err(Error::VersionConflict {
            path: self.target.spelt.clone(),
            expected: some_file(expected.clone()),
            found: some_file(found),
        })
    }

    fn read_if_same(&self, live: &Stat, bytes: &[u8]) -> Result<Option<Snapshot>> {
        if u64::try_from(live.st_size) != Ok(bytes.len() as u64) {
            return Ok(None);
        }
        Ok(self.read()?.filter(|found| found.stable && found.bytes == bytes))
    }

    /// Makes a file durable that has the right content already: whoever wrote
    /// it may not have synced it.
    pub(super) fn settle(&self, same: &Snapshot) -> Result<()> {
        fs::fsync(&same.descriptor).map_err(|errno| self.target.failed("fsync", errno))?;
        atomic::sync_folder(&self.target)
    }

    /// Backs up the content that is about to be replaced, if backups are made.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read, or the backup not be made.
    pub(super) fn back_up(&self, live: Option<&Stat>, options: &WriteOptions) -> Result<Backups> {
        match live {
            Some(live) if options.backups_kept > 0 => back_up(&self.target, live, options.zone),
            _ => Ok(Backups::default()),
        }
    }

    fn sync_folder(&self, options: &WriteOptions) -> Result<()> {
        match options.durability {
            Durability::Full => atomic::sync_folder(&self.target),
            Durability::Process => Ok(()),
        }
    }

    /// Lets old backups go; not before the new content is safe.
    pub(super) fn prune_surplus(
        &self,
        backups: &[Backup],
        options: &WriteOptions,
        remarks: &mut Vec<Error>,
    ) {
        let WriteOptions { backups_kept: kept, backups_max_age: max_age, zone, .. } = *options;
        let surplus = backup::surplus(backups.to_vec(), kept, max_age, zone);
        // What cannot be removed does not undo a save.
        remarks.extend(
            surplus.iter().filter_map(|backup| backup::discard(&self.target, backup).err()),
        );
    }
}

/// What is to be done for a save.
pub(super) enum Preparation<'a> {
    /// Nothing but to make it durable: the file has the content.
    InPlace(Snapshot),
    /// The file is to be replaced.
    Change(Prepared<'a>),
}

/// A save whose content stands ready beside the file.
pub(super) struct Prepared<'a> {
    /// The new content.
    pub(super) temporary: Temporary<'a>,
    /// The file that is to be replaced.
    pub(super) live: Option<Stat>,
    /// What went wrong beside it.
    pub(super) remarks: Vec<Error>,
}

/// A file's backups, oldest first.
#[derive(Debug, Default)]
pub(super) struct Backups {
    pub(super) all: Vec<Backup>,
}

impl Backups {
    /// Takes the newest back after `error` kept its save from happening: left in
    /// place it would share its inode with the live file, and change with it.
    pub(super) fn take_back(&self, error: Error, target: &Target) -> Error {
        let Some(taken) = self.all.last() else { return error };
        match backup::discard(target, taken) {
            Ok(()) => error,
            Err(also) => {
                error.followed_by(&also, &format!("remove {} by hand", taken.name.display()))
            }
        }
    }
}

/// The backups of a file with the live content as the last: linked now, unless
/// a writer that was killed has left just that.
///
/// # Errors
///
/// When the folder cannot be read, or the backup not be made.
pub(super) fn back_up(target: &Target, live: &Stat, zone: FixedOffset) -> Result<Backups> {
    let mut all = backup::list(target)?;
    if let Some(newest) = all.last()
        && backup::is_live(target, newest, live)?
    {
        return Ok(Backups { all });
    }
    all.push(backup::take(target, live, &all, zone)?);
    Ok(Backups { all })
}

/// Replaces the content of `path` with `bytes`, or creates it.
///
/// # Errors
///
/// As for [`Locked::open`] and [`Locked::save`].
pub fn save(
    path: &Path,
    bytes: &[u8],
    options: &WriteOptions,
    signals: &dyn Signals,
) -> Result<Written> {
    Locked::open(path, options, signals)?.save(bytes, options)
}

/// Removes the file, keeping its content as the newest backup.
///
/// # Errors
///
/// As for [`Locked::open`] and [`Locked::delete`].
pub fn delete(path: &Path, options: &WriteOptions, signals: &dyn Signals) -> Result<Written> {
    // Looked at first without the lock: asking for a missing file's deletion
    // leaves no sidecar behind.
    let target = Target::resolve(path, false)?;
    let deadline = Deadline::after(options.timeout);
    recovery::recover(&target, &deadline, signals)?;
    target.stat()?.ok_or_else(|| missing(&target))?;
    Locked::acquire(target, &deadline, signals)?.delete(options)
}

/// The backups of the file that `path` leads to, newest first, and the content
/// of each. Needs no lock: a backup never changes once it is there.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn backups(path: &Path) -> Result<Vec<(Backup, Result<Vec<u8>>)>> {
    // A use of the file like any other; but to list needs no right to write.
    let _ = recovery::pending(path);
    let target = Target::resolve(path, false)?;
    let backups = backup::newest_first(&target)?;
    Ok(backups
        .into_iter()
        .map(|backup| {
            let content = backup::read(&target, &backup);
            (backup, content)
        })
        .collect())
}

fn missing(target: &Target) -> Error {
    Error::NotFound { path: target.spelt.clone() }
}
