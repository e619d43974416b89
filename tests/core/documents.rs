//! The floor of documents, with text for values: a document is any text that does not begin
//! with "torn".

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use oasis_data::documents::kept::Documents;
use oasis_data::documents::load::{invalidate, is_kept, load, load_versioned};
use oasis_data::documents::load_many::{load_many, read_many};
use oasis_data::documents::{DecodeError, Failure, Runtime, backups, in_place};
use oasis_data::engine::{Engine, Signals, WriteOptions, version_of};
use oasis_data::error::Error;
use oasis_data::statistics::Operation;

use crate::{Quiet, content, options, save};

static DOCUMENTS: Documents<Vec<u8>> = Documents::new();
static COPIES: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, Copy)]
pub(crate) struct Texts;

#[derive(Debug)]
pub(crate) struct Torn;

impl DecodeError for Torn {
    fn corruption(&self) -> Option<String> {
        Some("torn".to_owned())
    }
}

impl Runtime for Texts {
    type Document = String;
    type Kept = Vec<u8>;
    type DecodeError = Torn;
    type Raised = ();

    fn documents() -> &'static Documents<Vec<u8>> {
        &DOCUMENTS
    }

    fn without_lock<T: Send>(self, act: impl FnOnce() -> T + Send) -> T {
        act()
    }

    fn run<T: Send>(
        self,
        _: Operation,
        _: &Path,
        act: impl FnOnce(&dyn Signals) -> T + Send,
    ) -> Result<T, ()> {
        Ok(act(&Quiet))
    }

    fn check_signals(self) -> Result<(), ()> {
        Ok(())
    }

    fn decode(self, text: &[u8]) -> Result<String, Torn> {
        let text = String::from_utf8(text.to_vec()).map_err(|_| Torn)?;
        if text.starts_with("torn") { Err(Torn) } else { Ok(text) }
    }

    fn keep_text(text: Arc<Vec<u8>>) -> Vec<u8> {
        text.to_vec()
    }

    fn keep_document(self, document: &String) -> Vec<u8> {
        document.clone().into_bytes()
    }

    fn extra_size(_: &Vec<u8>) -> usize {
        0
    }

    fn copy(self, kept: &Vec<u8>) -> Result<(String, usize), Torn> {
        COPIES.fetch_add(1, Ordering::Relaxed);
        self.decode(kept).map(|document| (document, 0))
    }

    fn borrow_shared(self, kept: &Vec<u8>) -> Result<String, Torn> {
        self.decode(kept)
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    (folder, path)
}

fn loaded(path: &Path) -> String {
    load(Texts, path, true).ok().unwrap().document
}

#[test]
fn a_load_never_answers_with_what_was_there_before() {
    let (_folder, path) = folder();
    for number in 0..50 {
        // Of one length, and within one tick of the clock: the stamps alone may be the same.
        std::fs::write(&path, format!("{number:02}")).unwrap();
        assert_eq!(loaded(&path), format!("{number:02}"));
        assert_eq!(loaded(&path), format!("{number:02}"));
    }
}

#[test]
fn a_document_past_its_racy_window_is_answered_from_the_cache_until_it_changes() {
    let (_folder, path) = folder();
    save(&path, "old").unwrap();
    while !Engine::Files
        .stamp(&path)
        .unwrap()
        .is_past_racy_window(oasis_data::engine::Instant::now())
    {
        std::thread::yield_now();
    }
    assert_eq!(loaded(&path), "old");
    let before = COPIES.load(Ordering::Relaxed);
    assert!(is_kept(Texts, &path));
    assert_eq!(loaded(&path), "old");
    assert!(COPIES.load(Ordering::Relaxed) > before);
    invalidate(Texts, &path);
    assert!(!is_kept(Texts, &path));
    assert_eq!(loaded(&path), "old");
    // By hand, with the time of the old content.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    std::fs::write(&path, "new").unwrap();
    file.set_modified(time).unwrap();
    assert!(!is_kept(Texts, &path));
    assert_eq!(loaded(&path), "new");
}

#[test]
fn a_corrupt_file_is_a_failure_that_is_remembered_until_it_is_mended() {
    let (_folder, path) = folder();
    std::fs::write(&path, "torn").unwrap();
    let Err(failure) = load(Texts, &path, true) else { panic!("a torn document") };
    assert!(failure.is_about_the_document());
    let key = Engine::Files.stamp(&path).unwrap().key();
    assert!(DOCUMENTS.with(|cache| cache.was_corrupt(key)));
    std::fs::write(&path, "whole").unwrap();
    let versioned = load_versioned(Texts, &path).ok().unwrap();
    assert_eq!((versioned.document.as_str(), versioned.size), ("whole", 5));
    assert_eq!(versioned.version, version_of(b"whole"));
    assert!(!DOCUMENTS.with(|cache| cache.was_corrupt(key)));
}

#[test]
fn several_documents_are_loaded_with_an_answer_for_each() {
    let (folder, path) = folder();
    let [torn, gone] = ["torn.json", "gone.json"].map(|name| folder.path().join(name));
    save(&path, "whole").unwrap();
    std::fs::write(&torn, "torn").unwrap();
    let paths = [path, torn, gone];
    let answers = load_many(Texts, &paths, true, Duration::ZERO).ok().unwrap();
    assert!(matches!(&answers[0], Ok(document) if document == "whole"));
    assert!(matches!(&answers[1], Err(Failure::Decode { path, .. }) if *path == paths[1]));
    assert!(matches!(&answers[2], Err(Failure::Engine(Error::NotFound { .. }))));
    let contents = read_many(Texts, &paths, Duration::ZERO).ok().unwrap();
    assert_eq!(contents, [Some(b"whole".to_vec()), Some(b"torn".to_vec()), None]);
    assert!(read_many(Texts, &[folder.path().into()], Duration::ZERO).is_err());
}

#[test]
fn the_newest_whole_backup_is_chosen_and_a_torn_one_told() {
    let (_folder, path) = folder();
    let anew = WriteOptions { skip_unchanged: false, ..options() };
    for text in ["first", "torn", "last"] {
        Engine::Files.save(&path, text.as_bytes(), &anew, &Quiet).unwrap();
    }
    let examined = backups::examine(Texts, &path).ok().unwrap();
    let faults: Vec<_> = examined.iter().map(|each| each.fault.as_deref()).collect();
    assert_eq!(faults, [Some("torn"), None]);
    let session = Engine::of(&path).open(&path, &options(), &Quiet).unwrap();
    let all = |_: &[u8]| Ok(Ok(()));
    let (backup, bytes, ()) = backups::choose(Texts, &path, &session, None, all).ok().unwrap();
    assert_eq!((backup.name.clone(), bytes), (examined[1].backup.name.clone(), b"first".to_vec()));
    let name = PathBuf::from(&examined[0].backup.name);
    let refused = backups::choose(Texts, &path, &session, Some(&name), all);
    assert!(matches!(refused, Err(Failure::Engine(Error::NoBackup { .. }))));
}

#[test]
fn the_newest_backup_that_obeys_is_chosen_and_what_the_others_lack_told() {
    let (_folder, path) = folder();
    for text in ["good", "bad", "torn", "bad again", "last"] {
        Engine::Files.save(&path, text.as_bytes(), &options(), &Quiet).unwrap();
    }
    let session = Engine::of(&path).open(&path, &options(), &Quiet).unwrap();
    let good = |text: &[u8]| {
        // What is no document is not asked about.
        assert_ne!(text, b"torn");
        let bad = text.starts_with(b"bad").then(|| "is bad".to_owned());
        Ok(bad.map_or(Ok(text.len()), Err))
    };
    let (_, bytes, length) = backups::choose(Texts, &path, &session, None, good).ok().unwrap();
    assert_eq!((bytes, length), (b"good".to_vec(), 4));
    let none = |_: &[u8]| Ok(Err::<(), _>("is bad".to_owned()));
    match backups::choose(Texts, &path, &session, None, none) {
        Err(Failure::Engine(Error::NoBackup { tried, .. })) => {
            assert_eq!(tried.iter().filter(|fault| fault.ends_with("is bad")).count(), 3);
        }
        _ => panic!("all backups are bad"),
    }
    let failed = |_: &[u8]| Err::<Result<(), _>, _>(Failure::Raised(()));
    let outcome = backups::choose(Texts, &path, &session, None, failed);
    assert!(matches!(outcome, Err(Failure::Raised(()))));
}

#[test]
fn a_save_in_another_layout_keeps_the_text_that_is_there() {
    let (_folder, path) = folder();
    save(&path, "Text").unwrap();
    let lower = |text: &[u8]| Ok(Some(text.to_ascii_lowercase()));
    let kept = in_place::text_in_place(Texts, &path, b"text", lower).unwrap();
    assert_eq!(kept.as_deref(), Some(&b"Text"[..]));
    assert_eq!(in_place::text_in_place(Texts, &path, b"other", lower).unwrap(), None);
    assert_eq!(content(&path), "Text");
    assert!(path.metadata().unwrap().modified().unwrap() <= SystemTime::now());
}
