//! Several files at once: saved as one, loaded as one.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use super::arguments::{self, FilePath};
use super::exceptions::Operation;
use super::gil::without_gil;
use super::host;
use super::loading::{Loaded, failed, fresh, loaded};
use super::saving::{Outcome, encoded, options, saved, waiting};
use crate::codec::EncodeOptions;
use crate::error::Error;
use crate::files::batch::commit::{self, Save};
use crate::files::batch::recovery::{self, Pending};
use crate::files::identity::{Identity, Instant as Moment};
use crate::files::lock::Deadline;
use crate::files::read;
use crate::files::session::WriteOptions;
use crate::settings;
use crate::statistics::LATENCIES;

/// How long a load of several files waits before it looks again.
const PAUSE: Duration = Duration::from_millis(1);

/// Saves all documents, or none. `documents` has for each its path, the
/// document, and what its version must be. Tells what became of each.
#[pyfunction]
#[pyo3(signature = (documents, encode_options, *, backup, timeout, make_parents, skip_unchanged, versioned))]
#[allow(clippy::too_many_arguments, reason = "one for each keyword of the Python function")]
pub(super) fn save_many(
    py: Python<'_>,
    documents: Vec<(FilePath, Bound<'_, PyAny>, Option<String>)>,
    encode_options: &EncodeOptions,
    backup: Option<bool>,
    timeout: Option<f64>,
    make_parents: bool,
    skip_unchanged: bool,
    versioned: bool,
) -> PyResult<Vec<Outcome>> {
    let started = Instant::now();
    let write_options = WriteOptions {
        make_parents,
        skip_unchanged,
        ..options(&settings::current(), backup, timeout)?
    };
    let mut texts = Vec::with_capacity(documents.len());
    for (FilePath(path), document, if_version) in documents {
        let text = encoded(&path, &document, encode_options)?;
        texts.push((path, text, if_version));
    }
    let Some((first, ..)) = texts.first() else { return Ok(Vec::new()) };
    let saves: Vec<Save<'_>> = texts
        .iter()
        .map(|(path, bytes, if_version)| Save { path, bytes, if_version: if_version.clone() })
        .collect();
    let written = waiting(py, first, Operation::Write, |signals| {
        commit::save_many(&saves, &write_options, signals)
    })?;
    LATENCIES.write.observe(started);
    let done = texts.iter().zip(written);
    Ok(done.map(|((path, text, _), written)| saved(py, path, text, written, versioned)).collect())
}

/// Gives up what an interrupted batch was to make of the file at `path`; says where
/// that is now, or nothing where no batch waits for the file.
#[pyfunction]
#[pyo3(signature = (path, *, timeout))]
pub(super) fn give_up(
    py: Python<'_>,
    path: FilePath,
    timeout: Option<f64>,
) -> PyResult<Option<String>> {
    let FilePath(path) = path;
    let options = options(&settings::current(), None, timeout)?;
    waiting(py, &path, Operation::Write, |signals| {
        recovery::give_up(&path, &Deadline::after(options.timeout), signals)
    })
}

/// The documents of all files, as they were at one moment as far as batches go.
/// For a file that is missing or corrupt, the exception that says so.
#[pyfunction]
#[pyo3(signature = (paths, *, copy, timeout))]
pub(super) fn load_many(
    py: Python<'_>,
    paths: Vec<FilePath>,
    copy: bool,
    timeout: Option<f64>,
) -> PyResult<Vec<Bound<'_, PyAny>>> {
    let paths: Vec<PathBuf> = paths.into_iter().map(|FilePath(path)| path).collect();
    let seconds = timeout.unwrap_or(settings::current().lock_timeout);
    let timeout = arguments::timeout("timeout", seconds)?;
    let deadline = Instant::now().checked_add(timeout);
    let mut through_cache = true;
    loop {
        let before = identities(py, &paths)?;
        let pinned = without_gil(py, || pinned(&paths, &before));
        let read = load_each(py, &paths, copy, through_cache)?;
        // In this order: a batch that began to rename after this shows in the
        // identities, and one that began before it still has its journal.
        let pending =
            without_gil(py, || paths.iter().map(|path| (recovery::pending(path), path)).max());
        host::tell(py);
        if let Some(raised) = host::raised() {
            return Err(raised);
        }
        let (pending, busy) =
            pending.map_or((Pending::No, None), |(state, path)| (state, Some(path)));
        let after = identities(py, &paths)?;
        let consistent = match pending {
            Pending::No => {
                let read = read.iter().zip(&before);
                read.into_iter().all(|(read, before)| {
                    read.as_ref().map_or(true, |loaded| Some(loaded.identity) == *before)
                })
            }
            // Nobody who may write has met it yet: each read tells what the
            // batch will have done, and the files stay as they are.
            Pending::Stuck => !through_cache,
            Pending::Live => false,
        };
        if consistent && pinned.is_some() && before == after {
            let answers = read.into_iter().map(|read| match read {
                Ok(loaded) => loaded.document,
                Err(error) => error.into_value(py).into_bound(py).into_any(),
            });
            return Ok(answers.collect());
        }
        through_cache = pending != Pending::Stuck;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let path = busy.unwrap_or(&paths[0]).clone();
            let error = Error::LockTimeout {
                path: path.clone(),
                waited: timeout,
                holder: None,
                by_this_thread: false,
            };
            return Err(failed(py, &path, &error));
        }
        if pending == Pending::Live || pinned.is_none() {
            without_gil(py, || thread::sleep(PAUSE));
        }
        py.check_signals()?;
    }
}

fn identities(py: Python<'_>, paths: &[PathBuf]) -> PyResult<Vec<Option<Identity>>> {
    let identify = |path: &PathBuf| match read::identify(path) {
        Ok(identity) => Ok(Some(identity)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err((path.clone(), error)),
    };
    without_gil(py, || paths.iter().map(identify).collect::<Result<_, _>>())
        .map_err(|(path, error)| failed(py, &path, &error))
}

/// Those files that were changed so shortly ago that two batches, one after the other,
/// could put back their stamps and, under a number used again, their inode: open, so
/// that the number is not. Nothing where that cannot be; a later look may not need it.
fn pinned(paths: &[PathBuf], found: &[Option<Identity>]) -> Option<Vec<OwnedFd>> {
    let now = Moment::now();
    let fresh = |found: &Identity| !found.is_past_racy_window(now);
    let found = found.iter().map(|found| found.filter(fresh));
    let pin = |(path, found): (&PathBuf, Option<Identity>)| {
        let found = found?;
        let opened = read::pin(path).ok();
        Some(opened.filter(|(_, now)| *now == found).map(|(descriptor, _)| descriptor))
    };
    paths.iter().zip(found).filter_map(pin).collect()
}

/// Loads each file; what is wrong with a document itself is part of the answer.
fn load_each<'py>(
    py: Python<'py>,
    paths: &[PathBuf],
    own: bool,
    through_cache: bool,
) -> PyResult<Vec<PyResult<Loaded<'py>>>> {
    let load = if through_cache { loaded } else { fresh };
    let errors = py.import("oasis_data.error_handling")?;
    let answers = (errors.getattr("DataFileNotFoundError")?, errors.getattr("CorruptFileError")?);
    let mut read = Vec::with_capacity(paths.len());
    for path in paths {
        let document = load(py, path, own);
        if let Err(error) = &document
            && !error.matches(py, &answers)?
        {
            return Err(error.clone_ref(py));
        }
        read.push(document);
    }
    Ok(read)
}
