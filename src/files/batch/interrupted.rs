//! An interrupted batch: its journals, the folders to which they lead, and what is left to do
//! in those folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::engine::deadline::Deadline;
use crate::engine::signals::Signals;
use crate::error::{Error, Result};
use crate::files::batch::folders;
use crate::files::batch::journal::{self, Journal, Slot};
use crate::files::batch::roll_forward;
use crate::files::identity::FileKey;
use crate::files::lock::Lock;
use crate::files::sidecar;
use crate::files::target::Target;

/// An interrupted batch, as its journals tell.
pub(crate) struct Interrupted {
    /// The journal of the coordinator, if the batch was decided.
    pub(crate) decision: Option<Journal>,
    /// The folder of each route in the decision; of a batch without a decision, only the
    /// folder whose journal was met.
    folders: BTreeMap<PathBuf, Target>,
}

impl Interrupted {
    pub(crate) fn of(target: &Target, met: &Journal) -> Result<Self> {
        let here = folders::follow(target, Path::new("."))?;
        let (coordinator, decision) = match &met.coordinator {
            None => (here, Some(met.clone())),
            Some(route) => {
                let there = folder_of_batch(target, target, met, &route.to_path())?;
                match journal::find(&there, &met.batch)? {
                    Some((_, decision)) => (there, Some(decision)),
                    None => (here, None),
                }
            }
        };
        let mut folders = BTreeMap::new();
        if let Some(decision) = &decision {
            for change in &decision.changes {
                let route = change.folder.to_path();
                if route != Path::new(".") && !folders.contains_key(&route) {
                    let folder = folder_of_batch(target, &coordinator, decision, &route)?;
                    folders.insert(route, folder);
                }
            }
        }
        folders.insert(".".into(), coordinator);
        Ok(Self { decision, folders })
    }

    pub(crate) fn lock(&self, deadline: &Deadline, signals: &dyn Signals) -> Result<Vec<Lock>> {
        lock_journals(self.folders.values(), deadline, signals)
    }

    /// Rolls the batch forward if it was decided, else back.
    pub(crate) fn finish(&self, target: &Target, slot: Slot, met: &Journal) -> Result<()> {
        // safeguard: no-recovery-through-symlink
        self.folders.values().chain([target]).try_for_each(sidecar::require_no_symlink)?;
        if let Some(decision) = &self.decision {
            let folders =
                self.folders.iter().map(|(route, folder)| (route.as_path(), folder)).collect();
            let mut refused = roll_forward::complete(decision, &folders);
            roll_forward::sync(&folders)?;
            let own = |error: &Error| error.path().file_name() == Some(&target.name);
            if !refused.is_empty() {
                let own = refused.iter().position(own).unwrap_or_default();
                return Err(refused.swap_remove(own));
            }
            return roll_forward::close(&decision.batch, &folders);
        }
        met.changes.iter().try_for_each(|change| roll_forward::remove_content(target, change))?;
        journal::retire(target, slot)
    }
}

/// Takes the locks of the journals of folders, in an order that is the same for everybody.
///
/// # Errors
///
/// As for [`Lock::of_journal`].
pub(crate) fn lock_journals<'a>(
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

/// Follows the route from the folder of a `journal`, `from`, to another folder of the batch
/// that was met at `target`.
pub(crate) fn folder_of_batch(
    target: &Target,
    from: &Target,
    journal: &Journal,
    route: &Path,
) -> Result<Target> {
    let followed = match folders::follow(from, route) {
        Err(error) if error.errno() == Some(Errno::NOENT.raw_os_error()) => None,
        followed => Some(followed?),
    };
    match followed {
        // safeguard: folder-known-by-its-id
        Some(folder) if journal.knows(route, &folder)? => Ok(folder),
        _ => {
            let reason = format!(
                "its folder {} is not there as it was (moved, or not mounted): bring it back, or \
                 give up what the batch was to make of its files here: oasis-data recover \
                 FOLDER --give-up FILE",
                route.display()
            );
            Err(Error::Unrecovered { path: target.given_path.clone(), reason })
        }
    }
}
