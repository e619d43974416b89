//! Sockets that do not wait: made, and watched by a runtime.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tokio::io::unix::AsyncFd;

use crate::files::fork::CloseOnFork;

/// A socket under the number that a runtime watches.
#[derive(Debug)]
pub(crate) struct Descriptor {
    /// The socket.
    pub(crate) file: Arc<CloseOnFork>,
    number: RawFd,
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.number
    }
}

/// Makes a socket, closed in programs that this process starts.
pub(crate) fn new(family: AddressFamily) -> rustix::io::Result<File> {
    #[cfg(not(target_vendor = "apple"))]
    let made = {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        net::socket_with(family, SocketType::STREAM, flags, None)?
    };
    #[cfg(target_vendor = "apple")]
    let made = {
        let made = net::socket_with(family, SocketType::STREAM, SocketFlags::empty(), None)?;
        rustix::io::fcntl_setfd(&made, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&made, true)?;
        made
    };
    Ok(made.into())
}

/// Has the runtime of the calling thread watch a socket.
#[allow(unsafe_code, reason = "the runtime keeps the number of a descriptor that it does not own")]
pub(crate) fn watch(file: Arc<CloseOnFork>) -> io::Result<AsyncFd<Descriptor>> {
    let number = file.with(AsRawFd::as_raw_fd).ok_or(io::ErrorKind::BrokenPipe)?;
    let descriptor = Descriptor { file, number };
    // SAFETY: the descriptor owns the socket and is owned by what is returned, so that the
    // socket is closed after its registration has ended. In a forked child the socket is closed
    // before, but there the runtime is never used nor dropped (`Connection::leave`).
    let watched = unsafe { AsyncFd::register(descriptor) };
    watched.map_err(|error| error.into_parts().1)
}
