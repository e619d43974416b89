//! The coherent load: a kept document is answered only while its stamp shows that nothing
//! was saved since.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::kept::{Confirmed, Document, Origin, Question};
use super::{DecodeError, Failure, Runtime};
use crate::engine::{Engine, Probe, Signals, Snapshot, Stamp, version_of};
use crate::error::Error;
use crate::settings;
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
    let engine = Engine::of(path);
    // Without `?`, which would move what was found.
    match look_up(runtime, &engine, path) {
        Ok(Found::Fresh(entry)) => hand_out(runtime, path, &entry, own),
        Ok(found) => answer(runtime, &engine, path, found, own),
        Err(failure) => Err(failure),
    }
}

/// The document that was found, or what is read where nothing fresh was found.
pub(super) fn answer<R: Runtime>(
    runtime: R,
    engine: &Engine,
    path: &Path,
    found: Found<R::Kept>,
    own: bool,
) -> Result<Loaded<R::Document>, Failure<R>> {
    match found {
        Found::Fresh(entry) => hand_out(runtime, path, &entry, own),
        Found::Reread(snapshot, question) => decode(runtime, path, snapshot, question, own),
        Found::Nothing => load_from(runtime, engine, path, own),
    }
}

/// A kept document, for a caller.
#[allow(clippy::inline_always, reason = "a hit is so short that a call shows")]
#[inline(always)]
fn hand_out<R: Runtime>(
    runtime: R,
    path: &Path,
    entry: &Arc<Document<R::Kept>>,
    own: bool,
) -> Result<Loaded<R::Document>, Failure<R>> {
    COUNTERS.hits.count();
    let stamp = entry.stamp.stamp;
    // safeguard: private-copy
    let document = if own { copy(runtime, entry) } else { runtime.borrow_shared(&entry.value) };
    let document = document.map_err(|error| {
        R::documents().forget(path, Some(stamp.key()));
        Failure::Decode { path: path.into(), error, empty: entry.size == 0 }
    })?;
    Ok(Loaded { document, stamp })
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
    load_from(runtime, &Engine::of(path), path, own)
}

fn load_from<R: Runtime>(
    runtime: R,
    engine: &Engine,
    path: &Path,
    own: bool,
) -> Result<Loaded<R::Document>, Failure<R>> {
    let started = Instant::now();
    let question = Question::now();
    let snapshot = read(runtime, engine, path)?;
    let loaded = decode(runtime, path, snapshot, question, own)?;
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
    let snapshot = read(runtime, &Engine::of(path), path)?;
    let version = runtime.without_lock(|| version_of(&snapshot.bytes));
    let document = document_in(runtime, path, &snapshot)?;
    LATENCIES.read.observe(started);
    Ok(Versioned { document, version, size: snapshot.bytes.len() })
}

/// Whether a load of `path` would be answered from the cache.
pub fn is_kept<R: Runtime>(runtime: R, path: &Path) -> bool {
    let engine = Engine::of(path);
    // Asked first, because the question about a missing file is no failed load.
    let is_there = if engine.waits() {
        probe(runtime, &engine, path, None).is_ok_and(|probed| probed.is_ok())
    } else {
        runtime.without_lock(|| engine.stamp(path)).is_ok()
    };
    is_there && matches!(look_up(runtime, &engine, path), Ok(Found::Fresh(_)))
}

/// Drops the kept document of `path`.
pub fn invalidate<R: Runtime>(runtime: R, path: &Path) {
    let engine = Engine::of(path);
    let key = engine.key().or_else(|| {
        // A path that leads nowhere may still have an entry from before.
        runtime.without_lock(|| engine.stamp(path)).ok().map(|stamp| stamp.key())
    });
    R::documents().forget(path, key);
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
    R::documents().with(|cache| cache.remember_corrupt(snapshot.stamp.key(), corrupt));
    decoded.map_err(|error| Failure::Decode {
        path: path.into(),
        error,
        empty: snapshot.bytes.is_empty(),
    })
}

/// What the cache has for a document.
pub(super) enum Found<V> {
    /// What is kept is what is there.
    Fresh(Arc<Document<V>>),
    /// The content had to be read to find out, and is another one: the answer to the question.
    Reread(Snapshot, Question),
    /// Nothing that is fresh.
    Nothing,
}

/// What the cache has for `path`, compared with the content as it is now.
fn look_up<R: Runtime>(
    runtime: R,
    engine: &Engine,
    path: &Path,
) -> Result<Found<R::Kept>, Failure<R>> {
    if engine.waits() {
        return ask(runtime, engine, path);
    }
    let stamp = match runtime.without_lock(|| engine.stamp(path)) {
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
    let question = Question::now();
    let snapshot = read(runtime, engine, path)?;
    if snapshot.stamp != entry.stamp.stamp || snapshot.bytes[..] != text[..] {
        return Ok(Found::Reread(snapshot, question));
    }
    if snapshot.past_racy_window && snapshot.stable {
        let value = Arc::clone(&entry.value);
        let entry = Arc::new(entry_of::<R>(snapshot, question, Some(value)));
        R::documents().keep(path, &entry);
        return Ok(Found::Fresh(entry));
    }
    Ok(Found::Fresh(entry))
}

/// The same where storage is asked once: for the content, unless it is what is kept.
#[inline(never)]
fn ask<R: Runtime>(runtime: R, engine: &Engine, path: &Path) -> Result<Found<R::Kept>, Failure<R>> {
    let kept = kept(runtime, engine);
    let staleness = settings::current().max_staleness;
    if let Some(entry) = kept.as_ref().filter(|kept| kept.stamp.confirmed.is_within(staleness)) {
        return Ok(Found::Fresh(Arc::clone(entry)));
    }
    let known = kept.as_ref().map(|entry| entry.stamp.stamp);
    let question = Question::now();
    let probed = probe(runtime, engine, path, known)?;
    found::<R>(path, kept, question, probed)
}

/// What is kept of a document whose key is known.
pub(super) fn kept<R: Runtime>(_runtime: R, engine: &Engine) -> Option<Arc<Document<R::Kept>>> {
    engine.key().and_then(|key| R::documents().find(key))
}

/// What the answer to a question for the stamp of what is `kept` means.
pub(super) fn found<R: Runtime>(
    path: &Path,
    kept: Option<Arc<Document<R::Kept>>>,
    question: Question,
    probed: crate::error::Result<Probe>,
) -> Result<Found<R::Kept>, Failure<R>> {
    match (probed, kept) {
        (Ok(Probe::Content(snapshot)), _) => Ok(Found::Reread(counted(snapshot), question)),
        (Ok(Probe::Stamp(stamp)), Some(entry)) if entry.stamp.stamp == stamp => {
            entry.stamp.confirmed.again(question);
            Ok(Found::Fresh(entry))
        }
        (Ok(Probe::Stamp(_)), _) => Ok(Found::Nothing),
        (Err(error), _) => Err(failed::<R>(path, error)),
    }
}

/// Looks at what is there now; the caller's own lock is released as long as that takes.
fn probe<R: Runtime>(
    runtime: R,
    engine: &Engine,
    path: &Path,
    kept: Option<Stamp>,
) -> Result<crate::error::Result<Probe>, Failure<R>> {
    let probe = |signals: &dyn Signals| engine.probe(path, kept, signals);
    runtime.run(Operation::Read, path, probe).map_err(Failure::Raised)
}

/// What is at `path` now; what is kept is forgotten where nothing can be read.
///
/// # Errors
///
/// As for [`load`].
pub(super) fn read<R: Runtime>(
    runtime: R,
    engine: &Engine,
    path: &Path,
) -> Result<Snapshot, Failure<R>> {
    let read = runtime
        .run(Operation::Read, path, |signals| engine.read(path, signals))
        .map_err(Failure::Raised)?;
    read.map(counted).map_err(|error| failed::<R>(path, error))
}

fn counted(snapshot: Snapshot) -> Snapshot {
    COUNTERS.bytes_read.add(snapshot.bytes.len() as u64);
    snapshot
}

/// A copy of the caller's own, made in a way that the cache keeps for the next.
#[inline]
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
    question: Question,
    own: bool,
) -> Result<Loaded<R::Document>, Failure<R>> {
    COUNTERS.misses.count();
    let stamp = snapshot.stamp;
    let document = document_in(runtime, path, &snapshot)
        .inspect_err(|_| R::documents().forget(path, Some(stamp.key())))?;
    if snapshot.stable {
        let value = (!own).then(|| Arc::new(runtime.keep_document(&document)));
        R::documents().keep(path, &Arc::new(entry_of::<R>(snapshot, question, value)));
    }
    Ok(Loaded { document, stamp })
}

/// For the cache: with the value that there is, or else the text.
fn entry_of<R: Runtime>(
    snapshot: Snapshot,
    question: Question,
    value: Option<Arc<R::Kept>>,
) -> Document<R::Kept> {
    let Snapshot { bytes, stamp, past_racy_window, read_at, .. } = snapshot;
    let text = Arc::new(bytes);
    let length = text.len() as u64;
    let value = value.unwrap_or_else(|| Arc::new(R::keep_text(Arc::clone(&text))));
    let texts = if past_racy_window { length } else { 2 * length };
    Document {
        key: stamp.key(),
        size: texts + R::extra_size(&value) as u64,
        value,
        stamp: Origin {
            stamp,
            racy_text: (!past_racy_window).then_some(text),
            // Of a file it is never asked.
            confirmed: if stamp.is_of_file() {
                Confirmed::never()
            } else {
                Confirmed::by(question)
            },
            read_at,
        },
    }
}

fn failed<R: Runtime>(path: &Path, error: Error) -> Failure<R> {
    R::documents().forget(path, None);
    Failure::Engine(error)
}
