//! A save in one trip, and what it means when no answer comes.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::engine::signals::{Lasting, Signals};
use crate::engine::write::{WriteOptions, Written};
use crate::error::{Error, Result};
use crate::files::read::{MISSING, version_of};
use crate::postgres::change::{
    Changed, RESEND, Replaced, Retention, SAVING, Transaction, Wanted, backup_name, conflict,
    outcome_unknown, require_durable, timed_out,
};
use crate::postgres::connection::{Connection, Step, Wait};
use crate::postgres::document::{Document, column, new_save, require_size};
use crate::postgres::failures::Fault;
use crate::postgres::held;
use crate::postgres::session::Session;
use crate::postgres::statements::Name;
use crate::statistics::{COUNTERS, LATENCIES};

/// How long a save in one trip waits for a lock, before it waits in a way that a signal can
/// end: once its commit is sent, nobody can take it back.
const SHORT: Duration = Duration::from_millis(50);

/// What a server makes of a save.
enum Answer {
    Done(Changed, bool),
    /// This save was done before, when its answer was lost.
    DoneBefore(Option<Changed>),
    Unchanged,
    Conflict(Option<String>),
    /// Another writer has the document locked.
    Locked,
}

/// Replaces the content of a document with `bytes`, or creates the document.
///
/// # Errors
///
/// Any [`Error`]; but for [`Error::OutcomeUnknown`] the document is as it was, and for
/// [`Error::NotReplicated`] it is saved on one server.
pub(crate) fn save(
    document: &Document,
    path: &Path,
    bytes: &[u8],
    options: &WriteOptions,
    signals: &dyn Signals,
) -> Result<Written> {
    require_durable(path, options)?;
    require_size(path, bytes)?;
    let name = document.name_to_save(path, options.backups_kept > 0)?;
    if let Some(why) = held::standstill(document.digest()) {
        return Err(Error::AlreadyLocked { path: path.to_path_buf(), why });
    }
    let started = Instant::now();
    let signals = Lasting::new(signals);
    let wait = Wait::new(path, options.timeout, &signals);
    let id = new_save().map_err(|fault| fault.into_error(path, SAVING))?;
    // Under its lock only can it be judged, and be found out whether it is to be backed up
    // whatever the options.
    if options.judge.is_some() || options.host.found_corrupt(document.key()) {
        let session = Session::open_until(document, path, &wait)?;
        return session.change_as(id, Some(bytes), options, &wait, false);
    }
    let save = Save { name, bytes, id, version: version_of(bytes), options };
    // Since when the server may have the commit of this save.
    let sent: Cell<Option<Instant>> = Cell::new(None);
    let mut unknown = false;
    let answered = document.store.with(&wait, |connection| {
        unknown = sent.get().is_some();
        if sent.get().is_some_and(|sent| sent.elapsed() >= RESEND) {
            return Err(Fault::TimedOut);
        }
        // The same id on every try: a server that has done the save already says so.
        // safeguard: same-id-sent-again
        save.send(connection, &wait, &sent)
    });
    let answer = match answered {
        Ok(answer) => answer,
        // Whatever ends the search for what became of an attempt: a server that takes no
        // connection, or a standby.
        // safeguard: unknown-save-told
        Err(fault) if sent.get().is_some() => {
            return Err(outcome_unknown(path, fault));
        }
        Err(fault) => return Err(fault.into_error(path, SAVING)),
    };
    let written = |changed: Option<&Changed>| {
        let kept = changed.filter(|changed| changed.replaced && options.backups_kept > 0);
        Written {
            replaced: Some(document.key()),
            backup: kept.map(|changed| backup_name(document, changed.saved_at)),
            warnings: Vec::new(),
        }
    };
    match answer {
        Answer::Done(changed, true) => Ok(written(Some(&changed))),
        Answer::Done(_, false) => Err(Error::NotReplicated { path: path.to_path_buf() }),
        Answer::DoneBefore(changed) => Ok(written(changed.as_ref())),
        Answer::Unchanged => {
            COUNTERS.unchanged_saves.count();
            Ok(Written::default())
        }
        Answer::Conflict(found) => Err(conflict(path, options, found)),
        Answer::Locked if wait.deadline.left().is_zero() && !unknown => {
            // A longer wait is counted where the lock is taken.
            COUNTERS.lock_waits.count();
            LATENCIES.lock_wait.observe(started);
            Err(timed_out(Wanted { document, name, path }, &[], &wait))
        }
        Answer::Locked => {
            let opened = Session::open_until(document, path, &wait);
            let session = match opened {
                Err(cause) if unknown => {
                    let (path, cause) = (path.to_path_buf(), Box::new(cause));
                    return Err(Error::OutcomeUnknown { path, cause });
                }
                opened => opened?,
            };
            session.change_as(id, Some(bytes), options, &wait, unknown)
        }
    }
}

struct Save<'a> {
    name: &'a str,
    bytes: &'a [u8],
    id: Uuid,
    version: String,
    options: &'a WriteOptions,
}

impl Save<'_> {
    /// Sends the save with its commit, and finds out what became of it.
    fn send(
        &self,
        connection: &mut Connection,
        wait: &Wait<'_>,
        sent: &Cell<Option<Instant>>,
    ) -> std::result::Result<Answer, Fault> {
        let Self { name, bytes, id, version, options } = self;
        let transaction = Transaction::new(connection, wait.deadline.left().min(SHORT));
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let always = !options.skip_unchanged;
        // Whether there is content to replace, the statements ask the server.
        let replaced = Replaced::of(true, false, options);
        let retention = Retention::new([(*name, *id, replaced)], options);
        let upsert: Vec<&(dyn ToSql + Sync)> =
            vec![name, id, version, &size, &always, &options.if_version];
        let mut steps = Vec::from(transaction.begin());
        steps.push(Step::Run(Name::Upsert, upsert));
        steps.push(Step::Run(Name::Revision, vec![name, id, bytes]));
        steps.extend(retention.finish());
        connection.prepare(&steps, wait)?;
        let before = sent.get();
        sent.set(Some(before.unwrap_or_else(Instant::now)));
        let fault = match connection.pipeline(&steps, wait) {
            Ok(answers) => match answers[3].first() {
                Some(row) => {
                    let replicated = connection.commit_warning().is_none();
                    return Ok(Answer::Done(Changed::of(name, row, 0)?, replicated));
                }
                None => return self.ask(connection, wait),
            },
            Err(fault) => fault,
        };
        if !fault.hides_outcome() {
            // The server has undone the transaction. An earlier one may still be at work.
            sent.set(before);
        }
        if fault.is_done_before() {
            connection.roll_back();
            return self.ask(connection, wait);
        }
        if fault.is_contention() {
            connection.roll_back();
            return Ok(Answer::Locked);
        }
        Err(fault)
    }

    /// Finds out why nothing was changed.
    fn ask(
        &self,
        connection: &mut Connection,
        wait: &Wait<'_>,
    ) -> std::result::Result<Answer, Fault> {
        let rows = connection.query(Name::Question, &[&self.name, &self.id], wait)?;
        let Some(row) = rows.first() else { return Err(Fault::unusable("no answer")) };
        // safeguard: save-looked-for-before-conflict
        if column::<Option<chrono::DateTime<chrono::Utc>>>(row, 1)?.is_some() {
            return Ok(Answer::DoneBefore(Some(Changed::of(self.name, row, 1)?)));
        }
        let found: Option<String> = column(row, 0)?;
        let wanted = self.options.if_version.as_deref();
        if wanted.is_some_and(|wanted| wanted != found.as_deref().unwrap_or(MISSING)) {
            return Ok(Answer::Conflict(found));
        }
        if found.as_deref() == Some(&self.version) {
            return Ok(Answer::Unchanged);
        }
        // Another writer came between the two questions.
        Err(Fault::overtaken())
    }
}
