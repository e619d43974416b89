//! A document under its lock: one transaction, from the lock to the commit.

use std::cell::Cell;
use std::ffi::OsString;
use std::fmt::{self, Debug, Formatter};
use std::mem;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::engine::deadline::Deadline;
use crate::engine::owner::Owner;
use crate::engine::signals::Signals;
use crate::engine::stamp::Snapshot;
use crate::engine::warning::Warning;
use crate::engine::write::{WriteOptions, Written};
use crate::error::{Error, Result};
use crate::files::backup::Backup;
use crate::files::read::{MISSING, version_of};
use crate::postgres::change::{
    Change, Changed, RESEND, Replaced, SAVING, Wanted, apply, backup_name, conflict,
    outcome_unknown, require_durable, timed_out,
};
use crate::postgres::connection::{Connection, Wait, is_edit_timeout};
use crate::postgres::document::{Document, new_save, require_size};
use crate::postgres::failures::Fault;
use crate::postgres::held::{self, Held};
use crate::postgres::history;
use crate::postgres::judging;
use crate::postgres::row::{Base, is_done, lock};
use crate::settings;
use crate::statistics::COUNTERS;

/// What is being done, in an error of a lock.
const LOCKING: &str = "locking it in its store";

/// A document that nobody else may write, until dropped.
pub struct Session {
    document: Document,
    path: PathBuf,
    process: u32,
    timeout: Duration,
    held: Held,
    base: Base,
    /// Nothing once the transaction has ended.
    connection: Mutex<Option<Connection>>,
}

impl Debug for Session {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Session {
    /// Takes the lock of a document.
    ///
    /// # Errors
    ///
    /// [`Error::LockTimeout`] at the deadline, [`Error::Interrupted`] for a signal,
    /// [`Error::AlreadyLocked`] where this thread would wait for itself.
    pub(crate) fn open(
        document: &Document,
        path: &Path,
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Self> {
        require_durable(path, options)?;
        document.name_to_save(path, options.backups_kept > 0)?;
        // safeguard: no-wait-for-own-row
        if let Some(why) = held::standstill(document.digest()) {
            return Err(Error::AlreadyLocked { path: path.to_path_buf(), why });
        }
        Self::open_until(document, path, &Wait::new(path, options.timeout, signals))
    }

    /// The same within a wait that has begun.
    pub(super) fn open_until(document: &Document, path: &Path, wait: &Wait<'_>) -> Result<Self> {
        let begun = document.store.begin(wait, |connection| lock(connection, document, wait));
        match begun {
            Ok((connection, base)) => Ok(Self {
                document: document.clone(),
                path: path.to_path_buf(),
                process: process::id(),
                timeout: wait.deadline.timeout(),
                held: Held::new(document.digest()),
                base,
                connection: Mutex::new(Some(connection)),
            }),
            Err(fault) if fault.is_contention() || fault.is_deadlock() => {
                let name = document.name(path)?;
                Err(timed_out(Wanted { document, name, path }, &[], wait))
            }
            Err(fault) => Err(fault.into_error(path, LOCKING)),
        }
    }

    /// Leaves the lock to its `owner`.
    pub(crate) fn hand_over(&self, owner: Arc<dyn Owner>) {
        self.held.hand_over(owner);
    }

    /// The document as it is under the lock, or nothing.
    pub(crate) fn read(&self) -> Result<Option<Snapshot>> {
        self.require_own()?;
        let Some(version) = &self.base.version else { return Ok(None) };
        let content = self.base.content.clone();
        self.document.snapshot(&self.path, self.base.save, version, content).map(Some)
    }

    /// Refuses where this process does not hold the lock: in a child forked since.
    pub(crate) fn require_own(&self) -> Result<()> {
        // safeguard: session-is-parents
        if self.process == process::id() && self.connection().is_some() {
            return Ok(());
        }
        Err(Error::LockGone { path: self.path.clone() })
    }

    /// Replaces the document's content with `bytes`, or creates the document.
    pub(crate) fn save(
        &self,
        bytes: &[u8],
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Written> {
        require_size(&self.path, bytes)?;
        let id = new_save().map_err(|fault| fault.into_error(&self.path, SAVING))?;
        let wait = self.wait(signals);
        self.change_as(id, Some(bytes), options, &wait, false)
    }

    /// Deletes the document.
    pub(crate) fn delete(&self, options: &WriteOptions, signals: &dyn Signals) -> Result<Written> {
        if self.base.version.is_none() {
            return Err(Error::NotFound { path: self.path.clone() });
        }
        let id = new_save().map_err(|fault| fault.into_error(&self.path, SAVING))?;
        let wait = self.wait(signals);
        self.change_as(id, None, options, &wait, false)
    }

    /// Makes the save with this `id`, which may have been `sent` before, and commits.
    pub(super) fn change_as(
        &self,
        id: Uuid,
        content: Option<&[u8]>,
        options: &WriteOptions,
        wait: &Wait<'_>,
        sent: bool,
    ) -> Result<Written> {
        self.require_own()?;
        let version = content.map(version_of);
        if sent && self.was_done(id, wait)? {
            return Ok(self.written(None));
        }
        let found = self.base.version.as_deref();
        // safeguard: version-compared-under-lock
        if options.if_version.as_deref().is_some_and(|wanted| wanted != found.unwrap_or(MISSING)) {
            return Err(conflict(&self.path, options, self.base.version.clone()));
        }
        if options.skip_unchanged && content.is_some() && version.as_deref() == found {
            COUNTERS.unchanged_saves.count();
            return Ok(Written::default());
        }
        // As of a file: what is deleted is deleted on purpose.
        let corrupt = content.is_some() && found.is_some() && self.is_corrupt(options);
        let replaced = Replaced::of(found.is_some(), corrupt, options);
        let backed_up = replaced != Replaced::Dropped;
        let change = Change { name: &self.base.name, save: id, version, content, replaced };
        let Some(mut connection) = self.connection().take() else {
            return Err(Error::LockGone { path: self.path.clone() });
        };
        let sent = Cell::new(sent);
        let outcome = self.publish(&mut connection, &change, options, wait, &sent);
        match outcome {
            Ok(changed) => {
                let replicated = connection.commit_warning().is_none();
                self.document.store.put(connection);
                if !replicated {
                    return Err(Error::NotReplicated { path: self.path.clone() });
                }
                let mut written = self.written(changed.first().filter(|_| backed_up));
                if let (true, Some(kept)) = (corrupt, written.backup.clone()) {
                    written.warnings.push(Warning::CorruptReplaced { kept });
                }
                Ok(written)
            }
            Err(fault) if is_edit_timeout(&fault) => {
                let after = settings::current().edit_timeout;
                Err(Error::EditExpired { path: self.path.clone(), after })
            }
            Err(fault) => {
                self.document.store.put_back(connection, &fault);
                if !fault.hides_outcome() {
                    return Err(fault.into_error(&self.path, SAVING));
                }
                self.send_again(&change, options, wait, fault, &sent)
            }
        }
    }

    /// Judges the change, makes it and commits. From `sent` on, nobody can take it back.
    fn publish(
        &self,
        connection: &mut Connection,
        change: &Change<'_>,
        options: &WriteOptions,
        wait: &Wait<'_>,
        sent: &Cell<bool>,
    ) -> std::result::Result<Vec<Changed>, Fault> {
        let _group = self.judged(connection, change.content, options, wait)?;
        sent.set(true);
        apply(connection, std::slice::from_ref(change), options, wait)
    }

    fn judged(
        &self,
        connection: &mut Connection,
        content: Option<&[u8]>,
        options: &WriteOptions,
        wait: &Wait<'_>,
    ) -> std::result::Result<Option<Held>, Fault> {
        let change = judging::Change { document: &self.document, path: &self.path, content };
        judging::judge(connection, options.judge.as_deref(), &[change], wait)
    }

    /// Judges `bytes` as the document's content, without a save of them.
    pub(crate) fn judge(
        &self,
        bytes: &[u8],
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<()> {
        self.with(signals, |connection, wait| {
            match self.judged(connection, Some(bytes), options, wait) {
                Ok(_) => Ok(Ok(())),
                // The document stays locked.
                Err(Fault::Told(refused @ Error::Refused { .. })) => Ok(Err(refused)),
                Err(fault) => Err(fault),
            }
        })?
    }

    /// Finds out on another connection whether the change was committed, and makes it if not.
    fn send_again(
        &self,
        change: &Change<'_>,
        options: &WriteOptions,
        wait: &Wait<'_>,
        fault: Fault,
        sent: &Cell<bool>,
    ) -> Result<Written> {
        let failed = |fault: Fault| {
            if sent.get() {
                outcome_unknown(&self.path, fault)
            } else {
                fault.into_error(&self.path, SAVING)
            }
        };
        if !fault.is_passing() {
            return Err(failed(fault));
        }
        let end = Deadline::after(wait.deadline.left().min(RESEND));
        let wait = Wait { deadline: end, ..*wait };
        let done = self.document.store.with(&wait, |connection| {
            // Where the first transaction is still at work, this waits for its end.
            let now = lock(connection, &self.document, &wait)?;
            let again = if now.save == change.save {
                connection.roll_back();
                None
            } else if now.is(&self.base) {
                // Judged anew: the lock of the group was gone meanwhile.
                Some(self.publish(connection, change, options, &wait, sent)?)
            } else if is_done(connection, &self.base.name, change.save, &wait)? {
                connection.roll_back();
                None
            } else {
                // Another writer came before this one could lock it again.
                return Err(Fault::Told(Error::LockGone { path: self.path.clone() }));
            };
            Ok((again, connection.commit_warning().is_none()))
        });
        match done {
            Ok((_, false)) => Err(Error::NotReplicated { path: self.path.clone() }),
            Ok((changed, true)) => {
                let changed = changed.and_then(|changed| changed.into_iter().next());
                let kept = changed.as_ref().filter(|_| change.replaced != Replaced::Dropped);
                Ok(self.written(kept))
            }
            Err(Fault::Told(error)) => Err(error),
            Err(fault) => Err(failed(fault)),
        }
    }

    /// Whether the save with this id was done.
    fn was_done(&self, id: Uuid, wait: &Wait<'_>) -> Result<bool> {
        let done = match &mut *self.connection() {
            Some(connection) => is_done(connection, &self.base.name, id, wait),
            None => return Err(Error::LockGone { path: self.path.clone() }),
        };
        done.map_err(|fault| outcome_unknown(&self.path, fault))
    }

    fn written(&self, changed: Option<&Changed>) -> Written {
        let kept = changed.filter(|changed| changed.replaced);
        Written {
            replaced: Some(self.document.key()),
            backup: kept.map(|changed| backup_name(&self.document, changed.saved_at)),
            warnings: Vec::new(),
        }
    }

    /// Whether a reader was told that the document is corrupt, and it still is.
    fn is_corrupt(&self, options: &WriteOptions) -> bool {
        // safeguard: corrupt-row-kept
        options.host.found_corrupt(self.document.key())
            && !self.base.content.as_deref().is_some_and(|content| options.host.parses(content))
    }

    /// The document's backups, newest first.
    pub(crate) fn backups(&self, signals: &dyn Signals) -> Result<Vec<Backup>> {
        self.with(signals, |connection, wait| history::list(connection, &self.document, wait))
            .map(|backups| backups.into_iter().map(|(backup, _)| backup).collect())
    }

    /// The content of a backup.
    pub(crate) fn open_backup(
        &self,
        backup: &Backup,
        signals: &dyn Signals,
    ) -> Result<Option<Vec<u8>>> {
        self.with(signals, |connection, wait| {
            history::open(connection, &self.document, backup, wait)
        })
    }

    /// Removes the backups that are too many or too old. Returns their names.
    pub(crate) fn prune(
        &self,
        options: &WriteOptions,
        signals: &dyn Signals,
    ) -> Result<Vec<OsString>> {
        self.with(signals, |connection, wait| {
            history::prune(connection, &self.document, options, wait)
        })
    }

    fn with<T>(
        &self,
        signals: &dyn Signals,
        act: impl Fn(&mut Connection, &Wait<'_>) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        self.require_own()?;
        let wait = self.wait(signals);
        let mut prepared_anew = false;
        loop {
            let Some(mut connection) = self.connection().take() else {
                return Err(Error::LockGone { path: self.path.clone() });
            };
            let fault = match act(&mut connection, &wait) {
                Ok(done) => {
                    *self.connection() = Some(connection);
                    return Ok(done);
                }
                Err(fault) => fault,
            };
            self.document.store.put_back(connection, &fault);
            let lost = fault.forgets_statement() && !mem::replace(&mut prepared_anew, true);
            if !(fault.is_passing() || lost) || wait.deadline.left().is_zero() {
                return Err(fault.into_error(&self.path, history::READING));
            }
            *self.connection() = Some(self.lock_again(&wait)?);
        }
    }

    /// Locks the document on a new connection, if nobody has saved it since.
    fn lock_again(&self, wait: &Wait<'_>) -> Result<Connection> {
        let locked =
            self.document.store.begin(wait, |connection| lock(connection, &self.document, wait));
        match locked {
            Ok((connection, now)) if now.is(&self.base) => Ok(connection),
            Ok((mut connection, _)) => {
                if connection.roll_back() {
                    self.document.store.put(connection);
                }
                Err(Error::LockGone { path: self.path.clone() })
            }
            Err(fault) => Err(fault.into_error(&self.path, LOCKING)),
        }
    }

    fn wait<'a>(&'a self, signals: &'a dyn Signals) -> Wait<'a> {
        Wait::new(&self.path, self.timeout, signals)
    }

    fn connection(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let own = self.process == process::id();
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut connection) = connection else { return };
        if !own || !connection.is_own() {
            connection.leave();
        } else if connection.roll_back() {
            self.document.store.put(connection);
        }
    }
}
