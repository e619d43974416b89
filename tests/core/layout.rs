use std::ffi::OsStr;
use std::path::Path;

use chrono::{NaiveDate, NaiveDateTime};
use oasis_data::files::layout;

fn stamp(year: i32, microseconds: u32) -> NaiveDateTime {
    let day = NaiveDate::from_ymd_opt(year, 12, 31).unwrap();
    day.and_hms_micro_opt(23, 59, 59, microseconds).unwrap()
}

/// The file and the stamp that the name of a backup tells.
fn parse(name: &str) -> Option<(&str, NaiveDateTime)> {
    let (file, stamp) = layout::split_backup(layout::plain_backup(OsStr::new(name)))?;
    Some((file.to_str()?, layout::parse_stamp(stamp)?))
}

#[test]
fn each_name_is_where_earlier_releases_look_for_it() {
    let name = OsStr::new("tanks.json");
    assert_eq!(layout::lock(name), Path::new(".oasis_data/locks/tanks.json.lock"));
    let new = layout::new_lock(&layout::lock(name));
    assert_eq!(new, Path::new(".oasis_data/locks/tanks.json.lock.new"));
    assert_eq!(layout::stem_of_lock(OsStr::new("tanks.json.lock")), Some(name));
    assert_eq!(layout::stem_of_lock(new.file_name().unwrap()), None);
    assert_eq!(layout::temporary_prefix(name), "tanks.json.");
    let temporary = layout::in_temp(Path::new("/tanks.json.AbCdEf123456"));
    assert_eq!(temporary, Path::new(".oasis_data/temp/tanks.json.AbCdEf123456"));
    assert_eq!(layout::copy_beside_data(&temporary), Path::new(".tanks.json.AbCdEf123456"));
    assert_eq!(layout::JOURNAL_LOCK, ".oasis_data/journal.lock");
    assert_eq!(layout::journal(0), ".oasis_data/journal");
    assert_eq!(layout::journal(12), ".oasis_data/journal.12");
    assert_eq!((layout::SYNC_STAMP_PLACE, layout::INDEX_PLACE), (0, 256));
}

#[test]
fn a_long_name_has_a_digest_for_its_stem() {
    let longest = "n".repeat(200);
    assert_eq!(layout::stem(OsStr::new(&longest)), Path::new(&longest));
    let stem = layout::stem(OsStr::new(&format!("{longest}n")));
    assert_eq!(stem.as_os_str().len(), 64);
    assert_ne!(stem, layout::stem(OsStr::new(&format!("{longest}m"))));
}

#[test]
fn a_temporary_file_is_of_one_data_file() {
    let is_of = |name, stem| layout::is_temporary_of(OsStr::new(name), OsStr::new(stem));
    assert!(is_of("a.AbCdEf123456", "a"));
    assert!(is_of("a.json.AbCdEf123456", "a.json"));
    for other in ["a", "a.", "a.AbCdEf12345", "a.AbCdEf1234567", "a.AbCdEf12345!", "aAbCdEf1234567"]
    {
        assert!(!is_of(other, "a"), "{other}");
    }
    assert!(!is_of("a.json.AbCdEf123456", "a"));
}

#[test]
fn the_stem_of_a_temporary_file_is_the_name_of_a_data_file_or_its_digest() {
    let stem_of = |name| layout::stem_of_temporary(OsStr::new(name));
    assert_eq!(stem_of("a.json.AbCdEf123456"), Some(OsStr::new("a.json")));
    for other in [".AbCdEf123456", "a.json.AbCdEf12345", "AbCdEf123456", "a."] {
        assert_eq!(stem_of(other), None, "{other}");
    }
    let is_digest = |stem: &str| layout::is_digest(OsStr::new(stem));
    assert!(is_digest(&"0a".repeat(32)));
    assert!(!is_digest(&"0a".repeat(31)));
    assert!(!is_digest(&"0g".repeat(32)));
    assert!(!is_digest("tanks.json"));
}

#[test]
fn the_names_of_a_sidecar_are_known() {
    let known = [
        ".",
        "..",
        ".gitignore",
        "locks",
        "temp",
        "journal",
        "journal.3",
        "journal.lock",
        "tanks.json.lock",
        "tanks.json.lock.new",
        "tanks.json.group",
        "tanks.json.group.new",
        "tanks.json.AbCdEf123456",
    ];
    for name in known {
        assert!(layout::is_name_of_sidecar(name.as_bytes()), "{name}");
    }
    for name in ["tanks.json", ".git", "lock", "id_rsa", "new", "a.new", "x.AbCdEf12345"] {
        assert!(!layout::is_name_of_sidecar(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_backup_name_is_read_as_it_was_made() {
    for (year, text) in [(1, "0001"), (2026, "2026"), (9998, "9998")] {
        let stamp = stamp(year, 7);
        let plain = layout::backup(OsStr::new("a.backup.b"), stamp);
        assert_eq!(plain, *format!("a.backup.b.backup.{text}1231_235959_000007"));
        assert_eq!(parse(plain.to_str().unwrap()), Some(("a.backup.b", stamp)));
        assert_eq!(layout::stamp_text(&plain), format!("{text}1231_235959_000007"));
        let compressed = layout::compressed_backup(&plain);
        assert_eq!(compressed, *format!("a.backup.b.backup.{text}1231_235959_000007.gz"));
        assert_eq!(layout::plain_backup(&compressed), plain);
        assert_eq!(parse(compressed.to_str().unwrap()), Some(("a.backup.b", stamp)));
    }
}

#[test]
fn names_of_others_are_no_backups() {
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
        "a20260101_000000_000000",
    ];
    for name in others {
        assert_eq!(parse(name), None, "{name}");
    }
}

#[test]
fn the_next_stamp_is_one_that_a_name_can_have() {
    assert_eq!(layout::next_stamp(stamp(2026, 7)), Some(stamp(2026, 8)));
    assert_eq!(layout::next_stamp(stamp(9998, 999_999)), None);
    assert!(layout::is_stamp(&stamp(9998, 0)) && !layout::is_stamp(&stamp(9999, 0)));
}

#[test]
fn a_name_has_room_for_the_name_of_its_backup() {
    let room = |length| layout::has_room_for_backup(OsStr::new(&"n".repeat(length)));
    assert!(room(225) && !room(226));
}

#[test]
fn the_lock_of_a_group_is_the_lock_of_no_data_file() {
    let of_group = layout::group_lock(OsStr::new("tanks.json"));
    assert_eq!(of_group, Path::new(".oasis_data/locks/tanks.json.group"));
    let name = of_group.file_name().unwrap();
    assert!(layout::is_lock(name) && layout::stem_of_lock(name).is_none());
    // Not even of a data file that is called like it.
    assert_ne!(layout::lock(name), of_group);
}
