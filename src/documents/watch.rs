//! The versions of several documents at one moment, and whether they can still be the versions.
//!
//! Nothing is told to a watcher: it asks again. So nothing can be missed, only merged: a state
//! shows all that was saved before it. As long as nothing changes, a question costs a stamp
//! for each document, and no read.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::load::{Loaded, read};
use super::load_many::{at_one_moment, by_store, each, probe_all};
use super::{Failure, Runtime};
use crate::engine::{
    Engine, Instant as Moment, MISSING, Probe, Snapshot, Stamp, sleep, version_of,
};
use crate::error::{Error, Result as Stamped};
use crate::statistics::Operation;

/// How often a wait asks for signals that did not interrupt its sleep.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(500);

/// A document as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The version.
    pub version: String,
    /// Which content it was; nothing where there was no document.
    stamp: Option<Stamp>,
    /// When the content was read, where every later change shows in the stamp; nothing where
    /// only a read can tell.
    trusted_since: Option<Moment>,
}

impl Seen {
    /// There was no document.
    fn missing() -> Self {
        Self { version: MISSING.to_owned(), stamp: None, trusted_since: None }
    }

    /// Whether this is still what is there, where a look has found `stamp` before `now`.
    fn is_certainly(&self, stamp: Option<Stamp>, now: Moment) -> bool {
        // What was stamped since a clock was set back can bear the same stamps.
        let trusted = |since: &Moment| !since.is_ahead_of(&now);
        // safeguard: state-trusts-old-stamps-only
        stamp == self.stamp && (stamp.is_none() || self.trusted_since.as_ref().is_some_and(trusted))
    }
}

/// The versions of the documents at all `paths` as they were at one moment, as far as batches
/// of saves go. What was seen `before` of the same paths, if anything was, is read only where
/// it may have changed.
///
/// # Errors
///
/// As for [`super::load_many::load_many`]. A corrupt document has a version.
pub fn look<R: Runtime>(
    runtime: R,
    paths: &[PathBuf],
    before: &[Seen],
    timeout: Duration,
) -> Result<Vec<Seen>, Failure<R>> {
    let seen = by_store(
        paths,
        |group, paths| {
            let seen = at_one_moment(runtime, paths, timeout, |stamps, trusting| {
                let now = Moment::now();
                let looks = group.iter().zip(paths).zip(stamps);
                each(looks, |((place, path), stamp)| match (before.get(*place), *stamp) {
                    (Some(seen), Some(stamp))
                        if trusting && seen.is_certainly(Some(stamp), now) =>
                    {
                        Ok(Loaded { document: seen.clone(), stamp })
                    }
                    _ => see(runtime, &Engine::of(path), path),
                })
            })?;
            Ok(seen.into_iter().map(|seen| seen.map(|seen| seen.document)).collect())
        },
        |group, engines| {
            let kept: Vec<_> = group.iter().map(|place| before.get(*place)).collect();
            let known: Vec<_> = kept.iter().map(|seen| seen.and_then(|seen| seen.stamp)).collect();
            let probed = probe_all(runtime, group, paths, engines, &known, timeout)?;
            each(group.iter().zip(kept).zip(probed), |((place, kept), probed)| {
                match (probed, kept) {
                    (Ok(Probe::Content(snapshot)), _) => Ok(seen_in(runtime, &snapshot)),
                    (Ok(Probe::Stamp(stamp)), Some(seen)) if seen.stamp == Some(stamp) => {
                        Ok(seen.clone())
                    }
                    (Ok(Probe::Stamp(_)), _) => {
                        see(runtime, &engines[*place], &paths[*place]).map(|seen| seen.document)
                    }
                    (Err(error), _) => Err(error.into()),
                }
            })
        },
    )?;
    Ok(seen.into_iter().map(|seen| seen.unwrap_or_else(|_| Seen::missing())).collect())
}

/// Whether the documents at all `paths` may be others than those that were `seen` there.
/// Nothing is read. A failure is for [`look`] to tell.
pub fn may_differ<R: Runtime>(runtime: R, paths: &[PathBuf], seen: &[Seen]) -> bool {
    runtime.without_lock(|| differs(paths, seen))
}

/// Waits until the documents at all `paths` may be others than those that were `seen` there,
/// or the timeout is over. Looks at them after each `interval`, and at the end.
///
/// # Errors
///
/// What a signal handler raised.
pub fn wait<R: Runtime>(
    runtime: R,
    paths: &[PathBuf],
    seen: &[Seen],
    interval: Duration,
    timeout: Duration,
) -> Result<(), R::Raised> {
    let deadline = Instant::now().checked_add(timeout);
    let left =
        || deadline.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
    let first = paths.first().map_or(Path::new(""), PathBuf::as_path);
    runtime.run(Operation::Read, first, |signals| {
        let mut looked = Instant::now();
        let mut asked = looked;
        loop {
            let pause = interval.saturating_sub(looked.elapsed()).min(left());
            let interrupted = sleep(pause.min(SIGNAL_INTERVAL));
            // Also without being interrupted: the signal may have come before the sleep.
            if interrupted || asked.elapsed() >= SIGNAL_INTERVAL {
                // safeguard: signals-end-the-watch
                if signals.pending() {
                    return;
                }
                asked = Instant::now();
            }
            let is_due = looked.elapsed() >= interval;
            if left().is_zero() || is_due && differs(paths, seen) {
                return;
            }
            if is_due {
                looked = Instant::now();
            }
        }
    })
}

fn differs(paths: &[PathBuf], seen: &[Seen]) -> bool {
    let stamps = paths.iter().map(|path| {
        let engine = Engine::of(path);
        // A question to a store costs as much as a look, which tells more.
        (!engine.waits()).then(|| engine.stamp(path))
    });
    let stamps: Vec<Option<Stamped<Stamp>>> = stamps.collect();
    // After the stamps: a clock that was set back before them is behind now.
    let now = Moment::now();
    let is_same = |(stamp, seen): (Option<Stamped<Stamp>>, &Seen)| match stamp {
        Some(Ok(stamp)) => seen.is_certainly(Some(stamp), now),
        Some(Err(Error::NotFound { .. })) => seen.is_certainly(None, now),
        Some(Err(_)) | None => false,
    };
    !stamps.into_iter().zip(seen).all(is_same)
}

fn see<R: Runtime>(runtime: R, engine: &Engine, path: &Path) -> Result<Loaded<Seen>, Failure<R>> {
    let snapshot = read(runtime, engine, path)?;
    Ok(Loaded { document: seen_in(runtime, &snapshot), stamp: snapshot.stamp })
}

fn seen_in<R: Runtime>(runtime: R, snapshot: &Snapshot) -> Seen {
    let trusted = snapshot.past_racy_window && snapshot.stable;
    Seen {
        version: runtime.without_lock(|| version_of(&snapshot.bytes)),
        stamp: Some(snapshot.stamp),
        trusted_since: trusted.then_some(snapshot.read_at),
    }
}
