//! Loads, through the cache.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;

use super::arguments::FilePath;
use super::documents::{Content, Document, find, forget, grow, keep, with_cache};
use super::exceptions::{Operation, decode_error, require_stack, storage_error};
use super::gil::{run_python, without_gil};
use super::host;
use super::saving::waiting;
use crate::codec::{self, DecodeError};
use crate::error::Error;
use crate::files::batch::recovery;
use crate::files::identity::Identity;
use crate::files::read::{self, Snapshot};
use crate::files::target::Target;
use crate::statistics::{COUNTERS, LATENCIES};

/// The document in the file at `path`: a copy of the caller's own, or the
/// cached object itself.
#[pyfunction]
pub(super) fn load(py: Python<'_>, path: FilePath, copy: bool) -> PyResult<Bound<'_, PyAny>> {
    let FilePath(path) = path;
    let loaded = loaded(py, &path, copy)?;
    Ok(loaded.document)
}

/// The document as [`load`] gives it, and the bytes of its text.
#[pyfunction]
pub(super) fn load_measured(
    py: Python<'_>,
    path: FilePath,
    copy: bool,
) -> PyResult<(Bound<'_, PyAny>, u64)> {
    let FilePath(path) = path;
    let loaded = loaded(py, &path, copy)?;
    Ok((loaded.document, loaded.identity.size()))
}

/// A document, and the file that it was read from.
pub(super) struct Loaded<'py> {
    pub(super) document: Bound<'py, PyAny>,
    pub(super) identity: Identity,
}

/// The document of the file as it is now, from the cache or not: the caller's
/// own, or lent by the cache.
pub(super) fn loaded<'py>(py: Python<'py>, path: &Path, own: bool) -> PyResult<Loaded<'py>> {
    match cached(py, path)? {
        Found::Fresh(entry) => {
            COUNTERS.hits.count();
            let identity = entry.identity;
            let document = if own { copied(py, &entry) } else { entry.document.borrow_shared(py) };
            let document = document.map_err(|error| {
                forget(path, Some(identity.key()));
                decode_error(py, path, error, entry.size == 0)
            })?;
            Ok(Loaded { document, identity })
        }
        Found::Reread(snapshot) => decoded(py, path, snapshot, own),
        Found::Nothing => fresh(py, path, own),
    }
}

/// The document of the file as it is now, not from the cache.
pub(super) fn fresh<'py>(py: Python<'py>, path: &Path, own: bool) -> PyResult<Loaded<'py>> {
    let started = Instant::now();
    let snapshot = read(py, path)?;
    let loaded = decoded(py, path, snapshot, own)?;
    LATENCIES.read.observe(started);
    Ok(loaded)
}

/// The document at `path` and the version of the bytes it was decoded from;
/// never from the cache, which does not keep the bytes. And how many they are.
#[pyfunction]
pub(super) fn load_with_version(
    py: Python<'_>,
    path: FilePath,
) -> PyResult<(Bound<'_, PyAny>, String, usize)> {
    let FilePath(path) = path;
    let started = Instant::now();
    let snapshot = read(py, &path)?;
    let version = without_gil(py, || read::version_of(&snapshot.bytes));
    let document = document_in(py, &path, &snapshot)?;
    LATENCIES.read.observe(started);
    Ok((document, version, snapshot.bytes.len()))
}

/// Whether a load of `path` would be answered from the cache.
#[pyfunction]
pub(super) fn is_cached(py: Python<'_>, path: FilePath) -> bool {
    let FilePath(path) = path;
    // Asked first, because asking about a missing file is no failed load.
    without_gil(py, || read::identify(&path)).is_ok()
        && matches!(cached(py, &path), Ok(Found::Fresh(_)))
}

/// Lets the cached document of `path` go.
#[pyfunction]
pub(super) fn invalidate(py: Python<'_>, path: FilePath) {
    let FilePath(path) = path;
    // A path that leads nowhere may still have an entry from before.
    let key = without_gil(py, || read::identify(&path)).ok().map(|identity| identity.key());
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
    let identity = match without_gil(py, || read::identify(path)) {
        Ok(identity) => identity,
        // A batch that was interrupted may be about to create it.
        Err(Error::NotFound { .. }) => return Ok(Found::Nothing),
        Err(Error::NotAFile { .. }) if Target::is_descriptor(path) => return Ok(Found::Nothing),
        Err(error) => return Err(failed(py, path, &error)),
    };
    let Some(entry) = find(identity.key()).filter(|entry| entry.identity == identity) else {
        return Ok(Found::Nothing);
    };
    let Some(text) = &entry.racy_text else {
        // What was stamped since a clock was set back can bear the same stamps.
        let stamps_hold = !entry.read_at.is_ahead_of_the_clock();
        return Ok(if stamps_hold { Found::Fresh(entry) } else { Found::Nothing });
    };
    // The file was written so shortly before it was read that a second write may hide
    // behind the same stamps, or has no birth time: only its bytes can tell.
    COUNTERS.racy_rereads.count();
    let snapshot = read(py, path)?;
    if snapshot.identity != entry.identity || snapshot.bytes[..] != text[..] {
        return Ok(Found::Reread(snapshot));
    }
    if snapshot.past_racy_window && snapshot.stable {
        let content = Arc::clone(&entry.document);
        let entry = Arc::new(entry_of(snapshot, Some(content)));
        keep(path, &entry);
        return Ok(Found::Fresh(entry));
    }
    Ok(Found::Fresh(entry))
}

fn read(py: Python<'_>, path: &Path) -> PyResult<Snapshot> {
    require_stack(py, Operation::Read, path)?;
    let read = host::run_core(py, || recovery::read(path));
    if let Some(raised) = host::raised() {
        return Err(raised);
    }
    let snapshot = match read {
        // A pipe that is open already keeps nobody waiting for its writer.
        Err(Error::NotAFile { .. }) if Target::is_descriptor(path) => {
            waiting(py, path, Operation::Read, |signals| read::read_pipe(path, signals))?
        }
        outcome => outcome.map_err(|error| failed(py, path, &error))?,
    };
    COUNTERS.bytes_read.add(snapshot.bytes.len() as u64);
    Ok(snapshot)
}

/// A copy of the caller's own, made in a route that the cache keeps for the next.
fn copied<'py>(
    py: Python<'py>,
    entry: &Arc<Document>,
) -> std::result::Result<Bound<'py, PyAny>, DecodeError> {
    let (document, grown) = entry.document.copy(py)?;
    if grown > 0 {
        grow(entry, grown);
    }
    Ok(document)
}

/// Decodes what was read, and remembers whether it is a document: a save over
/// one that is not must not be quiet.
pub(super) fn document_in<'py>(
    py: Python<'py>,
    path: &Path,
    snapshot: &Snapshot,
) -> PyResult<Bound<'py, PyAny>> {
    let decoded = run_python(py, || codec::decode(py, &snapshot.bytes));
    let corrupt = matches!(decoded, Err(DecodeError::Corrupt { .. }));
    with_cache(|cache| cache.note(snapshot.identity.key(), corrupt));
    decoded.map_err(|error| decode_error(py, path, error, snapshot.bytes.is_empty()))
}

/// The document in what was read: the caller's own, or lent by the cache.
fn decoded<'py>(
    py: Python<'py>,
    path: &Path,
    snapshot: Snapshot,
    own: bool,
) -> PyResult<Loaded<'py>> {
    COUNTERS.misses.count();
    let identity = snapshot.identity;
    let document =
        document_in(py, path, &snapshot).inspect_err(|_| forget(path, Some(identity.key())))?;
    if snapshot.stable {
        let content = (!own).then(|| Arc::new(Content::document(document.clone().unbind())));
        keep(path, &Arc::new(entry_of(snapshot, content)));
    }
    Ok(Loaded { document, identity })
}

/// For the cache: with the content that there is, or else the text.
fn entry_of(snapshot: Snapshot, content: Option<Arc<Content>>) -> Document {
    let Snapshot { bytes, identity, past_racy_window, read_at, .. } = snapshot;
    let text = Arc::new(bytes);
    let length = text.len() as u64;
    let document = content.unwrap_or_else(|| Arc::new(Content::text(Arc::clone(&text))));
    Document {
        identity,
        size: if past_racy_window { length } else { 2 * length } + document.grown() as u64,
        document,
        racy_text: (!past_racy_window).then_some(text),
        read_at,
    }
}

pub(super) fn failed(py: Python<'_>, path: &Path, error: &Error) -> PyErr {
    forget(path, None);
    storage_error(py, Operation::Read, error)
}
