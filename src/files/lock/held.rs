//! The locks that this process holds: which thread took each, and who releases it.
//!
//! The list is used only inside [`crate::files::fork::CloseOnFork::with`], so that no fork
//! finds it half changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::engine::owner::Owner;
use crate::files::identity::FileKey;

#[derive(Debug)]
struct Taken {
    /// Which lock: where the application has closed the descriptor of a lock, there may be
    /// a second lock of the same file.
    id: u64,
    key: FileKey,
    thread: ThreadId,
    /// `None` during the call that took the lock.
    handed: Option<Handed>,
}

#[derive(Clone, Debug)]
struct Handed {
    owner: Arc<dyn Owner>,
    /// The folder of the data file.
    folder: FileKey,
}

static TAKEN: Mutex<Vec<Taken>> = Mutex::new(Vec::new());

fn taken() -> MutexGuard<'static, Vec<Taken>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called in a forked child, which has no locks.
pub fn after_fork_in_child() {
    taken().clear();
}

/// Adds a lock that the calling thread has taken.
pub(crate) fn add(id: u64, key: FileKey) {
    // The standard library, unlike the operating system, never reuses the id of a thread.
    taken().push(Taken { id, key, thread: thread::current().id(), handed: None });
}

/// Leaves the lock to the `owner`: the call that took it is about to return.
pub(crate) fn hand_over(id: u64, folder: FileKey, owner: Arc<dyn Owner>) {
    if let Some(taken) = taken().iter_mut().find(|taken| taken.id == id) {
        taken.handed = Some(Handed { owner, folder });
    }
}

/// Removes a lock that is about to be released.
pub(crate) fn remove(id: u64) {
    // safeguard: lock-let-go
    taken().retain(|taken| taken.id != id);
}

/// How the calling thread has taken a lock that it wants again.
#[derive(Debug)]
pub(crate) enum Own {
    /// Not at all.
    No,
    /// In a call that has not returned: this is a signal handler inside it, say.
    InCall,
    /// It was left to this owner.
    Handed(Arc<dyn Owner>),
}

/// How the calling thread has taken the lock.
pub(crate) fn by_this_thread(key: FileKey) -> Own {
    let me = thread::current().id();
    match taken().iter().find(|taken| taken.key == key && taken.thread == me) {
        None => Own::No,
        Some(Taken { handed: None, .. }) => Own::InCall,
        Some(Taken { handed: Some(handed), .. }) => Own::Handed(Arc::clone(&handed.owner)),
    }
}

/// Acts if this process holds the lock for a file in another folder than `folder`. During
/// the act the lock is not released, and no other thread acts.
pub(crate) fn if_held_elsewhere<T>(
    key: FileKey,
    folder: FileKey,
    act: impl FnOnce() -> T,
) -> Option<T> {
    let taken = taken();
    let held = taken.iter().find(|taken| taken.key == key)?.handed.as_ref()?;
    (held.folder != folder).then(act)
}
