//! The documents that this process has locked, and which thread locked each: a thread must not
//! wait for itself.

use std::process;
use std::sync::{Arc, OnceLock};
use std::thread::{self, ThreadId};

use arc_swap::ArcSwapOption;

use crate::engine::owner::Owner;
use crate::error::Standstill;

#[derive(Debug)]
struct Taken {
    document: u128,
    thread: ThreadId,
    process: u32,
    /// Nobody during the call that took the lock.
    owner: OnceLock<Arc<dyn Owner>>,
}

/// Swapped as a whole, since a fork may come at any moment.
static TAKEN: ArcSwapOption<Vec<Arc<Taken>>> = ArcSwapOption::const_empty();

/// A document that this process has locked, until dropped.
#[derive(Debug)]
pub(super) struct Held(Arc<Taken>);

impl Held {
    /// The calling thread has locked a document.
    pub(super) fn new(document: u128) -> Self {
        let thread = thread::current().id();
        let process = process::id();
        let taken = Arc::new(Taken { document, thread, process, owner: OnceLock::new() });
        change(|all| all.push(Arc::clone(&taken)));
        Self(taken)
    }

    /// Leaves the lock to its `owner`.
    pub(super) fn hand_over(&self, owner: Arc<dyn Owner>) {
        // A lock is left once.
        let _ = self.0.owner.set(owner);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        change(|all| all.retain(|taken| !Arc::ptr_eq(taken, &self.0)));
    }
}

fn change(change: impl Fn(&mut Vec<Arc<Taken>>)) {
    TAKEN.rcu(|all| {
        let mut all = all.as_deref().cloned().unwrap_or_default();
        change(&mut all);
        (!all.is_empty()).then(|| Arc::new(all))
    });
}

fn of_this_thread(document: u128) -> Option<Arc<Taken>> {
    let all = TAKEN.load();
    let mine = |taken: &&Arc<Taken>| {
        taken.document == document
            && taken.thread == thread::current().id()
            && taken.process == process::id()
    };
    all.as_deref()?.iter().find(mine).cloned()
}

/// Whether the calling thread has locked a document.
pub(super) fn by_this_thread(document: u128) -> bool {
    of_this_thread(document).is_some()
}

/// Why the calling thread would wait for itself, if it wanted the lock of a document.
pub(super) fn standstill(document: u128) -> Option<Standstill> {
    let taken = of_this_thread(document)?;
    let Some(owner) = taken.owner.get() else { return Some(Standstill::Nested) };
    let why = owner.standstill()?;
    // While the owner was asked, another thread may have released the lock: then the answer is
    // about frames of Python code that have ended.
    let still = of_this_thread(document).is_some_and(|now| Arc::ptr_eq(&now, &taken));
    still.then_some(why)
}
