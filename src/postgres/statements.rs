//! Every SQL statement on documents. Each but `Settings` is one that CockroachDB and
//! YugabyteDB have too.
//!
//! What a single save needs has a name for its parameter, not an array: the server looks a name
//! up in the index whatever it believes of the size of a table that has only just grown.

use tokio_postgres::types::Type;

/// How many saves of its document a row of a save stays, so that a save that is sent again is
/// known.
pub(super) const ROWS_KEPT: i64 = 64;
/// How long such a row stays at least, in seconds. No save is sent again after
/// [`crate::postgres::change::RESEND`], which is shorter.
pub(super) const SECONDS_KEPT: u32 = 60;
/// How far below the oldest backup that stays a save looks for contents to empty. Where it finds
/// several, since fewer backups are kept than before, and every [`ROWS_KEPT`] saves, it looks at
/// all.
const WINDOW: i64 = 32;

/// A statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Sets what a transaction needs. Parameters: `lock_timeout`, `synchronous_commit`,
    /// `idle_in_transaction_session_timeout`.
    Settings,
    /// The content of a document, unless its save is the one that is known.
    Load,
    /// The same of several documents, as they are at one moment.
    LoadMany,
    /// Makes a save the newest of its document, if content and version let it.
    Upsert,
    /// Adds the row of the save that is the newest of its document.
    Revision,
    /// Why an upsert changed nothing.
    Question,
    /// Adds rows of documents that are not there, in the order of their names.
    Add,
    /// Locks a document.
    LockOne,
    /// Locks documents, in the order of their names.
    Lock,
    /// The content of a locked document.
    Content,
    /// Makes a save the newest of a locked document.
    ChangeOne,
    /// The same of several documents.
    Change,
    /// Adds the rows of those saves.
    Revisions,
    /// Empties the contents of a document that are more than the backups kept.
    PruneOne,
    /// The same of several documents.
    Prune,
    /// Empties the contents that are too old.
    PruneOld,
    /// Empties the content that a save replaced: no backup is wanted.
    ForgetOne,
    /// The same of several documents.
    Forget,
    /// Deletes rows without content.
    Sweep,
    /// The backups of a document.
    Backups,
    /// The content of a backup.
    Backup,
    /// Empties the contents of backups.
    Empty,
    /// Who holds the lock of the first of these documents that is locked, and which it is.
    Holder,
    /// All documents whose names begin with a prefix.
    Documents,
    /// The size of a document, and when it was saved.
    Status,
    /// The backups of all documents whose names begin with a prefix.
    AllBackups,
    /// The whole history of a document.
    History,
    /// Takes the history of a document away.
    ClearHistory,
    /// Adds a row to a history.
    PutRevision,
    /// Makes the last row of a history the newest of its document.
    PutDocument,
}

/// The statements of a store.
pub(super) struct Statements(Vec<(String, Vec<Type>)>);

impl Statements {
    /// For the tables in `schema`.
    pub(super) fn new(schema: &str) -> Self {
        let document = format!("{}.document", quoted(schema));
        let revision = format!("{}.revision", quoted(schema));
        let all = NAMES.iter().map(|name| {
            let (text, types) = text_of(*name);
            let text = text
                .replace("{document}", &document)
                .replace("{revision}", &revision)
                .replace("{rows}", &ROWS_KEPT.to_string())
                .replace("{seconds}", &SECONDS_KEPT.to_string())
                .replace("{window}", &WINDOW.to_string());
            (text, types)
        });
        Self(all.collect())
    }

    pub(super) fn get(&self, name: Name) -> (&str, &[Type]) {
        let (text, types) = &self.0[name as usize];
        (text, types)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// In the order of the enum, which indexes the statements.
const NAMES: [Name; 30] = [
    Name::Settings,
    Name::Load,
    Name::LoadMany,
    Name::Upsert,
    Name::Revision,
    Name::Question,
    Name::Add,
    Name::LockOne,
    Name::Lock,
    Name::Content,
    Name::ChangeOne,
    Name::Change,
    Name::Revisions,
    Name::PruneOne,
    Name::Prune,
    Name::PruneOld,
    Name::ForgetOne,
    Name::Forget,
    Name::Sweep,
    Name::Backups,
    Name::Backup,
    Name::Empty,
    Name::Holder,
    Name::Documents,
    Name::Status,
    Name::AllBackups,
    Name::History,
    Name::ClearHistory,
    Name::PutRevision,
    Name::PutDocument,
];

/// A name in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[allow(clippy::too_many_lines, reason = "a table of statements")]
fn text_of(name: Name) -> (&'static str, Vec<Type>) {
    match name {
        // Plans are made here once and kept: a plan that reads a whole table, or all rows of a
        // document, made while these are few, would stay when they are many.
        Name::Settings => (
            "SELECT set_config('lock_timeout', $1, true), set_config('synchronous_commit', $2, true), \
             set_config('idle_in_transaction_session_timeout', $3, true), \
             set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), \
             set_config('plan_cache_mode', 'force_generic_plan', true)",
            vec![Type::TEXT, Type::TEXT, Type::TEXT],
        ),
        // The content by a subquery, which runs only where it is needed: a join reads the row
        // of each hit. Always one row, so that a standby shows where there is no document.
        Name::Load => (
            "SELECT d.save, d.version, d.size, \
             CASE WHEN d.save IS DISTINCT FROM $2 THEN (SELECT r.content FROM {revision} r \
             WHERE r.name = d.name AND r.number = d.number) END, pg_is_in_recovery() \
             FROM (SELECT 1) one LEFT JOIN {document} d ON d.name = $1",
            vec![Type::TEXT, Type::UUID],
        ),
        Name::LoadMany => (
            "SELECT d.save, d.version, d.size, \
             CASE WHEN d.save IS DISTINCT FROM a.save THEN (SELECT r.content FROM {revision} r \
             WHERE r.name = d.name AND r.number = d.number) END, pg_is_in_recovery() \
             FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS a(name, save, place) \
             LEFT JOIN {document} d ON d.name = a.name ORDER BY a.place",
            vec![Type::TEXT_ARRAY, Type::UUID_ARRAY],
        ),
        // name, save, version, size, whether unchanged content is saved too, version wanted.
        // safeguard: upsert-compares-version
        Name::Upsert => (
            "INSERT INTO {document} AS d (name, number, save, version, size, saved_at) \
             SELECT $1, 1, $2, $3, $4, clock_timestamp() \
             WHERE $6::text IS NULL OR $6 = 'missing' \
             OR EXISTS (SELECT FROM {document} WHERE name = $1) \
             ON CONFLICT (name) DO UPDATE SET number = d.number + 1, save = excluded.save, \
             version = excluded.version, size = excluded.size, \
             saved_at = greatest(clock_timestamp(), d.saved_at + interval '1 microsecond') \
             WHERE ($5 OR d.version IS DISTINCT FROM excluded.version) \
             AND ($6::text IS NULL OR coalesce(d.version, 'missing') = $6) RETURNING number",
            vec![Type::TEXT, Type::UUID, Type::TEXT, Type::INT8, Type::BOOL, Type::TEXT],
        ),
        Name::Revision => (
            "INSERT INTO {revision} AS n (save, name, number, version, size, content, saved_at) \
             SELECT d.save, d.name, d.number, d.version, d.size, $3, d.saved_at \
             FROM {document} d WHERE d.name = $1 AND d.save = $2 \
             RETURNING n.saved_at, EXISTS (SELECT FROM {revision} p WHERE p.name = n.name \
             AND p.number = n.number - 1 AND p.content IS NOT NULL)",
            vec![Type::TEXT, Type::UUID, Type::BYTEA],
        ),
        Name::Question => (
            "SELECT d.version, n.saved_at, EXISTS (SELECT FROM {revision} p \
             WHERE p.name = n.name AND p.number = n.number - 1 AND p.content IS NOT NULL) \
             FROM (SELECT 1) one LEFT JOIN {document} d ON d.name = $1 \
             LEFT JOIN {revision} n ON n.save = $2",
            vec![Type::TEXT, Type::UUID],
        ),
        Name::Add => (
            "INSERT INTO {document} (name, number, save, version, size, saved_at) \
             SELECT a.name, 0, '00000000-0000-0000-0000-000000000000', NULL, 0, clock_timestamp() \
             FROM unnest($1::text[]) AS a(name) ORDER BY a.name COLLATE \"C\" \
             ON CONFLICT (name) DO NOTHING",
            vec![Type::TEXT_ARRAY],
        ),
        // No join: a join with FOR UPDATE gives no row, or the content of another save, after
        // a change in another transaction. The same holds for `Lock`.
        // safeguard: edit-locks-its-row
        Name::LockOne => (
            "SELECT name, number, save, version, size FROM {document} WHERE name = $1 FOR UPDATE",
            vec![Type::TEXT],
        ),
        // safeguard: batch-locks-in-order
        Name::Lock => (
            "SELECT name, number, save, version, size FROM {document} WHERE name = ANY($1) \
             ORDER BY name FOR UPDATE",
            vec![Type::TEXT_ARRAY],
        ),
        Name::Content => (
            "SELECT r.content FROM {document} d JOIN {revision} r \
             ON r.name = d.name AND r.number = d.number WHERE d.name = $1",
            vec![Type::TEXT],
        ),
        Name::ChangeOne => (
            "UPDATE {document} SET number = number + 1, save = $2, version = $3, size = $4, \
             saved_at = greatest(clock_timestamp(), saved_at + interval '1 microsecond') \
             WHERE name = $1",
            vec![Type::TEXT, Type::UUID, Type::TEXT, Type::INT8],
        ),
        Name::Change => (
            "UPDATE {document} d SET number = d.number + 1, save = a.save, version = a.version, \
             size = a.size, \
             saved_at = greatest(clock_timestamp(), d.saved_at + interval '1 microsecond') \
             FROM unnest($1::text[], $2::uuid[], $3::text[], $4::bigint[]) \
             AS a(name, save, version, size) WHERE d.name = a.name",
            vec![Type::TEXT_ARRAY, Type::UUID_ARRAY, Type::TEXT_ARRAY, Type::INT8_ARRAY],
        ),
        Name::Revisions => (
            "INSERT INTO {revision} AS n (save, name, number, version, size, content, saved_at) \
             SELECT d.save, d.name, d.number, d.version, d.size, a.content, d.saved_at \
             FROM unnest($1::text[], $2::uuid[], $3::bytea[]) AS a(name, save, content) \
             JOIN {document} d ON d.name = a.name AND d.save = a.save \
             RETURNING n.name, n.saved_at, EXISTS (SELECT FROM {revision} p \
             WHERE p.name = n.name AND p.number = n.number - 1 AND p.content IS NOT NULL)",
            vec![Type::TEXT_ARRAY, Type::UUID_ARRAY, Type::BYTEA_ARRAY],
        ),
        // A range: an exact number would leave contents behind where a number is missed. As of
        // files: a save that makes no backup lets none go.
        // safeguard: prune-by-range
        Name::PruneOne => (
            "UPDATE {revision} r SET content = NULL FROM (SELECT o.number AS newest, \
             CASE WHEN d.number % {rows} = 0 OR EXISTS (SELECT FROM {revision} \
             WHERE name = $1 AND number < o.number AND number > o.number - {window} \
             AND content IS NOT NULL) THEN 0 ELSE o.number - {window} END AS oldest \
             FROM {document} d CROSS JOIN LATERAL (SELECT number FROM {revision} \
             WHERE name = $1 AND number < d.number AND content IS NOT NULL \
             ORDER BY number DESC OFFSET $3 LIMIT 1) o WHERE d.name = $1 AND d.save = $2 \
             AND (SELECT content IS NOT NULL FROM {revision} \
             WHERE name = $1 AND number = d.number - 1) OFFSET 0) AS a \
             WHERE r.name = $1 AND r.number <= a.newest AND r.number > a.oldest \
             AND r.content IS NOT NULL",
            vec![Type::TEXT, Type::UUID, Type::INT8],
        ),
        // `OFFSET 0` keeps the limits apart: a planner that believes the tables small joins all
        // rows of each document to them, and looks for the limits once for each of those rows.
        // safeguard: limits-once-a-document
        Name::Prune => (
            "UPDATE {revision} r SET content = NULL FROM (SELECT d.name, o.number AS newest, \
             CASE WHEN d.number % {rows} = 0 OR EXISTS (SELECT FROM {revision} \
             WHERE name = d.name AND number < o.number AND number > o.number - {window} \
             AND content IS NOT NULL) THEN 0 ELSE o.number - {window} END AS oldest \
             FROM unnest($1::text[], $2::uuid[]) AS a(name, save) \
             JOIN {document} d ON d.name = a.name AND d.save = a.save \
             CROSS JOIN LATERAL (SELECT number FROM {revision} WHERE name = d.name \
             AND number < d.number AND content IS NOT NULL \
             ORDER BY number DESC OFFSET $3 LIMIT 1) o OFFSET 0) AS a \
             WHERE r.name = a.name AND r.number <= a.newest AND r.number > a.oldest \
             AND r.content IS NOT NULL",
            vec![Type::TEXT_ARRAY, Type::UUID_ARRAY, Type::INT8],
        ),
        Name::PruneOld => (
            "UPDATE {revision} r SET content = NULL FROM unnest($1::text[], $2::uuid[]) \
             AS a(name, save) JOIN {document} d ON d.name = a.name AND d.save = a.save \
             CROSS JOIN LATERAL (SELECT o.number FROM {revision} o WHERE o.name = d.name \
             AND o.number < d.number AND o.content IS NOT NULL \
             ORDER BY o.number DESC LIMIT 1) AS newest \
             WHERE newest.number = d.number - 1 \
             AND r.name = d.name AND r.number < newest.number AND r.content IS NOT NULL \
             AND (SELECT n.saved_at FROM {revision} n WHERE n.name = r.name \
             AND n.number = r.number + 1) < clock_timestamp() - $3 * interval '1 microsecond'",
            vec![Type::TEXT_ARRAY, Type::UUID_ARRAY, Type::INT8],
        ),
        Name::ForgetOne => (
            "UPDATE {revision} SET content = NULL WHERE name = $1 \
             AND number = (SELECT number - 1 FROM {document} WHERE name = $1 AND save = $2)",
            vec![Type::TEXT, Type::UUID],
        ),
        Name::Forget => (
            "UPDATE {revision} r SET content = NULL FROM unnest($1::text[], $2::uuid[]) \
             AS a(name, save) JOIN {document} d ON d.name = a.name AND d.save = a.save \
             WHERE r.name = d.name AND r.number = d.number - 1",
            vec![Type::TEXT_ARRAY, Type::UUID_ARRAY],
        ),
        // The row after a backup stays: it tells when the backup was made.
        Name::Sweep => (
            "DELETE FROM {revision} r USING {document} d WHERE d.name = ANY($1) \
             AND d.number % {rows} = 0 AND r.name = d.name AND r.number < d.number - {rows} \
             AND r.content IS NULL AND r.saved_at < clock_timestamp() - interval '{seconds} s' \
             AND NOT EXISTS (SELECT FROM {revision} p WHERE p.name = r.name \
             AND p.number = r.number - 1 AND p.content IS NOT NULL)",
            vec![Type::TEXT_ARRAY],
        ),
        Name::Backups => (
            "SELECT n.saved_at, r.size FROM {document} d JOIN {revision} r ON r.name = d.name \
             JOIN {revision} n ON n.name = r.name AND n.number = r.number + 1 \
             WHERE d.name = $1 AND r.number < d.number AND r.content IS NOT NULL \
             ORDER BY r.number DESC",
            vec![Type::TEXT],
        ),
        Name::Backup => (
            "SELECT r.content, r.version FROM {revision} n JOIN {revision} r \
             ON r.name = n.name AND r.number = n.number - 1 \
             WHERE n.name = $1 AND n.saved_at = $2 AND r.content IS NOT NULL",
            vec![Type::TEXT, Type::TIMESTAMPTZ],
        ),
        Name::Empty => (
            "UPDATE {revision} r SET content = NULL FROM {revision} n WHERE n.name = $1 \
             AND n.saved_at = ANY ($2) AND r.name = n.name AND r.number = n.number - 1",
            vec![Type::TEXT, Type::TIMESTAMPTZ_ARRAY],
        ),
        Name::Holder => (
            "SELECT a.application_name, d.name FROM {document} d JOIN pg_locks l \
             ON l.locktype = 'transactionid' AND l.granted AND l.transactionid = d.xmax \
             JOIN pg_stat_activity a ON a.pid = l.pid WHERE d.name = ANY($1) \
             ORDER BY d.name LIMIT 1",
            vec![Type::TEXT_ARRAY],
        ),
        Name::Documents => (
            "SELECT name, version IS NOT NULL, size, saved_at FROM {document} \
             WHERE starts_with(name, $1) AND number > 0 ORDER BY name",
            vec![Type::TEXT],
        ),
        Name::Status => (
            "SELECT size, saved_at FROM {document} WHERE name = $1 AND version IS NOT NULL",
            vec![Type::TEXT],
        ),
        Name::AllBackups => (
            "SELECT d.name, n.saved_at, r.size FROM {document} d JOIN {revision} r \
             ON r.name = d.name JOIN {revision} n ON n.name = r.name AND n.number = r.number + 1 \
             WHERE starts_with(d.name, $1) AND r.number < d.number AND r.content IS NOT NULL \
             ORDER BY d.name, r.number DESC",
            vec![Type::TEXT],
        ),
        Name::History => (
            "SELECT n.saved_at, r.content, r.version, r.number = d.number, r.saved_at \
             FROM {document} d JOIN {revision} r ON r.name = d.name \
             LEFT JOIN {revision} n ON n.name = r.name AND n.number = r.number + 1 \
             WHERE d.name = $1 AND r.content IS NOT NULL ORDER BY r.number",
            vec![Type::TEXT],
        ),
        Name::ClearHistory => ("DELETE FROM {revision} WHERE name = $1", vec![Type::TEXT]),
        Name::PutRevision => (
            "INSERT INTO {revision} (save, name, number, version, size, content, saved_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            vec![
                Type::UUID,
                Type::TEXT,
                Type::INT8,
                Type::TEXT,
                Type::INT8,
                Type::BYTEA,
                Type::TIMESTAMPTZ,
            ],
        ),
        Name::PutDocument => (
            "UPDATE {document} SET number = $2, save = $3, version = $4, size = $5, \
             saved_at = $6 WHERE name = $1",
            vec![Type::TEXT, Type::INT8, Type::UUID, Type::TEXT, Type::INT8, Type::TIMESTAMPTZ],
        ),
    }
}
