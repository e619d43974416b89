//! One writer at a time per data file, across threads and processes.
//!
//! `flock` on a sidecar file: the kernel drops it when its holder dies, it
//! excludes the threads of one process too (each opens the file itself), and,
//! being beside the data file and not on it, it is not moved away by the
//! rename that publishes new content.

pub mod file;
mod held;
mod queue;
mod wake;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;

use self::queue::Wait;
use crate::engine::deadline::Deadline;
use crate::engine::owner::Owner;
use crate::engine::signals::Signals;
use crate::error::{Error, Result};
use crate::files::fork::CloseOnFork;
use crate::files::identity::{FileKey, Identity, Synced};
use crate::files::layout;
use crate::files::sys::{lock, open};
use crate::files::target::Target;

pub use self::held::after_fork_in_child;

/// The right to write one data file, until released or dropped.
#[derive(Debug)]
pub struct Lock {
    file: CloseOnFork,
    key: FileKey,
    released: AtomicBool,
}

impl Lock {
    /// Takes the lock of the file `target`.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`] at the deadline, [`Error::Interrupted`] for a
    /// signal, [`Error::AlreadyLocked`] where this thread would wait for
    /// itself; a failing syscall is an error, never taken for contention.
    pub fn of_file(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Self> {
        Self::acquire(target, &layout::lock(&target.name), deadline, signals)
    }

    /// Takes the lock of the journal in the target's folder.
    ///
    /// # Errors
    ///
    /// As for [`Lock::of_file`].
    pub fn of_journal(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Self> {
        Self::acquire(target, Path::new(layout::JOURNAL_LOCK), deadline, signals)
    }

    /// Takes the lock of the group that is named by the file `target`. Its holder waits for no
    /// lock but that of a journal.
    ///
    /// # Errors
    ///
    /// As for [`Lock::of_file`].
    pub fn of_group(target: &Target, deadline: &Deadline, signals: &dyn Signals) -> Result<Self> {
        Self::acquire(target, &layout::group_lock(&target.name), deadline, signals)
    }

    fn acquire(
        target: &Target,
        path: &Path,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Self> {
        let wait = Wait { target, deadline, signals };
        let mut renewed = false;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let file = CloseOnFork::open(|| file::open(target, path))?;
            let stat = wait.used(file.with(|file| fs::fstat(file)))?;
            let stat = stat.map_err(|errno| target.failed("fstat of its lock", errno))?;
            let key = Identity::of(&stat).key();
            // safeguard: lock-left-to-other-folder
            if stat.st_nlink > 1 && wait.leave_to_another_folder(path, &file, key)? {
                continue;
            }
            // safeguard: no-wait-for-oneself
            if let Some(why) = wait.standstill(&file, key)? {
                return Err(Error::AlreadyLocked { path: target.given_path.clone(), why });
            }
            // safeguard: renewed-only-when-held
            let locked = wait.for_lock(&file);
            locked?;
            // From here on every return releases the lock.
            let lock = Self { file, key, released: AtomicBool::new(false) };
            if file::is_current(target, path, key)? {
                // safeguard: linked-lock-renewed
                if stat.st_nlink > 1 && !renewed {
                    renewed = true;
                    // Where that fails, the folders go on sharing the lock file.
                    let made = lock.file.with(|file| file::renew(target, path, file));
                    if wait.used(made)?.is_ok() {
                        continue;
                    }
                }
                wait.used(lock.file.with(|_| held::add(lock.file.id(), key)))?;
                return Ok(lock);
            }
            // A caller that does not wait still gets all attempts: another process may be
            // replacing the lock file at this moment.
            if attempts >= file::OPEN_ATTEMPTS && deadline.left().is_zero() {
                return Err(wait.timed_out(&lock.file, None));
            }
        }
    }

    /// Leaves the lock to its `owner` when the call that took it returns.
    ///
    /// # Errors
    ///
    /// When the folder's `fstat` fails.
    pub fn hand_over(&self, target: &Target, owner: Arc<dyn Owner>) -> Result<()> {
        let folder = target.folder_key()?;
        self.file.with(|_| held::hand_over(self.file.id(), folder, owner));
        Ok(())
    }

    /// Which file the lock is on.
    #[must_use]
    pub fn key(&self) -> FileKey {
        self.key
    }

    /// Whether others would lock the same file for `target`, of which this is the lock.
    ///
    /// # Errors
    ///
    /// When its `fstatat` fails.
    pub fn is_current(&self, target: &Target) -> Result<bool> {
        file::is_current(target, &layout::lock(&target.name), self.key)
    }

    /// Writes into the lock file, for the next holder of the lock. A failed write does no
    /// harm: what stands there only saves work.
    pub fn write_at(&self, bytes: &[u8], offset: u64) {
        let _ = self.file.with(|file| file.write_all_at(bytes, offset));
    }

    /// Up to `most` bytes of the lock file, from `offset` on.
    #[must_use]
    pub fn read_at(&self, most: usize, offset: u64) -> Option<Vec<u8>> {
        let mut found = vec![0; most];
        let count = self.file.with(|file| file.read_at(&mut found, offset))?.ok()?;
        found.truncate(count);
        Some(found)
    }

    /// Writes the sync stamp: what of this content of the file is on the disk.
    pub fn leave_sync_stamp(&self, identity: &Identity, synced: Synced) {
        self.write_at(identity.sync_stamp(synced).as_bytes(), layout::SYNC_STAMP_PLACE);
    }

    /// What of this content of the file the sync stamp tells to be on the disk.
    #[must_use]
    pub fn synced(&self, identity: &Identity) -> Option<Synced> {
        self.file.with(|file| stamped(file, identity))?
    }

    /// Remembers which file the descriptor is of. To be called before the call that took
    /// the lock returns: see [`crate::files::fork::Descriptor`].
    ///
    /// # Errors
    ///
    /// When its `fstat` fails.
    pub fn keep(&self) -> rustix::io::Result<()> {
        self.file.keep()
    }

    /// Whether this process still holds the lock: a child forked since does not, nor a
    /// process whose application has closed the descriptor.
    #[must_use]
    pub fn is_own(&self) -> bool {
        !self.released.load(Ordering::SeqCst) && self.file.with(|_| ()).is_some()
    }

    /// Releases the lock. The lock file stays open, for the sync stamp.
    pub fn release(&self) {
        if self.released.swap(true, Ordering::SeqCst) {
            return;
        }
        // Closing alone would not release the lock: a child forked past the handlers still
        // shares the open file description. Where the unlock fails, the close follows.
        self.file.with_or_without(|file| {
            held::remove(self.file.id());
            file.map(|file| lock::unlock(file).and_then(|()| wake::after_release(file)))
        });
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.release();
    }
}

/// What of this content of the file `target` its sync stamp tells to be on the disk. Needs no
/// lock: a stamp that another writer is just replacing is of other content.
#[must_use]
pub fn synced(target: &Target, identity: &Identity) -> Option<Synced> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = CloseOnFork::open(|| {
        let lock = layout::lock(&target.name);
        fs::openat(&target.folder, lock, flags, Mode::empty()).map(File::from)
    });
    opened.ok()?.with(|file| stamped(file, identity))?
}

fn stamped(file: &File, identity: &Identity) -> Option<Synced> {
    let stamp = identity.sync_stamp(Synced::Content);
    let (_, content) = stamp.split_once(' ')?;
    let mut found = vec![0; stamp.len()];
    let length = file.read_at(&mut found, layout::SYNC_STAMP_PLACE).ok()?;
    let synced = found[..length].strip_suffix(content.as_bytes())?;
    [(layout::NAME_SYNCED, Synced::ContentAndName), (layout::CONTENT_SYNCED, Synced::Content)]
        .into_iter()
        .find_map(|(word, synced_as)| (synced == word.as_bytes()).then_some(synced_as))
}

/// Whether somebody holds the lock of the journals in the target's folder. A right to read
/// is enough, and even that may be missing.
#[must_use]
pub fn journal_is_held(target: &Target) -> bool {
    match is_held(target, Path::new(layout::JOURNAL_LOCK)) {
        Ok(held) => held,
        // No right to read the lock file: the kernel's list of locks has its inode.
        Err(Errno::ACCESS) => is_listed(target, layout::JOURNAL_LOCK),
        Err(_) => false,
    }
}

/// Whether somebody holds a lock (`flock`) on the file called `name`, seen from the
/// target's folder.
///
/// # Errors
///
/// When it cannot be opened.
pub fn is_held(target: &Target, name: &Path) -> rustix::io::Result<bool> {
    // Opening a pipe without a writer would wait for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = CloseOnFork::open(|| {
        let opened = fs::openat(&target.folder, name, flags, Mode::empty());
        opened.map(File::from)
    });
    let tried = opened?.with(|file| {
        let tried = lock::try_shared(file);
        // Closing alone would not release it: see `Drop` of `Lock`.
        let _ = lock::unlock(file);
        tried
    });
    Ok(matches!(tried, Some(Err(error)) if lock::is_contended(&error)))
}

fn is_listed(target: &Target, name: &str) -> bool {
    let opened = open::to_look_at(&target.folder, name, OFlags::NOFOLLOW);
    opened.is_ok_and(|file| lock::holder(file).is_some())
}
