//! Batches whose writer died: completed if they were decided, else taken back,
//! on the first use of any of their files. A writer killed in here leaves the
//! same work to the next.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{FixedOffset, Offset, Utc};
use rustix::fs::{self, Access, AtFlags, CWD};
use rustix::io::Errno;

use super::atomic;
use super::backup::{self, Backup, Opened};
use super::identity::{FileKey, Identity};
use super::journal::{self, Change, Found, Journal};
use super::lock::{self, Deadline, Lock, Signals};
use super::snapshot::{self, Snapshot};
use super::target::Target;
use super::temporary;
use crate::error::{Error, FOLLOW_LINK, RENAME_OF_BATCH, Result};
use crate::statistics::COUNTERS;

/// How often a load starts over because a batch was recovered under it.
const READ_ATTEMPTS: usize = 8;

/// Reads the file that `path` leads to, for a load: as the last batch that was
/// decided left it, whether or not that batch came to rename it. Needs no lock
/// and no permission to write.
///
/// # Errors
///
/// As for [`snapshot::read`].
pub fn read(path: &Path) -> Result<Snapshot> {
    for _ in 0..READ_ATTEMPTS {
        let (found, folder) = match snapshot::read_at(CWD, path, path) {
            // A symlink: the journal is beside what it leads to.
            Err(error) if error.errno() == Some(Errno::LOOP.raw_os_error()) => {
                let target = match Target::resolve(path, false) {
                    Ok(target) => target,
                    Err(refused) => return read_as_open(path, refused),
                };
                (snapshot::read_at(&target.folder, Path::new(&target.name), path), Some(target))
            }
            found => (found, None),
        };
        // After the read: a batch decided later changes the ctime of what was
        // read, and by that its identity.
        let involved = match folder {
            Some(target) if journal::exists(&target.folder) => target,
            None if journal::exists_beside(path) => Target::resolve(path, false)?,
            _ => return found,
        };
        match recover(&involved, &Deadline::now(), &Undisturbed) {
            Ok(Outcome::Unconcerned) => return found,
            Ok(Outcome::Recovered) => {}
            // A writer is at work: until it is done, this is not to be kept.
            Ok(Outcome::Undecided) | Err(Error::LockTimeout { .. }) => return found.map(unkept),
            // Not ours to complete: on a read-only file system, say.
            Err(_) if lock::journal_is_held(&involved) => return found.map(unkept),
            Err(error) => {
                if let Some(decided) = read_decided(&involved, found, error)? {
                    return Ok(decided);
                }
            }
        }
    }
    snapshot::read(path)
}

/// Reads what the kernel opens by a path whose file a save could not replace: an open
/// descriptor of a file without a name, say.
fn read_as_open(path: &Path, refused: Error) -> Result<Snapshot> {
    snapshot::read(path).map_err(|error| match refused {
        // It does not open it either, and this says why.
        Error::Syscall { call: FOLLOW_LINK, .. } if error.errno() == refused.errno() => refused,
        _ => error,
    })
}

/// What a load may do about a file's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pending {
    /// There is none.
    No,
    /// It was interrupted, and is not ours to complete: [`read`] tells what it
    /// will have done.
    Stuck,
    /// It is being carried out.
    Live,
}

/// Whether a batch changes the file that `path` leads to at this moment. One
/// that was interrupted is recovered.
#[must_use]
pub fn pending(path: &Path) -> Pending {
    let Ok(target) = Target::resolve(path, false) else { return Pending::No };
    if !journal::exists(&target.folder) {
        return Pending::No;
    }
    match recover(&target, &Deadline::now(), &Undisturbed) {
        Ok(Outcome::Undecided) | Err(Error::LockTimeout { .. }) => Pending::Live,
        Ok(_) => Pending::No,
        Err(_) if lock::journal_is_held(&target) => Pending::Live,
        Err(_) => Pending::Stuck,
    }
}

/// What a look for an interrupted batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is none that concerns the file.
    Unconcerned,
    /// There was one.
    Recovered,
    /// One is at work that has not said yet what it changes.
    Undecided,
}

/// Completes or takes back an interrupted batch that changes `target`.
///
/// # Errors
///
/// [`Error::LockTimeout`] while its writer is alive, [`Error::Unrecovered`], or
/// a failing syscall.
pub fn recover(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Outcome> {
    recover_if(target, |journal| journal.concerns(&target.name), deadline, signals)
}

/// Completes or takes back whatever interrupted batch has its journal in the
/// target's folder.
///
/// # Errors
///
/// As for [`recover`].
pub fn recover_any(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Outcome> {
    recover_if(target, |_| true, deadline, signals)
}

fn recover_if(
    target: &Target,
    concerned: impl Fn(&Journal) -> bool,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Outcome> {
    let mut outcome = Outcome::Unconcerned;
    loop {
        let journal = match journal::read(target)? {
            Found::Nothing => return Ok(outcome),
            Found::Torn if is_live(target, signals)? => return Ok(Outcome::Undecided),
            Found::Torn => continue,
            Found::Whole(journal) if !concerned(&journal) => return Ok(outcome),
            Found::Whole(journal) => journal,
        };
        outcome = Outcome::Recovered;
        let interrupted = Interrupted::of(target, &journal)?;
        let locks = interrupted.lock(deadline, signals)?;
        // Looked at again under the locks: its writer may have been alive, or
        // somebody else have recovered it.
        if journal::read(target)? == Found::Whole(journal.clone()) {
            let now = Interrupted::of(target, &journal)?;
            if now.decision == interrupted.decision {
                now.settle(target, &journal)?;
                COUNTERS.recoveries.count();
            }
        }
        drop(locks);
    }
}

/// Renames what a decided batch has not renamed yet. `folders` are those of the
/// decision's changes, by the way to each; with `keep`, what is in place of the
/// old content by now is backed up.
///
/// # Errors
///
/// When a syscall fails: the journals then stay, and the next use goes on.
pub fn rename(decision: &Journal, folders: &BTreeMap<&Path, &Target>, keep: bool) -> Result<()> {
    for change in &decision.changes {
        let way = change.folder.to_path();
        let Some(target) = folders.get(way.as_path()) else { continue };
        let temporary = change.temporary();
        if keep && is_there(target, &temporary)? {
            back_up(target, change, decision.backups)?;
        }
        let name = change.name.to_path();
        match temporary::publish(target, &temporary, name.as_os_str(), RENAME_OF_BATCH) {
            // Renamed already, before the batch was interrupted.
            Err(error) if error.errno() == Some(Errno::NOENT.raw_os_error()) => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Waits until the renames of a batch are on the disk.
///
/// # Errors
///
/// When a sync fails: the journals then stay, and the next use goes on.
pub fn sync(folders: &BTreeMap<&Path, &Target>) -> Result<()> {
    folders.values().try_for_each(|target| {
        atomic::flush(&target.folder)
            .map_err(|errno| target.failed("fsync of its folder (to complete a batch)", errno))
    })
}

/// Removes the journals of a batch that has been completed.
///
/// # Errors
///
/// When an unlink fails.
pub fn close(folders: &BTreeMap<&Path, &Target>) -> Result<()> {
    // The decision first: without it the others are only leftovers.
    if let Some(decided_in) = folders.get(Path::new(".")) {
        journal::remove(decided_in)?;
    }
    folders.values().try_for_each(|target| journal::remove(target))
}

/// A batch that was interrupted, as its journals tell.
struct Interrupted {
    /// The journal that decides it, if it came to that, and its folder.
    decision: Option<Journal>,
    /// The folder of each way in the decision; of an undecided batch, only the
    /// one whose journal was met.
    folders: BTreeMap<std::path::PathBuf, Target>,
}

impl Interrupted {
    fn of(target: &Target, met: &Journal) -> Result<Self> {
        let here = journal::follow(target, Path::new("."))?;
        let (decided_in, decision) = match &met.decided_in {
            None => (here, Some(met.clone())),
            Some(way) => {
                let there = folder_of_batch(target, target, met, &way.to_path())?;
                match journal::read(&there)? {
                    Found::Whole(decision) if decision.batch == met.batch => {
                        (there, Some(decision))
                    }
                    _ => (here, None),
                }
            }
        };
        let mut folders = BTreeMap::new();
        if let Some(decision) = &decision {
            for change in &decision.changes {
                let way = change.folder.to_path();
                if way != Path::new(".") && !folders.contains_key(&way) {
                    let folder = folder_of_batch(target, &decided_in, decision, &way)?;
                    folders.insert(way, folder);
                }
            }
        }
        folders.insert(".".into(), decided_in);
        Ok(Self { decision, folders })
    }

    fn lock(&self, deadline: &Deadline, signals: &dyn Signals) -> Result<Vec<Lock>> {
        lock_journals(self.folders.values(), deadline, signals)
    }

    fn settle(&self, target: &Target, met: &Journal) -> Result<()> {
        if let Some(decision) = &self.decision {
            let folders =
                self.folders.iter().map(|(way, folder)| (way.as_path(), folder)).collect();
            rename(decision, &folders, true)?;
            sync(&folders)?;
            return close(&folders);
        }
        for change in &met.changes {
            match fs::unlinkat(&target.folder, change.temporary(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(target.failed("unlink (to take a batch back)", errno)),
            }
        }
        journal::remove(target)
    }
}

/// Takes the journal locks of folders, in the one order that everybody takes
/// them in.
///
/// # Errors
///
/// As for [`Lock::of_journal`].
pub fn lock_journals<'a>(
    folders: impl Iterator<Item = &'a Target>,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Vec<Lock>> {
    let mut by_key: BTreeMap<FileKey, &Target> = BTreeMap::new();
    for folder in folders {
        by_key.insert(folder.folder_key()?, folder);
    }
    by_key.values().map(|folder| Lock::of_journal(folder, deadline, signals)).collect()
}

/// Goes the way from the folder of a `journal`, `from`, to another of the batch
/// that was met at `target`.
fn folder_of_batch(
    target: &Target,
    from: &Target,
    journal: &Journal,
    way: &Path,
) -> Result<Target> {
    let followed = match journal::follow(from, way) {
        Err(error) if error.errno() == Some(Errno::NOENT.raw_os_error()) => None,
        followed => Some(followed?),
    };
    match followed {
        Some(folder) if journal.knows(way, &folder)? => Ok(folder),
        _ => {
            let reason = format!(
                "its folder {} is not there as it was (moved, or not mounted): bring it back, or \
                 give the batch up by removing .oasis_data/journal",
                way.display()
            );
            Err(Error::Unrecovered { path: target.spelt.clone(), reason })
        }
    }
}

/// Whether somebody is still writing a journal that is not whole. One whose
/// writer died over it decides nothing, and is removed.
fn is_live(target: &Target, signals: &dyn Signals) -> Result<bool> {
    let _lock = match Lock::of_journal(target, &Deadline::now(), signals) {
        Ok(lock) => lock,
        Err(Error::LockTimeout { .. }) => return Ok(true),
        Err(error) => return Err(error),
    };
    if journal::read(target)? == Found::Torn {
        journal::remove(target)?;
    }
    Ok(false)
}

fn is_there(target: &Target, name: &Path) -> Result<bool> {
    match fs::accessat(&target.folder, name, Access::EXISTS, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(target.failed("faccessat of its new content", errno)),
    }
}

/// Backs up what is about to be replaced, by a copy: since the batch was
/// interrupted another program may have replaced the file, or opened it to write
/// into what its backup is a link to. What the batch has not seen is kept even
/// where no backups are made.
fn back_up(folder: &Target, change: &Change, zone: Option<i32>) -> Result<()> {
    let file = journal::follow(folder, Path::new("."))?.called(&change.name.to_path());
    let Some(live) = file.stat()? else { return Ok(()) };
    let seen = change.replaces.as_ref() == Some(&Identity::of(&live).content());
    if zone.is_none() && seen {
        return Ok(());
    }
    let zone = FixedOffset::east_opt(zone.unwrap_or(0)).unwrap_or(Utc.fix());
    let backups = backup::list(&file)?;
    match backups.last() {
        Some(newest) if backup::is_live(&file, newest, &live)? => backup::part(&file, newest),
        Some(newest) if is_copy(&file, newest)? => Ok(()),
        _ => backup::take(&file, None, &backups, zone).map(drop),
    }
}

/// Whether a backup holds just what the file holds: one that was killed in here
/// has made it.
fn is_copy(file: &Target, backup: &Backup) -> Result<bool> {
    let Some(opened) = Opened::open(file, backup)? else { return Ok(false) };
    let live = snapshot::read_at(&file.folder, Path::new(&file.name), &file.spelt)?;
    Ok(opened.read().is_ok_and(|bytes| bytes == live.bytes))
}

/// What the file holds once its batch has been completed; nothing where somebody
/// has just done that, so that it is to be read anew.
fn read_decided(
    target: &Target,
    found: Result<Snapshot>,
    error: Error,
) -> Result<Option<Snapshot>> {
    let Found::Whole(met) = journal::read(target)? else { return Ok(None) };
    match &Interrupted::of(target, &met) {
        Ok(Interrupted { decision: Some(_), .. }) => {}
        Ok(_) => return found.map(unkept).map(Some),
        Err(_) => return Err(error),
    }
    let own = |change: &&Change| {
        change.folder.to_path() == Path::new(".")
            && change.name.to_path() == Path::new(&target.name)
    };
    let Some(change) = met.changes.iter().find(own) else { return Ok(None) };
    match snapshot::read_at(&target.folder, &change.temporary(), &target.spelt) {
        // Renamed before it was interrupted, or just now.
        Err(Error::NotFound { .. }) => {
            snapshot::read_at(&target.folder, Path::new(&target.name), &target.spelt)
        }
        decided => decided,
    }
    .map(unkept)
    .map(Some)
}

fn unkept(snapshot: Snapshot) -> Snapshot {
    Snapshot { stable: false, ..snapshot }
}

/// A load does not wait, so nothing can interrupt it.
struct Undisturbed;

impl Signals for Undisturbed {
    fn pending(&self) -> bool {
        false
    }
}
