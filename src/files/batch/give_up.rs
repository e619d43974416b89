//! Giving up what an interrupted batch was to make of a file.

use std::path::Path;

use crate::engine::deadline::Deadline;
use crate::engine::signals::Signals;
use crate::error::{Error, Result};
use crate::files::batch::interrupted::Interrupted;
use crate::files::batch::journal::{self, Found};
use crate::files::batch::recovery::recover;
use crate::files::batch::roll_forward;
use crate::files::lock::Lock;
use crate::files::sidecar;
use crate::files::target::Target;

/// Gives up what an interrupted batch was to make of a file: the batch's content becomes the
/// newest backup. Says where that is; nothing where no batch waits for the file.
///
/// # Errors
///
/// [`Error::LockTimeout`] while its writer is alive, or a failing syscall: then
/// nothing is given up.
pub fn give_up(path: &Path, deadline: &Deadline, signals: &dyn Signals) -> Result<Option<String>> {
    let target = Target::resolve(path, false)?;
    let _lock = Lock::of_file(&target, deadline, signals)?;
    let mut kept = None;
    {
        let _journals = Lock::of_journal(&target, deadline, signals)?;
        sidecar::require_no_symlink(&target)?;
        for (slot, found) in journal::read_all(&target)? {
            let Found::Whole(journal) = found else { continue };
            let Some(change) = journal.change_of(&target.name) else { continue };
            if !roll_forward::content_is_there(&target, change)? {
                continue;
            }
            let zone = roll_forward::zone_of(journal.backups);
            kept = Some(roll_forward::keep_content(&target, change, zone, true)?);
            target.sync_folder()?;
            // The batch has nothing left to do in this folder: its missing folders do not
            // matter here any more.
            let stranded = Interrupted::of(&target, &journal);
            if matches!(stranded, Err(Error::Unrecovered { .. }))
                && !roll_forward::any_content_is_there(&target, &journal)?
            {
                journal::retire(&target, slot)?;
            }
        }
    }
    // Perhaps the batch waited for this file alone.
    recover(&target, deadline, signals)?;
    Ok(kept)
}
