//! What identifies a document, and the content that it has at a moment.

use crate::files::identity::{FileKey, Identity, Instant};
use crate::files::read;

/// Which document, whatever its content: the device and the inode of a file, or a digest of a
/// store and a name in it. The key of a file can come to mean another file.
// No enum: a hit of the cache hashes and compares it. Should a digest ever be the key of a file
// too, the stamps still differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u128);

/// What identifies content without a read of it. Compared with `==` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// The content of a file.
    File(Identity),
    /// The content of a document in a database.
    #[cfg(feature = "postgres")]
    Row(RowStamp),
}

/// What identifies the content of a document in a database: the save that made it.
#[cfg(feature = "postgres")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowStamp {
    /// The document.
    pub key: u128,
    /// The save: no two saves have one id.
    pub save: u128,
    /// How many bytes.
    pub size: u64,
}

impl Stamp {
    /// The document.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::File(identity) => identity.key().into(),
            #[cfg(feature = "postgres")]
            Self::Row(row) => Key::of_digest(row.key),
        }
    }

    /// Whether it is that of a file.
    #[must_use]
    pub fn is_of_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// How many bytes are in it.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::File(identity) => identity.size(),
            #[cfg(feature = "postgres")]
            Self::Row(row) => row.size,
        }
    }

    /// Whether every change after `read_at` must show in the stamp.
    #[must_use]
    pub fn is_past_racy_window(&self, read_at: Instant) -> bool {
        match self {
            Self::File(identity) => identity.is_past_racy_window(read_at),
            #[cfg(feature = "postgres")]
            Self::Row(_) => true,
        }
    }
}

impl From<FileKey> for Key {
    fn from(key: FileKey) -> Self {
        Self(key.number())
    }
}

impl Key {
    /// Of a document in a database, by a digest of its store and its name.
    #[must_use]
    pub fn of_digest(digest: u128) -> Self {
        Self(digest)
    }
}

/// A document's content, and its stamp.
#[derive(Debug)]
pub struct Snapshot {
    /// The whole content.
    pub bytes: Vec<u8>,
    /// Which content it is.
    pub stamp: Stamp,
    /// Whether the content cannot have changed during the read.
    pub stable: bool,
    /// Whether every later change must show in the stamp, as long as the clock is not set
    /// back.
    pub past_racy_window: bool,
    /// When the read began.
    pub read_at: Instant,
}

/// What a look at a document found.
#[derive(Debug)]
pub enum Probe {
    /// The stamp of what is there.
    Stamp(Stamp),
    /// What is there, which cost no more than its stamp would have.
    Content(Snapshot),
}

impl Probe {
    /// The stamp of what is there.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        match self {
            Self::Stamp(stamp) => *stamp,
            Self::Content(snapshot) => snapshot.stamp,
        }
    }
}

impl From<read::Snapshot> for Snapshot {
    fn from(snapshot: read::Snapshot) -> Self {
        let read::Snapshot { bytes, identity, stable, past_racy_window, read_at } = snapshot;
        let stamp = Stamp::File(identity);
        Self { bytes, stamp, stable, past_racy_window, read_at }
    }
}

/// What a store tells of a document, as a `stat` does of a file.
#[derive(Clone, Copy, Debug)]
pub struct StoredStatus {
    /// How many bytes.
    pub size: u64,
    /// When it was saved, in microseconds since 1970.
    pub saved_at: i64,
}
