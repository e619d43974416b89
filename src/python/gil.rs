//! Threads that are without the interpreter's lock when the interpreter ends.
//!
//! Before Python 3.14 a daemon thread that wants the lock back after that is ended
//! on the spot by `pthread_exit`, whose route out through Rust's frames aborts the
//! process (`PyEval_RestoreThread` in Python's C API tells of the former). So
//! whoever wants it back says so first, and at exit the interpreter waits for those
//! who did; all others stay away, as in 3.14: for good, unless the interpreter is
//! still there after a while, and may be waiting for them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How many threads are on their way back.
static RETURNING: AtomicUsize = AtomicUsize::new(0);
/// Which thread ends the interpreter, once one does, and since when.
static ENDING: OnceLock<(ThreadId, Instant)> = OnceLock::new();

/// How long the exit waits for a thread that cannot get the lock: a program that
/// does not end is worse than one that ends badly.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_micros(200);
/// How long others stay away at least. Functions that were registered for the exit
/// before this package was imported run in that time, and may wait for them.
const AWAY: Duration = Duration::from_secs(1);

/// Acts without the interpreter's lock.
pub(super) fn without_gil<T: Send>(py: Python<'_>, act: impl Send + FnOnce() -> T) -> T {
    let (outcome, returning) = py.detach(|| {
        let outcome = act();
        (outcome, Returning::begin())
    });
    drop(returning);
    outcome
}

/// Acts without the interpreter's lock, on the way back to it from the start: for
/// what takes a lock that this thread must not stay away with.
pub(super) fn returning_after<T: Send>(py: Python<'_>, act: impl Send + FnOnce() -> T) -> T {
    let (outcome, returning) = py.detach(|| {
        let returning = Returning::begin();
        (act(), returning)
    });
    drop(returning);
    outcome
}

/// Runs what may be Python code, which lets the interpreter's lock go now and then.
pub(super) fn run_python<T>(py: Python<'_>, act: impl FnOnce() -> T) -> T {
    let _returning = match Returning::unless_ending() {
        // safeguard: end-waits-for-python-code
        Some(returning) => returning,
        None => py.detach(Returning::begin),
    };
    act()
}

/// Acts with the interpreter's lock; nothing where the interpreter has ended.
pub(super) fn with_gil<T>(act: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    // Kept until the end: what is called in there may let the lock go in between.
    let _returning = Returning::begin();
    Python::try_attach(act)
}

/// A thread on its way back to the interpreter, which waits for it.
struct Returning;

impl Returning {
    fn begin() -> Self {
        if let Some(returning) = Self::unless_ending() {
            return returning;
        }
        let over = || ENDING.get().map_or(Duration::ZERO, |(_, since)| since.elapsed());
        thread::sleep(AWAY.saturating_sub(over()));
        // safeguard: returning-thread-comes-back
        while Python::try_attach(|_| ()).is_none() {
            thread::park();
        }
        RETURNING.fetch_add(1, Ordering::SeqCst);
        Self
    }

    fn unless_ending() -> Option<Self> {
        // In this order: whoever is not seen by the end of the interpreter sees it.
        RETURNING.fetch_add(1, Ordering::SeqCst);
        let returning = Self;
        let by_another = |(ending, _): &(ThreadId, _)| *ending != thread::current().id();
        // safeguard: no-return-after-the-end
        (!ENDING.get().is_some_and(by_another)).then_some(returning)
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        // Not below zero: a child forked meanwhile has begun to count anew.
        // safeguard: count-not-below-zero
        let _ = RETURNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    }
}

/// Called when the interpreter is about to end, after the threads that it waits for.
#[pyfunction]
fn at_exit(py: Python<'_>) {
    let (_, since) = ENDING.get_or_init(|| (thread::current().id(), Instant::now()));
    let deadline = *since + PATIENCE;
    py.detach(|| {
        // safeguard: end-waits-for-returning
        while RETURNING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
    });
}

/// The threads of the parent are not in the child.
pub(super) fn after_fork_in_child() {
    // safeguard: child-resets-returning
    RETURNING.store(0, Ordering::SeqCst);
}

/// Has Python tell of its end.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(at_exit, py)?,))?;
    Ok(())
}
