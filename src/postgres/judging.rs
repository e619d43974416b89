//! The judgement of a write: what the other documents hold is read under the lock of their
//! group, in the transaction of the write. The lock is a row that is no document; it is locked
//! after the rows of documents, and its holder waits for no other row.

use std::path::Path;

use uuid::Uuid;

use crate::engine::judge::{Judge, State};
use crate::error::Error;
use crate::postgres::change::{Transaction, Wanted, timed_out};
use crate::postgres::connection::{Connection, Step, Wait};
use crate::postgres::document::Document;
use crate::postgres::failures::Fault;
use crate::postgres::held::{self, Held};
use crate::postgres::load;
use crate::postgres::statements::Name;
use crate::postgres::stores::document_at;

/// What a write makes of a document whose row is locked.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) document: &'a Document,
    /// As the caller gave it.
    pub(super) path: &'a Path,
    /// Its new content; nothing for a deletion.
    pub(super) content: Option<&'a [u8]>,
}

/// Judges what the changes, in the order in which the caller names them, lead to. The changes
/// are to be committed in the same transaction, while the answer lives.
pub(super) fn judge(
    connection: &mut Connection,
    judge: Option<&dyn Judge>,
    changes: &[Change<'_>],
    wait: &Wait<'_>,
) -> Result<Option<Held>, Fault> {
    let (Some(judge), Some(first)) = (judge, changes.first().copied()) else { return Ok(None) };
    let group = judge.group().map(|group| document(group, first)).transpose()?;
    let group = group.map(|group| group.as_group());
    // A signal handler inside a judgement.
    // safeguard: no-wait-for-own-group
    if let Some(why) = group.as_ref().and_then(|group| held::standstill(group.digest())) {
        return Err(Fault::Told(Error::AlreadyLocked { path: first.path.to_path_buf(), why }));
    }
    let mut asked = Vec::new();
    for path in judge.companions() {
        asked.push((document(path, first)?, path.as_path()));
    }
    let companions = asked.len();
    if judge.wants_before() {
        asked.extend(changes.iter().map(|change| (change.document.clone(), change.path)));
    }
    let mut found = read(connection, group.as_ref(), first, &asked, wait)?;
    let held = group.map(|group| Held::new(group.digest()));
    let before = found.split_off(companions);
    let state = State {
        before: before.iter().map(Option::as_deref).collect(),
        after: changes.iter().map(|change| change.content).collect(),
        companions: found.iter().map(Option::as_deref).collect(),
    };
    let path = first.path.to_path_buf();
    judge.judge(&state).map_err(|reason| Fault::Told(Error::Refused { path, reason }))?;
    Ok(held)
}

/// The document at `path`, which has to lie in the store of the document `beside`.
fn document(path: &Path, beside: Change<'_>) -> Result<Document, Fault> {
    let found = document_at(path).filter(|found| found.is_beside(beside.document));
    found.ok_or_else(|| {
        Fault::Told(Error::ReferenceToOtherStore {
            path: beside.path.to_path_buf(),
            other: path.to_path_buf(),
        })
    })
}

/// Locks the row of the group, and reads documents: one trip.
fn read(
    connection: &mut Connection,
    group: Option<&Document>,
    first: Change<'_>,
    asked: &[(Document, &Path)],
    wait: &Wait<'_>,
) -> Result<Vec<Option<Vec<u8>>>, Fault> {
    let lock = group.map(|group| group.name(first.path)).transpose().map_err(Fault::Told)?;
    let row: Vec<&str> = lock.into_iter().collect();
    let names = asked.iter().map(|(document, path)| document.name(path));
    let names: Vec<&str> = names.collect::<Result<_, _>>().map_err(Fault::Told)?;
    let known: Vec<Option<Uuid>> = vec![None; names.len()];
    // What is left of the time: the lock of the document may have taken most of it.
    let transaction = Transaction::new(connection, wait.deadline.left());
    let mut steps = vec![transaction.settings()];
    // safeguard: group-row-lock
    if !row.is_empty() {
        steps.extend([Step::Run(Name::Add, vec![&row]), Step::Run(Name::Lock, vec![&row])]);
    }
    // By a statement of its own: its snapshot is of a time under the lock.
    steps.push(Step::Run(Name::LoadMany, vec![&names, &known]));
    match connection.pipeline(&steps, wait) {
        Ok(answers) => load::contents(answers.last().map_or(&[], |rows| &**rows), asked),
        Err(fault) if fault.is_contention() => {
            let Some((document, name)) = group.zip(lock) else { return Err(fault) };
            Err(Fault::Told(timed_out(Wanted { document, name, path: first.path }, &[], wait)))
        }
        Err(fault) => Err(fault),
    }
}
