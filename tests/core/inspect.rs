//! What a look at a folder tells, and that it waits for nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use oasis_data::files::inspect::{self, DiskPath};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::Errno;

use crate::save;

fn paths(found: &[DiskPath]) -> Vec<PathBuf> {
    found.iter().map(|each| each.0.clone()).collect()
}

#[test]
fn tells_data_files_from_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // Called otherwise, a file is known by its lock: by the digest of a long name, too.
    let long = "x".repeat(210);
    for name in ["tanks.json", "state", &long] {
        save(&at(name), "1").unwrap();
    }
    save(&at("tanks.json"), "2").unwrap();
    let foreign = [".tanks.json.SWP", "tanks.json.tmp", "tanks.json~"];
    let others = ["upper.JSON", "notes.txt", ".tanks.json.swz", ".tanks.json.xxa"];
    for name in others.iter().chain(&foreign) {
        fs::write(at(name), "").unwrap();
    }
    fs::write(at("tanks.json.backup.20260231_000000_000000"), "no such day").unwrap();
    fs::create_dir(at("folder.json")).unwrap();
    symlink("nowhere", at("link.json")).unwrap();
    let found = inspect::folder(folder.path());
    let files: Vec<_> = found.files.iter().map(|file| file.path.0.clone()).collect();
    let mut expected = ["link.json", "state", "tanks.json", "upper.JSON", &long].map(at);
    expected.sort();
    assert_eq!(files, expected);
    assert!(found.files[0].is_link && found.files[0].status.is_none());
    assert_eq!(paths(&found.folders), [at("folder.json")]);
    assert_eq!(found.backups.len(), 1);
    assert_eq!(found.backups[0].of.0, at("tanks.json"));
    assert_eq!(found.sidecar.map(|sidecar| sidecar.0), Some(at(".oasis_data")));
    let mut told = paths(&found.foreign);
    told.sort();
    assert_eq!(told, foreign.map(at));
}

#[test]
fn unfinished_writes_are_told_where_there_are_data_files_or_were() {
    let foreign_in = |names: &[&str], saved: bool| {
        let folder = tempfile::tempdir().unwrap();
        if saved {
            // Of the file its lock is left.
            save(&folder.path().join("state"), "1").unwrap();
            fs::remove_file(folder.path().join("state")).unwrap();
        }
        for name in names.iter().chain(&["notes.tmp"]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        inspect::folder(folder.path()).foreign.len()
    };
    assert_eq!(foreign_in(&[], false), 0);
    assert_eq!(foreign_in(&["notes.txt"], false), 0);
    assert_eq!(foreign_in(&["tanks.json"], false), 1);
    assert_eq!(foreign_in(&["state.backup.20260102_030405_000006"], false), 1);
    assert_eq!(foreign_in(&[], true), 1);
}

#[test]
fn a_file_that_is_nowhere_has_no_backups_and_a_name_that_is_too_long_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["none/tanks.json", "tanks.json", "."] {
        assert!(inspect::backup_names(&folder.path().join(path)).unwrap().is_empty(), "{path}");
    }
    let circle = folder.path().join("circle");
    symlink("circle", &circle).unwrap();
    let error = inspect::backup_names(&circle.join("tanks.json")).unwrap_err();
    assert_eq!(error.errno(), Some(Errno::LOOP.raw_os_error()));
}

#[test]
fn a_link_to_the_live_file_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    for text in ["1", "2", "3"] {
        save(&path, text).unwrap();
    }
    assert_eq!(inspect::folder(folder.path()).backups.len(), 2);
    // What a writer leaves that is killed between its link and its rename.
    fs::hard_link(&path, folder.path().join("tanks.json.backup.99980101_000000_000000")).unwrap();
    assert_eq!(inspect::folder(folder.path()).backups.len(), 2);
    assert_eq!(inspect::backup_names(&path).unwrap().len(), 2);
}

#[test]
fn tells_whose_a_temporary_file_is() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("tanks.json"), "1").unwrap();
    let temp = folder.path().join(".oasis_data/temp");
    let digest = "a".repeat(64);
    let names = ["tanks.json.0123456789ab", &format!("{digest}.0123456789ab"), "notes"];
    for name in names {
        fs::write(temp.join(name), "").unwrap();
    }
    fs::create_dir(temp.join("folder.json.0123456789ab")).unwrap();
    let mut found = inspect::folder(folder.path()).temporaries;
    found.sort_by(|one, other| one.path.cmp(&other.path));
    let told: Vec<_> = found
        .iter()
        .map(|each| (each.is_own, each.owner.as_ref().map(|of| of.0.clone())))
        .collect();
    let tanks = Some(folder.path().join("tanks.json"));
    assert_eq!(told, [(true, None), (false, None), (false, None), (true, tanks)]);
    assert_eq!(found[3].copy.0, folder.path().join(".tanks.json.0123456789ab"));
}

#[test]
fn waits_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(!inspect::is_held(&pipe).unwrap());
    assert!(!inspect::is_held(&folder.path().join("nothing")).unwrap());
}

#[test]
fn tells_what_cannot_be_listed() {
    let folder = tempfile::tempdir().unwrap();
    let temp = folder.path().join(".oasis_data/temp");
    fs::create_dir(temp.parent().unwrap()).unwrap();
    fs::write(&temp, "").unwrap();
    let found = inspect::folder(folder.path());
    assert_eq!(found.unreadable, [(DiskPath(temp), Errno::NOTDIR.raw_os_error())]);
    // A folder that is gone has nothing in it.
    assert!(inspect::folder(Path::new("/no/such/folder")).unreadable.is_empty());
}
