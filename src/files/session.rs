//! Saves and deletions of whole files: lock, prepare, back up, publish, release, sync.

use std::ffi::OsString;
use std::path::Path;
use std::slice;
use std::sync::Arc;

use rustix::fs::{self, AtFlags};

use crate::engine::deadline::Deadline;
use crate::engine::owner::Owner;
use crate::engine::signals::Signals;
use crate::engine::write::{WriteOptions, Written};
use crate::error::{Error, Result, UNLINK};
use crate::files::backup::closing;
use crate::files::backup::compression;
use crate::files::backup::index::{self, BackupQuery, KnownBackups};
use crate::files::backup::links;
use crate::files::backup::retention;
use crate::files::backup::source::{BackupSource, Retention};
use crate::files::backup::{self, Backup, Opened};
use crate::files::batch::recovery;
use crate::files::identity::Identity;
use crate::files::judging::{self, Change};
use crate::files::live::{Live, Same};
use crate::files::lock::Lock;
use crate::files::locked::LockedFile;
use crate::files::prepare::{Preparation, Prepared};
use crate::files::read::Snapshot;
use crate::files::sweep::{self, Swept};
use crate::files::target::Target;
use crate::settings::Durability;
use crate::statistics::COUNTERS;

/// A data file that nobody else may write, until dropped.
#[derive(Debug)]
pub struct Session {
    locked: LockedFile,
}

impl Session {
    /// Takes the lock of the file that `path` leads to.
    ///
    /// # Errors
    ///
    /// When the folder cannot be opened or the lock cannot be had.
    pub fn open(path: &Path, options: &WriteOptions, signals: &dyn Signals) -> Result<Self> {
        let target = Target::resolve(path, options.make_parents)?;
        Self::acquire(target, &Deadline::after(options.timeout), signals)
    }

    /// Takes the lock of `target`, and recovers a batch that changes the file and was
    /// interrupted.
    ///
    /// # Errors
    ///
    /// When the lock cannot be had, or the batch not be recovered.
    pub(crate) fn acquire(
        target: Target,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Self> {
        let lock = Lock::of_file(&target, deadline, signals)?;
        // safeguard: writer-recovers
        recovery::recover(&target, deadline, signals)?;
        Ok(Self { locked: LockedFile { target, lock } })
    }

    /// The file and its lock.
    pub(crate) fn locked(&self) -> &LockedFile {
        &self.locked
    }

    /// The same, to be closed with others.
    pub(crate) fn into_locked(self) -> LockedFile {
        self.locked
    }

    /// The file.
    pub(crate) fn target(&self) -> &Target {
        &self.locked.target
    }

    /// Leaves the lock to its `owner`. To be called before the call that took the lock
    /// returns: see [`crate::files::fork::Descriptor`].
    ///
    /// # Errors
    ///
    /// When an `fstat` fails.
    pub fn hand_over(&self, owner: Arc<dyn Owner>) -> Result<()> {
        self.locked.hand_over(owner)
    }

    /// Reads the file, or finds none.
    ///
    /// # Errors
    ///
    /// As for [`crate::files::read::read`], but for a missing file.
    pub fn read(&self) -> Result<Option<Snapshot>> {
        self.locked.read()
    }

    /// Refuses where the lock file is not at its path any more, because somebody has removed
    /// `.oasis_data` (`git clean -x`): others then lock a new file. For a change that was
    /// begun long ago.
    ///
    /// # Errors
    ///
    /// [`Error::LockGone`], or when an `fstatat` fails.
    pub fn require_current(&self) -> Result<()> {
        self.locked.require_current()
    }

    /// Replaces the file's content with `bytes`, or creates it. The lock is released as soon as
    /// the content has its name, and the save durable when this returns.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; but for [`Error::NotDurable`] the file is as it was.
    pub fn save(
        self,
        bytes: &[u8],
        options: &WriteOptions,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Written> {
        let prepared = self.locked.prepare(bytes, None, options)?;
        let published = self.publish(prepared, bytes, options, deadline, signals)?;
        self.finish(published, options)
    }

    /// Makes the `bytes` of a backup the file's content. A file that is gone gets the owner,
    /// the mode and the extended attributes of the backup, which had been the file's own.
    ///
    /// # Errors
    ///
    /// As for [`Self::save`].
    pub fn restore(
        self,
        backup: &Backup,
        bytes: &[u8],
        options: &WriteOptions,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Written> {
        let opened = self.open_backup(backup)?;
        let model = opened.as_ref().map(Opened::file);
        let prepared = self.locked.prepare(bytes, model, options)?;
        let published = self.publish(prepared, bytes, options, deadline, signals)?;
        drop(opened);
        self.finish(published, options)
    }

    /// Judges the content that a write would make the file's, without the write.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], or as for [`Self::save`].
    pub fn judge(
        &self,
        bytes: &[u8],
        options: &WriteOptions,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<()> {
        let change = Change { file: &self.locked, content: Some(bytes) };
        judging::judge(&[change], options, deadline, signals).map(drop)
    }

    fn publish(
        &self,
        prepared: Preparation<'_>,
        bytes: &[u8],
        options: &WriteOptions,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Published> {
        let Prepared { temporary, before, source, mut written } = match prepared {
            Preparation::InPlace(same) => return Ok(Published::InPlace(same)),
            Preparation::Change(prepared) => *prepared,
        };
        let earlier = self.earlier(before, source.is_some())?;
        let synced = match options.durability {
            Durability::Full => Some(temporary.sync()?),
            Durability::Process => None,
        };
        let content = Change { file: &self.locked, content: Some(bytes) };
        // safeguard: save-published-under-group-lock
        let judged = judging::judge(&[content], options, deadline, signals)?;
        let replace = || temporary.rename(&self.locked.target.name);
        let retention = self.change(source.as_ref(), earlier, options, replace, &mut written)?;
        drop(judged);
        let stamped = self.locked.stamp_content(synced.as_ref());
        Ok(Published::Changed { written, stamped, retention })
    }

    /// Releases the lock, and makes durable what is published. The next writer need not wait
    /// for that: the sync of its own change is a sync of this change too, since both are in
    /// the same folder. What others may rely on before that sync, they sync themselves (see
    /// [`LockedFile::sync_name`]).
    fn finish(self, published: Published, options: &WriteOptions) -> Result<Written> {
        let none = Retention::default();
        let retention = match &published {
            Published::InPlace(_) => &none,
            Published::Changed { retention, .. } => retention,
        };
        let file = &self.locked;
        let compressions = closing::begin(slice::from_ref(file), &retention.outdated, options);
        // safeguard: release-before-sync
        file.lock.release();
        if options.durability == Durability::Full {
            match &published {
                Published::InPlace(same) => file.ensure_durable(same)?,
                Published::Changed { stamped, .. } => file.sync_name(stamped.as_ref())?,
            }
        }
        let mut written = match published {
            Published::InPlace(_) => {
                COUNTERS.unchanged_saves.count();
                Written::default()
            }
            Published::Changed { mut written, retention, .. } => {
                retention.prune(&file.target, &mut written.warnings);
                written
            }
        };
        written.warnings.extend(compressions.finish(options).into_iter().flatten());
        Ok(written)
    }

    /// Removes the file, keeping its content as the newest backup. The lock is released as for
    /// [`Self::save`].
    ///
    /// # Errors
    ///
    /// Any [`Error`]; but for [`Error::NotDurable`] the file is as it was.
    pub fn delete(
        self,
        options: &WriteOptions,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Written> {
        self.locked.require_own()?;
        let target = &self.locked.target;
        let live = target.stat()?.ok_or_else(|| missing(target))?;
        self.locked.check_version(Some(&live), options.if_version.as_deref())?;
        let replaced = Some(Identity::of(&live).key().into());
        let Swept { warnings, .. } = sweep::sweep(&self.locked, None, options);
        let mut written = Written { replaced, backup: None, warnings };
        let unlink = || {
            fs::unlinkat(&target.folder, &target.name, AtFlags::empty())
                .map_err(|errno| target.failed(UNLINK, errno))
        };
        let earlier = self.earlier(Some(Identity::of(&live)), options.backups_kept > 0)?;
        let source = if options.backups_kept > 0 {
            Some(self.locked.backup_source(Arc::new(Live::open(target, "open")?), false))
        } else {
            None
        };
        let gone = Change { file: &self.locked, content: None };
        // safeguard: deletion-published-under-group-lock
        let judged = judging::judge(&[gone], options, deadline, signals)?;
        let retention = self.change(source.as_ref(), earlier, options, unlink, &mut written)?;
        drop(judged);
        self.finish(Published::Changed { written, stamped: None, retention }, options)
    }

    /// The file's backups, newest first.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn backups(&self) -> Result<Vec<Backup>> {
        backup::of_those(&self.locked.target, self.locked.listed()?)
    }

    /// Opens a backup, or finds none any more.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open_backup(&self, backup: &Backup) -> Result<Option<Opened<'_>>> {
        Opened::open(&self.locked.target, backup)
    }

    /// Removes the backups that are too many or too old. Returns their names.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read, or a backup cannot be removed.
    pub fn prune(&self, options: &WriteOptions) -> Result<Vec<OsString>> {
        let WriteOptions { backups_kept: kept, backups_max_age: max_age, zone, .. } = *options;
        self.locked.require_own()?;
        let mut backups = self.backups()?;
        backups.reverse();
        for doubled in backups.iter().filter(|backup| backup.doubled) {
            compression::remove_superseded(&self.locked.target, doubled)?;
        }
        let outdated = retention::to_prune(backups, kept, max_age, zone);
        for backup in &outdated {
            // The index may go on naming it: each backup in an index is looked for.
            links::remove(&self.locked.target, backup)?;
        }
        Ok(outdated.into_iter().map(|backup| backup.name).collect())
    }

    /// The backups that there are. Where no new backup is `needed`, only those that the index
    /// names. To be called before the sync of the content, which leaves the processor's
    /// caches cold for everything after it.
    fn earlier(&self, live: Option<Identity>, needed: bool) -> Result<KnownBackups> {
        index::known_each(&[BackupQuery { locked: &self.locked, live, needed }])
            .pop()
            .unwrap_or_else(|| Ok(KnownBackups::default()))
    }

    /// Makes a change that takes the file's content away, with a backup of the `source`.
    fn change(
        &self,
        source: Option<&BackupSource>,
        earlier: KnownBackups,
        options: &WriteOptions,
        change: impl FnOnce() -> Result<()>,
        written: &mut Written,
    ) -> Result<Retention> {
        let backed_up = self.locked.back_up(source, earlier, options)?;
        if let Err(error) = change() {
            // safeguard: backup-taken-back
            return Err(self.locked.take_back(error, &backed_up));
        }
        Ok(self.locked.release_source(backed_up, options, written))
    }
}

/// A write that everybody sees, and that is not durable yet.
enum Published {
    /// The file had the content already.
    InPlace(Same),
    Changed {
        written: Written,
        /// The content in the sync stamp, whose name is not synced yet.
        stamped: Option<Identity>,
        retention: Retention,
    },
}

/// Replaces the content of `path` with `bytes`, or creates it.
///
/// # Errors
///
/// As for [`Session::open`] and [`Session::save`].
pub fn save(
    path: &Path,
    bytes: &[u8],
    options: &WriteOptions,
    signals: &dyn Signals,
) -> Result<Written> {
    let target = Target::resolve(path, options.make_parents)?;
    let deadline = Deadline::after(options.timeout);
    Session::acquire(target, &deadline, signals)?.save(bytes, options, &deadline, signals)
}

/// Removes the file, keeping its content as the newest backup.
///
/// # Errors
///
/// As for [`Session::open`] and [`Session::delete`].
pub fn delete(path: &Path, options: &WriteOptions, signals: &dyn Signals) -> Result<Written> {
    // A first look without the lock: the deletion of a missing file makes no sidecar.
    let target = Target::resolve(path, false)?;
    let deadline = Deadline::after(options.timeout);
    recovery::recover(&target, &deadline, signals)?;
    target.stat()?.ok_or_else(|| missing(&target))?;
    Session::acquire(target, &deadline, signals)?.delete(options, &deadline, signals)
}

/// The backups of the file that `path` leads to, newest first, and their folder. Needs no
/// lock: the content of a backup never changes.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn backups(path: &Path) -> Result<(Target, Vec<Backup>)> {
    // As every use of a file, this recovers an interrupted batch. A listing needs no right
    // to write, so a failure of the recovery is no failure of the listing.
    let _ = recovery::pending(path);
    let target = Target::resolve(path, false)?;
    let backups = backup::newest_first(&target)?;
    Ok((target, backups))
}

fn missing(target: &Target) -> Error {
    Error::NotFound { path: target.given_path.clone() }
}
