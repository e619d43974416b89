//! Loads, through the cache.

use std::path::Path;
use std::sync::Arc;

use pyo3::prelude::*;
use rustix::io::Errno;

use super::arguments::FilePath;
use super::documents::{Document, find, forget, keep, with_cache};
use super::raise::{Operation, decode_error, storage_error};
use crate::codec;
use crate::error::{Error, Result};
use crate::statistics::COUNTERS;
use crate::storage::recovery;
use crate::storage::snapshot::{self, Snapshot};

/// The document in the file at `path`: a copy of the caller's own, or the
/// cached object itself.
#[pyfunction]
pub(super) fn load(py: Python<'_>, path: FilePath, copy: bool) -> PyResult<Bound<'_, PyAny>> {
    let FilePath(path) = path;
    lent(py, &*entry(py, &path)?, copy)
}

/// The document of the file as it is now, from the cache or not.
pub(super) fn entry(py: Python<'_>, path: &Path) -> PyResult<Arc<Document>> {
    match cached(py, path)? {
        Found::Fresh(entry) => {
            COUNTERS.hits.count();
            Ok(entry)
        }
        Found::Reread(snapshot) => decoded(py, path, snapshot),
        Found::Nothing => fresh(py, path),
    }
}

/// The document of the file as it is now, not from the cache.
pub(super) fn fresh(py: Python<'_>, path: &Path) -> PyResult<Arc<Document>> {
    let snapshot = read(py, path)?;
    decoded(py, path, snapshot)
}

/// The entry's document, as it is handed to a caller.
pub(super) fn lent<'py>(
    py: Python<'py>,
    entry: &Document,
    copy: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let document = entry.document.bind(py);
    if copy { codec::clone(document) } else { Ok(document.clone()) }
}

/// The document at `path` and the version of the bytes it was decoded from;
/// never from the cache, which does not keep the bytes.
#[pyfunction]
pub(super) fn load_with_version(
    py: Python<'_>,
    path: FilePath,
) -> PyResult<(Bound<'_, PyAny>, String)> {
    let FilePath(path) = path;
    let snapshot = read(py, &path)?;
    let version = py.detach(|| snapshot::version_of(&snapshot.bytes));
    let document = codec::decode(py, &snapshot.bytes)
        .map_err(|error| decode_error(py, &path, error, snapshot.bytes.is_empty()))?;
    Ok((document, version))
}

/// Whether a load of `path` would be answered from the cache.
#[pyfunction]
pub(super) fn is_cached(py: Python<'_>, path: FilePath) -> bool {
    let FilePath(path) = path;
    // Asked first, because asking about a missing file is no failed load.
    py.detach(|| snapshot::identify(&path)).is_ok()
        && matches!(cached(py, &path), Ok(Found::Fresh(_)))
}

/// Lets the cached document of `path` go.
#[pyfunction]
pub(super) fn invalidate(py: Python<'_>, path: FilePath) {
    let FilePath(path) = path;
    // A path that leads nowhere may still have an entry from before.
    let key = py.detach(|| snapshot::identify(&path)).ok().map(|identity| identity.key());
    forget(&path, key);
}

/// Lets every cached document go.
#[pyfunction]
pub(super) fn clear() {
    let evicted = with_cache(crate::cache::Cache::clear);
    drop(evicted);
}

enum Found {
    Fresh(Arc<Document>),
    /// The file had to be read to find out, and is another one.
    Reread(Snapshot),
    Nothing,
}

/// What the cache has for `path`, held against the file as it is now.
fn cached(py: Python<'_>, path: &Path) -> PyResult<Found> {
    let identity = match py.detach(|| snapshot::identify(path)) {
        Ok(identity) => identity,
        // A batch that was interrupted may be about to create it.
        Err(Error::NotFound { .. }) => return Ok(Found::Nothing),
        Err(error) => return Err(failed(py, path, &error)),
    };
    let Some(entry) = find(identity.key()).filter(|entry| entry.identity == identity) else {
        return Ok(Found::Nothing);
    };
    let Some(text) = &entry.unsettled else { return Ok(Found::Fresh(entry)) };
    // The file was written so shortly before it was read that a second write
    // may hide behind the same stamps: only its bytes can tell.
    COUNTERS.racy_rereads.count();
    let snapshot = read(py, path)?;
    if snapshot.identity != entry.identity || snapshot.bytes[..] != text[..] {
        return Ok(Found::Reread(snapshot));
    }
    if snapshot.settled && snapshot.stable {
        let document = entry.document.clone_ref(py);
        keep(path, &Arc::new(entry_of(snapshot, document)));
    }
    Ok(Found::Fresh(entry))
}

fn read(py: Python<'_>, path: &Path) -> PyResult<Snapshot> {
    let snapshot =
        detached(py, || recovery::read(path)).map_err(|error| failed(py, path, &error))?;
    COUNTERS.bytes_read.add(snapshot.bytes.len() as u64);
    Ok(snapshot)
}

fn decoded(py: Python<'_>, path: &Path, snapshot: Snapshot) -> PyResult<Arc<Document>> {
    COUNTERS.misses.count();
    let document = codec::decode(py, &snapshot.bytes).map_err(|error| {
        forget(path, Some(snapshot.identity.key()));
        decode_error(py, path, error, snapshot.bytes.is_empty())
    })?;
    let stable = snapshot.stable;
    let entry = Arc::new(entry_of(snapshot, document.unbind()));
    if stable {
        keep(path, &entry);
    }
    Ok(entry)
}

fn entry_of(snapshot: Snapshot, document: Py<PyAny>) -> Document {
    let Snapshot { bytes, identity, settled, descriptor, .. } = snapshot;
    let text = bytes.len() as u64;
    Document {
        identity,
        document,
        size: if settled { text } else { 2 * text },
        unsettled: (!settled).then(|| bytes.into_boxed_slice()),
        descriptor,
    }
}

pub(super) fn failed(py: Python<'_>, path: &Path, error: &Error) -> PyErr {
    forget(path, None);
    storage_error(py, Operation::Read, error)
}

/// Acts without the interpreter's lock. Where descriptors run out, lets the
/// cached documents go, which hold one each, and acts once more: nothing was
/// written yet, since a save opens all it needs before that.
pub(super) fn detached<T: Send>(py: Python<'_>, act: impl Fn() -> Result<T> + Sync) -> Result<T> {
    match py.detach(&act) {
        Err(error) if out_of_descriptors(&error) => {
            clear();
            py.detach(&act)
        }
        outcome => outcome,
    }
}

fn out_of_descriptors(error: &Error) -> bool {
    matches!(error, Error::Syscall { .. })
        && error.errno().is_some_and(|errno| {
            [Errno::MFILE, Errno::NFILE].contains(&Errno::from_raw_os_error(errno))
        })
}
