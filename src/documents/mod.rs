//! What is true of a document wherever it lies: when a cached document is fresh, when
//! several are consistent, which backup is the newest whole one.
//!
//! Generic over the program's values, so that this floor compiles and is tested without
//! Python: a [`Runtime`] makes documents of bytes, and runs storage without its own lock.

pub mod backups;
pub mod in_place;
pub mod kept;
pub mod load;
pub mod load_many;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::Signals;
use crate::error::Error;
use crate::statistics::Operation;

use self::kept::Documents;

/// The program that documents are for. Every call is made with the program's lock held;
/// what is passed to [`Self::without_lock`] and [`Self::run`] runs without it.
pub trait Runtime: Copy {
    /// A document as a caller gets it.
    type Document;
    /// A document as the cache keeps it.
    type Kept: Send + Sync + 'static;
    /// Why there is no document.
    type DecodeError: DecodeError;
    /// What a signal handler raised.
    type Raised;

    /// The process's cache of documents.
    fn documents() -> &'static Documents<Self::Kept>;

    /// Acts without the program's lock, for a moment.
    fn without_lock<T: Send>(self, act: impl FnOnce() -> T + Send) -> T;

    /// Runs storage without the program's lock, for as long as it takes.
    ///
    /// # Errors
    ///
    /// What a signal handler raised meanwhile, or why storage cannot be run at all.
    fn run<T: Send>(
        self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce(&dyn Signals) -> T + Send,
    ) -> Result<T, Self::Raised>;

    /// Runs the program's signal handlers.
    ///
    /// # Errors
    ///
    /// What a handler raised.
    fn check_signals(self) -> Result<(), Self::Raised>;

    /// Makes a document of its text.
    ///
    /// # Errors
    ///
    /// When the text is no document, or the program cannot make it.
    fn decode(self, text: &[u8]) -> Result<Self::Document, Self::DecodeError>;

    /// Keeps a text that is decoded when it is asked for again: a document that is loaded
    /// once must not pay for copies of it.
    fn keep_text(text: Arc<Vec<u8>>) -> Self::Kept;

    /// Keeps a document, to be lent and copied.
    fn keep_document(self, document: &Self::Document) -> Self::Kept;

    /// Bytes that are kept beside the document.
    fn extra_size(kept: &Self::Kept) -> usize;

    /// A copy of the caller's own, and the bytes by which what is kept has grown.
    ///
    /// # Errors
    ///
    /// As for [`Self::decode`].
    fn copy(self, kept: &Self::Kept) -> Result<(Self::Document, usize), Self::DecodeError>;

    /// The one object that every borrower gets, for reading.
    ///
    /// # Errors
    ///
    /// As for [`Self::decode`].
    fn borrow_shared(self, kept: &Self::Kept) -> Result<Self::Document, Self::DecodeError>;
}

/// Why a text did not become a document.
pub trait DecodeError {
    /// What is wrong with the text, and where; nothing where the text is not at fault.
    fn corruption(&self) -> Option<String>;
}

/// Why a call on a document failed.
pub enum Failure<R: Runtime> {
    /// The engine refused or failed.
    Engine(Error),
    /// The content did not become a document.
    Decode {
        /// The document.
        path: PathBuf,
        /// Why.
        error: R::DecodeError,
        /// Whether there is no content at all.
        empty: bool,
    },
    /// A signal handler wants the call to end.
    Raised(R::Raised),
}

impl<R: Runtime> Failure<R> {
    /// Whether the failure is an answer about the document itself: the document is missing or
    /// corrupt.
    #[must_use]
    pub fn is_about_the_document(&self) -> bool {
        match self {
            Self::Engine(error) => matches!(error, Error::NotFound { .. }),
            Self::Decode { error, .. } => error.corruption().is_some(),
            Self::Raised(_) => false,
        }
    }
}

impl<R: Runtime> From<Error> for Failure<R> {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}
