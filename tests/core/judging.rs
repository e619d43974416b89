//! Writes that are judged, under the lock of the group of their documents.

use std::fmt::{self, Debug, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oasis_data::engine::deadline::Deadline;
use oasis_data::engine::signals::Signals;
use oasis_data::engine::write::WriteOptions;
use oasis_data::engine::{Judge, Refusal, State, group};
use oasis_data::error::{Error, Result};
use oasis_data::files::batch::commit::{self, Save};
use oasis_data::files::lock::Lock;
use oasis_data::files::lock::file;
use oasis_data::files::session::{self, Session};
use oasis_data::files::target::Target;

use crate::batches::Scene;
use crate::{Quiet, content, names, options, save, temporaries};

/// A judge of documents that are words: what it is asked goes to a function.
struct Words {
    group: Option<PathBuf>,
    companions: Vec<PathBuf>,
    wants_before: bool,
    judge: Box<Asked>,
}

type Asked = dyn Fn(&Seen) -> std::result::Result<(), String> + Send + Sync;

/// A state in words.
#[derive(Debug, PartialEq)]
struct Seen {
    before: Vec<Option<String>>,
    after: Vec<Option<String>>,
    companions: Vec<Option<String>>,
}

impl Debug for Words {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Words")
    }
}

impl Judge for Words {
    fn group(&self) -> Option<&Path> {
        self.group.as_deref()
    }

    fn companions(&self) -> &[PathBuf] {
        &self.companions
    }

    fn wants_before(&self) -> bool {
        self.wants_before
    }

    fn judge(&self, state: &State<'_>) -> std::result::Result<(), Refusal> {
        let words = |contents: &[Option<&[u8]>]| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            contents.iter().map(|content| content.map(text)).collect()
        };
        let State { before, after, companions } = state;
        let seen =
            Seen { before: words(before), after: words(after), companions: words(companions) };
        (self.judge)(&seen).map_err(Refusal::from)
    }
}

/// Two documents in two folders: each word in `used` has to be in `known`.
struct Pair {
    root: PathBuf,
    used: PathBuf,
    known: PathBuf,
    _folder: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_path_buf();
        let (used, known) = (root.join("here/used"), root.join("there/known"));
        for path in [&used, &known] {
            std::fs::create_dir(path.parent().unwrap()).unwrap();
        }
        save(&used, "oil").unwrap();
        save(&known, "gas oil").unwrap();
        Self { root, used, known, _folder: folder }
    }

    /// Options of a write of these documents, which is judged by a function.
    fn judged_by(
        &self,
        written: &[&PathBuf],
        judge: impl Fn(&Seen) -> std::result::Result<(), String> + Send + Sync + 'static,
    ) -> WriteOptions {
        let all = [self.used.clone(), self.known.clone()];
        let companions = all.into_iter().filter(|path| !written.contains(&path)).collect();
        let group = Some(self.used.clone());
        let judge = Words { group, companions, wants_before: false, judge: Box::new(judge) };
        WriteOptions { judge: Some(Arc::new(judge)), ..options() }
    }

    /// The same, judged by what the two documents are to each other.
    fn judged(&self, written: &[&PathBuf]) -> WriteOptions {
        let paths: Vec<PathBuf> = written.iter().map(|path| (*path).clone()).collect();
        let used = self.used.clone();
        self.judged_by(written, move |seen| {
            let place = |wanted: bool| {
                let found = paths.iter().position(|path| (*path == used) == wanted);
                found.map_or_else(|| &seen.companions[0], |place| &seen.after[place])
            };
            let known = place(false).as_deref().unwrap_or_default();
            let missing = |word: &&str| !known.split(' ').any(|known| known == *word);
            match place(true).as_deref().unwrap_or_default().split(' ').find(missing) {
                Some(word) if !word.is_empty() => Err(format!("{word} is not known")),
                _ => Ok(()),
            }
        })
    }

    fn save(&self, path: &PathBuf, text: &str) -> Result<()> {
        session::save(path, text.as_bytes(), &self.judged(&[path]), &Quiet).map(drop)
    }

    fn save_both(&self, used: &str, known: &str) -> Result<()> {
        self.save_both_with(used, known, &self.judged(&[&self.known, &self.used]))
    }

    fn save_both_with(&self, used: &str, known: &str, options: &WriteOptions) -> Result<()> {
        let save = |path, text: &'static [u8]| Save { path, bytes: text, if_version: None };
        let known: &'static str = known.to_owned().leak();
        let used: &'static str = used.to_owned().leak();
        // Not in the order of the locks.
        let saves = [save(&*self.known, known.as_bytes()), save(&*self.used, used.as_bytes())];
        commit::save_many(&saves, options, &Quiet).map(drop)
    }

    /// Both documents as they were, no other file, and no lock that is held.
    fn require_untouched(&self) {
        assert_eq!([content(&self.used), content(&self.known)], ["oil", "gas oil"]);
        for path in [&self.used, &self.known] {
            let folder = path.parent().unwrap();
            assert_eq!(names(folder).len(), 1, "a backup was left");
            assert_eq!(temporaries(folder), [""; 0]);
            assert!(!folder.join(".oasis_data/journal").exists());
        }
        let group = Target::resolve(&self.used, false).unwrap();
        drop(Lock::of_group(&group, &Deadline::now(), &Quiet).unwrap());
        for path in [&self.used, &self.known] {
            drop(Session::open(path, &hurried(options()), &Quiet).unwrap());
        }
    }
}

fn hurried(options: WriteOptions) -> WriteOptions {
    WriteOptions { timeout: Duration::ZERO, ..options }
}

fn require_refused(outcome: Result<impl Debug>, reason: &str) {
    match outcome {
        Err(error @ Error::Refused { .. }) => {
            assert!(error.to_string().ends_with(reason), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_state_after_a_save_is_judged() {
    let pair = Pair::new();
    require_refused(pair.save(&pair.used, "coal"), "used: coal is not known");
    require_refused(pair.save(&pair.known, "gas"), "known: oil is not known");
    pair.require_untouched();
    pair.save(&pair.known, "gas oil coal").unwrap();
    pair.save(&pair.used, "coal").unwrap();
    pair.save(&pair.known, "coal").unwrap();
    assert_eq!([content(&pair.used), content(&pair.known)], ["coal", "coal"]);
}

#[test]
fn an_edit_and_a_restore_are_judged() {
    let pair = Pair::new();
    save(&pair.used, "coal").unwrap();
    save(&pair.used, "oil").unwrap();
    let judged = pair.judged(&[&pair.used]);
    let open = || Session::open(&pair.used, &judged, &Quiet).unwrap();
    let deadline = Deadline::after(judged.timeout);
    require_refused(open().save(b"coal", &judged, &deadline, &Quiet), "coal is not known");
    let session = open();
    let backup = session.backups().unwrap().remove(0);
    require_refused(session.judge(b"coal", &judged, &deadline, &Quiet), "coal is not known");
    require_refused(
        session.restore(&backup, b"coal", &judged, &deadline, &Quiet),
        "coal is not known",
    );
    assert_eq!(content(&pair.used), "oil");
}

#[test]
fn a_deletion_is_judged_as_a_state_without_the_document() {
    let pair = Pair::new();
    let delete = |path: &PathBuf| session::delete(path, &pair.judged(&[path]), &Quiet);
    require_refused(delete(&pair.known), "known: oil is not known");
    pair.require_untouched();
    delete(&pair.used).unwrap();
    delete(&pair.known).unwrap();
    assert!(!pair.used.exists() && !pair.known.exists());
}

#[test]
fn a_batch_is_judged_as_one() {
    let pair = Pair::new();
    require_refused(pair.save_both("coal", "gas"), "known: coal is not known");
    pair.require_untouched();
    // Neither of the two could come first.
    pair.save_both("coal", "coal").unwrap();
    assert_eq!([content(&pair.used), content(&pair.known)], ["coal", "coal"]);
}

#[test]
fn a_batch_is_judged_in_the_order_of_its_caller_and_with_what_it_leaves_as_it_is() {
    let pair = Pair::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let judge = {
        let seen = Arc::clone(&seen);
        move |state: &Seen| {
            seen.lock().unwrap().extend(state.after.clone());
            Ok(())
        }
    };
    let judged = pair.judged_by(&[&pair.known, &pair.used], judge);
    pair.save_both_with("coal", "gas oil", &judged).unwrap();
    assert_eq!(*seen.lock().unwrap(), [Some("gas oil".to_owned()), Some("coal".to_owned())]);
    // Nothing is changed, so nothing is judged.
    pair.save_both_with("coal", "gas oil", &judged).unwrap();
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn content_that_is_there_already_is_not_judged() {
    let pair = Pair::new();
    let never = pair.judged_by(&[&pair.used], |_| Err("asked".to_owned()));
    session::save(&pair.used, b"oil", &never, &Quiet).unwrap();
    require_refused(session::save(&pair.used, b"gas", &never, &Quiet), "asked");
}

#[test]
fn a_judge_sees_what_was_there_if_it_asks() {
    let pair = Pair::new();
    let seen = Arc::new(Mutex::new(None));
    for (wants_before, group) in [(false, true), (true, true), (true, false)] {
        let told = Arc::clone(&seen);
        let judge = Words {
            group: group.then(|| pair.used.clone()),
            companions: vec![pair.known.clone(), pair.root.join("nowhere/at/all")],
            wants_before,
            judge: Box::new(move |state| {
                *told.lock().unwrap() = Some(format!("{state:?}"));
                Err("seen".to_owned())
            }),
        };
        let judged = WriteOptions { judge: Some(Arc::new(judge)), ..options() };
        require_refused(session::save(&pair.used, b"gas", &judged, &Quiet), "seen");
        let expected = Seen {
            before: if wants_before { vec![Some("oil".to_owned())] } else { Vec::new() },
            after: vec![Some("gas".to_owned())],
            companions: vec![Some("gas oil".to_owned()), None],
        };
        assert_eq!(*seen.lock().unwrap(), Some(format!("{expected:?}")));
    }
    pair.require_untouched();
}

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
fn a_judge_that_panics_leaves_no_lock_and_no_file() {
    let pair = Pair::new();
    let panics = |written: &[&PathBuf]| pair.judged_by(written, |_| panic!("of the judge"));
    let saved = catch_unwind(AssertUnwindSafe(|| {
        session::save(&pair.used, b"gas", &panics(&[&pair.used]), &Quiet)
    }));
    assert!(saved.is_err());
    let deleted = catch_unwind(AssertUnwindSafe(|| {
        session::delete(&pair.used, &panics(&[&pair.used]), &Quiet)
    }));
    assert!(deleted.is_err());
    let batch = catch_unwind(AssertUnwindSafe(|| {
        pair.save_both_with("gas", "gas", &panics(&[&pair.known, &pair.used]))
    }));
    assert!(batch.is_err());
    pair.require_untouched();
}

#[test]
fn what_an_interrupted_batch_has_decided_is_there_for_the_judge() {
    let scene = Scene::new();
    scene.interrupt_others();
    let [a, b, c] = scene.paths();
    let judge = Words {
        group: Some(a.clone()),
        companions: vec![b, c],
        wants_before: false,
        judge: Box::new(|seen| Err(format!("{:?}", seen.companions))),
    };
    let judged = WriteOptions { judge: Some(Arc::new(judge)), ..options() };
    let refused = session::save(&a, b"1", &judged, &Quiet);
    require_refused(refused, r#"[Some("new"), Some("new")]"#);
    scene.require_tidy();
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

#[test]
fn documents_of_files_lie_in_one_store() {
    let pair = Pair::new();
    let judged = pair.judged(&[&pair.used]);
    group::require_one_store(&pair.used, judged.judge.as_deref().unwrap()).unwrap();
}
