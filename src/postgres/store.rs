//! A store: a schema of a database, and the connections of this process to it.

use std::fmt::{self, Debug, Formatter};
use std::mem;
use std::net::ToSocketAddrs;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use tokio_postgres::config::Host;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::engine::deadline::Deadline;
use crate::postgres::connection::{Connection, Wait};
use crate::postgres::failures::Fault;
use crate::postgres::pool::Pool;
use crate::postgres::schema;
use crate::postgres::socket::Address;
use crate::postgres::statements::Statements;
use crate::postgres::tls;
use crate::postgres::url::{self, Address as Url};

/// The port of a server whose URL names none.
const PORT: u16 = 5432;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
const STEP: Duration = Duration::from_millis(50);

/// A schema of a database, where documents lie.
pub(crate) struct Store {
    /// What tells this store from every other in this process.
    pub(super) id: [u8; 16],
    url: Url,
    statements: Arc<Statements>,
    tls: OnceLock<Result<MakeRustlsConnect, String>>,
    pool: Pool,
}

impl Debug for Store {
    // Neither the URL nor what is made of it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// The store at a URL. Nothing is connected to.
    ///
    /// # Errors
    ///
    /// What is wrong with the URL, in words without it.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let parsed = Url::parse(url)?;
        // The environment and the files of libpq are parts of what a URL means.
        let digest = *blake3::hash(format!("{url}\0{}", parsed.meaning()).as_bytes()).as_bytes();
        let id = digest.first_chunk().copied().unwrap_or_default();
        let url = parsed;
        let statements = Arc::new(Statements::new(&url.schema));
        Ok(Self { id, url, statements, tls: OnceLock::new(), pool: Pool::default() })
    }

    /// The schema of the tables.
    pub(super) fn schema(&self) -> &str {
        &self.url.schema
    }

    /// Acts with a connection, and again on a new connection while the fault may pass and the
    /// deadline lets it.
    pub(super) fn with<T>(
        &self,
        wait: &Wait<'_>,
        act: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (connection, done) = self.begin(wait, act)?;
        self.pool.put(connection);
        Ok(done)
    }

    /// The same for what goes on: the caller keeps the connection.
    pub(super) fn begin<T>(
        &self,
        wait: &Wait<'_>,
        mut act: impl FnMut(&mut Connection) -> Result<T, Fault>,
    ) -> Result<(Connection, T), Fault> {
        let mut pause = FIRST_PAUSE;
        let mut prepared_anew = false;
        loop {
            let fault = match self.take(wait) {
                Err(fault) => fault,
                Ok(mut connection) => match act(&mut connection) {
                    Ok(done) => return Ok((connection, done)),
                    Err(fault) => {
                        self.put_back(connection, &fault);
                        fault
                    }
                },
            };
            // Once: what is lost again and again stays lost.
            let lost = fault.forgets_statement() && !mem::replace(&mut prepared_anew, true);
            if !(fault.is_passing() || lost) || wait.deadline.left().is_zero() {
                return Err(fault);
            }
            rest(wait, pause)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A connection that is ready for use: one that rests, or a new one.
    pub(super) fn take(&self, wait: &Wait<'_>) -> Result<Connection, Fault> {
        if let Some(connection) = self.pool.take(wait)? {
            return Ok(connection);
        }
        self.connect(wait, true)
    }

    /// Lets a connection rest, to be used again.
    pub(super) fn put(&self, connection: Connection) {
        self.pool.put(connection);
    }

    /// Does with a connection what its fault leaves: a refusal leaves the connection usable.
    pub(super) fn put_back(&self, mut connection: Connection, fault: &Fault) {
        if !connection.is_own() {
            connection.leave();
        } else if fault.leaves_connection() && connection.roll_back() {
            self.pool.put(connection);
        } else if fault.is_passing() || fault.forgets_statement() {
            // What a restarted server does not know any more, the others do not know either.
            self.pool.clear();
        }
    }

    /// Connects to the first host that takes writes. With `ready`, the tables have to be there.
    pub(super) fn connect(&self, wait: &Wait<'_>, ready: bool) -> Result<Connection, Fault> {
        let hosts = self.hosts();
        let count = u32::try_from(hosts.len()).unwrap_or(1).max(1);
        let mut last = Fault::unusable("its store's URL names no host");
        for (tried, (host, port)) in (0..).zip(&hosts) {
            // A host that does not answer leaves time for the others.
            let share = wait.network.left() / (count - tried).max(1);
            let share = self.url.config.get_connect_timeout().map_or(share, |set| share.min(*set));
            let network = Deadline::after(share);
            match self.connect_to(host, *port, &Wait { network, ..*wait }, ready) {
                Err(Fault::Interrupted) => return Err(Fault::Interrupted),
                Err(fault) => last = fault,
                connected => return connected,
            }
        }
        Err(match last {
            Fault::TimedOut if !wait.network.left().is_zero() => {
                Fault::Lost { cause: Errno::TIMEDOUT.into(), again: true }
            }
            fault => fault,
        })
    }

    fn connect_to(
        &self,
        host: &Host,
        port: u16,
        wait: &Wait<'_>,
        ready: bool,
    ) -> Result<Connection, Fault> {
        let tls = self
            .tls
            .get_or_init(|| tls::connector(self.url.verify, self.url.roots.as_deref()))
            .as_ref()
            .map_err(|reason| Fault::unusable(reason.clone()))?;
        let mut config = self.url.for_host(host, port);
        config.application_name(application_name());
        let mut last = Fault::unusable("its host has no address");
        for address in addresses(host, port, wait)? {
            let opened = Connection::open(&address, host, &config, tls, &self.statements, wait);
            match opened {
                Ok(mut connection) => {
                    let schema = ready.then(|| self.schema());
                    schema::require_usable(&mut connection, schema, self.url.prepare, wait)?;
                    return Ok(connection);
                }
                Err(Fault::Interrupted) => return Err(Fault::Interrupted),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn hosts(&self) -> Vec<(Host, u16)> {
        let config = &self.url.config;
        let ports = config.get_ports();
        let port = |place: usize| {
            ports.get(place).or_else(|| ports.first().filter(|_| ports.len() == 1)).copied()
        };
        let addresses = config.get_hostaddrs();
        if config.get_hosts().is_empty() {
            let host = |(place, address): (usize, &std::net::IpAddr)| {
                (Host::Tcp(address.to_string()), port(place).unwrap_or(PORT))
            };
            return addresses.iter().enumerate().map(host).collect();
        }
        let host = |(place, host): (usize, &Host)| (host.clone(), port(place).unwrap_or(PORT));
        config.get_hosts().iter().enumerate().map(host).collect()
    }
}

/// Waits before the next attempt.
fn rest(wait: &Wait<'_>, pause: Duration) -> Result<(), Fault> {
    let end = Deadline::after(pause.min(wait.deadline.left()));
    while !end.left().is_zero() {
        thread::sleep(end.left().min(STEP));
        if wait.signals.pending() {
            return Err(Fault::Interrupted);
        }
    }
    Ok(())
}

/// The addresses of a host. The wait for a name server ends at the deadline, and on a signal.
fn addresses(host: &Host, port: u16, wait: &Wait<'_>) -> Result<Vec<Address>, Fault> {
    let name = match host {
        Host::Unix(folder) => return Ok(vec![Address::Local(url::socket_path(folder, port))]),
        Host::Tcp(name) => name.clone(),
    };
    if let Ok(address) = name.parse::<std::net::IpAddr>() {
        return Ok(vec![Address::Network((address, port).into())]);
    }
    let (sender, receiver) = mpsc::channel();
    let look_up = move || {
        let found = (name.as_str(), port).to_socket_addrs();
        // Where the caller has gone, nobody wants the answer.
        let _ = sender.send(found.map(Iterator::collect::<Vec<_>>));
    };
    let lost = |cause| Fault::Lost { cause, again: true };
    thread::Builder::new().spawn(look_up).map_err(lost)?;
    loop {
        match receiver.recv_timeout(STEP) {
            Ok(found) => {
                return Ok(found.map_err(lost)?.into_iter().map(Address::Network).collect());
            }
            Err(RecvTimeoutError::Disconnected) => return Err(lost(Errno::IO.into())),
            Err(RecvTimeoutError::Timeout) if wait.signals.pending() => {
                return Err(Fault::Interrupted);
            }
            Err(RecvTimeoutError::Timeout) if wait.network.left().is_zero() => {
                return Err(Fault::TimedOut);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What the server shows of this process: who holds a lock is read from that.
fn application_name() -> String {
    const LONGEST: usize = 40;
    let system = rustix::system::uname();
    let host: String = system.nodename().to_string_lossy().chars().take(LONGEST).collect();
    format!("oasis-data {host} {}", std::process::id())
}
