//! The rows of documents, locked.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::postgres::change::Transaction;
use crate::postgres::connection::{Connection, Step, Wait};
use crate::postgres::document::{Document, column};
use crate::postgres::failures::Fault;
use crate::postgres::statements::Name;

/// What a locked row says.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub(super) name: String,
    pub(super) number: i64,
    pub(super) save: Uuid,
    pub(super) version: Option<String>,
    /// Read together with the lock of a single document.
    pub(super) content: Option<Vec<u8>>,
}

impl Base {
    fn of(row: &Row) -> std::result::Result<Self, Fault> {
        Ok(Self {
            name: column(row, 0)?,
            number: column(row, 1)?,
            save: column(row, 2)?,
            version: column(row, 3)?,
            content: None,
        })
    }

    /// Whether the row was only just added.
    pub(super) fn is_new(&self) -> bool {
        self.number == 0
    }

    /// Whether the row is the same: nobody has saved since.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.number == other.number && (self.save == other.save || self.number == 0)
    }
}

/// Locks a document; a row for it is added if there is none. One trip, two for a new document.
pub(super) fn lock(
    connection: &mut Connection,
    document: &Document,
    wait: &Wait<'_>,
) -> std::result::Result<Base, Fault> {
    let name = document.name(wait.path).map_err(Fault::Told)?;
    let names = vec![name];
    let transaction = Transaction::new(connection, wait.deadline.left());
    // The content by a statement of its own: its snapshot is of a time under the lock.
    let locked = || [Step::Run(Name::LockOne, vec![&name]), Step::Run(Name::Content, vec![&name])];
    let steps: Vec<Step<'_>> = transaction.begin().into_iter().chain(locked()).collect();
    let mut answers = connection.pipeline(&steps, wait)?.split_off(2);
    if answers[0].is_empty() {
        let added = Step::Run(Name::Add, vec![&names]);
        let steps: Vec<Step<'_>> = [added].into_iter().chain(locked()).collect();
        answers = connection.pipeline(&steps, wait)?.split_off(1);
    }
    let Some(row) = answers[0].first() else { return Err(Fault::unusable("no row to lock")) };
    let mut base = Base::of(row)?;
    if let Some(row) = answers[1].first() {
        base.content = column(row, 0)?;
    }
    Ok(base)
}

/// Locks several documents in the order of their names, and adds the rows that are missing:
/// one trip.
pub(super) fn lock_all(
    connection: &mut Connection,
    names: &[&str],
    wait: &Wait<'_>,
) -> std::result::Result<Vec<Base>, Fault> {
    let transaction = Transaction::new(connection, wait.deadline.left());
    let mut steps = Vec::from(transaction.begin());
    steps.push(Step::Run(Name::Add, vec![&names]));
    steps.push(Step::Run(Name::Lock, vec![&names]));
    let answers = connection.pipeline(&steps, wait)?;
    answers.last().into_iter().flatten().map(Base::of).collect()
}

/// Whether the save with this id was done.
pub(super) fn is_done(
    connection: &mut Connection,
    name: &str,
    id: Uuid,
    wait: &Wait<'_>,
) -> std::result::Result<bool, Fault> {
    let rows = connection.query(Name::Question, &[&name, &id], wait)?;
    let saved_at = rows.first().map(|row| column::<Option<DateTime<Utc>>>(row, 1));
    Ok(saved_at.transpose()?.flatten().is_some())
}
