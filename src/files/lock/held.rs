//! The locks that this process holds: which thread took each, and who lets it go.
//!
//! Touched only inside [`crate::files::fork::CloseOnFork::with`], so that no fork finds
//! it half changed.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::error::Standstill;
use crate::files::identity::FileKey;

/// Who lets a lock go that outlives the call that took it.
pub trait Owner: Debug + Send + Sync {
    /// Why the calling thread, which took the lock, would wait for itself; nothing
    /// where somebody else may let the lock go.
    fn standstill(&self) -> Option<Standstill>;
}

#[derive(Debug)]
struct Taken {
    /// The lock's: where the application has closed a lock's descriptor, there may be a
    /// second lock of the same file.
    id: u64,
    key: FileKey,
    thread: ThreadId,
    /// None while the call that took it goes on.
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

/// Notes that the calling thread has taken the lock.
pub(crate) fn add(id: u64, key: FileKey) {
    // The standard library never gives the id of an ended thread again, as the
    // operating system does.
    taken().push(Taken { id, key, thread: thread::current().id(), handed: None });
}

/// Notes that the call which took the lock returns, and leaves it to the `owner`.
pub(crate) fn hand_over(id: u64, folder: FileKey, owner: Arc<dyn Owner>) {
    if let Some(taken) = taken().iter_mut().find(|taken| taken.id == id) {
        taken.handed = Some(Handed { owner, folder });
    }
}

/// Notes that the lock is about to be let go.
pub(crate) fn remove(id: u64) {
    taken().retain(|taken| taken.id != id);
}

/// How the calling thread has taken a lock that it wants again.
#[derive(Debug)]
pub(crate) enum Own {
    /// Not at all.
    No,
    /// In a call that goes on: in a signal handler, say.
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

/// Acts if this process holds the lock for a file in another folder than `folder`. The
/// lock is not let go meanwhile, nor does another thread act.
pub(crate) fn if_held_elsewhere<T>(
    key: FileKey,
    folder: FileKey,
    act: impl FnOnce() -> T,
) -> Option<T> {
    let taken = taken();
    let held = taken.iter().find(|taken| taken.key == key)?.handed.as_ref()?;
    (held.folder != folder).then(act)
}
