//! The consistent load: several documents as they were at one moment, as far as batches of
//! saves go.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::kept::Question;
use super::load::{Loaded, answer, found, kept, load, load_anew, read};
use super::{Failure, Runtime};
use crate::engine::{Asked, Engine, Instant as Moment, Pending, Probe, Snapshot, Stamp};
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
    by_store(
        paths,
        |_, paths| {
            let read = at_one_moment(runtime, paths, timeout, |_, through_cache| {
                let load = if through_cache { load::<R> } else { load_anew::<R> };
                each(paths, |path| load(runtime, path, own))
            })?;
            Ok(read.into_iter().map(|read| read.map(|loaded| loaded.document)).collect())
        },
        |group, engines| {
            let kept: Vec<_> = group.iter().map(|place| kept(runtime, &engines[*place])).collect();
            let known: Vec<_> =
                kept.iter().map(|entry| entry.as_ref().map(|entry| entry.stamp.stamp)).collect();
            let question = Question::now();
            let probed = probe_all(runtime, group, paths, engines, &known, timeout)?;
            each(group.iter().zip(kept).zip(probed), |((place, kept), probed)| {
                let (engine, path) = (&engines[*place], &paths[*place]);
                found::<R>(path, kept, question, probed)
                    .and_then(|found| answer(runtime, engine, path, found, own))
                    .map(|loaded| loaded.document)
            })
        },
    )
}

/// What the documents at all `paths` hold, read anew; nothing for a document that is missing.
///
/// # Errors
///
/// As for [`load_many`].
pub fn read_many<R: Runtime>(
    runtime: R,
    paths: &[PathBuf],
    timeout: Duration,
) -> Result<Vec<Option<Vec<u8>>>, Failure<R>> {
    let contents = by_store(
        paths,
        |_, paths| {
            // safeguard: contents-of-one-moment
            let found = at_one_moment(runtime, paths, timeout, |_, _| {
                each(paths, |path| {
                    let Snapshot { bytes, stamp, .. } = read(runtime, &Engine::of(path), path)?;
                    Ok(Loaded { document: bytes, stamp })
                })
            })?;
            Ok(found.into_iter().map(|found| found.map(|loaded| loaded.document)).collect())
        },
        |group, engines| {
            let known = vec![None; group.len()];
            let probed = probe_all(runtime, group, paths, engines, &known, timeout)?;
            each(group.iter().zip(probed), |(place, probed)| match probed? {
                Probe::Content(snapshot) => Ok(snapshot.bytes),
                Probe::Stamp(_) => Ok(read(runtime, &engines[*place], &paths[*place])?.bytes),
            })
        },
    )?;
    Ok(contents.into_iter().map(Result::ok).collect())
}

/// Something of each document, or why it has none.
pub(super) type Each<R, T> = Vec<Result<T, Failure<R>>>;

/// Asks for all `paths` together, and where they lie in stores, each store for its own: no batch
/// spans two. `of_files` and `of_store` get the places of their paths.
///
/// # Errors
///
/// What `of_files` and `of_store` fail with.
pub(super) fn by_store<R: Runtime, T>(
    paths: &[PathBuf],
    of_files: impl Fn(&[usize], &[PathBuf]) -> Result<Each<R, T>, Failure<R>>,
    of_store: impl Fn(&[usize], &[Engine]) -> Result<Each<R, T>, Failure<R>>,
) -> Result<Each<R, T>, Failure<R>> {
    let engines: Vec<Engine> = paths.iter().map(|path| Engine::of(path)).collect();
    if !engines.iter().any(Engine::waits) {
        return of_files(&(0..paths.len()).collect::<Vec<_>>(), paths);
    }
    let mut answers: Vec<Option<Result<T, Failure<R>>>> = paths.iter().map(|_| None).collect();
    while let Some(first) = answers.iter().position(Option::is_none) {
        let beside = |place: &usize| {
            answers[*place].is_none() && engines[*place].shares_store(&engines[first])
        };
        let group: Vec<usize> = (first..paths.len()).filter(beside).collect();
        let of_group = if engines[first].waits() {
            of_store(&group, &engines)?
        } else {
            let paths: Vec<PathBuf> = group.iter().map(|place| paths[*place].clone()).collect();
            of_files(&group, &paths)?
        };
        for (place, answer) in group.into_iter().zip(of_group) {
            answers[place] = Some(answer);
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Asks a store for those documents of a group whose stamp is not the one that is `known`, as
/// they are there at one moment.
///
/// # Errors
///
/// Why the store did not answer; what a signal handler raised.
pub(super) fn probe_all<R: Runtime>(
    runtime: R,
    group: &[usize],
    paths: &[PathBuf],
    engines: &[Engine],
    known: &[Option<Stamp>],
    timeout: Duration,
) -> Result<Vec<crate::error::Result<Probe>>, Failure<R>> {
    let asked = group.iter().zip(known);
    let asked: Vec<Asked<'_>> = asked
        .map(|(place, kept)| Asked { engine: &engines[*place], path: &paths[*place], kept: *kept })
        .collect();
    let probed = runtime.run(Operation::Read, &paths[group[0]], |signals| {
        Engine::probe_many(&asked, timeout, signals)
    });
    Ok(probed.map_err(Failure::Raised)??)
}

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
    read: impl Fn(&[Option<Stamp>], bool) -> Result<Each<R, Loaded<D>>, Failure<R>>,
) -> Result<Each<R, Loaded<D>>, Failure<R>> {
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
                holder_host: None,
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
    let probe = |path: &PathBuf| match Engine::Files.stamp(path) {
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

/// Does something for each item; what is wrong with a document itself is part of the answer.
///
/// # Errors
///
/// A failure that is not about a document itself.
pub(super) fn each<R: Runtime, I: IntoIterator, T>(
    items: I,
    mut act: impl FnMut(I::Item) -> Result<T, Failure<R>>,
) -> Result<Each<R, T>, Failure<R>> {
    let mut answers = Vec::new();
    for item in items {
        match act(item) {
            Err(failure) if !failure.is_about_the_document() => return Err(failure),
            answer => answers.push(answer),
        }
    }
    Ok(answers)
}
