//! Whether anybody could still write into a file that is about to become a backup.
//!
//! A backup is a hard link to the replaced inode. A program that has the inode open for
//! writing would write into the backup. A read lease tells: the kernel refuses the lease
//! where somebody has the file open for writing, and whoever opens the file for writing
//! later waits until the lease is released.

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
    /// A lease on the file that `live` describes; nothing where the lease is refused, for
    /// whatever reason: the backup is then a copy.
    #[must_use]
    pub fn take(target: &Target, live: &Stat) -> Option<Self> {
        // A forked child with this descriptor would keep others waiting.
        let file = CloseOnFork::open(|| target.open_to_read(target.name.as_os_str()));
        let mut lease = Self { file: file.ok()?, held: false };
        let stat = lease.file.with(|file| fs::fstat(file))?.ok()?;
        let same = Identity::of(&stat).key() == Identity::of(live).key();
        // safeguard: lease-before-link
        lease.held = same && lease.file.with(lease::take)?.is_ok();
        lease.held.then_some(lease)
    }

    /// Syncs the file: a program that wrote it in place may not have synced it.
    ///
    /// # Errors
    ///
    /// When the sync fails.
    pub fn sync(&self, target: &Target) -> Result<()> {
        // By a second descriptor: a sync inside `with` would hold up forks.
        let synced =
            self.file.with(File::try_clone).map(|file| file.and_then(|file| file.sync_all()));
        match synced {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(target.failed("fsync of what is replaced", error)),
            None => Err(Error::LockGone { path: target.given_path.clone() }),
        }
    }

    /// Releases the lease. Where somebody waits to write into the file, `first` runs before
    /// that.
    pub fn end(mut self, first: impl FnOnce()) {
        self.held = !self.file.with(lease::release_unless_awaited).unwrap_or(false);
        // safeguard: awaited-lease
        if self.held {
            first();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing alone would not release the lease: a child forked past the handlers still
        // shares the open file description.
        if self.held {
            // safeguard: lease-released
            self.file.with(lease::release);
        }
    }
}
