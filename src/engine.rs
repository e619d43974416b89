//! The one door to storage. A path belongs to one engine, which keeps its document; every
//! engine answers the same calls. The face and `documents` know nothing else of storage.

pub mod backups;
pub mod deadline;
pub mod host;
pub mod owner;
pub mod session;
pub mod signals;
pub mod stamp;
pub mod warning;
pub mod write;

use std::os::fd::OwnedFd;
use std::path::Path;

use crate::error::{Error, Result};
use crate::files::batch::{self, commit, give_up, recovery};
use crate::files::lock::file;
use crate::files::target::Target;
use crate::files::{self, fork, inspect, lock, read};

pub use self::backups::{Backup, Backups, OpenedBackup};
pub use self::deadline::Deadline;
pub use self::host::Host;
pub use self::owner::Owner;
pub use self::session::Session;
pub use self::signals::{NoSignals, Signals};
pub use self::stamp::{Key, Probe, Snapshot, Stamp};
pub use self::write::{WriteOptions, Written};
pub use crate::files::batch::commit::Save;
pub use crate::files::batch::inspect::Batch as InterruptedBatch;
pub use crate::files::batch::notice::{Notice, take as take_notices};
pub use crate::files::batch::recovery::Pending;
pub use crate::files::identity::Instant;
pub use crate::files::inspect::{BackupName, Folder, backup_name};
pub use crate::files::layout::FOLDER as SIDECAR;
pub use crate::files::lock::file::Collected;
pub use crate::files::read::{MISSING, require_version, version_of};

/// Where a document is kept.
#[derive(Clone, Debug)]
pub enum Engine {
    /// In the file system of one host.
    Files,
}

impl Engine {
    /// The engine of the document at `path`. Asked once for a call, at the border.
    #[must_use]
    pub fn of(_path: &Path) -> Self {
        Self::Files
    }

    /// The key of the document, where storage need not be asked for it.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::Files => None,
        }
    }

    /// Whether even a look at a document can wait: for a network.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self {
            Self::Files => false,
        }
    }

    /// Which content is at `path` now. It is not read unless a read costs nothing more, and
    /// then only if its stamp is not the stamp that is `kept`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotAFile`], or a failing call.
    pub fn probe(
        &self,
        path: &Path,
        _kept: Option<Stamp>,
        _signals: &dyn Signals,
    ) -> Result<Probe> {
        match self {
            Self::Files => read::identify(path).map(|found| Probe::Stamp(Stamp::File(found))),
        }
    }

    /// Whether the content at `path` can be read but has no stamp: an open descriptor of the
    /// process, a pipe perhaps.
    #[must_use]
    pub fn is_without_stamp(&self, path: &Path) -> bool {
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
    pub fn read(&self, path: &Path, signals: &dyn Signals) -> Result<Snapshot> {
        match self {
            Self::Files => match recovery::read(path) {
                // A pipe that is open already keeps nobody waiting for its writer.
                Err(Error::NotAFile { .. }) if Target::is_descriptor(path) => {
                    read::read_pipe(path, signals).map(Snapshot::from)
                }
                outcome => outcome.map(Snapshot::from),
            },
        }
    }

    /// Whether a batch changes the content at `path` at this moment. A batch that was
    /// interrupted is recovered.
    #[must_use]
    pub fn pending(&self, path: &Path) -> Pending {
        match self {
            Self::Files => recovery::pending(path),
        }
    }

    /// Holds what `path` leads to, so that its key means no other content until the answer
    /// is dropped; nothing where `stamp` is not that of the content any more.
    #[must_use]
    pub fn pin(&self, path: &Path, stamp: Stamp) -> Option<OwnedFd> {
        match self {
            Self::Files => {
                let (descriptor, now) = read::pin(path).ok()?;
                (Stamp::File(now) == stamp).then_some(descriptor)
            }
        }
    }

    /// Takes the lock of the document at `path`.
    ///
    /// # Errors
    ///
    /// As for [`Session::open`].
    pub fn open(
        &self,
        path: &Path,
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Session> {
        match self {
            Self::Files => {
                files::session::Session::open(path, options, signals).map(Session::Files)
            }
        }
    }

    /// Replaces the content at `path` with `bytes`, or creates it.
    ///
    /// # Errors
    ///
    /// As for [`files::session::save`].
    pub fn save(
        &self,
        path: &Path,
        bytes: &[u8],
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Written> {
        match self {
            Self::Files => files::session::save(path, bytes, options, signals),
        }
    }

    /// Replaces the content of several documents, or of none.
    ///
    /// # Errors
    ///
    /// As for [`commit::save_many`].
    pub fn save_many(
        &self,
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
    /// As for [`files::session::delete`].
    pub fn delete(
        &self,
        path: &Path,
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Written> {
        match self {
            Self::Files => files::session::delete(path, options, signals),
        }
    }

    /// The backups of the document at `path`.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub fn backups(&self, path: &Path, _signals: &dyn Signals) -> Result<Backups> {
        match self {
            Self::Files => {
                files::session::backups(path).map(|(target, all)| Backups::of_file(target, all))
            }
        }
    }

    /// The names of the backups of the document at `path`, newest first. No backup is read,
    /// and no batch is recovered.
    ///
    /// # Errors
    ///
    /// As for [`inspect::backup_names`].
    pub fn backup_names(&self, path: &Path) -> Result<Vec<BackupName>> {
        match self {
            Self::Files => inspect::backup_names(path),
        }
    }

    /// What lies in `folder`.
    #[must_use]
    pub fn inspect(&self, folder: &Path) -> Folder {
        match self {
            Self::Files => inspect::folder(folder),
        }
    }

    /// The batches with a journal in `folder` that no process carries out.
    ///
    /// # Errors
    ///
    /// As for [`batch::inspect::interrupted`].
    pub fn interrupted_batches(&self, folder: &Path) -> Result<Vec<InterruptedBatch>> {
        match self {
            Self::Files => batch::inspect::interrupted(folder),
        }
    }

    /// Whether a process holds the lock of the temporary file at `path`: its writer lives.
    ///
    /// # Errors
    ///
    /// As for [`inspect::is_held`].
    pub fn is_held(&self, path: &Path) -> Result<bool> {
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
        &self,
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
    pub fn collect_locks(&self, folder: &Path, signals: &dyn Signals) -> Result<Collected> {
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
