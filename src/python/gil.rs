//! The interpreter's lock, and threads that run Python code when the interpreter ends.
//!
//! A daemon thread that wants the lock after that is parked by pyo3, where it wants the lock
//! for itself. But Python code that this package calls (`json`, a `default=`) lets the lock
//! go now and then. Before Python 3.14 the interpreter ends a thread there on the spot, by
//! `pthread_exit` (`PyEval_RestoreThread` in Python's C API), whose way out through Rust's
//! frames ends the process. So the interpreter waits at its end for threads that run Python
//! code, and lets no other thread begin.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How many threads run Python code.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// Which thread ends the interpreter, once a thread does, and since when.
static ENDING: OnceLock<(ThreadId, Instant)> = OnceLock::new();

/// How long the end waits for a thread: a program that does not end is worse than a program
/// that ends badly.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_micros(200);
/// How long other threads stay away at least. Functions that were registered for the exit
/// before this package was imported run in that time, and may wait for these threads.
const AWAY: Duration = Duration::from_secs(1);

/// Acts without the interpreter's lock.
pub(super) fn without_gil<T: Send>(py: Python<'_>, act: impl Send + FnOnce() -> T) -> T {
    py.detach(act)
}

/// Runs what may be Python code, which lets the interpreter's lock go now and then.
pub(super) fn run_python<T>(py: Python<'_>, act: impl FnOnce() -> T) -> T {
    let _running = Running::begin().unwrap_or_else(|| {
        let since = ENDING.get().map_or(Duration::ZERO, |(_, since)| since.elapsed());
        // Where the interpreter has ended meanwhile, pyo3 parks this thread on its way back.
        py.detach(|| thread::sleep(AWAY.saturating_sub(since)));
        Running::count()
    });
    act()
}

/// Acts with the interpreter's lock; nothing where the interpreter has ended.
pub(super) fn with_gil<T>(act: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    Python::try_attach(|py| run_python(py, || act(py)))
}

/// A thread that runs Python code.
struct Running;

impl Running {
    fn count() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }

    /// Nothing where another thread ends the interpreter.
    fn begin() -> Option<Self> {
        // In this order: a thread that the end of the interpreter does not see sees the end.
        let running = Self::count();
        let by_another = |(ending, _): &(ThreadId, _)| *ending != thread::current().id();
        // safeguard: no-python-after-the-end
        (!ENDING.get().is_some_and(by_another)).then_some(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not below zero: a child forked meanwhile has begun to count anew.
        // safeguard: count-not-below-zero
        let _ = RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    }
}

/// Called when the interpreter is about to end, after the threads that it waits for.
#[pyfunction]
fn at_exit(py: Python<'_>) {
    let (_, since) = ENDING.get_or_init(|| (thread::current().id(), Instant::now()));
    let deadline = *since + PATIENCE;
    py.detach(|| {
        // safeguard: end-waits-for-python-code
        while RUNNING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
            thread::sleep(PAUSE);
        }
    });
}

/// The threads of the parent are not in the child.
pub(super) fn after_fork_in_child() {
    // safeguard: child-resets-running
    RUNNING.store(0, Ordering::SeqCst);
}

/// Has Python tell of its end.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(at_exit, py)?,))?;
    Ok(())
}
