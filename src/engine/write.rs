//! How a write is to be done, and what it tells.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use chrono::FixedOffset;

use crate::engine::host::Host;
use crate::engine::judge::Judge;
use crate::engine::stamp::Key;
use crate::engine::warning::Warning;
use crate::settings::Durability;

/// How a write is to be done.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// How long to wait for another writer.
    pub timeout: Duration,
    /// Backups kept; 0 makes none.
    pub backups_kept: usize,
    /// How old a backup may become; the newest is kept however old.
    pub backups_max_age: Option<Duration>,
    /// Bytes above which a backup is compressed.
    pub compressed_above: Option<u64>,
    /// What the file's version must be, if that matters.
    pub if_version: Option<String>,
    /// Whether the missing folders of the path are made.
    pub make_parents: bool,
    /// Whether a save of the content that the file has already only makes it durable, with no
    /// new inode and no backup. An editor that saves everything twice would otherwise push
    /// the last good version out of the backups.
    pub skip_unchanged: bool,
    /// Whether the write waits for the disk before it returns.
    pub durability: Durability,
    /// The local time zone, for the names of backups.
    pub zone: FixedOffset,
    /// The program around the storage core.
    pub host: &'static dyn Host,
    /// Who judges the state that the write leads to, where rules concern it.
    pub judge: Option<Arc<dyn Judge>>,
}

/// A write that happened.
#[derive(Debug, Default)]
pub struct Written {
    /// The document that was replaced or removed.
    pub replaced: Option<Key>,
    /// The name of the backup that has what was there, not compressed yet.
    pub backup: Option<OsString>,
    /// What went wrong beside the write, such as a backup that could not be pruned: for the
    /// log, since the write itself stands.
    pub warnings: Vec<Warning>,
}
