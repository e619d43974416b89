//! The folders of a batch: how a journal in one folder leads to another folder, and how a
//! recovery knows that it has come to the right folder.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self, Access, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::files::batch::name::Name;
use crate::files::layout;
use crate::files::sys::open;
use crate::files::target::Target;

/// The route from one folder to another. A relative path where that leads there, so that the
/// batches in a tree go on when the whole tree is moved.
///
/// # Errors
///
/// When the kernel does not tell where the folders are.
pub(crate) fn route(from: &Target, to: &Target) -> Result<Name> {
    let goal = to.folder_key()?;
    if from.folder_key()? == goal {
        return Ok(Name::Text(".".to_owned()));
    }
    let absolute = absolute(to)?;
    let relative = pathdiff::diff_paths(&absolute, self::absolute(from)?);
    for route in relative.into_iter().chain([absolute]) {
        let reached = follow(from, &route).and_then(|reached| reached.folder_key());
        if reached.is_ok_and(|reached| reached == goal) {
            return Ok(Name::from(route.as_os_str()));
        }
    }
    if fs::access("/proc/self/fd", Access::EXISTS).is_err() {
        return Err(without_proc(to, Errno::NOENT));
    }
    Err(to.failed("open of its folder by its full path", Errno::NOENT))
}

/// Follows a route to another folder.
///
/// # Errors
///
/// When it cannot be opened.
pub(crate) fn follow(from: &Target, route: &Path) -> Result<Target> {
    let open = |how| open::folder(&from.folder, route, how);
    let folder = match open(OFlags::empty()) {
        // The right to search the folder is enough to use names in it.
        Err(Errno::ACCESS) => open(OFlags::PATH),
        opened => opened,
    };
    let folder = folder.map_err(|errno| from.failed("open of a folder of its batch", errno))?;
    Ok(Target {
        folder: File::from(folder).into(),
        name: from.name.clone(),
        given_path: if route == Path::new(".") {
            from.given_path.clone()
        } else {
            from.given_path.with_file_name("").join(route).join(&from.name)
        },
    })
}

/// The `folder_id` of a folder, by which the folder is known wherever it is moved or copied:
/// a word in the lock file of its journals. A folder without a `folder_id` gets `new`. To be
/// called under the lock of the journals.
///
/// # Errors
///
/// When the lock file cannot be read or written.
pub(crate) fn folder_id(target: &Target, new: &str, sync: bool) -> Result<String> {
    if let Some(known) = folder_id_of(target)? {
        return Ok(known);
    }
    let failed = |call, errno: Errno| target.failed(call, errno);
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(&target.folder, layout::JOURNAL_LOCK, flags, Mode::empty())
        .map(File::from)
        .map_err(|errno| failed("open of .oasis_data/journal.lock", errno))?;
    file.write_all_at(format!("{new}\n").as_bytes(), 0)
        .map_err(|error| target.failed("write of .oasis_data/journal.lock", error))?;
    if sync {
        // safeguard: folder-id-sync
        fs::fsync(&file).map_err(|errno| failed("fsync of .oasis_data/journal.lock", errno))?;
    }
    Ok(new.to_owned())
}

/// The `folder_id` of a folder; nothing where none was written, or not completely.
pub(crate) fn folder_id_of(target: &Target) -> Result<Option<String>> {
    let file = match target.open_to_read(layout::JOURNAL_LOCK) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(target.failed("open of .oasis_data/journal.lock", errno)),
    };
    let mut text = Vec::new();
    (&file)
        .read_to_end(&mut text)
        .map_err(|error| target.failed("read of .oasis_data/journal.lock", error))?;
    // The first line only: the words for those who wait for the lock stand behind it.
    // safeguard: folder-id-beside-words
    let first_line = text.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
    let folder_id = first_line.strip_suffix(b"\n").filter(|word| {
        let whole = word.iter().all(u8::is_ascii_alphanumeric);
        whole && !word.is_empty()
    });
    Ok(folder_id.and_then(|word| String::from_utf8(word.to_vec()).ok()))
}

/// The full path of the target's folder.
fn absolute(target: &Target) -> Result<PathBuf> {
    match open::path_of(&target.folder) {
        Ok(path) => Ok(PathBuf::from(OsString::from_vec(path.into_bytes()))),
        // Without /proc (in a chroot, say), by the path that the caller gave. Where that leads
        // elsewhere by now, the comparison of the folders finds out.
        // safeguard: route-without-proc
        Err(errno) => by_given_path(target).map_err(|_| without_proc(target, errno)),
    }
}

fn by_given_path(target: &Target) -> std::io::Result<PathBuf> {
    let given = &target.given_path;
    // A symlink to the file leads to another folder.
    let file = std::fs::canonicalize(given).or_else(|_| {
        let folder = given.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::canonicalize(folder.unwrap_or(Path::new("."))).map(|folder| folder.join("file"))
    })?;
    Ok(file.parent().unwrap_or(Path::new("/")).to_path_buf())
}

fn without_proc(target: &Target, errno: Errno) -> Error {
    Error::Syscall {
        path: target.given_path.clone(),
        call: "readlink of its folder in /proc",
        // Not the errno itself: by ENOENT the error would say that the caller's folder is
        // missing.
        source: std::io::Error::other(errno.to_string()),
        hint: "; a batch over several folders needs /proc to find the way from one to the \
               other: mount it (mount -t proc proc /proc), or save these files one by one"
            .to_owned(),
    }
}
