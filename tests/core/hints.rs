//! What a person is told to do about an errno of a call.

use std::path::Path;

use oasis_data::error::{
    Error, LOCK_CALL, OPEN_FOLDER, OPEN_LOCK, OPEN_REPLACED, QUEUE_CALL, RENAME, RENAME_OF_BATCH,
    UNLINK,
};
use rustix::io::Errno;

#[test]
fn an_errno_has_the_hint_of_its_call() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("tanks.json");
    let mounted = "it is mounted by itself";
    let without_sync = "its file system has no such sync";
    let mode_of_file = "check the owner and the mode of the file and of the folders above it";
    let mode_of_folder = "check the owner and the mode of its folder";
    let without_locks = "its file system or kernel has no such locks";
    for (call, errno, hint) in [
        (RENAME, Errno::BUSY, mounted),
        (RENAME_OF_BATCH, Errno::BUSY, mounted),
        (UNLINK, Errno::BUSY, mounted),
        ("open", Errno::BUSY, ""),
        ("fsync", Errno::INVAL, without_sync),
        ("fsync of its folder", Errno::OPNOTSUPP, without_sync),
        ("fsync", Errno::IO, "the disk reported an error"),
        ("read", Errno::INVAL, ""),
        ("stat", Errno::ACCESS, mode_of_file),
        ("open", Errno::PERM, mode_of_file),
        (OPEN_REPLACED, Errno::ACCESS, mode_of_file),
        (RENAME, Errno::ACCESS, mode_of_folder),
        (RENAME, Errno::ROFS, "mounted read-only"),
        (RENAME, Errno::DQUOT, "the quota of its user"),
        ("write", Errno::FBIG, "larger than a file may be"),
        ("open", Errno::LOOP, "its symlinks lead in a circle"),
        (OPEN_FOLDER, Errno::NOENT, "create the folder first"),
        ("open", Errno::NOENT, ""),
        (OPEN_LOCK, Errno::NOTDIR, "something that is no folder has the name .oasis_data"),
        ("open", Errno::NOTDIR, "a part of the path is a file"),
        ("open", Errno::MFILE, "too many files are open"),
        (RENAME, Errno::NAMETOOLONG, "shorten it"),
        (LOCK_CALL, Errno::NOLCK, without_locks),
        (QUEUE_CALL, Errno::INVAL, without_locks),
        ("open", Errno::NOSYS, ""),
    ] {
        assert_hint(&here, call, errno, hint);
    }
    assert_hint(Path::new(""), "open", Errno::NOENT, "the path is empty");
    assert_hint(Path::new("a\0b"), "open", Errno::INVAL, "the path contains a null byte");
}

#[test]
fn a_full_file_system_says_how_many_bytes_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("tanks.json");
    // There are inodes: the lack is one of bytes, whatever the call.
    for call in ["open", "mkdir", "write", RENAME] {
        assert_hint(&here, call, Errno::NOSPC, " bytes are free on its file system");
    }
    assert_hint(Path::new("tanks.json"), "write", Errno::NOSPC, " bytes are free on its file");
    assert_hint(&here.join("none/x.json"), "open", Errno::NOSPC, "free some space");
}

/// The hint stands at the end; without one the message ends with what the kernel said.
fn assert_hint(path: &Path, call: &'static str, errno: Errno, hint: &str) {
    let Error::Syscall { hint: given, .. } = Error::syscall(path, call, errno) else {
        panic!("an error of another kind")
    };
    let fits = if hint.is_empty() { given.is_empty() } else { given.contains(hint) };
    assert!(fits, "{call}: {errno}: {given:?}, not {hint:?}");
}
