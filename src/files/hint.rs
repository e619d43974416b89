//! Errors of syscalls, each with a hint: what a person can do about this errno of this call.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use crate::error::{
    Error, LOCK_CALL, OPEN_FOLDER, OPEN_LOCK, OPEN_REPLACED, QUEUE_CALL, RENAME, RENAME_OF_BATCH,
    UNLINK, is_without_sync,
};
use crate::files::layout;
use crate::files::sys::stat;

/// The calls that read a file.
const READING: [&str; 4] = ["stat", "open", "read", OPEN_REPLACED];

impl Error {
    /// A failed syscall on `path`, with a hint where the errno has one.
    pub fn syscall(path: &Path, call: &'static str, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let hint = hint(path, call, &source);
        Self::Syscall { path: path.to_path_buf(), call, source, hint }
    }
}

fn hint(path: &Path, call: &str, source: &io::Error) -> String {
    let advice = match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC) => return no_space(path, call),
        Some(Errno::DQUOT) => {
            "; the quota of its user, group or project on its file system is used up: remove files there or have it raised (see quota -s), then save again"
        }
        Some(Errno::BUSY) if [RENAME, RENAME_OF_BATCH, UNLINK].contains(&call) => {
            "; it is mounted by itself (into a container, say), so that it can neither be replaced nor removed: mount its folder instead"
        }
        Some(errno) if call.starts_with("fsync") && is_without_sync(errno) => {
            "; its file system has no such sync (some network and shared ones have none)"
        }
        Some(Errno::ACCESS | Errno::PERM) if READING.contains(&call) => {
            "; check the owner and the mode of the file and of the folders above it"
        }
        Some(Errno::PERM) => return marked(path),
        Some(Errno::ACCESS) => {
            "; check the owner and the mode of its folder and of the .oasis_data in it"
        }
        Some(Errno::ROFS) => {
            "; its file system is mounted read-only: remount it, or save elsewhere"
        }
        Some(Errno::FBIG) => "; it is larger than a file may be there (see ulimit -f)",
        Some(Errno::LOOP) => "; its symlinks lead in a circle: look at them with ls -l",
        Some(Errno::NOENT) if call == OPEN_FOLDER => "; check the path, or create the folder first",
        Some(Errno::NOENT) if path.as_os_str().is_empty() => "; the path is empty",
        Some(Errno::NOTDIR) if call == OPEN_LOCK => {
            "; something that is no folder has the name .oasis_data: move it away"
        }
        Some(Errno::NOTDIR) => "; a part of the path is a file, not a folder",
        Some(Errno::MFILE | Errno::NFILE) => {
            "; too many files are open: raise the limit (ulimit -n), or look for what leaves them open (ls -l /proc/PID/fd)"
        }
        Some(Errno::NAMETOOLONG) => "; shorten it: a backup's name is 30 bytes longer",
        Some(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL)
            if [LOCK_CALL, QUEUE_CALL].contains(&call) =>
        {
            "; its file system or kernel has no such locks: keep the file on a local disk"
        }
        Some(Errno::IO) => "; the disk reported an error: look at the kernel's log",
        Some(Errno::INVAL) if path.as_os_str().as_encoded_bytes().contains(&0) => {
            "; the path contains a null byte"
        }
        _ => "",
    };
    advice.to_owned()
}

/// The hint for `ENOSPC`: the file system has no bytes left, or no inode for a new file.
fn no_space(path: &Path, call: &str) -> String {
    let Ok(system) = rustix::fs::statvfs(folder_of(path)) else {
        return "; free some space on its file system, then save again".to_owned();
    };
    let bytes = system.f_bavail.saturating_mul(system.f_frsize);
    let makes_a_file =
        ["open", "mkdir", "link", "rename"].iter().any(|made| call.starts_with(made));
    // A file system without a table of inodes has a count of zero.
    if makes_a_file && bytes > 0 && system.f_files > 0 && system.f_favail == 0 {
        return "; its file system has no inode left for a new file (see df -i): remove files there, then save again".to_owned();
    }
    format!("; {bytes} bytes are free on its file system: free some, then save again")
}

/// The hint for `EPERM`, by which the kernel says that a file or a folder is immutable or
/// append-only: not even the owner or root may change it.
fn marked(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let folder = folder_of(&path);
    let in_sidecar = [layout::FOLDER, layout::TEMP, layout::LOCKS]
        .map(|part| (folder.join(part), format!("the {part} in its folder")));
    let places = [(path.as_path(), "it"), (folder, "its folder")]
        .into_iter()
        .chain(in_sidecar.iter().map(|(place, what)| (place.as_path(), what.as_str())));
    for (place, what) in places {
        let mark = match stat::marks(CWD, place, AtFlags::empty()) {
            Some(marks) if marks.is_immutable => Some(("immutable", 'i')),
            Some(marks) if marks.is_append_only => Some(("append-only", 'a')),
            _ => None,
        };
        if let Some((called, letter)) = mark {
            return format!(
                "; {what} is {called}, for root too (see lsattr): take that off with chattr -{letter}"
            );
        }
    }
    "; check the owner and the mode of its folder and of the .oasis_data in it, and with lsattr whether anything there is immutable or append-only".to_owned()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
