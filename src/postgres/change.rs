//! What every write of documents has in common: the rows of the saves, the backups that stay,
//! the commit.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::engine::deadline::Deadline;
use crate::engine::write::WriteOptions;
use crate::error::{Error, Result};
use crate::files::layout;
use crate::files::read::MISSING;
use crate::postgres::connection::{Connection, Step, Wait};
use crate::postgres::document::{Document, column};
use crate::postgres::failures::Fault;
use crate::postgres::held;
use crate::postgres::statements::Name;
use crate::settings::{self, Durability};

/// What is being done, in an error of a write.
pub(super) const SAVING: &str = "saving it in its store";

/// How many bytes of content go to the server in one statement of a batch.
const PIECE: usize = 64 << 20;

/// How long a save is sent again at most. A server forgets the row of a save later than that.
pub(super) const RESEND: Duration = Duration::from_secs(45);

/// Texts of the settings of a transaction.
pub(super) struct Transaction {
    lock_timeout: String,
    synchronous_commit: String,
    edit_timeout: String,
}

impl Transaction {
    /// For a transaction that waits for locks as long as `lock`.
    pub(super) fn new(connection: &Connection, lock: Duration) -> Self {
        let edit = Duration::try_from_secs_f64(settings::current().edit_timeout);
        // Nothing would be no limit.
        let shortest = Duration::from_millis(1);
        Self {
            lock_timeout: milliseconds(lock.max(shortest)),
            synchronous_commit: connection.synchronous_commit.clone(),
            edit_timeout: milliseconds(edit.map_or(Duration::ZERO, |edit| edit.max(shortest))),
        }
    }

    /// The steps that begin the transaction.
    pub(super) fn begin(&self) -> [Step<'_>; 2] {
        [Step::Begin, self.settings()]
    }

    /// The step that puts the settings in force, in a transaction that has begun.
    pub(super) fn settings(&self) -> Step<'_> {
        let settings: Vec<&(dyn ToSql + Sync)> =
            vec![&self.lock_timeout, &self.synchronous_commit, &self.edit_timeout];
        Step::Run(Name::Settings, settings)
    }
}

fn milliseconds(time: Duration) -> String {
    // More than the server takes is for ever.
    let most = u128::from(i32::MAX.unsigned_abs());
    format!("{}ms", time.as_millis().min(most))
}

/// Refuses what a database cannot be without.
pub(super) fn require_durable(path: &Path, options: &WriteOptions) -> Result<()> {
    // safeguard: no-database-without-durability
    if options.durability == Durability::Full {
        return Ok(());
    }
    Err(Error::Syscall {
        path: path.to_path_buf(),
        call: SAVING,
        source: rustix::io::Errno::OPNOTSUPP.into(),
        hint: "; a save in a database is always durable: set the durability to \"full\"".to_owned(),
    })
}

/// Which backups stay when saves replace contents.
pub(super) struct Retention {
    all: Vec<String>,
    names: Vec<String>,
    saves: Vec<Uuid>,
    kept: i64,
    /// In microseconds.
    max_age: Option<i64>,
    /// Those of which no backup is made.
    forgotten: (Vec<String>, Vec<Uuid>),
}

/// What becomes of the content that a save replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// A backup, and the backups that are too many go.
    BackedUp,
    /// A backup whatever the options, since it is no document. No other backup goes: a document
    /// that is corrupt again and again must not push out the whole backups.
    Corrupt,
    /// Nothing.
    Dropped,
    /// There was none. As of files: a save that makes no backup lets none go.
    Missing,
}

impl Replaced {
    /// For content that is there or not, and is corrupt or not.
    pub(super) fn of(is_there: bool, corrupt: bool, options: &WriteOptions) -> Self {
        match (corrupt, options.backups_kept) {
            _ if !is_there => Self::Missing,
            // safeguard: no-pruning-over-corrupt-row
            (true, _) => Self::Corrupt,
            (false, 0) => Self::Dropped,
            (false, _) => Self::BackedUp,
        }
    }
}

impl Retention {
    /// For the saves with these names and ids; of each, what becomes of what it replaces.
    pub(super) fn new<'a>(
        changes: impl IntoIterator<Item = (&'a str, Uuid, Replaced)>,
        options: &WriteOptions,
    ) -> Self {
        let mut retention = Self {
            all: Vec::new(),
            names: Vec::new(),
            saves: Vec::new(),
            kept: i64::try_from(options.backups_kept).unwrap_or(i64::MAX),
            max_age: options
                .backups_max_age
                .map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX)),
            forgotten: Default::default(),
        };
        for (name, save, replaced) in changes {
            retention.all.push(name.to_owned());
            let (names, saves) = match replaced {
                Replaced::BackedUp => (&mut retention.names, &mut retention.saves),
                Replaced::Corrupt | Replaced::Missing => continue,
                Replaced::Dropped => (&mut retention.forgotten.0, &mut retention.forgotten.1),
            };
            names.push(name.to_owned());
            saves.push(save);
        }
        retention
    }

    /// The steps that keep no more than that, and the commit.
    pub(super) fn finish(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        if !self.names.is_empty() {
            if let ([name], [save]) = (&*self.names, &*self.saves) {
                steps.push(Step::Run(Name::PruneOne, vec![name, save, &self.kept]));
            } else {
                steps.push(Step::Run(Name::Prune, vec![&self.names, &self.saves, &self.kept]));
            }
            if let Some(max_age) = &self.max_age {
                steps.push(Step::Run(Name::PruneOld, vec![&self.names, &self.saves, max_age]));
            }
        }
        if let ([name], [save]) = (&*self.forgotten.0, &*self.forgotten.1) {
            steps.push(Step::Run(Name::ForgetOne, vec![name, save]));
        } else if !self.forgotten.0.is_empty() {
            steps.push(Step::Run(Name::Forget, vec![&self.forgotten.0, &self.forgotten.1]));
        }
        steps.push(Step::Run(Name::Sweep, vec![&self.all]));
        steps.push(Step::Commit);
        steps
    }
}

/// The change of a locked document.
pub(super) struct Change<'a> {
    pub(super) name: &'a str,
    pub(super) save: Uuid,
    pub(super) version: Option<String>,
    /// Nothing deletes the document.
    pub(super) content: Option<&'a [u8]>,
    pub(super) replaced: Replaced,
}

/// What became of one change: when, and whether there was content before.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    pub(super) name: String,
    pub(super) saved_at: DateTime<Utc>,
    pub(super) replaced: bool,
}

impl Changed {
    pub(super) fn of(name: &str, row: &Row, first: usize) -> std::result::Result<Self, Fault> {
        let (saved_at, replaced) = (column(row, first)?, column(row, first + 1)?);
        Ok(Self { name: name.to_owned(), saved_at, replaced })
    }
}

/// Makes all changes of locked documents, and commits: one trip.
pub(super) fn apply(
    connection: &mut Connection,
    changes: &[Change<'_>],
    options: &WriteOptions,
    wait: &Wait<'_>,
) -> std::result::Result<Vec<Changed>, Fault> {
    let names: Vec<&str> = changes.iter().map(|change| change.name).collect();
    let saves: Vec<Uuid> = changes.iter().map(|change| change.save).collect();
    let versions: Vec<Option<&str>> =
        changes.iter().map(|change| change.version.as_deref()).collect();
    let sizes: Vec<i64> = changes.iter().map(size).collect();
    let contents: Vec<Option<&[u8]>> = changes.iter().map(|change| change.content).collect();
    let pieces = pieces(&contents);
    let pieces: Vec<_> = pieces
        .into_iter()
        .map(|piece| {
            (names[piece.clone()].to_vec(), saves[piece.clone()].to_vec(), contents[piece].to_vec())
        })
        .collect();
    let each = changes.iter().map(|change| (change.name, change.save, change.replaced));
    let retention = Retention::new(each, options);
    let mut steps = Vec::new();
    if let [change] = changes {
        steps.push(Step::Run(
            Name::ChangeOne,
            vec![&change.name, &change.save, &change.version, &sizes[0]],
        ));
        steps.push(Step::Run(Name::Revision, vec![&change.name, &change.save, &change.content]));
    } else {
        steps.push(Step::Run(Name::Change, vec![&names, &saves, &versions, &sizes]));
        for (names, saves, contents) in &pieces {
            steps.push(Step::Run(Name::Revisions, vec![names, saves, contents]));
        }
    }
    steps.extend(retention.finish());
    let answers = connection.pipeline(&steps, wait)?;
    if let [change] = changes {
        return answers[1].iter().map(|row| Changed::of(change.name, row, 0)).collect();
    }
    let rows = answers.iter().skip(1).take(pieces.len()).flatten();
    rows.map(|row| Changed::of(&column::<String>(row, 0)?, row, 1)).collect()
}

fn size(change: &Change<'_>) -> i64 {
    change.content.map_or(0, |content| i64::try_from(content.len()).unwrap_or(i64::MAX))
}

/// Which contents go together in one statement.
fn pieces(contents: &[Option<&[u8]>]) -> Vec<std::ops::Range<usize>> {
    let mut pieces = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (place, content) in contents.iter().enumerate() {
        let more = content.map_or(0, <[u8]>::len);
        if bytes > 0 && bytes + more > PIECE {
            pieces.push(begin..place);
            (begin, bytes) = (place, 0);
        }
        bytes += more;
    }
    pieces.push(begin..contents.len());
    pieces
}

/// The name of the backup that was made at that time.
pub(super) fn backup_name(document: &Document, made: DateTime<Utc>) -> std::ffi::OsString {
    let name = document.relative().file_name().unwrap_or_default();
    // In UTC: hosts in several time zones see one name.
    layout::backup(name, made.naive_utc())
}

/// A document that a write wants to lock.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) document: &'a Document,
    pub(super) name: &'a str,
    /// As the caller gave it.
    pub(super) path: &'a Path,
}

/// The error of a wait for a lock that another writer holds: that of the first of the documents
/// that is locked, where that is known.
pub(super) fn timed_out(first: Wanted<'_>, others: &[Wanted<'_>], wait: &Wait<'_>) -> Error {
    let soon = Wait { deadline: Deadline::now(), ..*wait };
    let all = || [first].into_iter().chain(others.iter().copied());
    let names: Vec<&str> = all().map(|wanted| wanted.name).collect();
    let shown = first.document.store.with(&soon, |connection| {
        let rows = connection.query(Name::Holder, &[&names], &soon)?;
        let told = rows.first().map(|row| {
            Ok::<_, Fault>((column::<Option<String>>(row, 0)?, column::<String>(row, 1)?))
        });
        told.transpose()
    });
    // Only told where it is known.
    let (shown, locked) = shown.ok().flatten().unwrap_or_default();
    let shown = shown.unwrap_or_default();
    let told = shown.strip_prefix("oasis-data ").and_then(|told| told.rsplit_once(' '));
    let Wanted { document, path, .. } = all().find(|wanted| wanted.name == locked).unwrap_or(first);
    Error::LockTimeout {
        path: path.to_path_buf(),
        waited: wait.deadline.timeout(),
        holder: told.and_then(|(_, process)| process.parse().ok()),
        holder_host: told.map(|(host, _)| host.to_owned()),
        by_this_thread: held::by_this_thread(document.digest()),
    }
}

/// The error of a version that is not the one that was asked for.
pub(super) fn conflict(path: &Path, options: &WriteOptions, found: Option<String>) -> Error {
    let expected = options.if_version.clone().filter(|version| version != MISSING);
    Error::VersionConflict { path: path.to_path_buf(), expected, found }
}

/// The error of a commit whose answer did not come.
pub(super) fn outcome_unknown(path: &Path, fault: Fault) -> Error {
    let cause = fault.into_error(path, SAVING);
    Error::OutcomeUnknown { path: path.to_path_buf(), cause: Box::new(cause) }
}
