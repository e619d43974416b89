//! A bounded cache: by entries, and by the bytes of JSON text behind them. Generic over
//! what finds an entry, what shows whether the entry is fresh, and the value.
//!
//! The cache never answers by itself whether an entry is fresh: the caller compares stamps,
//! since a key (device and inode of a file) can come to mean another file. The cache holds
//! no descriptor: a program may close what it did not open, and the number is then that of
//! another file.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lru::LruCache;

use crate::statistics::COUNTERS;

/// One value.
#[derive(Debug)]
pub struct Entry<K, S, V> {
    /// What finds the entry.
    pub key: K,
    /// What the value was made from.
    pub stamp: S,
    /// The value.
    pub value: V,
    /// What counts towards the limit when the entry comes into the cache: bytes of JSON
    /// text.
    pub size: u64,
}

/// Entries that left the cache. The caller drops them where the code that runs when their
/// values die may run: not under a lock around the cache.
pub type Evicted<K, S, V> = Vec<Arc<Entry<K, S, V>>>;

/// The cache.
#[derive(Debug)]
pub struct Cache<K: Copy + Eq + Hash, S, V> {
    entries: LruCache<K, Place<K, S, V>>,
    /// The key that each path led to when it was last loaded: finds the entry of a file
    /// that has since been replaced or removed.
    paths: HashMap<PathBuf, K>,
    bytes: u64,
    /// Keys whose content was no document when it was last read.
    corrupt: LruCache<K, ()>,
}

/// How many keys of corrupt content are remembered.
const MOST_CORRUPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// An entry in the cache, the path that it was last loaded through, and its size by now.
#[derive(Debug)]
struct Place<K, S, V> {
    entry: Arc<Entry<K, S, V>>,
    path: PathBuf,
    size: u64,
}

impl<K: Copy + Eq + Hash, S, V> Default for Cache<K, S, V> {
    fn default() -> Self {
        Self {
            entries: LruCache::unbounded(),
            paths: HashMap::new(),
            bytes: 0,
            corrupt: LruCache::new(MOST_CORRUPT),
        }
    }
}

impl<K: Copy + Eq + Hash, S, V> Cache<K, S, V> {
    /// The entry of a key, which becomes the most recently used.
    pub fn get(&mut self, key: K) -> Option<Arc<Entry<K, S, V>>> {
        self.entries.get(&key).map(|place| Arc::clone(&place.entry))
    }

    /// Adds an entry, loaded through `path`, and keeps within the limits. The entry that
    /// `path` led to before leaves.
    pub fn insert(
        &mut self,
        path: &Path,
        entry: Arc<Entry<K, S, V>>,
        max_entries: usize,
        max_bytes: u64,
    ) -> Evicted<K, S, V> {
        let mut evicted = self.remove_path(path);
        evicted.extend(self.remove(entry.key));
        if entry.size > max_bytes {
            return evicted;
        }
        let size = entry.size;
        self.bytes += size;
        self.paths.insert(path.to_path_buf(), entry.key);
        self.entries.put(entry.key, Place { entry, path: path.to_path_buf(), size });
        evicted.extend(self.shrink(max_entries, max_bytes));
        evicted
    }

    /// Counts what an entry has grown by, and keeps within the limits. An entry that is
    /// larger than the limit leaves alone.
    pub fn grow(
        &mut self,
        entry: &Arc<Entry<K, S, V>>,
        more: u64,
        max_entries: usize,
        max_bytes: u64,
    ) -> Evicted<K, S, V> {
        match self.entries.peek_mut(&entry.key) {
            Some(place) if Arc::ptr_eq(&place.entry, entry) => {
                place.size += more;
                self.bytes += more;
                if place.size > max_bytes {
                    COUNTERS.evictions.count();
                    return self.remove(entry.key).into_iter().collect();
                }
                self.shrink(max_entries, max_bytes)
            }
            _ => Vec::new(),
        }
    }

    /// Removes the least recently used entries until the limits hold.
    pub fn shrink(&mut self, max_entries: usize, max_bytes: u64) -> Evicted<K, S, V> {
        let mut evicted = Vec::new();
        while self.entries.len() > max_entries || self.bytes > max_bytes {
            let Some((_, place)) = self.entries.pop_lru() else { break };
            COUNTERS.evictions.count();
            evicted.push(self.leave(place));
        }
        evicted
    }

    /// Removes the entry of a key.
    pub fn remove(&mut self, key: K) -> Option<Arc<Entry<K, S, V>>> {
        let place = self.entries.pop(&key)?;
        Some(self.leave(place))
    }

    /// Removes the entry that was last loaded through `path`.
    pub fn remove_path(&mut self, path: &Path) -> Evicted<K, S, V> {
        let key = self.paths.get(path).copied();
        key.and_then(|key| self.remove(key)).into_iter().collect()
    }

    /// Removes every entry. Which content was corrupt stays known.
    pub fn clear(&mut self) -> Evicted<K, S, V> {
        let mut evicted = Vec::with_capacity(self.entries.len());
        while let Some((_, place)) = self.entries.pop_lru() {
            evicted.push(place.entry);
        }
        self.entries = LruCache::unbounded();
        self.paths = HashMap::new();
        self.bytes = 0;
        evicted
    }

    /// Remembers whether the content of a key is corrupt: no document.
    pub fn remember_corrupt(&mut self, key: K, corrupt: bool) {
        if corrupt {
            self.corrupt.put(key, ());
        } else {
            self.corrupt.pop(&key);
        }
    }

    /// Whether the last read of a key found no document. The content may have changed
    /// since.
    #[must_use]
    pub fn was_corrupt(&self, key: K) -> bool {
        self.corrupt.contains(&key)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of JSON text behind the entries, and what the entries have grown by.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn leave(&mut self, place: Place<K, S, V>) -> Arc<Entry<K, S, V>> {
        self.bytes -= place.size;
        if self.paths.get(&place.path) == Some(&place.entry.key) {
            self.paths.remove(&place.path);
        }
        place.entry
    }
}
