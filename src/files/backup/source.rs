//! The backup that a write makes of the content it takes away: taken before the change, and
//! followed by the pruning of old backups after it.

use std::sync::Arc;

use crate::engine::warning::Warning;
use crate::engine::write::{WriteOptions, Written};
use crate::error::{Error, Result};
use crate::files::backup::compression;
use crate::files::backup::index::KnownBackups;
use crate::files::backup::links;
use crate::files::backup::retention;
use crate::files::backup::{self, Backup};
use crate::files::identity::{Identity, Instant, Synced};
use crate::files::lease::Lease;
use crate::files::live::Live;
use crate::files::locked::LockedFile;
use crate::files::target::Target;
use crate::settings::Durability;

/// The content that is to be backed up.
pub(crate) struct BackupSource {
    live: Arc<Live>,
    /// What of it a save has synced.
    synced: Option<Synced>,
    /// Whether a reader has found it to be no document.
    corrupt: bool,
}

/// A file's backups, oldest first.
#[derive(Debug, Default)]
pub(crate) struct BackedUp {
    all: Vec<Backup>,
    /// Whether the last backup is of the content that this write takes away.
    taken: bool,
    /// Whether the next writer is to find them in the index.
    indexed: bool,
    /// The lease on the live file, where the last backup is a link to it: until the live file
    /// is replaced, nobody may write into that inode.
    lease: Option<Lease>,
    corrupt: bool,
}

impl BackupSource {
    /// What of it is known to be on the disk.
    pub(crate) fn synced(&self) -> Option<Synced> {
        self.synced
    }
}

impl BackedUp {
    /// The backup that was made, or taken over from a killed writer.
    pub(crate) fn newest(&self) -> Option<&Backup> {
        self.all.last()
    }
}

/// The pruning that is left to do once the change is durable. No lock is needed: two writers
/// may remove the same backups.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    /// The backups to be removed.
    pub(crate) outdated: Vec<Backup>,
    /// The backups that are there plain and compressed.
    doubled: Vec<Backup>,
}

impl LockedFile {
    /// What is to be backed up. To be called before the new content is synced, which replaces
    /// the sync stamp.
    pub(crate) fn backup_source(&self, live: Arc<Live>, corrupt: bool) -> BackupSource {
        let identity = Identity::of(&live.stat);
        // Coarse stamps may hide a change that came after the sync stamp.
        let sure = !identity.is_coarse() || identity.is_past_racy_window(Instant::now());
        BackupSource { live, synced: self.lock.synced(&identity).filter(|_| sure), corrupt }
    }

    /// Backs up the `source`, by a link or a copy, unless a writer that was killed has left
    /// this very backup.
    ///
    /// # Errors
    ///
    /// When the backup cannot be made.
    pub(crate) fn back_up(
        &self,
        source: Option<&BackupSource>,
        KnownBackups { mut all, indexed, taken }: KnownBackups,
        options: &WriteOptions,
    ) -> Result<BackedUp> {
        let Some(BackupSource { live, synced, corrupt }) = source else {
            // safeguard: index-handed-on
            return Ok(BackedUp { all, indexed, ..BackedUp::default() });
        };
        if indexed {
            // safeguard: index-taken-away
            self.take_index_away();
        }
        let target = &self.target;
        let left = match all.last() {
            // safeguard: leftover-backup-link
            Some(newest) if live.stat.st_nlink > 1 => backup::is_live(target, newest, &live.stat)?,
            _ => false,
        };
        // Through another name the old content could still be changed.
        // safeguard: no-link-to-linked-file
        let lone = live.stat.st_nlink == if left { 2 } else { 1 };
        let lease = if lone { Lease::take(target, live) } else { None };
        // Another program may have written the content without a sync: after a power cut the
        // backup would not have it.
        if let Some(lease) = &lease
            && options.durability == Durability::Full
            && (synced.is_none() || !lease.is_unchanged())
        {
            // safeguard: sync-before-link
            lease.sync(target)?;
        }
        if left
            && lease.is_none()
            && let Some(unsafe_link) = all.pop()
        {
            links::remove(target, &unsafe_link)?;
        }
        if !left || lease.is_none() {
            all.push(links::make(target, lease.as_ref(), &all, taken, options.zone)?);
        }
        Ok(BackedUp { all, taken: true, indexed, lease, corrupt: *corrupt })
    }

    /// Removes the backup that was made for a change that failed with `error`. Where the
    /// removal fails too, the error says so.
    pub(crate) fn take_back(&self, error: Error, backed_up: &BackedUp) -> Error {
        let Some(taken) = backed_up.all.last().filter(|_| backed_up.taken) else { return error };
        match links::remove(&self.target, taken) {
            Ok(()) => error,
            Err(also) => {
                error.followed_by(&also, &format!("remove {} by hand", taken.name.display()))
            }
        }
    }

    /// Releases the lease on the replaced content, tells in `written` which backup has it, and
    /// leaves the index for the next writer. Where somebody waits to write into that content,
    /// the backup first becomes a copy.
    pub(crate) fn release_source(
        &self,
        backed_up: BackedUp,
        options: &WriteOptions,
        written: &mut Written,
    ) -> Retention {
        let BackedUp { all, taken, indexed, lease, corrupt } = backed_up;
        if let (Some(lease), Some(taken)) = (lease, all.last()) {
            // The process that waits has opened the old inode, which is the backup's.
            lease.end(|| {
                let parted = links::separate(&self.target, taken);
                written.warnings.extend(parted.err().map(Warning::from));
            });
        }
        if let Some(newest) = all.last().filter(|_| taken) {
            written.backup = Some(newest.name.clone());
            if corrupt {
                written.warnings.push(Warning::CorruptReplaced { kept: newest.name.clone() });
            }
        }
        if indexed {
            // With the backups that are about to be pruned: this writer may die before that.
            self.leave_index(&all);
        }
        // The backups of a file that is torn again and again must not push out the whole
        // backups: a save over a corrupt file prunes nothing.
        // safeguard: no-pruning-over-corrupt-file
        if !taken || corrupt || options.backups_kept == 0 {
            return Retention::default();
        }
        let WriteOptions { backups_kept: kept, backups_max_age: max_age, zone, .. } = *options;
        let doubled = all.iter().filter(|backup| backup.doubled).cloned().collect();
        Retention { outdated: retention::to_prune(all, kept, max_age, zone), doubled }
    }
}

impl Retention {
    /// Removes old backups of `target`, once the new content is durable. A backup that cannot
    /// be removed does not undo the save.
    pub(crate) fn prune(&self, target: &Target, warnings: &mut Vec<Warning>) {
        let doubled = self.doubled.iter();
        let removed = doubled.map(|backup| compression::remove_superseded(target, backup));
        let pruned = self.outdated.iter().map(|backup| links::remove(target, backup));
        warnings.extend(removed.chain(pruned).filter_map(Result::err).map(Warning::from));
    }
}
