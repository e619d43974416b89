//! The one door to storage. A path belongs to one engine, which keeps its document; every
//! engine answers the same calls. The face and `documents` know nothing else of storage.

#![cfg_attr(
    not(feature = "postgres"),
    allow(unused_variables, reason = "files wait for no network")
)]

pub mod backups;
pub mod batch;
pub mod deadline;
pub mod group;
pub mod host;
pub mod judge;
pub mod owner;
pub mod process;
pub mod session;
pub mod signals;
pub mod stamp;
#[cfg(feature = "postgres")]
pub mod stores;
pub mod warning;
pub mod write;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::files::batch::inspect as batches;
use crate::files::batch::{give_up, recovery};
use crate::files::lock::file;
use crate::files::target::Target;
use crate::files::{self, inspect, read};
#[cfg(feature = "postgres")]
use crate::postgres;

pub use self::backups::{Backup, Backups, OpenedBackup};
pub use self::deadline::Deadline;
pub use self::host::Host;
pub use self::judge::{Judge, Refusal, State};
pub use self::owner::Owner;
pub use self::session::Session;
pub use self::signals::{NoSignals, Signals};
pub use self::stamp::{Key, Probe, Snapshot, Stamp, StoredStatus};
pub use self::write::{WriteOptions, Written};
pub use crate::files::batch::inspect::Batch as InterruptedBatch;
pub use crate::files::batch::notice::{Notice, take as take_notices};
pub use crate::files::batch::recovery::Pending;
pub use crate::files::identity::{Identity, Instant};
pub use crate::files::inspect::{BackupName, Folder, backup_name};
pub use crate::files::layout::FOLDER as SIDECAR;
pub use crate::files::lock::file::Collected;
pub use crate::files::read::{MISSING, require_version, version_of};
pub(crate) use crate::files::sys::clock::sleep;

/// A document that is asked for together with others.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its engine.
    pub engine: &'a Engine,
    /// Its path, as the caller gave it.
    pub path: &'a Path,
    /// The stamp of what is kept of it.
    pub kept: Option<Stamp>,
}

/// Where a document is kept.
#[derive(Clone, Debug)]
pub enum Engine {
    /// In the file system of one host.
    Files,
    /// In a database, for several hosts.
    #[cfg(feature = "postgres")]
    Postgres(postgres::Document),
}

impl Engine {
    /// The engine of the document at `path`. Asked once for a call, at the border.
    #[inline]
    #[must_use]
    pub fn of(path: &Path) -> Self {
        #[cfg(feature = "postgres")]
        if postgres::is_any_mapped()
            && let Some(document) = postgres::document_at(path)
        {
            return Self::Postgres(document);
        }
        Self::Files
    }

    /// The key of the document, where storage need not be asked for it.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        match self {
            Self::Files => None,
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => Some(document.key()),
        }
    }

    /// What a store tells of a document; within `timeout`, or what a load is given.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], also of a file; or why the server did not answer.
    pub fn stored_status(
        &self,
        path: &Path,
        timeout: Option<Duration>,
        signals: &dyn Signals,
    ) -> Result<StoredStatus> {
        match self {
            Self::Files => Err(Error::NotFound { path: path.to_path_buf() }),
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::stored_status(document, path, timeout, signals),
        }
    }

    /// Whether even a look at a document can wait: for a network.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self {
            Self::Files => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
        }
    }

    /// Which content is at `path` now, without reading it. For an engine that does not wait:
    /// what a hit of the cache costs.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotAFile`], or a failing call.
    pub fn stamp(&self, path: &Path) -> Result<Stamp> {
        match self {
            Self::Files => read::identify(path).map(Stamp::File),
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::stamp(document, path),
        }
    }

    /// Which content is at `path` now. It is not read unless a read costs nothing more, and
    /// then only if its stamp is not the stamp that is `kept`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::NotAFile`], or a failing call.
    pub fn probe(&self, path: &Path, kept: Option<Stamp>, signals: &dyn Signals) -> Result<Probe> {
        match self {
            Self::Files => self.stamp(path).map(Probe::Stamp),
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::probe(document, path, kept, signals),
        }
    }

    /// Whether both are in one store, so that one question or one commit is for both.
    #[must_use]
    pub fn shares_store(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Files, Self::Files) => true,
            #[cfg(feature = "postgres")]
            (Self::Postgres(one), Self::Postgres(other)) => one.is_beside(other),
            #[cfg(feature = "postgres")]
            _ => false,
        }
    }

    /// The same as [`Self::probe`] of several documents that share a store: of one moment,
    /// where the store can tell them together.
    ///
    /// # Errors
    ///
    /// Why the store did not answer. What is wrong with a document is its own answer.
    pub fn probe_many(
        asked: &[Asked<'_>],
        timeout: Duration,
        signals: &dyn Signals,
    ) -> Result<Vec<Result<Probe>>> {
        #[cfg(feature = "postgres")]
        {
            let in_database = asked.iter().filter_map(|asked| match asked.engine {
                Self::Postgres(document) => Some((document.clone(), asked.path, asked.kept)),
                Self::Files => None,
            });
            let in_database: Vec<_> = in_database.collect();
            if !in_database.is_empty() {
                return postgres::probe_many(&in_database, timeout, signals);
            }
        }
        let probe = |asked: &Asked<'_>| asked.engine.probe(asked.path, asked.kept, signals);
        Ok(asked.iter().map(probe).collect())
    }

    /// Whether the content at `path` can be read but has no stamp: an open descriptor of the
    /// process, a pipe perhaps.
    #[must_use]
    pub fn is_without_stamp(&self, path: &Path) -> bool {
        match self {
            Self::Files => Target::is_descriptor(path),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => false,
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
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::read(document, path, signals),
        }
    }

    /// Whether a batch changes the content at `path` at this moment. A batch that was
    /// interrupted is recovered.
    #[must_use]
    pub fn pending(&self, path: &Path) -> Pending {
        match self {
            Self::Files => recovery::pending(path),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Pending::No,
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
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
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
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::Session::open(document, path, options, signals)
                .map(|session| Session::Postgres(Box::new(session))),
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
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::save(document, path, bytes, options, signals),
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
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::delete(document, path, options, signals),
        }
    }

    /// The backups of the document at `path`.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub fn backups(&self, path: &Path, signals: &dyn Signals) -> Result<Backups> {
        match self {
            Self::Files => {
                files::session::backups(path).map(|(target, all)| Backups::of_file(target, all))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::backups(document, path, signals)
                .map(|found| Backups::of_document(document, path, found)),
        }
    }

    /// The names of the backups of the document at `path`, newest first. No backup is read,
    /// and no batch is recovered.
    ///
    /// # Errors
    ///
    /// As for [`inspect::backup_names`].
    pub fn backup_names(&self, path: &Path, signals: &dyn Signals) -> Result<Vec<BackupName>> {
        match self {
            Self::Files => inspect::backup_names(path),
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => {
                let found = postgres::backups(document, path, signals)?;
                Ok(found.iter().filter_map(|(backup, _)| backup_name(&backup.name)).collect())
            }
        }
    }

    /// What lies in `folder`.
    ///
    /// # Errors
    ///
    /// When a database does not tell. Of files, what cannot be listed is in the answer.
    pub fn inspect(&self, folder: &Path, signals: &dyn Signals) -> Result<Folder> {
        match self {
            Self::Files => Ok(inspect::folder(folder)),
            #[cfg(feature = "postgres")]
            Self::Postgres(document) => postgres::inspect(document, folder, signals),
        }
    }

    /// The batches with a journal in `folder` that no process carries out.
    ///
    /// # Errors
    ///
    /// As for [`batches::interrupted`].
    pub fn interrupted_batches(&self, folder: &Path) -> Result<Vec<InterruptedBatch>> {
        match self {
            Self::Files => batches::interrupted(folder),
            #[cfg(feature = "postgres")]
            // The server undoes what was interrupted.
            Self::Postgres(_) => Ok(Vec::new()),
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
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(false),
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
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(None),
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
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(Collected::default()),
        }
    }
}
