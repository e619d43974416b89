//! Backups: the contents that later saves have replaced.

use std::ffi::OsString;
use std::path::Path;

use chrono::{DateTime, FixedOffset, NaiveDateTime, Utc};
use uuid::Uuid;

use crate::engine::signals::Signals;
use crate::engine::stamp::Snapshot;
use crate::engine::write::WriteOptions;
use crate::error::Result;
use crate::files::backup::Backup;
use crate::files::backup::retention;
use crate::files::read::version_of;
use crate::postgres::change::backup_name;
use crate::postgres::connection::{Connection, Step, Wait, patience};
use crate::postgres::document::{Document, column};
use crate::postgres::failures::Fault;
use crate::postgres::statements::Name;

/// What is being done, in an error of a listing.
pub(super) const READING: &str = "reading its backups";

type Answer<T> = std::result::Result<T, Fault>;

/// The backups of a document with their sizes, newest first.
pub(super) fn list(
    connection: &mut Connection,
    document: &Document,
    wait: &Wait<'_>,
) -> Answer<Vec<(Backup, u64)>> {
    let name = document.name(wait.path).map_err(Fault::Told)?;
    let rows = connection.query(Name::Backups, &[&name], wait)?;
    let each = rows.iter().map(|row| {
        let made: DateTime<Utc> = column(row, 0)?;
        let size: i64 = column(row, 1)?;
        Ok((backup(document, made), u64::try_from(size).unwrap_or_default()))
    });
    each.collect()
}

fn backup(document: &Document, made: DateTime<Utc>) -> Backup {
    let (stamp, name) = (made.naive_utc(), backup_name(document, made));
    Backup { stamp, name, compressed: false, doubled: false }
}

/// The content of a backup; nothing where it is gone.
pub(super) fn open(
    connection: &mut Connection,
    document: &Document,
    backup: &Backup,
    wait: &Wait<'_>,
) -> Answer<Option<Vec<u8>>> {
    content(connection, document, backup.stamp, wait)
}

fn content(
    connection: &mut Connection,
    document: &Document,
    stamp: NaiveDateTime,
    wait: &Wait<'_>,
) -> Answer<Option<Vec<u8>>> {
    let name = document.name(wait.path).map_err(Fault::Told)?;
    let rows = connection.query(Name::Backup, &[&name, &stamp.and_utc()], wait)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (content, version): (Vec<u8>, Option<String>) = (column(row, 0)?, column(row, 1)?);
    // safeguard: backup-matches-version
    if version.as_deref() != Some(&version_of(&content)) {
        return Err(Fault::unusable("a backup is not what was saved: the database is damaged"));
    }
    Ok(Some(content))
}

/// The content of the backup that a document is called like; nothing where there is none.
pub(super) fn by_name(document: &Document, wait: &Wait<'_>) -> Answer<Option<Snapshot>> {
    let Some((of, stamp)) = document.as_backup() else { return Ok(None) };
    let found = document.store.with(wait, |connection| content(connection, &of, stamp, wait))?;
    let Some(bytes) = found else { return Ok(None) };
    let version = version_of(&bytes);
    // A backup never changes, so that its version is as good as the id of its save.
    let save = u128::from_str_radix(&version, 16).unwrap_or_default();
    let snapshot = document.snapshot(wait.path, Uuid::from_u128(save), &version, Some(bytes));
    snapshot.map(Some).map_err(Fault::Told)
}

/// Empties the contents of backups that are too many or too old. Returns their names.
pub(super) fn prune(
    connection: &mut Connection,
    document: &Document,
    options: &WriteOptions,
    wait: &Wait<'_>,
) -> Answer<Vec<OsString>> {
    let name = document.name(wait.path).map_err(Fault::Told)?;
    let mut backups: Vec<Backup> =
        list(connection, document, wait)?.into_iter().map(|(backup, _)| backup).collect();
    backups.reverse();
    let WriteOptions { backups_kept: kept, backups_max_age: max_age, .. } = *options;
    let outdated = retention::to_prune(backups, kept, max_age, utc());
    let stamps: Vec<DateTime<Utc>> = outdated.iter().map(|backup| backup.stamp.and_utc()).collect();
    let steps = [Step::Run(Name::Empty, vec![&name, &stamps]), Step::Commit];
    connection.pipeline(&steps, wait)?;
    Ok(outdated.into_iter().map(|backup| backup.name).collect())
}

fn utc() -> FixedOffset {
    use chrono::Offset;
    Utc.fix()
}

/// The backups of a document, newest first.
pub(crate) fn backups(
    document: &Document,
    path: &Path,
    signals: &dyn Signals,
) -> Result<Vec<(Backup, u64)>> {
    let wait = Wait::new(path, patience(), signals);
    let found = document.store.with(&wait, |connection| list(connection, document, &wait));
    found.map_err(|fault| fault.into_error(path, READING))
}

/// The content of a backup; nothing where it is gone.
pub(crate) fn open_backup(
    document: &Document,
    path: &Path,
    backup: &Backup,
    signals: &dyn Signals,
) -> Result<Option<Vec<u8>>> {
    let wait = Wait::new(path, patience(), signals);
    let found = document.store.with(&wait, |connection| open(connection, document, backup, &wait));
    found.map_err(|fault| fault.into_error(path, READING))
}
