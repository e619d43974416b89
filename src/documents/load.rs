//! The coherent load: a kept document is answered only while its stamp shows that nothing
//! was saved since.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::kept::{Document, Origin};
use super::{DecodeError, Failure, Runtime};
use crate::engine::{Engine, Snapshot, Stamp, version_of};
use crate::error::Error;
use crate::statistics::{COUNTERS, LATENCIES, Operation};

/// A document, and which content it was made from.
#[derive(Debug)]
pub struct Loaded<D> {
    /// The document.
    pub document: D,
    /// The content.
    pub stamp: Stamp,
}

/// A document, and the version of the bytes that it was made from.
#[derive(Debug)]
pub struct Versioned<D> {
    /// The document.
    pub document: D,
    /// The version.
    pub version: String,
    /// How many bytes.
    pub size: usize,
}

/// The document at `path` as it is now, from the cache where that is fresh: the caller's
/// `own`, or borrowed from the cache.
///
/// # Errors
///
/// When there is no document, or it cannot be read.
pub fn load<R: Runtime>(
    runtime: R,
    path: &Path,
    own: bool,
) -> Result<Loaded<R::Document>, Failure<R>> {
    match look_up(runtime, path)? {
        Found::Fresh(entry) => {
            COUNTERS.hits.count();
            let stamp = entry.stamp.stamp;
            // safeguard: private-copy
            let document =
                if own { copy(runtime, &entry) } else { runtime.borrow_shared(&entry.value) };
            let document = document.map_err(|error| {
                R::documents().forget(path, Some(stamp.key()));
                Failure::Decode { path: path.into(), error, empty: entry.size == 0 }
            })?;
            Ok(Loaded { document, stamp })
        }
        Found::Reread(snapshot) => decode(runtime, path, snapshot, own),
        Found::Nothing => load_anew(runtime, path, own),
    }
}

/// The document at `path` as it is now, not from the cache.
///
/// # Errors
///
/// As for [`load`].
pub fn load_anew<R: Runtime>(
    runtime: R,
    path: &Path,
    own: bool,
) -> Result<Loaded<R::Document>, Failure<R>> {
    let started = Instant::now();
    let snapshot = read(runtime, path)?;
    let loaded = decode(runtime, path, snapshot, own)?;
    LATENCIES.read.observe(started);
    Ok(loaded)
}

/// The document at `path` with its version. Never from the cache, which does not keep the
/// bytes.
///
/// # Errors
///
/// As for [`load`].
pub fn load_versioned<R: Runtime>(
    runtime: R,
    path: &Path,
) -> Result<Versioned<R::Document>, Failure<R>> {
    let started = Instant::now();
    let snapshot = read(runtime, path)?;
    let version = runtime.without_lock(|| version_of(&snapshot.bytes));
    let document = document_in(runtime, path, &snapshot)?;
    LATENCIES.read.observe(started);
    Ok(Versioned { document, version, size: snapshot.bytes.len() })
}

/// Whether a load of `path` would be answered from the cache.
pub fn is_kept<R: Runtime>(runtime: R, path: &Path) -> bool {
    // Asked first, because the question about a missing file is no failed load.
    runtime.without_lock(|| Engine::of(path).probe(path)).is_ok()
        && matches!(look_up(runtime, path), Ok(Found::Fresh(_)))
}

/// Drops the kept document of `path`.
pub fn invalidate<R: Runtime>(runtime: R, path: &Path) {
    // A path that leads nowhere may still have an entry from before.
    let stamp = runtime.without_lock(|| Engine::of(path).probe(path)).ok();
    R::documents().forget(path, stamp.map(|stamp| stamp.key()));
}

/// Makes a document of content, and remembers whether the content is corrupt: a save over
/// corrupt content must not be quiet.
///
/// # Errors
///
/// When the content is no document.
pub fn document_in<R: Runtime>(
    runtime: R,
    path: &Path,
    snapshot: &Snapshot,
) -> Result<R::Document, Failure<R>> {
    let decoded = runtime.decode(&snapshot.bytes);
    let corrupt = decoded.as_ref().is_err_and(|error| error.corruption().is_some());
    R::documents().with(|cache| cache.remember_corrupt(snapshot.identity.key(), corrupt));
    decoded.map_err(|error| Failure::Decode {
        path: path.into(),
        error,
        empty: snapshot.bytes.is_empty(),
    })
}

enum Found<V> {
    Fresh(Arc<Document<V>>),
    /// The content had to be read to find out, and is another one.
    Reread(Snapshot),
    Nothing,
}

/// What the cache has for `path`, compared with the content as it is now.
fn look_up<R: Runtime>(runtime: R, path: &Path) -> Result<Found<R::Kept>, Failure<R>> {
    let engine = Engine::of(path);
    let stamp = match runtime.without_lock(|| engine.probe(path)) {
        Ok(stamp) => stamp,
        // A batch that was interrupted may be about to create it.
        Err(Error::NotFound { .. }) => return Ok(Found::Nothing),
        Err(Error::NotAFile { .. }) if engine.is_without_stamp(path) => return Ok(Found::Nothing),
        Err(error) => return Err(failed::<R>(path, error)),
    };
    let kept = R::documents().find(stamp.key());
    // safeguard: hit-compares-identity
    let Some(entry) = kept.filter(|entry| entry.stamp.stamp == stamp) else {
        return Ok(Found::Nothing);
    };
    let Some(text) = &entry.stamp.racy_text else {
        // What was stamped since a clock was set back can bear the same stamps.
        // safeguard: clock-set-back
        let stamps_hold = !entry.stamp.read_at.is_ahead_of_the_clock();
        return Ok(if stamps_hold { Found::Fresh(entry) } else { Found::Nothing });
    };
    // The content was written so shortly before it was read that a second write may hide
    // behind the same stamps, or has no birth time: only its bytes can tell.
    COUNTERS.racy_rereads.count();
    let snapshot = read(runtime, path)?;
    if snapshot.identity != entry.stamp.stamp || snapshot.bytes[..] != text[..] {
        return Ok(Found::Reread(snapshot));
    }
    if snapshot.past_racy_window && snapshot.stable {
        let value = Arc::clone(&entry.value);
        let entry = Arc::new(entry_of::<R>(snapshot, Some(value)));
        R::documents().keep(path, &entry);
        return Ok(Found::Fresh(entry));
    }
    Ok(Found::Fresh(entry))
}

/// What is at `path` now; what is kept is forgotten where nothing can be read.
///
/// # Errors
///
/// As for [`load`].
pub(super) fn read<R: Runtime>(runtime: R, path: &Path) -> Result<Snapshot, Failure<R>> {
    let engine = Engine::of(path);
    let read = runtime
        .run(Operation::Read, path, |signals| engine.read(path, signals))
        .map_err(Failure::Raised)?;
    let snapshot = read.map_err(|error| failed::<R>(path, error))?;
    COUNTERS.bytes_read.add(snapshot.bytes.len() as u64);
    Ok(snapshot)
}

/// A copy of the caller's own, made in a way that the cache keeps for the next.
fn copy<R: Runtime>(
    runtime: R,
    entry: &Arc<Document<R::Kept>>,
) -> Result<R::Document, R::DecodeError> {
    let (document, grown) = runtime.copy(&entry.value)?;
    // safeguard: copies-count
    if grown > 0 {
        R::documents().grow(entry, grown);
    }
    Ok(document)
}

/// The document in what was read: the caller's own, or borrowed from the cache.
fn decode<R: Runtime>(
    runtime: R,
    path: &Path,
    snapshot: Snapshot,
    own: bool,
) -> Result<Loaded<R::Document>, Failure<R>> {
    COUNTERS.misses.count();
    let stamp = snapshot.identity;
    let document = document_in(runtime, path, &snapshot)
        .inspect_err(|_| R::documents().forget(path, Some(stamp.key())))?;
    if snapshot.stable {
        let value = (!own).then(|| Arc::new(runtime.keep_document(&document)));
        R::documents().keep(path, &Arc::new(entry_of::<R>(snapshot, value)));
    }
    Ok(Loaded { document, stamp })
}

/// For the cache: with the value that there is, or else the text.
fn entry_of<R: Runtime>(snapshot: Snapshot, value: Option<Arc<R::Kept>>) -> Document<R::Kept> {
    let Snapshot { bytes, identity: stamp, past_racy_window, read_at, .. } = snapshot;
    let text = Arc::new(bytes);
    let length = text.len() as u64;
    let value = value.unwrap_or_else(|| Arc::new(R::keep_text(Arc::clone(&text))));
    let texts = if past_racy_window { length } else { 2 * length };
    Document {
        key: stamp.key(),
        size: texts + R::extra_size(&value) as u64,
        value,
        stamp: Origin { stamp, racy_text: (!past_racy_window).then_some(text), read_at },
    }
}

fn failed<R: Runtime>(path: &Path, error: Error) -> Failure<R> {
    R::documents().forget(path, None);
    Failure::Engine(error)
}
