//! Locks of the kernel: `flock` on a whole file, through fs2, and locks on single bytes of the
//! same file, for those who wait. The two kinds do not see each other, so one descriptor
//! serves for both.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{self, Stat};

/// Takes the lock of a file, if nobody holds it.
///
/// # Errors
///
/// An error that [`is_contended`] where somebody holds the lock, or that of the `flock`.
pub(crate) fn try_exclusive(file: &File) -> io::Result<()> {
    fs2::FileExt::try_lock_exclusive(file)
}

/// The same beside others who take the lock in this way.
///
/// # Errors
///
/// As for [`try_exclusive`].
pub(crate) fn try_shared(file: &File) -> io::Result<()> {
    fs2::FileExt::try_lock_shared(file)
}

/// Releases the lock of a file.
///
/// # Errors
///
/// When the `flock` fails.
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    fs2::FileExt::unlock(file)
}

/// Whether an error says that somebody holds the lock.
pub(crate) fn is_contended(error: &io::Error) -> bool {
    // safeguard: only-would-block-is-contention
    error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}

/// The byte that whoever is the next to get the lock has locked alone: the queue.
const QUEUE: Range<libc::off_t> = 0..1;
/// The byte that all who wait have locked together: the line for the queue.
const LINE: Range<libc::off_t> = 1..2;
const BOTH: Range<libc::off_t> = QUEUE.start..LINE.end;

/// Enters the queue for the lock of a file, if nobody is in it.
///
/// # Errors
///
/// An error that [`is_contended`] where somebody is in the queue, or that of the `fcntl`.
pub(crate) fn enter_queue(file: &File) -> io::Result<()> {
    fcntl(file, libc::F_OFD_SETLK, libc::F_WRLCK, QUEUE).map(drop)
}

/// Joins those who wait for the queue.
///
/// # Errors
///
/// When the `fcntl` fails.
pub(crate) fn join_line(file: &File) -> io::Result<()> {
    fcntl(file, libc::F_OFD_SETLK, libc::F_RDLCK, LINE).map(drop)
}

/// Leaves the queue and the line.
///
/// # Errors
///
/// When the `fcntl` fails.
pub(crate) fn leave_queue_and_line(file: &File) -> io::Result<()> {
    fcntl(file, libc::F_OFD_SETLK, libc::F_UNLCK, BOTH).map(drop)
}

/// Whether somebody else waits for the lock of a file. The kernel drops the locks of a waiter
/// that dies, so a dead waiter is none.
///
/// # Errors
///
/// When the `fcntl` fails.
pub(crate) fn is_awaited(file: &File) -> io::Result<bool> {
    is_locked_by_another(file, BOTH)
}

/// Whether somebody else is in the queue.
///
/// # Errors
///
/// When the `fcntl` fails.
pub(crate) fn is_in_queue(file: &File) -> io::Result<bool> {
    is_locked_by_another(file, QUEUE)
}

/// Whether somebody else is in the line, or in the queue, which is entered from the line.
///
/// # Errors
///
/// When the `fcntl` fails.
pub(crate) fn is_in_line(file: &File) -> io::Result<bool> {
    is_locked_by_another(file, LINE)
}

fn is_locked_by_another(file: &File, bytes: Range<libc::off_t>) -> io::Result<bool> {
    let found = fcntl(file, libc::F_OFD_GETLK, libc::F_WRLCK, bytes)?;
    Ok(i32::from(found.l_type) != libc::F_UNLCK)
}

#[allow(clippy::cast_possible_truncation, reason = "these constants are single digits")]
#[allow(unsafe_code, reason = "rustix has no locks of open file descriptions")]
fn fcntl(
    file: &File,
    command: i32,
    kind: i32,
    Range { start, end }: Range<libc::off_t>,
) -> io::Result<libc::flock> {
    let (l_type, l_whence) = (kind as i16, libc::SEEK_SET as i16);
    let mut bytes = libc::flock { l_type, l_whence, l_start: start, l_len: end - start, l_pid: 0 };
    // SAFETY: the descriptor is open as long as `file` is borrowed. The kernel reads and
    // writes `bytes`, which lives until the call returns.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut bytes) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(bytes) }
}

/// The process that holds the `flock` of `file`, from the kernel's own list: nothing has to
/// be written into the lock file, and nothing there can be stale. A descriptor with `O_PATH`
/// is enough. Nothing where there is no /proc.
pub(crate) fn holder(file: impl AsFd) -> Option<u32> {
    let stat = fs::fstat(file).ok()?;
    // The kernel gives the list out page by page, and can leave out a line when an earlier
    // lock is released between two pages.
    (0..3).find_map(|_| listed_holder(&std::fs::read_to_string("/proc/locks").ok()?, &stat))
}

/// The holder in the `list`. Where `stat` and the list have different numbers for a device
/// (btrfs), the inode alone decides.
fn listed_holder(list: &str, stat: &Stat) -> Option<u32> {
    let device = format!("{:02x}:{:02x}", fs::major(stat.st_dev), fs::minor(stat.st_dev));
    let mut same_inode = None;
    for line in list.lines() {
        // 1: FLOCK  ADVISORY  WRITE 1234 fd:01:131091 0 EOF
        let mut fields = line.split_whitespace().skip(1);
        if fields.next() != Some("FLOCK") {
            continue;
        }
        let Some(pid) = fields.nth(2).and_then(|pid| pid.parse().ok()) else { continue };
        let Some((on, inode)) = fields.next().and_then(|place| place.rsplit_once(':')) else {
            continue;
        };
        if inode.parse() == Ok(stat.st_ino) {
            if on == device {
                return Some(pid);
            }
            same_inode = Some(pid);
        }
    }
    same_inode
}
