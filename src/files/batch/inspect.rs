//! The interrupted batches of a folder, told from their journals. To look changes nothing.

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::Serialize;

use crate::error::{Error, OPEN_FOLDER, Result};
use crate::files::batch::interrupted::folder_of_batch;
use crate::files::batch::journal::{self, Change, Found, Journal, Slot};
use crate::files::batch::name::Name;
use crate::files::inspect::{self, DiskPath};
use crate::files::layout;
use crate::files::target::Target;

/// What becomes of an interrupted batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A recovery rolls it forward.
    Decided,
    /// A recovery rolls it back.
    Undecided,
    /// Its journal was never finished, so nothing was changed.
    Torn,
    /// One of its folders is not there as it was.
    Stranded,
    /// Its journal is damaged, or of another release.
    Foreign,
}

/// An interrupted batch, as a journal in one of its folders tells it.
#[derive(Debug, Serialize)]
pub struct Batch {
    /// The journal.
    pub journal: DiskPath,
    /// What becomes of the batch.
    pub state: State,
    /// The files that it changes, as far as the journals tell.
    pub files: Vec<DiskPath>,
    /// Its new contents for files in the journal's folder.
    pub contents: Vec<Content>,
}

/// The new content of a file, among the temporary files.
#[derive(Debug, Serialize)]
pub struct Content {
    /// The file.
    pub file: DiskPath,
    /// The temporary file, which is there until it is renamed.
    pub temporary: DiskPath,
}

/// The batches with a journal in the folder at `path` that no process carries out.
///
/// # Errors
///
/// When a journal or its lock cannot be read.
pub fn interrupted(path: &Path) -> Result<Vec<Batch>> {
    let mut target = match inspect::open(path, &path.join(layout::JOURNAL)) {
        Err(Errno::NOENT) => return Ok(Vec::new()),
        target => target.map_err(|errno| Error::syscall(path, OPEN_FOLDER, errno))?,
    };
    let mut met = Vec::new();
    for slot in Slot::all() {
        target.given_path = path.join(slot.path());
        match read(&target, slot)? {
            Some(Found::Nothing) => break,
            found => met.push((slot, found)),
        }
    }
    let lock = Path::new(layout::JOURNAL_LOCK);
    if met.is_empty() || inspect::held(&target, lock, &path.join(lock))? {
        return Ok(Vec::new());
    }
    let mut batches = Vec::with_capacity(met.len());
    for (slot, found) in met {
        target.given_path = path.join(slot.path());
        // A writer has the lock for as long as its journal is there. A journal that is the
        // same before and after a moment without the lock has no writer.
        if read(&target, slot)? == found {
            batches.push(batch(&target, path, slot, found)?);
        }
    }
    Ok(batches)
}

/// Reads a journal; nothing for a damaged journal, or a journal of another release.
fn read(target: &Target, slot: Slot) -> Result<Option<Found>> {
    match journal::read(target, slot) {
        Err(Error::Unrecovered { .. }) => Ok(None),
        found => found.map(Some),
    }
}

fn batch(target: &Target, path: &Path, slot: Slot, found: Option<Found>) -> Result<Batch> {
    let mut batch = Batch {
        journal: DiskPath(path.join(slot.path())),
        state: State::Torn,
        files: Vec::new(),
        contents: Vec::new(),
    };
    let met = match found {
        Some(Found::Whole(journal)) => journal,
        Some(_) => return Ok(batch),
        None => return Ok(Batch { state: State::Foreign, ..batch }),
    };
    let here = |change: &&Change| change.folder.to_path() == Path::new(".");
    let content = |change: &Change| Content {
        file: DiskPath(path.join(change.name.to_path())),
        temporary: DiskPath(path.join(change.temporary())),
    };
    batch.contents = met.changes.iter().filter(here).map(content).collect();
    let (state, route, decision) = decision(target, met)?;
    let file = |change: &Change| {
        let folder = path.join(&route).join(change.folder.to_path());
        DiskPath(folder.join(change.name.to_path()))
    };
    batch.files = decision.changes.iter().map(file).collect();
    Ok(Batch { state, ..batch })
}

/// What becomes of a batch, and the journal that tells most of it, with the route to its
/// folder. The journal of the coordinator has all changes, each other journal those of its
/// own folder.
fn decision(target: &Target, met: Journal) -> Result<(State, PathBuf, Journal)> {
    let here = PathBuf::from(".");
    let Some(route) = met.coordinator.as_ref().map(Name::to_path) else {
        let state = state_of_decided(target, target, &met)?;
        return Ok((state, here, met));
    };
    let Some(coordinator) = if_there(folder_of_batch(target, target, &met, &route))? else {
        return Ok((State::Stranded, here, met));
    };
    match journal::find(&coordinator, &met.batch) {
        Ok(Some((_, decision))) => {
            let state = state_of_decided(target, &coordinator, &decision)?;
            Ok((state, route, decision))
        }
        Ok(None) => Ok((State::Undecided, here, met)),
        Err(Error::Unrecovered { .. }) => Ok((State::Foreign, here, met)),
        Err(error) => Err(error),
    }
}

fn state_of_decided(target: &Target, coordinator: &Target, decision: &Journal) -> Result<State> {
    for change in &decision.changes {
        let route = change.folder.to_path();
        if route != Path::new(".")
            && if_there(folder_of_batch(target, coordinator, decision, &route))?.is_none()
        {
            return Ok(State::Stranded);
        }
    }
    Ok(State::Decided)
}

/// A folder of a batch, or nothing where it is not there as it was.
fn if_there(folder: Result<Target>) -> Result<Option<Target>> {
    match folder {
        Err(Error::Unrecovered { .. }) => Ok(None),
        folder => folder.map(Some),
    }
}
