use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use oasis_data::files::lease::Lease;
use oasis_data::files::live::Live;
use oasis_data::files::target::Target;

use crate::open_at_once;

/// A lease on a new file in the folder.
fn lease(folder: &Path) -> (std::path::PathBuf, Lease) {
    let path = folder.join("tanks.json");
    std::fs::write(&path, "1").unwrap();
    let (target, live) = opened(&path);
    let lease = Lease::take(&target, &live).unwrap();
    assert!(lease.is_unchanged());
    (path, lease)
}

fn opened(path: &Path) -> (Target, Arc<Live>) {
    let target = Target::resolve(path, false).unwrap();
    let live = Live::open(&target, "open").unwrap();
    (target, Arc::new(live))
}

#[test]
fn a_file_that_somebody_can_write_into_has_no_lease() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    let _writer = File::create(&path).unwrap();
    let (target, live) = opened(&path);
    assert!(Lease::take(&target, &live).is_none());
}

/// Another program puts another file in the place of the file that a save has opened.
#[test]
fn a_file_that_has_lost_its_name_has_no_lease() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("tanks.json"), folder.path().join("other"));
    std::fs::write(&path, "1").unwrap();
    let (target, live) = opened(&path);
    std::fs::write(&other, "2").unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert!(Lease::take(&target, &live).is_none());
    std::fs::remove_file(&path).unwrap();
    assert!(Lease::take(&target, &live).is_none());
}

#[test]
fn a_lease_tells_whether_the_file_was_changed_since_it_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanks.json");
    std::fs::write(&path, "1").unwrap();
    let (target, live) = opened(&path);
    std::fs::write(&path, "longer").unwrap();
    assert!(!Lease::take(&target, &live).unwrap().is_unchanged());
}

#[test]
fn a_lease_that_nobody_waits_for_is_released_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lease) = lease(folder.path());
    lease.end(|| panic!("nobody waits"));
    open_at_once(&path).unwrap();
}

#[test]
fn who_waits_comes_after_what_is_to_be_first() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lease) = lease(folder.path());
    assert!(open_at_once(&path).is_err());
    let mut first = false;
    lease.end(|| first = open_at_once(&path).is_err());
    assert!(first);
    open_at_once(&path).unwrap();
}

/// A child that was forked past the handlers shares the description.
#[test]
#[allow(unsafe_code, reason = "a second descriptor of one description")]
fn a_shared_descriptor_keeps_no_lease() {
    let folder = tempfile::tempdir().unwrap();
    let (path, lease) = lease(folder.path());
    let number = std::fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let leads = std::fs::read_link(entry.path()).ok()?;
        (leads == path).then(|| entry.file_name().to_str().unwrap().parse().unwrap())
    });
    // SAFETY: the lease has the descriptor open.
    let shared = unsafe { BorrowedFd::borrow_raw(number.unwrap()) }.try_clone_to_owned().unwrap();
    assert!(open_at_once(&path).is_err());
    drop(lease);
    open_at_once(&path).unwrap();
    drop(shared);
}
