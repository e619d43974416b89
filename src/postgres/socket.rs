//! A socket that a forked child closes without a word to the server: a child that kept it
//! would keep the row locks of a parent that has died.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, sockopt};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::files::fork::CloseOnFork;
use crate::files::sys::socket::{self, Descriptor};

/// After how long a rest the client asks whether the server is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_COUNT: u32 = 3;

/// Where a server listens.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// An address of the network.
    Network(SocketAddr),
    /// A socket of this host.
    Local(std::path::PathBuf),
}

/// A socket, and how many bytes have gone through it.
#[derive(Debug)]
pub(super) struct Socket {
    descriptor: AsyncFd<Descriptor>,
    traffic: Arc<AtomicU64>,
}

impl Socket {
    /// Begins to connect. To be called in the runtime that the socket is for; it is connected
    /// once [`Self::poll_connected`] says so.
    pub(super) fn open(address: &Address, traffic: Arc<AtomicU64>) -> io::Result<Self> {
        let family = match address {
            Address::Network(SocketAddr::V4(_)) => AddressFamily::INET,
            Address::Network(SocketAddr::V6(_)) => AddressFamily::INET6,
            Address::Local(_) => AddressFamily::UNIX,
        };
        // safeguard: socket-closed-in-child
        let file = Arc::new(CloseOnFork::open(|| socket::new(family))?);
        let begun = file.with(|socket| {
            if let Address::Network(_) = address {
                sockopt::set_tcp_nodelay(socket, true)?;
                sockopt::set_socket_keepalive(socket, true)?;
                sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
                sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
                sockopt::set_tcp_keepcnt(socket, KEEPALIVE_COUNT)?;
            }
            match connect(socket, address) {
                Err(Errno::INPROGRESS) => Ok(()),
                outcome => outcome,
            }
        });
        begun.ok_or_else(forked)??;
        // It is kept between two calls.
        file.keep()?;
        Ok(Self { descriptor: socket::watch(file)?, traffic })
    }

    /// Whether it is connected by now.
    pub(super) fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.descriptor.poll_write_ready(context))?.retain_ready();
        let refused = self.descriptor.get_ref().file.with(|socket| sockopt::socket_error(socket));
        Poll::Ready(match refused {
            None => Err(forked()),
            Some(outcome) => outcome?.map_err(io::Error::from),
        })
    }

    /// What tells whether this process still has the socket, wherever the socket is by then.
    pub(super) fn descriptor(&self) -> Arc<CloseOnFork> {
        Arc::clone(&self.descriptor.get_ref().file)
    }

    fn count(&self, bytes: usize) {
        self.traffic.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Whether the other end has said nothing that is not read yet, nor that it ends.
pub(super) fn is_silent(socket: &CloseOnFork) -> bool {
    let peek = |socket: &File| net::recv(socket, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(socket.with(peek), Some(Err(Errno::WOULDBLOCK)))
}

/// The port of this end, if the socket is one of the network.
pub(super) fn port(socket: &CloseOnFork) -> Option<u16> {
    let name = socket.with(|socket| net::getsockname(socket))?.ok()?;
    SocketAddr::try_from(name).ok().map(|address| address.port())
}

/// The error of what is the parent's socket.
fn forked() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

fn connect(socket: impl AsFd, address: &Address) -> rustix::io::Result<()> {
    match address {
        Address::Network(address) => net::connect(socket, address),
        Address::Local(path) => {
            // A folder without a socket says the same as a port without a server.
            let refused = |errno| if errno == Errno::NOENT { Errno::CONNREFUSED } else { errno };
            net::connect(socket, &SocketAddrUnix::new(path.as_path() as &Path)?).map_err(refused)
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.descriptor.poll_read_ready(context))?;
            let read = ready.try_io(|descriptor| {
                let space = buffer.initialize_unfilled();
                let read = descriptor.get_ref().file.with(|socket| {
                    net::recv(socket, space, RecvFlags::empty()).map(|(read, _)| read)
                });
                Ok(read.ok_or_else(forked)??)
            });
            if let Ok(read) = read {
                let read = read?;
                buffer.advance(read);
                self.count(read);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.descriptor.poll_write_ready(context))?;
            let written = ready.try_io(|descriptor| {
                let written = descriptor.get_ref().file.with(|socket| {
                    // No SIGPIPE, whatever the program does with that.
                    net::send(socket, bytes, SendFlags::NOSIGNAL)
                });
                Ok(written.ok_or_else(forked)??)
            });
            if let Ok(written) = written {
                let written = written?;
                self.count(written);
                return Poll::Ready(Ok(written));
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The close of the descriptor tells the server.
        Poll::Ready(Ok(()))
    }
}
