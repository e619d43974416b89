//! Saves and deletions of whole files, composed of the other rooms.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::FixedOffset;
use rustix::fs::{self, AtFlags, Stat};

use crate::error::{Error, Result, UNLINK};
use crate::files::backup::compression;
use crate::files::backup::index::{self, BackupQuery, KnownBackups};
use crate::files::backup::source::BackupSource;
use crate::files::backup::{self, Backup, Opened};
use crate::files::batch::recovery;
use crate::files::host::Host;
use crate::files::identity::{FileKey, Identity};
use crate::files::lock::{Deadline, Lock, Owner, Signals};
use crate::files::read::{self, MISSING, Same, Snapshot, read_at, version_of};
use crate::files::target::Target;
use crate::files::temporary::{self, Leftover, Temporary};
use crate::files::warning::Warning;
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
    /// Bytes above which a backup is compressed.
    pub compressed_above: Option<u64>,
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
    /// The program around the storage core.
    pub host: &'static dyn Host,
}

/// A write that happened.
#[derive(Debug, Default)]
pub struct Written {
    /// The file that was replaced or removed.
    pub replaced: Option<FileKey>,
    /// The name of the backup that has what was there, not compressed yet.
    pub backup: Option<OsString>,
    /// What went wrong beside it (a backup that could not be pruned): for the
    /// log, since the write itself stands.
    pub warnings: Vec<Warning>,
}

/// A data file that nobody else may write, until dropped.
#[derive(Debug)]
pub struct Session {
    pub(crate) target: Target,
    pub(crate) lock: Lock,
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
        Ok(Self { target, lock })
    }

    /// Leaves the lock to its `owner`, before the call that took it returns: see
    /// [`crate::files::fork::Descriptor`] too.
    ///
    /// # Errors
    ///
    /// When an `fstat` fails.
    pub fn hand_over(&self, owner: Arc<dyn Owner>) -> Result<()> {
        let kept = self.lock.keep().and_then(|()| self.target.folder.keep());
        kept.map_err(|errno| self.target.failed("fstat of its lock", errno))?;
        self.lock.hand_over(&self.target, owner)
    }

    /// The file.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Reads the file, or finds none.
    ///
    /// # Errors
    ///
    /// As for [`crate::files::read::read`], but for a missing file.
    pub fn read(&self) -> Result<Option<Snapshot>> {
        self.require_own()?;
        match read_at(&self.target.folder, Path::new(&self.target.name), &self.target.given_path) {
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
                    self.ensure_durable(&same)?;
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
        let replace = || temporary.rename(&self.target.name);
        self.change(source.as_ref(), earlier, options, replace, &mut written)?;
        self.stamp_as_synced(synced.as_ref());
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
        self.require_own()?;
        let target = &self.target;
        let live = target.stat()?;
        // What nobody could read may be all there is: no setting lets it go.
        let corrupt = live.is_some_and(|live| self.is_corrupt(&live, options));
        let keep = options.backups_kept > 0 || corrupt;
        if keep {
            backup::require_room(target)?;
        }
        self.check_version(live.as_ref(), options)?;
        if options.skip_unchanged
            && live.is_some_and(|live| u64::try_from(live.st_size) == Ok(bytes.len() as u64))
            && let Some(same) = read::if_same(target, bytes)?
        {
            return Ok(Preparation::InPlace(same));
        }
        let mut warnings = self.sweep(options);
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
        let source = live.filter(|_| keep).map(|stat| self.backup_source(stat, corrupt));
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
        self.require_own()?;
        let target = &self.target;
        let live = target.stat()?.ok_or_else(|| missing(target))?;
        self.check_version(Some(&live), options)?;
        let replaced = Some(Identity::of(&live).key());
        let mut written = Written { replaced, backup: None, warnings: self.sweep(options) };
        let unlink = || {
            fs::unlinkat(&target.folder, &target.name, AtFlags::empty())
                .map_err(|errno| target.failed(UNLINK, errno))
        };
        let source = (options.backups_kept > 0).then(|| self.backup_source(live, false));
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
        backup::of_those(&self.target, self.listed()?)
    }

    /// Opens a backup, or finds none any more.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open_backup(&self, backup: &Backup) -> Result<Option<Opened<'_>>> {
        Opened::open(&self.target, backup)
    }

    /// Lets the lock go after a write, and only then compresses backups: nobody
    /// waits for that.
    #[must_use]
    pub fn close(self, options: &WriteOptions) -> Vec<Warning> {
        Self::close_all(vec![self], options).pop().unwrap_or_default()
    }

    /// Lets all locks go, and only then compresses the backups of each file.
    #[must_use]
    pub(crate) fn close_all(files: Vec<Self>, options: &WriteOptions) -> Vec<Vec<Warning>> {
        let mut warnings: Vec<Vec<Warning>> = files.iter().map(|_| Vec::new()).collect();
        let Some(above) = options.compressed_above else { return warnings };
        let asked = files.iter().map(|file| {
            let live = file.target.stat().ok().flatten().as_ref().map(Identity::of);
            BackupQuery { locked: file, live, needed: true }
        });
        let known = index::known_each(&asked.collect::<Vec<_>>());
        let (targets, locks): (Vec<_>, Vec<_>) =
            files.into_iter().map(|Self { target, lock }| (target, lock)).unzip();
        let backups = known.into_iter().zip(&mut warnings).map(|(known, warnings)| {
            known.map_or_else(
                |error| {
                    warnings.push(error.into());
                    Vec::new()
                },
                |known| known.all,
            )
        });
        let backups: Vec<_> = backups.collect();
        let begun = targets.iter().zip(&backups);
        let begun = begun.map(|(target, backups)| compression::begin(target, backups, above));
        let begun: Vec<_> = begun.collect();
        drop(locks);
        let sync = options.durability == Durability::Full;
        for ((begun, mut failures), warnings) in begun.into_iter().zip(&mut warnings) {
            failures.extend(begun.into_iter().filter_map(|begun| begun.finish(sync).err()));
            warnings.extend(failures.into_iter().map(Warning::from));
        }
        warnings
    }

    /// Removes the backups that are too many or too old. Returns their names.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read, or a backup cannot be removed.
    pub fn prune(&self, options: &WriteOptions) -> Result<Vec<OsString>> {
        let WriteOptions { backups_kept: kept, backups_max_age: max_age, zone, .. } = *options;
        self.require_own()?;
        let mut backups = self.backups()?;
        backups.reverse();
        for doubled in backups.iter().filter(|backup| backup.doubled) {
            compression::remove_superseded(&self.target, doubled)?;
        }
        let surplus = backup::to_prune(backups, kept, max_age, zone);
        for backup in &surplus {
            // An index of them finds that they are gone.
            backup::discard(&self.target, backup)?;
        }
        Ok(surplus.into_iter().map(|backup| backup.name).collect())
    }

    /// In a child forked since, the lock is still the parent's; and what the application
    /// has closed locks nothing.
    fn require_own(&self) -> Result<()> {
        if self.lock.is_own() && self.target.folder.own().is_some() {
            return Ok(());
        }
        Err(Error::LockGone { path: self.target.given_path.clone() })
    }

    /// Refuses where the lock's file is gone, with all of `.oasis_data` perhaps (`git clean
    /// -x`): others then lock a new one. For a change that may be long after its beginning.
    ///
    /// # Errors
    ///
    /// [`Error::LockGone`], or when an `fstatat` fails.
    pub fn require_current(&self) -> Result<()> {
        self.require_own()?;
        if self.lock.is_current(&self.target)? {
            return Ok(());
        }
        Err(Error::LockGone { path: self.target.given_path.clone() })
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
            path: self.target.given_path.clone(),
            expected: some_file(expected.clone()),
            found: some_file(found),
        })
    }

    /// Notes that what was synced is now the file's content, if nobody has
    /// changed that since: the rename alone has given it another ctime.
    pub(crate) fn stamp_as_synced(&self, synced: Option<&Identity>) {
        if let (Some(synced), Ok(Some(stat))) = (synced, self.target.stat()) {
            let now = Identity::of(&stat);
            if now.differs_by_ctime_only(synced) {
                self.lock.leave_sync_stamp(&now.sync_stamp());
            }
        }
    }

    /// Makes a file durable that has the right content already: whoever wrote
    /// it may not have synced it.
    pub(crate) fn ensure_durable(&self, same: &Same) -> Result<()> {
        fs::fsync(&same.descriptor).map_err(|errno| self.target.failed("fsync", errno))?;
        self.lock.leave_sync_stamp(&same.identity.sync_stamp());
        self.target.sync_folder()
    }

    /// Whether a reader was told that the file is no document, and it still is none: a
    /// change of its mode, its times or its rest has made it no better.
    fn is_corrupt(&self, live: &Stat, options: &WriteOptions) -> bool {
        let parses = |found: &Snapshot| options.host.parses(&found.bytes);
        options.host.found_corrupt(Identity::of(live).key())
            // What cannot be read may be precious.
            && !self.read().is_ok_and(|found| found.as_ref().is_none_or(parses))
    }

    /// Removes what dead writers left; but where the file is no document, one of
    /// their temporary files may be the only good copy.
    fn sweep(&self, options: &WriteOptions) -> Vec<Warning> {
        let (leftovers, failures) = temporary::leftovers(&self.target);
        let mut warnings: Vec<Warning> = failures.into_iter().map(Warning::from).collect();
        if leftovers.is_empty() {
            return warnings;
        }
        let parses = match self.read() {
            Ok(found) => found.is_none_or(|found| options.host.parses(&found.bytes)),
            Err(error) => {
                warnings.push(error.into());
                false
            }
        };
        if parses {
            let failed = |leftover: &Leftover| leftover.remove(&self.target).err();
            warnings.extend(leftovers.iter().filter_map(failed).map(Warning::from));
        } else {
            let names = leftovers.into_iter().map(|leftover| leftover.name).collect();
            warnings.push(Warning::LeftoversKept { names });
        }
        warnings
    }

    /// The backups that there are: as far as that is known, if no other is to be made.
    /// Before the content's sync: that leaves the processor's caches cold for all that
    /// comes after it.
    fn earlier(&self, live: Option<Identity>, needed: bool) -> Result<KnownBackups> {
        index::known_each(&[BackupQuery { locked: self, live, needed }])
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
        let backed_up = self.back_up(source, earlier, options)?;
        if let Err(error) = change() {
            return Err(self.take_back(error, &backed_up));
        }
        let backups = self.release_source(backed_up, written);
        if options.durability == Durability::Full {
            self.target.sync_folder()?;
        }
        self.prune_after(backups, options, &mut written.warnings);
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
