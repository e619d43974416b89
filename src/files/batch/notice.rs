//! What a recovery tells, for the log. Every use of a file may meet an interrupted batch. A
//! load has no other means to tell of that: it returns the document alone.

use std::cell::RefCell;
use std::path::PathBuf;

thread_local! {
    static NOTICES: RefCell<Vec<Notice>> = const { RefCell::new(Vec::new()) };
}

/// What became of one file of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The file.
    pub path: PathBuf,
    /// What became of the file, in a sentence without its name.
    pub text: String,
}

/// Leaves a notice for [`take`].
pub fn leave(path: PathBuf, text: String) {
    NOTICES.with_borrow_mut(|notices| notices.push(Notice { path, text }));
}

/// The notices that this thread has left since this was last asked.
#[must_use]
pub fn take() -> Vec<Notice> {
    NOTICES.take()
}
