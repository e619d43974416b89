use std::io::Write;
use std::path::Path;

use oasis_data::error::Error;
use oasis_data::files::identity::{Identity, Instant, Synced};
use oasis_data::files::read::{identify, read, read_whole};
use oasis_data::files::sys::stat::Told;

use rustix::fs::{AtFlags, CWD, StatxFlags};

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
fn every_way_to_look_at_a_file_gives_the_same_key_and_stamps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let by_path = identify(&path).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    assert_eq!(Identity::of_open(&file).unwrap().0, by_path);
    let stat = rustix::fs::fstat(&file).unwrap();
    // All but the birth time, which a `stat` does not have.
    let by_stat = Identity::of(&stat);
    assert!(!by_stat.has_birth());
    assert_eq!(
        (by_stat.key(), by_stat.sync_stamp(Synced::Content)),
        (by_path.key(), by_path.sync_stamp(Synced::Content))
    );
    assert_eq!(Identity::of_open(&file).unwrap().1, stat.st_mode);
    // Devices with numbers of more than eight bits, or none on a disk.
    for path in ["/proc/self/stat", "/dev/null", "/sys", "/"] {
        let (found, _) = Identity::at(rustix::fs::CWD, Path::new(path)).unwrap();
        assert_eq!(found.key(), Identity::of(&rustix::fs::stat(path).unwrap()).key(), "{path}");
    }
}

#[test]
fn a_file_born_at_another_time_is_another_though_all_else_be_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let asked = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let mut statx = rustix::fs::statx(CWD, &path, AtFlags::empty(), asked).unwrap();
    statx.stx_mask |= StatxFlags::BTIME.bits();
    statx.stx_btime.tv_sec = 1_000_000_000;
    let found = Identity::of_told(&(&statx).into());
    assert!(found.has_birth());
    assert_eq!(found, Identity::of_told(&(&statx).into()));
    statx.stx_btime.tv_nsec += 1;
    assert_ne!(found, Identity::of_told(&(&statx).into()));
    // Nothing, or a zero, is no birth time.
    (statx.stx_btime.tv_sec, statx.stx_btime.tv_nsec) = (0, 0);
    assert!(!Identity::of_told(&(&statx).into()).has_birth());
    statx.stx_btime.tv_sec = 1_000_000_000;
    statx.stx_mask &= !StatxFlags::BTIME.bits();
    assert!(!Identity::of_told(&(&statx).into()).has_birth());
}

#[test]
fn a_clock_that_is_behind_what_it_was_is_noticed() {
    const SECOND: i128 = 1_000_000_000;
    let read_at = Instant::shown(1_000 * SECOND, 50 * SECOND);
    let after = |real, monotonic| Instant::shown(real, monotonic);
    // Time passed, the machine slept, the clock was set forward.
    assert!(!read_at.is_ahead_of(&after(1_000 * SECOND, 50 * SECOND)));
    assert!(!read_at.is_ahead_of(&after(1_010 * SECOND, 60 * SECOND)));
    assert!(!read_at.is_ahead_of(&after(9_000 * SECOND, 60 * SECOND)));
    // Set back, however long ago, and however late the clock is again by now.
    assert!(read_at.is_ahead_of(&after(999 * SECOND, 50 * SECOND)));
    assert!(read_at.is_ahead_of(&after(9_000 * SECOND, 9_000 * SECOND)));
    // By less than the windows of the stamps have to spare.
    assert!(!read_at.is_ahead_of(&after(1_000 * SECOND - SECOND / 20, 50 * SECOND)));
    assert!(!read_at.is_ahead_of(&after(1_000 * SECOND - SECOND / 10, 50 * SECOND)));
    assert!(read_at.is_ahead_of(&after(1_000 * SECOND - SECOND / 10 - 1, 50 * SECOND)));
    assert!(!Instant::now().is_ahead_of(&Instant::now()));
}

#[test]
fn a_file_just_written_is_in_its_racy_window_and_an_old_file_is_past_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let snapshot = read(&path).unwrap();
    assert_eq!(snapshot.bytes, b"1");
    assert!(snapshot.stable);
    assert!(!snapshot.past_racy_window);
    // The clock itself decides when a write can no longer hide.
    while !snapshot.identity.is_past_racy_window(Instant::now()) {
        std::thread::yield_now();
    }
    assert!(read(&path).unwrap().past_racy_window);
}

#[test]
fn a_file_is_read_to_its_end_whatever_its_size_was_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let content = "tank".repeat(1000);
    std::fs::write(&path, &content).unwrap();
    // As the kernel says of files in /proc, of a file that has grown, and of one cut short.
    for size in [0, 1, 3999, 4000, 4001, 100_000] {
        let file = std::fs::File::open(&path).unwrap();
        assert_eq!(read_whole(&file, size).unwrap(), content.as_bytes(), "{size}");
    }
    let status = read(Path::new("/proc/self/status")).unwrap();
    assert!(status.bytes.starts_with(b"Name:") && status.bytes.ends_with(b"\n"));
}

#[test]
fn whole_second_stamps_wait_out_whole_seconds() {
    let mut stat = rustix::fs::stat(Path::new("/")).unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    (stat.st_ctime, stat.st_ctime_nsec) = (now.tv_sec - 1, 0);
    assert!(!Identity::of(&stat).is_past_racy_window(Instant::now()));
    (stat.st_ctime, stat.st_ctime_nsec) = (now.tv_sec - 1, 123_456_789);
    assert!(Identity::of(&stat).is_past_racy_window(Instant::now()) || now.tv_nsec < 200_000_000);
    (stat.st_ctime, stat.st_ctime_nsec) = (now.tv_sec - 5, 0);
    assert!(Identity::of(&stat).is_past_racy_window(Instant::now()));
    // A clock set back: the stamp lies in the future.
    (stat.st_ctime, stat.st_ctime_nsec) = (now.tv_sec + 3600, 1);
    assert!(!Identity::of(&stat).is_past_racy_window(Instant::now()));
}

#[test]
fn a_change_in_place_shows_even_with_its_mtime_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let old = identify(&path).unwrap();
    let mtime = path.metadata().unwrap().modified().unwrap();
    while !old.is_past_racy_window(Instant::now()) {
        std::thread::yield_now();
    }
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(b"2").unwrap();
    file.set_modified(mtime).unwrap();
    assert_ne!(identify(&path).unwrap(), old);
}

#[test]
fn each_part_of_an_identity_shows_in_its_sync_stamp() {
    let told = Told {
        device: 1,
        inode: 7,
        birth: None,
        size: 11,
        mtime: 1_000_000_000,
        ctime: 2_000_000_000,
        mode: 0o100_644,
    };
    let stamp_of = |told: &Told| Identity::of_told(told).sync_stamp(Synced::ContentAndName);
    let stamp = stamp_of(&told);
    assert!(stamp.starts_with("synced "));
    let without_name = Identity::of_told(&told).sync_stamp(Synced::Content);
    assert!(without_name != stamp && without_name.len() == stamp.len());
    for other in [
        Told { inode: 8, ..told },
        Told { size: 12, ..told },
        Told { mtime: 1_000_000_001, ..told },
        Told { ctime: i128::from(i64::MAX) * 1_000_000_000, ..told },
    ] {
        assert_ne!(stamp_of(&other), stamp);
        // A new stamp is written over the old stamp.
        assert_eq!(stamp_of(&other).len(), stamp.len());
    }
    assert_eq!(Identity::of_told(&told).size(), 11);
    assert_eq!(Identity::of_told(&Told { size: -1, ..told }).size(), 0);
}

#[test]
fn a_rename_changes_the_ctime_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let look = |path: &Path| Identity::at(CWD, path).unwrap().0;
    let before = look(&path);
    assert!(before.differs_by_ctime_only(&before));
    let renamed = folder.path().join("renamed.json");
    std::fs::rename(&path, &renamed).unwrap();
    assert!(look(&renamed).differs_by_ctime_only(&before));
    std::fs::write(&renamed, "22").unwrap();
    assert!(!look(&renamed).differs_by_ctime_only(&before));
}
