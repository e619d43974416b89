//! Who judges the state of documents that a write leads to.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

pub use crate::error::Refusal;

/// Judges a write, just before it is published. Made for that write, before any lock.
pub trait Judge: Debug + Send + Sync {
    /// The path that names the group of the documents: those that refer to each other, directly
    /// or by others. All writes of a group are judged one after the other. Nothing where the
    /// documents refer to no other.
    fn group(&self) -> Option<&Path>;

    /// The other documents of the judgement: those that the documents of the write refer to, and
    /// those that refer to them.
    fn companions(&self) -> &[PathBuf];

    /// Whether the judge asks what the documents of the write hold now.
    fn wants_before(&self) -> bool;

    /// Called under the locks.
    ///
    /// # Errors
    ///
    /// Why the write is refused.
    fn judge(&self, state: &State<'_>) -> Result<(), Refusal>;
}

/// Contents of documents; nothing for a document that is not there.
pub type Contents<'a> = Vec<Option<&'a [u8]>>;

/// What a write leads to.
#[derive(Debug)]
pub struct State<'a> {
    /// What the documents of the write hold now; empty unless the judge asks for that.
    pub before: Contents<'a>,
    /// What they will hold, in the order in which the caller names them.
    pub after: Contents<'a>,
    /// What the other documents hold, now and until the write is published.
    pub companions: Contents<'a>,
}
