use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use oasis_data::engine::warning::Warning;
use oasis_data::engine::write::WriteOptions;
use oasis_data::files::backup::{Backup, Opened, newest_first};
use oasis_data::files::session::{self, Session};
use oasis_data::files::target::Target;

use crate::{Quiet, attribute, content, names, options, save, set_attribute, temporaries};

fn compressing() -> WriteOptions {
    WriteOptions { compressed_above: Some(100), ..options() }
}

/// What is done at the end of each save.
fn compress(path: &Path) -> Vec<Warning> {
    let same = WriteOptions { skip_unchanged: true, ..compressing() };
    session::save(path, content(path).as_bytes(), &same, &Quiet).unwrap().warnings
}

fn target(path: &Path) -> Target {
    Target::resolve(path, false).unwrap()
}

fn backups(path: &Path) -> Vec<Backup> {
    newest_first(&target(path)).unwrap()
}

fn read(path: &Path, backup: &Backup) -> String {
    let target = target(path);
    let bytes = Opened::open(&target, backup).unwrap().unwrap().read().unwrap();
    String::from_utf8(bytes).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A file with one plain backup of some kilobytes.
fn with_backup(folder: &Path, letters: usize) -> (PathBuf, PathBuf) {
    let path = folder.join("tanks.json");
    save(&path, &"1".repeat(letters)).unwrap();
    save(&path, "2").unwrap();
    let backup = folder.join(&backups(&path)[0].name);
    (path, backup)
}

fn compressed(plain: &Path) -> PathBuf {
    let mut name = plain.as_os_str().to_os_string();
    name.push(".gz");
    name.into()
}

#[test]
fn a_save_compresses_the_large_ones_and_those_missed_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    for text in ["1".repeat(101), "2".repeat(100), "3".repeat(5000), "4".to_owned()] {
        save(&path, &text).unwrap();
    }
    let written = session::save(&path, b"5", &compressing(), &Quiet).unwrap();
    assert!(written.warnings.is_empty());
    let told = backups(&path);
    let forms: Vec<bool> = told.iter().map(|backup| backup.compressed).collect();
    assert_eq!(forms, [false, true, false, true]);
    let contents: Vec<String> = told.iter().map(|backup| read(&path, backup)).collect();
    assert_eq!(contents, ["4".to_owned(), "3".repeat(5000), "2".repeat(100), "1".repeat(101)]);
    assert!(folder.path().join(&told[1].name).metadata().unwrap().len() < 100);
    assert_eq!(names(folder.path()).len(), 5);
    assert!(temporaries(folder.path()).is_empty());
    // Compressed ones count, and go, as plain ones do.
    let two = WriteOptions { backups_kept: 2, ..compressing() };
    session::save(&path, b"6", &two, &Quiet).unwrap();
    let contents: Vec<String> = backups(&path).iter().map(|backup| read(&path, backup)).collect();
    assert_eq!(contents, ["5", "4"]);
    assert_eq!(names(folder.path()).len(), 3);
}

#[test]
fn a_deletion_compresses_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, &"1".repeat(101)).unwrap();
    session::delete(&path, &compressing(), &Quiet).unwrap();
    let told = backups(&path);
    assert!(told[0].compressed);
    assert_eq!(read(&path, &told[0]), "1".repeat(101));
}

#[test]
fn mode_and_attributes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = with_backup(folder.path(), 5000);
    std::fs::set_permissions(&plain, Permissions::from_mode(0o640)).unwrap();
    set_attribute(&plain, "user.origin", b"refinery");
    set_attribute(&path, "user.origin", b"elsewhere");
    assert!(compress(&path).is_empty());
    let after = compressed(&plain);
    assert_eq!(after.metadata().unwrap().mode() & 0o7777, 0o640);
    assert_eq!(attribute(&after, "user.origin").unwrap(), b"refinery");
    assert!(!plain.exists());
}

#[test]
fn names_grow_beyond_compressed_ones_and_pass_over_taken_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let future = folder.path().join("tanks.json.backup.29991231_235959_999999.gz");
    std::fs::write(&future, gzip(b"0")).unwrap();
    // No backup, but in the place of one.
    std::fs::create_dir(folder.path().join("tanks.json.backup.30000101_000000_000000.gz")).unwrap();
    save(&path, "1").unwrap();
    save(&path, "2").unwrap();
    let told = backups(&path);
    assert_eq!(told[0].name, "tanks.json.backup.30000101_000000_000001");
    assert_eq!(read(&path, &told[1]), "0");
}

#[test]
fn what_may_be_the_live_file_is_not_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, &"1".repeat(5000)).unwrap();
    let alias = folder.path().join("tanks.json.backup.20260101_000000_000000");
    std::fs::hard_link(&path, &alias).unwrap();
    assert!(compress(&path).is_empty());
    assert_eq!(names(folder.path()).len(), 2);
    assert_eq!(alias.metadata().unwrap().ino(), path.metadata().unwrap().ino());
}

#[test]
fn both_forms_are_one_backup_and_the_next_change_keeps_the_compressed() {
    for prune in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (path, plain) = with_backup(folder.path(), 5000);
        std::fs::write(compressed(&plain), gzip("1".repeat(5000).as_bytes())).unwrap();
        let told = backups(&path);
        assert_eq!(told.len(), 1);
        assert_eq!(read(&path, &told[0]), "1".repeat(5000));
        // Compression is off: it is finished nevertheless.
        if prune {
            let locked = Session::open(&path, &options(), &Quiet).unwrap();
            assert!(locked.prune(&options()).unwrap().is_empty());
        } else {
            assert!(save(&path, "3").unwrap().warnings.is_empty());
        }
        assert!(!plain.exists());
        assert!(compressed(&plain).exists());
        assert_eq!(read(&path, &told[0]), "1".repeat(5000));
    }
}

#[test]
fn the_plain_form_stays_while_the_compressed_one_is_not_complete() {
    let whole = gzip("1".repeat(5000).as_bytes());
    let (mut flipped, half) = (whole.clone(), whole[..whole.len() / 2].to_vec());
    flipped[whole.len() - 6] ^= 1;
    for broken in [flipped, half, Vec::new(), gzip(b"another")] {
        let folder = tempfile::tempdir().unwrap();
        let (path, plain) = with_backup(folder.path(), 5000);
        std::fs::write(compressed(&plain), &broken).unwrap();
        save(&path, "3").unwrap();
        assert_eq!(content(&plain), "1".repeat(5000));
        // Made anew where compression is on.
        session::save(&path, b"4", &compressing(), &Quiet).unwrap();
        assert!(!plain.exists());
        assert_eq!(read(&path, &backups(&path)[2]), "1".repeat(5000));
    }
}

#[test]
fn what_is_no_gzip_file_is_told_and_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let whole = gzip(b"content");
    let broken = [&whole[..whole.len() - 1], &whole[..10], b"", b"plain text", &whole[1..]];
    for (number, broken) in broken.iter().enumerate() {
        let name = format!("tanks.json.backup.20260101_000000_00000{number}.gz");
        std::fs::write(folder.path().join(name), broken).unwrap();
    }
    let target = target(&path);
    let told = newest_first(&target).unwrap();
    assert_eq!(told.len(), broken.len());
    for backup in &told {
        let refused = Opened::open(&target, backup).unwrap().unwrap().read().unwrap_err();
        assert!(refused.to_string().contains("gunzip of a backup failed"), "{refused}");
    }
}

/// Waits until a compression of `path`'s backup is under route in `folder`.
fn wait_for_temporary(folder: &Path) {
    while temporaries(folder).is_empty() {
        std::thread::yield_now();
    }
}

/// Text that takes the compressor some time, even when built without
/// optimisation, and far more than the calls that are made meanwhile.
fn long() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b' ' + u8::try_from(state >> 24).unwrap() % 90
    };
    (0..8_000_000).map(|_| next()).collect()
}

/// Runs `meanwhile` while a backup is compressed by another thread.
fn during_compression(meanwhile: impl FnOnce(&Path, &Path)) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    session::save(&path, &long(), &options(), &Quiet).unwrap();
    save(&path, "2").unwrap();
    let plain = folder.path().join(&backups(&path)[0].name);
    std::thread::scope(|scope| {
        let compressor = scope.spawn(|| compress(&path));
        wait_for_temporary(folder.path());
        meanwhile(&path, &plain);
        assert_eq!(temporaries(folder.path()).len(), 1, "it was over too soon to tell anything");
        assert!(compressor.join().unwrap().is_empty());
    });
    assert!(temporaries(folder.path()).is_empty());
    (folder, path)
}

#[test]
fn a_backup_pruned_while_it_is_compressed_does_not_come_back() {
    let (folder, _) = during_compression(|path, _| {
        let none = WriteOptions { backups_kept: 0, ..options() };
        Session::open(path, &none, &Quiet).unwrap().prune(&none).unwrap();
    });
    assert_eq!(names(folder.path()), ["tanks.json"]);
}

#[test]
fn a_second_compressor_leaves_it_to_the_first() {
    let (_folder, path) = during_compression(|path, _| {
        assert!(compress(path).is_empty());
    });
    assert_eq!(read(&path, &backups(&path)[0]).as_bytes(), long());
}

#[test]
fn a_save_meanwhile_neither_waits_for_it_nor_sweeps_it() {
    let (_folder, path) = during_compression(|path, plain| {
        // Had it waited for the compression, that would be over.
        let written = session::save(path, b"3", &options(), &Quiet).unwrap();
        assert!(written.warnings.is_empty(), "{:?}", written.warnings);
        assert!(plain.exists());
    });
    let contents: Vec<usize> =
        backups(&path).iter().map(|backup| read(&path, backup).len()).collect();
    assert_eq!(contents, [1, 8_000_000]);
}

#[test]
fn a_backup_opened_before_it_is_compressed_is_read_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = with_backup(folder.path(), 5000);
    let told = backups(&path);
    let target = target(&path);
    let opened = Opened::open(&target, &told[0]).unwrap().unwrap();
    assert!(compress(&path).is_empty());
    assert!(!plain.exists());
    assert_eq!(opened.read().unwrap(), "1".repeat(5000).as_bytes());
    // And found under its new name by what was told before.
    assert_eq!(read(&path, &told[0]), "1".repeat(5000));
}

#[test]
fn a_compression_that_fails_is_a_remark() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = with_backup(folder.path(), 5000);
    std::fs::create_dir(compressed(&plain)).unwrap();
    let written = session::save(&path, b"3", &compressing(), &Quiet).unwrap();
    assert_eq!(written.warnings.len(), 1);
    assert_eq!(content(&plain), "1".repeat(5000));
    assert!(temporaries(folder.path()).is_empty());
}

/// Its compressor was killed: the lock on the plain one died with it.
#[test]
fn a_dead_compressors_temporary_file_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = with_backup(folder.path(), 5000);
    let temp = folder.path().join(".oasis_data/temp/tanks.json.abcdefghijkl");
    File::create(&temp).unwrap().write_all(b"half").unwrap();
    session::save(&path, b"3", &compressing(), &Quiet).unwrap();
    assert!(!temp.exists());
    assert!(!plain.exists());
}

#[test]
fn a_name_that_has_no_room_for_the_compressed_one_is_left_plain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x".repeat(225));
    for round in 0..3 {
        save(&path, &format!("{round}{}", "x".repeat(1000))).unwrap();
    }
    assert!(compress(&path).is_empty());
    let made = backups(&path);
    assert_eq!(made.len(), 2);
    std::fs::remove_file(folder.path().join(&made[0].name)).unwrap();
    assert!(Opened::open(&target(&path), &made[0]).unwrap().is_none());
    // The longest name that has room.
    let path = folder.path().join("x".repeat(255 - ".backup.20200101_000000_000000.gz".len()));
    for round in 0..3 {
        save(&path, &format!("{round}{}", "x".repeat(1000))).unwrap();
    }
    assert!(compress(&path).is_empty());
    assert_eq!(
        backups(&path).iter().map(|backup| backup.compressed).collect::<Vec<_>>(),
        [true; 2]
    );
}
