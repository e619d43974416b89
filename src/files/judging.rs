//! The judgement of a write: what the other documents hold is read under the lock of their
//! group, and the write is published before that lock is released. So what was judged is what
//! the write leads to.
//!
//! Locks are taken in one order: those of the data files, then the lock of the group, then
//! those of journals. Nobody who holds the lock of a group waits for the lock of a data file.

use std::path::Path;

use rustix::io::Errno;

use crate::engine::deadline::Deadline;
use crate::engine::judge::{Contents, Judge, State};
use crate::engine::signals::Signals;
use crate::engine::write::WriteOptions;
use crate::error::{Error, OPEN_FOLDER, Result};
use crate::files::batch::recovery;
use crate::files::identity::Synced;
use crate::files::lock::{self, Lock};
use crate::files::locked::LockedFile;
use crate::files::read::{self, Snapshot};
use crate::files::sys::sync;
use crate::files::target::Target;
use crate::settings::Durability;

/// What a write makes of a data file.
pub(crate) struct Change<'a> {
    pub(crate) file: &'a LockedFile,
    /// Its new content; nothing for a deletion.
    pub(crate) content: Option<&'a [u8]>,
}

/// A write that was judged, to be published while this lives: no other write of the group is
/// published meanwhile.
#[derive(Debug)]
pub(crate) struct Judged {
    _group: Option<Lock>,
}

/// Judges what the changes, in the order in which the caller names them, lead to.
///
/// # Errors
///
/// [`Error::Refused`]; when the lock of the group cannot be had, or another document cannot be
/// read.
pub(crate) fn judge(
    changes: &[Change<'_>],
    options: &WriteOptions,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Judged> {
    let (Some(judge), Some(first)) = (&options.judge, changes.first()) else {
        return Ok(Judged { _group: None });
    };
    let path = &first.file.target.given_path;
    // safeguard: group-lock
    let lock = || {
        let group = judge.group().map(|group| lock_group(group, path, options, deadline, signals));
        group.transpose()
    };
    let read = || read_companions(judge.companions(), deadline, signals);
    // In this order: what is read before the lock is had may be something else by then.
    // safeguard: companions-under-lock
    let (group, companions) = (lock()?, read()?);
    let judged = Judged { _group: group };
    let before = if judge.wants_before() {
        changes.iter().map(|change| change.file.read()).collect::<Result<_>>()?
    } else {
        Vec::new()
    };
    let state = State {
        before: contents(before.iter().map(Option::as_ref)),
        after: changes.iter().map(|change| change.content).collect(),
        companions: contents(companions.iter().map(|companion| companion.found.as_ref())),
    };
    refuse(path, &**judge, &state)?;
    if options.durability == Durability::Full {
        ensure_durable(&companions, changes)?;
    }
    Ok(judged)
}

/// The error of a state that the judge refuses.
fn refuse(path: &Path, judge: &dyn Judge, state: &State<'_>) -> Result<()> {
    judge.judge(state).map_err(|reason| Error::Refused { path: path.to_path_buf(), reason })
}

fn contents<'a>(found: impl Iterator<Item = Option<&'a Snapshot>>) -> Contents<'a> {
    found.map(|found| found.map(|snapshot| &*snapshot.bytes)).collect()
}

fn lock_group(
    group: &Path,
    path: &Path,
    options: &WriteOptions,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Lock> {
    let target = Target::resolve(group, options.make_parents)?;
    Lock::of_group(&target, deadline, signals).map_err(|error| error.of_wait_for(path))
}

/// Another document of the judgement.
struct Companion {
    /// Nothing where its folder is not there.
    target: Option<Target>,
    found: Option<Snapshot>,
}

/// Reads the documents as the last decided batch leaves them: a batch that was interrupted is
/// recovered first, or its documents would change after they were read.
fn read_companions(
    paths: &[impl AsRef<Path>],
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Vec<Companion>> {
    let read = |path: &Path| {
        let target = match Target::resolve_to_load(path) {
            Err(Error::Syscall { call: OPEN_FOLDER, source, .. })
                if source.raw_os_error() == Some(Errno::NOENT.raw_os_error()) =>
            {
                return Ok(Companion { target: None, found: None });
            }
            target => target?,
        };
        // safeguard: companion-recovered
        recovery::recover(&target, deadline, signals)?;
        let found = match read::read_at(&target.folder, Path::new(&target.name), path) {
            Err(Error::NotFound { .. }) => None,
            found => Some(found?),
        };
        Ok(Companion { target: Some(target), found })
    };
    paths.iter().map(|path| read(path.as_ref())).collect()
}

/// Waits until the names of the documents that were read are on the disk: a writer releases the
/// lock of the group before it syncs its folder. After a power cut a write must not be there
/// without what it was judged by.
fn ensure_durable(companions: &[Companion], changes: &[Change<'_>]) -> Result<()> {
    // Of one folder, the sync of a later change is a sync of all earlier changes. The decision of a
    // batch comes before the sync of its folders.
    let mut synced = match changes {
        [change] => vec![change.file.target.folder_key()?],
        _ => Vec::new(),
    };
    for Companion { target, found } in companions {
        let Some(target) = target else { continue };
        let folder = target.folder_key()?;
        let stamped = |found: &Snapshot| lock::synced(target, &found.identity);
        if synced.contains(&folder)
            || found.as_ref().and_then(stamped) == Some(Synced::ContentAndName)
        {
            continue;
        }
        // safeguard: companion-durable-first
        sync::sync_folder_at(&target.folder, ".")
            .map_err(|errno| target.failed("fsync of its folder", errno))?;
        synced.push(folder);
    }
    Ok(())
}
