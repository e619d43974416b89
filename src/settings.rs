//! Process-wide settings, with the defaults in force until `configure`.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

/// How much a save does before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Survives power loss: the file is synced before the rename, the
    /// directory after it.
    Full,
    /// Survives the death of the process only: nothing is synced.
    Process,
}

/// What `configure` sets. The Python side builds one from keyword arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Bytes of JSON text whose documents the cache may hold.
    pub cache_bytes: u64,
    /// Documents the cache may hold.
    pub cache_entries: usize,
    /// Backups kept of each file; 0 makes none.
    pub backups_kept: usize,
    /// Seconds until a backup is removed, but for the newest; infinite for never.
    pub backups_max_age: f64,
    /// Bytes above which a backup is compressed; infinite for never.
    pub backups_compressed_above: f64,
    /// Seconds that a save waits for another writer of the same file.
    pub lock_timeout: f64,
    /// What a save does before it returns.
    pub durability: Durability,
    /// Seconds in which a load of a document in a database does not ask again whether the
    /// document that the cache has is fresh.
    pub max_staleness: f64,
    /// Seconds that an edit of a document in a database may take.
    pub edit_timeout: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
            cache_entries: 256,
            backups_kept: 10,
            backups_max_age: f64::INFINITY,
            backups_compressed_above: f64::INFINITY,
            lock_timeout: 10.0,
            durability: Durability::Full,
            max_staleness: 0.0,
            edit_timeout: 60.0,
        }
    }
}

// Without a lock: a fork may happen at any moment, and a lock held then by
// another thread would stay held in the child.
static CURRENT: ArcSwapOption<Settings> = ArcSwapOption::const_empty();

/// The settings in force.
#[must_use]
pub fn current() -> Arc<Settings> {
    CURRENT.load_full().unwrap_or_default()
}

/// Puts `settings` in force for every later operation of this process.
pub fn replace(settings: Settings) {
    CURRENT.store(Some(Arc::new(settings)));
}
