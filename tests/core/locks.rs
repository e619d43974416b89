use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use oasis_data::engine::deadline::Deadline;
use oasis_data::engine::owner::Owner;
use oasis_data::engine::signals::Signals;
use oasis_data::engine::write;
use oasis_data::error::{Error, Standstill};
use oasis_data::files::lock::Lock;
use oasis_data::files::lock::file;
use oasis_data::files::session;
use oasis_data::files::target::Target;

use crate::{Quiet, content, options, save};

fn target(path: &Path) -> Target {
    Target::resolve(path, false).unwrap()
}

/// Runs in another thread, since none waits for itself.
fn elsewhere<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(act).join().unwrap())
}

#[test]
fn excludes_threads_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let inside = AtomicU64::new(0);
    let rounds = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let _lock = Lock::of_file(
                        &target(&path),
                        &Deadline::after(Duration::from_secs(60)),
                        &Quiet,
                    )
                    .unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(rounds.into_inner(), 400);
}

/// Eight writers that let go and ask again at once, and all get their share:
/// without the queue most wait while one has hundreds of rounds.
#[test]
fn nobody_starves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let done = AtomicBool::new(false);
    let start = Barrier::new(8);
    let rounds: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    start.wait();
                    while !done.load(Ordering::SeqCst) {
                        let lock = Lock::of_file(
                            &target(&path),
                            &Deadline::after(Duration::from_secs(60)),
                            &Quiet,
                        )
                        .unwrap();
                        rounds += 1;
                        // Long enough for the others to look, as a save is.
                        std::thread::sleep(Duration::from_millis(1));
                        drop(lock);
                        if rounds == 100 {
                            done.store(true, Ordering::SeqCst);
                        }
                    }
                    rounds
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(rounds.iter().all(|&rounds| rounds >= 20), "{rounds:?}");
}

#[test]
fn a_thread_does_not_wait_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let patient = write::WriteOptions { timeout: Duration::from_secs(2), ..options() };
    let held = Lock::of_file(&target(&path), &Deadline::after(Duration::ZERO), &Quiet).unwrap();
    let refused = session::save(&path, b"1", &patient, &Quiet).unwrap_err();
    assert!(matches!(refused, Error::AlreadyLocked { .. }), "{refused}");
    // Another file, and another thread's wait for this one, are no matter of it.
    save(&folder.path().join("vessels.json"), "1").unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let hurried = write::WriteOptions { timeout: Duration::ZERO, ..options() };
            session::save(&path, b"1", &hurried, &Quiet).unwrap_err()
        });
        assert!(matches!(other.join().unwrap(), Error::LockTimeout { .. }));
    });
    drop(held);
    save(&path, "1").unwrap();
}

#[test]
fn an_owner_who_may_be_elsewhere_is_waited_for() {
    #[derive(Debug)]
    struct Someone(Option<Standstill>);
    impl Owner for Someone {
        fn standstill(&self) -> Option<Standstill> {
            self.0
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let target = target(&path);
    let take = |timeout| Lock::of_file(&target, &Deadline::after(timeout), &Quiet);
    for why in [Standstill::Nested, Standstill::Await, Standstill::Switch] {
        let held = take(Duration::ZERO).unwrap();
        held.hand_over(&target, Arc::new(Someone(Some(why)))).unwrap();
        let refused = take(Duration::from_secs(60)).unwrap_err();
        assert!(matches!(refused, Error::AlreadyLocked { why: of, .. } if of == why), "{refused}");
    }
    let held = take(Duration::ZERO).unwrap();
    held.hand_over(&target, Arc::new(Someone(None))).unwrap();
    let refused = take(Duration::ZERO).unwrap_err();
    assert!(refused.to_string().contains("still locked by this thread itself"), "{refused}");
    let refused = elsewhere(|| take(Duration::ZERO).unwrap_err());
    assert!(refused.to_string().contains("still locked by process"), "{refused}");
    std::thread::scope(|scope| {
        scope.spawn(|| drop(held));
        take(Duration::from_secs(60)).unwrap();
    });
}

#[test]
fn an_owner_who_leaves_while_asked_is_no_standstill() {
    #[derive(Debug, Default)]
    struct Leaving(Mutex<Option<Lock>>);
    impl Owner for Leaving {
        fn standstill(&self) -> Option<Standstill> {
            // As another thread does it meanwhile.
            self.0.lock().unwrap().take();
            Some(Standstill::Nested)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let target = target(&folder.path().join("tanks.json"));
    let take = || Lock::of_file(&target, &Deadline::after(Duration::ZERO), &Quiet).unwrap();
    let owner = Arc::new(Leaving::default());
    let held = take();
    held.hand_over(&target, owner.clone()).unwrap();
    *owner.0.lock().unwrap() = Some(held);
    take();
}

#[test]
fn collects_the_locks_of_documents_that_are_gone_and_that_nobody_holds() {
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str| folder.path().join(name);
    let long = "x".repeat(220);
    for name in ["gone", "there", "held", &long, &"y".repeat(220)] {
        save(&named(name), "1").unwrap();
    }
    for name in ["gone", "held", &"y".repeat(220)] {
        session::delete(&named(name), &options(), &Quiet).unwrap();
    }
    let locks = folder.path().join(".oasis_data/locks");
    std::fs::create_dir(locks.join("folder.lock")).unwrap();
    std::os::unix::fs::symlink("there.lock", locks.join("symlink.lock")).unwrap();
    std::fs::write(locks.join("gone.lock.new"), "").unwrap();
    let held = Lock::of_file(&target(&named("held")), &Deadline::now(), &Quiet).unwrap();
    let collected = elsewhere(|| file::collect(folder.path(), &Quiet).unwrap());
    assert_eq!((collected.removed, collected.failures.len()), (2, 0));
    let mut left: Vec<_> =
        locks.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    let digest = format!("{}.lock", blake3::hash(long.as_bytes()).to_hex());
    let mut kept: Vec<std::ffi::OsString> =
        ["folder.lock", "held.lock", "symlink.lock", "there.lock", &digest].map(Into::into).into();
    kept.sort();
    assert_eq!(left, kept);
    drop(held);
    let collected = file::collect(folder.path(), &Quiet).unwrap();
    assert_eq!((collected.removed, collected.failures.len()), (1, 0));
    assert_eq!(file::collect(tempfile::tempdir().unwrap().path(), &Quiet).unwrap().removed, 0);
}

#[test]
fn gives_up_at_the_deadline_and_names_the_holder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let held = Lock::of_file(&target(&path), &Deadline::after(Duration::ZERO), &Quiet).unwrap();
    let hurried = write::WriteOptions { timeout: Duration::from_millis(20), ..options() };
    let error = elsewhere(|| session::save(&path, b"2", &hurried, &Quiet).unwrap_err());
    let me = std::process::id();
    assert!(matches!(error, Error::LockTimeout { holder: Some(pid), .. } if pid == me), "{error}");
    assert!(error.to_string().contains(&format!("by process {me}")), "{error}");
    assert_eq!(content(&path), "1");
    drop(held);
    session::save(&path, b"2", &hurried, &Quiet).unwrap();
}

#[test]
fn ends_a_wait_for_a_signal() {
    struct Pressed(AtomicBool);
    impl Signals for Pressed {
        fn pending(&self) -> bool {
            self.0.store(true, Ordering::SeqCst);
            true
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let _held = Lock::of_file(&target(&path), &Deadline::after(Duration::ZERO), &Quiet).unwrap();
    let pressed = Pressed(AtomicBool::new(false));
    let forever = write::WriteOptions { timeout: Duration::MAX, ..options() };
    let error = elsewhere(|| session::save(&path, b"2", &forever, &pressed).unwrap_err());
    assert!(matches!(error, Error::Interrupted { .. }));
    assert!(pressed.0.into_inner());
}

#[test]
fn a_lock_file_is_never_replaced_or_written() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let lock = folder.path().join(".oasis_data/locks/tanks.json.lock");
    let before = lock.metadata().unwrap();
    for _ in 0..3 {
        save(&path, "2").unwrap();
    }
    session::delete(&path, &options(), &Quiet).unwrap();
    let after = lock.metadata().unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
}

#[test]
fn a_symlink_in_the_lock_files_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let lock = folder.path().join(".oasis_data/locks/tanks.json.lock");
    std::fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &lock).unwrap();
    assert!(matches!(save(&path, "2"), Err(Error::Syscall { call: "open of its lock", .. })));
    assert_eq!(content(&path), "1");
    // Dangling, in the place of their folder: there and not there.
    std::fs::remove_dir_all(folder.path().join(".oasis_data/locks")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join(".oasis_data/locks")).unwrap();
    assert!(matches!(save(&path, "2"), Err(Error::Syscall { .. })));
}

/// An operator removes `.oasis_data` while a writer waits, and another writer
/// makes it anew: the first must not go on with a lock that nobody can see.
#[test]
fn a_lock_whose_file_was_removed_is_taken_anew() {
    #[derive(PartialEq, Debug)]
    enum Event {
        Waiting,
        Acquired,
    }
    struct Tell(Sender<Event>);
    impl Signals for Tell {
        fn pending(&self) -> bool {
            self.0.send(Event::Waiting).unwrap();
            false
        }
    }
    for recreated in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tanks.json");
        let held = Lock::of_file(&target(&path), &Deadline::after(Duration::ZERO), &Quiet).unwrap();
        let (sender, events) = channel();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let done = sender.clone();
                let signals = Tell(sender);
                let lock = Lock::of_file(
                    &target(&path),
                    &Deadline::after(Duration::from_secs(60)),
                    &signals,
                )
                .unwrap();
                done.send(Event::Acquired).unwrap();
                lock
            });
            assert_eq!(events.recv(), Ok(Event::Waiting));
            std::fs::remove_dir_all(folder.path().join(".oasis_data")).unwrap();
            let newer = recreated.then(|| {
                Lock::of_file(&target(&path), &Deadline::after(Duration::ZERO), &Quiet).unwrap()
            });
            drop(held);
            if newer.is_some() {
                // The first of these may have been under route; the second is
                // from a wait for the new lock.
                while events.try_recv().is_ok() {}
                assert_eq!(events.recv(), Ok(Event::Waiting));
                assert_eq!(events.recv(), Ok(Event::Waiting));
            }
            drop(newer);
            let _taken = waiter.join().unwrap();
            let seen = File::open(folder.path().join(".oasis_data/locks/tanks.json.lock")).unwrap();
            assert!(seen.try_lock().is_err(), "the lock in the folder is free");
        });
    }
}
