use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use oasis_data::engine::deadline::Deadline;
use oasis_data::engine::write::WriteOptions;
use oasis_data::files::backup::{list, newest_first};
use oasis_data::files::session::{self, Session};
use oasis_data::files::target::Target;

use crate::{Quiet, attribute, content, names, open_at_once, options, save, set_attribute};

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
fn a_restored_file_keeps_its_own_mode_and_a_file_that_is_gone_gets_that_of_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let mode_of = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    let restore = || {
        let session = Session::open(&path, &options(), &Quiet).unwrap();
        let backup = session.backups().unwrap().remove(0);
        let deadline = Deadline::after(options().timeout);
        session.restore(&backup, b"1", &options(), &deadline, &Quiet).unwrap();
        backup
    };
    save(&path, "1").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    save(&path, "2").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let backup = restore();
    assert_eq!((content(&path), mode_of(&path)), ("1".to_owned(), 0o600));
    // What was restored over is the newest backup now.
    std::fs::remove_file(folder.path().join(&backups(&path)[1])).unwrap();
    assert_eq!(mode_of(&folder.path().join(&backup.name)), 0o640);
    std::fs::remove_file(&path).unwrap();
    restore();
    assert_eq!(mode_of(&path), 0o640);
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
        "a.backup.00000101_000000_000000",
        "a.backup.99990101_000000_000000",
        "a.backup.20260101-000000_000000",
        "a.backup.20260101_000000-000000",
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
    let off = WriteOptions { backups_kept: 0, ..options() };
    session::save(&path, b"8", &off, &Quiet).unwrap();
    assert_eq!(backups(&path).len(), 7);
    let three = WriteOptions { backups_kept: 3, ..options() };
    session::save(&path, b"9", &three, &Quiet).unwrap();
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
    for act in [REPLACE, DELETE] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tanks.json");
        save(&path, "1").unwrap();
        let second = folder.path().join("second.json");
        std::fs::hard_link(&path, &second).unwrap();
        act(&path, &options());
        std::fs::write(&second, "changed in place").unwrap();
        assert_eq!(content(&folder.path().join(&backups(&path)[0])), "1");
    }
}

type Act = fn(&Path, &WriteOptions);

const REPLACE: Act = |path, options| {
    let written = session::save(path, b"new", options, &Quiet).unwrap();
    assert!(written.warnings.is_empty());
    assert_eq!(content(path), "new");
};
const DELETE: Act = |path, options| {
    let written = session::delete(path, options, &Quiet).unwrap();
    assert!(written.warnings.is_empty());
    assert!(!path.exists());
};

/// The kernel refuses the lease.
#[test]
fn what_others_may_write_into_is_copied_for_its_backup() {
    for act in [REPLACE, DELETE] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tanks.json");
        save(&path, "old").unwrap();
        set_attribute(&path, "user.origin", b"refinery");
        let mut other = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        act(&path, &options());
        other.write_all(b"XXX").unwrap();
        let backup = folder.path().join(&backups(&path)[0]);
        assert_eq!(content(&backup), "old");
        assert_eq!(attribute(&backup, "user.origin").unwrap(), b"refinery");
        assert_eq!(other.metadata().unwrap().nlink(), 0);
    }
}

#[test]
fn with_a_lease_a_backup_is_a_link_and_the_lease_is_released() {
    for act in [REPLACE, DELETE] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tanks.json");
        save(&path, "old").unwrap();
        let inode = path.metadata().unwrap().ino();
        act(&path, &options());
        let backup = folder.path().join(&backups(&path)[0]);
        let stat = backup.metadata().unwrap();
        assert_eq!((stat.ino(), stat.nlink()), (inode, 1));
        assert!(open_at_once(&backup).is_ok());
    }
}

/// What a writer leaves that is killed between its link and its rename.
#[test]
fn a_second_name_of_the_live_file_is_no_backup_until_the_next_save() {
    for (lone, act) in [(true, REPLACE), (true, DELETE), (false, REPLACE), (false, DELETE)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tanks.json");
        save(&path, "1").unwrap();
        save(&path, "old").unwrap();
        let left = folder.path().join("tanks.json.backup.29991231_235959_000000");
        std::fs::hard_link(&path, &left).unwrap();
        let inode = path.metadata().unwrap().ino();
        // Not listed, nor compressed, nor counted.
        let target = Target::resolve(&path, false).unwrap();
        assert_eq!(newest_first(&target).unwrap().len(), 1);
        let all = WriteOptions { compressed_above: Some(0), skip_unchanged: true, ..options() };
        assert!(session::save(&path, b"old", &all, &Quiet).unwrap().warnings.is_empty());
        assert_eq!(left.metadata().unwrap().ino(), inode);
        let one = WriteOptions { backups_kept: 1, ..options() };
        let pruned = Session::open(&path, &one, &Quiet).unwrap().prune(&one).unwrap();
        assert!(pruned.is_empty());

        let other = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let other = (!lone).then_some(other);
        act(&path, &options());
        let told = newest_first(&target).unwrap();
        assert_eq!(told.len(), 2);
        let newest = folder.path().join(&told[0].name);
        assert_eq!(content(&newest), "old");
        assert_eq!(newest.metadata().unwrap().nlink(), 1);
        assert_eq!(newest.metadata().unwrap().ino() == inode, lone);
        if let Some(mut other) = other {
            other.write_all(b"XXX").unwrap();
            assert_eq!(content(&newest), "old");
        }
    }
}

#[test]
fn a_second_name_of_the_live_file_and_a_third_are_copied_for_the_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "old").unwrap();
    let third = folder.path().join("third.json");
    std::fs::hard_link(&path, folder.path().join("tanks.json.backup.29991231_235959_000000"))
        .unwrap();
    std::fs::hard_link(&path, &third).unwrap();
    save(&path, "new").unwrap();
    std::fs::write(&third, "changed in place").unwrap();
    assert_eq!(content(&folder.path().join(&backups(&path)[0])), "old");
    assert_eq!(backups(&path).len(), 1);
}

#[test]
fn a_listing_misses_no_backup_that_is_renamed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::resolve(&folder.path().join("a"), false).unwrap();
    let plain = |number| folder.path().join(format!("a.backup.20260101_000000_{number:06}"));
    let compressed =
        |number| folder.path().join(format!("a.backup.20260101_000000_{number:06}.gz"));
    for number in 0..150 {
        std::fs::write(plain(number), "").unwrap();
    }
    // More than the kernel tells in one call.
    for number in 0..2000 {
        let name = format!("{number}{}", "x".repeat(60));
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..300 {
                let [from, to]: [&dyn Fn(i32) -> PathBuf; 2] =
                    if round % 2 == 0 { [&plain, &compressed] } else { [&compressed, &plain] };
                both.wait();
                for number in 0..150 {
                    std::fs::hard_link(from(number), to(number)).unwrap();
                    std::fs::remove_file(from(number)).unwrap();
                }
                both.wait();
            }
        });
        let found = (0..300).map(|_| {
            both.wait();
            let found = list(&target).unwrap().len();
            both.wait();
            found
        });
        let found: Vec<usize> = found.collect();
        assert_eq!(found, [150; 300]);
    });
}

#[test]
fn a_last_possible_stamp_hides_no_later_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    save(&path, "1").unwrap();
    std::fs::write(folder.path().join("a.backup.99981231_235959_999999"), "0").unwrap();
    save(&path, "2").unwrap();
    assert_eq!(backups(&path).len(), 2);
}
