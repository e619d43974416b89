//! The backups of a document, wherever they lie.

#![cfg_attr(
    not(feature = "postgres"),
    allow(unused_variables, reason = "files wait for no network")
)]

#[cfg(feature = "postgres")]
use std::path::{Path, PathBuf};

use crate::engine::signals::Signals;
use crate::error::Result;
use crate::files::backup::Opened;
use crate::files::target::Target;
#[cfg(feature = "postgres")]
use crate::postgres;

pub use crate::files::backup::Backup;

/// The backups of one document, newest first.
#[derive(Debug)]
pub struct Backups {
    place: Place,
    /// Which there are.
    pub all: Vec<Backup>,
}

#[derive(Debug)]
enum Place {
    Files(Target),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Document, PathBuf),
}

impl Backups {
    pub(super) fn of_file(target: Target, all: Vec<Backup>) -> Self {
        Self { place: Place::Files(target), all }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn of_document(
        document: &postgres::Document,
        path: &Path,
        found: Vec<(Backup, u64)>,
    ) -> Self {
        let all = found.into_iter().map(|(backup, _)| backup).collect();
        Self { place: Place::Postgres(document.clone(), path.to_path_buf()), all }
    }

    /// Opens a backup, or finds none any more.
    ///
    /// # Errors
    ///
    /// When the backup cannot be opened.
    pub fn open(&self, backup: &Backup, signals: &dyn Signals) -> Result<Option<OpenedBackup<'_>>> {
        match &self.place {
            Place::Files(target) => Ok(Opened::open(target, backup)?.map(OpenedBackup::File)),
            #[cfg(feature = "postgres")]
            Place::Postgres(document, path) => {
                let found = postgres::open_backup(document, path, backup, signals)?;
                Ok(found.map(OpenedBackup::Content))
            }
        }
    }
}

/// A backup that can be read.
#[derive(Debug)]
pub enum OpenedBackup<'a> {
    /// An open file.
    File(Opened<'a>),
    /// What was read already.
    Content(Vec<u8>),
}

impl OpenedBackup<'_> {
    /// How many bytes it takes up.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::File(opened) => opened.size,
            Self::Content(bytes) => bytes.len() as u64,
        }
    }

    /// Its content.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(self) -> Result<Vec<u8>> {
        match self {
            Self::File(opened) => opened.read(),
            Self::Content(bytes) => Ok(bytes),
        }
    }
}
