//! Rolling forward a decided batch whose writer died: what is left to do for its files.
//!
//! The journal tells which content each file had. A file with other content is not
//! replaced: the journal may have been copied beside newer files (`rsync`, `cp -a`), or
//! another program may have saved since. The outcome is then the same as if the batch had
//! been finished and the file changed after that: the batch's content becomes a backup.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{FixedOffset, Offset, Utc};
use rustix::fs::{self, Access, AtFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, RENAME_OF_BATCH, Result};
use crate::files::backup::links;
use crate::files::backup::{self, Backup, Opened, Taken};
use crate::files::batch::folders;
use crate::files::batch::journal::{self, Change, Journal, NO_FILE};
use crate::files::batch::notice;
use crate::files::identity::Identity;
use crate::files::read;
use crate::files::sys::sync;
use crate::files::target::Target;
use crate::files::temporary;

/// To what a file system or an archive may round the stamp of a copy: 100 ns (NTFS),
/// microseconds, milliseconds, seconds (tar, ext3) or two seconds (FAT).
const ROUNDED_TO: [i128; 5] = [100, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000];

/// What a decided batch still has to do for one of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: the new content is not beside the file any more.
    Done,
    /// To replace it: the file has the content that the batch found in it.
    Open,
    /// Nothing: the file has the new content already.
    Same,
    /// Not to replace it: the file was changed since.
    Changed,
}

/// What is left to do of the `change` that a batch makes; `folder` is the file's.
///
/// # Errors
///
/// When the file cannot be looked at.
pub(crate) fn standing(folder: &Target, change: &Change) -> Result<Standing> {
    let file = file_of(folder, change)?;
    if !content_is_there(&file, change)? {
        return Ok(Standing::Done);
    }
    let live = file.stat()?;
    let (replaces, live) = match (change.replaces.as_deref(), live) {
        (None, _) | (Some(NO_FILE), None) => return Ok(Standing::Open),
        // Removed since.
        // safeguard: removed-after-batch
        (Some(_), None) => return Ok(Standing::Changed),
        (Some(replaces), Some(live)) => (replaces, live),
    };
    let now = Identity::of(&live).content();
    if replaces == now {
        return Ok(Standing::Open);
    }
    let held = read::read_at(&file.folder, Path::new(&file.name), &file.given_path)?.bytes;
    let new = read::read_at(&file.folder, &change.temporary(), &file.given_path)?.bytes;
    if held == new {
        return Ok(Standing::Same);
    }
    // In a copy of the tree the file has another inode, perhaps with a rounded stamp. A backup
    // that the batch made tells the content itself.
    let before = backed_up(&file, change, &live)?;
    // safeguard: copy-or-change
    let unchanged = before.map_or_else(|| agree(replaces, &now), |before| before == held);
    // safeguard: changed-after-batch
    Ok(if unchanged { Standing::Open } else { Standing::Changed })
}

/// The content that the batch found in the file, from the backup that the batch made.
fn backed_up(file: &Target, change: &Change, live: &Stat) -> Result<Option<Vec<u8>>> {
    let Some(name) = &change.backup else { return Ok(None) };
    let own = |backup: &Backup| backup.is_called(&name.to_path());
    let Some(backup) = backup::list(file)?.into_iter().find(own) else { return Ok(None) };
    // A second name of the live file tells nothing: a change is in both.
    // safeguard: link-is-no-backup
    if backup::is_live(file, &backup, live)? {
        return Ok(None);
    }
    // A damaged backup tells nothing either.
    Ok(Opened::open(file, &backup)?.and_then(|opened| opened.read().ok()))
}

/// Whether two texts of [`Identity::content`] may be of the same content, where the second is
/// the text of a copy.
fn agree(replaced: &str, copy: &str) -> bool {
    let (Some((size, mtime)), Some((copied_size, copied))) = (stamps(replaced), stamps(copy))
    else {
        return false;
    };
    let rounded = |to| copied == mtime - mtime.rem_euclid(to);
    // safeguard: rounded-stamp
    size == copied_size && (mtime == copied || ROUNDED_TO.into_iter().any(rounded))
}

fn stamps(content: &str) -> Option<(&str, i128)> {
    let mut fields = content.split(' ').skip(1);
    Some((fields.next()?, fields.next()?.parse().ok()?))
}

/// Rolls forward all files of a decided batch that it can. `folders` are the folders of the
/// changes, by the route to each. Returns an error for each other file.
#[must_use]
pub(crate) fn complete(decision: &Journal, folders: &BTreeMap<&Path, &Target>) -> Vec<Error> {
    let mut refused = Vec::new();
    for change in &decision.changes {
        let route = change.folder.to_path();
        let Some(folder) = folders.get(route.as_path()) else { continue };
        refused.extend(complete_one(folder, change, decision.backups).err());
    }
    refused
}

fn complete_one(folder: &Target, change: &Change, backups: Option<i32>) -> Result<()> {
    let file = file_of(folder, change)?;
    let zone = zone_of(backups);
    match standing(folder, change)? {
        Standing::Done => Ok(()),
        Standing::Same => remove_content(&file, change),
        Standing::Changed => {
            let kept = keep_content(&file, change, zone, false)?;
            let text = format!(
                "it was not replaced, since it is not what it was when an interrupted batch of \
                 saves was decided: changed since, or copied beside the batch's journal; {kept}"
            );
            notice::leave(file.given_path, text);
            Ok(())
        }
        Standing::Open => {
            // safeguard: roll-forward-backs-up
            back_up(&file, change, backups, zone)?;
            match temporary::publish(&file, &change.temporary(), &file.name, RENAME_OF_BATCH) {
                // Somebody has removed the new content since the look above.
                Err(error) if error.errno() == Some(Errno::NOENT.raw_os_error()) => Ok(()),
                outcome => outcome,
            }
        }
    }
}

/// Removes a batch's new content of a file that is not to get it.
///
/// # Errors
///
/// When the unlink fails.
pub(crate) fn remove_content(folder: &Target, change: &Change) -> Result<()> {
    match fs::unlinkat(&folder.folder, change.temporary(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(folder.failed("unlink (to take a batch back)", errno)),
    }
}

/// Makes the batch's new content for a file that does not get it a backup, and says where it
/// is. The backup is the newest, or else as old as the content.
///
/// # Errors
///
/// When a syscall fails.
pub(crate) fn keep_content(
    file: &Target,
    change: &Change,
    zone: FixedOffset,
    newest: bool,
) -> Result<String> {
    let live = match file.stat() {
        // No file has the name: there is no link to the live file.
        Err(Error::NotAFile { .. }) => None,
        stat => stat?,
    };
    let backups = backup::list(file)?;
    // The content comes right after what it was to replace: later saves stay newer.
    let own = |backup: &&Backup| {
        change.backup.as_ref().is_some_and(|name| backup.is_called(&name.to_path()))
    };
    // safeguard: content-before-the-change
    let after = if newest { backups.last() } else { backups.iter().find(own) };
    // safeguard: content-kept-before-parting
    let kept = match links::make_from(file, &change.temporary(), after, zone) {
        Ok(kept) => format!("the batch's content for it is kept as {}", kept.display()),
        // The name is too long for a backup.
        Err(error) if error.errno() == Some(Errno::NAMETOOLONG.raw_os_error()) => format!(
            "the batch's content for it is in {}; look at it now, since the next save of the \
             file removes it",
            change.temporary().display()
        ),
        Err(error) => return Err(error),
    };
    if let (Some(last), Some(live)) = (backups.last(), live)
        && backup::is_live(file, last, &live)?
    {
        // The batch's backup is a link to a file that was changed in place since, and gets an
        // inode of its own. Not before the content is kept: should that fail, such a backup
        // would tell that the file is as the batch found it, and the file would be replaced.
        // safeguard: link-parted
        match links::separate(file, last) {
            // Immutable, or another user's in a sticky folder: its names cannot be replaced.
            // The batch does not wait for that.
            // safeguard: unpartable-backup
            Err(error) if error.errno() == Some(Errno::PERM.raw_os_error()) => {}
            parted => parted?,
        }
    }
    Ok(kept)
}

/// The file that a change is of, in its `folder`.
fn file_of(folder: &Target, change: &Change) -> Result<Target> {
    Ok(folders::follow(folder, Path::new("."))?.called(&change.name.to_path()))
}

/// Whether a batch still has its new content for a file; `folder` is the file's.
///
/// # Errors
///
/// When that cannot be looked at.
pub(crate) fn content_is_there(folder: &Target, change: &Change) -> Result<bool> {
    match fs::accessat(&folder.folder, change.temporary(), Access::EXISTS, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(folder.failed("faccessat of its new content", errno)),
    }
}

/// Whether a batch still has its new content for any file in the `folder` of its
/// `journal`.
///
/// # Errors
///
/// As for [`content_is_there`].
pub(crate) fn any_content_is_there(folder: &Target, journal: &Journal) -> Result<bool> {
    for change in &journal.changes {
        if change.folder.to_path() == Path::new(".") && content_is_there(folder, change)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The zone for the names of backups.
#[must_use]
pub(crate) fn zone_of(backups: Option<i32>) -> FixedOffset {
    FixedOffset::east_opt(backups.unwrap_or(0)).unwrap_or(Utc.fix())
}

/// Backs up the file that is about to be replaced, by a copy: since the batch was interrupted
/// another program may have opened the inode for writing to which a backup is a link.
/// Content that the batch may not have seen is backed up even where no backups are made.
fn back_up(file: &Target, change: &Change, backups: Option<i32>, zone: FixedOffset) -> Result<()> {
    let Some(live) = file.stat()? else { return Ok(()) };
    let seen = change.replaces.as_ref() == Some(&Identity::of(&live).content());
    if backups.is_none() && seen {
        return Ok(());
    }
    let earlier = backup::list(file)?;
    match earlier.last() {
        Some(newest) if backup::is_live(file, newest, &live)? => links::separate(file, newest),
        Some(newest) if is_copy(file, newest)? => Ok(()),
        _ => links::make(file, None, &earlier, Taken::Unknown, zone).map(drop),
    }
}

/// Whether a backup has the content of the file, as a process leaves it that was killed
/// here.
fn is_copy(file: &Target, backup: &Backup) -> Result<bool> {
    let Some(opened) = Opened::open(file, backup)? else { return Ok(false) };
    let live = read::read_at(&file.folder, Path::new(&file.name), &file.given_path)?;
    Ok(opened.read().is_ok_and(|bytes| bytes == live.bytes))
}

/// Waits until the renames of a batch are on the disk.
///
/// # Errors
///
/// When a sync fails. The journals then stay, and the next use rolls the batch forward.
pub(crate) fn sync(folders: &BTreeMap<&Path, &Target>) -> Result<()> {
    folders.values().try_for_each(|target| {
        sync::sync_folder(&target.folder)
            .map_err(|errno| target.failed("fsync of its folder (to complete a batch)", errno))
    })
}

/// Removes the journals of a batch that has been completed.
///
/// # Errors
///
/// When a journal cannot be removed.
pub(crate) fn close(batch: &str, folders: &BTreeMap<&Path, &Target>) -> Result<()> {
    // The decision first: without it the others are only leftovers.
    let coordinator = folders.get(Path::new("."));
    for folder in coordinator.into_iter().chain(folders.values()) {
        if let Some((slot, _)) = journal::find(folder, batch)? {
            journal::retire(folder, slot)?;
        }
    }
    Ok(())
}
