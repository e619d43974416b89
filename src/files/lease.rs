//! Whether anybody could still write into a file that is about to be a backup.
//!
//! A backup is a hard link to the replaced inode. A program that has that inode
//! open for writing would change the backup with it. A read lease
//! (`fcntl(2)`, `F_SETLEASE`) tells: the kernel refuses it where somebody has
//! the file open for writing, and lets whoever opens it so later wait until the
//! lease is let go.

use std::fs::File;

use rustix::fs::{self, Stat};

use crate::error::{Error, Result};
use crate::files::fork::CloseOnFork;
use crate::files::identity::Identity;
use crate::files::sys::lease;
use crate::files::target::Target;

/// A read lease, until dropped.
#[derive(Debug)]
pub struct Lease {
    file: CloseOnFork,
    held: bool,
}

impl Lease {
    /// A lease on the file that `live` describes; nothing where it is refused,
    /// whatever the reason: the file is then to be copied.
    #[must_use]
    pub fn take(target: &Target, live: &Stat) -> Option<Self> {
        // A child that kept the descriptor would keep others waiting.
        let file = CloseOnFork::open(|| target.open_to_read(target.name.as_os_str()));
        let mut lease = Self { file: file.ok()?, held: false };
        let stat = lease.file.with(|file| fs::fstat(file))?.ok()?;
        let same = Identity::of(&stat).key() == Identity::of(live).key();
        lease.held = same && lease.file.with(lease::take)?.is_ok();
        lease.held.then_some(lease)
    }

    /// Waits until the file is on the disk: a program that wrote it in place may
    /// not have waited for that.
    ///
    /// # Errors
    ///
    /// When the sync fails.
    pub fn sync(&self, target: &Target) -> Result<()> {
        // Its own descriptor: to sync through `with` would hold up forks.
        let synced =
            self.file.with(File::try_clone).map(|file| file.and_then(|file| file.sync_all()));
        match synced {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(target.failed("fsync of what is replaced", error)),
            None => Err(Error::LockGone { path: target.given_path.clone() }),
        }
    }

    /// Lets go. Where somebody is waiting to write into the file, `first` comes
    /// before that.
    pub fn end(mut self, first: impl FnOnce()) {
        self.held = !self.file.with(lease::release_unless_awaited).unwrap_or(false);
        if self.held {
            first();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing would not be enough: a child forked past the handlers still
        // shares the description, and would keep the lease.
        if self.held {
            self.file.with(lease::release);
        }
    }
}
