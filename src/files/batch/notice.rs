//! What a recovery has to say: for the log. Whoever uses a file may meet an
//! interrupted batch, a load too, which has no other route to tell of it.

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
    /// What became of it, in a sentence without its name.
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
