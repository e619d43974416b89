//! The process's cache of decoded documents.

use std::mem;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use pyo3::prelude::*;

use super::gil::run_python;
use crate::cache::{Cache, Entry, Evicted};
use crate::codec::{self, CopyPlan, DecodeError};
use crate::files::identity::FileKey;
use crate::settings;

/// A document as it is kept.
pub(super) struct Content {
    state: Mutex<State>,
    // Not pyo3's: see `Imported`.
    copy_plan: OnceLock<CopyPlan>,
}

/// Text until the document is asked for again: one that is loaded once must not
/// pay for copies of it.
enum State {
    Text(Arc<Vec<u8>>),
    Document(Py<PyAny>),
}

/// A document in the cache.
pub(super) type Document = Entry<Arc<Content>>;

type Documents = Cache<Arc<Content>>;

// Swappable, so that a forked child can turn away from a cache that some other
// thread of its parent was changing at that moment.
static DOCUMENTS: LazyLock<ArcSwap<Mutex<Documents>>> = LazyLock::new(ArcSwap::default);

impl Content {
    /// To be decoded when it is asked for.
    pub(super) fn text(text: Arc<Vec<u8>>) -> Self {
        Self { state: State::Text(text).into(), copy_plan: OnceLock::new() }
    }

    /// To be lent, and copied.
    pub(super) fn document(document: Py<PyAny>) -> Self {
        Self { state: State::Document(document).into(), copy_plan: OnceLock::new() }
    }

    /// The one object that is lent to whoever asks.
    pub(super) fn borrow_shared<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<Bound<'py, PyAny>, DecodeError> {
        let state = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match &*state() {
            State::Document(document) => return Ok(document.bind(py).clone()),
            State::Text(text) => Arc::clone(text),
        };
        // Not under the lock: `json` may have to do it, which runs Python code.
        let decoded = run_python(py, || codec::decode(py, &text))?;
        let mut state = state();
        if let State::Document(first) = &*state {
            return Ok(first.bind(py).clone());
        }
        *state = State::Document(decoded.clone().unbind());
        Ok(decoded)
    }

    /// A copy of the caller's own; and bytes by which this has grown.
    pub(super) fn copy<'py>(
        &self,
        py: Python<'py>,
    ) -> Result<(Bound<'py, PyAny>, usize), DecodeError> {
        let (plan, grown) = if let Some(plan) = self.copy_plan.get() {
            (plan, 0)
        } else {
            let plan = CopyPlan::of(&self.borrow_shared(py)?);
            let grown = plan.size();
            (self.copy_plan.get_or_init(|| plan), grown)
        };
        Ok((plan.copy(py).map_err(DecodeError::Other)?, grown))
    }

    /// Bytes that it takes beside the document.
    pub(super) fn grown(&self) -> usize {
        self.copy_plan.get().map_or(0, CopyPlan::size)
    }
}

/// Uses the cache. What it evicts is returned, to be dropped without its lock.
pub(super) fn with_cache<R>(f: impl FnOnce(&mut Documents) -> R) -> R {
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

/// Counts what a cached document has grown by.
pub(super) fn grow(entry: &Arc<Document>, more: usize) {
    let settings = settings::current();
    let evicted: Evicted<_> = with_cache(|cache| {
        cache.grow(entry, more as u64, settings.cache_entries, settings.cache_bytes)
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
