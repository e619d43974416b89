use std::path::{Path, PathBuf};
use std::sync::Arc;

use oasis_data::cache::{Cache, Entry};
use oasis_data::engine::{Engine, Key, Stamp, WriteOptions};

use crate::{Quiet, options};

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn entry(&self, name: &str, size: u64) -> Arc<Entry<Key, Stamp, String>> {
        let path = self.path(name);
        let anew = WriteOptions { skip_unchanged: false, ..options() };
        Engine::Files.save(&path, b"1", &anew, &Quiet).unwrap();
        entry_of(&path, size)
    }
}

fn entry_of(path: &Path, size: u64) -> Arc<Entry<Key, Stamp, String>> {
    let stamp = Engine::Files.stamp(path).unwrap();
    Arc::new(Entry { key: stamp.key(), stamp, value: path.display().to_string(), size })
}

#[test]
fn the_least_recently_used_goes_first() {
    let files = Files::new();
    let mut cache = Cache::default();
    let entries: Vec<_> =
        ["a", "b", "c"].map(|name| (files.path(name), files.entry(name, 1))).into();
    for (path, entry) in &entries[..2] {
        assert!(cache.insert(path, Arc::clone(entry), 2, 100).is_empty());
    }
    assert!(cache.get(entries[0].1.key).is_some());
    let evicted = cache.insert(&entries[2].0, Arc::clone(&entries[2].1), 2, 100);
    assert_eq!(evicted.len(), 1);
    assert_eq!(evicted[0].value, entries[1].1.value);
    assert!(cache.get(entries[1].1.key).is_none());
    assert!(!cache.is_empty());
    assert_eq!((cache.len(), cache.bytes()), (2, 2));
}

#[test]
fn bytes_are_bounded_and_what_is_larger_than_the_bound_is_not_kept() {
    let files = Files::new();
    let mut cache = Cache::default();
    for name in ["a", "b", "c"] {
        let _ = cache.insert(&files.path(name), files.entry(name, 40), 100, 100);
    }
    assert_eq!((cache.len(), cache.bytes()), (2, 80));
    let _ = cache.insert(&files.path("d"), files.entry("d", 101), 100, 100);
    assert_eq!((cache.len(), cache.bytes()), (2, 80));
    assert_eq!(cache.shrink(1, 100).len(), 1);
    assert_eq!(cache.clear().len(), 1);
    assert!(cache.is_empty());
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn a_replaced_files_entry_leaves_when_its_path_is_loaded_again() {
    let files = Files::new();
    let mut cache = Cache::default();
    let path = files.path("a");
    let old = files.entry("a", 1);
    let _ = cache.insert(&path, Arc::clone(&old), 10, 100);
    let new = files.entry("a", 1);
    assert_ne!(old.key, new.key);
    let evicted = cache.insert(&path, new, 10, 100);
    assert_eq!(evicted.len(), 1);
    assert!(cache.get(old.key).is_none());
    assert_eq!(cache.remove_path(&path).len(), 1);
    assert!(cache.is_empty());
}

#[test]
fn an_entry_under_a_key_used_again_takes_the_place_of_the_one_before() {
    let files = Files::new();
    let mut cache = Cache::default();
    let [gone, new] = ["gone", "new"].map(|name| files.path(name));
    let old = files.entry("gone", 1);
    let _ = cache.insert(&gone, Arc::clone(&old), 10, 100);
    // The same file by another path: what a number that came back looks like.
    std::fs::rename(&gone, &new).unwrap();
    let evicted = cache.insert(&new, entry_of(&new, 2), 10, 100);
    assert_eq!(evicted.len(), 1);
    assert!(Arc::ptr_eq(&evicted[0], &old));
    assert_eq!((cache.len(), cache.bytes()), (1, 2));
    // What the first path led to is known no more.
    assert!(cache.remove_path(&gone).is_empty());
    assert_eq!(cache.remove_path(&new).len(), 1);
}

#[test]
fn a_corrupt_file_is_known_until_it_is_read_as_a_document() {
    let files = Files::new();
    let mut cache = Cache::<Key, Stamp, String>::default();
    let key = files.entry("a", 1).key;
    let now = Engine::Files.stamp(&files.path("a")).unwrap().key();
    cache.remember_corrupt(key, true);
    assert!(cache.was_corrupt(now));
    cache.remember_corrupt(key, false);
    assert!(!cache.was_corrupt(now));
}

#[test]
fn what_an_entry_has_grown_by_counts_until_it_goes() {
    let files = Files::new();
    let mut cache = Cache::default();
    let [a, b] = ["a", "b"].map(|name| files.entry(name, 40));
    let _ = cache.insert(&files.path("a"), Arc::clone(&a), 100, 100);
    let _ = cache.insert(&files.path("b"), Arc::clone(&b), 100, 100);
    assert!(cache.grow(&b, 20, 100, 100).is_empty());
    assert_eq!(cache.bytes(), 100);

    // Over the limit together: the other one goes.
    let evicted = cache.grow(&b, 10, 100, 100);
    assert_eq!((evicted.len(), cache.bytes()), (1, 70));
    assert_eq!(evicted[0].value, a.value);
    // One that is not there any more, or another one in its place.
    assert!(cache.grow(&a, 1_000, 100, 100).is_empty());
    assert!(cache.grow(&entry_of(&files.path("b"), 40), 1_000, 100, 100).is_empty());
    assert_eq!(cache.bytes(), 70);

    // Over the limit alone: it goes, and nobody else.
    let _ = cache.insert(&files.path("a"), Arc::clone(&a), 100, 200);
    assert_eq!(cache.grow(&b, 50, 100, 110).len(), 1);
    assert_eq!((cache.len(), cache.bytes()), (1, 40));
    assert!(cache.remove(a.key).is_some());
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn an_entry_just_as_large_as_the_limit_is_kept_and_may_grow_to_it() {
    let files = Files::new();
    let mut cache = Cache::default();
    let path = files.path("a");
    let _ = cache.insert(&path, files.entry("a", 100), 10, 100);
    assert_eq!((cache.len(), cache.bytes()), (1, 100));
    let smaller = files.entry("a", 60);
    let _ = cache.insert(&path, Arc::clone(&smaller), 10, 100);
    assert!(cache.grow(&smaller, 40, 10, 100).is_empty());
    assert_eq!((cache.len(), cache.bytes()), (1, 100));
    assert_eq!(cache.grow(&smaller, 1, 10, 100).len(), 1);
    assert!(cache.is_empty());
}
