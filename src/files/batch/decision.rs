//! How a batch is decided: by a journal in each of its folders. The journal of the first
//! folder, the coordinator, is the decision.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{self, Mode};
use rustix::io::Errno;

use crate::engine::deadline::Deadline;
use crate::engine::signals::Signals;
use crate::engine::write::WriteOptions;
use crate::error::{Error, Result};
use crate::files::backup::source::BackedUp;
use crate::files::batch::folders;
use crate::files::batch::interrupted;
use crate::files::batch::journal::{self, Change, Journal, NO_FILE, Place, Slot};
use crate::files::batch::name::Name;
use crate::files::batch::recovery;
use crate::files::identity::{FileKey, Identity};
use crate::files::lock::Lock;
use crate::files::prepare::Prepared;
use crate::files::session::Session;
use crate::files::target::Target;

/// A file that the batch replaces.
pub(crate) struct Changed<'a> {
    /// Its index among the saves of the caller.
    pub(crate) index: usize,
    pub(crate) session: &'a Session,
    pub(crate) prepared: Prepared<'a>,
    /// The identity of the new content, once that is synced.
    pub(crate) synced: OnceLock<Identity>,
}

impl Changed<'_> {
    pub(crate) fn target(&self) -> &Target {
        self.session.target()
    }
}

/// Changes the identity of the file, so that every reader with the old content in its cache
/// looks again and finds the journal: should this writer die before the rename, the reader
/// could not tell otherwise that the batch is decided.
fn change_identity(change: &Changed<'_>) {
    let target = change.target();
    let Ok(Some(live)) = target.stat() else { return };
    // A chmod to the mode that the file has sets the ctime. Where it fails, the batch goes on.
    let _ = target
        .open_to_read(target.name.as_os_str())
        .and_then(|file| fs::fchmod(file, Mode::from_raw_mode(live.st_mode & 0o7777)));
}

/// The folders of a batch. The first is the coordinator, with the decision.
pub(crate) struct Folders<'a> {
    /// Each folder with the route to it from the coordinator.
    folders: Vec<(FileKey, PathBuf, &'a Target)>,
}

impl<'a> Folders<'a> {
    pub(crate) fn of(changed: &[Changed<'a>]) -> Result<Self> {
        let mut folders: Vec<(FileKey, PathBuf, &'a Target)> = Vec::new();
        for change in changed {
            let target = change.session.target();
            let key = target.folder_key()?;
            if folders.iter().all(|(known, ..)| *known != key) {
                let first = folders.first().map_or(target, |(_, _, first)| first);
                folders.push((key, folders::route(first, target)?.to_path(), target));
            }
        }
        Ok(Self { folders })
    }

    pub(crate) fn routes(&self) -> BTreeMap<&Path, &Target> {
        self.folders.iter().map(|(_, route, target)| (route.as_path(), *target)).collect()
    }

    /// Locks the journals of all folders, once it has recovered every batch there of a dead
    /// writer that it can recover. Finds a free slot in each folder.
    pub(crate) fn lock(
        &self,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<(Vec<Lock>, Vec<Slot>)> {
        loop {
            let mut stay = Vec::with_capacity(self.folders.len());
            for (_, _, target) in &self.folders {
                stay.push(recovery::recover_any(target, deadline, signals)?);
            }
            let targets = self.folders.iter().map(|(_, _, target)| *target);
            let locks = interrupted::lock_journals(targets, deadline, signals)?;
            let mut slots = Vec::with_capacity(self.folders.len());
            for ((_, _, target), stay) in self.folders.iter().zip(stay) {
                if !stay.is_all_in(target)? {
                    break;
                }
                let full = || target.failed("search for a free .oasis_data/journal", Errno::MFILE);
                slots
                    .push(journal::free_slot(target).ok_or_else(|| stay.why.unwrap_or_else(full))?);
            }
            if slots.len() == self.folders.len() {
                return Ok((locks, slots));
            }
        }
    }

    /// Removes the journals of the batch, whose files are in place.
    pub(crate) fn close(&self, slots: &[Slot]) -> Result<()> {
        // The decision first: without it the others are only leftovers.
        let mut journals = self.folders.iter().zip(slots);
        journals.try_for_each(|((_, _, target), slot)| journal::remove(target, *slot))
    }

    /// Rolls back a decided batch of which no file could be renamed.
    pub(crate) fn roll_back(&self, error: Error, slots: &[Slot], sync: bool) -> Error {
        let (_, _, first) = &self.folders[0];
        let undone = self.close(slots).and_then(|()| {
            // After a power cut the decision must not be there again: this save has failed.
            // safeguard: decision-taken-back-sync
            if sync { journal::sync_sidecar(first) } else { Ok(()) }
        });
        match undone {
            Ok(()) => error,
            Err(also) => error.followed_by(&also, "run oasis-data recover on its folder"),
        }
    }

    fn route_to(&self, change: &Changed<'_>) -> Result<&Path> {
        let own = change.target().folder_key()?;
        let found = self.folders.iter().find(|(key, ..)| *key == own);
        found
            .map(|(_, route, _)| route.as_path())
            .ok_or_else(|| change.target().failed("fstat of its folder", Errno::STALE))
    }

    /// The `folder_id` of each folder, by which a recovery knows the folders; none where there
    /// is one folder.
    fn folder_ids(&self, changed: &[Changed<'_>], sync: bool) -> Result<Vec<String>> {
        if self.folders.len() == 1 {
            return Ok(Vec::new());
        }
        let folder_ids = self.folders.iter().map(|(_, route, target)| {
            let new =
                changed.iter().find(|change| self.route_to(change).is_ok_and(|own| own == route));
            // The random letters of a temporary file's name: no other batch has them.
            let letters = new.and_then(|change| change.prepared.temporary.name().extension());
            let letters = letters.and_then(OsStr::to_str).unwrap_or_default();
            folders::folder_id(target, letters, sync)
        });
        folder_ids.collect()
    }

    /// Writes the journals, the decision last. On an error there are none.
    pub(crate) fn decide(
        &self,
        changed: &[Changed<'_>],
        backed_up: &[BackedUp],
        slots: &[Slot],
        options: &WriteOptions,
        sync: bool,
    ) -> Result<()> {
        let (_, _, first) = &self.folders[0];
        // The name of a temporary file names this batch: no other batch has the same.
        let batch = name_of(&changed[0]).to_path().display().to_string();
        let backups = (options.backups_kept > 0).then(|| options.zone.local_minus_utc());
        let mut all = Vec::with_capacity(changed.len());
        for (change, backed_up) in changed.iter().zip(backed_up) {
            all.push(change_of(change, backed_up, self.route_to(change)?));
        }
        let folder_ids = self.folder_ids(changed, sync)?;
        let place =
            |folder: Name, folder_id: &str| Place { folder, folder_id: folder_id.to_owned() };
        let others = self.folders.iter().zip(&folder_ids).skip(1);
        let places =
            others.map(|((_, route, _), folder_id)| place(route.as_os_str().into(), folder_id));
        let decision = Journal::new(&batch, None, backups, places.collect(), all);
        // safeguard: decision-comes-last
        let written = (|| {
            let places = self.folders.iter().zip(slots);
            let begun: Vec<File> = places
                .map(|((_, _, target), slot)| journal::begin(target, *slot))
                .collect::<Result<_>>()?;
            // After the journals are there, so that nobody caches what is read from now on.
            // Before the decision, so that every reader with an entry in its cache finds it.
            for change in changed {
                // safeguard: decided-identities-change
                change_identity(change);
            }
            let mut leading = Vec::new();
            for ((_, route, target), file) in self.folders.iter().zip(&begun).skip(1) {
                let own = changed
                    .iter()
                    .zip(backed_up)
                    .filter(|(change, _)| self.route_to(change).is_ok_and(|other| other == route));
                let own =
                    own.map(|(change, backed_up)| change_of(change, backed_up, Path::new(".")));
                let own = own.collect();
                let back = folders::route(target, first)?;
                let places = vec![place(back.clone(), &folder_ids[0])];
                let journal = Journal::new(&batch, Some(back), backups, places, own);
                leading.push((*target, file, journal));
            }
            for (target, file, journal) in &leading {
                journal::write(target, file, journal, sync)?;
            }
            journal::write(first, &begun[0], &decision, sync)
        })();
        written.map_err(|error| {
            let journals = self.folders.iter().zip(slots);
            journals.fold(error, |error, ((_, _, target), slot)| {
                match journal::remove(target, *slot) {
                    Ok(()) => error,
                    Err(also) => error.followed_by(&also, "remove .oasis_data/journal by hand"),
                }
            })
        })
    }
}

fn change_of(change: &Changed<'_>, backed_up: &BackedUp, route: &Path) -> Change {
    let before = change.prepared.before;
    Change {
        folder: Name::from(route.as_os_str()),
        name: Name::from(change.target().name.as_os_str()),
        temporary: name_of(change),
        replaces: Some(before.map_or_else(|| NO_FILE.to_owned(), |before| before.content())),
        backup: backed_up.newest().map(|backup| Name::from(backup.name.as_os_str())),
    }
}

fn name_of(change: &Changed<'_>) -> Name {
    Name::from(change.prepared.temporary.name().file_name().unwrap_or_default())
}
