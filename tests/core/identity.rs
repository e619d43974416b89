use std::io::Write;
use std::path::Path;

use oasis_data::error::Error;
use oasis_data::storage::identity::{Identity, Instant};
use oasis_data::storage::snapshot::{identify, read};

use crate::save;

#[test]
fn two_paths_to_one_file_are_one_and_a_new_file_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let held = read(&path).unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    assert_eq!(identify(&folder.path().join("sub/../tanks.json")).unwrap(), held.identity);
    save(&path, "2").unwrap();
    let replaced = read(&path).unwrap();
    assert_ne!(replaced.identity.key(), held.identity.key());
    assert!(matches!(identify(&folder.path().join("none")), Err(Error::NotFound { .. })));
}

#[test]
fn a_file_just_written_is_not_settled_and_an_old_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let snapshot = read(&path).unwrap();
    assert_eq!(snapshot.bytes, b"1");
    assert!(snapshot.stable);
    assert!(!snapshot.settled);
    // The clock itself decides when a write can no longer hide.
    while !snapshot.identity.settled(Instant::now()) {
        std::thread::yield_now();
    }
    assert!(read(&path).unwrap().settled);
}

#[test]
fn whole_second_stamps_wait_out_whole_seconds() {
    let mut stat = rustix::fs::stat(Path::new("/")).unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    (stat.st_ctime, stat.st_ctime_nsec) = (now.tv_sec - 1, 0);
    assert!(!Identity::of(&stat).settled(Instant::now()));
    (stat.st_ctime, stat.st_ctime_nsec) = (now.tv_sec - 1, 123_456_789);
    assert!(Identity::of(&stat).settled(Instant::now()) || now.tv_nsec < 200_000_000);
    (stat.st_ctime, stat.st_ctime_nsec) = (now.tv_sec - 5, 0);
    assert!(Identity::of(&stat).settled(Instant::now()));
    // A clock set back: the stamp lies in the future.
    (stat.st_ctime, stat.st_ctime_nsec) = (now.tv_sec + 3600, 1);
    assert!(!Identity::of(&stat).settled(Instant::now()));
}

#[test]
fn a_change_in_place_shows_even_with_its_mtime_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let old = identify(&path).unwrap();
    let mtime = path.metadata().unwrap().modified().unwrap();
    while !old.settled(Instant::now()) {
        std::thread::yield_now();
    }
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(b"2").unwrap();
    file.set_modified(mtime).unwrap();
    assert_ne!(identify(&path).unwrap(), old);
}
