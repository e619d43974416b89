//! The process's cache of decoded documents.

use std::mem;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pyo3::prelude::*;

use crate::cache::{Cache, Entry, Evicted};
use crate::settings;
use crate::storage::identity::FileKey;

/// A decoded document, as it is kept and lent.
pub(super) type Document = Entry<Py<PyAny>>;

// Swappable, so that a forked child can turn away from a cache that some other
// thread of its parent was changing at that moment.
static DOCUMENTS: LazyLock<ArcSwap<Mutex<Cache<Py<PyAny>>>>> = LazyLock::new(ArcSwap::default);

/// Uses the cache. What it evicts is returned, to be dropped without its lock.
pub(super) fn with_cache<R>(f: impl FnOnce(&mut Cache<Py<PyAny>>) -> R) -> R {
    let documents = DOCUMENTS.load();
    // Short, and never while waiting for the interpreter: safe to take with
    // the interpreter's lock held.
    let mut cache = documents.lock().unwrap_or_else(PoisonError::into_inner);
    f(&mut cache)
}

/// The cached document of a file, if there is one.
pub(super) fn find(key: FileKey) -> Option<Arc<Document>> {
    with_cache(|cache| cache.get(key))
}

/// Keeps a document.
pub(super) fn keep(path: &Path, entry: &Arc<Document>) {
    let settings = settings::current();
    let evicted: Evicted<_> = with_cache(|cache| {
        cache.insert(path, Arc::clone(entry), settings.cache_entries, settings.cache_bytes)
    });
    drop(evicted);
}

/// Lets the document go that `path` led to, and the one of the file `key`.
pub(super) fn forget(path: &Path, key: Option<FileKey>) {
    let evicted: Evicted<_> = with_cache(|cache| {
        let mut evicted = cache.remove_path(path);
        evicted.extend(key.and_then(|key| cache.remove(key)));
        evicted
    });
    drop(evicted);
}

/// Makes the cache before there can be a second thread or process.
pub(super) fn prepare() {
    LazyLock::force(&DOCUMENTS);
}

/// Called in a forked child.
pub(super) fn after_fork_in_child() {
    let inherited = DOCUMENTS.load_full();
    if inherited.try_lock().is_err() {
        // Held by a thread that this process does not have, perhaps half
        // changed: never to be touched or freed again.
        mem::forget(inherited);
        DOCUMENTS.store(Arc::default());
    }
}
