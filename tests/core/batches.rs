use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use oasis_data::engine::deadline::Deadline;
use oasis_data::engine::write::WriteOptions;
use oasis_data::error::{Error, Result};
use oasis_data::files::backup::Opened;
use oasis_data::files::batch::commit::{self, Save};
use oasis_data::files::batch::recovery;
use oasis_data::files::lock::Lock;
use oasis_data::files::read::{MISSING, version_of};
use oasis_data::files::session::{self, Session};
use oasis_data::files::target::Target;

use crate::{Quiet, content, names, options, save, temporaries};

/// Two folders beside each other: `here/a`, `here/b` and `there/c`.
pub(crate) struct Scene {
    pub(crate) root: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data");
        fs::create_dir_all(root.join("here")).unwrap();
        fs::create_dir_all(root.join("there")).unwrap();
        let scene = Self { root, _folder: folder };
        scene.save("old").unwrap();
        scene
    }

    pub(crate) fn paths(&self) -> [PathBuf; 3] {
        ["here/a", "here/b", "there/c"].map(|name| self.root.join(name))
    }

    fn save(&self, text: &str) -> Result<()> {
        save_all(&self.paths(), text, &options())
    }

    fn contents(&self) -> [String; 3] {
        self.paths().map(|path| content(&path))
    }

    /// What a writer leaves that is killed: the new contents and the journals,
    /// of which the first is the decision.
    pub(crate) fn interrupt(&self, decided: bool) {
        for path in self.paths() {
            let name = path.file_name().unwrap().to_str().unwrap();
            let temp = path.with_file_name(format!(".oasis_data/temp/{name}.AAAAAAAAAAAA"));
            fs::write(temp, "new").unwrap();
        }
        let all =
            format!("{}, {}, {}", change(".", "a"), change(".", "b"), change("../there", "c"));
        self.journal("there", r#""../here""#, "here", &change(".", "c"));
        if decided {
            self.journal("here", "null", "there", &all);
        }
    }

    /// The same of a batch of `here/b` and `there/c` alone.
    pub(crate) fn interrupt_others(&self) {
        for (folder, name) in [("here", "b"), ("there", "c")] {
            let temp = format!("{folder}/.oasis_data/temp/{name}.AAAAAAAAAAAA");
            fs::write(self.root.join(temp), "new").unwrap();
        }
        let all = format!("{}, {}", change(".", "b"), change("../there", "c"));
        self.journal("there", r#""../here""#, "here", &change(".", "c"));
        self.journal("here", "null", "there", &all);
    }

    fn journal(&self, folder: &str, coordinator: &str, other: &str, changes: &str) {
        let lock = self.root.join(other).join(".oasis_data/journal.lock");
        let mark = fs::read_to_string(lock).unwrap();
        let place = format!(r#"{{"folder": "../{other}", "mark": "{}"}}"#, mark.trim_end());
        let text = format!(
            r#"{{"format": 1, "batch": "x", "decided_in": {coordinator}, "backups": 0,
                "places": [{place}], "changes": [{changes}]}}"#
        );
        fs::write(self.root.join(folder).join(".oasis_data/journal"), text).unwrap();
    }

    /// Nothing of a batch is left.
    pub(crate) fn require_tidy(&self) {
        for folder in ["here", "there"].map(|folder| self.root.join(folder)) {
            assert_eq!(temporaries(&folder), [""; 0]);
            assert!(!folder.join(".oasis_data/journal").exists());
        }
    }
}

fn change(folder: &str, name: &str) -> String {
    format!(r#"{{"folder": "{folder}", "name": "{name}", "temporary": "{name}.AAAAAAAAAAAA"}}"#)
}

pub(crate) fn save_all(paths: &[PathBuf], text: &str, options: &WriteOptions) -> Result<()> {
    let saves: Vec<Save<'_>> =
        paths.iter().map(|path| Save { path, bytes: text.as_bytes(), if_version: None }).collect();
    commit::save_many(&saves, options, &Quiet).map(drop)
}

#[test]
fn replaces_creates_and_leaves_nothing_else() {
    let scene = Scene::new();
    assert_eq!(scene.contents(), ["old", "old", "old"]);
    scene.save("new").unwrap();
    assert_eq!(scene.contents(), ["new", "new", "new"]);
    // Each with its backup.
    assert_eq!(names(&scene.root.join("here")).len(), 4);
    scene.require_tidy();
}

#[test]
fn two_links_of_one_file_are_two_files_of_a_batch() {
    let scene = Scene::new();
    let [a, b, _] = scene.paths();
    fs::remove_file(&b).unwrap();
    fs::hard_link(&a, &b).unwrap();
    save_all(&[a.clone(), b.clone()], "new", &options()).unwrap();
    assert_eq!([content(&a), content(&b)], ["new", "new"]);
    assert_ne!(a.metadata().unwrap().ino(), b.metadata().unwrap().ino());
}

#[test]
fn each_file_keeps_its_own_backups_whatever_else_is_in_its_folder() {
    let scene = Scene::new();
    let twins = ["here/a", "here/b", "there/a"].map(|name| scene.root.join(name));
    let kept = WriteOptions { backups_kept: 2, ..options() };
    for text in ["first", "second", "third", "fourth"] {
        save_all(&twins, text, &kept).unwrap();
    }
    for twin in &twins {
        let (target, backups) = session::backups(twin).unwrap();
        let contents: Vec<Vec<u8>> = backups
            .iter()
            .map(|backup| Opened::open(&target, backup).unwrap().unwrap().read().unwrap())
            .collect();
        assert_eq!(contents, [b"third".to_vec(), b"second".to_vec()], "{}", twin.display());
    }
}

#[test]
fn one_conflict_keeps_all_from_being_saved() {
    let scene = Scene::new();
    let [a, b, c] = scene.paths();
    let versions = [None, Some(version_of(b"old")), Some(MISSING.to_owned())];
    let saves: Vec<Save<'_>> = [&a, &b, &c]
        .into_iter()
        .zip(versions)
        .map(|(path, if_version)| Save { path, bytes: b"new", if_version })
        .collect();
    let refused = commit::save_many(&saves, &options(), &Quiet);
    assert!(matches!(refused, Err(Error::VersionConflict { path, .. }) if path == c));
    assert_eq!(scene.contents(), ["old", "old", "old"]);
    assert_eq!(names(&scene.root.join("here")), ["a", "b"]);
    scene.require_tidy();
}

#[test]
fn a_file_named_twice_is_refused_however_it_is_spelt() {
    let scene = Scene::new();
    let [a, _, c] = scene.paths();
    std::os::unix::fs::symlink("../here/a", scene.root.join("there/link")).unwrap();
    std::os::unix::fs::symlink("here", scene.root.join("folder")).unwrap();
    for twin in ["here/../here/a", "there/link", "folder/a", "./here/a"] {
        let paths = [a.clone(), c.clone(), scene.root.join(twin)];
        let refused = save_all(&paths, "new", &options());
        assert!(matches!(refused, Err(Error::NamedTwice { .. })), "{twin}: {refused:?}");
    }
    assert_eq!(scene.contents(), ["old", "old", "old"]);
}

#[test]
fn files_that_have_the_content_stay() {
    let scene = Scene::new();
    let [a, _, c] = scene.paths();
    save(&c, "new").unwrap();
    let before = fs::metadata(&c).unwrap();
    scene.save("new").unwrap();
    assert_eq!(scene.contents(), ["new", "new", "new"]);
    let after = fs::metadata(&c).unwrap();
    assert_eq!(before.ino(), after.ino());
    assert_ne!(fs::metadata(&a).unwrap().ino(), before.ino());
    scene.save("new").unwrap();
    scene.require_tidy();
}

#[test]
fn a_decided_batch_is_completed_by_the_first_use_of_any_file() {
    // Interrupted after so many renames, and met by the load or save of a file.
    for renamed in 0..=3 {
        for used in 0..3 {
            for by_load in [true, false] {
                let scene = Scene::new();
                scene.interrupt(true);
                for path in &scene.paths()[..renamed] {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    let temp = path.with_file_name(format!(".oasis_data/temp/{name}.AAAAAAAAAAAA"));
                    fs::rename(temp, path).unwrap();
                }
                let path = &scene.paths()[used];
                if by_load {
                    assert_eq!(recovery::read(path).unwrap().bytes, b"new");
                } else {
                    drop(Session::open(path, &options(), &Quiet).unwrap());
                }
                assert_eq!(scene.contents(), ["new", "new", "new"]);
                scene.require_tidy();
            }
        }
    }
}

#[test]
fn what_was_replaced_after_the_decision_becomes_a_backup() {
    let scene = Scene::new();
    scene.interrupt(true);
    let [a, ..] = scene.paths();
    let other = a.with_file_name("other");
    fs::write(&other, "by hand").unwrap();
    fs::rename(other, &a).unwrap();
    assert_eq!(recovery::read(&a).unwrap().bytes, b"new");
    let (target, backups) = session::backups(&a).unwrap();
    let newest = Opened::open(&target, &backups[0]).unwrap().unwrap();
    assert_eq!(newest.read().unwrap(), b"by hand");
}

#[test]
fn an_undecided_batch_is_taken_back() {
    for used in 0..3 {
        let scene = Scene::new();
        scene.interrupt(false);
        let path = &scene.paths()[used];
        assert_eq!(recovery::read(path).unwrap().bytes, b"old");
        assert_eq!(scene.contents(), ["old", "old", "old"]);
        // Of files that no journal names, the next save removes what is left.
        scene.save("next").unwrap();
        assert_eq!(scene.contents(), ["next", "next", "next"]);
        scene.require_tidy();
    }
}

#[test]
fn a_journal_that_was_not_finished_decides_nothing() {
    for torn in ["", "{", r#"{"format": 1, "batch": "x""#, "\0\0\0\0"] {
        let scene = Scene::new();
        scene.interrupt(false);
        fs::write(scene.root.join("here/.oasis_data/journal"), torn).unwrap();
        assert_eq!(recovery::read(&scene.paths()[0]).unwrap().bytes, b"old");
        scene.save("next").unwrap();
        assert_eq!(scene.contents(), ["next", "next", "next"]);
        scene.require_tidy();
    }
}

#[test]
fn files_that_are_gone_are_created_by_the_recovery() {
    let scene = Scene::new();
    scene.interrupt(true);
    let [_, _, c] = scene.paths();
    fs::remove_file(&c).unwrap();
    assert_eq!(recovery::read(&c).unwrap().bytes, b"new");
    assert_eq!(scene.contents(), ["new", "new", "new"]);
}

#[test]
fn a_tree_that_was_moved_takes_its_batch_along() {
    let mut scene = Scene::new();
    scene.interrupt(true);
    let moved = scene.root.with_file_name("moved");
    fs::rename(&scene.root, &moved).unwrap();
    scene.root = moved;
    assert_eq!(recovery::read(&scene.paths()[2]).unwrap().bytes, b"new");
    assert_eq!(scene.contents(), ["new", "new", "new"]);
}

#[test]
fn waits_for_a_folder_that_is_not_there_as_it_was() {
    for (away, met, used) in
        [("here", 2, false), ("there", 0, false), ("here", 2, true), ("there", 0, true)]
    {
        let scene = Scene::new();
        scene.interrupt(true);
        let (folder, aside) = (scene.root.join(away), scene.root.join("aside"));
        fs::rename(&folder, &aside).unwrap();
        // As a mount point without its disk.
        fs::create_dir(&folder).unwrap();
        if used {
            fs::create_dir(scene.root.join("elsewhere")).unwrap();
            let own = [folder.join("own"), scene.root.join("elsewhere/own")];
            save_all(&own, "1", &options()).unwrap();
        }
        let path = &scene.paths()[met];
        let refused = Session::open(path, &options(), &Quiet);
        assert!(matches!(refused, Err(Error::Unrecovered { .. })), "{refused:?}");
        assert!(matches!(recovery::read(path), Err(Error::Unrecovered { .. })));
        assert_eq!(content(path), "old");
        fs::remove_dir_all(&folder).unwrap();
        fs::rename(&aside, &folder).unwrap();
        assert_eq!(recovery::read(path).unwrap().bytes, b"new");
        assert_eq!(scene.contents(), ["new", "new", "new"]);
    }
}

#[test]
fn leaves_a_batch_alone_whose_writer_lives() {
    let scene = Scene::new();
    scene.interrupt(true);
    let [a, _, c] = scene.paths();
    let target = Target::resolve(&a, false).unwrap();
    let held = Lock::of_journal(&target, &Deadline::now(), &Quiet).unwrap();
    // As a writer holds what it is about to rename.
    let content_of_c = scene.root.join("there/.oasis_data/temp/c.AAAAAAAAAAAA");
    let content_of_c = fs::File::open(content_of_c).unwrap();
    fs2::FileExt::lock_exclusive(&content_of_c).unwrap();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| recovery::read(&c)).join().unwrap().unwrap();
        assert_eq!(read.bytes, b"old");
        // It may change without a change of its stamps: not to be cached.
        assert!(!read.stable);
    });
    assert_eq!(scene.contents(), ["old", "old", "old"]);
    drop((held, content_of_c));
    assert_eq!(recovery::read(&c).unwrap().bytes, b"new");
}

#[test]
fn another_file_of_the_folder_is_no_use_of_the_batch() {
    let scene = Scene::new();
    scene.interrupt(true);
    save(&scene.root.join("here/other"), "1").unwrap();
    assert_eq!(scene.contents(), ["old", "old", "old"]);
    // But a batch there needs the journal's place.
    let others = ["here/other", "here/another"].map(|name| scene.root.join(name));
    save_all(&others, "2", &options()).unwrap();
    assert_eq!(scene.contents(), ["new", "new", "new"]);
    scene.require_tidy();
}

#[test]
fn refuses_a_journal_of_a_later_release() {
    let scene = Scene::new();
    for text in [
        r#"{"format": 2, "batch": "x", "decided_in": null, "backups": null, "places": [], "changes": []}"#,
        r#"{"format": 2, "files": []}"#,
    ] {
        fs::write(scene.root.join("here/.oasis_data/journal"), text).unwrap();
        let refused = save(&scene.paths()[0], "new");
        assert!(matches!(refused, Err(Error::Unrecovered { .. })), "{refused:?}");
    }
}

#[test]
fn names_need_not_be_text() {
    let scene = Scene::new();
    let name = OsStr::from_bytes(b"here/\xff\xfe.json");
    let paths = [scene.root.join(name), scene.root.join("there/c")];
    save_all(&paths, "new", &options()).unwrap();
    assert_eq!(content(&paths[0]), "new");
    // As the journal has them when they are not.
    let temp = OsStr::from_bytes(b".oasis_data/temp/\xff\xfe.json.AAAAAAAAAAAA");
    fs::write(scene.root.join("here").join(temp), "newer").unwrap();
    let bytes = "[255, 254, 46, 106, 115, 111, 110]";
    let temporary =
        "[255, 254, 46, 106, 115, 111, 110, 46, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65, 65]";
    let change = format!(r#"{{"folder": ".", "name": {bytes}, "temporary": {temporary}}}"#);
    scene.journal("here", "null", "there", &change);
    assert_eq!(recovery::read(&paths[0]).unwrap().bytes, b"newer");
}

#[test]
fn batches_with_the_same_files_in_any_order_do_not_deadlock() {
    let scene = Scene::new();
    let [a, b, c] = scene.paths();
    let orders = [[&a, &b, &c], [&c, &b, &a], [&b, &c, &a], [&c, &a, &b]];
    std::thread::scope(|scope| {
        for (number, order) in orders.iter().enumerate() {
            scope.spawn(move || {
                let paths = order.map(PathBuf::clone);
                for round in 0..50 {
                    save_all(&paths, &format!("{number} {round}"), &options()).unwrap();
                }
            });
        }
    });
    let [first, second, third] = scene.contents();
    assert_eq!(first, second);
    assert_eq!(second, third);
    scene.require_tidy();
}
