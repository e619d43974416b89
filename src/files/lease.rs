//! Whether anybody could still write into a file that is about to become a backup.
//!
//! A backup is a hard link to the replaced inode. A program that has the inode open for
//! writing would write into the backup. A read lease tells: the kernel refuses the lease
//! where somebody has the file open for writing, and whoever opens the file for writing
//! later waits until the lease is released.

use std::sync::Arc;

use crate::error::Result;
use crate::files::identity::Identity;
use crate::files::live::Live;
use crate::files::sys::lease;
use crate::files::target::Target;

/// A read lease, until dropped.
#[derive(Debug)]
pub struct Lease {
    live: Arc<Live>,
    held: bool,
    /// Whether the file is as it was when it was opened.
    unchanged: bool,
}

impl Lease {
    /// A lease on the live file; nothing where the lease is refused, for whatever reason: the
    /// backup is then a copy. Nor where another file has the name by now.
    #[must_use]
    pub fn take(target: &Target, live: &Arc<Live>) -> Option<Self> {
        let mut lease = Self { live: Arc::clone(live), held: false, unchanged: false };
        // safeguard: lease-before-link
        lease.held = live.if_own(lease::take)?.is_ok();
        if !lease.held {
            return None;
        }
        let (seen, now) = (Identity::of(&live.stat), Identity::of(&target.stat().ok()??));
        lease.unchanged = now == seen;
        // safeguard: lease-on-the-named-file
        (now.key() == seen.key()).then_some(lease)
    }

    /// Whether the file is as it was when it was opened.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// Syncs the file: a program that wrote it in place may not have synced it.
    ///
    /// # Errors
    ///
    /// When the sync fails.
    pub fn sync(&self, target: &Target) -> Result<()> {
        let synced = self.live.second(target)?.sync_all();
        synced.map_err(|error| target.failed("fsync of what is replaced", error))
    }

    /// Releases the lease. Where somebody waits to write into the file, `first` runs before
    /// that.
    pub fn end(mut self, first: impl FnOnce()) {
        self.held = !self.live.if_own(lease::release_unless_awaited).unwrap_or(false);
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
            self.live.if_own(lease::release);
        }
    }
}
