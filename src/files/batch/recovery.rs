//! Batches whose writer died: completed if they were decided, else taken back,
//! on the first use of any of their files. A writer killed in here leaves the
//! same work to the next.

use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::error::{Error, FOLLOW_LINK, Result};
use crate::files::batch::interrupted::Interrupted;
use crate::files::batch::journal::{self, Found, Journal, Slot};
use crate::files::batch::roll_forward::{self, Standing};
use crate::files::lock::{self, Deadline, Lock};
use crate::files::read::{self, Snapshot};
use crate::files::signals::Signals;
use crate::files::target::Target;
use crate::statistics::COUNTERS;

/// How often a load starts over because a batch was recovered under it.
const READ_ATTEMPTS: usize = 8;

/// Reads the file that `path` leads to, for a load: as the last batch that was
/// decided left it, whether or not that batch came to rename it. Needs no lock, no
/// permission to write, and of its folder only the permission to search it.
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
        // After the read: a batch decided later changes the ctime of what was
        // read, and by that its identity.
        let involved = match folder {
            Some(target) if journal::exists(&target.folder) => target,
            None if journal::exists_beside(path) => Target::resolve_to_load(path)?,
            _ => return found,
        };
        let error = match recover(&involved, &Deadline::now(), &Undisturbed) {
            Ok(Outcome::Recovered) => continue,
            // What this look has done shows in the next.
            Ok(Outcome::Left) if attempt == 0 => continue,
            Ok(Outcome::Unconcerned | Outcome::Left) => return found,
            // A writer is at work: until it is done, this is not to be kept.
            Ok(Outcome::Undecided) => return found.map(unkept),
            Err(error) => error,
        };
        let held = matches!(error, Error::LockTimeout { .. }) || lock::journal_is_held(&involved);
        match decided(&involved, held) {
            Ok(Decided::Content(snapshot)) => return Ok(unkept(snapshot)),
            // safeguard: live-batch-not-cached
            Ok(Decided::InPlace) => return found.map(unkept),
            Ok(Decided::Again) => {}
            // Not ours to complete, and not ours to know: a journal, or a folder of
            // its batch, that this user may not read. Such a reader gets what every
            // program gets that opens the file: one whole version of it.
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

/// Reads what the kernel opens by a path whose file a save could not replace: an open
/// descriptor of a file without a name, say.
fn read_as_open(path: &Path, refused: Error) -> Result<Snapshot> {
    read::read(path).map_err(|error| match refused {
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

/// What a look for an interrupted batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is none that concerns the file.
    Unconcerned,
    /// There was one.
    Recovered,
    /// There is one that cannot be completed, but all is done that it has to do for
    /// this file.
    Left,
    /// One is at work that has not said yet what it changes.
    Undecided,
}

/// Completes or takes back the interrupted batches that change `target`.
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
        // What was not decided by a dead writer never will be: a rest of it that cannot
        // be removed changes nothing.
        // safeguard: refuses-only-open-files
        if !undecided && roll_forward::content_is_there(target, change)? {
            return Err(explained(error, target, slot));
        }
    }
    Ok(outcome)
}

/// Completes or takes back whatever interrupted batches have their journals in the
/// target's folder. Those that cannot be recovered stay.
///
/// # Errors
///
/// [`Error::LockTimeout`] while the writer of one is alive, or when the journals
/// cannot be read.
pub fn recover_any(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Stay> {
    let Looked { left, tried, .. } = recover_if(target, |_| true, deadline, signals)?;
    let batches = tried.into_iter().filter_map(|(_, batch)| batch).collect();
    let why = left.into_iter().next_back().map(|left| explained(left.error, target, left.slot));
    Ok(Stay { batches, why })
}

/// The batches that were met in a folder. Whose journal is still there stays.
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
            // Cut short under the lock that is held now: it decides nothing.
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

/// What a look at the journals of a folder came to.
struct Looked {
    outcome: Outcome,
    left: Vec<Left>,
    /// The journals that were met, by the names of their batches. One that stays all
    /// the same is not met again.
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

/// Whether it was recovered; else it is to be looked at again.
fn recover_one(
    target: &Target,
    slot: Slot,
    journal: &Journal,
    deadline: &Deadline,
    signals: &dyn Signals,
) -> Result<bool> {
    let interrupted = Interrupted::of(target, journal)?;
    let _locks = interrupted.lock(deadline, signals)?;
    // Looked at again under the locks: its writer may have been alive, or
    // somebody else have recovered it.
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

/// The error of a batch that stays, with what its operator can do.
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

/// Whether somebody is still writing a journal that is not whole. One whose
/// writer died over it decides nothing, and is removed.
fn is_live(target: &Target, slot: Slot, signals: &dyn Signals) -> Result<bool> {
    let _lock = match Lock::of_journal(target, &Deadline::now(), signals) {
        Ok(lock) => lock,
        Err(Error::LockTimeout { .. }) => return Ok(true),
        Err(error) => return Err(error),
    };
    if journal::read(target, slot)? == Found::Torn {
        // Another user's, in a sticky folder: it goes when they come.
        let _ = journal::retire(target, slot);
    }
    Ok(false)
}

/// What a reader gets of a file beside journals that are not its own to deal with.
enum Decided {
    /// What its batch will have made of it.
    Content(Snapshot),
    /// What is in it.
    InPlace,
    /// What is in it now: somebody has just recovered the batch.
    Again,
}

/// What the file holds once its batch has been completed. With `held`, a batch is at
/// work in the folder, perhaps another than the file's.
fn decided(target: &Target, held: bool) -> Result<Decided> {
    let mut decided = Decided::InPlace;
    for (_, found) in journal::read_all(target)? {
        let Found::Whole(met) = found else { continue };
        let Some(change) = met.change_of(&target.name) else { continue };
        let content = change.temporary();
        // Until its writer has renamed all contents, it holds them locked: what a live
        // batch is about to do is not told before.
        // safeguard: live-batch-passed
        if held && lock::is_held(target, &content).unwrap_or(true) {
            continue;
        }
        match roll_forward::standing(target, change)? {
            Standing::Open => {}
            // Renamed before it was interrupted, or just now.
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
