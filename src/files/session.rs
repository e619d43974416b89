//! Saves and deletions of whole files, composed of the other rooms.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, Stat};

use crate::error::{Error, Result, UNLINK};
use crate::files::backup::closing;
use crate::files::backup::compression;
use crate::files::backup::index::{self, BackupQuery, KnownBackups};
use crate::files::backup::links;
use crate::files::backup::retention;
use crate::files::backup::source::BackupSource;
use crate::files::backup::{self, Backup, Opened};
use crate::files::batch::recovery;
use crate::files::identity::Identity;
use crate::files::lock::{Deadline, Lock, Owner};
use crate::files::locked::LockedFile;
use crate::files::read::{self, Same, Snapshot};
use crate::files::signals::Signals;
use crate::files::sweep;
use crate::files::target::Target;
use crate::files::temporary::Temporary;
use crate::files::warning::Warning;
pub use crate::files::write::{WriteOptions, Written};
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

    /// Takes the lock of `target`, and puts it in order if a batch that
    /// changes it was interrupted.
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

    /// Leaves the lock to its `owner`, before the call that took it returns: see
    /// [`crate::files::fork::Descriptor`] too.
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

    /// Refuses where the lock's file is gone, with all of `.oasis_data` perhaps (`git clean
    /// -x`): others then lock a new one. For a change that may be long after its beginning.
    ///
    /// # Errors
    ///
    /// [`Error::LockGone`], or when an `fstatat` fails.
    pub fn require_current(&self) -> Result<()> {
        self.locked.require_current()
    }

    /// Replaces the file's content with `bytes`, or creates it.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; but for [`Error::NotDurable`] the file is as it was.
    pub fn save(&self, bytes: &[u8], options: &WriteOptions) -> Result<Written> {
        self.publish(self.prepare(bytes, None, options)?, options)
    }

    /// Makes the `bytes` of a backup the file's content. A file that is gone gets
    /// the backup's owner, mode and extended attributes: they were its own.
    ///
    /// # Errors
    ///
    /// As for [`Self::save`].
    pub fn restore(
        &self,
        backup: &Backup,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> Result<Written> {
        let opened = self.open_backup(backup)?;
        let model = opened.as_ref().map(Opened::file);
        self.publish(self.prepare(bytes, model, options)?, options)
    }

    fn publish(&self, prepared: Preparation<'_>, options: &WriteOptions) -> Result<Written> {
        let Prepared { temporary, before, source, mut written } = match prepared {
            Preparation::InPlace(same) => {
                if options.durability == Durability::Full {
                    self.locked.ensure_durable(&same)?;
                }
                COUNTERS.unchanged_saves.count();
                return Ok(Written::default());
            }
            Preparation::Change(prepared) => *prepared,
        };
        let earlier = self.earlier(before, source.is_some())?;
        let synced = match options.durability {
            Durability::Full => Some(temporary.sync()?),
            Durability::Process => None,
        };
        let replace = || temporary.rename(&self.locked.target.name);
        self.change(source.as_ref(), earlier, options, replace, &mut written)?;
        self.locked.stamp_as_synced(synced.as_ref());
        Ok(written)
    }

    /// Writes `bytes` beside the file, but not to the disk, if there is
    /// anything to change. Where there is no file, it resembles the `model`.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; the file is as it was.
    pub(crate) fn prepare(
        &self,
        bytes: &[u8],
        model: Option<&File>,
        options: &WriteOptions,
    ) -> Result<Preparation<'_>> {
        self.locked.require_own()?;
        let target = &self.locked.target;
        let live = target.stat()?;
        // What nobody could read may be all there is: no setting lets it go.
        let corrupt = live.is_some_and(|live| self.is_corrupt(&live, options));
        let keep = options.backups_kept > 0 || corrupt;
        if keep {
            backup::require_room(target)?;
        }
        self.locked.check_version(live.as_ref(), options.if_version.as_deref())?;
        if options.skip_unchanged
            && live.is_some_and(|live| u64::try_from(live.st_size) == Ok(bytes.len() as u64))
            && let Some(same) = read::if_same(target, bytes)?
        {
            return Ok(Preparation::InPlace(same));
        }
        let mut warnings = sweep::sweep(&self.locked, options);
        let mut temporary = match model {
            Some(model) if live.is_none() => {
                let stat = fs::fstat(model).map_err(|errno| target.failed("fstat", errno))?;
                Temporary::resembling(target, &stat, model)?
            }
            _ => Temporary::create(target, live.as_ref())?,
        };
        warnings.extend(temporary.take_warnings());
        temporary.fill(bytes, options.durability)?;
        let before = live.as_ref().map(Identity::of);
        let source = live.filter(|_| keep).map(|stat| self.locked.backup_source(stat, corrupt));
        Ok(Preparation::Change(Box::new(Prepared {
            temporary,
            before,
            source,
            written: Written {
                replaced: before.map(|before| before.key()),
                backup: None,
                warnings,
            },
        })))
    }

    /// Removes the file, keeping its content as the newest backup.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; but for [`Error::NotDurable`] the file is as it was.
    pub fn delete(&self, options: &WriteOptions) -> Result<Written> {
        self.locked.require_own()?;
        let target = &self.locked.target;
        let live = target.stat()?.ok_or_else(|| missing(target))?;
        self.locked.check_version(Some(&live), options.if_version.as_deref())?;
        let replaced = Some(Identity::of(&live).key());
        let mut written =
            Written { replaced, backup: None, warnings: sweep::sweep(&self.locked, options) };
        let unlink = || {
            fs::unlinkat(&target.folder, &target.name, AtFlags::empty())
                .map_err(|errno| target.failed(UNLINK, errno))
        };
        let source = (options.backups_kept > 0).then(|| self.locked.backup_source(live, false));
        let earlier = self.earlier(Some(Identity::of(&live)), source.is_some())?;
        self.change(source.as_ref(), earlier, options, unlink, &mut written)?;
        Ok(written)
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

    /// Lets the lock go after a write, and only then compresses backups: nobody
    /// waits for that.
    #[must_use]
    pub fn close(self, options: &WriteOptions) -> Vec<Warning> {
        closing::close_all(vec![self.locked], options).pop().unwrap_or_default()
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
        let surplus = retention::to_prune(backups, kept, max_age, zone);
        for backup in &surplus {
            // An index of them finds that they are gone.
            links::discard(&self.locked.target, backup)?;
        }
        Ok(surplus.into_iter().map(|backup| backup.name).collect())
    }

    /// Whether a reader was told that the file is no document, and it still is none: a
    /// change of its mode, its times or its rest has made it no better.
    fn is_corrupt(&self, live: &Stat, options: &WriteOptions) -> bool {
        let parses = |found: &Snapshot| options.host.parses(&found.bytes);
        options.host.found_corrupt(Identity::of(live).key())
            // What cannot be read may be precious.
            && !self.read().is_ok_and(|found| found.as_ref().is_none_or(parses))
    }

    /// The backups that there are: as far as that is known, if no other is to be made.
    /// Before the content's sync: that leaves the processor's caches cold for all that
    /// comes after it.
    fn earlier(&self, live: Option<Identity>, needed: bool) -> Result<KnownBackups> {
        index::known_each(&[BackupQuery { locked: &self.locked, live, needed }])
            .pop()
            .unwrap_or_else(|| Ok(KnownBackups::default()))
    }

    /// Makes a change that takes the file's content away, durable when this
    /// returns, with a backup of what is to be `kept`.
    fn change(
        &self,
        source: Option<&BackupSource>,
        earlier: KnownBackups,
        options: &WriteOptions,
        change: impl FnOnce() -> Result<()>,
        written: &mut Written,
    ) -> Result<()> {
        let backed_up = self.locked.back_up(source, earlier, options)?;
        if let Err(error) = change() {
            return Err(self.locked.take_back(error, &backed_up));
        }
        let backups = self.locked.release_source(backed_up, written);
        if options.durability == Durability::Full {
            self.locked.target.sync_folder()?;
        }
        self.locked.prune_after(backups, options, &mut written.warnings);
        Ok(())
    }
}

/// What is to be done for a save.
pub(crate) enum Preparation<'a> {
    /// Nothing but to make it durable: the file has the content.
    InPlace(Same),
    /// The file is to be replaced.
    Change(Box<Prepared<'a>>),
}

/// A save whose content stands ready beside the file.
pub(crate) struct Prepared<'a> {
    /// The new content.
    pub(crate) temporary: Temporary<'a>,
    /// Which content was there before.
    pub(crate) before: Option<Identity>,
    /// The content to be backed up.
    pub(crate) source: Option<BackupSource>,
    /// What can be told of the write so far.
    pub(crate) written: Written,
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
    let locked = Session::open(path, options, signals)?;
    let mut written = locked.save(bytes, options)?;
    written.warnings.extend(locked.close(options));
    Ok(written)
}

/// Removes the file, keeping its content as the newest backup.
///
/// # Errors
///
/// As for [`Session::open`] and [`Session::delete`].
pub fn delete(path: &Path, options: &WriteOptions, signals: &dyn Signals) -> Result<Written> {
    // Looked at first without the lock: asking for a missing file's deletion
    // leaves no sidecar behind.
    let target = Target::resolve(path, false)?;
    let deadline = Deadline::after(options.timeout);
    recovery::recover(&target, &deadline, signals)?;
    target.stat()?.ok_or_else(|| missing(&target))?;
    let locked = Session::acquire(target, &deadline, signals)?;
    let mut written = locked.delete(options)?;
    written.warnings.extend(locked.close(options));
    Ok(written)
}

/// The backups of the file that `path` leads to, newest first, and where they
/// are. Needs no lock: the content of a backup never changes once it is there.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn backups(path: &Path) -> Result<(Target, Vec<Backup>)> {
    // A use of the file like any other; but to list needs no right to write.
    let _ = recovery::pending(path);
    let target = Target::resolve(path, false)?;
    let backups = backup::newest_first(&target)?;
    Ok((target, backups))
}

fn missing(target: &Target) -> Error {
    Error::NotFound { path: target.given_path.clone() }
}
