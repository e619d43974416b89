//! The backups of a document, wherever they lie.

use crate::engine::signals::Signals;
use crate::error::Result;
use crate::files::backup::Opened;
use crate::files::target::Target;

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
}

impl Backups {
    pub(super) fn of_file(target: Target, all: Vec<Backup>) -> Self {
        Self { place: Place::Files(target), all }
    }

    /// Opens a backup, or finds none any more.
    ///
    /// # Errors
    ///
    /// When the backup cannot be opened.
    pub fn open(
        &self,
        backup: &Backup,
        _signals: &dyn Signals,
    ) -> Result<Option<OpenedBackup<'_>>> {
        match &self.place {
            Place::Files(target) => Ok(Opened::open(target, backup)?.map(OpenedBackup::File)),
        }
    }
}

/// A backup that can be read.
#[derive(Debug)]
pub enum OpenedBackup<'a> {
    /// An open file.
    File(Opened<'a>),
}

impl OpenedBackup<'_> {
    /// How many bytes it takes up.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::File(opened) => opened.size,
        }
    }

    /// Its content.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(opened) => opened.read(),
        }
    }
}
