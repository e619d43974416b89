//! The lock of a group: who waits for it, and what happens under it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oasis_data::engine::deadline::Deadline;
use oasis_data::engine::signals::Signals;
use oasis_data::engine::write::WriteOptions;
use oasis_data::error::Error;
use oasis_data::files::lock::Lock;
use oasis_data::files::lock::file;
use oasis_data::files::session;
use oasis_data::files::target::Target;

use crate::judging::{Pair, Words, require_refused};
use crate::{Quiet, names, options, save};

/// Runs in another thread, since none waits for itself.
fn elsewhere<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(act).join().unwrap())
}

#[test]
fn a_write_waits_for_the_lock_of_its_group_until_the_deadline() {
    let pair = Pair::new();
    let group = Target::resolve(&pair.used, false).unwrap();
    let held = Lock::of_group(&group, &Deadline::now(), &Quiet).unwrap();
    for timeout in [0, 50] {
        let judged =
            WriteOptions { timeout: Duration::from_millis(timeout), ..pair.judged(&[&pair.known]) };
        let refused = elsewhere(|| session::save(&pair.known, b"oil", &judged, &Quiet));
        // Of the document that is written.
        match refused {
            Err(Error::LockTimeout { path, holder, .. }) => {
                assert_eq!((path, holder), (pair.known.clone(), Some(std::process::id())));
            }
            other => panic!("{other:?}"),
        }
    }
    // The thread that holds it would wait for itself: a signal handler inside a judgement.
    let refused = pair.save(&pair.known, "oil");
    assert!(matches!(refused, Err(Error::AlreadyLocked { .. })), "{refused:?}");
    // Others are not held up.
    save(&pair.known, "gas oil 2").unwrap();
    save(&pair.used, "oil gas").unwrap();
    drop(held);
    pair.save(&pair.used, "oil").unwrap();
}

#[test]
fn a_signal_ends_the_wait_for_the_lock_of_a_group() {
    struct Pressed;
    impl Signals for Pressed {
        fn pending(&self) -> bool {
            true
        }
    }
    let pair = Pair::new();
    let group = Target::resolve(&pair.used, false).unwrap();
    let held = Lock::of_group(&group, &Deadline::now(), &Quiet).unwrap();
    let judged = pair.judged(&[&pair.known]);
    let ended = elsewhere(|| session::save(&pair.known, b"oil", &judged, &Pressed));
    assert!(matches!(ended, Err(Error::Interrupted { .. })), "{ended:?}");
    drop(held);
    pair.require_untouched();
}

#[test]
fn the_other_documents_are_read_under_the_lock() {
    /// In the middle of the wait another writer publishes, and releases the lock.
    struct Publish<'a>(&'a Path, Mutex<Option<Lock>>);
    impl Signals for Publish<'_> {
        fn pending(&self) -> bool {
            if let Some(lock) = self.1.lock().unwrap().take() {
                std::fs::write(self.0, "gas").unwrap();
                drop(lock);
            }
            false
        }
    }
    let pair = Pair::new();
    let group = Target::resolve(&pair.used, false).unwrap();
    let held = elsewhere(|| Lock::of_group(&group, &Deadline::now(), &Quiet).unwrap());
    let publish = Publish(&pair.known, Mutex::new(Some(held)));
    let judged = pair.judged(&[&pair.used]);
    let refused = session::save(&pair.used, b"oil oil", &judged, &publish);
    require_refused(refused, "oil is not known");
}

#[test]
fn one_write_of_a_group_is_judged_after_the_other() {
    let pair = Pair::new();
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    std::thread::scope(|scope| {
        for path in [&pair.used, &pair.known] {
            let (inside, most) = (Arc::clone(&inside), Arc::clone(&most));
            let judged = pair.judged_by(&[path], move |_| {
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            });
            scope.spawn(move || {
                for round in 0..50 {
                    let text = round.to_string();
                    session::save(path, text.as_bytes(), &judged, &Quiet).unwrap();
                }
            });
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_group_whose_folder_is_missing_is_told_or_the_folder_made() {
    let pair = Pair::new();
    let judged = |make_parents| {
        let judge = Words {
            group: Some(pair.root.join("gone/first")),
            companions: Vec::new(),
            wants_before: false,
            judge: Box::new(|_| Ok(())),
        };
        WriteOptions { judge: Some(Arc::new(judge)), make_parents, ..options() }
    };
    let refused = session::save(&pair.used, b"gas", &judged(false), &Quiet).unwrap_err();
    assert_eq!(refused.path(), pair.root.join("gone/first"));
    pair.require_untouched();
    session::save(&pair.used, b"gas", &judged(true), &Quiet).unwrap();
    assert!(pair.root.join("gone/.oasis_data/locks/first.group").exists());
}

#[test]
fn the_lock_of_a_group_is_no_document_s_and_is_not_collected() {
    let pair = Pair::new();
    pair.save(&pair.used, "gas").unwrap();
    let folder = pair.used.parent().unwrap();
    assert_eq!(names(&folder.join(".oasis_data/locks")), ["used.group", "used.lock"]);
    session::delete(&pair.used, &pair.judged(&[&pair.used]), &Quiet).unwrap();
    assert_eq!(file::collect(folder, &Quiet).unwrap().removed, 1);
    assert_eq!(names(&folder.join(".oasis_data/locks")), ["used.group"]);
}
