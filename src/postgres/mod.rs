//! Documents in PostgreSQL: for programs that run on several hosts.

mod batch;
mod change;
mod connection;
mod document;
mod failures;
mod held;
mod history;
mod inspect;
mod judging;
mod libpq;
mod load;
mod pool;
mod row;
mod save;
mod schema;
mod session;
mod socket;
mod statements;
mod store;
mod stores;
mod tls;
mod transfer;
mod url;

use std::path::Path;

use crate::engine::signals::Signals;
use crate::engine::write::{WriteOptions, Written};
use crate::error::Result;
use crate::postgres::connection::Wait;

pub(crate) use self::batch::save_many;
pub use self::document::Document;
pub(crate) use self::history::{backups, open_backup};
pub(crate) use self::inspect::{inspect, stored_status};
pub(crate) use self::load::{probe, probe_many, read, stamp};
pub(crate) use self::save::save;
pub use self::session::Session;
pub(crate) use self::stores::{configure, document_at, is_any_mapped};
pub use self::transfer::{History, StoreError, documents, history, init, put};

/// Deletes a document; its content becomes the newest backup.
///
/// # Errors
///
/// As for a save, and [`crate::error::Error::NotFound`].
pub(crate) fn delete(
    document: &Document,
    path: &Path,
    options: &WriteOptions,
    signals: &dyn Signals,
) -> Result<Written> {
    // A first look without the lock: a row is not added for what is missing.
    load::look(document, None, &Wait::new(path, options.timeout, signals))?;
    Session::open(document, path, options, signals)?.delete(options, signals)
}
