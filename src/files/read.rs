//! Reads of whole files. A read needs no lock and no right to write.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{self, CWD, FileType, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::engine::signals::Signals;
use crate::error::{Error, Result};
use crate::files::identity::{Identity, Instant};
use crate::files::sys::open;
use crate::files::target::require_regular;

/// The version that stands for "there is no file".
pub const MISSING: &str = "missing";

/// How often a read starts over because the file changed under it.
const READ_ATTEMPTS: usize = 8;

/// A file's content, and what identified it while it was read.
#[derive(Debug)]
pub struct Snapshot {
    /// The whole content.
    pub bytes: Vec<u8>,
    /// The identity before and after the read, taken from the descriptor that was read.
    pub identity: Identity,
    /// Whether the identity was the same before and after the read. Otherwise a program may
    /// have been writing into the file.
    pub stable: bool,
    /// Whether every later change must show in the identity, as long as the clock is
    /// not set back.
    pub past_racy_window: bool,
    /// When the read began.
    pub read_at: Instant,
}

/// Reads the whole file.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::NotAFile`], or a failing syscall.
pub fn read(path: &Path) -> Result<Snapshot> {
    read_opened(CWD, path, path, OFlags::empty())
}

/// Reads the file called `name` in an open folder, but not through a symlink;
/// `path` is how the caller gave it.
///
/// # Errors
///
/// As for [`read`].
pub fn read_at(folder: impl AsFd, name: &Path, path: &Path) -> Result<Snapshot> {
    read_opened(folder, name, path, OFlags::NOFOLLOW)
}

fn read_opened(folder: impl AsFd, name: &Path, path: &Path, follow: OFlags) -> Result<Snapshot> {
    let failed = |call, errno: Errno| Error::syscall(path, call, errno);
    let descriptor = match open::to_read(folder, name, follow) {
        Ok(descriptor) => descriptor,
        Err(Errno::NOENT) => return Err(Error::NotFound { path: path.to_path_buf() }),
        Err(errno) => return Err(failed("open", errno)),
    };
    let look = || Identity::of_open(&descriptor).map_err(|errno| failed("fstat", errno));
    let mut attempt = 1;
    loop {
        // In this order: a change made after these two lines shows in the
        // second look, or in the clock.
        let read_at = Instant::now();
        let (identity, mode) = look()?;
        require_regular(path, mode)?;
        let bytes = read_whole(&descriptor, identity.size())
            .map_err(|error| Error::syscall(path, "read", error))?;
        let stable = look()?.0 == identity;
        if stable || attempt == READ_ATTEMPTS {
            return Ok(Snapshot {
                bytes,
                identity,
                stable,
                // safeguard: no-trust-without-birth-time
                past_racy_window: identity.has_birth() && identity.is_past_racy_window(read_at),
                read_at,
            });
        }
        attempt += 1;
        fs::seek(&descriptor, fs::SeekFrom::Start(0)).map_err(|errno| failed("lseek", errno))?;
    }
}

/// Reads a file to its end, which is probably at `size`, or fails with an error
/// where memory runs out.
///
/// # Errors
///
/// When a read fails, or there is no memory for the content.
pub fn read_whole(file: &File, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // One byte more than the size: a read that leaves this byte free has met the end of the
    // file, and no second read is needed to find the end.
    let room = size.checked_add(1).ok_or(io::ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(room).map_err(|_| io::ErrorKind::OutOfMemory)?;
    loop {
        let count = retry_on_intr(|| rustix::io::read(file, spare_capacity(&mut bytes)))?;
        if count == 0 || bytes.len() == size {
            return Ok(bytes);
        }
        bytes.try_reserve(1).map_err(|_| io::ErrorKind::OutOfMemory)?;
    }
}

/// Reads the pipe that `path`, an open descriptor of this process, leads to, until nobody
/// can write into the pipe any more. A pipe gives its content once, so a cache must not keep
/// it.
///
/// # Errors
///
/// [`Error::NotAFile`] for what is no pipe, [`Error::Interrupted`] for a signal, or a
/// failing syscall.
pub fn read_pipe(path: &Path, signals: &dyn Signals) -> Result<Snapshot> {
    const PIECE: usize = 64 * 1024;
    let failed = |call, errno: Errno| Error::syscall(path, call, errno);
    // Does not wait for a writer, where all writers have closed a named pipe.
    let descriptor =
        open::to_read(CWD, path, OFlags::empty()).map_err(|errno| failed("open", errno))?;
    let read_at = Instant::now();
    let (identity, mode) =
        Identity::of_open(&descriptor).map_err(|errno| failed("fstat", errno))?;
    if FileType::from_raw_mode(mode) != FileType::Fifo {
        require_regular(path, mode)?;
    }
    fs::fcntl_setfl(&descriptor, OFlags::empty()).map_err(|errno| failed("fcntl", errno))?;
    let mut bytes = Vec::new();
    loop {
        bytes.try_reserve(PIECE).map_err(|_| failed("read", Errno::NOMEM))?;
        match rustix::io::read(&descriptor, spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Err(Errno::INTR) if signals.pending() => {
                return Err(Error::Interrupted { path: path.to_path_buf() });
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed("read", errno)),
        }
    }
    Ok(Snapshot { bytes, identity, stable: false, past_racy_window: false, read_at })
}

/// What `path` leads to now, by its `stat`.
///
/// # Errors
///
/// [`Error::NotFound`], or a failing syscall.
pub fn identify(path: &Path) -> Result<Identity> {
    match Identity::at(CWD, path) {
        // By a `stat`, since to open a device may have an effect on it.
        Ok((identity, mode)) => require_regular(path, mode).map(|()| identity),
        Err(Errno::NOENT) => Err(Error::NotFound { path: path.to_path_buf() }),
        Err(errno) => Err(Error::syscall(path, "stat", errno)),
    }
}

/// What `path` leads to now, without a right to read it. Until the descriptor is dropped,
/// its inode number means no other file.
///
/// # Errors
///
/// When it cannot be opened.
pub fn pin(path: &Path) -> rustix::io::Result<(OwnedFd, Identity)> {
    let file = open::to_look_at(CWD, path, OFlags::empty())?;
    let (identity, _) = Identity::of_open(&file)?;
    Ok((file, identity))
}

/// The version of some content: the same for the same bytes, fit for an `ETag`.
#[must_use]
pub fn version_of(bytes: &[u8]) -> String {
    let mut version = blake3::hash(bytes).to_hex().to_string();
    // 128 bits are enough for a digest that guards against accidents.
    version.truncate(32);
    version
}

/// Refuses content, or the lack of content, that is not of the `expected` version.
///
/// # Errors
///
/// [`Error::VersionConflict`].
pub fn require_version(path: &Path, content: Option<&[u8]>, expected: &str) -> Result<()> {
    let found = content.map_or_else(|| MISSING.to_owned(), version_of);
    // safeguard: version-compared
    if found == expected {
        return Ok(());
    }
    let of_content = |version: String| (version != MISSING).then_some(version);
    Err(Error::VersionConflict {
        path: path.to_path_buf(),
        expected: of_content(expected.to_owned()),
        found: of_content(found),
    })
}
