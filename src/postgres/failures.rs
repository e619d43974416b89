//! Why a call to a server failed, and which error that is.

use std::error::Error as _;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use tokio_postgres::error::{DbError, SqlState};

use crate::error::Error;

/// What is being done when tables are made.
pub(super) const MAKING: &str = "making the tables of its store";

/// Why a call to a server failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no connection any more, or none could be made.
    Lost {
        /// Why.
        cause: io::Error,
        /// Whether a new connection may have more luck.
        again: bool,
    },
    /// The server refused.
    Refused(Refusal),
    /// The deadline was reached.
    TimedOut,
    /// A signal handler wants the call to end.
    Interrupted,
    /// What was found out is an error already.
    Told(Error),
}

/// What a server said.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: SqlState,
    pub(super) message: String,
    pub(super) constraint: Option<String>,
}

impl Fault {
    /// A connection that could not be made, with the reason in words.
    pub(super) fn unusable(reason: impl Into<String>) -> Self {
        Self::Lost { cause: io::Error::other(reason.into()), again: false }
    }

    /// A server that is a standby: it answers with what was there a while ago.
    pub(super) fn standby() -> Self {
        Self::Refused(Refusal {
            code: SqlState::READ_ONLY_SQL_TRANSACTION,
            message: "the server is in recovery".to_owned(),
            constraint: None,
        })
    }

    /// Another writer was faster between two questions: asked anew, the server answers anew.
    pub(super) fn overtaken() -> Self {
        Self::Refused(Refusal {
            code: SqlState::T_R_SERIALIZATION_FAILURE,
            message: "other writers were faster".to_owned(),
            constraint: None,
        })
    }

    /// Whether a commit that was sent before may have happened, or may still happen.
    pub(super) fn hides_outcome(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::TimedOut | Self::Interrupted => true,
            Self::Refused(Refusal { code, .. }) => {
                code.code().starts_with("08")
                    || code.code().starts_with("57P")
                    || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            }
            Self::Told(_) => false,
        }
    }

    /// The fault in what the library reports.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(refusal) = error.as_db_error() {
            return Self::Refused(Refusal::of(refusal));
        }
        let mut source = error.source();
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                let cause = error.raw_os_error().map_or_else(
                    || io::Error::new(error.kind(), error.to_string()),
                    io::Error::from_raw_os_error,
                );
                // What the other side of an encrypted connection is will stay so.
                let again =
                    error.raw_os_error().is_some() || error.kind() == io::ErrorKind::UnexpectedEof;
                return Self::Lost { cause, again };
            }
            source = error.source();
        }
        let closed = error.is_closed();
        let cause =
            if closed { Errno::CONNRESET.into() } else { io::Error::other(with_source(error)) };
        Self::Lost { cause, again: closed }
    }

    /// The code of the server's refusal.
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Refused(refusal) => Some(&refusal.code),
            _ => None,
        }
    }

    /// Whether the lock of a row was not free in time.
    pub(super) fn is_contention(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether the server chose this transaction to end a circle of waits, or could not put it
    /// in an order with others.
    pub(super) fn is_deadlock(&self) -> bool {
        let codes = [&SqlState::T_R_DEADLOCK_DETECTED, &SqlState::T_R_SERIALIZATION_FAILURE];
        self.code().is_some_and(|code| codes.contains(&code))
    }

    /// Whether the save with this id was done before.
    pub(super) fn is_done_before(&self) -> bool {
        matches!(self, Self::Refused(refusal)
            if refusal.code == SqlState::UNIQUE_VIOLATION
                && refusal.constraint.as_deref() == Some("revision_pkey"))
    }

    /// Whether the same call may have more luck, perhaps on a new connection.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Lost { again, .. } => *again,
            Self::Refused(Refusal { code, .. }) => is_passing(code),
            Self::TimedOut | Self::Interrupted | Self::Told(_) => false,
        }
    }

    /// Whether a statement that was prepared is of no use any more: the tables have changed, or
    /// a pooler has lost it. On a new connection it is prepared anew.
    pub(super) fn forgets_statement(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.forgets_statement())
    }

    /// Whether the connection can be used on after a rollback.
    pub(super) fn leaves_connection(&self) -> bool {
        match self {
            Self::Refused(refusal) => !refusal.ends_connection(),
            // Between two questions.
            Self::Told(_) => true,
            Self::Lost { .. } | Self::TimedOut | Self::Interrupted => false,
        }
    }

    /// The error for the document at `path`; `call` says what was being done.
    pub(super) fn into_error(self, path: &Path, call: &'static str) -> Error {
        let failed = |source: io::Error, hint: &str| Error::Syscall {
            path: path.to_path_buf(),
            call,
            source,
            hint: hint.to_owned(),
        };
        match self {
            Self::Told(error) => error,
            Self::Interrupted => Error::Interrupted { path: path.to_path_buf() },
            Self::TimedOut => failed(
                Errno::TIMEDOUT.into(),
                "; the server did not answer in time: check it and the network",
            ),
            Self::Lost { cause, again: true } => {
                failed(cause, "; check that the server of its store runs and can be reached")
            }
            // What rustls says.
            Self::Lost { cause, .. } if cause.kind() == io::ErrorKind::InvalidData => failed(
                cause,
                "; check the certificate of the server, and sslmode and sslrootcert in the store's URL",
            ),
            // The library's own words.
            Self::Lost { cause, .. } if cause.to_string().ends_with("password missing") => failed(
                cause,
                "; ~/.pgpass, or the file of PGPASSFILE, has no line for the server of its store, or is open to others (chmod 600)",
            ),
            // The reason says all.
            Self::Lost { cause, .. } => failed(cause, ""),
            Self::Refused(refusal) => refusal.into_error(call, failed),
        }
    }
}

impl Refusal {
    pub(super) fn of(error: &DbError) -> Self {
        Self {
            code: error.code().clone(),
            message: error.message().to_owned(),
            constraint: error.constraint().map(str::to_owned),
        }
    }

    /// Whether the server ends the connection with this.
    fn ends_connection(&self) -> bool {
        let code = self.code.code();
        code.starts_with("08")
            || (code.starts_with("57P"))
            || self.code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            || self.forgets_statement()
            || code == "25006"
    }

    fn forgets_statement(&self) -> bool {
        self.code == SqlState::INVALID_SQL_STATEMENT_NAME
            || self.code == SqlState::FEATURE_NOT_SUPPORTED
    }

    fn into_error(self, call: &str, failed: impl Fn(io::Error, &str) -> Error) -> Error {
        let Self { code, message, .. } = self;
        let said = || io::Error::other(format!("{message} ({})", code.code()));
        match code.code() {
            "42501" if call == MAKING => failed(
                Errno::ACCESS.into(),
                "; the role of the URL needs the right to make the schema (GRANT CREATE ON DATABASE), or tables in the schema",
            ),
            "42501" => failed(
                Errno::ACCESS.into(),
                "; the role of the store's URL lacks a right: `oasis-data init` prints what to grant",
            ),
            class if class.starts_with("28") => failed(
                Errno::ACCESS.into(),
                "; the server of its store refused the role or its password",
            ),
            "3F000" | "42P01" => failed(
                io::Error::other("its store has no tables"),
                "; run `oasis-data init` with the store's URL",
            ),
            "3D000" => failed(
                io::Error::other("its store's database is not there"),
                "; make the database, or mend the store's URL",
            ),
            "53100" => failed(Errno::NOSPC.into(), "; the disk of the server is full"),
            "53200" => failed(Errno::NOMEM.into(), "; the server is out of memory"),
            "54000" => failed(Errno::FBIG.into(), "; it is larger than PostgreSQL takes"),
            "53300" => failed(
                said(),
                "; the server has no connection left: raise max_connections, or let fewer processes use it",
            ),
            "23505" => failed(
                said(),
                "; its rows were changed by SQL: restore the database, or delete all rows of the document in both tables",
            ),
            "26000" | "42P05" => failed(
                said(),
                "; a pooler before the server loses prepared statements: add prepare=off to the store's URL",
            ),
            "25006" => failed(
                said(),
                "; the server is a standby, whose documents may be old: have the store's URL name the primary, or all hosts",
            ),
            _ => failed(said(), ""),
        }
    }
}

fn is_passing(code: &SqlState) -> bool {
    let code = code.code();
    code.starts_with("08")
        || matches!(code, "57P01" | "57P02" | "57P03" | "57P04" | "57P05")
        || matches!(code, "53300" | "40P01" | "40001" | "25006")
}

fn with_source(error: &tokio_postgres::Error) -> String {
    let why = error.source().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{error}{why}")
}
