//! Recovery of batches whose writer died: rolled forward if they were decided, else rolled
//! back, on the first use of any of their files. A process that is killed in a recovery
//! leaves the same work to the next.

use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::engine::deadline::Deadline;
use crate::engine::signals::Signals;
use crate::error::{Error, FOLLOW_LINK, Result};
use crate::files::batch::interrupted::Interrupted;
use crate::files::batch::journal::{self, Found, Journal, Slot};
use crate::files::batch::roll_forward::{self, Standing};
use crate::files::lock::{self, Lock};
use crate::files::read::{self, Snapshot};
use crate::files::target::Target;
use crate::statistics::COUNTERS;

/// How often a load starts over because a batch was recovered under it.
const READ_ATTEMPTS: usize = 8;

/// Reads the file that `path` leads to, for a load: the content that the last decided batch
/// gave it, even if that batch has not renamed the file yet. Needs no lock, no right to
/// write, and for the folder only the right to search it.
///
/// # Errors
///
/// As for [`read::read`].
pub fn read(path: &Path) -> Result<Snapshot> {
    for attempt in 0..READ_ATTEMPTS {
        let (found, folder) = match read::read_at(CWD, path, path) {
            // A symlink: the journal is beside what it leads to.
            Err(error) if error.errno() == Some(Errno::LOOP.raw_os_error()) => {
                let target = match Target::resolve_to_load(path) {
                    Ok(target) => target,
                    Err(refused) => return read_as_open(path, refused),
                };
                (read::read_at(&target.folder, Path::new(&target.name), path), Some(target))
            }
            found => (found, None),
        };
        // After the read: a batch that is decided later changes the ctime of the file that was
        // read, and so its identity.
        let involved = match folder {
            Some(target) if journal::exists(&target.folder) => target,
            None if journal::exists_beside(path) => Target::resolve_to_load(path)?,
            _ => return found,
        };
        let error = match recover(&involved, &Deadline::now(), &Undisturbed) {
            Ok(Outcome::Recovered) => continue,
            // The next look sees what this look has done.
            Ok(Outcome::Left) if attempt == 0 => continue,
            Ok(Outcome::Unconcerned | Outcome::Left) => return found,
            // A writer is at work: until it is done, no cache may keep this content.
            Ok(Outcome::Undecided) => return found.map(unkept),
            Err(error) => error,
        };
        let held = matches!(error, Error::LockTimeout { .. }) || lock::journal_is_held(&involved);
        match decided(&involved, held) {
            Ok(Decided::Content(snapshot)) => return Ok(unkept(snapshot)),
            // safeguard: live-batch-not-cached
            Ok(Decided::InPlace) => return found.map(unkept),
            Ok(Decided::Again) => {}
            // This user may not read a journal, or a folder of its batch. The load then reads
            // what every program reads that opens the file: one whole version.
            // safeguard: unreadable-journal
            Err(unknown) if held || is_denied(&unknown) => return found.map(unkept),
            Err(_) => return Err(error),
        }
    }
    read::read(path).map(unkept)
}

fn is_denied(error: &Error) -> bool {
    error.errno() == Some(Errno::ACCESS.raw_os_error())
}

/// Reads what the kernel opens by a path through which no save can write: a link in /proc to
/// an open file without a name, say.
fn read_as_open(path: &Path, refused: Error) -> Result<Snapshot> {
    read::read(path).map_err(|error| match refused {
        // The kernel does not follow the symlink either; `refused` says why.
        Error::Syscall { call: FOLLOW_LINK, .. } if error.errno() == refused.errno() => refused,
        _ => error,
    })
}

/// What a load may do about a file's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pending {
    /// There is none.
    No,
    /// It was interrupted, and this user may not recover it: [`read`] reads what the batch
    /// will have made of the file.
    Stuck,
    /// Its writer is at work.
    Live,
}

/// Whether a batch changes the file that `path` leads to at this moment. An interrupted batch
/// is recovered.
#[must_use]
pub fn pending(path: &Path) -> Pending {
    let Ok(target) = Target::resolve_to_load(path) else { return Pending::No };
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

/// The result of a look for an interrupted batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No batch concerns the file.
    Unconcerned,
    /// A batch was recovered.
    Recovered,
    /// A batch cannot be recovered, but for this file it has nothing left to do.
    Left,
    /// A batch is at work that has not written yet what it changes.
    Undecided,
}

/// Rolls forward or back the interrupted batches that change `target`.
///
/// # Errors
///
/// [`Error::LockTimeout`] while its writer is alive, [`Error::Unrecovered`], or
/// a failing syscall: then the file still waits for its new content.
pub fn recover(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Outcome> {
    let concerned = |journal: &Journal| journal.change_of(&target.name).is_some();
    let Looked { outcome, left, .. } = recover_if(target, concerned, deadline, signals)?;
    for Left { slot, journal, error } in left {
        let Some(change) = journal.change_of(&target.name) else { continue };
        let undecided =
            matches!(Interrupted::of(target, &journal), Ok(Interrupted { decision: None, .. }));
        // A batch that its dead writer has not decided never will be: the file stays as it is,
        // even if the batch's content for it cannot be removed.
        // safeguard: refuses-only-open-files
        if !undecided && roll_forward::content_is_there(target, change)? {
            return Err(explained(error, target, slot));
        }
    }
    Ok(outcome)
}

/// Rolls forward or back all interrupted batches with a journal in the target's folder.
/// Batches that cannot be recovered stay.
///
/// # Errors
///
/// [`Error::LockTimeout`] while the writer of a batch is alive, or when the journals cannot
/// be read.
pub fn recover_any(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Stay> {
    let Looked { left, tried, .. } = recover_if(target, |_| true, deadline, signals)?;
    let batches = tried.into_iter().filter_map(|(_, batch)| batch).collect();
    let why = left.into_iter().next_back().map(|left| explained(left.error, target, left.slot));
    Ok(Stay { batches, why })
}

/// The batches that a recovery met in a folder. A batch whose journal is still there stays.
#[derive(Debug)]
pub struct Stay {
    batches: Vec<String>,
    /// Why one of them stays.
    pub why: Option<Error>,
}

impl Stay {
    /// Whether no other batch has a journal in the folder.
    ///
    /// # Errors
    ///
    /// When a journal cannot be read.
    pub fn is_all_in(&self, target: &Target) -> Result<bool> {
        let known = |(_, found): (Slot, Found)| match found {
            Found::Whole(journal) => self.batches.contains(&journal.batch),
            // Torn, while the lock of the journals is held: it decides nothing.
            _ => true,
        };
        Ok(journal::read_all(target)?.into_iter().all(known))
    }
}

/// A batch that could not be recovered, and why.
struct Left {
    slot: Slot,
    journal: Journal,
    error: Error,
}

/// The result of a look at the journals of a folder.
struct Looked {
    outcome: Outcome,
    left: Vec<Left>,
    /// The journals that were met, with the names of their batches. A journal that stays is
    /// not tried again.
    tried: Vec<(Slot, Option<String>)>,
}

fn recover_if(
    target: &Target,
    concerned: impl Fn(&Journal) -> bool,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<Looked> {
    let mut outcome = Outcome::Unconcerned;
    let mut left: Vec<Left> = Vec::new();
    let mut tried = Vec::new();
    loop {
        let mut all = journal::read_all(target)?.into_iter();
        let next = all.find(|(slot, found)| {
            let (concerned, batch) = match found {
                Found::Whole(journal) => (concerned(journal), Some(&journal.batch)),
                _ => (true, None),
            };
            let met =
                |(other, name): &(Slot, Option<String>)| other == slot && name.as_ref() == batch;
            concerned && !tried.iter().any(met)
        });
        let Some((slot, found)) = next else { break };
        let Found::Whole(journal) = &found else {
            if is_live(target, slot, signals)? {
                return Ok(Looked { outcome: Outcome::Undecided, left, tried });
            }
            tried.push((slot, None));
            continue;
        };
        let met = (slot, Some(journal.batch.clone()));
        match recover_one(target, slot, journal, deadline, signals) {
            Ok(false) => {}
            Ok(true) => {
                outcome = Outcome::Recovered;
                tried.push(met);
            }
            Err(error @ (Error::LockTimeout { .. } | Error::Interrupted { .. })) => {
                return Err(error);
            }
            Err(error) => {
                left.push(Left { slot, journal: journal.clone(), error });
                tried.push(met);
            }
        }
    }
    let outcome = if left.is_empty() { outcome } else { Outcome::Left };
    Ok(Looked { outcome, left, tried })
}

/// Recovers a batch. Whether it was recovered: else the journals have changed, and are to be
/// read again.
fn recover_one(
    target: &Target,
    slot: Slot,
    journal: &Journal,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<bool> {
    let interrupted = Interrupted::of(target, journal)?;
    let _locks = interrupted.lock(deadline, signals)?;
    // A second look, under the locks: the writer may have been alive until now, or another
    // process may have recovered the batch.
    if journal::read(target, slot)? != Found::Whole(journal.clone()) {
        return Ok(false);
    }
    let now = Interrupted::of(target, journal)?;
    if now.decision != interrupted.decision {
        return Ok(false);
    }
    now.finish(target, slot, journal)?;
    COUNTERS.recoveries.count();
    Ok(true)
}

/// The error of a batch that stays, with what an operator can do.
fn explained(error: Error, target: &Target, slot: Slot) -> Error {
    let Error::Syscall { path, call, source, hint } = error else { return error };
    let who = match journal::owner(target, slot) {
        Some(user) if user != geteuid().as_raw() => {
            format!("the batch is of the user with uid {user}: as that user or as root, run ")
        }
        _ => "once that is mended, run ".to_owned(),
    };
    let hint = format!(
        "{hint}; this is a file of a batch of saves that was interrupted; {who}oasis-data recover \
         on its folder, which also tells how to give a file of a batch up"
    );
    Error::Syscall { path, call, source, hint }
}

/// Whether somebody is writing the torn journal in the slot. A torn journal of a dead writer
/// decides nothing, and is removed.
fn is_live(target: &Target, slot: Slot, signals: &dyn Signals) -> Result<bool> {
    let _lock = match Lock::of_journal(target, &Deadline::now(), signals) {
        Ok(lock) => lock,
        Err(Error::LockTimeout { .. }) => return Ok(true),
        Err(error) => return Err(error),
    };
    if journal::read(target, slot)? == Found::Torn {
        // Where this fails, it is another user's in a sticky folder: that user's next use
        // removes it.
        let _ = journal::retire(target, slot);
    }
    Ok(false)
}

/// What a reader gets of a file in a folder with journals that this user may not recover.
enum Decided {
    /// The content that the file's batch will give it.
    Content(Snapshot),
    /// The content that the file has.
    InPlace,
    /// What the next read finds: somebody has just recovered the batch.
    Again,
}

/// The content that the file has once its batch is rolled forward. With `held`, a batch is at
/// work in the folder, perhaps not the file's batch.
fn decided(target: &Target, held: bool) -> Result<Decided> {
    let mut decided = Decided::InPlace;
    for (_, found) in journal::read_all(target)? {
        let Found::Whole(met) = found else { continue };
        let Some(change) = met.change_of(&target.name) else { continue };
        let content = change.temporary();
        // A live writer holds the contents locked until all are renamed: the contents of a
        // batch at work are not read before that.
        // safeguard: live-batch-passed
        if held && lock::is_held(target, &content).unwrap_or(true) {
            continue;
        }
        match roll_forward::standing(target, change)? {
            Standing::Open => {}
            // Renamed before the interruption, or a moment ago.
            Standing::Done => {
                decided = Decided::Again;
                continue;
            }
            Standing::Same | Standing::Changed => continue,
        }
        if Interrupted::of(target, &met)?.decision.is_none() {
            continue;
        }
        match read::read_at(&target.folder, &content, &target.given_path) {
            Err(Error::NotFound { .. }) => decided = Decided::Again,
            content => return content.map(Decided::Content),
        }
    }
    Ok(decided)
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
