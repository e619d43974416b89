use std::fs::File;

use oasis_data::files::session;

use crate::{Quiet, content, options, save, temporaries};

#[test]
fn a_save_removes_what_dead_writers_of_its_file_left_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let temp = folder.path().join(".oasis_data/temp");
    let others = [
        "tanks.json.short",
        "tanks.json.abcdefghijk!",
        "tanks.json",
        "tanks.json.abcdefghijkl.json",
        "vessels.json.abcdefghijkl",
        "xtanks.json.abcdefghijkl",
    ];
    for name in others {
        std::fs::write(temp.join(name), "theirs").unwrap();
    }
    std::fs::write(temp.join("tanks.json.AAAABBBBCCCC"), "torn").unwrap();
    std::fs::write(temp.join("tanks.json.aaaabbbb1234"), "torn").unwrap();
    save(&path, "2").unwrap();
    let mut expected = others.map(str::to_owned);
    expected.sort();
    assert_eq!(temporaries(folder.path()), expected);
    assert_eq!(content(&path), "2");
}

#[test]
fn a_live_writers_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let name = "tanks.json.abcdefghijkl";
    let live = File::create(folder.path().join(".oasis_data/temp").join(name)).unwrap();
    live.lock().unwrap();
    save(&path, "2").unwrap();
    assert_eq!(temporaries(folder.path()), [name]);
    drop(live);
    save(&path, "3").unwrap();
    assert!(temporaries(folder.path()).is_empty());
}

#[test]
fn what_cannot_be_removed_is_told_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    // A folder opens for reading, and locks, but does not unlink as a file.
    std::fs::create_dir(folder.path().join(".oasis_data/temp/tanks.json.abcdefghijkl")).unwrap();
    let written = save(&path, "2").unwrap();
    assert_eq!(written.warnings.len(), 1);
    assert!(written.warnings[0].to_string().contains("unlink of a leftover"));
    assert_eq!(content(&path), "2");
}

#[test]
fn nothing_is_removed_while_the_file_does_not_parse() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "1").unwrap();
    let name = "tanks.json.abcdefghijkl";
    let leftover = folder.path().join(".oasis_data/temp").join(name);
    std::fs::write(&leftover, "the only good copy").unwrap();
    for act in [|path| save(path, "2"), |path| session::delete(path, &options(), &Quiet)] {
        std::fs::write(&path, "torn").unwrap();
        let written = act(&path).unwrap();
        assert_eq!(content(&leftover), "the only good copy");
        assert_eq!(written.warnings.len(), 1);
        let warning = written.warnings[0].to_string();
        assert!(warning.contains(".oasis_data/temp/tanks.json.abcdefghijkl"), "{warning}");
    }
    // No file is no torn file.
    assert!(save(&path, "3").unwrap().warnings.is_empty());
    assert!(temporaries(folder.path()).is_empty());
}

/// The file is read for the sake of leftovers only.
#[test]
fn a_file_without_leftovers_is_not_parsed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    save(&path, "torn").unwrap();
    assert!(save(&path, "2").unwrap().warnings.is_empty());
}
