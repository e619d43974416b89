//! Documents with their whole histories, on the way between a folder of files and a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::engine::signals::Signals;
use crate::error::Error;
use crate::files::read::version_of;
use crate::postgres::change::{SAVING, outcome_unknown};
use crate::postgres::connection::{Connection, Step, Wait, patience};
use crate::postgres::document::{Document, column, new_save, require_size};
use crate::postgres::failures::{Fault, MAKING};
use crate::postgres::load::LOADING;
use crate::postgres::row::lock_all;
use crate::postgres::schema;
use crate::postgres::statements::Name;
use crate::postgres::store::Store;

/// How long the making of tables may wait for another that makes them.
const INIT_TIMEOUT: Duration = Duration::from_secs(30);

/// A document with its backups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The backups, oldest first, each with the stamp in its name.
    pub backups: Vec<(NaiveDateTime, Vec<u8>)>,
    /// What is there now, and when it was saved; nothing for a document that was deleted.
    pub current: Option<(Vec<u8>, DateTime<Utc>)>,
    /// The contents that are not what was saved, and are left out: by the stamps of their
    /// backups; `None` for what is there now.
    pub damaged: Vec<Option<NaiveDateTime>>,
}

/// Why a store could not be used.
#[derive(Debug)]
pub enum StoreError {
    /// What is wrong with its URL.
    Url(String),
    /// What went wrong.
    Failed(Error),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

type Answer<T> = std::result::Result<T, StoreError>;

/// The store that was asked for last: what moves many documents connects once.
static LAST: ArcSwapOption<Store> = ArcSwapOption::const_empty();

fn store_at(url: &str) -> Answer<Arc<Store>> {
    let store = Arc::new(Store::new(url).map_err(StoreError::Url)?);
    if let Some(last) = LAST.load_full().filter(|last| last.id == store.id) {
        return Ok(last);
    }
    LAST.store(Some(Arc::clone(&store)));
    Ok(store)
}

/// Makes the tables of the store at a URL, unless they are there. Whether they were made.
///
/// # Errors
///
/// When the URL cannot be used, or the server refuses.
pub fn init(url: &str, signals: &dyn Signals) -> Answer<bool> {
    let store = store_at(url)?;
    let path = Path::new("the store");
    let wait = Wait::new(path, INIT_TIMEOUT, signals);
    let made = store.connect(&wait, false).and_then(|mut connection| {
        let made = schema::make(&mut connection, store.schema(), &wait)?;
        store.put(connection);
        Ok(made)
    });
    Ok(made.map_err(|fault| fault.into_error(path, MAKING))?)
}

/// The names of all documents in the store at a URL, in their order: those, too, of which
/// there are only backups.
///
/// # Errors
///
/// When the URL cannot be used, or the server does not answer.
pub fn documents(url: &str, signals: &dyn Signals) -> Answer<Vec<String>> {
    let store = store_at(url)?;
    let path = Path::new("the store");
    let wait = Wait::new(path, patience(), signals);
    let found = store.with(&wait, |connection| {
        let rows = connection.query(Name::Documents, &[&""], &wait)?;
        rows.iter().map(|row| column::<String>(row, 0)).collect()
    });
    Ok(found.map_err(|fault| fault.into_error(path, LOADING))?)
}

/// A document of the store at a URL, with its backups.
///
/// # Errors
///
/// As for [`documents`].
pub fn history(url: &str, name: &str, signals: &dyn Signals) -> Answer<History> {
    let store = store_at(url)?;
    let path = Path::new(name);
    let wait = Wait::new(path, patience(), signals);
    let found = store.with(&wait, |connection| read(connection, name, &wait));
    Ok(found.map_err(|fault| fault.into_error(path, LOADING))?)
}

fn read(
    connection: &mut Connection,
    name: &str,
    wait: &Wait<'_>,
) -> std::result::Result<History, Fault> {
    let mut history = History::default();
    for row in connection.query(Name::History, &[&name], wait)? {
        let content: Vec<u8> = column(&row, 1)?;
        let is_current: bool = column(&row, 3)?;
        let stamp = |row| column::<DateTime<Utc>>(row, 0).map(|time| time.naive_utc());
        if column::<Option<String>>(&row, 2)?.as_deref() != Some(&version_of(&content)) {
            history.damaged.push(if is_current { None } else { Some(stamp(&row)?) });
        } else if is_current {
            history.current = Some((content, column(&row, 4)?));
        } else {
            history.backups.push((stamp(&row)?, content));
        }
    }
    Ok(history)
}

/// Puts a document with its backups into the store at a URL. False where all of it is there
/// already.
///
/// # Errors
///
/// [`Error::VersionConflict`] where something else is there, unless it is to be replaced; and
/// as for [`documents`].
pub fn put(
    url: &str,
    name: &str,
    history: &History,
    replace: bool,
    signals: &dyn Signals,
) -> Answer<bool> {
    let store = store_at(url)?;
    let path = Path::new(name);
    let document = Document::new(Arc::clone(&store), PathBuf::from(name));
    document.name_to_save(path, true)?;
    let backups = history.backups.iter().map(|(_, content)| content);
    for content in backups.chain(history.current.as_ref().map(|(content, _)| content)) {
        require_size(path, content)?;
    }
    let wait = Wait::new(path, patience(), signals);
    let mut sent = false;
    let put = store.with(&wait, |connection| {
        let names = vec![name];
        let base = lock_all(connection, &names, &wait)?;
        if base.iter().any(|base| !base.is_new()) {
            let found = read(connection, name, &wait)?;
            if found.is_same(history) {
                connection.roll_back();
                return Ok(false);
            }
            if !replace {
                connection.roll_back();
                let found = found.current.map(|(content, _)| version_of(&content));
                let path = path.to_path_buf();
                return Err(Fault::Told(Error::VersionConflict { path, expected: None, found }));
            }
        }
        sent = true;
        write(connection, name, history, &wait).map(|()| true)
    });
    put.map_err(|fault| match fault {
        fault if sent && fault.hides_outcome() => StoreError::Failed(outcome_unknown(path, fault)),
        fault => StoreError::Failed(fault.into_error(path, SAVING)),
    })
}

impl History {
    /// Whether it is the same to whoever reads it.
    fn is_same(&self, other: &Self) -> bool {
        let content = |history: &Self| history.current.as_ref().map(|(content, _)| content.clone());
        self.backups == other.backups
            && content(self) == content(other)
            && self.damaged == other.damaged
    }
}

fn write(
    connection: &mut Connection,
    name: &str,
    History { backups, current, .. }: &History,
    wait: &Wait<'_>,
) -> std::result::Result<(), Fault> {
    connection.query(Name::ClearHistory, &[&name], wait)?;
    let first = backups.first().map(|(stamp, _)| (*stamp - TimeDelta::microseconds(1)).and_utc());
    let mut saved_at =
        first.or(current.as_ref().map(|(_, saved_at)| *saved_at)).unwrap_or_default();
    let mut number: i64 = 0;
    let mut last = (Uuid::nil(), None, 0, saved_at);
    let contents = backups.iter().map(|(stamp, content)| (Some(*stamp), Some(content)));
    let now = current.as_ref().map(|(content, _)| content);
    for (replaced_at, content) in contents.chain([(None, now)]) {
        number += 1;
        let save = new_save()?;
        let version = content.map(|content| version_of(content));
        let size = i64::try_from(content.map_or(0, Vec::len)).unwrap_or(i64::MAX);
        let content = content.map(Vec::as_slice);
        connection.query(
            Name::PutRevision,
            &[&save, &name, &number, &version, &size, &content, &saved_at],
            wait,
        )?;
        last = (save, version, size, saved_at);
        // A backup is named by the time of the save that replaced it.
        saved_at = replaced_at.map_or(saved_at, |stamp| stamp.and_utc());
    }
    let (save, version, size, saved_at) = last;
    let steps = [
        Step::Run(Name::PutDocument, vec![&name, &number, &save, &version, &size, &saved_at]),
        Step::Commit,
    ];
    connection.pipeline(&steps, wait).map(drop)
}
