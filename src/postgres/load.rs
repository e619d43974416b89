//! Loads: one question each, which is the probe of a kept document too.

use std::path::Path;
use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::engine::signals::{NoSignals, Signals};
use crate::engine::stamp::{Probe, Snapshot, Stamp};
use crate::error::{Error, Result};
use crate::postgres::connection::{Wait, patience};
use crate::postgres::document::{Document, column};
use crate::postgres::failures::Fault;
use crate::postgres::history;
use crate::postgres::statements::Name;

/// What is being done, in an error of a load.
pub(super) const LOADING: &str = "loading it from its store";

/// The stamp of a document, or its content if its stamp is not the one that is `kept`.
///
/// # Errors
///
/// [`Error::NotFound`], or why the server did not answer.
pub(crate) fn probe(
    document: &Document,
    path: &Path,
    kept: Option<Stamp>,
    signals: &dyn Signals,
) -> Result<Probe> {
    look(document, kept, &Wait::new(path, patience(), signals))
}

/// The same within a wait that has begun.
pub(super) fn look(document: &Document, kept: Option<Stamp>, wait: &Wait<'_>) -> Result<Probe> {
    let path = wait.path;
    let name = document.name(path)?;
    let known = known(kept);
    let answer = document.store.with(wait, |connection| {
        let rows = connection.query(Name::Load, &[&name, &known], wait)?;
        rows.first().map_or_else(|| Err(Fault::unusable("no answer")), Answer::of)
    });
    let answer = answer.map_err(|fault| fault.into_error(path, LOADING))?;
    match answer.probe(document, path, kept) {
        // A backup of a file can be loaded by its own name.
        Err(error @ Error::NotFound { .. }) => match history::by_name(document, wait) {
            Ok(Some(backup)) => Ok(Probe::Content(backup)),
            Ok(None) => Err(error),
            Err(fault) => Err(fault.into_error(path, LOADING)),
        },
        probed => probed,
    }
}

/// The stamp of a document.
///
/// # Errors
///
/// As for [`probe`].
// Apart from the hit of a file, which is short.
#[cold]
pub(crate) fn stamp(document: &Document, path: &Path) -> Result<Stamp> {
    probe(document, path, None, &NoSignals).map(|found| found.stamp())
}

/// Reads a document.
///
/// # Errors
///
/// As for [`probe`].
pub(crate) fn read(document: &Document, path: &Path, signals: &dyn Signals) -> Result<Snapshot> {
    match probe(document, path, None, signals)? {
        Probe::Content(snapshot) => Ok(snapshot),
        // Not asked for by its stamp.
        Probe::Stamp(_) => Err(Error::NotFound { path: path.to_path_buf() }),
    }
}

/// The same as [`probe`] of several documents of one store, as they are at one moment.
///
/// # Errors
///
/// Why the server did not answer. What is wrong with a document itself is its answer.
pub(crate) fn probe_many(
    asked: &[(Document, &Path, Option<Stamp>)],
    timeout: Duration,
    signals: &dyn Signals,
) -> Result<Vec<Result<Probe>>> {
    let Some((first, path, _)) = asked.first() else { return Ok(Vec::new()) };
    let names: Vec<&str> =
        asked.iter().map(|(document, path, _)| document.name(path)).collect::<Result<_>>()?;
    let known: Vec<Option<Uuid>> = asked.iter().map(|(.., kept)| known(*kept)).collect();
    let wait = Wait::new(path, timeout, signals);
    let answers = first.store.with(&wait, |connection| {
        let rows = connection.query(Name::LoadMany, &[&names, &known], &wait)?;
        rows.iter().map(Answer::of).collect::<std::result::Result<Vec<_>, _>>()
    });
    let answers = answers.map_err(|fault| fault.into_error(path, LOADING))?;
    let each = asked.iter().zip(answers);
    Ok(each.map(|((document, path, kept), answer)| answer.probe(document, path, *kept)).collect())
}

/// The content in each row of an answer to [`Name::LoadMany`]; nothing for a document that is
/// not there.
pub(super) fn contents(
    rows: &[Row],
    asked: &[(Document, &Path)],
) -> std::result::Result<Vec<Option<Vec<u8>>>, Fault> {
    let each = rows.iter().zip(asked).map(|(row, (document, path))| {
        match Answer::of(row)?.probe(document, path, None) {
            Ok(Probe::Content(snapshot)) => Ok(Some(snapshot.bytes)),
            Ok(Probe::Stamp(_)) | Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Fault::Told(error)),
        }
    });
    each.collect()
}

fn known(kept: Option<Stamp>) -> Option<Uuid> {
    match kept {
        Some(Stamp::Row(row)) => Some(Uuid::from_u128(row.save)),
        _ => None,
    }
}

/// What a server answers to a load.
struct Answer {
    save: Option<Uuid>,
    version: Option<String>,
    content: Option<Vec<u8>>,
}

impl Answer {
    fn of(row: &Row) -> std::result::Result<Self, Fault> {
        if column(row, 4)? {
            return Err(Fault::standby());
        }
        Ok(Self { save: column(row, 0)?, version: column(row, 1)?, content: column(row, 3)? })
    }

    fn probe(self, document: &Document, path: &Path, kept: Option<Stamp>) -> Result<Probe> {
        let (Some(save), Some(version)) = (self.save, self.version) else {
            return Err(Error::NotFound { path: path.to_path_buf() });
        };
        if let Some(stamp) = kept
            && known(kept) == Some(save)
        {
            return Ok(Probe::Stamp(stamp));
        }
        document.snapshot(path, save, &version, self.content).map(Probe::Content)
    }
}
