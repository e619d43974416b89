//! A data file under its lock: what each write does with it.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::{self, Stat};

use crate::engine::owner::Owner;
use crate::error::{Error, Result};
use crate::files::identity::{Identity, Synced};
use crate::files::live::Same;
use crate::files::lock::Lock;
use crate::files::read::{Snapshot, read_at, require_version};
use crate::files::target::Target;

/// A data file that nobody else may write, until dropped.
#[derive(Debug)]
pub(crate) struct LockedFile {
    pub(crate) target: Target,
    pub(crate) lock: Lock,
}

impl LockedFile {
    /// Leaves the lock to its `owner`. To be called before the call that took the lock
    /// returns: see [`crate::files::fork::Descriptor`].
    ///
    /// # Errors
    ///
    /// When an `fstat` fails.
    pub(crate) fn hand_over(&self, owner: Arc<dyn Owner>) -> Result<()> {
        // safeguard: edit-remembers-descriptors
        let kept = self.lock.keep().and_then(|()| self.target.folder.keep());
        kept.map_err(|errno| self.target.failed("fstat of its lock", errno))?;
        self.lock.hand_over(&self.target, owner)
    }

    /// Reads the file, or finds none.
    ///
    /// # Errors
    ///
    /// As for [`crate::files::read::read`], but for a missing file.
    pub(crate) fn read(&self) -> Result<Option<Snapshot>> {
        self.require_own()?;
        match read_at(&self.target.folder, Path::new(&self.target.name), &self.target.given_path) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refuses where this process holds the lock no more: in a child forked since, which
    /// leaves it to its parent, and where the application has closed the descriptor.
    pub(crate) fn require_own(&self) -> Result<()> {
        // safeguard: own-lock-and-folder
        if self.lock.is_own() && self.target.folder.own().is_some() {
            return Ok(());
        }
        Err(self.lock_gone())
    }

    /// Refuses where the lock file is not at its path any more, because somebody has removed
    /// `.oasis_data` (`git clean -x`): others then lock a new file. For a change that was
    /// begun long ago.
    ///
    /// # Errors
    ///
    /// [`Error::LockGone`], or when an `fstatat` fails.
    pub(crate) fn require_current(&self) -> Result<()> {
        self.require_own()?;
        if self.lock.is_current(&self.target)? {
            return Ok(());
        }
        Err(self.lock_gone())
    }

    fn lock_gone(&self) -> Error {
        Error::LockGone { path: self.target.given_path.clone() }
    }

    pub(crate) fn check_version(&self, live: Option<&Stat>, expected: Option<&str>) -> Result<()> {
        let Some(expected) = expected else { return Ok(()) };
        let content = if live.is_some() { self.read()? } else { None };
        require_version(
            &self.target.given_path,
            content.as_ref().map(|found| &*found.bytes),
            expected,
        )
    }

    /// Leaves the sync stamp of content that was synced and then renamed to the file, if
    /// nobody has changed the file since: the rename alone has given it another ctime. The
    /// name is not synced yet: a batch that finds this stamp syncs the folder before it writes
    /// a journal that names the content. Returns the identity in the stamp.
    pub(crate) fn stamp_content(&self, synced: Option<&Identity>) -> Option<Identity> {
        let now = Identity::of(&self.target.stat().ok()??);
        if !now.differs_by_ctime_only(synced?) {
            return None;
        }
        // safeguard: name-stamped-after-sync
        self.lock.leave_sync_stamp(&now, Synced::Content);
        Some(now)
    }

    /// Waits until the file's name is on the disk, and with it the content that the name has
    /// now; the stamp then tells so of the content `stamped`. No lock is needed. To be called
    /// once the name is changed.
    pub(crate) fn sync_name(&self, stamped: Option<&Identity>) -> Result<()> {
        // safeguard: directory-sync
        self.target.sync_folder()?;
        self.stamp_name(stamped);
        Ok(())
    }

    /// Leaves the sync stamp of the content `stamped`, whose name is synced, if it still is
    /// the content of the file. No lock is needed: where another writer leaves a stamp at this
    /// moment, the lock file may keep the older stamp, which is of no file any more. The next
    /// writer then syncs without need.
    pub(crate) fn stamp_name(&self, stamped: Option<&Identity>) {
        if let (Some(stamped), Ok(Some(stat))) = (stamped, self.target.stat())
            && Identity::of(&stat) == *stamped
        {
            self.lock.leave_sync_stamp(stamped, Synced::ContentAndName);
        }
    }

    /// Makes a file durable that has the right content already: the program that wrote it
    /// may not have synced it. No lock is needed.
    pub(crate) fn ensure_durable(&self, same: &Same) -> Result<()> {
        // safeguard: unchanged-content-sync
        fs::fsync(&same.descriptor).map_err(|errno| self.target.failed("fsync", errno))?;
        self.sync_name(Some(&same.identity))
    }
}
