//! The consistent load: several documents as they were at one moment, as far as batches of
//! saves go.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::load::{Loaded, load, load_anew};
use super::{Failure, Runtime};
use crate::engine::{Engine, Instant as Moment, Pending, Stamp};
use crate::error::Error;
use crate::statistics::Operation;

/// How long a load waits for a batch before it looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// Each document, or why there is none.
pub type Answers<R> = Vec<Result<<R as Runtime>::Document, Failure<R>>>;

/// The documents at all `paths`. A document that is missing or corrupt is an answer too.
///
/// # Errors
///
/// [`Error::LockTimeout`] where a batch is at work until the end of `timeout`; what a signal
/// handler raised; or a failure that is not about a document itself.
pub fn load_many<R: Runtime>(
    runtime: R,
    paths: &[PathBuf],
    own: bool,
    timeout: Duration,
) -> Result<Answers<R>, Failure<R>> {
    let read = at_one_moment(runtime, paths, timeout, |_, through_cache| {
        let load = if through_cache { load::<R> } else { load_anew::<R> };
        each(paths, |_, path| load(runtime, path, own))
    })?;
    Ok(read.into_iter().map(|read| read.map(|loaded| loaded.document)).collect())
}

/// What was read of each document, or why there is none.
pub(super) type Read<R, D> = Vec<Result<Loaded<D>, Failure<R>>>;

/// Has all `paths` read again and again, until what was read is of one moment. `read` is
/// given the stamps before it, and whether what is kept of a document may be its answer: where
/// an interrupted batch cannot be recovered, only a read tells what the batch will have done.
///
/// # Errors
///
/// As for [`load_many`].
pub(super) fn at_one_moment<R: Runtime, D>(
    runtime: R,
    paths: &[PathBuf],
    timeout: Duration,
    read: impl Fn(&[Option<Stamp>], bool) -> Result<Read<R, D>, Failure<R>>,
) -> Result<Read<R, D>, Failure<R>> {
    let deadline = Instant::now().checked_add(timeout);
    let mut through_cache = true;
    loop {
        let before = stamps(runtime, paths)?;
        let pinned = runtime.without_lock(|| pin(paths, &before));
        let read = read(&before, through_cache)?;
        // In this order: a batch that began to rename after this shows in the stamps, and a
        // batch that began before it still has its journal.
        let first = paths.first().map_or(Path::new(""), PathBuf::as_path);
        let pending = runtime.run(Operation::Read, first, |_| {
            paths.iter().map(|path| (Engine::of(path).pending(path), path)).max()
        });
        let pending = pending.map_err(Failure::Raised)?;
        let (pending, busy) =
            pending.map_or((Pending::No, None), |(state, path)| (state, Some(path)));
        let after = stamps(runtime, paths)?;
        let consistent = match pending {
            Pending::No => {
                let same = |(read, before): (&Result<Loaded<_>, _>, &Option<Stamp>)| {
                    read.as_ref().map_or(true, |loaded| Some(loaded.stamp) == *before)
                };
                read.iter().zip(&before).all(same)
            }
            // Nobody who may write has met the batch yet: each read tells what the batch
            // will have done, and the files stay as they are.
            Pending::Stuck => !through_cache,
            // safeguard: snapshot-waits-for-batch
            Pending::Live => false,
        };
        // safeguard: snapshot-looks-again
        if consistent && pinned.is_some() && before == after {
            return Ok(read);
        }
        through_cache = pending != Pending::Stuck;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let path = busy.map_or(first, PathBuf::as_path).to_path_buf();
            R::documents().forget(&path, None);
            return Err(Error::LockTimeout {
                path,
                waited: timeout,
                holder: None,
                by_this_thread: false,
            }
            .into());
        }
        if pending == Pending::Live || pinned.is_none() {
            runtime.without_lock(|| thread::sleep(PAUSE));
        }
        runtime.check_signals().map_err(Failure::Raised)?;
    }
}

fn stamps<R: Runtime>(runtime: R, paths: &[PathBuf]) -> Result<Vec<Option<Stamp>>, Failure<R>> {
    let probe = |path: &PathBuf| match Engine::of(path).probe(path) {
        Ok(stamp) => Ok(Some(stamp)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err((path.clone(), error)),
    };
    runtime.without_lock(|| paths.iter().map(probe).collect::<Result<_, _>>()).map_err(
        |(path, error)| {
            R::documents().forget(&path, None);
            Failure::Engine(error)
        },
    )
}

/// Holds those files that were changed so shortly ago that two batches, one after the other,
/// could put back their stamps and, under a number used again, their inode: while they are
/// open, the number is not used again. Nothing where that cannot be; a later look may not
/// need it.
fn pin(paths: &[PathBuf], found: &[Option<Stamp>]) -> Option<Vec<OwnedFd>> {
    let now = Moment::now();
    // safeguard: racy-files-held
    let racy = |found: &Stamp| !found.is_past_racy_window(now);
    let found = found.iter().map(|found| found.filter(racy));
    let held = |(path, found): (&PathBuf, Option<Stamp>)| {
        found.map(|stamp| Engine::of(path).pin(path, stamp))
    };
    paths.iter().zip(found).filter_map(held).collect()
}

/// Reads each document, by its place and path; what is wrong with a document itself is part of
/// the answer.
pub(super) fn each<R: Runtime, D>(
    paths: &[PathBuf],
    read: impl Fn(usize, &Path) -> Result<Loaded<D>, Failure<R>>,
) -> Result<Read<R, D>, Failure<R>> {
    let mut answers = Vec::with_capacity(paths.len());
    for (place, path) in paths.iter().enumerate() {
        match read(place, path) {
            Err(failure) if !failure.is_about_the_document() => return Err(failure),
            answer => answers.push(answer),
        }
    }
    Ok(answers)
}
