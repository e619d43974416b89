//! The one door to storage. A path belongs to one engine, which keeps its document; every
//! engine answers the same calls. The face and `documents` know nothing else of storage.

use std::os::fd::OwnedFd;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::batch::{self, commit, give_up, recovery};
use crate::files::lock::file;
use crate::files::target::Target;
use crate::files::{fork, inspect, lock, read, session};

pub use crate::files::backup::{Backup, Opened as OpenedBackup};
pub use crate::files::batch::commit::Save;
pub use crate::files::batch::inspect::Batch as InterruptedBatch;
pub use crate::files::batch::notice::{Notice, take as take_notices};
pub use crate::files::batch::recovery::Pending;
pub use crate::files::host::Host;
pub use crate::files::identity::{FileKey as Key, Identity as Stamp, Instant};
pub use crate::files::inspect::{BackupName, Folder, backup_name};
pub use crate::files::layout::FOLDER as SIDECAR;
pub use crate::files::lock::file::Collected;
pub use crate::files::lock::{Deadline, Owner};
pub use crate::files::read::{MISSING, Snapshot, require_version, version_of};
pub use crate::files::session::Session;
pub use crate::files::signals::Signals;
pub(crate) use crate::files::sys::clock::sleep;
pub use crate::files::write::{WriteOptions, Written};

/// Where a document is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In the file system of one host.
    Files,
}

/// The backups of one document, newest first.
#[derive(Debug)]
pub struct Backups {
    place: Target,
    /// Which there are.
    pub all: Vec<Backup>,
}

impl Backups {
    /// Opens a backup, or finds none any more.
    ///
    /// # Errors
    ///
    /// When the backup cannot be opened.
    pub fn open(&self, backup: &Backup) -> Result<Option<OpenedBackup<'_>>> {
        OpenedBackup::open(&self.place, backup)
    }
}

impl Engine {
    /// The engine of the document at `path`. Asked once for a call, at the border.
    #[must_use]
    pub fn of(_path: &Path) -> Self {
        Self::Files
    }

    /// Which content is at `path` now, without reading it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotAFile`], or a failing syscall.
    pub fn probe(self, path: &Path) -> Result<Stamp> {
        match self {
            Self::Files => read::identify(path),
        }
    }

    /// Whether the content at `path` can be read but has no stamp: an open descriptor of the
    /// process, a pipe perhaps.
    #[must_use]
    pub fn is_without_stamp(self, path: &Path) -> bool {
        match self {
            Self::Files => Target::is_descriptor(path),
        }
    }

    /// Reads the content at `path`, as the last batch that was decided left it.
    ///
    /// # Errors
    ///
    /// As for [`Self::probe`], and [`Error::Interrupted`] for a signal in the wait for a
    /// pipe's writer.
    pub fn read(self, path: &Path, signals: &dyn Signals) -> Result<Snapshot> {
        match self {
            Self::Files => match recovery::read(path) {
                // A pipe that is open already keeps nobody waiting for its writer.
                Err(Error::NotAFile { .. }) if Target::is_descriptor(path) => {
                    read::read_pipe(path, signals)
                }
                outcome => outcome,
            },
        }
    }

    /// Whether a batch changes the content at `path` at this moment. A batch that was
    /// interrupted is recovered.
    #[must_use]
    pub fn pending(self, path: &Path) -> Pending {
        match self {
            Self::Files => recovery::pending(path),
        }
    }

    /// Holds what `path` leads to, so that its key means no other content until the answer
    /// is dropped; nothing where `stamp` is not that of the content any more.
    #[must_use]
    pub fn pin(self, path: &Path, stamp: Stamp) -> Option<OwnedFd> {
        match self {
            Self::Files => {
                let (descriptor, now) = read::pin(path).ok()?;
                (now == stamp).then_some(descriptor)
            }
        }
    }

    /// Takes the lock of the document at `path`.
    ///
    /// # Errors
    ///
    /// As for [`Session::open`].
    pub fn open(
        self,
        path: &Path,
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Session> {
        match self {
            Self::Files => Session::open(path, options, signals),
        }
    }

    /// Replaces the content at `path` with `bytes`, or creates it.
    ///
    /// # Errors
    ///
    /// As for [`session::save`].
    pub fn save(
        self,
        path: &Path,
        bytes: &[u8],
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Written> {
        match self {
            Self::Files => session::save(path, bytes, options, signals),
        }
    }

    /// Replaces the content of several documents, or of none.
    ///
    /// # Errors
    ///
    /// As for [`commit::save_many`].
    pub fn save_many(
        self,
        saves: &[Save<'_>],
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Vec<Written>> {
        match self {
            Self::Files => commit::save_many(saves, options, signals),
        }
    }

    /// Removes the document at `path`; its content becomes the newest backup.
    ///
    /// # Errors
    ///
    /// As for [`session::delete`].
    pub fn delete(
        self,
        path: &Path,
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Written> {
        match self {
            Self::Files => session::delete(path, options, signals),
        }
    }

    /// The backups of the document at `path`.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub fn backups(self, path: &Path) -> Result<Backups> {
        match self {
            Self::Files => session::backups(path).map(|(place, all)| Backups { place, all }),
        }
    }

    /// The names of the backups of the document at `path`, newest first. No backup is read,
    /// and no batch is recovered.
    ///
    /// # Errors
    ///
    /// As for [`inspect::backup_names`].
    pub fn backup_names(self, path: &Path) -> Result<Vec<BackupName>> {
        match self {
            Self::Files => inspect::backup_names(path),
        }
    }

    /// What lies in `folder`.
    #[must_use]
    pub fn inspect(self, folder: &Path) -> Folder {
        match self {
            Self::Files => inspect::folder(folder),
        }
    }

    /// The batches with a journal in `folder` that no process carries out.
    ///
    /// # Errors
    ///
    /// As for [`batch::inspect::interrupted`].
    pub fn interrupted_batches(self, folder: &Path) -> Result<Vec<InterruptedBatch>> {
        match self {
            Self::Files => batch::inspect::interrupted(folder),
        }
    }

    /// Whether a process holds the lock of the temporary file at `path`: its writer lives.
    ///
    /// # Errors
    ///
    /// As for [`inspect::is_held`].
    pub fn is_held(self, path: &Path) -> Result<bool> {
        match self {
            Self::Files => inspect::is_held(path),
        }
    }

    /// Gives up what an interrupted batch was to make of the document at `path`. Says where
    /// that content is now; nothing where no batch waits for the document.
    ///
    /// # Errors
    ///
    /// As for [`give_up::give_up`].
    pub fn give_up(
        self,
        path: &Path,
        deadline: &Deadline,
        signals: &dyn Signals,
    ) -> Result<Option<String>> {
        match self {
            Self::Files => give_up::give_up(path, deadline, signals),
        }
    }

    /// Removes what locks left in `folder` of documents that are gone.
    ///
    /// # Errors
    ///
    /// As for [`file::collect`].
    pub fn collect_locks(self, folder: &Path, signals: &dyn Signals) -> Result<Collected> {
        match self {
            Self::Files => file::collect(folder, signals),
        }
    }
}

/// To be called before `fork`, in the forking thread, with no Python lock held.
pub fn before_fork() {
    fork::before();
}

/// To be called after `fork` in the parent.
pub fn after_fork_in_parent() {
    fork::after_in_parent();
}

/// To be called after `fork` in the child.
pub fn after_fork_in_child() {
    fork::after_in_child(lock::after_fork_in_child);
}
