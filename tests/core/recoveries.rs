//! Batches whose writer died, where not all is as they left it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use oasis_data::engine::deadline::Deadline;
use oasis_data::error::Error;
use oasis_data::files::backup::Opened;
use oasis_data::files::batch::notice;
use oasis_data::files::batch::{give_up, recovery};
use oasis_data::files::identity::Identity;
use oasis_data::files::lock::Lock;
use oasis_data::files::session;
use oasis_data::files::target::Target;

use crate::batches::{Scene, save_all};
use crate::{Quiet, content, options, save};

/// One file of a decided batch, whose writer was killed before the rename.
struct One {
    path: PathBuf,
    scene: Scene,
}

impl One {
    /// The journal says what the file holds now, and names the backup of that.
    fn new(backup: Option<&str>) -> Self {
        let scene = Scene::new();
        let [path, ..] = scene.paths();
        let one = Self { path, scene };
        one.interrupt("a.AAAAAAAAAAAA", "journal", backup);
        one
    }

    fn interrupt(&self, temporary: &str, journal: &str, backup: Option<&str>) {
        let target = Target::resolve(&self.path, false).unwrap();
        let live = target.stat().unwrap();
        let replaces = live.map_or("nothing".to_owned(), |live| Identity::of(&live).content());
        fs::write(self.sidecar("temp").join(temporary), "new").unwrap();
        let backup = backup.map_or("null".to_owned(), |name| format!(r#""{name}""#));
        let change = format!(
            r#"{{"folder": ".", "name": "a", "temporary": "{temporary}", "replaces": "{replaces}", "backup": {backup}}}"#
        );
        let text = format!(
            r#"{{"format": 1, "batch": "{temporary}", "decided_in": null, "backups": null, "places": [], "changes": [{change}]}}"#
        );
        fs::write(self.sidecar(journal), text).unwrap();
    }

    fn sidecar(&self, name: &str) -> PathBuf {
        self.scene.root.join("here/.oasis_data").join(name)
    }

    /// Puts a copy in the file's place, as `cp -p` makes one, with a stamp that is
    /// rounded and then moved by so many nanoseconds.
    fn copy(&self, text: &str, rounded_to: u64, moved: u64) {
        let mtime = fs::metadata(&self.path).unwrap().modified().unwrap();
        let mtime = u64::try_from(mtime.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let mtime = mtime - mtime % rounded_to + moved;
        let copy = self.path.with_file_name("copy");
        fs::write(&copy, text).unwrap();
        let file = fs::File::options().write(true).open(&copy).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_nanos(mtime)).unwrap();
        fs::rename(copy, &self.path).unwrap();
    }

    fn backups(&self) -> Vec<Vec<u8>> {
        let (target, backups) = session::backups(&self.path).unwrap();
        let read = |backup| Opened::open(&target, backup).unwrap().unwrap().read().unwrap();
        backups.iter().map(read).collect()
    }

    fn require_kept(&self, live: Option<&str>) {
        let read = recovery::read(&self.path).ok().map(|read| read.bytes);
        assert_eq!(read.as_deref(), live.map(str::as_bytes));
        assert_eq!(fs::read_to_string(&self.path).ok().as_deref(), live);
        assert_eq!(self.backups(), [b"new"]);
        let [notice] = &notice::take()[..] else { panic!("one notice") };
        assert_eq!(notice.path, self.path);
        let (_, backups) = session::backups(&self.path).unwrap();
        assert!(notice.text.ends_with(backups[0].name.to_str().unwrap()), "{}", notice.text);
        self.scene.require_tidy();
    }
}

#[test]
fn what_the_batch_has_found_is_replaced() {
    let one = One::new(None);
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"new");
    assert_eq!(content(&one.path), "new");
    assert_eq!(one.backups(), [b""; 0]);
    assert_eq!(notice::take(), []);
    one.scene.require_tidy();
}

#[test]
fn what_the_batch_has_not_found_stays_and_its_content_becomes_a_backup() {
    for text in ["newer", "by", ""] {
        let one = One::new(None);
        fs::write(&one.path, text).unwrap();
        one.require_kept(Some(text));
    }
    // As long, and so told by its stamp alone.
    let one = One::new(None);
    one.copy("ole", 1, 1);
    one.require_kept(Some("ole"));
    let one = One::new(None);
    fs::remove_file(&one.path).unwrap();
    one.require_kept(None);
}

#[test]
fn content_that_is_kept_has_the_stamp_of_its_writing_or_the_next_that_is_free() {
    const FREE: &str = "a.backup.20200101_000000_000002";
    let one = One::new(None);
    let written = UNIX_EPOCH + Duration::from_secs(1_577_836_800);
    let new = fs::File::options().write(true).open(one.sidecar("temp/a.AAAAAAAAAAAA")).unwrap();
    new.set_modified(written).unwrap();
    for taken in ["000000", "000001.gz"] {
        let taken = one.path.with_file_name(format!("a.backup.20200101_000000_{taken}"));
        fs::write(taken, "by hand").unwrap();
    }
    fs::write(&one.path, "newer").unwrap();
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"newer");
    assert_eq!(content(&one.path.with_file_name(FREE)), "new");
    assert_eq!(session::backups(&one.path).unwrap().1.len(), 3);
    one.scene.require_tidy();
}

#[test]
fn content_whose_file_has_no_room_for_a_backups_name_stays_where_it_is() {
    let scene = Scene::new();
    let name = "x".repeat(240);
    let one = One { path: scene.root.join("here").join(&name), scene };
    fs::write(&one.path, "old").unwrap();
    one.interrupt("a.AAAAAAAAAAAA", "journal", None);
    let journal = fs::read_to_string(one.sidecar("journal")).unwrap();
    let journal = journal.replace(r#""name": "a""#, &format!(r#""name": "{name}""#));
    fs::write(one.sidecar("journal"), journal).unwrap();
    fs::write(&one.path, "newer").unwrap();
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"newer");
    let [notice] = &notice::take()[..] else { panic!("one notice") };
    assert!(notice.text.contains(".oasis_data/temp/a.AAAAAAAAAAAA; look at it now"));
    assert_eq!(content(&one.sidecar("temp/a.AAAAAAAAAAAA")), "new");
}

#[test]
fn a_file_that_came_into_being_after_the_batch_stays() {
    let one = One::new(None);
    fs::remove_file(&one.path).unwrap();
    one.interrupt("a.AAAAAAAAAAAA", "journal", None);
    fs::write(&one.path, "newer").unwrap();
    one.require_kept(Some("newer"));
    let one = One::new(None);
    fs::remove_file(&one.path).unwrap();
    one.interrupt("a.AAAAAAAAAAAA", "journal", None);
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"new");
    assert_eq!(content(&one.path), "new");
}

#[test]
fn a_file_that_holds_the_new_content_already_needs_no_backup() {
    let one = One::new(None);
    fs::write(&one.path, "new").unwrap();
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"new");
    assert_eq!(one.backups(), [b""; 0]);
    assert_eq!(notice::take(), []);
    one.scene.require_tidy();
}

#[test]
fn a_copy_of_what_the_batch_has_found_is_replaced() {
    // As a file system or an archive keeps stamps.
    for rounded_to in [1, 100, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000] {
        let one = One::new(None);
        one.copy("old", rounded_to, 0);
        assert_eq!(recovery::read(&one.path).unwrap().bytes, b"new", "{rounded_to}");
        assert_eq!(content(&one.path), "new");
        // The stamp may say the same of other content.
        assert_eq!(one.backups(), [b"old"]);
        assert_eq!(notice::take(), []);
    }
}

#[test]
fn where_there_is_a_backup_it_tells_a_copy_from_newer_content() {
    const BACKUP: &str = "a.backup.20200101_000000_000000";
    for (text, moved, replaced) in [("old", 5_000_000_007, true), ("ole", 0, false)] {
        let one = One::new(Some(BACKUP));
        fs::write(one.path.with_file_name(BACKUP), "old").unwrap();
        one.copy(text, 1, moved);
        let read = recovery::read(&one.path).unwrap().bytes;
        assert_eq!(read, if replaced { b"new" } else { b"ole" });
        assert_eq!(content(&one.path).as_bytes(), read);
    }
}

#[test]
fn the_link_that_a_killed_batch_left_is_no_backup_of_what_was_written_since() {
    const BACKUP: &str = "a.backup.20200101_000000_000000";
    let one = One::new(Some(BACKUP));
    fs::hard_link(&one.path, one.path.with_file_name(BACKUP)).unwrap();
    fs::write(&one.path, "by hand").unwrap();
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"by hand");
    // Its own by now: what is written next leaves it alone.
    fs::write(&one.path, "again").unwrap();
    assert_eq!(one.backups(), [&b"new"[..], b"by hand"]);
}

/// A batch that makes backups, and what its file has for the newest backup: `made` by the batch,
/// or from before.
fn recover_beside(made: impl FnOnce(&PathBuf, &PathBuf)) -> One {
    let one = One::new(None);
    let journal = fs::read_to_string(one.sidecar("journal")).unwrap();
    fs::write(one.sidecar("journal"), journal.replace(r#""backups": null"#, r#""backups": 0"#))
        .unwrap();
    made(&one.path, &one.path.with_file_name("a.backup.20200101_000000_000000"));
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"new");
    one.scene.require_tidy();
    one
}

#[test]
fn what_a_recovery_replaces_is_backed_up_once() {
    // The writer was killed after it had linked the backup. A program that still has the old
    // content open does not change the backup.
    let mut writer = None;
    let one = recover_beside(|path, backup| {
        fs::hard_link(path, backup).unwrap();
        writer = Some(fs::File::options().write(true).open(path).unwrap());
    });
    writer.unwrap().write_all(b"by hand").unwrap();
    assert_eq!(one.backups(), [b"old"]);
    // A recovery was killed after it had copied the backup.
    let one = recover_beside(|_, backup| fs::write(backup, "old").unwrap());
    assert_eq!(one.backups(), [b"old"]);
    // The backup is of earlier content.
    let one = recover_beside(|_, backup| fs::write(backup, "older").unwrap());
    assert_eq!(one.backups(), [&b"old"[..], b"older"]);
}

#[test]
fn a_batch_notices_a_batch_that_died_since_its_recovery() {
    let one = One::new(None);
    let target = Target::resolve(&one.path, false).unwrap();
    let recover = || recovery::recover_any(&target, &Deadline::now(), &Quiet).unwrap();
    let recovered = recover();
    assert!(recovered.is_all_in(&target).unwrap());
    one.interrupt("a.BBBBBBBBBBBB", "journal", None);
    assert!(!recovered.is_all_in(&target).unwrap());
    assert!(recover().is_all_in(&target).unwrap());
}

#[test]
fn a_batch_that_cannot_be_completed_refuses_no_other_file() {
    let scene = Scene::new();
    scene.interrupt(true);
    let [a, b, c] = scene.paths();
    // Nothing can be renamed onto that.
    fs::remove_file(&b).unwrap();
    fs::create_dir(&b).unwrap();
    save(&a, "next").unwrap();
    assert_eq!([content(&a), content(&c)], ["next", "new"]);
    assert_eq!(recovery::read(&c).unwrap().bytes, b"new");
    save(&c, "next").unwrap();
    save_all(&[a.clone(), c.clone()], "after", &options()).unwrap();
    assert_eq!(recovery::read(&a).unwrap().bytes, b"after");
    let refused = save(&b, "next");
    assert!(matches!(&refused, Err(Error::NotAFile { path, .. }) if *path == b), "{refused:?}");
    // A route forward: what was in its route is gone.
    fs::remove_dir(&b).unwrap();
    assert_eq!(recovery::read(&b).unwrap().bytes, b"new");
    assert_eq!([content(&a), content(&c)], ["after", "after"]);
    scene.require_tidy();
}

#[test]
fn a_file_can_be_given_up() {
    for renamed in [true, false] {
        let scene = Scene::new();
        scene.interrupt(true);
        let [a, b, c] = scene.paths();
        if renamed {
            fs::remove_file(&b).unwrap();
            fs::create_dir(&b).unwrap();
            assert_eq!(recovery::read(&a).unwrap().bytes, b"new");
        }
        let kept = give_up::give_up(&b, &Deadline::now(), &Quiet).unwrap().unwrap();
        let (target, backups) = match session::backups(&b) {
            Err(Error::NotAFile { .. }) => {
                fs::remove_dir(&b).unwrap();
                session::backups(&b).unwrap()
            }
            listed => listed.unwrap(),
        };
        assert!(kept.contains(backups[0].name.to_str().unwrap()), "{kept}");
        let newest = Opened::open(&target, &backups[0]).unwrap().unwrap();
        assert_eq!(newest.read().unwrap(), b"new");
        assert_eq!([content(&a), content(&c)], ["new", "new"]);
        assert_eq!(give_up::give_up(&b, &Deadline::now(), &Quiet).unwrap(), None);
        assert_eq!(b.exists(), !renamed);
        save(&b, "next").unwrap();
        scene.require_tidy();
    }
}

#[test]
fn a_journal_that_stays_makes_room_for_others() {
    let one = One::new(None);
    let [_, b, c] = one.scene.paths();
    fs::remove_file(&one.path).unwrap();
    fs::create_dir(&one.path).unwrap();
    // Other batches go on beside it, and leave it where it is.
    for text in ["first", "second"] {
        save_all(&[b.clone(), c.clone()], text, &options()).unwrap();
        assert_eq!([content(&b), content(&c)], [text, text]);
        assert!(one.sidecar("journal").exists());
        assert!(!one.sidecar("journal.1").exists());
    }
    // One that dies as well is found behind it.
    fs::rename(one.sidecar("journal"), one.sidecar("stuck")).unwrap();
    one.scene.interrupt_others();
    fs::rename(one.sidecar("journal"), one.sidecar("journal.1")).unwrap();
    fs::rename(one.sidecar("stuck"), one.sidecar("journal")).unwrap();
    assert_eq!(recovery::read(&b).unwrap().bytes, b"new");
    assert_eq!([content(&b), content(&c)], ["new", "new"]);
    assert!(!one.sidecar("journal.1").exists());
    fs::remove_dir(&one.path).unwrap();
    one.require_kept(None);
}

#[test]
fn the_first_journal_stays_while_another_stands_behind_it() {
    let one = One::new(None);
    let other = one.scene.root.join("here/d");
    fs::create_dir(&other).unwrap();
    let text = fs::read_to_string(one.sidecar("journal")).unwrap();
    let stuck = text.replace("AAAAAAAAAAAA", "BBBBBBBBBBBB").replace(r#""a""#, r#""d""#);
    fs::write(one.sidecar("temp/a.BBBBBBBBBBBB"), "stuck").unwrap();
    fs::write(one.sidecar("journal.1"), stuck).unwrap();
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"new");
    // Without the first, nobody would look for the second.
    assert!(one.sidecar("journal").exists());
    save(&one.path, "next").unwrap();
    let [_, b, c] = one.scene.paths();
    save_all(&[b, c], "next", &options()).unwrap();
    fs::remove_dir(&other).unwrap();
    fs::write(&other, "by hand").unwrap();
    assert_eq!(recovery::read(&other).unwrap().bytes, b"by hand");
    assert_eq!(content(&one.path), "next");
    assert!(!one.sidecar("journal.1").exists());
    assert_eq!(recovery::read(&one.path).unwrap().bytes, b"next");
    one.scene.require_tidy();
}

#[test]
fn beside_a_batch_at_work_a_file_of_a_dead_one_is_not_read_as_it_was() {
    let one = One::new(None);
    let target = Target::resolve(&one.path, false).unwrap();
    let _held = Lock::of_journal(&target, &Deadline::now(), &Quiet).unwrap();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| recovery::read(&one.path)).join().unwrap().unwrap();
        assert_eq!(read.bytes, b"new");
        assert!(!read.stable);
    });
    assert_eq!(content(&one.path), "old");
}
