//! Writes that are judged, under the lock of the group of their documents.

use std::fmt::{self, Debug, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oasis_data::engine::deadline::Deadline;
use oasis_data::engine::write::WriteOptions;
use oasis_data::engine::{Judge, Refusal, State, group};
use oasis_data::error::{Error, Result};
use oasis_data::files::batch::commit::{self, Save};
use oasis_data::files::lock::Lock;
use oasis_data::files::session::{self, Session};
use oasis_data::files::target::Target;

use crate::batches::Scene;
use crate::{Quiet, content, names, options, save, temporaries};

/// A judge of documents that are words: what it is asked goes to a function.
pub(crate) struct Words {
    pub(crate) group: Option<PathBuf>,
    pub(crate) companions: Vec<PathBuf>,
    pub(crate) wants_before: bool,
    pub(crate) judge: Box<Asked>,
}

pub(crate) type Asked = dyn Fn(&Seen) -> std::result::Result<(), String> + Send + Sync;

/// A state in words.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
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
pub(crate) struct Pair {
    pub(crate) root: PathBuf,
    pub(crate) used: PathBuf,
    pub(crate) known: PathBuf,
    _folder: tempfile::TempDir,
}

impl Pair {
    pub(crate) fn new() -> Self {
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
    pub(crate) fn judged_by(
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
    pub(crate) fn judged(&self, written: &[&PathBuf]) -> WriteOptions {
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

    pub(crate) fn save(&self, path: &PathBuf, text: &str) -> Result<()> {
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
    pub(crate) fn require_untouched(&self) {
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

pub(crate) fn require_refused(outcome: Result<impl Debug>, reason: &str) {
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
fn documents_of_files_lie_in_one_store() {
    let pair = Pair::new();
    let judged = pair.judged(&[&pair.used]);
    group::require_one_store(&pair.used, judged.judge.as_deref().unwrap()).unwrap();
}
