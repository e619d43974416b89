use std::os::unix::fs::MetadataExt;
use std::path::Path;

use oasis_data::storage::backup::list;
use oasis_data::storage::store;
use oasis_data::storage::target::Target;

use crate::{Quiet, content, names, options, save};

fn backups(path: &Path) -> Vec<String> {
    let target = Target::resolve(path, false).unwrap();
    list(&target).unwrap().into_iter().map(|backup| backup.name.into_string().unwrap()).collect()
}

#[test]
fn every_save_within_a_second_leaves_one_up_to_the_number_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    for round in 0..30 {
        save(&path, &round.to_string()).unwrap();
    }
    let kept = backups(&path);
    let contents: Vec<String> =
        kept.iter().map(|name| content(&folder.path().join(name))).collect();
    assert_eq!(contents, (19..29).map(|round| round.to_string()).collect::<Vec<_>>());
    assert_eq!(names(folder.path()).len(), 11);
}

#[test]
fn a_backup_is_the_replaced_inode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let inode = path.metadata().unwrap().ino();
    save(&path, "2").unwrap();
    let backup = folder.path().join(&backups(&path)[0]);
    assert_eq!(backup.metadata().unwrap().ino(), inode);
    assert_eq!(backup.metadata().unwrap().nlink(), 1);
}

#[test]
fn names_keep_their_order_when_the_clock_is_behind_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let future = folder.path().join("tanks.json.backup.29991231_235959_999999");
    std::fs::write(&future, "0").unwrap();
    save(&path, "1").unwrap();
    save(&path, "2").unwrap();
    save(&path, "3").unwrap();
    assert_eq!(
        backups(&path),
        [
            "tanks.json.backup.29991231_235959_999999",
            "tanks.json.backup.30000101_000000_000000",
            "tanks.json.backup.30000101_000000_000001",
        ]
    );
}

#[test]
fn files_of_others_are_no_backups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let others = [
        "a.backup.json",
        "a.backup.20260101_000000",
        "a.backup.20260101_000000_00000",
        "a.backup.20260101_000000_0000001",
        "a.backup.20261301_000000_000000",
        "a.backup.20260101_250000_000000",
        "a.backup.+0260101_000000_000000",
        "a.backup.20260101_000000_ 00000",
        "a.backup.20260101_000000_000000.txt",
        "a.json.backup.20260101_000000_000000",
        "A.backup.20260101_000000_000000",
        "?.backup.20260101_000000_000000",
        "[a].backup.20260101_000000_000000",
    ];
    for name in others {
        std::fs::write(folder.path().join(name), "theirs").unwrap();
    }
    std::fs::create_dir(folder.path().join("a.backup.20260102_000000_000000")).unwrap();
    std::os::unix::fs::symlink("a", folder.path().join("a.backup.20260103_000000_000000")).unwrap();
    for round in 0..15 {
        save(&path, &round.to_string()).unwrap();
    }
    assert_eq!(backups(&path).len(), 10);
    for name in others {
        assert_eq!(content(&folder.path().join(name)), "theirs", "{name}");
    }
    assert!(folder.path().join("a.backup.20260102_000000_000000").is_dir());
    assert!(folder.path().join("a.backup.20260103_000000_000000").is_symlink());
}

#[test]
fn glob_characters_mean_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let glob = folder.path().join("*[a-z]?.json");
    let plain = folder.path().join("xay.json");
    save(&plain, "mine").unwrap();
    save(&plain, "mine 2").unwrap();
    for round in 0..15 {
        save(&glob, &round.to_string()).unwrap();
    }
    assert_eq!(backups(&glob).len(), 10);
    assert_eq!(backups(&plain).len(), 1);
}

#[test]
fn fewer_are_kept_once_told_and_none_when_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    for round in 0..8 {
        save(&path, &round.to_string()).unwrap();
    }
    let off = store::WriteOptions { backups_kept: 0, ..options() };
    store::save(&path, b"8", &off, &Quiet).unwrap();
    assert_eq!(backups(&path).len(), 7);
    let three = store::WriteOptions { backups_kept: 3, ..options() };
    store::save(&path, b"9", &three, &Quiet).unwrap();
    assert_eq!(backups(&path).len(), 3);
}

#[test]
fn what_a_writer_killed_before_its_rename_linked_is_not_linked_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    save(&path, "2").unwrap();
    let left = folder.path().join("tanks.json.backup.29991231_235959_000000");
    std::fs::hard_link(&path, &left).unwrap();
    save(&path, "3").unwrap();
    let contents: Vec<String> =
        backups(&path).iter().map(|name| content(&folder.path().join(name))).collect();
    assert_eq!(contents, ["1", "2"]);
    assert_eq!(left.metadata().unwrap().nlink(), 1);
}

/// Whoever writes into the other name writes into the old inode.
#[test]
fn a_file_with_a_second_name_is_copied_for_its_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let second = folder.path().join("second.json");
    std::fs::hard_link(&path, &second).unwrap();
    save(&path, "2").unwrap();
    std::fs::write(&second, "changed in place").unwrap();
    assert_eq!(content(&folder.path().join(&backups(&path)[0])), "1");
    assert_eq!(content(&path), "2");
}
