use std::path::{Path, PathBuf};

use oasis_data::engine::write::WriteOptions;
use oasis_data::files::batch::commit::{Save, save_many};
use oasis_data::files::session::{self, Session};

use crate::{Quiet, content, names, options, save};

/// A folder that is not listed for each save, with a file in it that has backups.
fn large() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..1_000 {
        std::fs::write(folder.path().join(format!("{number:040}")), "").unwrap();
    }
    let path = folder.path().join("a");
    for text in ["1", "2", "3"] {
        save(&path, text).unwrap();
    }
    (folder, path)
}

fn lock_of(path: &Path) -> PathBuf {
    path.with_file_name(".oasis_data/locks/a.lock")
}

fn is_compressed(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "gz")
}

fn backups(path: &Path) -> Vec<String> {
    let all = names(path.parent().unwrap()).into_iter();
    all.filter(|name| name.starts_with("a.backup.")).collect()
}

/// The next save, with a backup put beside the file by hand: whether it met that. Each
/// time another backup, since an index names those that were met.
fn lists(path: &Path, text: &str) -> bool {
    let late = path.with_file_name(format!("a.backup.90000101_000000_{text:0>5}0"));
    std::fs::write(&late, "by hand").unwrap();
    let made = save(path, text).unwrap().backup.unwrap().into_string().unwrap();
    std::fs::remove_file(late).unwrap();
    let met = made.starts_with("a.backup.9000");
    if met {
        std::fs::remove_file(path.with_file_name(made)).unwrap();
    }
    met
}

#[test]
fn a_large_folder_is_listed_only_where_something_happened_unseen() {
    let (_folder, path) = large();
    assert!(!lists(&path, "4"));
    assert!(!lists(&path, "5"));

    // A program without the lock, or a version that knows of no index.
    std::fs::write(&path, "outside").unwrap();
    assert!(lists(&path, "6"));
    assert!(!lists(&path, "7"));

    // Not whole.
    let mut torn = std::fs::read(lock_of(&path)).unwrap();
    // What an index that was longer has left behind it does not count.
    let end = 256 + torn[256..].iter().position(|&byte| byte == b'\n').unwrap();
    *torn[..end].iter_mut().rev().find(|byte| byte.is_ascii_digit()).unwrap() ^= 1;
    std::fs::write(lock_of(&path), &torn).unwrap();
    assert!(lists(&path, "8"));
    // Another lock file, with what was in this.
    let copy = lock_of(&path).with_extension("copy");
    std::fs::copy(lock_of(&path), &copy).unwrap();
    std::fs::rename(copy, lock_of(&path)).unwrap();
    assert!(lists(&path, "9"));
    std::fs::remove_file(lock_of(&path)).unwrap();
    assert!(lists(&path, "10"));
    assert!(!lists(&path, "11"));
}

/// An index does not tell what was put beside the file by hand.
#[test]
fn a_compressed_name_that_no_index_has_is_passed_over() {
    let (_folder, path) = large();
    let future = path.with_file_name("a.backup.29991231_235959_999999");
    std::fs::write(&future, "0").unwrap();
    Session::open(&path, &options(), &Quiet).unwrap().prune(&options()).unwrap();
    std::fs::write(path.with_file_name("a.backup.30000101_000000_000000.gz"), "by hand").unwrap();
    let made = save(&path, "4").unwrap().backup.unwrap();
    assert_eq!(made, "a.backup.30000101_000000_000001");
}

#[test]
fn a_write_that_makes_no_backup_hands_the_index_on() {
    let (_folder, path) = large();
    let no_backup = WriteOptions { backups_kept: 0, ..options() };
    session::save(&path, b"4", &no_backup, &Quiet).unwrap();
    assert!(!lists(&path, "5"));
    save(&path, "5").unwrap();
    assert!(!lists(&path, "6"));
    session::delete(&path, &options(), &Quiet).unwrap();
    save(&path, "7").unwrap();
    assert!(!lists(&path, "8"));
    session::delete(&path, &no_backup, &Quiet).unwrap();
    save(&path, "9").unwrap();
    assert!(!lists(&path, "10"));
}

#[test]
fn a_batch_uses_and_leaves_the_index() {
    let (_folder, path) = large();
    let other = path.with_file_name("other");
    let late = path.with_file_name("a.backup.90000101_000000_000000");
    std::fs::write(&late, "by hand").unwrap();
    for text in ["4", "5"] {
        let saves = [&path, &other].map(|path| Save {
            path: path.as_path(),
            bytes: text.as_bytes(),
            if_version: None,
        });
        let written = save_many(&saves, &options(), &Quiet).unwrap();
        let made = written[0].backup.clone().unwrap().into_string().unwrap();
        assert!(!made.starts_with("a.backup.9000"), "{made}");
    }
    std::fs::remove_file(late).unwrap();
    assert!(!lists(&path, "6"));
}

#[test]
fn the_newest_are_kept_and_in_order_as_in_a_small_folder() {
    let (_folder, path) = large();
    let keep = WriteOptions { backups_kept: 5, ..options() };
    for number in 4..20 {
        let text = number.to_string();
        session::save(&path, text.as_bytes(), &keep, &Quiet).unwrap();
    }
    let held: Vec<String> =
        backups(&path).iter().map(|name| content(&path.with_file_name(name))).collect();
    assert_eq!(held, ["14", "15", "16", "17", "18"]);

    // Whatever was removed by hand, none of the others goes for it.
    for gone in &backups(&path)[1..4] {
        std::fs::remove_file(path.with_file_name(gone)).unwrap();
    }
    for (number, left) in (20..24).zip([3, 4, 5, 5]) {
        session::save(&path, number.to_string().as_bytes(), &keep, &Quiet).unwrap();
        assert_eq!(backups(&path).len(), left);
    }
    assert_eq!(content(&path.with_file_name(&backups(&path)[0])), "18");
}

#[test]
fn what_is_put_there_by_hand_is_found_by_the_next_listing() {
    let (_folder, path) = large();
    let late = path.with_file_name("a.backup.90000101_000000_000000");
    std::fs::write(&late, "by hand").unwrap();
    save(&path, "4").unwrap();
    // Whoever asks is told.
    let (_, told) = session::backups(&path).unwrap();
    assert!(told[0].is_called(Path::new("a.backup.90000101_000000_000000")));
    let locked = Session::open(&path, &options(), &Quiet).unwrap();
    assert!(locked.prune(&options()).unwrap().is_empty());
    drop(locked);
    let made = save(&path, "5").unwrap().backup.unwrap().into_string().unwrap();
    assert!(made.starts_with("a.backup.9000"), "{made}");
}

#[test]
fn a_compression_that_was_cut_short_is_met_without_a_listing() {
    let (folder, path) = large();
    let compress = WriteOptions { compressed_above: Some(0), ..options() };
    session::save(&path, b"4", &compress, &Quiet).unwrap();
    assert!(backups(&path).iter().all(|name| is_compressed(name)));
    save(&path, "5").unwrap();
    // Both forms of one backup.
    let plain = backups(&path).into_iter().find(|name| !is_compressed(name)).unwrap();
    let made = std::process::Command::new("gzip")
        .args(["--keep", &plain])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(made.success());
    assert!(!lists(&path, "6"));
    let left = backups(&path);
    assert!(!left.contains(&plain) && left.contains(&format!("{plain}.gz")), "{left:?}");
}

#[test]
fn more_backups_than_are_worth_an_index_are_listed() {
    let (_folder, path) = large();
    let keep = WriteOptions { backups_kept: 1_000, ..options() };
    for number in 0..98 {
        session::save(&path, format!("a{number}").as_bytes(), &keep, &Quiet).unwrap();
    }
    assert_eq!(backups(&path).len(), 100);
    session::save(&path, b"101", &keep, &Quiet).unwrap();
    assert!(lists(&path, "102"));
}
