//! Several documents of one store as one commit: locked in one trip, saved in a second.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use uuid::Uuid;

use crate::engine::signals::Signals;
use crate::engine::warning::Warning;
use crate::engine::write::{WriteOptions, Written};
use crate::error::{Error, Result};
use crate::files::batch::commit::Save;
use crate::files::read::{MISSING, version_of};
use crate::postgres::change::{
    Change, Changed, RESEND, Replaced, SAVING, Wanted, apply, backup_name, conflict,
    outcome_unknown, require_durable, timed_out,
};
use crate::postgres::connection::{Connection, Wait};
use crate::postgres::document::{Document, column, new_save, require_size};
use crate::postgres::failures::Fault;
use crate::postgres::held;
use crate::postgres::judging;
use crate::postgres::row::{Base, is_done, lock_all};
use crate::postgres::statements::Name;
use crate::statistics::COUNTERS;

/// One save of a batch.
struct Part<'a> {
    save: &'a Save<'a>,
    name: &'a str,
    id: Uuid,
    version: String,
}

/// What became of a batch: of each document that was changed, by its name.
struct Done {
    changed: HashMap<String, Option<Changed>>,
    corrupt: Vec<String>,
    replicated: bool,
}

/// Replaces the contents of all `documents`, or of none.
///
/// # Errors
///
/// [`Error::NamedTwice`] for two paths to one document; else as for a single save.
pub(crate) fn save_many(
    documents: &[Document],
    saves: &[Save<'_>],
    options: &WriteOptions,
    signals: &dyn Signals,
) -> Result<Vec<Written>> {
    let (Some(first), Some(store)) = (saves.first(), documents.first()) else {
        return Ok(Vec::new());
    };
    let store = &store.store;
    let parts = parts(documents, saves, options)?;
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    let wait = Wait::new(first.path, options.timeout, signals);
    let sent: Cell<Option<Instant>> = Cell::new(None);
    let done = store.with(&wait, |connection| {
        if sent.get().is_some_and(|sent| sent.elapsed() >= RESEND) {
            return Err(Fault::TimedOut);
        }
        attempt(connection, documents, &parts, &names, options, &wait, &sent)
    });
    let done = match done {
        Ok(done) => done,
        // What is told was found out under the locks, when every earlier attempt had ended.
        // safeguard: unknown-batch-told
        Err(fault) if sent.get().is_some() && !matches!(fault, Fault::Told(_)) => {
            return Err(outcome_unknown(first.path, fault));
        }
        Err(fault) if fault.is_contention() || fault.is_deadlock() => {
            let all: Vec<Wanted<'_>> = parts.iter().zip(documents).map(wanted).collect();
            return Err(timed_out(all[0], &all[1..], &wait));
        }
        Err(fault) => return Err(fault.into_error(first.path, SAVING)),
    };
    if !done.replicated {
        return Err(Error::NotReplicated { path: first.path.to_path_buf() });
    }
    COUNTERS.batches.count();
    Ok(parts.iter().zip(documents).map(|(part, document)| written(part, document, &done)).collect())
}

fn written(part: &Part<'_>, document: &Document, done: &Done) -> Written {
    let Some(changed) = done.changed.get(part.name) else {
        COUNTERS.unchanged_saves.count();
        return Written::default();
    };
    let kept = changed.as_ref().filter(|changed| changed.replaced);
    let backup = kept.map(|changed| backup_name(document, changed.saved_at));
    let corrupt = done.corrupt.iter().any(|name| name == part.name);
    let told = backup.clone().filter(|_| corrupt).map(|kept| Warning::CorruptReplaced { kept });
    Written { replaced: Some(document.key()), backup, warnings: told.into_iter().collect() }
}

fn wanted<'a>((part, document): (&'a Part<'_>, &'a Document)) -> Wanted<'a> {
    Wanted { document, name: part.name, path: part.save.path }
}

/// What can be refused and made ready before anything is sent.
fn parts<'a>(
    documents: &'a [Document],
    saves: &'a [Save<'a>],
    options: &WriteOptions,
) -> Result<Vec<Part<'a>>> {
    let mut named: HashMap<&str, PathBuf> = HashMap::new();
    let mut parts = Vec::with_capacity(saves.len());
    for (document, save) in documents.iter().zip(saves) {
        require_durable(save.path, options)?;
        require_size(save.path, save.bytes)?;
        let name = document.name_to_save(save.path, options.backups_kept > 0)?;
        if let Some(twin) = named.insert(name, save.path.to_path_buf()) {
            return Err(Error::NamedTwice { path: save.path.to_path_buf(), twin });
        }
        if let Some(why) = held::standstill(document.digest()) {
            return Err(Error::AlreadyLocked { path: save.path.to_path_buf(), why });
        }
        let id = new_save().map_err(|fault| fault.into_error(save.path, SAVING))?;
        parts.push(Part { save, name, id, version: version_of(save.bytes) });
    }
    Ok(parts)
}

/// Locks, compares, saves and commits.
fn attempt(
    connection: &mut Connection,
    documents: &[Document],
    parts: &[Part<'_>],
    names: &[&str],
    options: &WriteOptions,
    wait: &Wait<'_>,
    sent: &Cell<Option<Instant>>,
) -> std::result::Result<Done, Fault> {
    let locked = lock_all(connection, names, wait)?;
    let bases: HashMap<&str, &Base> = locked.iter().map(|base| (&*base.name, base)).collect();
    let mut changes = Vec::new();
    let mut corrupt = Vec::new();
    let mut refused = None;
    for (part, document) in parts.iter().zip(documents) {
        let found = bases.get(part.name).and_then(|base| base.version.as_deref());
        let wanted = part.save.if_version.as_deref();
        if wanted.is_some_and(|wanted| wanted != found.unwrap_or(MISSING)) {
            let options =
                WriteOptions { if_version: part.save.if_version.clone(), ..options.clone() };
            refused.get_or_insert_with(|| {
                conflict(part.save.path, &options, found.map(str::to_owned))
            });
        }
        if options.skip_unchanged && found == Some(&part.version) {
            continue;
        }
        let is_corrupt =
            found.is_some() && is_corrupt(connection, document, part.name, options, wait)?;
        if is_corrupt {
            corrupt.push(part.name.to_owned());
        }
        changes.push(Change {
            name: part.name,
            save: part.id,
            version: Some(part.version.clone()),
            content: Some(part.save.bytes),
            replaced: Replaced::of(found.is_some(), is_corrupt, options),
        });
    }
    // A batch whose answer was lost: all of its saves were done, or none.
    if sent.get().is_some() {
        let mut done = HashMap::new();
        for part in parts {
            if is_done(connection, part.name, part.id, wait)? {
                done.insert(part.name.to_owned(), None);
            }
        }
        if !done.is_empty() {
            connection.roll_back();
            return Ok(Done { changed: done, corrupt, replicated: true });
        }
    }
    if let Some(refused) = refused {
        connection.roll_back();
        return Err(Fault::Told(refused));
    }
    if changes.is_empty() {
        connection.roll_back();
        return Ok(Done { changed: HashMap::new(), corrupt, replicated: true });
    }
    let states = parts.iter().zip(documents).map(|(part, document)| judging::Change {
        document,
        path: part.save.path,
        content: Some(part.save.bytes),
    });
    let states: Vec<_> = states.collect();
    let judge = options.judge.as_deref();
    let _group = judging::judge(connection, judge, &states, wait)?;
    let before = sent.get();
    sent.set(Some(before.unwrap_or_else(Instant::now)));
    match apply(connection, &changes, options, wait) {
        Ok(done) => {
            let replicated = connection.commit_warning().is_none();
            let dropped = changes.iter().filter(|change| change.replaced == Replaced::Dropped);
            let dropped: HashSet<&str> = dropped.map(|change| change.name).collect();
            let kept = |changed: Changed| {
                let replaced = changed.replaced && !dropped.contains(&*changed.name);
                (changed.name.clone(), Some(Changed { replaced, ..changed }))
            };
            Ok(Done { changed: done.into_iter().map(kept).collect(), corrupt, replicated })
        }
        Err(fault) => {
            if !fault.hides_outcome() {
                sent.set(before);
            }
            Err(fault)
        }
    }
}

fn is_corrupt(
    connection: &mut Connection,
    document: &Document,
    name: &str,
    options: &WriteOptions,
    wait: &Wait<'_>,
) -> std::result::Result<bool, Fault> {
    if !options.host.found_corrupt(document.key()) {
        return Ok(false);
    }
    let rows = connection.query(Name::Content, &[&name], wait)?;
    let content = rows.first().map(|row| column::<Option<Vec<u8>>>(row, 0)).transpose()?;
    Ok(!content.flatten().is_some_and(|content| options.host.parses(&content)))
}
