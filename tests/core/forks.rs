//! The fork handlers, in a process of their own: they act on every lock of
//! the process they run in.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use oasis_data::files::fork::{self, CloseOnFork};

/// The child's side of a fork, played in one process: what was registered is
/// closed, and its owner finds nothing.
#[test]
fn a_child_lets_go_and_the_forking_thread_does_not_wait_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let kept = CloseOnFork::open(|| File::create(&path)).unwrap();
    kept.with(File::lock).unwrap().unwrap();
    let other = File::open(&path).unwrap();
    fork::before();
    // A handler that saves a file between `before` and `after`.
    let during = CloseOnFork::open(|| File::create(folder.path().join("other"))).unwrap();
    drop(during);
    assert!(other.try_lock().is_err());
    // Any other thread stays out until then: what it opened now would slip
    // through to the child.
    let (opened, opening) = mpsc::channel();
    let late = thread::spawn(move || opened.send(CloseOnFork::open(tempfile::tempfile)));
    assert!(opening.recv_timeout(Duration::from_millis(50)).is_err());
    fork::after_in_parent();
    opening.recv().unwrap().unwrap();
    late.join().unwrap().unwrap();
    assert!(kept.with(|_| ()).is_some());
    fork::before();
    fork::after_in_child(|| ());
    assert!(kept.with(|_| ()).is_none());
    other.try_lock().unwrap();
    // But not for ever: the fork may be waiting for what that thread holds.
    fork::before();
    let (opened, opening) = mpsc::channel();
    let stuck = thread::spawn(move || opened.send(CloseOnFork::open(tempfile::tempfile)));
    opening.recv_timeout(Duration::from_secs(30)).unwrap().unwrap();
    fork::after_in_parent();
    stuck.join().unwrap().unwrap();
}
