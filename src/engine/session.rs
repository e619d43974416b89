//! A document that nobody else may write.

#![cfg_attr(
    not(feature = "postgres"),
    allow(unused_variables, reason = "files wait for no network")
)]

use std::ffi::OsString;
use std::sync::Arc;

use crate::engine::backups::{Backup, OpenedBackup};
use crate::engine::deadline::Deadline;
use crate::engine::owner::Owner;
use crate::engine::signals::Signals;
use crate::engine::stamp::Snapshot;
use crate::engine::write::{WriteOptions, Written};
use crate::error::Result;
use crate::files::session as files;
#[cfg(feature = "postgres")]
use crate::postgres;

/// A document that nobody else may write, until dropped.
#[derive(Debug)]
pub enum Session {
    /// A file.
    Files(files::Session),
    /// A document in a database.
    #[cfg(feature = "postgres")]
    Postgres(Box<postgres::Session>),
}

impl Session {
    /// Leaves the lock to its `owner`. To be called before the call that took the lock
    /// returns.
    ///
    /// # Errors
    ///
    /// When the lock cannot be kept between two calls.
    pub fn hand_over(&self, owner: Arc<dyn Owner>) -> Result<()> {
        match self {
            Self::Files(session) => session.hand_over(owner),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => {
                session.hand_over(owner);
                Ok(())
            }
        }
    }

    /// Reads the document, or finds none.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(&self) -> Result<Option<Snapshot>> {
        match self {
            Self::Files(session) => Ok(session.read()?.map(Snapshot::from)),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.read(),
        }
    }

    /// Refuses where the lock is lost: others then lock the document too. For a change that
    /// was begun long ago.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::LockGone`], or when that cannot be found out.
    pub fn require_current(&self) -> Result<()> {
        match self {
            Self::Files(session) => session.require_current(),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.require_own(),
        }
    }

    /// Replaces the document's content with `bytes`, or creates it. The lock is released as
    /// soon as nobody else needs to wait.
    ///
    /// # Errors
    ///
    /// Any [`crate::error::Error`].
    pub fn save(
        self,
        bytes: &[u8],
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Written> {
        match self {
            Self::Files(session) => {
                session.save(bytes, options, &Deadline::after(options.timeout), signals)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.save(bytes, options, signals),
        }
    }

    /// Makes the `bytes` of a backup the document's content.
    ///
    /// # Errors
    ///
    /// As for [`Self::save`].
    pub fn restore(
        self,
        backup: &Backup,
        bytes: &[u8],
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Written> {
        match self {
            Self::Files(session) => {
                let deadline = Deadline::after(options.timeout);
                session.restore(backup, bytes, options, &deadline, signals)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.save(bytes, options, signals),
        }
    }

    /// Judges `bytes` as the document's content, without a save of them.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Refused`]; why they cannot be judged.
    pub fn judge(&self, bytes: &[u8], options: &WriteOptions, signals: &dyn Signals) -> Result<()> {
        match self {
            Self::Files(session) => {
                session.judge(bytes, options, &Deadline::after(options.timeout), signals)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.judge(bytes, options, signals),
        }
    }

    /// The document's backups, newest first.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub fn backups(&self, signals: &dyn Signals) -> Result<Vec<Backup>> {
        match self {
            Self::Files(session) => session.backups(),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.backups(signals),
        }
    }

    /// Opens a backup, or finds none any more.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open_backup(
        &self,
        backup: &Backup,
        signals: &dyn Signals,
    ) -> Result<Option<OpenedBackup<'_>>> {
        match self {
            Self::Files(session) => Ok(session.open_backup(backup)?.map(OpenedBackup::File)),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => {
                Ok(session.open_backup(backup, signals)?.map(OpenedBackup::Content))
            }
        }
    }

    /// Removes the backups that are too many or too old. Returns their names.
    ///
    /// # Errors
    ///
    /// When they cannot be listed, or a backup cannot be removed.
    pub fn prune(&self, options: &WriteOptions, signals: &dyn Signals) -> Result<Vec<OsString>> {
        match self {
            Self::Files(session) => session.prune(options),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.prune(options, signals),
        }
    }
}
