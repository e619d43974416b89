//! States of several documents: what is seen, and when it has to be looked at again.

use std::path::PathBuf;
use std::time::Duration;

use oasis_data::documents::watch::{look, may_differ, wait};
use oasis_data::engine::{Engine, Instant, MISSING, version_of};

use crate::documents::Texts;
use crate::{Quiet, options, save};

fn two() -> (tempfile::TempDir, [PathBuf; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["tanks.json", "vessels.json"].map(|name| folder.path().join(name));
    (folder, paths)
}

/// The versions, and whether a look is worth while right after it.
fn versions(paths: &[PathBuf]) -> (Vec<String>, bool) {
    let seen = look(Texts, paths, &[], Duration::ZERO).ok().unwrap();
    let versions = seen.iter().map(|seen| seen.version.clone()).collect();
    (versions, may_differ(Texts, paths, &seen))
}

#[test]
fn a_state_has_a_version_for_what_is_missing_and_for_what_is_torn() {
    let (_folder, paths) = two();
    assert_eq!(versions(&paths), (vec![MISSING.to_owned(), MISSING.to_owned()], false));
    save(&paths[0], "torn").unwrap();
    // Saved just now: a second save could bear the same stamps.
    assert_eq!(versions(&paths), (vec![version_of(b"torn"), MISSING.to_owned()], true));
}

#[test]
fn what_is_past_its_racy_window_is_trusted_until_it_changes() {
    let (_folder, paths) = two();
    save(&paths[0], "old").unwrap();
    while !Engine::Files.stamp(&paths[0]).unwrap().is_past_racy_window(Instant::now()) {
        std::thread::yield_now();
    }
    let seen = look(Texts, &paths, &[], Duration::ZERO).ok().unwrap();
    assert!(!may_differ(Texts, &paths, &seen));
    save(&paths[1], "new").unwrap();
    assert!(may_differ(Texts, &paths, &seen));
    let again = look(Texts, &paths, &seen, Duration::ZERO).ok().unwrap();
    assert_eq!(again[0].version, seen[0].version);
    assert_eq!(again[1].version, version_of(b"new"));
    // By hand, with as many bytes and the time of the old content.
    let file = std::fs::File::options().write(true).open(&paths[0]).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    std::fs::write(&paths[0], "odd").unwrap();
    file.set_modified(time).unwrap();
    assert!(may_differ(Texts, &paths, &again));
    let last = look(Texts, &paths, &again, Duration::ZERO).ok().unwrap();
    assert_eq!(last[0].version, version_of(b"odd"));
    Engine::Files.delete(&paths[0], &options(), &Quiet).unwrap();
    assert!(may_differ(Texts, &paths, &last));
    assert_eq!(look(Texts, &paths, &last, Duration::ZERO).ok().unwrap()[0].version, MISSING);
}

#[test]
fn a_wait_ends_with_a_change_or_the_timeout() {
    let (_folder, paths) = two();
    let seen = look(Texts, &paths, &[], Duration::ZERO).ok().unwrap();
    let interval = Duration::from_millis(1);
    wait(Texts, &paths, &seen, interval, Duration::from_millis(5)).unwrap();
    assert!(!may_differ(Texts, &paths, &seen));
    std::thread::scope(|scope| {
        scope.spawn(|| save(&paths[1], "new").unwrap());
        wait(Texts, &paths, &seen, interval, Duration::MAX).unwrap();
    });
    assert!(may_differ(Texts, &paths, &seen));
}
