//! The tables of a store, and whether a server can be trusted with documents.

use tokio_postgres::error::SqlState;

use crate::postgres::connection::{Connection, Wait};
use crate::postgres::failures::{Fault, Refusal};
use crate::postgres::statements::quoted;

/// The form of the tables that this version reads and writes.
const FORMAT: i32 = 1;
/// The oldest server that has everything that the statements need.
const OLDEST: u32 = 13;
/// Until when a server notices that the host of a client is gone, which may hold a lock.
const KEEPALIVES: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "2"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
];
/// Refuses a server that would not keep the promises. With `tables_of` a schema, its tables
/// have to be there, in the form that this version knows. Where statements are not to be
/// `prepare`d by name, the session is a pooler's; in one of its own, the server is told when to
/// give up a client that is gone.
pub(super) fn require_usable(
    connection: &mut Connection,
    tables_of: Option<&str>,
    prepare: Option<bool>,
    wait: &Wait<'_>,
) -> Result<(), Fault> {
    let setting = |name| format!("current_setting('{name}', true)");
    let mut asked = vec![
        setting("server_version_num"),
        setting("fsync"),
        setting("synchronous_commit"),
        "pg_is_in_recovery()".to_owned(),
        "inet_client_port()".to_owned(),
    ];
    if prepare != Some(false) {
        asked.extend(
            KEEPALIVES.map(|(name, value)| format!("set_config('{name}', '{value}', false)")),
        );
    }
    let answer = connection.run_text(&format!("SELECT {}", asked.join(", ")), wait)?;
    let mut told = answer.into_iter().next().unwrap_or_default().into_iter();
    let mut next = || told.next().flatten().unwrap_or_default();
    let (version, fsync, synchronous, recovery) = (next(), next(), next(), next());
    // A pooler gives a session to several clients. Their statements have the same names: a
    // client would run a statement of others.
    // safeguard: no-names-through-a-pooler
    connection.named = prepare.unwrap_or(next().parse().ok() == connection.port());
    let version = version.parse::<u32>().unwrap_or_default() / 10_000;
    if version < OLDEST {
        return Err(Fault::unusable(format!(
            "the server of its store is PostgreSQL {version}, and {OLDEST} or later is needed"
        )));
    }
    // safeguard: no-server-without-fsync
    if fsync == "off" {
        return Err(Fault::unusable(
            "the server of its store runs with fsync=off, so that a power cut can destroy everything; set fsync=on",
        ));
    }
    // The next host of the URL may be the primary.
    // safeguard: standby-passed-over
    if recovery == "t" {
        return Err(Fault::standby());
    }
    connection.synchronous_commit =
        if synchronous == "off" { "on".to_owned() } else { synchronous };
    match tables_of {
        Some(schema) => require_format(connection, schema, wait),
        None => Ok(()),
    }
}

fn require_format(connection: &mut Connection, schema: &str, wait: &Wait<'_>) -> Result<(), Fault> {
    let asked = format!("SELECT format FROM {}.meta", quoted(schema));
    let found = connection.run_text(&asked, wait)?;
    let found = found.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    match found.map(|format| format.parse::<i32>()) {
        Some(Ok(FORMAT)) => Ok(()),
        Some(Ok(format)) => Err(Fault::unusable(format!(
            "its store has tables of format {format}, and this version of oasis_data knows format {FORMAT}: use the version that made them, or the version that changes them"
        ))),
        Some(Err(_)) | None => Err(Fault::Refused(Refusal {
            code: SqlState::UNDEFINED_TABLE,
            message: String::new(),
            constraint: None,
        })),
    }
}

/// Makes the schema and its tables, unless they are there. Whether they were made.
pub(super) fn make(
    connection: &mut Connection,
    schema: &str,
    wait: &Wait<'_>,
) -> Result<bool, Fault> {
    let name = quoted(schema);
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let asked = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {}), \
         to_regclass({}) IS NOT NULL, EXISTS (SELECT FROM pg_catalog.pg_settings \
         WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals))",
        literal(schema),
        literal(&format!("{name}.meta")),
    );
    let answer = connection.run_text(&asked, wait)?;
    let mut told = answer.into_iter().next().unwrap_or_default().into_iter();
    let mut next = || told.next().flatten().is_some_and(|told| told == "t");
    let (has_schema, has_tables, has_lz4) = (next(), next(), next());
    if has_tables {
        return require_format(connection, schema, wait).map(|()| false);
    }
    let create_schema =
        if has_schema { String::new() } else { format!("CREATE SCHEMA IF NOT EXISTS {name};") };
    // Half as long at 1 MB as with the server's own compression.
    let compression = if has_lz4 {
        format!("ALTER TABLE {name}.revision ALTER content SET COMPRESSION lz4;")
    } else {
        String::new()
    };
    let text = format!(
        "BEGIN; {create_schema}
         CREATE TABLE {name}.document (
             name text COLLATE \"C\" PRIMARY KEY, number bigint NOT NULL, save uuid NOT NULL,
             version text, size bigint NOT NULL, saved_at timestamptz NOT NULL
         ) WITH (fillfactor = 50);
         CREATE TABLE {name}.revision (
             save uuid CONSTRAINT revision_pkey PRIMARY KEY, name text COLLATE \"C\" NOT NULL,
             number bigint NOT NULL, version text, size bigint NOT NULL, content bytea,
             saved_at timestamptz NOT NULL,
             CHECK (content IS NULL OR octet_length(content) = size), UNIQUE (name, number));
         {compression}
         CREATE TABLE {name}.meta (format int NOT NULL);
         INSERT INTO {name}.meta VALUES ({FORMAT});
         COMMIT"
    );
    match connection.run_text(&text, wait) {
        Ok(_) => Ok(true),
        // Another made them at the same time.
        Err(fault)
            if matches!(fault.code().map(SqlState::code), Some("42P06" | "42P07" | "23505")) =>
        {
            connection.roll_back();
            require_format(connection, schema, wait).map(|()| false)
        }
        Err(fault) => Err(fault),
    }
}
