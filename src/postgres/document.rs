//! A document in a store: its name, and what identifies it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDateTime;
use rustix::io::Errno;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::{Builder, Uuid};

use crate::engine::stamp::{Key, RowStamp, Snapshot, Stamp};
use crate::error::{A_DIRECTORY, Error, NAME_IN_STORE, Result};
use crate::files::identity::Instant;
use crate::files::layout;
use crate::files::read::version_of;
use crate::files::target::IN_SIDECAR;
use crate::postgres::failures::Fault;
use crate::postgres::store::Store;

/// How long a name may be: more does not fit into an index.
const LONGEST_NAME: usize = 2000;
/// How long a part of it may be, as in a file system.
const LONGEST_PART: usize = 255;
/// How large a document may be: a value is at most 1 GiB, with what surrounds it.
const LARGEST: usize = 1_000_000_000;

/// A document in a store.
#[derive(Clone, Debug)]
pub struct Document {
    pub(super) store: Arc<Store>,
    name: PathBuf,
}

impl Document {
    pub(super) fn new(store: Arc<Store>, name: PathBuf) -> Self {
        Self { store, name }
    }

    /// Whether both are in one store.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        self.store.id == other.store.id
    }

    /// The key of the document.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::of_digest(self.digest())
    }

    pub(super) fn digest(&self) -> u128 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.store.id).update(self.name.as_os_str().as_bytes());
        let digest = *hasher.finalize().as_bytes();
        digest.first_chunk().map_or(0, |start| u128::from_le_bytes(*start))
    }

    /// The name; `path` is how the caller gave it.
    pub(super) fn name(&self, path: &Path) -> Result<&str> {
        let failed = |errno: Errno, hint: &str| Error::Syscall {
            path: path.to_path_buf(),
            call: NAME_IN_STORE,
            source: errno.into(),
            hint: hint.to_owned(),
        };
        let bytes = self.name.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(Error::NotAFile { path: path.to_path_buf(), kind: A_DIRECTORY });
        }
        if bytes.contains(&0) {
            return Err(failed(Errno::INVAL, ""));
        }
        let too_long = |part: std::path::Component<'_>| part.as_os_str().len() > LONGEST_PART;
        if bytes.len() > LONGEST_NAME || self.name.components().any(too_long) {
            let hint = format!(
                "; a document in a database has a name of at most {LONGEST_NAME} bytes, and \
                 {LONGEST_PART} between two slashes"
            );
            return Err(failed(Errno::NAMETOOLONG, &hint));
        }
        let hint = "; a document in a database has a name in UTF-8";
        self.name.to_str().ok_or_else(|| failed(Errno::ILSEQ, hint))
    }

    /// The document and the stamp, if this is the name of a backup.
    pub(super) fn as_backup(&self) -> Option<(Self, NaiveDateTime)> {
        let (of, stamp) = layout::split_backup(layout::plain_backup(self.name.file_name()?))?;
        let stamp = layout::parse_stamp(stamp)?;
        Some((Self::new(Arc::clone(&self.store), self.name.with_file_name(of)), stamp))
    }

    /// The row that is the lock of the group that is named by this document. It has the name of
    /// the lock file beside files, which no document has.
    pub(super) fn as_group(&self) -> Self {
        let lock = layout::group_lock(self.name.file_name().unwrap_or_default());
        Self::new(Arc::clone(&self.store), self.name.with_file_name(lock))
    }

    /// What the names of all documents in this folder begin with.
    pub(super) fn prefix(&self, path: &Path) -> Result<String> {
        if self.name.as_os_str().is_empty() {
            return Ok(String::new());
        }
        self.name(path).map(|name| format!("{name}/"))
    }

    /// The same for a save, of which a backup may be made.
    pub(super) fn name_to_save(&self, path: &Path, backed_up: bool) -> Result<&str> {
        let name = self.name(path)?;
        // As of files. An export would write it among the locks and journals of a folder.
        // safeguard: no-document-in-sidecar
        if self.name.components().any(|part| part.as_os_str() == layout::FOLDER) {
            return Err(Error::NotAFile { path: path.to_path_buf(), kind: IN_SIDECAR });
        }
        let last = self.name.file_name().unwrap_or_default();
        if backed_up && !layout::has_room_for_backup(last) {
            let source = Errno::NAMETOOLONG.into();
            let (path, hint) = (path.to_path_buf(), String::new());
            return Err(Error::Syscall { path, call: "naming a backup", source, hint });
        }
        Ok(name)
    }

    /// The relative path, as bytes of any kind.
    pub(super) fn relative(&self) -> &Path {
        &self.name
    }

    /// What a load makes of a row: checked against its version.
    pub(super) fn snapshot(
        &self,
        path: &Path,
        save: Uuid,
        version: &str,
        content: Option<Vec<u8>>,
    ) -> Result<Snapshot> {
        let damaged = |hint: &str| Error::Syscall {
            path: path.to_path_buf(),
            call: "reading it from its store",
            source: Errno::IO.into(),
            hint: format!(
                "; {hint}: the database is damaged, restore it or a backup of the document"
            ),
        };
        let bytes = content.ok_or_else(|| damaged("its content is missing"))?;
        // safeguard: content-matches-version
        if version_of(&bytes) != version {
            return Err(damaged("its content is not what was saved"));
        }
        let row = RowStamp { key: self.digest(), save: save.as_u128(), size: bytes.len() as u64 };
        Ok(Snapshot {
            bytes,
            stamp: Stamp::Row(row),
            stable: true,
            past_racy_window: true,
            read_at: Instant::now(),
        })
    }
}

/// Refuses what the server would.
pub(super) fn require_size(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.len() <= LARGEST {
        return Ok(());
    }
    Err(Error::Syscall {
        path: path.to_path_buf(),
        call: "saving it in its store",
        source: Errno::FBIG.into(),
        hint: format!("; a document in a database has at most {LARGEST} bytes"),
    })
}

/// The id of a new save: a UUID with the time in front, so that new ids lie together in the
/// index.
pub(super) fn new_save() -> std::result::Result<Uuid, Fault> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or_default());
    let mut random = [0; 10];
    getrandom::fill(&mut random)
        .map_err(|error| Fault::unusable(format!("there is no randomness: {error}")))?;
    Ok(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

/// A column of a row.
pub(super) fn column<'a, T: FromSql<'a>>(
    row: &'a Row,
    index: usize,
) -> std::result::Result<T, Fault> {
    row.try_get(index).map_err(|error| Fault::unusable(error.to_string()))
}
