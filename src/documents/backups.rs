//! Which backup is whole: one that is a document.

use std::path::Path;

use super::{DecodeError, Failure, Runtime};
use crate::engine::{Backup, Engine, OpenedBackup, Session};
use crate::error::{Error, NO_SUCH_BACKUP};
use crate::statistics::Operation;

/// A backup, and whether it is a document.
#[derive(Debug)]
pub struct Examined {
    /// The backup.
    pub backup: Backup,
    /// Bytes that it takes up.
    pub size: u64,
    /// Why it is no document; nothing if it is a document.
    pub fault: Option<String>,
}

/// The backups of the document at `path`, newest first, each examined.
///
/// # Errors
///
/// When they cannot be listed; what a signal handler raised.
pub fn examine<R: Runtime>(runtime: R, path: &Path) -> Result<Vec<Examined>, Failure<R>> {
    let engine = Engine::of(path);
    let listed = runtime.run(Operation::Read, path, |signals| engine.backups(path, signals));
    let backups = listed.map_err(Failure::Raised)??;
    let mut examined = Vec::with_capacity(backups.all.len());
    // Each after the other, so that only one content at a time is in memory.
    for backup in &backups.all {
        let opened = runtime.run(Operation::Read, path, |signals| {
            let opened = backups.open(backup, signals);
            opened.map(|opened| opened.map(|opened| (opened.size(), opened.read())))
        });
        let (size, content) = match opened.map_err(Failure::Raised)? {
            Ok(Some(read)) => read,
            // Pruned meanwhile.
            Ok(None) => continue,
            Err(error) => (0, Err(error)),
        };
        let fault = match content {
            Ok(bytes) => fault(runtime, path, &bytes)?,
            Err(error) => Some(error.to_string()),
        };
        examined.push(Examined { backup: backup.clone(), size, fault });
    }
    Ok(examined)
}

/// The backup called `name`, or the newest that is a document and obeys the rules, with its
/// content. `obeys` answers with the judge of a restore, or why a document does not obey.
///
/// # Errors
///
/// [`Error::NoBackup`] with what was tried; an error of a backup that may be whole but
/// cannot be read just now: an older backup in its place would quietly lose what it holds; what
/// `obeys` fails with.
pub fn choose<R: Runtime, J>(
    runtime: R,
    path: &Path,
    session: &Session,
    name: Option<&Path>,
    obeys: impl Fn(&[u8]) -> Result<Result<J, String>, Failure<R>>,
) -> Result<(Backup, Vec<u8>, J), Failure<R>> {
    let listed = runtime.run(Operation::Write, path, |signals| session.backups(signals));
    let backups = listed.map_err(Failure::Raised)??;
    let mut faults = Vec::new();
    for backup in backups {
        if name.is_some_and(|name| !backup.is_called(name)) {
            continue;
        }
        let read = runtime.run(Operation::Write, path, |signals| {
            let opened = session.open_backup(&backup, signals);
            opened.and_then(|opened| opened.map(OpenedBackup::read).transpose())
        });
        let fault = match read.map_err(Failure::Raised)? {
            Ok(Some(bytes)) => {
                let obeys = match fault(runtime, path, &bytes)? {
                    None => obeys(&bytes)?,
                    Some(fault) => Err(fault),
                };
                match obeys {
                    Ok(judge) => return Ok((backup, bytes, judge)),
                    Err(fault) => fault,
                }
            }
            // Pruned meanwhile.
            Ok(None) => continue,
            // safeguard: unreadable-backup-stops
            Err(error) if !error.is_of_content() => return Err(error.into()),
            // No whole gzip file.
            Err(error) => error.to_string(),
        };
        faults.push(format!("{}: {fault}", backup.name.display()));
    }
    if let (Some(name), true) = (name, faults.is_empty()) {
        faults.push(format!("{}: {NO_SUCH_BACKUP}", name.display()));
    }
    Err(Error::NoBackup { path: path.to_path_buf(), tried: faults }.into())
}

/// Why a backup's content is no document; nothing if it is a document.
fn fault<R: Runtime>(runtime: R, path: &Path, bytes: &[u8]) -> Result<Option<String>, Failure<R>> {
    let Err(error) = runtime.decode(bytes) else { return Ok(None) };
    match error.corruption() {
        Some(corruption) => Ok(Some(corruption)),
        None => Err(Failure::Decode { path: path.into(), error, empty: bytes.is_empty() }),
    }
}
