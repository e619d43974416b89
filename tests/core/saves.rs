use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use oasis_data::engine::write;
use oasis_data::error::{Error, Remedy};
use oasis_data::files::read::{MISSING, version_of};
use oasis_data::files::session;

use crate::{Quiet, attribute, content, names, options, save, set_attribute, temporaries};

#[test]
fn creates_replaces_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    assert_eq!(content(&path), "1");
    let written =
        session::save(&path, b"22", &write::WriteOptions { backups_kept: 0, ..options() }, &Quiet)
            .unwrap();
    assert_eq!(content(&path), "22");
    assert!(written.warnings.is_empty());
    assert_eq!(names(folder.path()), ["tanks.json"]);
    assert!(temporaries(folder.path()).is_empty());
    assert_eq!(content(&folder.path().join(".oasis_data/.gitignore")), "*\n");
}

#[test]
fn keeps_mode_and_attributes_of_the_replaced_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    set_attribute(&path, "user.origin", b"refinery");
    let before = std::fs::metadata(&path).unwrap();
    save(&path, "2").unwrap();
    let after = std::fs::metadata(&path).unwrap();
    assert_ne!(before.ino(), after.ino());
    assert_eq!(after.mode() & 0o7777, 0o640);
    assert_eq!(attribute(&path, "user.origin").unwrap(), b"refinery");
}

#[test]
fn writes_through_links_even_dangling_ones() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("real")).unwrap();
    let link = folder.path().join("link.json");
    symlink("real/tanks.json", &link).unwrap();
    save(&link, "1").unwrap();
    assert!(link.is_symlink());
    assert_eq!(content(&folder.path().join("real/tanks.json")), "1");
    // The sidecar stands beside the file, so that every route to it meets one lock.
    assert!(folder.path().join("real/.oasis_data/locks/tanks.json.lock").exists());
    assert!(!folder.path().join(".oasis_data").exists());
}

#[test]
fn refuses_what_is_not_a_regular_file() {
    let folder = tempfile::tempdir().unwrap();
    let loops = folder.path().join("loop.json");
    symlink("loop.json", &loops).unwrap();
    assert!(matches!(save(folder.path(), "1"), Err(Error::NotAFile { .. })));
    assert!(matches!(save(&folder.path().join("."), "1"), Err(Error::NotAFile { .. })));
    // No device: a core that fails here must not cost the machine its /dev/null.
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(matches!(save(&socket, "1"), Err(Error::NotAFile { .. })));
    assert!(matches!(save(&loops, "1"), Err(Error::Syscall { .. })));
    assert!(matches!(save("".as_ref(), "1"), Err(Error::Syscall { .. })));
}

#[test]
fn creates_folders_only_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/tanks.json");
    let refused = save(&path, "1").unwrap_err();
    assert_eq!(refused.errno(), Some(2));
    assert_eq!(refused.remedy(), Some(Remedy::MakeFolders));
    assert!(!refused.to_string().contains("a/b"), "{refused}");
    let told = write::WriteOptions { make_parents: true, ..options() };
    session::save(&path, b"1", &told, &Quiet).unwrap();
    assert_eq!(content(&path), "1");
}

#[test]
fn compares_versions_under_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let at =
        |version: &str| write::WriteOptions { if_version: Some(version.to_owned()), ..options() };
    session::save(&path, b"1", &at(MISSING), &Quiet).unwrap();
    let conflict = session::save(&path, b"2", &at(MISSING), &Quiet).unwrap_err();
    assert!(matches!(&conflict, Error::VersionConflict { expected: None, found: Some(found), .. }
        if *found == version_of(b"1")));
    session::save(&path, b"2", &at(&version_of(b"1")), &Quiet).unwrap();
    assert!(session::save(&path, b"3", &at(&version_of(b"1")), &Quiet).is_err());
    assert!(session::delete(&path, &at(&version_of(b"1")), &Quiet).is_err());
    assert_eq!(content(&path), "2");
    session::delete(&path, &at(&version_of(b"2")), &Quiet).unwrap();
    assert!(matches!(
        session::save(&path, b"3", &at(&version_of(b"2")), &Quiet),
        Err(Error::VersionConflict { found: None, .. })
    ));
}

#[test]
fn deletes_into_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    assert!(matches!(session::delete(&path, &options(), &Quiet), Err(Error::NotFound { .. })));
    assert!(names(folder.path()).is_empty());
    assert!(!folder.path().join(".oasis_data").exists());
    save(&path, "1").unwrap();
    session::delete(&path, &options(), &Quiet).unwrap();
    let left = names(folder.path());
    assert_eq!(left.len(), 1);
    assert!(left[0].starts_with("tanks.json.backup."));
    assert_eq!(content(&folder.path().join(&left[0])), "1");
    save(&path, "2").unwrap();
    let without = write::WriteOptions { backups_kept: 0, ..options() };
    session::delete(&path, &without, &Quiet).unwrap();
    assert_eq!(names(folder.path()), left);
}

#[test]
fn saves_names_of_every_length_the_file_system_takes() {
    let folder = tempfile::tempdir().unwrap();
    for length in [1, 199, 200, 201, 225, 226, 255] {
        let path = folder.path().join("n".repeat(length));
        // A backup's name is 30 bytes longer: told at once, not at the second save.
        assert_eq!(save(&path, "1").is_ok(), length <= 225, "{length}");
        let without = write::WriteOptions { backups_kept: 0, ..options() };
        session::save(&path, b"2", &without, &Quiet).unwrap();
        assert_eq!(save(&path, "3").is_ok(), length <= 225, "{length}");
        assert_eq!(content(&path), if length <= 225 { "3" } else { "2" });
    }
    assert!(temporaries(folder.path()).is_empty());
}

#[test]
fn the_same_content_again_costs_no_inode_and_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let before = std::fs::metadata(&path).unwrap();
    let written = save(&path, "1").unwrap();
    assert!(written.replaced.is_none());
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    assert_eq!(names(folder.path()), ["tanks.json"]);
    // As long, but another; and the same, but told not to skip.
    save(&path, "2").unwrap();
    let anew = write::WriteOptions { skip_unchanged: false, ..options() };
    session::save(&path, b"2", &anew, &Quiet).unwrap();
    assert_eq!(names(folder.path()).len(), 3);
    let stale = write::WriteOptions { if_version: Some("x".to_owned()), ..options() };
    assert!(session::save(&path, b"2", &stale, &Quiet).is_err());
}

#[test]
fn a_sidecar_that_lost_a_part_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    for (round, lost) in ["temp", "locks", ".gitignore", ""].into_iter().enumerate() {
        save(&path, &round.to_string()).unwrap();
        let lost = folder.path().join(".oasis_data").join(lost);
        if lost.is_dir() { std::fs::remove_dir_all(lost) } else { std::fs::remove_file(lost) }
            .unwrap();
        save(&path, &format!("{round} again")).unwrap();
        assert_eq!(content(&path), format!("{round} again"));
    }
}

#[test]
fn a_planted_symlink_in_a_new_sidecar_is_not_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "keep me").unwrap();
    std::fs::create_dir(folder.path().join(".oasis_data")).unwrap();
    symlink("../victim", folder.path().join(".oasis_data/.gitignore")).unwrap();
    save(&folder.path().join("tanks.json"), "1").unwrap();
    assert_eq!(content(&victim), "keep me");
}

#[test]
fn a_failed_open_keeps_its_errno() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let temp = folder.path().join(".oasis_data/temp");
    std::fs::remove_dir(&temp).unwrap();
    std::fs::write(&temp, "").unwrap();
    let error = save(&path, "2").unwrap_err();
    assert_eq!(error.errno(), Some(20), "{error}");
}

#[test]
fn nothing_is_saved_among_the_locks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    for inside in ["locks/tanks.json.lock", "temp/x", "x.json"] {
        let refused = save(&folder.path().join(".oasis_data").join(inside), "2");
        assert!(matches!(refused, Err(Error::NotAFile { .. })), "{inside}");
    }
}

#[test]
fn a_new_file_follows_what_the_folder_became() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("tanks.json"), "1").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o2775)).unwrap();
    let list = [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 210, 4, 0, 0, 4, 0, 4, 0];
    let list =
        [&list[..], &[255; 4], &[16, 0, 6, 0], &[255; 4], &[32, 0, 4, 0], &[255; 4]].concat();
    set_attribute(folder.path(), "system.posix_acl_default", &list);
    let (path, plain) = (folder.path().join("new.json"), folder.path().join("plain"));
    save(&path, "1").unwrap();
    std::fs::write(&plain, "").unwrap();
    let listed = |path| attribute(path, "system.posix_acl_access");
    assert_eq!(listed(&path), listed(&plain));
    assert!(listed(&path).is_some());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode();
    assert_eq!(mode(&path), mode(&plain));
}
