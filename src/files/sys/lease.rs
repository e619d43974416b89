//! Read leases (`fcntl(2)`, `F_SETLEASE`). The kernel refuses a lease where somebody has the
//! file open for writing, and makes whoever opens it for writing later wait until the lease
//! is released.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use libc::c_int;

/// Which signal tells the holder that somebody waits. The libc crate does not name it for
/// every C library.
const F_SETSIG: c_int = 10;

/// Takes a read lease on an open file.
///
/// # Errors
///
/// When the kernel refuses: because somebody has the file open for writing, or for another
/// reason.
pub fn take(file: &File) -> io::Result<()> {
    // By default the signal is SIGIO, which ends a process that does not handle it. SIGURG
    // is ignored.
    // safeguard: lease-signal
    fcntl(file, F_SETSIG, libc::SIGURG)?;
    fcntl(file, libc::F_SETLEASE, libc::F_RDLCK).map(drop)
}

/// Releases a lease, unless somebody waits for that to write into the file. Whether the
/// lease is released.
#[must_use]
pub fn release_unless_awaited(file: &File) -> bool {
    // While somebody waits, the kernel answers with what the lease is to become.
    // safeguard: lease-answer
    fcntl(file, libc::F_GETLEASE, 0).is_ok_and(|kind| kind == libc::F_RDLCK)
        && fcntl(file, libc::F_SETLEASE, libc::F_UNLCK).is_ok()
}

/// Releases a lease. Where even this fails, the close that follows releases it.
pub fn release(file: &File) {
    let _ = fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
}

/// `fcntl` with a number for its argument.
#[allow(unsafe_code, reason = "no safe crate has the commands of leases")]
fn fcntl(file: &File, command: c_int, argument: c_int) -> io::Result<c_int> {
    // SAFETY: the descriptor is open as long as `file` is borrowed. The commands above take
    // a number for their argument, and touch no memory of this process.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
