//! One connection to a server, on a runtime of its own: a forked child shares nothing with its
//! parent. The only file with `async` in it.

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Row, SimpleQueryMessage, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::engine::deadline::Deadline;
use crate::engine::signals::{NoSignals, Signals};
use crate::files::fork::CloseOnFork;
use crate::postgres::failures::{Fault, Refusal};
use crate::postgres::socket::{self, Address, Socket};
use crate::postgres::statements::{Name, Statements};
use crate::settings;
use crate::statistics::{COUNTERS, LATENCIES};

/// How often a wait looks at the deadline and for signals.
const STEP: Duration = Duration::from_millis(50);
/// How much longer a call waits for an answer than for a lock: the server itself ends the wait
/// for the lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much longer than a signal a commit is waited for: its outcome is worth that.
const GRACE: Duration = Duration::from_millis(250);

/// How long a rollback may take: the end of the connection undoes as much.
const ROLL_BACK: Duration = Duration::from_secs(1);

/// A wait for a server: until when, and for whom.
#[derive(Clone, Copy)]
pub(super) struct Wait<'a> {
    /// The document, for errors.
    pub(super) path: &'a Path,
    /// When the wait for a lock ends.
    pub(super) deadline: Deadline,
    /// When the wait for the network ends.
    pub(super) network: Deadline,
    pub(super) signals: &'a dyn Signals,
}

impl<'a> Wait<'a> {
    pub(super) fn new(path: &'a Path, timeout: Duration, signals: &'a dyn Signals) -> Self {
        let network = Deadline::after(timeout.saturating_add(PATIENCE));
        Self { path, deadline: Deadline::after(timeout), network, signals }
    }
}

/// How long a load waits for a server.
pub(super) fn patience() -> Duration {
    Duration::try_from_secs_f64(settings::current().lock_timeout).unwrap_or(Duration::MAX)
}

/// One step of a pipeline.
pub(super) enum Step<'a> {
    Begin,
    Run(Name, Vec<&'a (dyn ToSql + Sync)>),
    Commit,
}

/// What the server says beside its answers.
#[derive(Debug, Default)]
struct Aside {
    warnings: Vec<Refusal>,
    /// Why the connection ended.
    end: Option<Fault>,
}

/// A connection.
pub(super) struct Connection {
    runtime: Runtime,
    client: Client,
    descriptor: Arc<CloseOnFork>,
    aside: Arc<Mutex<Aside>>,
    traffic: Arc<AtomicU64>,
    statements: Arc<Statements>,
    prepared: Vec<Option<Statement>>,
    /// Whether statements are prepared by name.
    pub(super) named: bool,
    /// When it was put back into the pool.
    pub(super) rested: Instant,
    /// What each transaction has to raise `synchronous_commit` to.
    pub(super) synchronous_commit: String,
}

impl Connection {
    /// Connects to a server at `address`.
    pub(super) fn open(
        address: &Address,
        host: &Host,
        config: &Config,
        tls: &MakeRustlsConnect,
        statements: &Arc<Statements>,
        wait: &Wait<'_>,
    ) -> Result<Self, Fault> {
        let lost = |cause: io::Error| Fault::Lost { cause, again: true };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(lost)?;
        let traffic = Arc::new(AtomicU64::new(0));
        let aside = Arc::new(Mutex::new(Aside::default()));
        let connected = drive(&runtime, &traffic, wait, async {
            let socket = Socket::open(address, Arc::clone(&traffic)).map_err(lost)?;
            poll_fn(|context| socket.poll_connected(context)).await.map_err(lost)?;
            let descriptor = socket.descriptor();
            // Also where nothing is encrypted, so that there is one kind of connection: two would
            // be half as much code again.
            let name = match host {
                Host::Tcp(name) if config.get_ssl_mode() != SslMode::Disable => name,
                Host::Tcp(_) | Host::Unix(_) => "localhost",
            };
            let client = start(socket, config, tls_for(tls, name)?, &aside).await?;
            Ok((client, descriptor))
        });
        let (client, descriptor) = match connected {
            Ok(connected) => connected?,
            Err(fault) => return Err(fault),
        };
        Ok(Self {
            runtime,
            client,
            descriptor,
            aside,
            traffic,
            statements: Arc::clone(statements),
            prepared: Vec::new(),
            named: false,
            rested: Instant::now(),
            synchronous_commit: String::new(),
        })
    }

    /// Whether this process still has the socket: no child forked since, and no program that
    /// has closed all descriptors.
    pub(super) fn is_own(&self) -> bool {
        self.descriptor.with(|_| ()).is_some()
    }

    /// The port of this end, if it is a connection of the network.
    pub(super) fn port(&self) -> Option<u16> {
        socket::port(&self.descriptor)
    }

    /// Whether the server has said nothing since its last answer: not that it ends, for one.
    pub(super) fn is_silent(&self) -> bool {
        socket::is_silent(&self.descriptor)
    }

    /// Leaves the connection as it is: what belongs to a parent must not hear of its child.
    pub(super) fn leave(self) {
        // Its runtime would take the parent's socket out of the set that the parent waits for.
        // safeguard: parents-runtime-left
        mem::forget(self);
    }

    /// Runs statements in one trip. Returns the rows of each step.
    pub(super) fn pipeline(
        &mut self,
        steps: &[Step<'_>],
        wait: &Wait<'_>,
    ) -> Result<Vec<Vec<Row>>, Fault> {
        self.prepare(steps, wait)?;
        aside(&self.aside).warnings.clear();
        let (client, statements) = (&self.client, &self.statements);
        let prepared = self.named.then_some(&self.prepared);
        let run = |step| run(client, statements, prepared, step);
        let all = in_order(steps.iter().map(run).collect());
        let commits = steps.iter().any(|step| matches!(step, Step::Commit));
        let grace = if commits { GRACE } else { Duration::ZERO };
        // The server does not tell. What is longer than any trip is a wait for the lock.
        let locks =
            steps.iter().any(|step| matches!(step, Step::Run(Name::LockOne | Name::Lock, _)));
        let (begun, mut waited) = (Instant::now(), false);
        let slow = || {
            waited = locks;
            if waited {
                COUNTERS.lock_waits.count();
            }
        };
        let answers = drive_on(&self.runtime, &self.traffic, wait, grace, slow, all);
        // Of a broken connection the first says why: the others say that it is broken.
        let answers = answers.and_then(|answers| {
            let answers = answers.into_iter().collect::<Result<Vec<_>, _>>();
            answers.map_err(|error| self.fault(&error))
        });
        if !waited && matches!(&answers, Err(fault) if locks && fault.is_contention()) {
            waited = true;
            COUNTERS.lock_waits.count();
        }
        if waited {
            LATENCIES.lock_wait.observe(begun);
        }
        answers
    }

    /// Runs one statement. Returns its rows.
    pub(super) fn query(
        &mut self,
        name: Name,
        parameters: &[&(dyn ToSql + Sync)],
        wait: &Wait<'_>,
    ) -> Result<Vec<Row>, Fault> {
        let mut answers = self.pipeline(&[Step::Run(name, parameters.to_vec())], wait)?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Runs the statements in a text, without parameters. Returns the columns of each row.
    pub(super) fn run_text(
        &mut self,
        text: &str,
        wait: &Wait<'_>,
    ) -> Result<Vec<Vec<Option<String>>>, Fault> {
        let answers = drive(&self.runtime, &self.traffic, wait, self.client.simple_query(text))?;
        let answers = answers.map_err(|error| self.fault(&error))?;
        let rows = answers.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// Undoes the transaction, if there is one. Whether the connection is of use after that.
    pub(super) fn roll_back(&mut self) -> bool {
        let wait = Wait {
            path: Path::new(""),
            deadline: Deadline::now(),
            network: Deadline::after(ROLL_BACK),
            signals: &NoSignals,
        };
        self.run_text("ROLLBACK", &wait).is_ok()
    }

    /// What the server warned of during the last pipeline, if it is about the commit.
    pub(super) fn commit_warning(&self) -> Option<String> {
        // A wait for a standby that was ended: the commit stands, on this server alone.
        // safeguard: commit-warning-told
        let about = |said: &&Refusal| ["01000", "57P01"].contains(&said.code.code());
        aside(&self.aside).warnings.iter().find(about).map(|said| said.message.clone())
    }

    /// Has the server know the statements of a pipeline. Its own trip, once for a connection.
    pub(super) fn prepare(&mut self, steps: &[Step<'_>], wait: &Wait<'_>) -> Result<(), Fault> {
        if !self.named {
            return Ok(());
        }
        self.prepared.resize(self.statements.count(), None);
        let names = steps.iter().filter_map(|step| match step {
            Step::Run(name, _) => Some(*name),
            Step::Begin | Step::Commit => None,
        });
        let missing = names.filter(|name| self.prepared[*name as usize].is_none());
        let mut missing: Vec<Name> = missing.collect();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let (client, statements) = (&self.client, &self.statements);
        let each = missing.iter().map(|name| {
            let (text, types) = statements.get(*name);
            client.prepare_typed(text, types)
        });
        let prepared = drive(&self.runtime, &self.traffic, wait, in_order(each.collect()))?;
        for (name, statement) in missing.iter().zip(prepared) {
            self.prepared[*name as usize] = Some(statement.map_err(|error| self.fault(&error))?);
        }
        Ok(())
    }

    fn fault(&self, error: &tokio_postgres::Error) -> Fault {
        if error.as_db_error().is_none()
            && let Some(end) = aside(&self.aside).end.take()
        {
            return end;
        }
        Fault::of(error)
    }
}

fn aside(aside: &Mutex<Aside>) -> MutexGuard<'_, Aside> {
    aside.lock().unwrap_or_else(PoisonError::into_inner)
}

type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

fn tls_for(tls: &MakeRustlsConnect, host: &str) -> Result<Encrypted, Fault> {
    let mut tls = tls.clone();
    let made = <MakeRustlsConnect as MakeTlsConnect<Socket>>::make_tls_connect(&mut tls, host);
    made.map_err(|_| Fault::unusable("its host's name cannot be used for TLS"))
}

/// Speaks the start of the protocol, and leaves the connection to the runtime.
async fn start(
    socket: Socket,
    config: &Config,
    tls: Encrypted,
    aside_of: &Arc<Mutex<Aside>>,
) -> Result<Client, Fault> {
    let (client, mut connection) =
        config.connect_raw(socket, tls).await.map_err(|error| Fault::of(&error))?;
    let aside_of = Arc::clone(aside_of);
    tokio::spawn(poll_fn(move |context| {
        loop {
            match ready!(connection.poll_message(context)) {
                Some(Ok(AsyncMessage::Notice(notice))) => {
                    // A server that ends at once tells all clients so, with the code that an ended
                    // wait for a standby has, and perhaps after the answer to a commit.
                    // safeguard: last-words-are-no-warning
                    let ends = notice.routine() == Some("quickdie");
                    if notice.severity() != "NOTICE" && !ends {
                        aside(&aside_of).warnings.push(Refusal::of(&notice));
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    aside(&aside_of).end = Some(Fault::of(&error));
                    return Poll::Ready(());
                }
                None => return Poll::Ready(()),
            }
        }
    }));
    Ok(client)
}

/// Sends one step, and waits for its rows.
async fn run(
    client: &Client,
    statements: &Statements,
    prepared: Option<&Vec<Option<Statement>>>,
    step: &Step<'_>,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    match step {
        // Whatever the role's default is: under another level a statement does not see what was
        // saved before its lock was had.
        Step::Begin => {
            let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
            client.batch_execute(begin).await.map(|()| Vec::new())
        }
        Step::Commit => client.batch_execute("COMMIT").await.map(|()| Vec::new()),
        Step::Run(name, parameters) => {
            let known = prepared.and_then(|prepared| prepared[*name as usize].as_ref());
            if let Some(statement) = known {
                return client.query(statement, parameters).await;
            }
            let (text, types) = statements.get(*name);
            let with_types: Vec<(&(dyn ToSql + Sync), Type)> =
                parameters.iter().copied().zip(types.iter().cloned()).collect();
            client.query_typed(text, &with_types).await
        }
    }
}

/// Polls all futures in their order, until all are done: each sends when it is polled first.
async fn in_order<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| Some(Box::pin(future))).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waits = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            let Some(pending) = future else { continue };
            match pending.as_mut().poll(context) {
                Poll::Ready(done) => {
                    *output = Some(done);
                    *future = None;
                }
                Poll::Pending => waits = true,
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Waits for a future in steps, and looks at the deadline and for signals between them. While
/// bytes move, the deadline waits: a large document on a slow network is no dead server.
fn drive<F: Future>(
    runtime: &Runtime,
    traffic: &AtomicU64,
    wait: &Wait<'_>,
    future: F,
) -> Result<F::Output, Fault> {
    drive_on(runtime, traffic, wait, Duration::ZERO, || (), future)
}

/// The same; goes on for the time of `grace` after a signal. Calls `slow` once it takes longer
/// than a step.
fn drive_on<F: Future>(
    runtime: &Runtime,
    traffic: &AtomicU64,
    wait: &Wait<'_>,
    grace: Duration,
    slow: impl FnOnce(),
    future: F,
) -> Result<F::Output, Fault> {
    let mut end: Option<Deadline> = None;
    let mut slow = Some(slow);
    let mut future = pin!(future);
    let mut moved = traffic.load(Ordering::Relaxed);
    loop {
        let step = runtime.block_on(async { tokio::time::timeout(STEP, future.as_mut()).await });
        if let Ok(output) = step {
            return Ok(output);
        }
        if let Some(slow) = slow.take() {
            slow();
        }
        // safeguard: database-wait-ends-on-signal
        if end.is_none() && wait.signals.pending() {
            end = Some(Deadline::after(grace));
        }
        if end.is_some_and(|end| end.left().is_zero()) {
            return Err(Fault::Interrupted);
        }
        let now = traffic.load(Ordering::Relaxed);
        if wait.network.left().is_zero() && now == mem::replace(&mut moved, now) {
            return Err(Fault::TimedOut);
        }
        moved = now;
    }
}

/// The code of an edit that took too long.
pub(super) fn is_edit_timeout(fault: &Fault) -> bool {
    fault.code() == Some(&SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT)
}
