//! What lies in a folder of a store.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::engine::signals::Signals;
use crate::engine::stamp::StoredStatus;
use crate::error::{Error, Result};
use crate::files::inspect::{BackupFile, DataFile, DiskPath, Folder, Status};
use crate::files::layout;
use crate::postgres::connection::{Wait, patience};
use crate::postgres::document::{Document, column};
use crate::postgres::failures::Fault;
use crate::postgres::load::LOADING;
use crate::postgres::statements::Name;

/// What lies in `folder`, as the files engine tells it of a folder of files.
pub(crate) fn inspect(document: &Document, folder: &Path, signals: &dyn Signals) -> Result<Folder> {
    let prefix = document.prefix(folder)?;
    let wait = Wait::new(folder, patience(), signals);
    let found = document.store.with(&wait, |connection| {
        let documents = connection.query(Name::Documents, &[&prefix], &wait)?;
        let backups = connection.query(Name::AllBackups, &[&prefix], &wait)?;
        let mut found = Folder::default();
        let mut folders = BTreeSet::new();
        for row in &documents {
            let name: String = column(row, 0)?;
            let Some(inside) = name.strip_prefix(&prefix) else { continue };
            if let Some((sub, _)) = inside.split_once('/') {
                folders.insert(sub.to_owned());
            } else if column(row, 1)? {
                let status = status(&name, column(row, 2)?, column(row, 3)?);
                let path = DiskPath(folder.join(inside));
                found.files.push(DataFile { path, is_link: false, status: Some(status) });
            }
        }
        for row in &backups {
            let name: String = column(row, 0)?;
            let made: DateTime<Utc> = column(row, 1)?;
            let inside = name.strip_prefix(&prefix).filter(|inside| !inside.contains('/'));
            let Some(inside) = inside else { continue };
            let backup = layout::backup(inside.as_ref(), made.naive_utc());
            let status = status(&backup.to_string_lossy(), column(row, 2)?, made);
            found.backups.push(BackupFile {
                path: DiskPath(folder.join(backup)),
                of: DiskPath(folder.join(inside)),
                time: made.naive_utc(),
                status,
            });
        }
        found.folders = folders.into_iter().map(|sub| DiskPath(folder.join(sub))).collect();
        Ok::<_, Fault>(found)
    });
    found.map_err(|fault| fault.into_error(folder, LOADING))
}

/// What a `stat` would tell. There is no device; the inode is a digest.
fn status(name: &str, size: i64, modified: DateTime<Utc>) -> Status {
    let size = u64::try_from(size).unwrap_or_default();
    let digest = *blake3::hash(name.as_bytes()).as_bytes();
    let inode = digest.first_chunk().map_or(0, |start| u64::from_le_bytes(*start));
    Status {
        size,
        blocks: size.div_ceil(512),
        modified: modified.timestamp_nanos_opt().unwrap_or_default(),
        device: 0,
        inode,
    }
}

/// What a `stat` would tell of a document.
pub(crate) fn stored_status(
    document: &Document,
    path: &Path,
    timeout: Option<Duration>,
    signals: &dyn Signals,
) -> Result<StoredStatus> {
    let name = document.name(path)?;
    let wait = Wait::new(path, timeout.unwrap_or_else(patience), signals);
    let found = document.store.with(&wait, |connection| {
        let rows = connection.query(Name::Status, &[&name], &wait)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (size, saved_at): (i64, DateTime<Utc>) = (column(row, 0)?, column(row, 1)?);
        let size = u64::try_from(size).unwrap_or_default();
        Ok(Some(StoredStatus { size, saved_at: saved_at.timestamp_micros() }))
    });
    let found = found.map_err(|fault| fault.into_error(path, LOADING))?;
    found.ok_or_else(|| Error::NotFound { path: path.to_path_buf() })
}
