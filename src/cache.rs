//! Documents by the file they were read from. Bounded by entries and by the
//! bytes of JSON text behind them, generic over what it holds.
//!
//! It never answers by itself whether an entry is fresh: the caller compares
//! identities, since its key (device and inode) can come to mean another file. It holds
//! no descriptor: a program may close what it did not open, and its number is then
//! another file's.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lru::LruCache;

use crate::files::identity::{FileKey, Identity, Instant};
use crate::statistics::COUNTERS;

/// One document.
#[derive(Debug)]
pub struct Entry<T> {
    /// What the file was when it was read.
    pub identity: Identity,
    /// What it holds.
    pub document: T,
    /// The file's text, while its stamps cannot yet be trusted alone: a hit
    /// then compares this with the file.
    pub racy_text: Option<Arc<Vec<u8>>>,
    /// What counts towards the limit, when it comes into the cache: bytes of
    /// JSON text that the document stands for.
    pub size: u64,
    /// When the file was read.
    pub read_at: Instant,
}

/// Entries that left the cache. To be dropped where it is safe to run what
/// their documents run when they die: not under the cache's lock.
pub type Evicted<T> = Vec<Arc<Entry<T>>>;

/// The cache.
#[derive(Debug)]
pub struct Cache<T> {
    entries: LruCache<FileKey, Place<T>>,
    /// The file that each path led to when it was last loaded: finds the entry
    /// of a file that has since been replaced or removed.
    paths: HashMap<PathBuf, FileKey>,
    bytes: u64,
    /// Files that turned out to be no documents when they were read last.
    corrupt: LruCache<FileKey, ()>,
}

/// How many corrupt files are remembered.
const MOST_CORRUPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// An entry in the cache, with the path it was last loaded through, and its size
/// by now.
type Place<T> = (Arc<Entry<T>>, PathBuf, u64);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            entries: LruCache::unbounded(),
            paths: HashMap::new(),
            bytes: 0,
            corrupt: LruCache::new(MOST_CORRUPT),
        }
    }
}

impl<T> Cache<T> {
    /// The entry of a file, which becomes the most recently used.
    pub fn get(&mut self, key: FileKey) -> Option<Arc<Entry<T>>> {
        self.entries.get(&key).map(|(entry, ..)| Arc::clone(entry))
    }

    /// Adds an entry, loaded through `path`, and keeps within the limits. What
    /// `path` led to before is let go.
    pub fn insert(
        &mut self,
        path: &Path,
        entry: Arc<Entry<T>>,
        max_entries: usize,
        max_bytes: u64,
    ) -> Evicted<T> {
        let key = entry.identity.key();
        let mut evicted = self.remove_path(path);
        evicted.extend(self.remove(key));
        if entry.size > max_bytes {
            return evicted;
        }
        self.bytes += entry.size;
        self.paths.insert(path.to_path_buf(), key);
        let size = entry.size;
        self.entries.put(key, (entry, path.to_path_buf(), size));
        evicted.extend(self.shrink(max_entries, max_bytes));
        evicted
    }

    /// Counts what an entry has grown by, and keeps within the limits. One that
    /// is too large by itself goes alone.
    pub fn grow(
        &mut self,
        entry: &Arc<Entry<T>>,
        more: u64,
        max_entries: usize,
        max_bytes: u64,
    ) -> Evicted<T> {
        let key = entry.identity.key();
        match self.entries.peek_mut(&key) {
            Some((kept, _, size)) if Arc::ptr_eq(kept, entry) => {
                *size += more;
                self.bytes += more;
                if *size > max_bytes {
                    COUNTERS.evictions.count();
                    return self.remove(key).into_iter().collect();
                }
                self.shrink(max_entries, max_bytes)
            }
            _ => Vec::new(),
        }
    }

    /// Lets least recently used entries go until the limits hold.
    pub fn shrink(&mut self, max_entries: usize, max_bytes: u64) -> Evicted<T> {
        let mut evicted = Vec::new();
        while self.entries.len() > max_entries || self.bytes > max_bytes {
            let Some((_, place)) = self.entries.pop_lru() else { break };
            COUNTERS.evictions.count();
            evicted.push(self.forget(place));
        }
        evicted
    }

    /// Lets a file's entry go.
    pub fn remove(&mut self, key: FileKey) -> Option<Arc<Entry<T>>> {
        let place = self.entries.pop(&key)?;
        Some(self.forget(place))
    }

    /// Lets the entry go that was last loaded through `path`.
    pub fn remove_path(&mut self, path: &Path) -> Evicted<T> {
        let key = self.paths.get(path).copied();
        key.and_then(|key| self.remove(key)).into_iter().collect()
    }

    /// Lets every document go. Which files were corrupt stays known.
    pub fn clear(&mut self) -> Evicted<T> {
        let mut evicted = Vec::with_capacity(self.entries.len());
        while let Some((_, (entry, ..))) = self.entries.pop_lru() {
            evicted.push(entry);
        }
        self.entries = LruCache::unbounded();
        self.paths = HashMap::new();
        self.bytes = 0;
        evicted
    }

    /// Remembers whether a file is no document.
    pub fn note(&mut self, file: FileKey, corrupt: bool) {
        if corrupt {
            self.corrupt.put(file, ());
        } else {
            self.corrupt.pop(&file);
        }
    }

    /// Whether the last read of a file found no document. It may be another by now.
    #[must_use]
    pub fn was_corrupt(&self, file: FileKey) -> bool {
        self.corrupt.contains(&file)
    }

    /// How many documents it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of JSON text of the documents it holds, and what they have grown by.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn forget(&mut self, (entry, path, size): Place<T>) -> Arc<Entry<T>> {
        self.bytes -= size;
        if self.paths.get(&path) == Some(&entry.identity.key()) {
            self.paths.remove(&path);
        }
        entry
    }
}
